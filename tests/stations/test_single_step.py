"""One day of a daily network, one hour of an hourly one: what states the step is kept, and every verb but training works."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.errors import ModelError, SchemaError
from xaq.interpolate.classical import OrdinaryKriging
from xaq.stations import schema
from xaq.stations.timestamps import step_of

DAY = "2005-02-10"


@pytest.fixture(scope="module")
def germany():
    return xaq.datasets.load("germany").sel(time=slice("2005-02-01", "2005-02-20"))


@pytest.fixture(scope="module")
def rows(germany):
    """Return the observations of one day as a table, and the list of its stations."""
    table = (
        germany.pm10.sel(time=[DAY]).to_dataframe().reset_index()[["station", "time", "lon", "lat", "pm10"]].dropna()
    )
    return table.drop(columns=["lon", "lat"]), table[["station", "lon", "lat"]]


@pytest.fixture(scope="module")
def day(rows):
    return xaq.open_stations(rows[0], stations=rows[1], step="1D").aq.hide(fraction=0.2, seed=1)


def test_one_date_needs_a_step_and_the_message_says_which(rows):
    with pytest.raises(SchemaError, match=r"one time only \(2005-02-10.*fix: step='1D' if its values are of a day"):
        xaq.open_stations(rows[0], stations=rows[1])
    assert step_of(xaq.open_stations(rows[0], stations=rows[1], step="1D").time) == np.timedelta64(1, "D")


def test_the_next_step_of_one_day_needs_no_training(day):
    shown = repr(day.aq).splitlines()[-1].split("next")[1].strip()
    assert shown == "verify('kriging') -> reanalyze('kriging', grid=0.1, store='cube.zarr') -> plot.map(cube)"


def test_the_map_of_one_day_is_that_of_the_day_among_others(germany, day):
    several = germany.sel(station=day.station).assign_coords(hidden=day.hidden)
    mapper = OrdinaryKriging.fit(schema.observations(several.aq.visible, "pm10"))
    alone, among = (ds.aq.reanalyze(mapper, grid=1.0, target="pm10").compute() for ds in (day, several))
    xr.testing.assert_allclose(alone.pm10, among.pm10.sel(time=[DAY]))
    assert (
        alone.time_bnds.values.astype("datetime64[D]").tolist()
        == among.time_bnds.sel(time=[DAY]).values.astype("datetime64[D]").tolist()
    )


@pytest.mark.parametrize("method", ["kriging", "kriging-log", "idw", "nearest"])
def test_one_day_is_verified_mapped_and_estimated(day, method):
    scores = day.aq.verify(method)
    assert np.isfinite(scores["mae"]).all()
    cube = day.aq.reanalyze(method, grid=1.0)
    assert cube.sizes["time"] == 1
    assert np.isfinite(cube.pm10).any()


def test_one_day_is_examined_stored_drawn_and_read_again(day, tmp_path):
    assert not (day.aq.check().severity == "error").any()
    assert "step 1D, 1 steps" in repr(day.aq)
    cube = day.aq.reanalyze("idw", grid=1.0, store=str(tmp_path / "cube.zarr"))
    assert xaq.open_cube(tmp_path / "cube.zarr").sizes["time"] == 1
    day.aq.plot.map(cube)
    day.aq.plot.stations()
    day.aq.plot.errors(cube)
    day.aq.plot.series("idw", station=str(day.station.values[0]))
    plt.close("all")
    day.to_netcdf(tmp_path / "day.nc")
    assert xaq.open_stations(tmp_path / "day.nc").aq.verify("idw").equals(day.aq.verify("idw"))


def test_training_and_covariance_in_time_say_that_one_step_is_too_few(day):
    with pytest.raises(SchemaError, match=r"one step \(2005-02-10.*'kriging'"):
        day.aq.train("pm10")
    with pytest.raises(ModelError, match=r"one step.*fix: 'kriging'"):
        day.aq.verify("kriging-spacetime")


def test_a_step_selected_from_a_record_says_how_to_state_its_step(germany):
    one = germany.sel(time=[DAY]).aq
    with pytest.raises(SchemaError, match=r"fix: .*assign_attrs") as caught:
        one.verify("idw")
    ds = germany.sel(time=[DAY])
    fixed = eval(str(caught.value).split("of daily values, ")[1], {"ds": ds})
    assert step_of(fixed.time) == np.timedelta64(1, "D")


def test_a_stated_step_counts_for_a_single_time_only(germany):
    wrong = germany.assign_coords(time=germany.time.assign_attrs(step="1h"))
    assert step_of(wrong.time) == np.timedelta64(1, "D")
    with pytest.raises(SchemaError, match="attribute 'step' of time is 'soon'"):
        step_of(germany.time[:1].assign_attrs(step="soon"))


def test_hours_of_one_day_are_brought_to_one_day():
    hours = pd.date_range("2020-01-01", periods=24, freq="h")
    table = pd.DataFrame({"station": "a", "time": hours, "lon": 10.0, "lat": 50.0, "pm25": np.arange(24.0)})
    ds = xaq.open_stations(table, tz="UTC", step="1D")
    assert (ds.pm25.values.tolist(), str(ds.time.values[0])[:10], ds.time.attrs["step"]) == (
        [[11.5]],
        "2020-01-01",
        "1D",
    )


def test_one_hour_labelled_at_its_end_is_moved():
    table = pd.DataFrame({"station": ["a"], "time": ["2020-01-01 05:00"], "lon": 10.0, "lat": 50.0, "pm25": 1.0})
    ds = xaq.open_stations(table, tz="UTC", step="1h", timestamps="end")
    assert ds.time.values[0] == np.datetime64("2020-01-01T04")
    with pytest.raises(SchemaError, match="step"):
        xaq.open_stations(ds, step="30min")


def test_a_dataset_or_file_of_one_time_takes_a_step(day, tmp_path):
    bare = day.drop_attrs(deep=True).drop_vars("hidden")
    bare.to_netcdf(tmp_path / "bare.nc")
    for source in (bare, tmp_path / "bare.nc"):
        with pytest.raises(SchemaError, match="one time only"):
            xaq.open_stations(source)
        assert step_of(xaq.open_stations(source, step="1D").time) == np.timedelta64(1, "D")
