"""The network: starts as its classical baseline, stays bounded, respects masks."""

import numpy as np
import pytest
import torch

from xaq import kriging, sphere
from xaq.kriging import Covariance
from xaq.nn.aqnet import AQNet, AQNetConfig, Window, apply_weights, station_table
from xaq.nn.neural_knn import NeuralKNN, Weights

CONFIGS = [AQNetConfig.default(task, n) for task in ("analysis", "forecast") for n in (24, 1)]


def make_window(config, n_window=2, n_station=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n_window, n_station, config.input_steps, generator=generator)
    z[torch.rand(z.shape, generator=generator) < 0.2] = torch.nan
    return Window(
        z=z,
        covariates=torch.zeros(n_window, n_station, config.input_steps, config.n_covariates),
        cyclic=torch.randn(n_window, config.input_steps, 6, generator=generator),
        cyclic_target=torch.randn(n_window, config.target_days, 6, generator=generator),
        climatology=torch.zeros(n_window, config.input_steps),
        climatology_target=torch.zeros(n_window, config.target_steps),
        visible=torch.ones(n_station, dtype=torch.bool),
        cyclic_horizon=torch.randn(n_window, config.target_steps, 6, generator=generator),
        known=torch.randn(n_window, n_station, config.target_steps, config.n_known, generator=generator),
    )


def geometry(n_target=50, n_station=30, k=12, seed=0):
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(5, 8, n_station), rng.uniform(47, 49, n_station)
    x, y = rng.uniform(5, 8, n_target), rng.uniform(47, 49, n_target)
    index, d_target = sphere.nearest(lon, lat, x, y, k)
    return index, d_target, sphere.pairwise_km(lon, lat, index)


def knn(**changes):
    torch.manual_seed(0)
    return NeuralKNN(
        **{
            "n_features": 8,
            "n_state": 9,
            "range_km": 60.0,
            "nugget": 0.2,
            "gate": 0.0,
            "max_correction": 0.3,
            **changes,
        }
    )


def run_knn(module, d_target, d_neighbours, seed=1):
    generator = torch.Generator().manual_seed(seed)
    n, k = d_target.shape
    features = torch.randn(n, k, 8, generator=generator)
    noise, latent = module.station_side(features)
    tensors = [torch.as_tensor(d, dtype=torch.float32) for d in (d_target, d_neighbours)]
    return module(*tensors, noise, latent, features, torch.randn(n, 9, generator=generator))


def test_untrained_neural_knn_is_ordinary_kriging():
    _, d_target, d_neighbours = geometry()
    expected, variance = kriging.ordinary_weights(d_target, d_neighbours, Covariance(60.0, 0.2))
    got = run_knn(knn(), d_target, d_neighbours)
    np.testing.assert_allclose(got.weights.detach(), expected, atol=2e-5)
    np.testing.assert_allclose(got.variance.detach(), variance, rtol=1e-4)
    assert (got.correction == 0).all()
    assert (got.gate == 0).all()


def test_any_parameters_keep_weights_summing_to_one_and_the_correction_bounded():
    _, d_target, d_neighbours = geometry()
    module = knn()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 3)
    got = run_knn(module, d_target, d_neighbours)
    torch.testing.assert_close(got.weights.sum(dim=1), torch.ones(len(d_target)), atol=1e-3, rtol=0)
    assert got.correction.abs().max() <= 0.3
    assert ((got.gate >= 0) & (got.gate <= 1)).all()
    assert (got.variance > 0).all()


def test_learned_terms_receive_gradients_at_their_zero_start():
    _, d_target, d_neighbours = geometry()
    module = knn()
    got = run_knn(module, d_target, d_neighbours)
    (got.weights[:, 0].sum() + got.correction.sum() + got.gate.sum()).backward()
    assert module.latent_scale.grad.abs() > 0
    for head in (module.noise_head, module.range_head, module.residual_head):
        assert head[-1].weight.grad.abs().sum() > 0


def test_half_precision_leaves_the_solve_in_float32():
    _, d_target, d_neighbours = geometry()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = run_knn(knn(), d_target, d_neighbours)
    np.testing.assert_allclose(
        half.weights.detach(), run_knn(knn(), d_target, d_neighbours).weights.detach(), atol=2e-2
    )
    assert half.weights.dtype == torch.float32


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.task}-{c.steps_per_day}")
def test_station_side_shapes_and_attention(config):
    torch.manual_seed(0)
    network = AQNet(config, range_km=50, nugget=0.1)
    side = network.station_side(make_window(config))
    n_patch = config.input_steps // config.patch
    assert side.features.shape == (2, 6, config.target_days, config.n_features)
    assert side.attention.shape == (2, 6, config.target_days, n_patch)
    torch.testing.assert_close(side.attention.sum(dim=-1), torch.ones(2, 6, config.target_days))
    assert all(torch.isfinite(t).all() for t in side if t is not None)


def test_stations_do_not_see_each_other_on_the_station_side_but_in_the_state():
    config = AQNetConfig.default("analysis", 24)
    torch.manual_seed(0)
    network = AQNet(config, range_km=50, nugget=0.1)
    window = make_window(config)
    changed = window.z.clone()
    changed[:, 3] = 1e9
    visible = window.visible.clone()
    visible[3] = False
    before = network.station_side(window._replace(visible=visible))
    after = network.station_side(window._replace(visible=visible, z=changed))
    others = [0, 1, 2, 4, 5]
    assert torch.equal(before.features[:, others], after.features[:, others])
    assert torch.equal(before.state, after.state)


def test_a_forecast_starts_as_climatology_plus_regression_and_stays_within_its_bound():
    config = AQNetConfig.default("forecast", 24)
    torch.manual_seed(0)
    network = AQNet(config, range_km=50, nugget=0.1)
    window = make_window(config)
    network.eval()
    network.start.coefficients.normal_(0, 0.05)
    start = network.start(window)
    assert torch.equal(network.station_side(window).z_hat, start)
    with torch.no_grad():
        network.forecaster.head.weight.normal_(0, 5)
    assert torch.equal(network.station_side(window).z_hat, start)
    network.share.fill_(0.5)
    assert 0 < (network.station_side(window).z_hat - start).abs().max() <= 1.5 + 1e-5


def test_without_cyclic_encoding_the_calendar_has_no_influence():
    config = AQNetConfig(cyclic=False)
    torch.manual_seed(0)
    network = AQNet(config, range_km=50, nugget=0.1)
    window = make_window(config)
    other = window._replace(cyclic=window.cyclic + 1, cyclic_target=window.cyclic_target - 1)
    assert torch.equal(network.station_side(window).features, network.station_side(other).features)


def test_filled_neighbours_widen_the_interval_and_leave_the_estimate():
    values, rows = torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1]])
    half = Weights(torch.tensor([[0.5, 0.5]]), torch.ones(1), torch.zeros(1), torch.zeros(1))
    observed, observed_parts = apply_weights(half, rows, station_table(values, torch.zeros(2, 1), 1.0, 4.0), 1.0)
    filled, filled_parts = apply_weights(half, rows, station_table(values, torch.tensor([[0.0], [1.0]]), 1.0, 4.0), 1.0)
    assert torch.equal(observed, filled)
    assert all((after > before).all() for after, before in zip(filled_parts, observed_parts, strict=True))


def test_apply_weights_mixes_scales_and_reports_disagreement():
    values = torch.tensor([[1.0, 2.0], [3.0, 2.0]])
    rows = torch.tensor([[0, 1]])
    half = Weights(torch.tensor([[0.5, 0.5]]), torch.ones(1), torch.zeros(1), torch.zeros(1))
    table = station_table(values, torch.zeros_like(values), 1.0, 1.0)
    estimate, (_, _, disagreement) = apply_weights(half, rows, table, 1.0)
    torch.testing.assert_close(estimate, torch.tensor([[2.0, 2.0]]))
    torch.testing.assert_close(disagreement, torch.tensor([[1.0, 0.0]]), atol=1e-3, rtol=0)
    log, _ = apply_weights(half._replace(gate=torch.ones(1)), rows, table, 1.0)
    torch.testing.assert_close(log[0, 0], torch.tensor(8.0).sqrt() - 1.0)
    scaled, _ = apply_weights(half._replace(correction=torch.tensor([0.1])), rows, table, 1.0)
    torch.testing.assert_close(scaled, estimate * torch.exp(torch.tensor(0.1)))


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
    module = knn()
    expected = run_knn(module, d_target, d_neighbours)
    module = module.cuda()
    features = torch.randn(len(d_target), 12, 8, generator=torch.Generator().manual_seed(1))
    noise, latent = module.station_side(features.cuda())
    tensors = [torch.as_tensor(d, dtype=torch.float32, device="cuda") for d in (d_target, d_neighbours)]
    got = module(*tensors, noise, latent, features.cuda(), torch.zeros(len(d_target), 9, device="cuda"))
    np.testing.assert_allclose(got.weights.detach().cpu(), expected.weights.detach(), atol=1e-3)
