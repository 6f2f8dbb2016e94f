import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xaq.errors import SchemaError
from xaq.stations import holdout, schema

# -- conform -----------------------------------------------------------------------------------------------------------


def by_cf(ds):
    ds = ds.rename(station="place", time="when", lon="x", lat="y")
    ds.place.attrs["cf_role"] = "timeseries_id"
    ds.when.attrs["standard_name"] = "time"
    ds.x.attrs["units"] = "degrees_east"
    ds.y.attrs["standard_name"] = "latitude"
    return ds


@pytest.mark.parametrize(
    "disguise",
    [
        lambda ds: ds,
        by_cf,
        lambda ds: ds.rename(station="site_id", time="datetime", lon="longitude", lat="latitude"),
        lambda ds: ds.rename(station="Site", time="Timestamp", lon="LON", lat="LAT"),
        lambda ds: ds.rename(station="code", lon="lng").transpose("time", "code"),
        lambda ds: ds.rename_dims(station="obs").rename_vars(station="station_id").drop_indexes("station_id"),
        lambda ds: ds.rename_dims(time="t"),
        lambda ds: ds.reset_coords(["lon", "lat"]),
    ],
    ids=["as is", "cf", "names", "case", "transposed", "id beside dim", "time beside dim", "data variables"],
)
def test_conform_finds_the_roles(stations, disguise):
    got = schema.conform(disguise(stations))
    assert got.pm25.dims == ("station", "time")
    assert {"lon", "lat", "station", "time"} <= set(got.coords)
    np.testing.assert_array_equal(got.station, stations.station)
    np.testing.assert_array_equal(got.lon, stations.lon)
    np.testing.assert_array_equal(got.pm25, stations.pm25)


def test_attributes_take_precedence_over_names(stations):
    stations = stations.assign_coords(x=stations.lon + 1)
    stations.x.attrs["standard_name"] = "longitude"
    with pytest.raises(SchemaError, match="drop_vars"):
        schema.conform(stations)
    got = schema.conform(stations.drop_vars("lon"))
    np.testing.assert_array_equal(got.lon, stations.lon + 1)


def test_ambiguous_attributes_are_an_error(stations):
    stations = stations.assign_coords(x=stations.lon)
    for name in ("lon", "x"):
        stations[name].attrs["standard_name"] = "longitude"
    with pytest.raises(SchemaError, match=r"'lon', 'x'|'x', 'lon'"):
        schema.conform(stations)


def test_conform_is_idempotent(stations):
    once = schema.conform(by_cf(stations))
    xr.testing.assert_identical(schema.conform(once), once)


def replace_ids(ds):
    return ds.assign_coords(station=["s00", "s00", *ds.station.values[2:]])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda ds: ds.to_dataframe(), "DataFrame, expected an xarray.Dataset"),
        (lambda ds: ds.pm25, "DataArray, expected an xarray.Dataset"),
        (lambda ds: ds.drop_vars("lon"), "no lon"),
        (lambda ds: ds.drop_vars("time").rename(time="t"), "no time"),
        (lambda ds: ds.drop_vars("time"), "time has no coordinate"),
        (lambda ds: ds.drop_vars("station"), "no identifiers"),
        (lambda ds: ds.isel(time=0), "time"),
        (lambda ds: ds.isel(time=[0]), "at least 2"),
        (lambda ds: ds.isel(station=0), "station"),
        (replace_ids, "duplicate station ids s00"),
        (lambda ds: ds.assign_coords(lon=ds.lat, lat=ds.lon), "look swapped"),
        (lambda ds: ds.assign_coords(lat=ds.lat * 1000), "expected -90..90"),
        (lambda ds: ds.assign_coords(lon=ds.lon * 1000), "lon outside"),
        (lambda ds: ds.assign_coords(lon=ds.lon.where(ds.station != "s03")), "without coordinates: s03"),
        (lambda ds: ds.assign_coords(lon=("station", ["east"] * 10)), "lon"),
        (lambda ds: ds.isel(time=[0, 1, 1, 2]), "repeated or unsorted"),
        (lambda ds: ds.isel(time=slice(None, None, -1)), "repeated or unsorted"),
        (lambda ds: ds.isel(time=[0, 1, 2, 5]), "irregular"),
        (lambda ds: ds.isel(time=slice(None, None, 5)), "neither divides a day"),
        (lambda ds: ds.assign_coords(time=np.arange(48)), "expected datetime64"),
        (lambda ds: xr.Dataset({"pm25": (("lat", "lon"), np.ones((2, 2)))}, {"lat": [1, 2], "lon": [1, 2]}), "station"),
    ],
)  # fmt: skip
def test_each_problem_is_a_schema_error(stations, spoil, says):
    with pytest.raises(SchemaError, match=says):
        schema.conform(spoil(stations))


def test_all_problems_come_at_once(stations):
    bad = replace_ids(stations).isel(time=[0, 1, 2, 5])
    bad = bad.assign_coords(lon=bad.lat, lat=bad.lon)
    with pytest.raises(SchemaError) as caught:
        schema.conform(bad)
    assert len(caught.value.problems) == 3
    for word in ("duplicate", "swapped", "irregular"):
        assert word in str(caught.value)
    assert all("fix:" in problem for problem in caught.value.problems)
    with pytest.raises(SchemaError) as caught:
        schema.conform(stations.drop_vars(["lon", "lat"]))
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda ds: ds.rename(pm25="pm10"), "no variable 'pm25'; the dataset has: pm10"),
        (lambda ds: ds.drop_vars("pm25"), "no variable 'pm25'; the dataset has: none"),
        (lambda ds: ds.drop_attrs(), "no units"),
        (
            lambda ds: ds.assign(pm25=ds.pm25.assign_attrs(units="ppb")),
            "in 'ppb', and particles have no mixing ratio; fix: .*'ug m-3'",
        ),
        (lambda ds: ds.assign(pm25=ds.pm25.astype(str).assign_attrs(units="ug m-3")), "expected numbers"),
        (lambda ds: ds.assign(pm25=ds.pm25.mean("time", keep_attrs=True)), "expected \\(station, time\\)"),
    ],
)
def test_each_fault_of_the_target_is_a_schema_error(stations, spoil, says):
    schema.require_target(stations, "pm25")
    with pytest.raises(SchemaError, match=says):
        schema.require_target(spoil(stations), "pm25")


def test_all_problems_of_the_target_come_at_once(stations):
    bad = stations.assign(pm25=stations.pm25.mean("time").astype(str).drop_attrs())
    with pytest.raises(SchemaError) as caught:
        schema.require_target(bad, "pm25")
    assert len(caught.value.problems) == 3


# -- laziness, purity --------------------------------------------------------------------------------------------------


def test_conform_hide_and_summary_never_compute(stations, no_compute):
    # Coordinates are loaded by design; only the variable is on Dask.
    lazy = stations.transpose("time", "station")
    lazy = lazy.copy(data={"pm25": lazy.pm25.chunk(time=12).data})
    got = holdout.hide(schema.conform(lazy), fraction=0.3)
    assert got.pm25.chunks is not None
    headings = dict(schema.summary_lines(got))
    assert headings["stations"] == "10 (7 visible, 3 hidden)"
    assert headings["pm25"] == "PM2.5, ug m-3"
    assert "step 1h, 48 steps, UTC" in headings["time"]
    schema.select_period(got, "2020-01-02")
    schema.stations_hash(got)


@pytest.mark.parametrize(
    "verb",
    [
        schema.conform,
        lambda ds: holdout.hide(ds, fraction=0.2),
        lambda ds: schema.summary_lines(schema.conform(ds)),
        schema.describe_as_cf,
        schema.normalise_units,
        lambda ds: schema.observations(schema.conform(ds), "pm25"),
    ],
    ids=["conform", "hide", "summary", "describe", "normalise", "observations"],
)
@pytest.mark.parametrize(
    "disguise", [lambda ds: ds, by_cf, lambda ds: ds.transpose("time", "station")], ids=["plain", "cf", "transposed"]
)
def test_the_input_does_not_change(stations, verb, disguise):
    ds = disguise(stations)
    ds.pm25.attrs["units"] = "ug/m3"
    before = ds.copy(deep=True)
    verb(ds)
    xr.testing.assert_identical(ds, before)


# -- observations -----------------------------------------------------------------------------------------------------


def test_observations_split_visible_and_hidden(stations):
    stations.pm25[0, 0] = np.inf
    ds = holdout.hide(stations.assign(temp=stations.pm25 * 2), ["s03", "s05"])
    visible = schema.observations(ds, "pm25", covariates=["temp"])
    hidden = schema.observations(ds, "pm25", hidden=True)
    assert visible.values.shape == (8, 48)
    assert visible.covariates.shape == (1, 8, 48)
    assert hidden.covariates.shape == (0, 2, 48)
    assert np.isnan(visible.values[0, 0])
    np.testing.assert_array_equal(hidden.values, ds.pm25.sel(station=["s03", "s05"]))
    np.testing.assert_array_equal(hidden.lon, ds.lon.sel(station=["s03", "s05"]))


# -- periods, hash ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "n"),
    [
        (None, 48),
        ("2020-01-02", 24),
        ("2020-01", 48),
        ("2020-01-01T05", 1),
        (slice("2020-01-01T22", "2020-01-02T01"), 4),
        (("2020-01-01T22", "2020-01-02T01"), 4),
        ([pd.Timestamp("2020-01-01T22"), pd.Timestamp("2020-01-02T01")], 4),
        (slice(None, "2020-01-01"), 24),
        (np.datetime64("2020-01-01T05"), 1),
        (pd.Timestamp("2020-01-01T05"), 1),
    ],
)
def test_select_period(stations, time, n):
    assert schema.select_period(stations, time).sizes["time"] == n


@pytest.mark.parametrize(
    "time",
    [
        "2021",
        "not a day",
        slice("2020-01-02", "2020-01-01"),
        3.5,
        ("2020-01-01",),
    ],
)
def test_select_period_refuses(stations, time):
    with pytest.raises(SchemaError):
        schema.select_period(stations, time)


def test_the_hash_depends_on_stations_but_not_on_their_order(stations):
    assert schema.stations_hash(stations) == schema.stations_hash(stations.isel(station=slice(None, None, -1)))
    assert schema.stations_hash(stations) != schema.stations_hash(stations.isel(station=slice(1, None)))
    assert schema.stations_hash(stations) != schema.stations_hash(stations.assign_coords(lon=stations.lon + 0.001))


def test_pick_target(stations):
    assert schema.pick_target(stations.assign(temp=stations.pm25), None) == "pm25"
    assert schema.pick_target(stations, "anything") == "anything"
    with pytest.raises(SchemaError, match="pm25, pm10"):
        schema.pick_target(stations.assign(pm10=stations.pm25), None)
