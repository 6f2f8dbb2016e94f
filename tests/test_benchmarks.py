"""The benchmarks on small networks: pooled scores, folds, the bootstrap and joined stations are right."""

import argparse
import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from benchmarks import accuracy, ceiling, gpu, networks, reach, speed, summary
from xaq.accessor import AqAccessor
from xaq.arrays import sphere
from xaq.interpolate.kriging import Covariance
from xaq.interpolate.leave_one_out import LeaveOneOut
from xaq.stations import schema

METHODS = ["nearest", "idw", "kriging"]


@pytest.fixture(scope="module")
def result():
    ds = xaq.datasets.synthetic(n_stations=15, days=3, seed=2).aq.hide(fraction=0.3, seed=2)
    return accuracy.run(accuracy.Split("synthetic", ds, "pm25"), METHODS)


def test_pooled_scores_are_those_of_verify(result):
    table = accuracy.summarise(result)
    expected = result.split.ds.aq.verify("kriging", baselines=["idw", "nearest"])
    for column in ("mae", "rmse", "r2", "bias", "n"):
        np.testing.assert_allclose(table[column].astype(float), expected.loc[METHODS, column], rtol=1e-4, atol=1e-5)
    assert table.cov90["kriging"] == pytest.approx(expected.coverage["kriging"])
    assert table.cov50["kriging"] < table.cov90["kriging"] < table.cov95["kriging"]
    assert np.isnan(table.cov90["idw"])
    assert table.mae_skill["kriging"] == 0
    assert table.mae_skill["idw"] == pytest.approx(1 - table.mae["idw"] / table.mae["kriging"])


def test_every_station_is_in_one_fold():
    names = [f"s{i}" for i in range(11)]
    folds = accuracy.station_folds(names, 3)
    assert sorted(s for fold in folds for s in fold) == sorted(names)
    assert [len(f) for f in folds] == [3, 3, 3, 2]
    assert folds == accuracy.station_folds(names[::-1], 3)
    assert folds != accuracy.station_folds(names, 3, seed=1)


def station_scores(mae, n):
    index = pd.Index([f"s{i}" for i in range(len(mae))], name="station")
    return pd.DataFrame({"mae": mae, "rmse": mae, "n": n}, index=index)


def test_the_bootstrap_of_equal_rows_is_zero_and_of_a_constant_difference_has_no_width():
    rng = np.random.default_rng(0)
    a = station_scores(rng.gamma(4, 2, 20), rng.integers(50, 100, 20))
    assert accuracy.paired_bootstrap(a, a) == {"mae": (0, 0, 0), "rmse": (0, 0, 0)}
    better = a.assign(mae=a.mae - 1)
    difference, low, high = accuracy.paired_bootstrap(better.sample(frac=1, random_state=0), a)["mae"]
    assert difference == pytest.approx(-1)
    assert low == pytest.approx(high) == pytest.approx(-1)  # the same difference at every station
    mixed = a.assign(mae=a.mae + rng.normal(0, 1, 20))
    difference, low, high = accuracy.paired_bootstrap(mixed, a)["mae"]
    assert low < difference < high
    assert accuracy.paired_bootstrap(mixed, a) == accuracy.paired_bootstrap(mixed, a)


def test_the_station_with_most_of_the_squared_error_is_named():
    table = station_scores(np.array([1.0, 1.0, 9.0]), np.array([10, 10, 10]))
    assert accuracy.heaviest_station(table) == ("s2", pytest.approx(81 / 83))


def test_renumbered_stations_are_joined_and_overlapping_ones_are_not():
    ds = xaq.datasets.synthetic(n_stations=6, days=2, missing=0.0)
    lon, lat, values = ds.lon.values.copy(), ds.lat.values.copy(), ds.pm25.values.copy()
    lon[1], lat[1], lon[3], lat[3] = lon[0], lat[0], lon[2], lat[2]
    values[0, 20:] = np.nan
    values[1, :20] = np.nan
    ds = ds.assign(pm25=(ds.pm25.dims, values, ds.pm25.attrs)).assign_coords(lon=("station", lon), lat=("station", lat))
    joined = networks.join_renumbered(ds, "pm25")
    assert joined.sizes["station"] == 5
    np.testing.assert_array_equal(joined.pm25[0], np.where(np.arange(48) < 20, values[0], values[1]))
    np.testing.assert_array_equal(joined.pm25[1:], values[2:])


def test_boosting_is_a_mapper_that_does_not_use_hidden_stations(result):
    pytest.importorskip("sklearn", reason="scikit-learn is in the bench extra")
    ds = result.split.ds
    name, mapper, _ = next(accuracy.fit_rows(result.split, ["boosting"]))
    assert mapper.name == name == "boosting"
    altered = ds.assign(pm25=ds.pm25.where(~ds.hidden, 1e9))
    _, other, _ = next(accuracy.fit_rows(accuracy.Split("altered", altered, "pm25"), ["boosting"]))
    at = {"lon": ds.lon[ds.hidden], "lat": ds.lat[ds.hidden], "target": "pm25"}
    made = ds.aq.estimate(mapper, **at).pm25
    np.testing.assert_array_equal(made, altered.aq.estimate(other, **at).pm25)
    assert np.isfinite(made).all()


def test_accuracy_prints_tables_and_writes_rows(tmp_path, capsys, monkeypatch):
    ds = xaq.datasets.synthetic(n_stations=12, days=2)
    monkeypatch.setattr(networks, "load", lambda name: (ds, "pm25"))
    monkeypatch.setattr(networks, "found", lambda names: iter(["synthetic"]))
    out = tmp_path / "rows.json"
    accuracy.main(["--protocol", "p1", "--seeds", "2", "--methods", "idw,kriging", "--out", str(out)])
    text = capsys.readouterr().out
    assert "synthetic, seed 1, 15% of stations hidden" in text
    assert "best classical" in text
    assert "MAE of each draw, % below ordinary kriging" in text
    assert len(pd.read_json(out)) == 4


def test_every_draw_is_compared_with_kriging_and_the_largest_losses_are_named(capsys):
    errors = {
        ("a", 0): {"kriging": 10.0, "idw": 12.0, "aqnet": 9.0},
        ("a", 1): {"kriging": 10.0, "idw": 8.0, "aqnet": 8.4},
        ("b", 0): {"kriging": 5.0, "idw": 6.0, "aqnet": 5.1},
    }
    records = pd.DataFrame(
        [
            {"network": network, "seed": seed, "method": method, "mae": error, "rmse": 2 * error}
            for (network, seed), row in errors.items()
            for method, error in row.items()
        ]
    )
    table = summary.draw_by_draw(records)
    np.testing.assert_allclose(table["mae", "aqnet"].astype(float), [10.0, 16.0, -2.0])
    np.testing.assert_allclose(table["rmse", "idw"].astype(float), [-20.0, 20.0, -20.0])
    np.testing.assert_allclose(table["rmse", "aqnet vs best"].astype(float), [10.0, -5.0, -2.0])
    assert list(table["mae", "best classical"]) == ["kriging", "idw", "kriging"]
    summary.print_draws(records)
    last = capsys.readouterr().out.splitlines()[-1]
    for score in ("MAE", "RMSE"):
        assert f"{score} +2.0 % against kriging (b, seed 0)" in last
        assert f"{score} +5.0 % against best classical row (a, seed 1)" in last
    # Without AQ-Net there is no loss to name, without kriging nothing to compare with.
    summary.print_draws(records[records.method != "aqnet"])
    assert "largest loss" not in capsys.readouterr().out
    summary.print_draws(records[records.method != "kriging"])
    assert not capsys.readouterr().out


def test_a_training_is_timed_on_the_network_that_is_named(tmp_path, monkeypatch):
    ds, trained = xaq.datasets.load("germany"), []
    monkeypatch.setattr(networks, "load", lambda name: (ds, "pm10"))
    model = SimpleNamespace(recipe=SimpleNamespace(training={"epochs": 3}))
    monkeypatch.setattr(AqAccessor, "train", lambda aq, target, **_: trained.append((aq.hidden, target)) or model)
    options = argparse.Namespace(network="germany", stations=12, days=40, step="h")
    measured = speed.run_training(options, tmp_path)
    assert measured["epochs"] == 3
    assert measured["cpu_seconds"] >= 0
    for step, length in (("h", 40 * 24), ("D", 40)):
        speed.run_training(argparse.Namespace(network=None, stations=12, days=40, step=step), tmp_path)
        assert trained[-1][0].sizes["time"] == length
    assert [target for _, target in trained] == ["pm10", "pm25", "pm25"]
    assert 0 < trained[0][0].sizes["station"] < 20


def test_the_ceiling_removes_linear_errors_and_no_noise():
    rng = np.random.default_rng(0)
    near = rng.normal(30.0, 10.0, (400, 5))
    noise = rng.normal(0.0, 1.0, 400)
    errors = 4.0 + 0.3 * (near[:, 2] - near[:, 0]) + noise
    errors[50:60] = np.nan
    left = ceiling.corrected(errors, near, 1e-2)
    seen = np.isfinite(errors)
    assert (np.isfinite(left) == seen).all()
    assert np.abs(left[seen]).mean() < 1.1 * np.abs(noise).mean()
    assert np.abs(ceiling.corrected(noise, near, 1e-2)).mean() > 0.97 * np.abs(noise).mean()
    # The correction of the second half is fitted to the first half only.
    later = errors.copy()
    later[200:] += 100.0
    np.testing.assert_allclose(ceiling.corrected(later, near, 1e-2)[200:] - left[200:], 100.0)
    assert np.isnan(ceiling.corrected(errors[:40], near[:40], 1e-2)).all()


def test_without_stations_nearby_kriging_is_left_with_the_others():
    seen = schema.observations(xaq.datasets.synthetic(n_stations=20, days=2, seed=4), "pm25")
    values, lon, lat = seen.values.astype(float), seen.lon, seen.lat
    distance = sphere.distance_km(lon[:, None], lat[:, None], lon, lat)
    network = reach.Network(values, lon, lat, distance, Covariance(80.0, 0.1))
    others = LeaveOneOut.of(lon, lat, network.covariance, 16)
    steps = np.flatnonzero(np.isfinite(values[3]))
    expected, _ = others.predict(values, np.stack([np.full(len(steps), 3), steps], axis=1))
    kriged, mean = reach.errors_without(network, 3, 0.0)
    np.testing.assert_allclose(kriged, expected - values[3, steps], rtol=1e-6, atol=1e-6)
    left = np.delete(values, 3, axis=0)[:, steps]
    np.testing.assert_allclose(mean, np.nanmean(left, axis=0) - values[3, steps], rtol=1e-6)
    # Farther than the nearest two stations, these two have no influence.
    near = np.argsort(distance[3])[1:3]
    network.values[near] = 1e9
    radius = distance[3, near[1]]
    assert np.abs(reach.errors_without(network, 3, radius)).max() < 1e3
    assert reach.errors_without(network, 3, distance.max()) is None


def test_the_comparison_with_a_gpu_runs_to_the_end_on_a_cpu(capsys):
    try:
        gpu.main(["--device", "cpu", "--small"])
    finally:
        logging.disable(logging.NOTSET)
    text = capsys.readouterr().out
    assert "s to a trained model (1 epochs)" in text
    assert "million per second), to a store" in text
    assert text.count("largest relative difference of cpu from cpu: 0.0e+00") == 2


def test_the_comparison_with_a_gpu_ends_with_an_error_where_values_differ():
    values = xr.DataArray([20.0, 40.0])
    gpu.check_agreement(values * 1.0009, values, "cuda", "cpu")
    for wrong in (values * 1.002, values * np.nan):
        with pytest.raises(SystemExit, match="differ"):
            gpu.check_agreement(wrong, values, "cuda", "cpu")
