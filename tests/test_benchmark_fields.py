"""Benchmarks with fields: fields made of station values, merged splits, boosting with fields, corrected transport models."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import xaq
from benchmarks import accuracy, field_networks, fields, forecast, networks
from benchmarks.ctm import CtmForecast, LinearCorrection, RunningCorrection
from xaq.fields.gridded import Gridded
from xaq.interpolate.base import Observations


@pytest.fixture(scope="module")
def network():
    return field_networks.made(n_stations=24, days=6, seed=1)


@pytest.fixture(scope="module")
def split(network):
    return next(fields.splits("made", network, 1))


def test_a_field_made_of_station_values_has_them_at_the_stations_gaps_included():
    ds = xaq.datasets.synthetic(n_stations=12, days=2, missing=0.2, seed=3)
    values = ds.pm25.transpose("station", "time").values
    made = Gridded.of(field_networks.lattice(values, ds, "wind", "m s-1"))
    np.testing.assert_allclose(made.at(ds.lon.values, ds.lat.values, ds.time.values.astype("M8[s]")), values, rtol=1e-5)
    static = Gridded.of(field_networks.lattice(values[:, 0], ds, "roads", "m"))
    np.testing.assert_allclose(static.at(ds.lon.values, ds.lat.values), values[:, 0], rtol=1e-5)


def test_a_known_fine_field_helps_kriging_with_external_drift(network, split):
    result = fields.run(split, network, ["kriging", "kriging-drift"], epochs=0)
    table = accuracy.summarise(result)
    assert table.mae_skill["kriging-drift"] > 0.05
    assert table.rmse_skill["kriging-drift"] > 0.05


def test_a_station_that_two_splits_hide_counts_once_with_its_mean_scores(split):
    index = pd.MultiIndex.from_product([["kriging"], ["a", "b"]], names=["method", "station"])
    one = pd.DataFrame({"mae": [1.0, 2.0], "rmse": [3.0, 2.0], "n": [10, 10]}, index=index)
    two = one.rename({"b": "c"}).assign(mae=[4.0, 2.0], rmse=[5.0, 2.0], n=[30, 10])
    truth = pd.DataFrame({"mean": 1.0, "variance": 1.0}, index=pd.Index(["a", "b"], name="station"))
    results = [
        accuracy.Result(split, one, truth, {"kriging": 1.0}),
        accuracy.Result(split, two, truth.rename({"b": "c"}), {"kriging": 2.0}),
    ]
    whole = fields.merged(results)
    assert whole.table.loc[("kriging", "a"), "mae"] == pytest.approx((10 * 1 + 30 * 4) / 40)
    assert whole.table.loc[("kriging", "a"), "rmse"] == pytest.approx(((10 * 9 + 30 * 25) / 40) ** 0.5)
    assert whole.table.n.tolist() == [40, 10, 10]
    assert whole.truth.index.tolist() == ["a", "b", "c"]
    assert whole.seconds == {"kriging": 3.0}


def test_boosting_reads_fields_and_no_hidden_station(network, split):
    pytest.importorskip("sklearn", reason="scikit-learn is in the bench extra")
    boosted, given = fields.fit_row("boosting", split, network, epochs=0)
    assert given == {}
    ds = split.ds
    at = {"lon": ds.lon[ds.hidden], "lat": ds.lat[ds.hidden], "target": "pm25"}
    made = ds.aq.estimate(boosted, **at).pm25
    altered = replace(split, ds=ds.assign(pm25=ds.pm25.where(~ds.hidden, 1e9)))
    other, _ = fields.fit_row("boosting", altered, network, epochs=0)
    np.testing.assert_array_equal(made, altered.ds.aq.estimate(other, **at).pm25)
    without, _ = fields.fit_row("boosting", split, replace(network, background=None, fields={}), epochs=0)
    truth = ds.pm25.isel(station=ds.hidden.values).transpose(*made.dims).values
    with_fields, alone = (
        np.nanmean(np.abs(e - truth)) for e in (made.values, ds.aq.estimate(without, **at).pm25.values)
    )
    assert with_fields < 0.97 * alone


def test_rows_of_a_background_need_one(network):
    assert fields.rows(network, fields.METHODS) == list(fields.METHODS)
    left = fields.rows(replace(network, background=None), fields.METHODS)
    assert {*fields.METHODS} - {*left} == {"background", "kriging-background"}


def test_the_benchmark_prints_a_table_and_writes_rows(tmp_path, capsys, monkeypatch, network):
    monkeypatch.setattr(field_networks, "load", lambda name: network)
    out = tmp_path / "rows.json"
    fields.main(
        ["--networks", "made", "--splits", "1", "--methods", "kriging,background,kriging-background", "--out", str(out)]
    )
    assert "made, 1 splits" in capsys.readouterr().out
    rows = pd.read_json(out).set_index("method")
    # The background is 30 % too low with half of the contrast; kriging of the ratio to it is better than itself.
    assert rows.mae["kriging-background"] < rows.mae["background"]


def ctm_record(days=40, stations=3):
    rng = np.random.default_rng(5)
    times = np.datetime64("2020-01-01T00:00:00", "s") + np.arange(24 * days).astype("timedelta64[h]")
    ctm = rng.gamma(4.0, 10.0, (1, stations, len(times) + 48)).astype(np.float32)
    return Observations(np.zeros((stations, len(times)), np.float32), np.arange(3.0), np.arange(3.0), times, known=ctm)


def test_the_ctm_as_a_forecast_is_read_at_the_leads_that_are_asked_for():
    record = ctm_record()
    past = record.until(240, ahead=48)
    asked = record.times[240:288][[0, 5, 47]]
    np.testing.assert_array_equal(CtmForecast(0).forecast(past, asked), record.known[0][:, [240, 245, 287]])


def test_a_line_for_each_station_and_hour_is_found_and_no_later_observation_is_read():
    record = ctm_record()
    hour = np.arange(len(record.times)) % 24
    slope, intercept = 0.5 + 0.02 * hour + np.arange(3)[:, None], 3.0 - 0.1 * hour
    truth = (intercept + slope * record.known[0][:, : len(hour)]).astype(np.float32)
    seen = truth.copy()
    seen[0, ::7] = np.nan
    record = replace(record, values=seen)
    training = record.until(480, ahead=0)
    fitted = LinearCorrection.fit(0, training)
    ahead = record.times[600:648]
    np.testing.assert_allclose(fitted.forecast(record.until(600, ahead=48), ahead), truth[:, 600:648], rtol=1e-3)
    later = replace(record, values=np.where(np.arange(len(hour)) < 480, seen, 1e6))
    np.testing.assert_array_equal(LinearCorrection.fit(0, later.until(480, ahead=0)).slope, fitted.slope)


def test_a_running_correction_removes_the_error_of_each_station_and_hour():
    record = ctm_record(days=100)
    hour = np.arange(len(record.times)) % 24
    error = np.arange(3)[:, None] + 0.5 * hour
    record = replace(record, values=(record.known[0][:, : len(hour)] - error).astype(np.float32))
    fitted = RunningCorrection.fit(0, record.until(80 * 24, ahead=0))
    past, ahead = record.until(85 * 24, ahead=48), record.times[85 * 24 : 87 * 24]
    expected = record.values[:, 85 * 24 : 87 * 24]
    np.testing.assert_allclose(fitted.forecast(past, ahead), expected, rtol=1e-4, atol=1e-3)


def test_the_days_of_a_running_correction_are_few_where_the_error_moves():
    record, rng = ctm_record(days=200), np.random.default_rng(6)
    steady = rng.normal(0, 5, (3, 200 * 24))
    moving = np.repeat(np.cumsum(rng.normal(0, 5, (3, 200)), axis=1), 24, axis=1) + rng.normal(0, 1, (3, 200 * 24))
    days = [
        RunningCorrection.fit(0, replace(record, values=(record.known[0][:, : 200 * 24] - e).astype(np.float32))).days
        for e in (steady, moving)
    ]
    assert days[0] == 60
    assert days[1] == 3


@pytest.mark.skipif(
    not (networks.data_folder() / networks._FRIULI).is_dir(), reason="no data folder with Friuli's network"
)
def test_friuli_has_observations_and_a_forecast_at_every_station():
    ds, target = networks.load("fvg-o3")
    assert target == "o3"
    assert ds.sizes["station"] == 17
    assert np.isfinite(ds[networks.CTM]).mean() > 0.9
    both = np.isfinite(ds[networks.CTM]) & np.isfinite(ds.o3)
    assert np.corrcoef(ds[networks.CTM].values[both], ds.o3.values[both])[0, 1] > 0.6


def network_with_ctm(days=120):
    """Return hourly ozone of eight stations, and a CTM that is biased by another amount at each station and hour of the day."""
    rng = np.random.default_rng(0)
    hour = np.arange(24 * days) % 24
    weather = np.convolve(rng.normal(0, 1, 24 * days + 23), np.ones(24) / np.sqrt(24), "valid")
    true = 60 + 15 * weather + 20 * np.sin(2 * np.pi * hour / 24) + rng.normal(0, 4, (8, 24 * days))
    bias = 10 * rng.normal(0, 1, (8, 24))[:, hour]
    made = xaq.datasets.synthetic(n_stations=8, days=days, missing=0)
    values = {"o3": np.maximum(true, 0), networks.CTM: true + bias + rng.normal(0, 8, true.shape)}
    units = {"units": "ug m-3"}
    return made.drop_vars("pm25").assign(
        {n: (("station", "time"), v.astype("float32"), units) for n, v in values.items()}
    )


@pytest.mark.slow
def test_the_benchmark_of_forecasts_runs_to_the_end_and_beats_a_corrected_ctm(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(networks, "load", lambda name, *, covariates: (network_with_ctm(), "o3"))
    out = tmp_path / "rows.json"
    with pytest.raises(SystemExit):
        forecast.main(["--network", "beijing12", "--methods", "ctm"])
    assert "no baseline 'ctm' of beijing12" in capsys.readouterr().err
    forecast.main(["--network", "fvg-o3", "--methods", "persistence,ctm,ctm-running", "--quick", "--out", str(out)])
    assert "skill in MAE / RMSE against persistence" in capsys.readouterr().out
    rows = pd.DataFrame(json.loads(out.read_text())["fvg-o3 quick"]["rows"])
    mae = rows[rows.stations == "visible"].pivot(index="horizon", columns="method", values="mae")
    assert {*mae} == {"AQ-Net", "persistence", "CTM", "CTM, running correction"}
    assert mae.loc["24 h", "AQ-Net"] < 0.9 * mae.loc["24 h", "CTM, running correction"]


@pytest.mark.filterwarnings("ignore:no units")
@pytest.mark.skipif(not (networks.data_folder() / "beijing12").is_dir(), reason="no data folder with Beijing's network")
def test_a_network_is_loaded_with_its_other_pollutants_and_weather():
    ds, target = networks.load("beijing12", covariates=True)
    assert ds[target].attrs["units"] == "ug m-3"
    assert {*networks.POLLUTANTS, *networks.WEATHER} <= {*ds.data_vars}
