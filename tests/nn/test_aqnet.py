"""The analysis and the forecast network: shapes, masks, and what each is before training."""

import pytest
import torch
from windows import make_window

from xaq.nn.aqnet import AnalysisNetwork, ForecastNetwork, build_network
from xaq.nn.config import AQNetConfig

DAYS = {"days_before": 3, "days_after": 3}
WITH_TEMPORAL = [
    *(AQNetConfig(steps_per_day=n, patch=n, temporal=True, **DAYS) for n in (24, 1)),
    *(AQNetConfig.default("forecast", n) for n in (24, 1)),
]
WITHOUT = [AQNetConfig.default("analysis", n) for n in (24, 1)]


@pytest.mark.parametrize("config", WITHOUT, ids=lambda c: f"{c.task}-{c.steps_per_day}")
def test_an_analysis_has_no_temporal_module_by_default(config):
    network = build_network(config, range_km=50.0, nugget=0.1)
    side = network.station_side(make_window(config))
    assert network.temporal is None
    assert side.attention is None
    assert side.z_hat is None
    assert side.noise.shape == side.log_weight.shape == (2, 1, 6)
    assert all(torch.isfinite(t).all() for t in side if t is not None)


def test_the_days_that_a_default_analysis_reads_are_those_that_advection_needs():
    hourly, daily = WITHOUT
    assert hourly.advects
    assert (hourly.days_before, hourly.days_after) == (1, 1)
    assert not daily.advects
    assert daily.input_steps == 1


@pytest.mark.parametrize("config", WITH_TEMPORAL, ids=lambda c: f"{c.task}-{c.steps_per_day}")
def test_station_side_shapes_and_attention(config):
    torch.manual_seed(0)
    network = build_network(config, range_km=50.0, nugget=0.1)
    side = network.station_side(make_window(config))
    n_patch = config.input_steps // config.patch
    assert side.noise.shape == side.log_weight.shape == (2, config.target_days, 6)
    assert side.attention.shape == (2, 6, config.target_days, n_patch)
    torch.testing.assert_close(side.attention.sum(dim=-1), torch.ones(2, 6, config.target_days))
    assert all(torch.isfinite(t).all() for t in side if t is not None)


def test_the_station_side_keeps_stations_apart_except_for_the_state_of_the_network():
    config = AQNetConfig.default("analysis", 24)
    torch.manual_seed(0)
    network = build_network(config, range_km=50.0, nugget=0.1)
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


def test_an_untrained_forecast_is_the_base_forecast_and_a_trained_one_stays_within_its_bound():
    config = AQNetConfig.default("forecast", 24)
    torch.manual_seed(0)
    network = build_network(config, range_km=50.0, nugget=0.1)
    window = make_window(config)
    network.eval()
    network.base_forecast.coefficients.normal_(0, 0.05)
    base = network.base_forecast(window)
    assert torch.equal(network.station_side(window).z_hat, base)
    with torch.no_grad():
        network.forecaster.head.weight.normal_(0, 5)
    assert torch.equal(network.station_side(window).z_hat, base)
    network.forecast_weight.fill_(0.5)
    assert 0 < (network.station_side(window).z_hat - base).abs().max() <= 1.5 + 1e-5


def test_without_cyclic_encoding_the_calendar_has_no_influence():
    config = AQNetConfig(cyclic=False, temporal=True)
    torch.manual_seed(0)
    network = build_network(config, range_km=50.0, nugget=0.1)
    torch.nn.init.normal_(network.knn.noise_head[-1].weight)
    window = make_window(config)
    other = window._replace(cyclic=window.cyclic + 1, cyclic_target=window.cyclic_target - 1)
    assert torch.equal(network.station_side(window).noise, network.station_side(other).noise)


@pytest.mark.parametrize(("task", "kind"), [("analysis", AnalysisNetwork), ("forecast", ForecastNetwork)])
def test_the_network_is_that_of_the_task_with_the_same_neural_knn(task, kind):
    config = AQNetConfig.default(task, 24)
    fitted = {"range_km": 50.0, "nugget": 0.1, "centre": (6.0, 48.0)}
    network = build_network(config, **fitted, log_weight=0.3, log_mean=1.0, log_std=0.5)
    assert type(network) is kind
    assert (float(network.knn.range_km), float(network.knn.nugget)) == pytest.approx((50.0, 0.1))
    assert network.knn.noise_head[0].in_features == (config.hidden if config.has_temporal else 0) + 12
    if kind is ForecastNetwork:
        assert float(network.log_weight) == pytest.approx(0.3)
        assert (network.base_forecast.log_mean, network.base_forecast.log_std) == (1.0, 0.5)


def test_precomputed_patches_and_base_forecasts_give_the_same_station_side():
    torch.manual_seed(0)
    for config in (WITH_TEMPORAL[0], WITH_TEMPORAL[2]):
        network = build_network(config, range_km=50.0, nugget=0.1).eval()
        torch.nn.init.normal_(network.knn.noise_head[-1].weight)
        window = make_window(config)
        if config.task == "analysis":
            made = network.patches(window.z, window.covariates, window.residual, window.cyclic[:, None])
        else:
            made = network.base_forecast(window)
        for got, expected in zip(network.station_side(window, made), network.station_side(window), strict=True):
            assert got is expected is None or torch.equal(got, expected)


def test_a_forecast_gives_silent_stations_next_to_no_weight():
    config = AQNetConfig.default("forecast", 24)
    network = build_network(config, range_km=50.0, nugget=0.1).eval()
    window = make_window(config)
    z = window.z.clone()
    z[:, 2, -24:] = torch.nan
    noise = network.station_side(window._replace(z=z)).noise
    assert (noise[:, :, 2] > 100.0).all()
    assert (noise[:, :, [0, 1, 3, 4, 5]] < 100.0).all()
