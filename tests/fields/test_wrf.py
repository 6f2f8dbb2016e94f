"""Files of WRF and CHIMERE: times as characters, projections, staggered variables, levels."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyproj import CRS, Transformer

import xaq
from xaq.errors import SchemaError
from xaq.fields import wrf as wrf_file
from xaq.fields.gridded import Gridded
from xaq.fields.sample import sample_points

ROWS, COLUMNS, LEVELS, STEPS = 20, 30, 4, 3
LAMBERT = {"MAP_PROJ": 1, "TRUELAT1": 30.0, "TRUELAT2": 60.0, "STAND_LON": 12.0, "MOAD_CEN_LAT": 45.0, "CEN_LAT": 44.0}
TEXTS = [f"2020-02-29_{hour:02d}:00:00" for hour in (22, 23)] + ["2020-03-01_00:00:00"]
TIMES = np.array(["2020-02-29T22", "2020-02-29T23", "2020-03-01T00"], "datetime64[s]")
PROJECTIONS = [
    (LAMBERT, "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=45 +lon_0=12", (12.0, 45.0)),
    ({"MAP_PROJ": 1, "TRUELAT1": -14.0, "STAND_LON": -54.0, "CEN_LAT": -14.5}, "+proj=lcc +lat_1=-14 +lat_0=-14.5 +lon_0=-54", (-50.0, -16.0)),
    ({"MAP_PROJ": 2, "TRUELAT1": 60.0, "STAND_LON": 0.0}, "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=0", (20.0, 78.0)),
    ({"MAP_PROJ": 2, "TRUELAT1": -71.0, "STAND_LON": 0.0}, "+proj=stere +lat_0=-90 +lat_ts=-71 +lon_0=0", (20.0, -78.0)),
    ({"MAP_PROJ": 3, "TRUELAT1": 5.0, "STAND_LON": 100.0}, "+proj=merc +lat_ts=5 +lon_0=100", (101.0, 3.0)),
]  # fmt: skip


def grid(proj, centre, cell=9e3):
    """Return longitudes and latitudes of cells in a projection around a place, as the float32 of files."""
    plane = Transformer.from_crs("EPSG:4326", f"{proj} +R=6370000", always_xy=True)
    x0, y0 = plane.transform(*centre)
    x, y = np.meshgrid(x0 + cell * (np.arange(COLUMNS) - 15), y0 + cell * (np.arange(ROWS) - 10))
    return tuple(v.astype("f4") for v in plane.transform(x, y, direction="INVERSE"))


def counted(edges, axis):
    """Return a variable that counts the edges of cells along an axis."""
    dims = ["Time", "bottom_top", "south_north", "west_east"]
    shape = [STEPS, LEVELS, ROWS, COLUMNS]
    dims[axis], shape[axis] = f"{edges}_stag", shape[axis] + 1
    return dims, np.indices(shape)[axis].astype("f4"), {"units": "m s-1"}


def wrf(attrs=LAMBERT, proj=PROJECTIONS[0][1], centre=(12.0, 45.0)):
    """Return a file as WRF-Chem writes it, opened by xarray."""
    lon, lat = (np.repeat(v[None], STEPS, axis=0) for v in grid(proj, centre))
    rng = np.random.default_rng(0)
    cells = ("Time", "south_north", "west_east")
    about = {"FieldType": 104, "MemoryOrder": "XYZ", "stagger": ""}
    levels = rng.random((STEPS, LEVELS, ROWS, COLUMNS), "f4") + 10.0 * np.arange(LEVELS, dtype="f4")[:, None, None]
    near = 280.0 + rng.random((STEPS, ROWS, COLUMNS), "f4")
    return xr.Dataset(
        {
            "Times": (("Time", "DateStrLen"), np.array([list(t) for t in TEXTS], "S1")),
            "o3": (("Time", "bottom_top", *cells[1:]), levels, {**about, "units": "ppmv"}),
            "T2": (cells, near, {**about, "units": "K", "description": "TEMP at 2 M"}),
            "U": counted("west_east", 3), "V": counted("south_north", 2), "PH": counted("bottom_top", 1),
            "ZNU": (("Time", "bottom_top"), np.zeros((STEPS, LEVELS))),
        },
        {
            "XLONG": (cells, lon, {"units": "degree_east"}), "XLAT": (cells, lat, {"units": "degree_north"}),
            "XTIME": ("Time", TIMES.astype("datetime64[ns]")),
        },
        {"TITLE": " OUTPUT FROM WRF V4.1 MODEL", "DX": 9000.0, "DY": 9000.0, "GRIDTYPE": "C", **attrs},
    )  # fmt: skip


def chimere():
    """Return a file as CHIMERE writes it: whole texts, and places that are no coordinates."""
    lon, lat = grid(*PROJECTIONS[0][1:])
    cells = ("south_north", "west_east")
    values = np.random.default_rng(0).random((STEPS, 1, ROWS, COLUMNS), "f4")
    return xr.Dataset(
        {
            "lon": (cells, lon, {"units": "degrees_east"}), "lat": (cells, lat, {"units": "degrees_north"}),
            "a_vcoord": ("vcoord_dim", [0.0]), "Times": ("Time", np.array(TEXTS, "S19")),
            "pm10": (("Time", "bottom_top", *cells), values, {"units": "ug/m3", "long_name": "pm10 Concentration"}),
        },
        attrs={"Title": "CHIMERE SUITE", "Conventions": "None"},
    )  # fmt: skip


def at_centres(ds, lon="XLONG", lat="XLAT"):
    """Return the places of all cells."""
    return tuple((ds[n] if ds[n].ndim == 2 else ds[n][0]).values.ravel() for n in (lon, lat))


@pytest.mark.parametrize(("attrs", "proj", "centre"), PROJECTIONS)
def test_each_cell_is_where_the_file_says_on_axes_of_its_projection(attrs, proj, centre):
    ds = wrf(attrs, proj, centre)
    field = xaq.open_field(ds, "o3")
    assert field.dims == ("time", "y", "x")
    assert CRS.from_user_input(field.rio.crs).ellipsoid.semi_minor_metre == 6_370_000
    np.testing.assert_allclose(np.diff(field.x), 9e3, rtol=1e-3)
    # The file's places are float32, to a few metres.
    np.testing.assert_allclose(field.lat, ds.XLAT[0], atol=2e-4)
    made = sample_points(field, *at_centres(ds), method="nearest").values
    np.testing.assert_array_equal(made, ds.o3[:, 0].values.reshape(STEPS, -1).T)
    np.testing.assert_array_equal(field.time, TIMES)


@pytest.mark.parametrize(
    "attrs", [{}, {**LAMBERT, "MAP_PROJ": 6}, {**LAMBERT, "STAND_LON": 30.0}], ids=["none", "rotated", "contradicts"]
)
def test_without_a_projection_that_fits_the_places_are_those_of_the_file(attrs):
    ds = wrf(attrs)
    field = xaq.open_field(ds, "o3")
    assert field.rio.crs is None
    assert Gridded.of(field).cells is not None
    for method in ("nearest", "bilinear"):
        made = sample_points(field, *at_centres(ds), method=method).values
        np.testing.assert_array_equal(made, ds.o3[:, 0].values.reshape(STEPS, -1).T)
    on_axes = sample_points(xaq.open_field(wrf(), "o3"), [12.3, 11.4], [45.2, 44.9]).values
    np.testing.assert_allclose(sample_points(field, [12.3, 11.4], [45.2, 44.9]), on_axes, atol=2e-3)


def test_a_file_of_chimere_is_used_on_its_own_places():
    ds = chimere()
    field = xaq.open_field(ds)
    assert (field.name, field.attrs["units"]) == ("pm10", "ug m-3")
    np.testing.assert_array_equal(field.time, TIMES)
    made = sample_points(field, *at_centres(ds, "lon", "lat")).values
    np.testing.assert_array_equal(made, ds.pm10[:, 0].values.reshape(STEPS, -1).T)
    np.testing.assert_array_equal(sample_points(ds, [12.3], [45.2]), sample_points(field, [12.3], [45.2]))


@pytest.mark.parametrize(
    "times",
    [
        ("Time", np.array(TEXTS, "S19")),
        ("Time", np.array(TEXTS)),
        ("Time", np.array(TEXTS, object)),
        (("Time", "DateStrLen"), np.array([list(t) for t in TEXTS], "S1")),
        (("Time", "DateStrLen"), np.array([list(t) for t in TEXTS])),
    ],
)
def test_times_are_read_as_characters_or_texts(times):
    np.testing.assert_array_equal(xaq.open_field(wrf().assign(Times=times), "T2").time, TIMES)


def test_without_times_those_of_xtime_are_taken():
    np.testing.assert_array_equal(xaq.open_field(wrf().drop_vars("Times"), "T2").time, TIMES)


# -- levels and edges ----------------------------------------------------------------------------------------------------


def test_variables_at_edges_are_means_at_centres_on_the_lowest_level():
    made = xaq.open_field(wrf())
    assert {*made.data_vars} == {"o3", "T2", "U", "V", "PH"}
    assert all(v.dims == ("time", "y", "x") for v in made.data_vars.values())
    np.testing.assert_array_equal(made.U[0, 0], np.arange(COLUMNS) + 0.5)
    np.testing.assert_array_equal(made.V[0, :, 0], np.arange(ROWS) + 0.5)
    np.testing.assert_array_equal(made.PH, 0.5)
    assert float(made.o3.max()) < 1.0
    assert "the lowest of 4 levels (bottom_top=0)" in made.attrs["history"]
    assert "U, V, PH from edges to centres" in made.attrs["history"].replace("V, U, PH", "U, V, PH")
    assert made.T2.attrs["long_name"] == "TEMP at 2 M"
    assert "MemoryOrder" not in made.T2.attrs


def test_opening_a_lazy_file_computes_no_values_and_changes_nothing(tmp_path):
    ds = wrf()
    before = ds.copy(deep=True)
    xaq.open_field(ds)
    xr.testing.assert_identical(ds, before)
    ds.drop_vars("Times").to_netcdf(tmp_path / "wrfout_d01.nc")
    made = xaq.open_field(tmp_path / "wrfout_d01.nc")
    assert all(v.chunks is not None for v in made.data_vars.values())
    np.testing.assert_array_equal(made.o3, ds.o3[:, 0])
    with xr.open_dataset(tmp_path / "wrfout_d01.nc") as opened:
        assert wrf_file.normalise(opened).U.chunks is not None


def test_a_variable_is_chosen_by_name_from_an_opened_file():
    ds = wrf()
    lon, lat = at_centres(ds)
    for name, values in (("T2", ds.T2), ("o3", ds.o3[:, 0])):
        np.testing.assert_array_equal(Gridded.of(ds, name).at(lon, lat, TIMES), values.values.reshape(STEPS, -1).T)


def test_another_level_is_selected_before():
    ds = wrf()
    np.testing.assert_array_equal(xaq.open_field(ds.isel(bottom_top=[2]), "o3"), ds.o3[:, 2])


def test_files_of_one_time_each_are_one_field(tmp_path):
    ds = wrf()
    for i in range(STEPS):
        ds.isel(Time=[i]).to_netcdf(tmp_path / f"wrfout_d01_{i}.nc")
    field = xaq.open_field(str(tmp_path / "wrfout_d01_*.nc"), "o3")
    np.testing.assert_array_equal(field, ds.o3[:, 0])
    np.testing.assert_array_equal(field.time, TIMES)
    assert field.rio.crs is not None


def test_an_array_alone_keeps_its_places_and_times():
    ds = wrf()
    made = sample_points(ds.T2, *at_centres(ds)).values
    np.testing.assert_array_equal(made, ds.T2.values.reshape(STEPS, -1).T)
    np.testing.assert_array_equal(Gridded.of(ds.T2).times, TIMES)


# -- errors ------------------------------------------------------------------------------------------------------------


def test_a_nest_that_moves_is_read_step_by_step():
    ds = wrf()
    ds = ds.assign_coords(XLONG=ds.XLONG + 0.1 * xr.DataArray(np.arange(STEPS, dtype="f4"), dims="Time"))
    with pytest.raises(SchemaError, match=r"XLONG and XLAT are .* the same at all times") as error:
        xaq.open_field(ds)
    made = eval(str(error.value).split("fix: ")[1].split(", and")[0], {"ds": ds})
    np.testing.assert_array_equal(xaq.open_field(made, "T2")[0], ds.T2[0])


@pytest.mark.parametrize(
    ("ds", "message"),
    [
        (wrf().isel(Time=[0]).assign(Times=("Time", [b"0000-00-00_00:00:00"])), "Times has '0000-00-00_00:00:00', expected YYYY"),
        (wrf().drop_vars("Times").assign_coords(XTIME=("Time", [0.0, 60.0, 120.0])), "no Times, and XTIME has no date"),
    ],
    ids=["texts", "minutes"],
)  # fmt: skip
def test_times_without_a_date_are_refused_and_given(ds, message):
    with pytest.raises(SchemaError, match=message) as error:
        xaq.open_field(ds)
    made = eval(str(error.value).split("fix: ")[1], {"ds": ds, "pd": pd})
    assert xaq.open_field(made, "T2").time.values[0] == np.datetime64("2020-01-01")
