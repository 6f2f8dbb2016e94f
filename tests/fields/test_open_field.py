"""Fields as downloaded: each form opens with one call, with the values, times, axes and units that are true of it."""

import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from downloads import (
    DAY,
    HOUR,
    HOURS,
    LAT,
    MAKERS,
    cams_europe,
    cams_global,
    cfgrib_object,
    eac4,
    eac4_gas,
    era5_cds,
    era5_expver,
    hdfeos,
    level3,
    merra2,
    truth,
    values,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import xaq
from xaq.errors import SchemaError, XaqWarning
from xaq.fields.gridded import Gridded
from xaq.fields.sample import sample_points

each_form = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
POINTS = np.array([8.6, 10.1, 11.3]), np.array([49.2, 50.7, 48.4])


def hours_of(field):
    return (field.time.values.astype("datetime64[s]") - DAY) / HOUR


@each_form
def test_a_form_opens_with_one_call(make, tmp_path):
    made = make(tmp_path)
    field = xaq.open_field(made.path, made.name)
    assert (field.name, field.attrs["units"]) == (made.name, made.units)
    assert field.dims == ("time", "lat", "lon")
    assert field.chunks is not None
    assert field.time.values[0] == made.first
    assert field.time.dtype.kind == "M"
    for axis in field.dims:
        assert (np.diff(field[axis].values.astype(float)) > 0).all()
    lon, lat = POINTS
    made = sample_points(field, lon, lat).values
    leads = field.forecast_period.values / np.timedelta64(1, "h") if "forecast_period" in field.coords else 0
    np.testing.assert_allclose(made, truth(hours_of(field), lat[:, None], lon[:, None]) + 0.125 * leads, rtol=2e-4)


@each_form
def test_a_cell_of_the_file_is_that_of_the_field(make, tmp_path):
    """By the variable's own name, at the file's own coordinates, without interpolation."""
    made = make(tmp_path)
    field = xaq.open_field(made.path, made.variable)
    cell = field.isel(time=0).sel(lat=50.0, lon=10.0, method="nearest")
    assert float(cell) == pytest.approx(truth(hours_of(field)[0], float(cell.lat), float(cell.lon)), rel=2e-4)


@pytest.mark.parametrize("make", [m for m in MAKERS.values() if m not in (hdfeos, level3)])
def test_what_a_user_has_opened_is_sampled_as_it_is(make, tmp_path):
    """Dataset or array, as xarray opens it."""
    made = make(tmp_path)
    given = xr.open_dataset(made.path, decode_timedelta=False)
    lon, lat = POINTS
    expected = sample_points(xaq.open_field(made.path, made.name), lon, lat)
    found = sample_points(given if len(given.data_vars) == 1 else xaq.open_field(given, made.name), lon, lat)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_array_equal(found.time, expected.time)
    if len(given.data_vars) == 1:
        np.testing.assert_allclose(sample_points(given[made.variable], lon, lat), expected)


def test_a_background_is_taken_as_it_was_downloaded(tmp_path):
    ds = xaq.datasets.synthetic(n_stations=12, days=1, seed=2).isel(time=slice(0, 22))
    raw = xr.open_dataset(eac4(tmp_path).path)
    cube = ds.aq.reanalyze("idw", grid=xaq.Grid.regular(1.0, bounds=(9, 49, 11, 51)), background=raw)
    same = ds.aq.reanalyze(
        "idw",
        grid=xaq.Grid.regular(1.0, bounds=(9, 49, 11, 51)),
        background=xaq.open_field(tmp_path / "eac4.nc"),
    )
    xr.testing.assert_allclose(cube.pm25, same.pm25)


def test_sample_takes_a_variable_by_either_name(tmp_path):
    ds = xaq.datasets.synthetic(n_stations=6, days=1, seed=2).isel(time=slice(0, 22))
    raw = xr.open_dataset(eac4(tmp_path).path)
    made = ds.aq.sample(raw, name="pm2p5")
    assert made.pm2p5.attrs["units"] == "ug m-3"
    np.testing.assert_allclose(made.pm2p5, sample_points(raw, ds.lon, ds.lat, ds.time))


# -- ECMWF ---------------------------------------------------------------------------------------------------------------


def test_era5_and_its_preliminary_version_are_combined(tmp_path):
    field = xaq.open_field(era5_expver(tmp_path).path)
    assert field.notnull().all()
    np.testing.assert_allclose(field, values(lat=LAT[::-1]), atol=1e-3)
    assert "versions 1 and 5 of ERA5 (expver) combined" in field.attrs["history"]


def test_where_both_versions_exist_the_final_one_is_taken(tmp_path):
    ds = xr.open_dataset(era5_expver(tmp_path).path).load()
    ds["t2m"][:, 0] = 1.0
    ds["t2m"][3, 0] = np.nan
    ds["t2m"][:, 1] = 5.0
    found = xaq.open_field(ds).isel(lat=0, lon=0).values
    np.testing.assert_array_equal(found, np.where(HOURS == 3, 5.0, 1.0))


def test_preliminary_times_are_counted(tmp_path):
    field = xaq.open_field(era5_cds(tmp_path, versions=["0001"] * 20 + ["0005"] * 4).path)
    assert "4 of 24 times are preliminary (ERA5T, expver 5)" in field.attrs["history"]
    assert "expver" not in field.coords


def test_sums_of_the_hour_before_are_labelled_with_its_start(tmp_path):
    made = era5_cds(tmp_path, variables=("tp",), step="accum")
    field = xaq.open_field(made.path)
    np.testing.assert_array_equal(hours_of(field), HOURS - 1)
    np.testing.assert_allclose(field.isel(lat=0, lon=0), values(lat=LAT[::-1])[:, 0, 0])
    assert "start of the hour" in field.attrs["history"]


def test_instants_and_sums_are_not_put_on_one_axis(tmp_path):
    path = era5_cds(tmp_path, variables=("t2m", "tp"), step="instant").path
    ds = xr.open_dataset(path)
    ds["tp"].attrs["GRIB_stepType"] = "accum"
    with pytest.raises(SchemaError, match="tp is of the hour before each time and t2m is of the instant") as error:
        xaq.open_field(ds)
    assert "fix: xaq.open_field(ds, 't2m') and xaq.open_field(ds, 'tp')" in str(error.value)
    np.testing.assert_array_equal(hours_of(xaq.open_field(ds, variable="t2m")), HOURS)
    np.testing.assert_array_equal(hours_of(xaq.open_field(ds, variable="tp")), HOURS - 1)


def test_statistics_of_days_have_the_start_of_their_day_already(tmp_path):
    ds = xr.open_dataset(era5_cds(tmp_path, variables=("tp",), step="accum").path)
    days = ds.isel(valid_time=[0, 1]).assign_coords(valid_time=DAY + np.array([0, 24]) * HOUR)
    np.testing.assert_array_equal(hours_of(xaq.open_field(days)), [0, 24])


def test_sums_since_midnight_of_era5_land_are_left_and_said_to_be(tmp_path):
    ds = xr.open_dataset(era5_cds(tmp_path, variables=("tp",), step="accum").path)
    ds = ds.assign_coords(latitude=50.0 - 0.1 * np.arange(9), longitude=10.0 + 0.1 * np.arange(9))
    with pytest.warns(XaqWarning, match="sums since 00:00 UTC"):
        field = xaq.open_field(ds)
    np.testing.assert_array_equal(hours_of(field), HOURS)


def test_grib_as_cfgrib_opens_it_is_on_its_valid_time():
    field = xaq.open_field(cfgrib_object())
    np.testing.assert_array_equal(hours_of(field), HOURS)
    np.testing.assert_allclose(field, values(lat=LAT[::-1]))
    assert not [k for k in field.attrs if k.startswith("GRIB")]
    lon, lat = POINTS
    np.testing.assert_allclose(
        sample_points(cfgrib_object(), lon, lat), truth(HOURS, lat[:, None], lon[:, None]), rtol=1e-5
    )


@pytest.mark.parametrize("part", [{"latitude": 0}, {"latitude": 0, "longitude": 0}])
def test_a_row_of_grib_is_no_field(part):
    with pytest.raises(SchemaError, match=r"gridded field: no axes.*fix: "):
        sample_points(cfgrib_object().isel(part), [10.0], [50.0])


def test_one_time_of_grib_is_static():
    """As a user selects it for ``rasters=``."""
    one = cfgrib_object().isel(time=0, step=3)
    assert sample_points(one, [10.0], [50.0]).values == pytest.approx([truth(3, 50.0, 10.0)])


def test_mixing_ratios_become_concentrations_with_the_air_of_the_file(tmp_path):
    field = xaq.open_field(eac4_gas(tmp_path).path, "no2")
    assert "no2 from kg kg-1 to ug m-3 with the density of dry air from sp and t" in field.attrs["history"]
    assert "at level 60" in field.attrs["history"]


def test_the_state_of_the_air_may_be_in_another_file(tmp_path):
    whole = xr.open_dataset(eac4_gas(tmp_path).path)
    whole[["sp", "t"]].isel(level=0, drop=True).to_netcdf(tmp_path / "surface.nc")
    whole[["no2"]].to_netcdf(tmp_path / "only.nc")
    field = xaq.open_field([tmp_path / "only.nc", tmp_path / "surface.nc"], "no2")
    np.testing.assert_allclose(field, values(HOURS[::3], lat=LAT[::-1]), rtol=1e-5)


def test_a_mixing_ratio_without_air_is_no_background(tmp_path):
    path = eac4_gas(tmp_path, surface=False).path
    field = xaq.open_field(path)
    assert field.attrs["units"] == "kg kg-1"
    ds = xaq.datasets.synthetic(n_stations=6, days=1, seed=2).isel(time=slice(0, 22)).rename(pm25="no2")
    with pytest.raises(SchemaError, match=r"'kg kg-1'.*fix: xaq.open_field\(\['field.nc', 'surface.nc'\]\)"):
        ds.aq.reanalyze("idw", grid=1.0, background=field)


# -- forecasts -------------------------------------------------------------------------------------------------------------


def test_of_overlapping_leads_the_shortest_is_taken(tmp_path):
    field = xaq.open_field(cams_global(tmp_path).path)
    np.testing.assert_array_equal(hours_of(field), np.arange(0, 37, 3))
    np.testing.assert_array_equal(field.forecast_period / np.timedelta64(1, "h"), [0, 3, 6, 9, *range(0, 25, 3)])


def test_a_lead_is_the_least_one(tmp_path):
    path = cams_global(tmp_path).path
    field = xaq.open_field(path, lead="12h")
    np.testing.assert_array_equal(hours_of(field), np.arange(12, 37, 3))
    leads = np.r_[12, 15, 18, 21, 12:25:3]
    np.testing.assert_array_equal(field.forecast_period / np.timedelta64(1, "h"), leads)
    np.testing.assert_allclose(field[:, 0, 0], truth(hours_of(field), 48.0, 8.0) + 0.125 * leads, rtol=1e-5)
    with pytest.raises(SchemaError, match="the longest lead is 24 h; fix: lead='24h'"):
        xaq.open_field(path, lead="25h")


def test_forecasts_of_several_days_are_joined_by_lead(tmp_path):
    for day in ("20200102", "20200101"):
        cams_europe(tmp_path, "FORECAST", day, np.arange(49), error=0.125)
    paths = str(tmp_path / "FORECAST_*.nc")
    field = xaq.open_field(paths)
    np.testing.assert_array_equal(field.forecast_period / np.timedelta64(1, "h"), [*range(24), *range(49)])
    day_ahead = xaq.open_field(paths, lead=pd.Timedelta("24h"))
    np.testing.assert_array_equal(hours_of(day_ahead), np.arange(24, 73))
    leads = day_ahead.forecast_period.values / np.timedelta64(1, "h")
    np.testing.assert_array_equal(leads, [*range(24, 48), *range(24, 49)])
    np.testing.assert_allclose(day_ahead[:, 0, 0], truth(hours_of(day_ahead), 48.0, -20.0) + 0.125 * leads, rtol=1e-5)


@pytest.mark.parametrize("kind", ["ANALYSIS", "FORECAST"])
def test_the_date_may_be_in_an_attribute_of_the_file_only(tmp_path, kind):
    ds = xr.open_dataset(cams_europe(tmp_path, kind).path, decode_timedelta=True)
    del ds.time.attrs["long_name"]
    assert xaq.open_field(ds).time.values[5] == DAY + 5 * HOUR
    del ds.attrs[kind]
    with pytest.raises(SchemaError, match="a date that the file does not state") as error:
        xaq.open_field(ds)
    fixed = eval(str(error.value).split("fix: ")[1].split(", with")[0], {"ds": ds, "np": np})
    assert xaq.open_field(fixed).time.values[5] == DAY + 5 * HOUR


# -- NASA ------------------------------------------------------------------------------------------------------------------


def test_the_sum_of_pm25_is_that_of_its_authors(tmp_path):
    ds = xaq.open_field(merra2(tmp_path).path)
    parts = ds.DUSMASS25 + ds.OCSMASS + ds.BCSMASS + ds.SSSMASS25 + ds.SO4SMASS * 1.3756
    np.testing.assert_allclose(ds.pm25, parts, rtol=1e-4)
    assert {v.attrs["units"] for v in ds.data_vars.values()} == {"ug m-3"}
    assert "its centre, 0 days 00:30:00 later" in ds.attrs["history"]


def test_three_hourly_means_and_instants_of_merra(tmp_path):
    ds = xr.open_dataset(merra2(tmp_path).path)
    three = ds.isel(time=slice(1, None, 3))
    three.time.attrs.update(begin_time=13000, time_increment=30000)
    np.testing.assert_array_equal(hours_of(xaq.open_field(three)), HOURS[::3])
    for begin in (0, 30000):
        attrs = {"begin_time": begin, "time_increment": 10000}
        instants = ds.assign_coords(time=("time", DAY + HOURS * HOUR, attrs))
        np.testing.assert_array_equal(hours_of(xaq.open_field(instants)), HOURS)
    later = ds.isel(time=slice(3, None))
    later.time.attrs["begin_time"] = 33000
    np.testing.assert_array_equal(hours_of(xaq.open_field(later)), HOURS[3:])


def test_merra_of_giovanni_is_known_by_the_name_of_its_variable(tmp_path):
    ds = xr.open_dataset(merra2(tmp_path).path)[["BCSMASS"]].drop_attrs()
    ds = ds.rename(BCSMASS="M2T1NXAER_5_12_4_BCSMASS")
    np.testing.assert_array_equal(hours_of(xaq.open_field(ds)), HOURS)
    moved = ds.assign_coords(time=ds.time - HOUR // 2)
    np.testing.assert_array_equal(hours_of(xaq.open_field(moved)), HOURS)


def test_a_level3_product_takes_its_day_from_attributes_or_its_name(tmp_path):
    by_attribute = level3(tmp_path, "g4.nc", start_time="2020-01-05T00:00:00Z", end_time="2020-01-05T23:59:59Z").path
    assert xaq.open_field(by_attribute).time.values == np.datetime64("2020-01-05")
    assert xaq.open_field(level3(tmp_path).path).isnull().sum() == 1
    with pytest.raises(SchemaError, match=r"without a date") as error:
        xaq.open_field(level3(tmp_path, "omi.nc").path)
    ds = xr.open_dataset(tmp_path / "omi.nc")
    fixed = eval(str(error.value).split("fix: ")[1].split(", with")[0], {"ds": ds, "np": np})
    assert xaq.open_field(fixed).time.values == DAY


def test_missing_values_of_hdfeos_are_missing(tmp_path):
    assert xaq.open_field(hdfeos(tmp_path).path).isnull().sum() == 1


def test_a_mean_over_a_year_has_no_time(tmp_path):
    path = level3(tmp_path, start_time="2009-12-31T00:00:00Z", end_time="2010-12-31T23:59:59Z").path
    assert xaq.open_field(path).dims == ("lat", "lon")


PERIODS = {
    "only its beginning": ("g4.nc", {"time_coverage_start": "2020-01-01T00:00:00Z"}),
    "two days": ("g4.nc", {"start_time": "2020-01-01", "end_time": "2020-01-02"}),
    "in its name": ("g4.timeAvgMap.OMNO2d_003.20200101-20200131.8E_48N_12E_52N.nc", {}),
    "a month": ("MOD08_M3.A2020001.061.nc", {}),
    "range": ("g4.nc", {"RangeBeginningDate": "2020-01-01", "RangeEndingDate": "2020-01-31"}),
    "only the beginning of its range": ("g4.nc", {"RangeBeginningDate": "2020-01-01"}),
}


@pytest.mark.parametrize(("name", "attrs"), PERIODS.values(), ids=PERIODS)
def test_a_product_of_a_period_has_no_time(tmp_path, name, attrs):
    field = xaq.open_field(level3(tmp_path, name, **attrs).path)
    assert field.dims == ("lat", "lon")
    assert "without a time" in field.attrs["history"]


@pytest.mark.parametrize(
    "attrs",
    [
        {"start_time": "2020-01-01", "end_time": "2020-01-01"},
        {"time_coverage_start": "2020-01-01T00:00:00Z", "time_coverage_end": "2020-01-02T00:00:00Z"},
        {"RangeBeginningDate": "2020-01-01", "RangeEndingDate": "2020-01-01"},
        {"RangeBeginningDate": "2020-01-01", "RangeEndingDate": "2020-01-02", "RangeEndingTime": "00:00:00.000000"},
    ],
)
def test_a_product_of_one_day_has_its_day(tmp_path, attrs):
    assert xaq.open_field(level3(tmp_path, "g4.nc", **attrs).path).time.values == DAY


@pytest.mark.parametrize(
    "dates", [{}, {"time_coverage_start": "2020-01-01"}, {"start_time": "2020-01-01", "end_time": "2020-01-01"}]
)
def test_a_map_that_a_user_has_opened_stays_static(dates):
    land = xr.DataArray(
        np.random.default_rng(0).random((30, 40)), {"lat": np.arange(30) / 5 + 47.0, "lon": np.arange(40) / 4 + 5.0}
    )
    ds = land.to_dataset(name="lc").assign_attrs(processing_level="L3", **dates)
    assert Gridded.of(ds).is_static
    stations = xaq.datasets.synthetic(n_stations=6, days=1)
    assert stations.aq.sample(ds, name="lc").lc.dims == ("station",)
    assert stations.aq.train("pm25", rasters={"lc": ds}) is not None
    assert (xaq.open_field(ds).dims == ("lat", "lon")) == ("end_time" not in dates)


def test_level3_products_of_several_days_are_joined(tmp_path):
    for day in ("20200102", "20200101"):
        level3(tmp_path, f"g4.subsetted.MOD08_D3.{day}.8E_48N_12E_52N.nc")
    field = xaq.open_field(str(tmp_path / "g4.*.nc"))
    np.testing.assert_array_equal(field.time, [np.datetime64("2020-01-01"), np.datetime64("2020-01-02")])


# -- several files and variables -----------------------------------------------------------------------------------------------


def test_variables_are_chosen_by_name(tmp_path):
    path = era5_cds(tmp_path, variables=("t2m", "u10", "v10")).path
    assert [*xaq.open_field(path).data_vars] == ["t2m", "u10", "v10"]
    assert [*xaq.open_field(path, ["u10", "t2m"]).data_vars] == ["u10", "t2m"]
    assert [*xaq.open_field(path, ["u10"]).data_vars] == ["u10"]
    assert xaq.open_field(path, "u10").name == "u10"
    with pytest.raises(SchemaError, match="no variable 'wind'; there are t2m, u10, v10; fix: variable='t2m'"):
        xaq.open_field(path, "wind")
    ds = xaq.datasets.synthetic(n_stations=6, days=1).isel(time=slice(0, 22))
    with pytest.raises(SchemaError, match=r"which variable.*t2m, u10, v10"):
        ds.aq.sample(xaq.open_field(path))
    assert "u10" in ds.aq.sample(xr.open_dataset(path), name="u10")


def test_files_of_other_variables_lie_side_by_side(tmp_path):
    wind, heat = era5_cds(tmp_path, "wind.nc", variables=("u10", "v10")).path, era5_cds(tmp_path, "t.nc").path
    assert {*xaq.open_field([wind, heat]).data_vars} == {"u10", "v10", "t2m"}
    assert [*xaq.open_field([heat, wind], ["v10", "t2m"]).data_vars] == ["v10", "t2m"]
    sums = era5_cds(tmp_path, "sums.nc", variables=("tp",), step="accum").path
    with pytest.raises(
        SchemaError, match=r"differ in their times or grids: t2m from 2020-01-01T00.*tp from 2019-12-31T23"
    ):
        xaq.open_field([heat, sums])
    assert xaq.open_field([heat, sums], variable="tp").time.values[0] == DAY - HOUR


def test_files_that_overlap_or_differ_are_refused(tmp_path):
    path = era5_cds(tmp_path).path
    shutil.copy(path, tmp_path / "again.nc")
    with pytest.raises(SchemaError, match="24 of 48 times occur more than once, the first of them 2020-01-01T00:00"):
        xaq.open_field([path, tmp_path / "again.nc"])
    xr.open_dataset(path).isel(latitude=slice(0, 5)).to_netcdf(tmp_path / "south.nc")
    with pytest.raises(SchemaError, match="on different grids"):
        xaq.open_field([path, tmp_path / "south.nc"])


def test_a_zarr_store_opens_too(tmp_path):
    xr.open_dataset(eac4(tmp_path).path).drop_encoding().to_zarr(tmp_path / "eac4.zarr")
    assert xaq.open_field(tmp_path / "eac4.zarr").name == "pm25"


def test_what_was_opened_is_opened_again_without_a_change(tmp_path):
    for make in MAKERS.values():
        made = make(tmp_path)
        once = xaq.open_field(made.path, made.name)
        xr.testing.assert_identical(xaq.open_field(once), once)


# -- any axes --------------------------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(
    first=st.sampled_from([-180.0, -170.0, 0.0, 8.0, 340.0, 355.0]),
    turn=st.sampled_from(["canonical", "0..360", "as it is"]),
    north_first=st.booleans(),
    whole=st.booleans(),
    small=st.booleans(),
)
def test_any_axes_give_the_same_values(first, turn, north_first, whole, small):
    lon = first + np.arange(0.0, 360.0 if whole else 30.0, 5.0)
    expected = np.cos(np.radians(lon))
    axis = {"canonical": (lon + 180) % 360 - 180, "0..360": lon % 360, "as it is": lon}[turn]
    lat = np.arange(40.0, 61.0, 5.0)[:: -1 if north_first else 1]
    array = xr.DataArray(
        (expected + 0 * lat[:, None])[None], {"time": [DAY], "latitude": lat, "longitude": axis},
        ("time", "latitude", "longitude"), "t2m",
    )  # fmt: skip
    array = array.astype("f4") if small else array
    field = xaq.open_field(array)
    assert (np.diff(field.lon) > 0).all()
    assert (np.diff(field.lat) > 0).all()
    inner = slice(1, -1)
    made = sample_points(field, lon[inner], np.full(len(lon), 50.0)[inner])
    np.testing.assert_allclose(made[:, 0], expected[inner], atol=1e-6)


def test_opening_a_file_computes_nothing(tmp_path, no_compute):
    assert xaq.open_field(cams_europe(tmp_path, "FORECAST").path).chunks is not None
    assert xaq.open_field(eac4(tmp_path).path).chunks is not None
    assert xaq.open_field(cams_global(tmp_path).path).chunks is not None
