"""Neural kNN: ordinary kriging at initialisation, bounded whatever it learns."""

import numpy as np
import pytest
import torch

from xaq.arrays import sphere
from xaq.interpolate import kriging, leave_one_out
from xaq.interpolate.kriging import Covariance
from xaq.nn.neural_knn import NeuralKNN

CUDA = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


def nuggets(module, evidence):
    """Nuggets of fully redundant stations on one day."""
    alone = evidence[None, :, None]
    return module.nuggets(alone, alone[..., 0], evidence.new_ones(len(evidence)))[0, :, 0]


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
            **changes,
        }
    )


def run_knn(module, targets, neighbours, seed=1):
    generator = torch.Generator().manual_seed(seed)
    n, k = neighbours.shape[:2]
    drawn = torch.randn(n * k, N_EVIDENCE, generator=generator), torch.rand(n * k, generator=generator)
    evidence, log_weight = (t.to(targets.device) for t in drawn)
    rows = torch.arange(n * k, device=targets.device).reshape(n, k)
    return module(module.geometry(targets, neighbours), nuggets(module, evidence), log_weight, rows)


def test_untrained_neural_knn_is_ordinary_kriging():
    places, distances = geometry()
    expected, variance = kriging.ordinary_weights(*distances, Covariance(60.0, 0.2))
    got = run_knn(knn(), *places)
    np.testing.assert_allclose(got.kriging.detach(), expected, atol=5e-5)
    np.testing.assert_allclose(got.variance.detach(), variance, rtol=1e-3)


def test_the_learned_noise_of_the_network_is_the_nugget_of_kriging():
    """Weights and the variance of a new observation: its own noise is as large as that of the neighbours."""
    places, distances = geometry()
    module = knn()
    with torch.no_grad():
        module.theta_noise.fill_(0.4)
    learned = 0.2 * 20.0 ** np.tanh(0.4)
    expected, variance = kriging.ordinary_weights(*distances, Covariance(60.0, learned))
    got = run_knn(module, *places)
    np.testing.assert_allclose(got.kriging.detach(), expected, atol=5e-5)
    np.testing.assert_allclose(got.variance.detach(), variance, rtol=1e-3)
    assert (got.variance > learned).all()


@pytest.mark.parametrize("device", DEVICES)
def test_targets_with_common_neighbours_get_the_weights_of_each_alone(device):
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


def test_any_parameters_keep_weights_summing_to_one():
    places, _ = geometry()
    module = knn()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 3)
    got = run_knn(module, *places)
    torch.testing.assert_close(got.kriging.sum(dim=1), torch.ones(len(places[0])), atol=1e-3, rtol=0)
    assert ((got.log_weight >= 0) & (got.log_weight <= 1)).all()
    assert (got.variance > 0).all()


def test_learned_parameters_receive_gradients_at_zero():
    places, _ = geometry()
    module = knn()
    run_knn(module, *places).kriging[:, 0].sum().backward()
    assert module.noise_head[-1].weight.grad.abs().sum() > 0
    for name in ("theta_range", "theta_noise", "theta_exponent", "theta_stretch", "theta_variance_ratio"):
        assert (getattr(module, name).grad != 0).all(), name


def test_distances_are_great_circles_untrained_and_the_stretch_keeps_areas():
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(5, 8, 12), rng.uniform(47, 49, 12)
    points = torch.as_tensor(sphere.unit_vectors(lon, lat), dtype=torch.float32)
    module = knn()
    near = points[None, 1:]
    distance = sphere.distance_km(lon[0], lat[0], lon[1:], lat[1:])
    covariance = module.geometry(points[:1], near).target.detach()[:, 0]
    np.testing.assert_allclose(covariance, np.exp(-distance / 60.0), rtol=1e-3)
    with torch.no_grad():
        module.theta_stretch.copy_(torch.tensor([3.0, 0.0]))
    east = torch.as_tensor(sphere.unit_vectors([6.4, 6.6], [48.0, 48.0]), dtype=torch.float32)
    north = torch.as_tensor(sphere.unit_vectors([6.5, 6.5], [47.9, 48.1]), dtype=torch.float32)

    def ratio(pair):
        after, before = (float(m.geometry(pair[:1], pair[None, 1:]).target.detach().log()) for m in (module, knn()))
        return after / before

    assert ratio(east) * ratio(north) == pytest.approx(1.0, rel=1e-3)
    assert ratio(east) == pytest.approx(np.exp(0.5 * np.tanh(3.0)), rel=1e-3)


def test_systems_are_solved_in_float32_under_half_precision():
    places, _ = geometry()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = run_knn(knn(), *places)
    full = run_knn(knn(), *places)
    np.testing.assert_allclose(half.kriging.detach(), full.kriging.detach(), atol=2e-2)
    assert half.kriging.dtype == torch.float32


def test_a_station_that_others_cannot_predict_has_the_nugget_of_the_network():
    module = knn()
    torch.nn.init.normal_(module.noise_head[-1].weight)
    evidence = torch.randn(2, 7, 1, N_EVIDENCE, generator=torch.Generator().manual_seed(0))
    redundancy = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0])
    judged, noise = (module.nuggets(evidence, evidence[..., 0], r).log() for r in (torch.ones(7), redundancy))
    torch.testing.assert_close(noise[:, :5], judged[:, :5])
    network_mean = (redundancy[:, None] * judged).sum(dim=1) / redundancy.sum()
    torch.testing.assert_close(noise[:, 6], network_mean)
    torch.testing.assert_close(noise[:, 5], (judged[:, 5] + network_mean) / 2)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cpu_and_cuda_agree():
    places, _ = geometry()
    expected = run_knn(knn(), *places)
    got = run_knn(knn().cuda(), *(place.cuda() for place in places))
    np.testing.assert_allclose(got.kriging.detach().cpu(), expected.kriging.detach(), atol=1e-3)
