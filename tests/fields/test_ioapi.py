"""Files of the I/O API (CMAQ): times, projections, layers, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyproj import CRS, Transformer

import xaq
from xaq.errors import SchemaError
from xaq.fields import ioapi
from xaq.fields.gridded import Gridded
from xaq.fields.sample import sample_points

LAMBERT = {"GDTYP": 2, "P_ALP": 33.0, "P_BET": 45.0, "P_GAM": -97.0, "XCENT": -97.0, "YCENT": 40.0}


def cmaq(
    grid=LAMBERT,
    flags=((2016366, 230000), (2017001, 0), (2017001, 10000)),
    layers=1,
    origin=(-240e3, -360e3),
    cell=12e3,
):
    """Return a file as CMAQ writes it, of 40 columns and 30 rows."""
    shape = (len(flags), layers, 30, 40)
    values = np.random.default_rng(0).random(shape, "f4") + 10.0 * np.arange(layers)[:, None, None]
    attrs = {"units": "ppbV            ", "long_name": "O3              ", "var_desc": "ozone" + 75 * " "}
    tflag = np.repeat(np.array(flags, "i4")[:, None], 1, axis=1)
    return xr.Dataset(
        {
            "TFLAG": (("TSTEP", "VAR", "DATE-TIME"), tflag, {"units": "<YYYYDDD,HHMMSS>"}),
            "O3": (("TSTEP", "LAY", "ROW", "COL"), values, attrs),
        },
        attrs={
            "FTYPE": 1, "SDATE": flags[0][0], "STIME": flags[0][1], "TSTEP": 10000, "NCOLS": 40, "NROWS": 30, "NLAYS": layers,
            **grid, "XORIG": origin[0], "YORIG": origin[1], "XCELL": cell, "YCELL": cell, "GDNAM": "12US1           ",
            "VAR-LIST": "O3              ",
        },
    )  # fmt: skip


def places(ds, crs):
    """Return the longitudes and latitudes of all centres from the attributes."""
    a = ds.attrs
    x, y = (a[f"{n}ORIG"] + (np.arange(ds.sizes[d]) + 0.5) * a[f"{n}CELL"] for n, d in (("X", "COL"), ("Y", "ROW")))
    crs = f"{crs} +R=6370000" if isinstance(crs, str) else crs
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*np.meshgrid(x, y))


# -- times ---------------------------------------------------------------------------------------------------------------


def test_flags_are_times_in_utc_over_the_turn_of_a_leap_year():
    field = xaq.open_field(cmaq())
    expected = ["2016-12-31T23", "2017-01-01T00", "2017-01-01T01"]
    np.testing.assert_array_equal(field.time, np.array(expected, "datetime64[s]"))


def test_every_flag_is_its_day_and_second():
    rng = np.random.default_rng(0)
    day, second = rng.integers(0, 366, 300), rng.integers(0, 86400, 300)
    clock = second // 3600 * 10000 + second // 60 % 60 * 100 + second % 60
    times = ioapi.normalise(cmaq(flags=[*zip(2020001 + day, clock, strict=True)])).time.values
    expected = np.datetime64("2020-01-01", "s") + (86400 * day + second).astype("timedelta64[s]")
    np.testing.assert_array_equal(times, expected)


def test_without_flags_times_are_those_of_the_attributes(tmp_path):
    ds = cmaq().drop_vars("TFLAG").assign_attrs(SDATE=2016197, STIME=123000, TSTEP=240000)
    ds.to_netcdf(tmp_path / "emis.nc")
    expected = np.array(["2016-07-15T12:30", "2016-07-16T12:30", "2016-07-17T12:30"], "datetime64[s]")
    np.testing.assert_array_equal(xaq.open_field(tmp_path / "emis.nc").time, expected)
    # Of a selection the attributes do not say which times it has.
    opened = xr.open_dataset(tmp_path / "emis.nc")
    np.testing.assert_array_equal(Gridded.of(opened).times, expected)
    for part in (opened.isel(TSTEP=slice(1, 3)), opened.coarsen(TSTEP=3).mean(), ds):
        with pytest.raises(SchemaError, match=r"no TFLAG, and \d times that may be a selection") as error:
            Gridded.of(part)
        fix = str(error.value).split(", or ")[1].split("), with")[0] + ")"
        assert Gridded.of(eval(fix, {"ds": part, "pd": pd})).times[0] == np.datetime64("2016-07-15")


def test_means_of_flags_are_no_times(tmp_path):
    ds = cmaq(flags=[(2016197, hour * 10000) for hour in range(24)])
    for part in (ds.coarsen(TSTEP=24).mean(), ds.coarsen(TSTEP=4).mean()):
        with pytest.raises(
            SchemaError, match=r"TFLAG is \[2016197.0, 1?15?000.0\] at the first of \d times, .*not their means"
        ):
            Gridded.of(part)
    with pytest.raises(SchemaError, match="not their means"):
        Gridded.of(cmaq(flags=((2016197, 7000),)))
    floats = ds.assign(TFLAG=ds.TFLAG.astype(float))
    with pytest.raises(SchemaError) as error:
        Gridded.of(floats)
    fixed = eval("ds.assign" + str(error.value).split("ds.assign")[1].split(", if")[0], {"ds": floats})
    np.testing.assert_array_equal(Gridded.of(fixed).times, Gridded.of(ds).times)
    ds.to_netcdf(tmp_path / "conc.nc")
    days = xaq.open_field(tmp_path / "conc.nc").resample(time="1D").mean()
    assert Gridded.of(days).times == np.datetime64("2016-07-15")


def test_one_time_and_the_mean_of_all_have_no_time():
    ds = cmaq()
    for part in (ds.isel(TSTEP=0), ds.mean("TSTEP", keep_attrs=True)):
        assert Gridded.of(part, "O3").is_static


def test_a_file_without_a_step_is_static():
    ds = cmaq(flags=((0, 0),)).assign_attrs(TSTEP=0)
    field = xaq.open_field(ds)
    assert field.dims == ("y", "x")
    assert Gridded.of(field).is_static


# -- grids ---------------------------------------------------------------------------------------------------------------


def grid_of(kind, alpha, beta, gamma, lon, lat):
    return {"GDTYP": kind, "P_ALP": alpha, "P_BET": beta, "P_GAM": gamma, "XCENT": lon, "YCENT": lat}


PROJECTIONS = [
    (LAMBERT, "+proj=lcc +lat_1=33 +lat_2=45 +lat_0=40 +lon_0=-97"),
    (grid_of(2, 33.0, 45.0, -90.0, -97.0, 40.0), None),  # its origin lies beside the central meridian
    (grid_of(6, 1.0, 45.0, -98.0, -98.0, 90.0), "+proj=stere +lat_0=90 +lat_ts=45 +lon_0=-98"),
    (grid_of(6, -1.0, -71.0, 20.0, 20.0, -90.0), "+proj=stere +lat_0=-90 +lat_ts=-71 +lon_0=20"),
    (grid_of(7, 10.0, 0.0, 110.0, 110.0, 0.0), "+proj=merc +lat_ts=10 +lon_0=110"),
    (grid_of(8, 0.0, 0.9996, 15.0, 15.0, 50.0), "+proj=tmerc +lat_0=50 +k=0.9996 +lon_0=15"),
    (grid_of(9, 29.5, 45.5, -96.0, -96.0, 23.0), "+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96"),
]


@pytest.mark.parametrize(("grid", "proj"), PROJECTIONS)
def test_each_cell_is_where_its_projection_has_it(grid, proj):
    ds = cmaq(grid)
    field = xaq.open_field(ds)
    crs = CRS.from_user_input(field.rio.crs)
    lon, lat = places(ds, crs if proj is None else proj)
    assert crs.ellipsoid.semi_major_metre == crs.ellipsoid.semi_minor_metre == 6_370_000
    np.testing.assert_allclose(field.lon, lon, atol=1e-6)
    np.testing.assert_allclose(field.lat, lat, atol=1e-6)
    made = sample_points(field, lon.ravel(), lat.ravel(), method="nearest").values
    np.testing.assert_array_equal(made, ds.O3.values.reshape(3, -1).T)
    # The origin of the axes is at the centre that the attributes give.
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(grid["XCENT"], grid["YCENT"])
    np.testing.assert_allclose([x, y], 0.0, atol=1.0)


def test_longitude_and_latitude_are_axes():
    grid = dict.fromkeys(("P_ALP", "P_BET", "P_GAM", "XCENT", "YCENT"), 0.0) | {"GDTYP": 1}
    field = xaq.open_field(cmaq(grid, origin=(5.0, 45.0), cell=0.25))
    assert field.dims == ("time", "lat", "lon")
    assert (field.lon.values[0], field.lat.values[-1]) == (5.125, 52.375)


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_places_in_the_file_that_are_not_those_of_the_attributes_are_used(shift):
    ds = cmaq()
    lon, lat = places(ds, PROJECTIONS[0][1])
    own = {"LON": lon + shift, "LAT": lat}
    ds = ds.assign({n: (("ROW", "COL"), v.astype("f4")) for n, v in own.items()})
    field = xaq.open_field(ds, "O3")
    assert (field.rio.crs is None) == bool(shift)
    made = sample_points(field, (lon + shift).ravel(), lat.ravel(), method="nearest").values
    np.testing.assert_array_equal(made, ds.O3.values.reshape(3, -1).T)


PARTS = {
    "a subset": lambda ds: ds.isel(ROW=slice(10, 20), COL=slice(20, 40)),
    "every second cell": lambda ds: ds.isel(COL=slice(None, None, 2)),
    "means of four cells": lambda ds: ds.coarsen(ROW=2, COL=2).mean(keep_attrs=True).assign(TFLAG=ds.TFLAG),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("grid", [LAMBERT, {**LAMBERT, "GDTYP": 1}])
def test_the_grid_of_the_file_is_not_that_of_a_part(part, grid):
    ds = cmaq(grid, **({"origin": (5.0, 45.0), "cell": 0.25} if grid["GDTYP"] == 1 else {}))
    with pytest.raises(SchemaError, match=r"COL has 20 of 40 cells.* fix: xaq.open_field\(path\)"):
        Gridded.of(part(ds), "O3")
    with pytest.raises(SchemaError, match="COL has 20 of 40 cells"):
        xaq.open_field(part(ds))


def test_a_file_that_was_cut_is_read_with_the_edges_of_its_first_cell():
    ds = cmaq()
    cut = ds.isel(ROW=slice(10, 20), COL=slice(20, 40))
    with pytest.raises(SchemaError) as error:
        xaq.open_field(cut)
    fix = "ds.assign_attrs" + str(error.value).split("ds.assign_attrs")[1].split(", with")[0]
    fix = fix.replace("XORIG=...", "XORIG=0.0").replace("YORIG=...", "YORIG=-240e3")
    xr.testing.assert_allclose(
        xaq.open_field(eval(fix, {"ds": cut})), xaq.open_field(ds).isel(y=slice(10, 20), x=slice(20, 40))
    )


@pytest.mark.parametrize("part", [*PARTS.values(), lambda ds: ds.isel(ROW=slice(None, None, -1))])
def test_a_part_with_its_own_places_is_where_they_are(part):
    ds = cmaq()
    lon, lat = places(ds, PROJECTIONS[0][1])
    cut = part(ds.assign(LON=(("ROW", "COL"), lon), LAT=(("ROW", "COL"), lat)))
    made = sample_points(
        xaq.open_field(cut, "O3"), cut.LON.values.ravel(), cut.LAT.values.ravel(), method="nearest"
    ).values
    np.testing.assert_allclose(made, cut.O3.values.reshape(3, -1).T, rtol=1e-6)


def test_of_several_layers_the_lowest_is_taken_and_history_says_so():
    ds = cmaq(layers=5)
    field = xaq.open_field(ds)
    assert float(field.max()) < 1.0
    assert "the lowest of 5 levels (LAY=0)" in field.attrs["history"]


# -- as they are opened ----------------------------------------------------------------------------------------------------


def test_a_file_on_disk_and_an_opened_one_are_the_same_field(tmp_path):
    ds = cmaq()
    before = ds.copy(deep=True)
    ds.to_netcdf(tmp_path / "CCTM_ACONC.nc")
    fields = [xaq.open_field(tmp_path / "CCTM_ACONC.nc"), xaq.open_field(ds), ds]
    lon, lat = (v.ravel()[[50, 700, 1100]] + 0.03 for v in places(ds, PROJECTIONS[0][1]))
    made = [sample_points(f, lon, lat).values for f in fields]
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])
    xr.testing.assert_identical(ds, before)
    assert fields[0].chunks is not None
    assert fields[0].attrs["long_name"] == "O3"
    assert Gridded.of(ds, "O3").units == fields[0].attrs["units"]


def test_a_background_of_cmaq_is_read_at_stations_and_cells():
    ds = xaq.datasets.synthetic(n_stations=12, days=2)
    grid = {**LAMBERT, "P_GAM": 10.0, "XCENT": 10.0, "YCENT": 50.0}
    hours = [(2020001 + h // 24, h % 24 * 10000) for h in range(48)]
    file = cmaq(grid, hours, origin=(-600e3, -450e3), cell=30e3)
    file = file.assign(PM25=file.O3.assign_attrs(units="micrograms/m**3")).drop_vars("O3")
    cube = ds.aq.reanalyze("kriging", target="pm25", grid=1.0, background=file, time="2020-01-01")
    assert np.isfinite(cube.pm25).all()


# -- errors ------------------------------------------------------------------------------------------------------------


def test_what_is_no_gridded_file_is_refused():
    with pytest.raises(SchemaError, match="FTYPE is 2, expected 1"):
        xaq.open_field(cmaq().assign_attrs(FTYPE=2))
    ds = cmaq().drop_vars("TFLAG")
    del ds.attrs["SDATE"], ds.attrs["STIME"]
    with pytest.raises(SchemaError, match="no TFLAG, and no SDATE, STIME"):
        xaq.open_field(ds)


def test_another_projection_is_refused_and_given_by_hand():
    ds = cmaq({**LAMBERT, "GDTYP": 4})
    with pytest.raises(SchemaError, match="GDTYP is 4, expected 1") as error:
        xaq.open_field(ds)
    fix = str(error.value).split("fix: ")[1]
    made = eval(fix, {"ds": ds.isel(TSTEP=0, LAY=0), "np": np, "its_crs": f"{PROJECTIONS[0][1]} +R=6370000"})
    lon, lat = (v[3, 4] for v in places(ds, PROJECTIONS[0][1]))
    assert sample_points(made["O3"], [lon], [lat]).item() == pytest.approx(float(ds.O3[0, 0, 3, 4]), abs=1e-4)


def test_a_flag_that_is_no_date_is_refused_and_made_static():
    ds = cmaq(flags=((-635, 0),))
    with pytest.raises(SchemaError, match="-635 is no date YYYYDDD") as error:
        xaq.open_field(ds)
    made = eval(str(error.value).split("fix: ")[1].split(", if")[0], {"ds": ds})
    assert Gridded.of(made).is_static


def test_a_variable_alone_has_lost_its_grid_and_the_message_says_where_it_is():
    with pytest.raises(SchemaError, match=r"no axes .* fix: pass the dataset that it is from") as error:
        sample_points(cmaq().O3, [10.0], [50.0])
    assert "xaq.open_field(ds, 'O3')" in str(error.value)
