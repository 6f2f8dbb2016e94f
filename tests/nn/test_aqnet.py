"""The network: starts as its classical baseline, stays bounded, respects masks."""

import numpy as np
import pytest
import torch
from windows import make_window

from xaq.arrays import sphere
from xaq.interpolate import kriging, leave_one_out
from xaq.interpolate.kriging import Covariance
from xaq.nn import neural_knn
from xaq.nn.advection import Advected, advect
from xaq.nn.aqnet import AQNet
from xaq.nn.batched_solve import invert, solve
from xaq.nn.config import AQNetConfig
from xaq.nn.estimate import apply_weights, attribute, station_table
from xaq.nn.neural_knn import NeuralKNN, Weights

CUDA = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]
CONFIGS = [AQNetConfig.default(task, n) for task in ("analysis", "forecast") for n in (24, 1)]


def nuggets(module, evidence):
    """Nuggets of stations that the others predict as well as any, on one day."""
    alone = evidence[None, :, None]
    return module.station_side(alone, alone[..., 0], evidence.new_ones(len(evidence)))[0, :, 0]


def geometry(n_target=50, n_station=30, k=12, seed=0):
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(5, 8, n_station), rng.uniform(47, 49, n_station)
    x, y = rng.uniform(5, 8, n_target), rng.uniform(47, 49, n_target)
    index, d_target = sphere.nearest(lon, lat, x, y, k)
    targets, stations = (torch.as_tensor(sphere.unit_vectors(*p), dtype=torch.float32) for p in ((x, y), (lon, lat)))
    return (targets, stations[index]), (d_target, sphere.pairwise_km(lon, lat, index))


N_EVIDENCE = 12


def knn(**changes):
    torch.manual_seed(0)
    return NeuralKNN(
        **{
            "n_evidence": N_EVIDENCE,
            "range_km": 60.0,
            "nugget": 0.2,
            "centre": (6.5, 48.0),
            "max_correction": 0.3,
            **changes,
        }
    )


def run_knn(module, targets, neighbours, seed=1, predictors=None):
    generator = torch.Generator().manual_seed(seed)
    n, k = neighbours.shape[:2]
    evidence, log_weight = torch.randn(n * k, N_EVIDENCE, generator=generator), torch.rand(n * k, generator=generator)
    rows = torch.arange(n * k).reshape(n, k)
    return module(module.geometry(targets, neighbours), nuggets(module, evidence), log_weight, rows, predictors)


def test_untrained_neural_knn_is_ordinary_kriging():
    places, distances = geometry()
    expected, variance = kriging.ordinary_weights(*distances, Covariance(60.0, 0.2))
    got = run_knn(knn(), *places)
    np.testing.assert_allclose(got.kriging.detach(), expected, atol=5e-5)
    np.testing.assert_allclose(got.variance.detach(), variance, rtol=1e-3)
    assert (got.correction == 0).all()


def test_the_learned_noise_of_the_network_is_the_nugget_of_kriging():
    """Weights and the variance of a new observation: its own noise is as large as that of the neighbours."""
    places, distances = geometry()
    module = knn()
    with torch.no_grad():
        module.log_noise.fill_(0.4)
    learned = 0.2 * 20.0 ** np.tanh(0.4)
    expected, variance = kriging.ordinary_weights(*distances, Covariance(60.0, learned))
    got = run_knn(module, *places)
    np.testing.assert_allclose(got.kriging.detach(), expected, atol=5e-5)
    np.testing.assert_allclose(got.variance.detach(), variance, rtol=1e-3)
    assert (got.variance > learned).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("k", [1, 2, 7])
def test_batched_solve_and_its_gradients(k, device):
    generator = torch.Generator().manual_seed(k)
    half = torch.randn(k, 20, 5, generator=generator, dtype=torch.float64)
    covariance = (torch.einsum("ixb,jxb->ijb", half, half) / 20).to(device)
    nugget, right = (
        torch.rand(*shape, 5, generator=generator, dtype=torch.float64).to(device) for shape in ([k], [k, 3])
    )
    inputs = [t.requires_grad_() for t in (covariance, nugget, right)]
    whole = (covariance + torch.diag_embed(nugget.T).permute(1, 2, 0)).permute(2, 0, 1)
    expected = torch.linalg.solve(whole, right.permute(2, 0, 1)).permute(1, 2, 0)
    torch.testing.assert_close(solve(*inputs), expected)
    weight = torch.randn(expected.shape, generator=generator, dtype=torch.float64).to(device)
    got, by_torch = (torch.autograd.grad((x * weight).sum(), inputs) for x in (solve(*inputs), expected))
    for a, b in zip(got, by_torch, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("k", [1, 2, 7])
def test_inverses_of_bordered_systems(k, device):
    generator = torch.Generator().manual_seed(k)
    half = torch.randn(5, k, 20, generator=generator, dtype=torch.float64).to(device)
    bordered = torch.ones(5, k + 1, k + 1, dtype=torch.float64, device=device)
    bordered[:, :k, :k] = half @ half.mT / 20
    bordered[:, k, k] = 0.0
    nugget = torch.rand(5, k + 1, generator=generator, dtype=torch.float64).to(device)
    nugget[:, k] = 0.0
    before = bordered.clone()
    got = invert(bordered.permute(1, 2, 0), nugget.T).permute(2, 0, 1)
    torch.testing.assert_close(got, torch.linalg.inv(bordered + torch.diag_embed(nugget)))
    assert torch.equal(bordered, before)


@pytest.mark.parametrize("device", DEVICES)
def test_targets_that_share_neighbours_get_the_weights_of_each_by_itself(device):
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(5, 8, 30), rng.uniform(47, 49, 30)
    # Two stations of one place: the worst case of rounding.
    lon[1], lat[1] = lon[0], lat[0]
    x, y = rng.uniform(5, 8, 400), rng.uniform(47, 49, 400)
    module = knn().to(device)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) / 2)
    index = np.sort(sphere.nearest(lon, lat, x, y, 8)[0], axis=1)
    sets, _, which = (torch.as_tensor(a, device=device) for a in leave_one_out.distinct_rows(index))
    assert len(sets) < len(which)
    near = sets[which]
    targets, stations = (
        torch.as_tensor(sphere.unit_vectors(*p), dtype=torch.float32, device=device) for p in ((x, y), (lon, lat))
    )
    generator = torch.Generator().manual_seed(1)
    evidence, log_weight = (torch.rand(*n, generator=generator).to(device) for n in ((30, N_EVIDENCE), (30,)))
    noise = nuggets(module, evidence)
    each = module(module.geometry(targets, stations[near]), noise, log_weight, near)
    with torch.no_grad():
        geometry = module.shared_geometry(targets, stations[near], stations[sets], which)
        inverses = module.inverses(geometry, sets, noise)
        parts = [
            module.shared(geometry.part(c), inverses, log_weight, near[c]) for c in (slice(0, 150), slice(150, 400))
        ]
    for got, expected in zip(zip(*parts, strict=True), each, strict=True):
        torch.testing.assert_close(torch.cat(got), expected.detach(), atol=1e-4, rtol=1e-3)


def test_any_parameters_keep_weights_summing_to_one_and_the_correction_bounded():
    places, _ = geometry()
    module = knn(n_rasters=2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 3)
    got = run_knn(module, *places, predictors=torch.randn(*places[1].shape[:2], 2))
    torch.testing.assert_close(got.kriging.sum(dim=1), torch.ones(len(places[0])), atol=1e-3, rtol=0)
    assert 0 < got.correction.abs().max() <= 0.3
    assert ((got.log_weight >= 0) & (got.log_weight <= 1)).all()
    assert (got.variance > 0).all()


def test_learned_terms_receive_gradients_at_their_zero_start():
    places, _ = geometry()
    module = knn(n_rasters=2)
    got = run_knn(module, *places, predictors=torch.randn(*places[1].shape[:2], 2))
    (got.kriging[:, 0].sum() + got.correction.sum()).backward()
    assert module.noise_head[-1].weight.grad.abs().sum() > 0
    for name in ("log_range", "log_noise", "exponent", "stretch", "variance_ratio", "slope"):
        assert (getattr(module, name).grad != 0).all(), name


def test_geometry_is_great_circle_at_the_start_and_keeps_areas_when_stretched():
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(5, 8, 12), rng.uniform(47, 49, 12)
    points = torch.as_tensor(sphere.unit_vectors(lon, lat), dtype=torch.float32)
    module = knn()
    near = points[None, 1:]
    distance = sphere.distance_km(lon[0], lat[0], lon[1:], lat[1:])
    start = module.geometry(points[:1], near).target.detach()[:, 0]
    np.testing.assert_allclose(start, np.exp(-distance / 60.0), rtol=1e-3)
    with torch.no_grad():
        module.stretch.copy_(torch.tensor([3.0, 0.0]))
    east = torch.as_tensor(sphere.unit_vectors([6.4, 6.6], [48.0, 48.0]), dtype=torch.float32)
    north = torch.as_tensor(sphere.unit_vectors([6.5, 6.5], [47.9, 48.1]), dtype=torch.float32)

    def ratio(pair):
        after, before = (float(m.geometry(pair[:1], pair[None, 1:]).target.detach().log()) for m in (module, knn()))
        return after / before

    assert ratio(east) * ratio(north) == pytest.approx(1.0, rel=1e-3)
    assert ratio(east) == pytest.approx(np.exp(0.5 * np.tanh(3.0)), rel=1e-3)


def test_the_earth_has_one_radius():
    assert neural_knn._EARTH_RADIUS_KM == sphere.EARTH_RADIUS_KM


def test_half_precision_leaves_the_solve_in_float32():
    places, _ = geometry()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = run_knn(knn(), *places)
    full = run_knn(knn(), *places)
    np.testing.assert_allclose(half.kriging.detach(), full.kriging.detach(), atol=2e-2)
    assert half.kriging.dtype == torch.float32


def test_what_the_others_cannot_predict_they_do_not_judge():
    module = knn()
    torch.nn.init.normal_(module.noise_head[-1].weight)
    evidence = torch.randn(2, 7, 1, N_EVIDENCE, generator=torch.Generator().manual_seed(0))
    redundancy = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0])
    judged, noise = (module.station_side(evidence, evidence[..., 0], r).log() for r in (torch.ones(7), redundancy))
    torch.testing.assert_close(noise[:, :5], judged[:, :5])
    residual_variance = (redundancy[:, None] * judged).sum(dim=1) / redundancy.sum()
    torch.testing.assert_close(noise[:, 6], residual_variance)
    torch.testing.assert_close(noise[:, 5], (judged[:, 5] + residual_variance) / 2)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.task}-{c.steps_per_day}")
def test_station_side_shapes_and_attention(config):
    torch.manual_seed(0)
    network = AQNet(config, range_km=50.0, nugget=0.1)
    side = network.station_side(make_window(config))
    n_patch = config.input_steps // config.patch
    assert side.noise.shape == side.log_weight.shape == (2, config.target_days, 6)
    assert side.attention.shape == (2, 6, config.target_days, n_patch)
    torch.testing.assert_close(side.attention.sum(dim=-1), torch.ones(2, 6, config.target_days))
    assert all(torch.isfinite(t).all() for t in side if t is not None)


def test_stations_do_not_see_each_other_on_the_station_side_but_in_the_state():
    config = AQNetConfig.default("analysis", 24)
    torch.manual_seed(0)
    network = AQNet(config, range_km=50.0, nugget=0.1)
    torch.nn.init.normal_(network.knn.noise_head[-1].weight)
    window = make_window(config)
    changed = window.z.clone()
    changed[:, 3] = 1e9
    visible = window.visible.clone()
    visible[3] = False
    before = network.station_side(window._replace(visible=visible))
    after = network.station_side(window._replace(visible=visible, z=changed))
    others = [0, 1, 2, 4, 5]
    assert torch.equal(before.noise[:, :, others], after.noise[:, :, others])


def test_a_forecast_starts_as_climatology_plus_regression_and_stays_within_its_bound():
    config = AQNetConfig.default("forecast", 24)
    torch.manual_seed(0)
    network = AQNet(config, range_km=50.0, nugget=0.1)
    window = make_window(config)
    network.eval()
    network.base_forecast.coefficients.normal_(0, 0.05)
    start = network.base_forecast(window)
    assert torch.equal(network.station_side(window).z_hat, start)
    with torch.no_grad():
        network.forecaster.head.weight.normal_(0, 5)
    assert torch.equal(network.station_side(window).z_hat, start)
    network.forecast_weight.fill_(0.5)
    assert 0 < (network.station_side(window).z_hat - start).abs().max() <= 1.5 + 1e-5


def test_without_cyclic_encoding_the_calendar_has_no_influence():
    config = AQNetConfig(cyclic=False)
    torch.manual_seed(0)
    network = AQNet(config, range_km=50.0, nugget=0.1)
    torch.nn.init.normal_(network.knn.noise_head[-1].weight)
    window = make_window(config)
    other = window._replace(cyclic=window.cyclic + 1, cyclic_target=window.cyclic_target - 1)
    assert torch.equal(network.station_side(window).noise, network.station_side(other).noise)


def half(**changes):
    equal = torch.tensor([[0.5, 0.5]])
    return Weights(equal, torch.ones(1), torch.zeros(1), torch.zeros(1))._replace(**changes)


def test_filled_neighbours_widen_the_interval_and_leave_the_estimate():
    values, rows = torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1]])
    tables = [station_table(values, torch.tensor(v), 1.0, 4.0, advects=False) for v in ([[0.0], [0.0]], [[0.0], [1.0]])]
    (observed, observed_parts), (filled, filled_parts) = (apply_weights(half(), rows, t, 1.0) for t in tables)
    assert torch.equal(observed, filled)
    assert all((after > before).all() for after, before in zip(filled_parts, observed_parts, strict=True))


def test_deviations_of_filled_neighbours_add_up_before_they_widen_the_variance():
    """By brute force, target by target and step by step: sqrt(v + (sum of w * sd) ** 2)."""
    rng = np.random.default_rng(0)
    values, filled = rng.gamma(4.0, 10.0, (9, 4)), rng.gamma(2.0, 0.3, (9, 4)) * (rng.random((9, 4)) < 0.5)
    kriging_weights, variance = rng.normal(0.25, 0.3, (5, 4)), rng.gamma(2.0, 0.2, 5)
    rows = rng.integers(0, 9, (5, 4))
    table = station_table(torch.as_tensor(values), torch.as_tensor(filled), 1.0, 4.0, advects=False)
    weights = Weights(torch.as_tensor(kriging_weights), torch.as_tensor(variance), *torch.zeros(2, 5).double())
    estimate, (root, level, _) = apply_weights(weights, torch.as_tensor(rows), table, 1.0)
    expected = np.empty((5, 4))
    for target, step in np.ndindex(5, 4):
        deviation = sum(
            w * np.sqrt(filled[row, step]) for w, row in zip(kriging_weights[target], rows[target], strict=True)
        )
        expected[target, step] = np.sqrt(variance[target] + deviation**2)
    np.testing.assert_allclose(root, expected)
    np.testing.assert_allclose(level, estimate.clamp(min=0.0).numpy() * expected)


def test_apply_weights_mixes_scales_and_reports_disagreement():
    values = torch.tensor([[1.0, 2.0], [3.0, 2.0]])
    rows = torch.tensor([[0, 1]])
    table = station_table(values, torch.zeros_like(values), 1.0, 1.0, advects=False)
    estimate, (_, _, disagreement) = apply_weights(half(), rows, table, 1.0)
    torch.testing.assert_close(estimate, torch.tensor([[2.0, 2.0]]))
    torch.testing.assert_close(disagreement, torch.tensor([[1.0, 0.0]]), atol=1e-3, rtol=0)
    log, _ = apply_weights(half(log_weight=torch.ones(1)), rows, table, 1.0)
    torch.testing.assert_close(log[0, 0], torch.tensor(8.0).sqrt() - 1.0)
    scaled, _ = apply_weights(half(correction=torch.tensor([0.1])), rows, table, 1.0)
    torch.testing.assert_close(scaled, estimate * torch.exp(torch.tensor(0.1)))


def test_advected_neighbours_make_the_estimate_and_their_reports_the_disagreement():
    values, rows = torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1]])
    table = station_table(values, torch.zeros_like(values), 1.0, 1.0, advects=True)
    read = torch.tensor([[5.0, 2.0], [9.0, 3.0], [7.0, 2.5]])
    # The first neighbour is read between two rows, the second at one.
    advected = Advected(read, torch.tensor([[0, 1, 2, 2]]), torch.tensor([[0.5, 0.5, 1.0, 0.0]]))
    estimate, (_, _, disagreement) = apply_weights(half(), rows, table, 1.0, advected)
    torch.testing.assert_close(estimate, torch.tensor([[(7.0 + 7.0) / 2]]))
    torch.testing.assert_close(disagreement, torch.tensor([[1.0]]))
    for share in (torch.zeros(1), torch.full((1,), 0.4)):
        estimate, _ = apply_weights(half(log_weight=share), rows, table, 1.0, advected)
        value, taken, contribution = attribute(half(log_weight=share), rows, table, 1.0, advected)
        torch.testing.assert_close(contribution.sum(dim=1), estimate)
        torch.testing.assert_close(value[0], values)
        torch.testing.assert_close(taken[0], torch.tensor([[7.0], [7.0]]))


@pytest.mark.parametrize("device", DEVICES)
def test_advection_reads_each_slot_with_its_own_shares(device):
    generator = torch.Generator().manual_seed(0)
    series = torch.randn(3, 2, 6 + 2, generator=generator).to(device)
    shares = torch.rand(3, 4, 2, generator=generator).to(device)
    lags = torch.rand(5, 4, 3, generator=generator).to(device)
    got = advect(series, shares, lags)
    slot = torch.arange(6) // 3
    windows = series.unfold(2, 3, 1)
    torch.testing.assert_close(got, torch.einsum("nst,ksl,nctl->nkct", shares[:, :, slot], lags, windows))


@pytest.mark.parametrize(
    "changes",
    [{"task": "nowcast"}, {"patch": 5}, {"hidden": 30}, {"k": 0}, {"task": "forecast", "days_after": 1}],
    ids=str,
)
def test_impossible_configurations_are_refused(changes):
    with pytest.raises(ValueError, match=r"expected|divide|multiple|empty"):
        AQNetConfig(**changes)


def test_published_configuration_reads_336_hours_and_writes_168():
    config = AQNetConfig.published()
    assert (config.input_steps, config.target_steps, config.patch) == (336, 168, 1)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cpu_and_cuda_agree():
    _, d_target, d_neighbours = geometry()
    expected = run_knn(knn(), d_target, d_neighbours)
    got = run_knn(knn().cuda(), d_target, d_neighbours, device="cuda")
    np.testing.assert_allclose(got.kriging.detach().cpu(), expected.kriging.detach(), atol=1e-3)
