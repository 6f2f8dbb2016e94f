"""Curvilinear grids as they are: laws of positions and of sampling, holes, edges, and fields in any order."""

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

import xaq
from xaq.errors import SchemaError, XaqWarning
from xaq.fields.curvilinear import Curvilinear
from xaq.fields.gridded import Gridded
from xaq.fields.sample import sample_points

CELL = 10_000.0
SHAPE = (30, 40)


def projected(lon, lat, turn):
    """Return the transformer of a rotated plane around a place: its x and y are metres, its longitudes degrees."""
    crs = f"+proj=omerc +lat_0={lat} +lonc={lon} +alpha={turn} +gamma=0 +R=6370000 +units=m"
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def linear(x, y):
    return 3.0 + x / CELL - 2.0 * y / CELL


def rotated(lon=10.0, lat=50.0, turn=30.0, shape=SHAPE):
    """Return a field that is linear in x and y of a rotated plane, with its two-dimensional places, and the plane."""
    plane = projected(lon, lat, turn)
    x, y = np.meshgrid(*((np.arange(n) - n / 2) * CELL for n in shape[::-1]))
    places = plane.transform(x, y)
    coords = {"lon": (("j", "i"), places[0]), "lat": (("j", "i"), places[1])}
    return xr.DataArray(linear(x, y), coords, ("j", "i"), "q", {"units": "1"}), plane


def inside(n, seed=0, shape=SHAPE):
    """Return x and y between the outermost centres."""
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(-k / 2, k / 2 - 1, n) * CELL for k in shape[::-1])


# -- laws --------------------------------------------------------------------------------------------------------------


@given(st.floats(-180, 180), st.floats(-88, 88), st.floats(5, 85))
def test_a_linear_function_is_reproduced_on_any_rotated_grid(lon, lat, turn):
    field, plane = rotated(lon, lat, turn)
    x, y = inside(50)
    made = sample_points(field, *plane.transform(x, y))
    np.testing.assert_allclose(made, linear(x, y), atol=2e-3)


def orders(field):
    yield "rows backwards", field[::-1]
    yield "columns backwards", field[:, ::-1]
    yield "transposed", field.transpose("i", "j")
    yield "its places transposed", field.assign_coords(lon=field.lon.T)
    yield "both transposed", field.assign_coords(lon=field.lon.T, lat=field.lat.T)
    yield "longitudes a turn away", field.assign_coords(lon=field.lon + 360.0)
    yield "0..360", field.assign_coords(lon=field.lon % 360.0)
    yield "float32", field.assign_coords(lon=field.lon.astype("f4"), lat=field.lat.astype("f4"))
    yield "a level", field.expand_dims(level=[1000])
    yield "other names", field.rename(lon="longitude", lat="latitude", j="y", i="x")
    yield "y called x", field.rename(j="x", i="y")
    yield "counted cells", field.assign_coords(j=np.arange(1, 31), i=np.arange(40, 0, -1))
    yield "lazy", field.chunk(j=10)
    yield (
        "once per time",
        field.expand_dims(time=1)
        .pipe(lambda f: f.assign_coords(lon=f.lon.expand_dims(time=1), lat=f.lat.expand_dims(time=1)))
        .assign_coords(time=[np.datetime64("2020-01-01", "s")]),
    )


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
@pytest.mark.parametrize("lon", [0.1, 179.9])
def test_a_grid_gives_the_same_values_in_any_order(lon, method):
    field, plane = rotated(lon)
    at = plane.transform(*inside(60))
    expected = sample_points(field, *at, method=method).values
    for name, same in orders(field):
        made = sample_points(same, *at, method=method).values.reshape(60)
        np.testing.assert_allclose(made, expected, atol=2e-3, err_msg=name)


def test_a_grid_is_the_same_field_in_any_order():
    field, _ = rotated()
    same = [f for name, f in orders(field) if name not in ("float32", "once per time")]
    assert len({Gridded.of(f).hash for f in [field, *same]}) == 1
    others = (field + 1.0, field.assign_coords(lat=field.lat + 0.1), field.assign_attrs(units="2"))
    assert Gridded.of(field).hash not in {Gridded.of(f).hash for f in others}


def test_two_grids_with_the_same_values_are_two_fields_in_a_graph():
    field, _ = rotated()
    gridded = [Gridded.of(f) for f in (field, field.assign_coords(lat=field.lat + 0.1), field)]
    tokens = [g.__dask_tokenize__() for g in gridded]
    assert tokens[0] == tokens[2] != tokens[1]


def test_centres_have_the_values_of_their_cells():
    field, _ = rotated()
    rng = np.random.default_rng(0)
    field[:] = rng.random(SHAPE)
    for method in ("bilinear", "nearest"):
        made = sample_points(field, field.lon.values.ravel(), field.lat.values.ravel(), method=method)
        np.testing.assert_array_equal(made, field.values.ravel().astype("f4"))


def test_between_centres_values_lie_between_those_of_four_cells():
    field, plane = rotated()
    field[:] = np.random.default_rng(0).random(SHAPE)
    x, y = inside(500)
    made = sample_points(field, *plane.transform(x, y)).values
    row, column = (np.floor(v / CELL + n / 2).astype(int) for v, n in zip((y, x), SHAPE, strict=True))
    corners = np.stack([field.values[row + i, column + j] for i in (0, 1) for j in (0, 1)])
    # A point beside a line between centres is on one side of it on the plane, on the other one on the sphere.
    assert np.mean((made >= corners.min(axis=0) - 1e-3) & (made <= corners.max(axis=0) + 1e-3)) > 0.99


def test_a_regular_grid_gives_the_values_that_it_has_by_its_axes():
    lon, lat = np.arange(5.0, 15, 0.5), np.arange(45.0, 52, 0.5)
    values = np.random.default_rng(0).random((len(lat), len(lon)))
    axes = xr.DataArray(values, {"lat": lat, "lon": lon}, ("lat", "lon"), "q")
    places = dict(zip(("lon", "lat"), ((("y", "x"), v) for v in np.meshgrid(lon, lat)), strict=True))
    grid = xr.DataArray(values, places, ("y", "x"), "q")
    x, y = np.random.default_rng(1).uniform([4.8, 44.8], [14.7, 51.7], (200, 2)).T
    # On the sphere the line between two centres at one latitude bends to the pole, by 0.0005 degrees here.
    np.testing.assert_allclose(sample_points(grid, x, y), sample_points(axes, x, y), atol=3e-3)


# -- positions ---------------------------------------------------------------------------------------------------------


def meshes():
    """Return longitudes and latitudes of grids that are hard to search."""
    columns, rows = np.meshgrid(np.arange(60.0), np.arange(40.0))
    yield "around the globe", *np.meshgrid(np.arange(0.0, 360, 6), np.arange(-87.5, 90, 5))
    polar = Transformer.from_crs("+proj=stere +lat_0=90 +R=6370000", "EPSG:4326", always_xy=True)
    yield "over a pole", *polar.transform(*np.meshgrid(np.arange(-3e6, 3e6, 2e5), np.arange(-3e6, 3e6, 2e5)))
    yield "sheared", 10 + 0.3 * columns + 0.3 * rows, 30 + 0.02 * rows
    yield (
        "uneven",
        10 + 0.1 * columns + 0.02 * np.sin(17 * columns + rows),
        40 + 0.1 * rows + 0.02 * np.cos(3 * columns),
    )
    across = 15.0 * (columns / 30 - 1) ** 3 + columns / 4
    yield "a swath over the antimeridian", (170 + across / np.cos(np.radians(rows)) + 180) % 360 - 180, rows


@pytest.mark.parametrize(("name", "lon", "lat"), list(meshes()), ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("holes", [False, True])
def test_every_position_is_found_again(name, lon, lat, holes):
    rng = np.random.default_rng(0)
    lon = np.where(holes & (rng.random(lon.shape) < 0.05), np.nan, lon)
    grid = Curvilinear(lon, lat)
    row, column = (rng.uniform(0, n - 1, 2000) for n in lon.shape)
    i, j = row.astype(int), column.astype(int)
    u, v = (row - i)[:, None], (column - j)[:, None]
    angle = np.radians(np.stack([lon, lat]))
    centre = np.stack([np.cos(angle[1]) * np.cos(angle[0]), np.cos(angle[1]) * np.sin(angle[0]), np.sin(angle[1])], -1)
    west, east = ((1 - u) * centre[i, j + k] + u * centre[i + 1, j + k] for k in (0, 1))
    x, y, z = ((1 - v) * west + v * east).T
    known = np.isfinite(x)
    assert known.mean() > (0.7 if holes else 0.999)
    found = grid.position(np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y))))
    np.testing.assert_allclose(found[0][known], column[known], atol=1e-5)
    np.testing.assert_allclose(found[1][known], row[known], atol=1e-5)
    assert np.isnan(found[0][~known]).all()


def test_on_a_grid_that_overlaps_itself_a_position_is_one_where_the_point_is_or_none():
    rng = np.random.default_rng(0)
    columns, rows = np.meshgrid(np.arange(20.0), np.arange(20.0))
    grid = Curvilinear(columns + rng.uniform(-1.5, 1.5, columns.shape), 40 + rows + rng.uniform(-1.5, 1.5, rows.shape))
    lon, lat = rng.uniform(2, 17, 500), rng.uniform(42, 57, 500)
    column, row = grid.position(lon, lat)
    there = np.isfinite(row) & (row > 0) & (row < 19) & (column > 0) & (column < 19)
    assert there.mean() > 0.5
    i, j = row[there].astype(int), column[there].astype(int)
    u, v = (row[there] - i), (column[there] - j)
    # On cells of a degree the chord between two centres lies within 0.01 degrees of the line on the map.
    for values, points in ((grid.lon, lon), (grid.lat, lat)):
        west, east = ((1 - u) * values[i, j + k] + u * values[i + 1, j + k] for k in (0, 1))
        np.testing.assert_allclose((1 - v) * west + v * east, points[there], atol=0.05)


def test_points_far_away_and_without_a_number_have_no_position_on_the_grid():
    field, _ = rotated()
    gridded = Gridded.of(field)
    lon, lat = np.array([10.0, -170.0, 10.0, 100.0, np.nan, 190.0]), np.array([50.0, -50.0, -50.0, 50.0, 50.0, -50.0])
    np.testing.assert_array_equal(gridded.outside(lon, lat), [False, True, True, True, True, True])


# -- around the globe --------------------------------------------------------------------------------------------------


def globe(first=0.5, step=1.0, warp=0.0):
    """Return a global grid of two-dimensional places, which wave by ``warp`` degrees, and its value as a function of place."""
    lon, lat = np.meshgrid(np.arange(first, first + 360.0 - step / 2, step), np.arange(-89.5, 90.0, 1.0))
    lon = lon + warp * np.sin(np.radians(4 * lat))
    return xr.DataArray(smooth(lon, lat), {"lon": (("j", "i"), lon), "lat": (("j", "i"), lat)}, ("j", "i"), "q")


def smooth(lon, lat):
    return 5.0 + np.cos(np.radians(lon - 20.0)) * np.cos(np.radians(lat))


SEAM = np.array([-0.7, -0.5, -0.2, 0.0, 0.1, 0.4, 359.9, 0.5, 1.2, 359.2, 180.0])


@pytest.mark.parametrize("warp", [0.0, 3.0])
@pytest.mark.parametrize("first", [0.5, -179.5, -359.5])
def test_a_global_grid_has_no_seam(first, warp):
    field = globe(first, warp=warp)
    lat = np.linspace(-80, 80, len(SEAM))
    for name, same in (("as it is", field), ("transposed", field.T), ("columns backwards", field[:, ::-1])):
        same = same.assign_coords(lon=same.lon.transpose(*same.dims), lat=same.lat.transpose(*same.dims))
        for at in (SEAM, SEAM + first):
            assert not Gridded.of(same).outside(at, lat).any(), name
            np.testing.assert_allclose(sample_points(same, at, lat), smooth(at, lat), atol=3e-4, err_msg=name)
            near = sample_points(same, at, lat, method="nearest")
            np.testing.assert_allclose(near, smooth(at, lat), atol=0.02, err_msg=name)


def test_a_global_grid_is_the_same_field_wherever_it_begins():
    one, other = globe(0.5), globe(0.5).roll(i=100, roll_coords=True)
    assert Gridded.of(one).hash == Gridded.of(other).hash
    lat = np.linspace(-88, 88, 300)
    lon = np.linspace(-180, 180, 300)
    np.testing.assert_allclose(sample_points(one, lon, lat), sample_points(other, lon, lat), atol=1e-6)


def test_grids_that_do_not_meet_have_ends():
    for part in (globe().isel(i=slice(0, 357)), globe().isel(i=slice(0, 180))):
        assert not Gridded.of(part).cells.closes
        assert Gridded.of(part).outside([359.0], [0.0]).all()
    assert not Gridded.of(rotated()[0]).cells.closes
    # Columns that repeat, as in the halo of an ocean model.
    whole = globe()
    halo = xr.concat([whole, whole.isel(i=[0, 1])], "i")
    assert not Gridded.of(halo).cells.closes
    assert not Gridded.of(halo).outside([0.0], [0.0]).any()


# -- edges and holes ---------------------------------------------------------------------------------------------------


def test_the_outermost_half_cell_has_the_value_of_its_centre_and_nothing_lies_beyond():
    field, plane = rotated()
    first, last = (-15.0 * CELL, 14.0 * CELL)
    y = np.array([first - 0.45 * CELL, first, last + 0.45 * CELL])
    made = sample_points(field, *plane.transform(np.zeros(3), y))
    np.testing.assert_allclose(made, linear(0.0, np.clip(y, first, last)), atol=2e-3)
    for beyond in (first - 0.55 * CELL, last + 0.55 * CELL):
        lon, lat = plane.transform(0.0, beyond)
        with pytest.raises(SchemaError, match=r"does not cover 1 of 1 points.*degrees on its curvilinear grid; fix"):
            sample_points(field, [lon], [lat])


def test_a_missing_value_is_missing_at_points_of_which_it_is_a_corner():
    field, plane = rotated()
    field[15, 20] = np.nan  # at x = y = 0
    x, y = np.array([0.0, 0.9, -0.9, 1.1, 0.0]) * CELL, np.array([0.0, 0.9, 0.5, 0.0, -1.1]) * CELL
    made = sample_points(field, *plane.transform(x, y)).values
    np.testing.assert_array_equal(np.isnan(made), [True, True, True, False, False])
    near = sample_points(field, *plane.transform(x, y), method="nearest").values
    np.testing.assert_array_equal(np.isnan(near), [True, False, False, False, False])


def test_a_cell_without_a_place_is_a_hole_that_nothing_is_interpolated_across():
    field, plane = rotated()
    placed = field.lon.copy()
    placed[15, 20] = np.nan
    holed = field.assign_coords(lon=placed)
    away = plane.transform(1.5 * CELL, 0.5 * CELL)
    assert sample_points(holed, [away[0]], [away[1]]).item() == pytest.approx(linear(1.5 * CELL, 0.5 * CELL), abs=2e-3)
    lon, lat = plane.transform(np.array([0.1, -0.5]) * CELL, np.array([0.1, -0.5]) * CELL)
    with pytest.raises(SchemaError, match="does not cover 2 of 2 points"):
        sample_points(holed, lon, lat)


# -- in the verbs ------------------------------------------------------------------------------------------------------


def in_time(periods=48, units="ug m-3"):
    """Return a field in time over the synthetic stations, and its values at places."""
    field, plane = rotated(10.0, 50.0, 30.0, (60, 80))
    hours = xr.DataArray(
        np.arange(periods), {"time": pd.date_range("2020-01-01", periods=periods, freq="h")}, ("time",)
    )
    return (100.0 + field + 0.1 * hours).transpose("time", "j", "i").assign_attrs(units=units).rename("cams"), plane


def test_stations_are_sampled_lazily(no_compute):
    ds = xaq.datasets.synthetic(n_stations=8, days=1)
    field = in_time()[0]
    made = ds.aq.sample(field.copy(data=dask.array.from_array(field.values, chunks=(6, 20, 80))))
    assert made.cams.chunks is not None
    assert made.cams.dims == ("station", "time")


def test_only_the_chunks_that_are_needed_are_loaded():
    field, plane = in_time()
    opened = []
    lazy = field.chunk(time=12, j=20, i=20)
    lazy = lazy.copy(data=lazy.data.map_blocks(lambda x: opened.append(1) or x, dtype=float, meta=np.empty((0, 0, 0))))
    lon, lat = plane.transform(np.array([-35.0, -32.0]) * CELL, np.array([-25.0, -22.0]) * CELL)
    made = sample_points(lazy, lon, lat, field.time.values[:4])
    opened.clear()
    made.compute()
    assert len(opened) == 1


def test_a_cube_over_a_curvilinear_background_is_that_background_at_its_stations_and_cells():
    ds = xaq.datasets.synthetic(n_stations=12, days=2)
    field, plane = in_time()
    cube = ds.aq.reanalyze("background", target="pm25", grid=0.5, background=field.chunk(time=12), time="2020-01-01")
    lon, lat = (v.ravel() for v in np.meshgrid(cube.lon.values, cube.lat.values))
    x, y = plane.transform(lon, lat, direction="INVERSE")
    expected = 100.0 + linear(x, y) + 0.1 * np.arange(24)[:, None]
    np.testing.assert_allclose(cube.pm25.values.reshape(24, -1), expected, atol=0.01)
    wider = xaq.Grid.regular(0.5, bounds=(2.0, 48.0, 12.0, 52.0))
    with pytest.warns(XaqWarning, match=r"does not cover .* cells of the grid"):
        cube = ds.aq.reanalyze("background", target="pm25", grid=wider, background=field, time="2020-01-01")
    lon, lat = np.meshgrid(wider.lon, wider.lat)
    np.testing.assert_array_equal(cube.pm25.isnull()[0].values, Gridded.of(field).outside(lon, lat))


# -- errors ------------------------------------------------------------------------------------------------------------


def test_errors_of_curvilinear_grids():
    field, _ = rotated()
    cases = [
        (field.isel(j=slice(0, 1)), r"two-dimensional \(j: 1, i: 40\), and no four neighbours span an area"),
        (field.assign_coords(lon=0 * field.lon, lat=0 * field.lat), "no four neighbours span an area"),
        (field.assign_coords(lon=np.nan * field.lon), "no four neighbours span an area"),
        (field.isel(j=slice(0, 0)), "are empty"),
        (field.expand_dims(member=3), r"member \(3\).*isel"),
    ]
    for bad, message in cases:
        with pytest.raises(SchemaError, match=message):
            sample_points(bad, [10.0], [50.0])


def test_marks_of_missing_places_are_refused_and_become_holes():
    field, _ = rotated()
    marked = field.lat.copy()
    marked[0, :3] = -9999.0
    with pytest.raises(SchemaError, match=r"outside -90 \.\. 90 in 3 of 1200 cells, such as -9999") as error:
        sample_points(field.assign_coords(lat=marked), [10.0], [50.0])
    fix = str(error.value).split("fix: ")[1].split(", if")[0]
    made = eval(fix, {"field": field.assign_coords(lat=marked), "np": np})
    assert sample_points(made, [10.0], [50.0]).item() == pytest.approx(linear(0.0, 0.0), abs=2e-3)
