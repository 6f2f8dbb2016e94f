"""Training: no leakage, reproducible, resumable, never worse than its start by its own measure."""

import dataclasses
import json
import re
import weakref

import numpy as np
import pytest
import torch
import xarray as xr

import xaq
from xaq.aqnet.recipe import untrained_network
from xaq.errors import ModelError, SchemaError, XaqWarning
from xaq.interpolate import jackknife
from xaq.interpolate.classical import OrdinaryKriging
from xaq.nn.config import AQNetConfig
from xaq.stations import schema
from xaq.training import loop, windows
from xaq.training.checkpoint import SafetensorsCheckpoint
from xaq.training.data import prepare_data

SMALL = AQNetConfig(hidden=16, days_before=1, days_after=1, k=8)


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=24, days=14, seed=3).aq.hide(fraction=0.2, seed=1)


def train(ds, **options):
    return ds.aq.train("pm25", **{"config": SMALL, "max_epochs": 2, "progress": False, **options})


@pytest.fixture(scope="module")
def model(network):
    return train(network)


def test_untrained_analysis_equals_ordinary_kriging_on_a_complete_network(network):
    """The principle of the house: it starts as the best classical method (here on the linear scale)."""
    complete = xaq.datasets.synthetic(n_stations=24, days=6, missing=0.0, seed=3).aq.hide(fraction=0.2, seed=1)
    untrained = train(complete, max_epochs=0, geography=False)
    still = dataclasses.replace(untrained.recipe.config, advection=False)
    recipe = dataclasses.replace(untrained.recipe, log_weight=0.0, config=still)
    network = xaq.Model(untrained_network(recipe), recipe)
    kriging = OrdinaryKriging(recipe.covariance, recipe.config.k)
    hidden = complete.aq.hidden
    ours = complete.aq.estimate(network, lon=hidden.lon, lat=hidden.lat).pm25
    theirs = complete.aq.estimate(kriging, lon=hidden.lon, lat=hidden.lat, target="pm25").pm25
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-3)


def test_untrained_analysis_is_close_to_exact_kriging_with_gaps(network):
    untrained = train(network, max_epochs=0, geography=False)
    still = dataclasses.replace(untrained.recipe.config, advection=False)
    recipe = dataclasses.replace(untrained.recipe, log_weight=0.0, config=still)
    start = xaq.Model(untrained_network(recipe), recipe)
    table = network.aq.verify(start, baselines=[])
    exact = network.aq.verify(OrdinaryKriging(recipe.covariance, recipe.config.k), target="pm25", baselines=[])
    assert table.mae.iloc[0] == pytest.approx(exact.mae.iloc[0], rel=0.02)


def test_hidden_stations_leave_no_trace(network, model):
    """Hidden stations set to 1e9: scaler, covariance, weights and calibration are bit-identical."""
    poisoned = network.copy(deep=True)
    poisoned.pm25[schema.hidden_mask(network)] = 1e9
    other = train(poisoned)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, other.network.state_dict()[name]), name
    for part in ("scaler", "covariance", "climatology", "interval", "log_weight", "trend"):
        assert getattr(model.recipe, part) == getattr(other.recipe, part), part


def test_the_period_after_training_leaves_no_trace(network):
    period = slice("2020-01-01", "2020-01-09")
    poisoned = network.copy(deep=True)
    poisoned.pm25[:, 24 * 9 :] = 1e9
    first, second = train(network, time=period, max_epochs=1), train(poisoned, time=period, max_epochs=1)
    assert first.hash == second.hash


def test_members_validate_at_stations_that_are_never_their_targets(network, model):
    visible = schema.conform(network).aq.visible
    data = prepare_data(schema.observations(visible, "pm25"), model.recipe)
    targets = [set(f.targets.tolist()) for f in data.folds]
    assert set.union(*targets) == set(range(visible.sizes["station"]))
    assert sorted(f for own in data.validation for f in own) == list(range(len(data.folds)))
    for member, own in enumerate(data.validation):
        assert not set(own) & set(data.learned_folds(member))
    for fold in data.folds:
        hidden = set(fold.targets.tolist())
        assert not hidden & set(fold.neighbours.flatten().tolist())
        assert not fold.visible[fold.targets].any()
        assert (fold.series.table[:, fold.targets] == 0).all()
        assert torch.isnan(fold.series.residual[fold.targets]).all()


def test_a_long_record_of_many_stations_is_thinned_to_what_fits(network, model, monkeypatch):
    monkeypatch.setattr(windows, "_MAX_VALUES", 1)
    monkeypatch.setattr(windows, "_LEAST_WINDOWS", 3)
    visible = schema.observations(schema.conform(network).aq.visible, "pm25")
    data = prepare_data(visible, model.recipe)
    assert len(data.train_starts) == 3
    assert data.record.z.shape[1] < len(visible.times)
    window = data.folds[0].window(data.record, data.train_starts)
    first, last = (model.recipe.scaler.transform(visible.values[:, 24 * d : 24 * (d + 1)]) for d in (0, 13))
    np.testing.assert_array_equal(window.z[0][:, 24:48], first)
    np.testing.assert_array_equal(window.z[2][:, 24:48], last)


def test_same_seed_same_model(network, model):
    assert train(network).hash == model.hash


def test_global_random_state_is_left_alone(network):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(network, max_epochs=0)
    assert torch.equal(torch.rand(3), expected)


def test_training_that_gains_too_little_keeps_its_start(network, monkeypatch):
    plan = dataclasses.replace(loop.SCHEDULES["analysis"], min_gain=1.0)
    monkeypatch.setattr(loop, "SCHEDULES", {"analysis": plan})
    kept, start = train(network, max_epochs=1), train(network, max_epochs=0)
    assert kept.recipe.training["score"] == 1.0
    assert "training: the network adds nothing: the classical first guess is kept" in repr(kept)
    for name, tensor in start.network.state_dict().items():
        assert torch.equal(tensor, kept.network.state_dict()[name]), name


def test_a_run_resumes_where_it_stopped(network, tmp_path):
    straight = train(network, max_epochs=3, checkpoint=tmp_path / "a")
    train(network, max_epochs=1, checkpoint=tmp_path / "b")
    resumed = train(network, max_epochs=3, checkpoint=tmp_path / "b")
    for name, tensor in straight.network.state_dict().items():
        torch.testing.assert_close(tensor, resumed.network.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_a_checkpoint_of_another_run_is_refused(network, tmp_path):
    train(network, max_epochs=1, checkpoint=tmp_path / "run")
    with pytest.raises(ModelError, match="another run"):
        train(network, max_epochs=1, seed=1, checkpoint=tmp_path / "run")


def test_checkpoints_hold_no_pickle(network, tmp_path):
    train(network, max_epochs=1, checkpoint=tmp_path)
    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == ["best.ckpt", "last.ckpt", "run.json"]
    restored = SafetensorsCheckpoint().load_checkpoint(tmp_path / "last.ckpt")
    assert restored["global_step"] > 0
    json.loads((tmp_path / "run.json").read_text())


def test_too_few_places_and_odd_requests_end_in_clear_errors(network):
    three = network.drop_vars("hidden").isel(station=[0, 1, 2])
    with pytest.raises(SchemaError, match="at least 4"):
        three.aq.train("pm25", progress=False)
    with pytest.raises(SchemaError, match="covariate 'wind'"):
        train(network, covariates=["wind"])
    with pytest.raises(ModelError, match="steps per day"):
        network.aq.train("pm25", config=AQNetConfig(steps_per_day=1, patch=1), progress=False)
    with pytest.raises(ModelError, match="config is for task"):
        network.aq.train("pm25", task="forecast", config=SMALL, progress=False)


def test_fewer_stations_than_k_works_and_says_so(network):
    with pytest.warns(XaqWarning, match="k lowered"):
        model = network.aq.train("pm25", config=dataclasses.replace(SMALL, k=30), max_epochs=1, progress=False)
    assert model.recipe.config.k == 19


def test_a_record_too_short_for_a_covariance_of_errors_trains_and_members_say_so(tmp_path):
    days = xaq.datasets.synthetic(n_stations=8, days=20).isel(time=slice(None, None, 24))
    trained = days.aq.train("pm25", max_epochs=0, progress=False)
    assert trained.error_covariance is None
    loaded = xaq.load_model(trained.save(tmp_path / "m.xaq"), device="cpu")
    assert np.isfinite(days.aq.reanalyze(loaded, grid=1.0).pm25).all()
    for options in ({"members": 2}, {"freq": "MS"}, {"support": "cell"}):
        with pytest.raises(ModelError, match=r"too few errors .*fix: "):
            days.aq.reanalyze(loaded, grid=1.0, **options)


def test_a_silent_station_is_left_out_and_named(network):
    silent = network.copy(deep=True)
    first = int(np.flatnonzero(~schema.hidden_mask(network))[0])
    silent.pm25[first] = np.nan
    with pytest.warns(XaqWarning, match=str(silent.station.values[first])):
        model = train(silent, max_epochs=0)
    assert str(silent.station.values[first]) not in model.recipe.visible


def test_covariates_reach_the_network_and_are_needed_later(network, monkeypatch):
    # Twenty places would keep little of what is learned.
    monkeypatch.setattr(jackknife, "MOST_ERRORS", 0.0)
    richer = network.assign(wind=network.pm25 * 0.1)
    model = train(richer, covariates=["wind"], max_epochs=1)
    assert model.recipe.covariates == ("wind",)
    with pytest.raises(ModelError, match="wind"):
        network.aq.reanalyze(model, grid=0.5)
    read = [
        schema.observations(ds.aq.visible, "pm25", covariates=["wind"])
        for ds in (richer, richer.assign(wind=richer.wind * 5))
    ]
    times = network.time.values[:24]
    one, other = (model.prepare(observations, times).inner.side.noise for observations in read)
    assert not torch.allclose(one, other)


def test_half_precision_trains(network):
    assert train(network, precision="bf16-mixed", max_epochs=1).recipe.training["precision"] == "bf16-mixed"


@pytest.mark.parametrize(("step", "offset"), [("1h", 30), ("3h", 60)])
def test_timestamps_need_not_fall_on_midnight(step, offset):
    ds = xaq.datasets.synthetic(n_stations=16, days=10, step=step, seed=2)
    ds = ds.assign_coords(time=ds.time + np.timedelta64(offset, "m"))
    model = ds.aq.train("pm25", max_epochs=0, progress=False)
    cube = ds.aq.reanalyze(model, grid=0.5, time=slice("2020-01-03", "2020-01-04")).compute()
    assert np.isfinite(cube.pm25).all()


@pytest.mark.parametrize("step", ["3h", "1D"])
def test_other_regular_steps_train(step):
    ds = xaq.datasets.synthetic(n_stations=16, days=40, step=step, seed=2)
    model = ds.aq.train("pm25", max_epochs=1, progress=False)
    cube = ds.aq.reanalyze(model, grid=0.5, time=slice("2020-01-03", "2020-01-05")).compute()
    assert np.isfinite(cube.pm25).all()


def test_forecast_trains_and_estimates_beyond_the_record():
    ds = xaq.datasets.synthetic(n_stations=16, days=60, seed=2).aq.hide(fraction=0.2, seed=0)
    config = AQNetConfig(task="forecast", days_before=4, days_after=0, target_days=2, hidden=16, k=8)
    model = ds.aq.train("pm25", task="forecast", config=config, max_epochs=2, progress=False)
    cube = ds.aq.reanalyze(model, grid=0.5).compute()
    assert cube.time.values[0] == ds.time.values[-1] + np.timedelta64(1, "h")
    assert cube.sizes["time"] == 48
    assert np.isfinite(cube.pm25).all()
    assert (cube.pm25_lower <= cube.pm25_upper).all()
    # A record that ends in silence has nothing to do with the forecasts before it.
    ds.pm25[:, -24 * 5 :] = np.nan
    table = ds.aq.verify(model, time=slice("2020-02-10", None))
    assert set(table.index.get_level_values("stations")) == {"visible", "hidden"}
    assert set(table.index.get_level_values("method")) == {"AQ-Net", "persistence", "climatology"}
    assert np.isfinite(table[["mae", "rmse"]]).all(axis=None)
    # Only the model has a distribution, for single hours at places where nothing is observed.
    crps = table.crps.dropna()
    assert list(crps.index) == [("hidden", f"{hours} h", "AQ-Net") for hours in (6, 12, 24)]
    assert (crps < table.mae[crps.index]).all()
    assert (table.width[crps.index] > 0).all()


def test_a_forecast_never_reads_past_its_init_time():
    ds = xaq.datasets.synthetic(n_stations=16, days=40, seed=2)
    config = AQNetConfig(task="forecast", days_before=4, days_after=0, target_days=2, hidden=16, k=8)
    model = ds.aq.train("pm25", task="forecast", config=config, max_epochs=0, progress=False)
    ds.pm25[3, : 24 * 30 + 1] = np.nan
    init = ds.time.values[24 * 30]
    spot = {"lon": [10.0, float(ds.lon[3])], "lat": [50.0, float(ds.lat[3])], "init": init}
    expected = ds.aq.estimate(model, **spot).compute()
    for value in (1e9, np.nan):
        future = ds.copy(deep=True)
        future.pm25[:, 24 * 30 + 1 :] = value
        xr.testing.assert_equal(future.aq.estimate(model, **spot).compute().drop_attrs(), expected.drop_attrs())


def test_a_station_that_fell_silent_does_not_pull_a_forecast_to_climatology():
    ds = xaq.datasets.synthetic(n_stations=16, days=40, missing=0.0, seed=2)
    config = AQNetConfig(task="forecast", days_before=4, days_after=0, target_days=2, hidden=16, k=8)
    model = ds.aq.train("pm25", task="forecast", config=config, max_epochs=0, progress=False)
    dead = ds.copy(deep=True)
    dead.pm25[5, -48:] = np.nan
    spot = {"lon": [float(ds.lon[5])], "lat": [float(ds.lat[5]) + 0.01]}
    without = ds.isel(station=np.delete(np.arange(16), 5)).aq.estimate(model, **spot).pm25
    np.testing.assert_allclose(dead.aq.estimate(model, **spot).pm25, without, rtol=0.02)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_trains_on_cuda_in_half_precision(network):
    model = train(network, device="cuda")
    assert model.device.type == "cuda"
    assert np.isfinite(network.aq.verify(model).mae).all()


def test_a_device_that_cannot_be_used_is_refused_before_anything_is_fitted():
    """The two stations are too few for any fit, which would be the error otherwise."""
    with pytest.raises(ModelError, match="fix: device='auto'"):
        xaq.datasets.synthetic(n_stations=2, days=8).aq.train("pm25", device="nowhere", progress=False)


@pytest.mark.parametrize("max_epochs", [0, 1])
def test_what_was_learned_from_is_released_before_hidden_stations_are_scored(network, monkeypatch, max_epochs):
    from xaq.training import learn
    from xaq.training import train as module

    made, alive = [], []
    prepare, score = learn.prepare_data, module.score_held_out

    def prepared(*args):
        data = prepare(*args)
        made.append(weakref.ref(data.folds[0].series.table))
        return data

    def scored(*args, **kwargs):
        alive.append(made[0]() is not None)
        return score(*args, **kwargs)

    monkeypatch.setattr(learn, "prepare_data", prepared)
    monkeypatch.setattr(module, "score_held_out", scored)
    train(network, max_epochs=max_epochs)
    assert alive == [False]


def test_the_fix_of_a_covariate_has_the_one_that_is_spelt_most_like_it(network):
    ds = network.assign(humidity=network.pm25, wind=network.pm25)
    for names, meant in ((["humidty"], ["humidity"]), (["wind", "humidty", "q"], ["wind", "humidity"]), (["q"], [])):
        with pytest.raises(SchemaError, match=re.escape(f"fix: covariates={meant}") + "$"):
            ds.aq.train("pm25", covariates=names)
