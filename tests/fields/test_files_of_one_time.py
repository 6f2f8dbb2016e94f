"""Files of one time each, as a list: their time and lead may be single values; and leads and sums that cannot be used."""

import numpy as np
import pytest
import xarray as xr
from downloads import DAY, HOUR, HOURS, LAT, LON, cams_europe, cams_global, era5_cds, values
from fixes import fix_of

import xaq
from xaq.errors import SchemaError


def global_forecast(folder, lead, start=0):
    """Return the path of one time of a CAMS global forecast: start and lead are single values."""
    coords = {
        "forecast_reference_time": ((), DAY + start * HOUR, {"standard_name": "forecast_reference_time"}),
        "forecast_period": ((), float(lead), {"units": "hours", "standard_name": "forecast_period"}),
        "latitude": LAT,
        "longitude": LON,
    }
    data = (("latitude", "longitude"), 1e-9 * values([start + lead])[0], {"units": "kg m**-3"})
    path = folder / f"{start}_{lead}.nc"
    xr.Dataset({"pm2p5": data}, coords).to_netcdf(path)
    return path


def test_single_leads_are_joined_on_their_valid_times(tmp_path):
    paths = [global_forecast(tmp_path, lead, start) for start, lead in ((0, 9), (0, 3), (6, 3), (0, 6))]
    made = xaq.open_field(paths)
    np.testing.assert_array_equal(made.time, DAY + np.array([3, 6, 9]) * HOUR)
    # Of the two for 09:00 the shorter one.
    np.testing.assert_array_equal(made.forecast_period, np.array([3, 6, 3]) * HOUR)
    np.testing.assert_allclose(made.sel(lat=LAT, lon=LON), values([3, 6, 9]), rtol=1e-5)
    np.testing.assert_array_equal(xaq.open_field(paths, lead="4h").forecast_period, np.array([6, 9]) * HOUR)
    one = xaq.open_field(paths[0])
    assert one.dims == ("lat", "lon")
    assert one.time == DAY + 9 * HOUR


def test_single_times_are_joined(tmp_path):
    axes = {"time": DAY + HOURS * HOUR, "lat": LAT, "lon": LON}
    field = xr.Dataset({"pm25": (tuple(axes), values(), {"units": "ug m-3"})}, axes)
    paths = [tmp_path / f"{hour}.nc" for hour in (5, 4, 7)]
    for path in paths:
        field.isel(time=int(path.stem)).to_netcdf(path)
    made = xaq.open_field(paths)
    np.testing.assert_array_equal(made.time, DAY + np.array([4, 5, 7]) * HOUR)
    np.testing.assert_allclose(made.sel(lat=LAT, lon=LON), values([4, 5, 7]))


def test_single_hours_of_cams_europe_are_joined(tmp_path):
    with xr.open_dataset(cams_europe(tmp_path, "FORECAST").path, decode_timedelta=False) as whole:
        made = xaq.open_field([whole.isel(time=hour) for hour in (2, 1)])
        np.testing.assert_array_equal(made.time, DAY + np.array([1, 2]) * HOUR)
        np.testing.assert_array_equal(made.forecast_period, np.array([1, 2]) * HOUR)


def test_single_hours_of_sums_begin_an_hour_earlier_as_all_of_them_do(tmp_path):
    with xr.open_dataset(era5_cds(tmp_path, variables=("tp",), step="accum").path) as whole:
        together = xaq.open_field(whole)
        made = xaq.open_field([whole.isel(valid_time=hour) for hour in HOURS])
        xr.testing.assert_equal(made, together)
        assert made.time[0] == DAY - HOUR


@pytest.mark.parametrize("single", [False, True])
def test_a_lead_without_a_value_is_refused(tmp_path, single):
    with xr.open_dataset(cams_global(tmp_path).path, decode_timedelta=False) as ds:
        lead = ds.forecast_period.copy(data=np.where(ds.forecast_period == 6.0, np.nan, ds.forecast_period))
        ds = ds.assign_coords(forecast_period=lead)
        ds = ds.isel(forecast_period=2, forecast_reference_time=0) if single else ds
        with pytest.raises(
            SchemaError, match=f"forecast_period is missing at 1 of {1 if single else 9} times"
        ) as error:
            xaq.open_field(ds)
        made = xaq.open_field(eval(fix_of(error.value), {"ds": ds}))
        assert (0 if single else 6) * HOUR not in made.coords.get("forecast_period", xr.DataArray([])).values
        assert made.notnull().all()


def test_sums_beside_instants_are_refused_with_both_calls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = era5_cds(tmp_path, variables=("t2m", "u10", "tp"))
    with xr.open_dataset(made.path) as ds:
        ds = ds.load()
    ds.tp.attrs["GRIB_stepType"] = "accum"
    ds.to_netcdf("both.nc")
    for source, called in (("both.nc", "'both.nc'"), (ds, "ds")):
        with pytest.raises(SchemaError, match="which one time axis cannot label") as error:
            xaq.open_field(source)
        calls = fix_of(error.value).split(" and ")
        assert calls == [f"xaq.open_field({called}, ['t2m', 'u10'])", f"xaq.open_field({called}, 'tp')"]
        instants, sums = (eval(call, {"xaq": xaq, "ds": ds}) for call in calls)
        assert {*instants.data_vars} == {"t2m", "u10"}
        assert sums.time[0] == instants.time[0] - HOUR
