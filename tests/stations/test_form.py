"""Datasets of another form: a MultiIndex, repeated dimensions, arrays, no stations, targets that are no numbers."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic import station_dataset

import xaq
from xaq.errors import SchemaError, XaqError

VERBS = {
    "reanalyze": lambda ds: xaq.reanalyze(ds, "idw", target="pm25", grid=1.0),
    "estimate": lambda ds: xaq.estimate(ds, "kriging", target="pm25", lon=[116.4], lat=[39.9]),
    "train": lambda ds: xaq.train(ds, "pm25", max_epochs=0, progress=False),
    "verify": lambda ds: xaq.verify(ds, "idw", target="pm25"),
    "hide": lambda ds: xaq.hide(ds),
    "convert_units": lambda ds: xaq.convert_units(ds, "mg m-3"),
    "sample": lambda ds: xaq.sample(ds, field()),
    "repair": lambda ds: xaq.repair(ds, negative="missing", unplaced="drop"),
    "plot.stations": lambda ds: xaq.plot.stations(ds, target="pm25"),
    "plot.series": lambda ds: xaq.plot.series(ds, "idw", "s00", target="pm25"),
}
each_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)


def field():
    return xr.DataArray(np.ones((2, 2)), {"lat": [39.0, 41.0], "lon": [114.0, 118.0]}, ("lat", "lon"), "field")


def with_multiindex():
    ds = station_dataset(8).rename(station="st").drop_vars("st")
    ds = ds.assign_coords(network=("st", list("aabbaabb")), site=("st", list("pqrstuvw")))
    return ds.set_index(st=["network", "site"]).rename(st="station")


def advised(error, ds):
    return eval(str(error).partition("fix: ")[2], {"ds": ds, "np": np, "array": ds})


FORMS = {
    "a MultiIndex": (with_multiindex, "MultiIndex of network, site"),
    "stacked": (lambda: station_dataset(8).stack(obs=("station", "time")), "MultiIndex of station, time"),
    "stacked the other way": (lambda: station_dataset(8).stack(obs=("time", "station")), "MultiIndex of time, station"),
}


@each_verb
@pytest.mark.parametrize(("make", "message"), FORMS.values(), ids=FORMS)
def test_a_multiindex_is_refused_and_the_fix_leads_to_the_same_estimates(make, message, verb):
    with pytest.raises(SchemaError, match=message) as error:
        verb(make())
    fixed = advised(error.value, make())
    expected = station_dataset(8).aq.reanalyze("idw", grid=1.0).pm25
    np.testing.assert_array_equal(fixed.aq.reanalyze("idw", grid=1.0).pm25.values, expected.values)


@pytest.mark.parametrize(("make", "message"), FORMS.values(), ids=FORMS)
def test_check_and_reprs_report_a_multiindex(make, message):
    assert "MultiIndex" in make().aq.check().finding.iloc[0]
    assert message in repr(make().aq)
    assert "MultiIndex" in make().aq._repr_html_()


@pytest.mark.filterwarnings("ignore:Duplicate dimension")
@each_verb
def test_a_repeated_dimension_is_refused_and_dropping_the_variable_helps(verb):
    ds = station_dataset(8)
    ds["covariance"] = xr.Variable(("station", "station"), np.eye(8))
    with pytest.raises(SchemaError, match="'covariance' has a dimension twice") as error:
        verb(ds)
    advised(error.value, ds).aq.reanalyze("idw", grid=1.0)


def test_what_is_no_dataset_is_told_how_to_become_one():
    ds = station_dataset()
    with pytest.raises(SchemaError, match="got DataArray") as error:
        xaq.reanalyze(ds.pm25, "idw")
    assert advised(error.value, ds.pm25).identical(ds.pm25.to_dataset(name="pm25"))
    for wrong in (pd.DataFrame({"pm25": [1.0]}), None, "stations.nc", 3):
        for verb in VERBS.values():
            with pytest.raises(SchemaError, match=r"expected an xarray\.Dataset; fix: xaq\.open_stations"):
                verb(wrong)


@each_verb
def test_no_stations_are_an_error_that_says_so(verb):
    with pytest.raises(SchemaError, match="the dataset has no stations; fix:") as error:
        verb(station_dataset().isel(station=[]))
    assert "hidden" not in str(error.value)


def test_reprs_of_no_stations_say_so():
    empty = station_dataset().isel(station=[])
    assert "no stations" in repr(empty.aq)
    assert "no stations" in empty.aq._repr_html_()
    assert "no stations" in empty.aq.check().finding.iloc[0]


TYPES = {
    "text": lambda a: a.astype(str), "object": lambda a: a.astype(object), "bool": lambda a: a > 10,
    "complex": lambda a: a.astype(complex), "timedelta": lambda a: (a * 3.6e12).astype("timedelta64[ns]"),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("verb", ["reanalyze", "estimate", "train", "plot.stations"])
def test_a_target_of_another_type_is_refused_and_the_fix_makes_numbers(name, verb):
    ds = station_dataset()
    wrong = ds.assign(pm25=TYPES[name](ds.pm25).assign_attrs(units="ug m-3"))
    with pytest.raises(SchemaError, match="expected numbers; fix: ") as error:
        VERBS[verb](wrong)
    fixed = advised(error.value, wrong)
    assert fixed.pm25.dtype.kind == "f"
    if name != "bool":
        np.testing.assert_allclose(fixed.pm25.values, ds.pm25.values, rtol=1e-5)


def test_dates_and_other_dimensions_are_refused_with_a_target_that_works():
    ds = station_dataset()
    dates = xr.full_like(ds.pm25, np.datetime64("2020-01-01", "s"), dtype="datetime64[s]")
    places = {"a date": dates, "a number": xr.DataArray(3.0), "by station": ds.pm25.mean("time")}
    for wrong in places.values():
        both = ds.assign(other=wrong.assign_attrs(units="1"))
        with pytest.raises(SchemaError, match="fix: target="):
            both.aq.reanalyze("idw", target="other")
    levels = ds.assign(pm25=ds.pm25.expand_dims(level=[1, 2]))
    with pytest.raises(SchemaError, match=r"fix: ds\.isel\(level=0\)") as error:
        levels.aq.reanalyze("idw", target="pm25")
    expected = ds.aq.reanalyze("idw", grid=1.0)
    xr.testing.assert_equal(advised(error.value, levels).aq.reanalyze("idw", target="pm25", grid=1.0), expected)


def test_integers_are_numbers():
    ds = station_dataset()
    whole = ds.assign(pm25=ds.pm25.round().astype("int16").assign_attrs(units="ug m-3"))
    expected = ds.assign(pm25=ds.pm25.round()).aq.reanalyze("idw", grid=1.0).pm25
    np.testing.assert_array_equal(whole.aq.reanalyze("idw", grid=1.0).pm25.values, expected.values)


@pytest.mark.parametrize("method", ["idw", "nearest", "kriging", "kriging-log"])
@pytest.mark.parametrize("n", [1, 2])
def test_one_station_and_two_at_one_place_give_their_own_values(method, n):
    ds = station_dataset().isel(station=[0] * n).assign_coords(station=[f"s{i}" for i in range(n)])
    values = ds.aq.estimate(method, lon=[float(ds.lon[0])], lat=[float(ds.lat[0])]).pm25.values[:, 0]
    np.testing.assert_allclose(values, ds.pm25.values[0], rtol=1e-4)


@each_verb
@pytest.mark.parametrize(
    "ds",
    [
        station_dataset(1),
        station_dataset(2).isel(station=[0, 0]).assign_coords(station=["s00", "s01"]),
        station_dataset(8).isel(time=[0]),
        station_dataset(8).isel(time=slice(0, 2)),
        station_dataset(8).isel(time=[]),
    ],
    ids=["one station", "two at one place", "one step", "two steps", "no step"],
)
def test_the_smallest_networks_work_or_raise_a_clear_error(ds, verb):
    def outcome():
        try:
            verb(ds)
        except XaqError as error:
            return str(error)
        return "works; no fix: needed"

    assert "fix:" in outcome()


def test_the_accessor_is_made_of_any_dataset():
    for ds in (xr.Dataset(), with_multiindex(), station_dataset().isel(station=[]), xr.Dataset({5: ("x", [1.0])})):
        assert isinstance(repr(ds.aq), str)
        assert isinstance(ds.aq._repr_html_(), str)
        assert repr(ds.aq.plot)
