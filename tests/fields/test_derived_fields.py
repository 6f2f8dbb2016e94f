"""Fields that a user has changed before xaq reads them: nothing is converted or moved that is not certain."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.errors import SchemaError, XaqWarning
from xaq.fields.gridded import Gridded

LAT, LON = np.arange(45.0, 40.0, -0.25), np.arange(0.0, 5.0, 0.25)
HOUR = np.timedelta64(3_600_000_000_000, "ns")
HOURLY = pd.date_range("2020-01-01", periods=48, freq="h")


def field(times, name, attrs, dim="valid_time", **time_attrs):
    """Return a dataset of one variable whose value is the number of its time."""
    numbers = np.arange(len(times), dtype="f4")[:, None, None] + np.zeros((len(times), 20, 20), "f4")
    axes = {dim: (dim, pd.DatetimeIndex(times), time_attrs), "latitude": LAT, "longitude": LON}
    return xr.Dataset({name: ((dim, "latitude", "longitude"), numbers, attrs)}, axes)


# -- missing values ------------------------------------------------------------------------------------------------------


def test_missing_cells_are_missing_after_a_conversion_of_units():
    axes = {"y": np.arange(20) * 1e3 + 3e6, "x": np.arange(20) * 1e3 + 4e6}
    array = xr.DataArray(np.full((20, 20), 1e-8), axes, ("y", "x"), "pm25", {"units": "kg m**-3"}).rio.write_crs(3035)
    array[:10] = -9999.0
    array = array.rio.write_nodata(-9999.0)
    for made in (Gridded.of(array).data, xaq.open_field(array)):
        assert int(made.isnull().sum()) == 200
        np.testing.assert_allclose(made.min(), 10.0)
        assert "_FillValue" not in made.attrs


def test_a_sum_of_components_is_missing_where_one_of_them_is():
    names = ("DUSMASS25", "OCSMASS", "BCSMASS", "SSSMASS25", "SO4SMASS")
    part = field(HOURLY[:2], "a", {"units": "kg m-3", "missing_value": np.float32(1e15)}, "time").a
    ds = xr.Dataset({n: part.rename(n) for n in names}, attrs={"ShortName": "M2T1NXAER"})
    ds["OCSMASS"] = ds.OCSMASS.where(ds.latitude > 41, np.float32(1e15)).assign_attrs(part.attrs)
    made = xaq.open_field(ds, "pm25")
    assert int(made.isnull().sum()) == int((LAT <= 41).sum()) * 20 * 2


# -- sums of ECMWF -------------------------------------------------------------------------------------------------------

SUMS = {"units": "m", "GRIB_stepType": "accum"}


def test_monthly_means_in_a_file_each_keep_their_label(tmp_path):
    for month in (1, 2, 3):
        field([f"2020-0{month}-01"], "msl", {"units": "Pa", "GRIB_stepType": "avg"}).to_netcdf(tmp_path / f"{month}.nc")
    made = xaq.open_field(str(tmp_path / "*.nc"))
    np.testing.assert_array_equal(made.time, pd.to_datetime(["2020-01-01", "2020-02-01", "2020-03-01"]))
    with pytest.warns(XaqWarning, match="msl: a single time does not say of which interval it is"):
        assert xaq.open_field(tmp_path / "1.nc").time.values[0] == np.datetime64("2020-01-01")


def test_hourly_sums_in_a_file_each_are_moved_once_joined(tmp_path):
    for hour in range(3):
        field(HOURLY[[hour]], "tp", SUMS).to_netcdf(tmp_path / f"{hour}.nc")
    made = xaq.open_field(str(tmp_path / "*.nc"))
    np.testing.assert_array_equal(made.time, HOURLY[:3] - pd.Timedelta("1h"))
    assert not [k for k in made.attrs if k.startswith(("GRIB", "_xaq"))]


@pytest.mark.parametrize(("step", "days"), [("1D", 2), ("1D", 1), ("3h", 2), ("1h", 1)])
def test_sums_that_a_user_has_resampled_keep_their_times(step, days):
    raw = field(HOURLY[: 24 * days], "tp", SUMS)
    derived = raw.tp.resample(valid_time=step).sum(keep_attrs=True)
    expected = derived.valid_time.values - (np.timedelta64(1, "h") if step == "1h" else np.timedelta64(0, "h"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XaqWarning)
        np.testing.assert_array_equal(Gridded.of(derived).times, expected)


def test_sums_that_were_moved_are_not_moved_again():
    once = xaq.open_field(field(HOURLY, "tp", SUMS))
    for again in (Gridded.of(once), Gridded.of(once.drop_attrs()), Gridded.of(once.to_dataset())):
        np.testing.assert_array_equal(again.times, HOURLY - pd.Timedelta("1h"))
    two = xaq.open_field(field(HOURLY, "tp", SUMS).assign(cp=field(HOURLY, "cp", SUMS).cp))
    np.testing.assert_array_equal(Gridded.of(two["tp"]).times, HOURLY - pd.Timedelta("1h"))


# -- means of MERRA-2 ----------------------------------------------------------------------------------------------------

CENTRES = HOURLY + pd.Timedelta("30min")
MERRA = {"begin_time": np.int32(3000), "time_increment": np.int32(10000)}


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.resample(time="1D").mean(),
        lambda a: a.resample(time="3h").mean(),
        lambda a: a.isel(time=slice(24)).resample(time="1D").mean(),
        lambda a: a.coarsen(time=3).mean(),
        lambda a: a.isel(time=slice(3)).coarsen(time=3).mean(),
        lambda a: a.interp(time=HOURLY[1:]),
        lambda a: a.isel(time=slice(8, None, 24)),
    ],
)
@pytest.mark.parametrize("name", ["T2M", "M2T1NXSLV_T2M"])
def test_means_that_a_user_has_changed_keep_their_times(change, name):
    attrs = MERRA if name == "T2M" else {}
    raw = field(CENTRES, name, {"units": "K"}, "time", **attrs)[name]
    derived = change(raw)
    derived.time.attrs.update(attrs)
    np.testing.assert_array_equal(Gridded.of(derived).times, derived.time.values)


@pytest.mark.parametrize("name", ["T2M", "M2T1NXSLV_T2M"])
def test_means_of_the_file_are_moved_once(name):
    raw = field(CENTRES, name, {"units": "K"}, "time", **(MERRA if name == "T2M" else {}))
    np.testing.assert_array_equal(Gridded.of(raw).times, HOURLY)
    np.testing.assert_array_equal(
        Gridded.of(raw[name].isel(time=[*range(5), *range(24, 40)])).times[:6], HOURLY[[0, 1, 2, 3, 4, 24]]
    )
    np.testing.assert_array_equal(Gridded.of(xaq.open_field(raw)).times, HOURLY)
    if name == "T2M":
        np.testing.assert_array_equal(Gridded.of(raw.isel(time=[0])).times, HOURLY[:1])


# -- forecasts -----------------------------------------------------------------------------------------------------------


def grib(attrs=None):
    """Return four leads of one forecast, as cfgrib opens them."""
    steps, start = pd.to_timedelta([1, 2, 3, 4], "h"), np.datetime64("2020-01-01", "ns")
    ds = field([0] * 4, "t2m", {"units": "K", "GRIB_x": 1}, "step")
    valid = ("step", start + steps, attrs or {})
    return ds.assign_coords(step=steps, time=start, valid_time=valid)


LEADS = HOURLY[1:5]


@pytest.mark.parametrize("attrs", [{}, {"standard_name": "time"}])
def test_arrays_of_grib_on_valid_time_get_no_lead_added(attrs):
    valid = grib(attrs).swap_dims(step="valid_time")
    named = valid.drop_vars("time").rename(valid_time="time")
    for ds in (grib(attrs), valid, valid.drop_vars("step"), named, named.drop_vars("step").assign_coords(step=HOUR)):
        made = xaq.open_field(ds)
        np.testing.assert_array_equal(made.time, LEADS)
        np.testing.assert_array_equal(Gridded.of(ds.t2m).times, LEADS)
    np.testing.assert_array_equal(xaq.open_field(valid).forecast_period, grib().step)


def test_starts_of_grib_with_one_step_each_get_it_added():
    ds = field(HOURLY[:3], "t2m", {"units": "K", "GRIB_x": 1}, "time", standard_name="forecast_reference_time")
    np.testing.assert_array_equal(xaq.open_field(ds.assign_coords(step=HOUR)).time, HOURLY[1:4])
    steps = ds.assign_coords(step=("time", [HOUR, 2 * HOUR, 3 * HOUR]))
    np.testing.assert_array_equal(xaq.open_field(steps).time, HOURLY[[1, 3, 5]])


def cf_forecast(day, hours=range(48)):
    """Return a forecast as xaq and CF write it; its values are the leads in hours."""
    start, leads = HOURLY[0] + pd.Timedelta(day, "D"), pd.to_timedelta([*hours], "h")
    ds = field(start + leads, "pm25", {"units": "ug m-3"}, "time")
    ds = ds.assign_coords(forecast_reference_time=start, forecast_period=("time", leads))
    return ds.assign(pm25=ds.pm25 * 0 + xr.DataArray(np.array([*hours], "f4"), dims="time"))


def write(ds, path):
    ds.to_netcdf(path, encoding={"forecast_period": {"units": "hours", "dtype": "i4"}})


def test_forecasts_of_cf_are_joined_by_lead(tmp_path):
    for day in (1, 0):
        write(cf_forecast(day), tmp_path / f"{day}.nc")
    paths = str(tmp_path / "*.nc")
    leads = xaq.open_field(paths).isel(lat=0, lon=0)
    np.testing.assert_array_equal(leads, [*range(24), *range(48)])
    np.testing.assert_array_equal(leads.forecast_period / np.timedelta64(1, "h"), leads)
    ahead = xaq.open_field(paths, lead="24h")
    np.testing.assert_array_equal(ahead.isel(lat=0, lon=0), [*range(24, 48), *range(24, 48)])
    np.testing.assert_array_equal(xaq.open_field(tmp_path / "0.nc", lead="12h").time, HOURLY[12:])
    ahead.to_netcdf(tmp_path / "again.nc")
    np.testing.assert_array_equal(xaq.open_field(tmp_path / "again.nc").forecast_period, ahead.forecast_period)


def test_a_file_for_each_lead_is_joined(tmp_path):
    for hour in range(4):
        write(cf_forecast(0, [hour]), tmp_path / f"{hour}.nc")
        grib().isel(step=[hour]).assign_coords(step=[HOUR * hour]).drop_vars("valid_time").to_netcdf(
            tmp_path / f"g{hour}.nc"
        )
    for names in ("?.nc", "g?.nc"):
        np.testing.assert_array_equal(xaq.open_field(str(tmp_path / names)).time, HOURLY[:4])
    analysis = xaq.open_field(tmp_path / "0.nc")
    assert "forecast_period" not in analysis.coords


def test_an_analysis_beside_a_forecast_is_refused(tmp_path):
    write(cf_forecast(1), tmp_path / "a.nc")
    analysis = cf_forecast(0).drop_vars(["forecast_period", "forecast_reference_time"])
    analysis.to_netcdf(tmp_path / "b.nc")
    with pytest.raises(SchemaError, match=r"1 of 2 files state no lead.*fix: open the files of each kind"):
        xaq.open_field(str(tmp_path / "?.nc"))
