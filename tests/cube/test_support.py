"""Where a cube is supported: near stations, and where the trend has seen such places; the same at points and of lazy data."""

import json

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.arrays import sphere
from xaq.errors import GridError, XaqWarning
from xaq.quality.coastline import at_sea

DAY = "2005-02-08"
GRID = xaq.Grid.regular(0.25, bounds=(5.0, 46.5, 16.0, 56.5))


def said(cube):
    return json.loads(cube.attrs["xaq_provenance"])


@pytest.fixture(scope="module")
def germany():
    return xaq.datasets.load("germany").sel(time=slice("2005-01", "2005-03"))


@pytest.fixture(scope="module")
def cubes(germany):
    return {
        method: germany.aq.reanalyze(method, grid=GRID, time=DAY).compute()
        for method in ("kriging", "idw", "kriging-drift")
    }


def test_the_rule_is_named_and_its_distance_holds(cubes):
    assert said(cubes["kriging"])["max_distance_rule"] == "covariance"
    assert said(cubes["idw"])["max_distance_rule"] == "spacing"
    for cube in (cubes["kriging"], cubes["idw"]):
        limit = said(cube)["max_distance_km"]
        assert 80.0 < limit < 160.0
        np.testing.assert_array_equal(cube.supported, cube.nearest_station <= limit)
        assert "dissimilarity" not in cube


def test_land_between_the_stations_of_germany_is_supported_and_the_open_sea_is_not(germany, cubes):
    x, y = np.meshgrid(GRID.lon, GRID.lat)
    far_out = at_sea(x.ravel(), y.ravel(), 60.0).reshape(x.shape)
    _, second = sphere.nearest(germany.lon, germany.lat, x.ravel(), y.ravel(), 3)
    between = (second[:, 2].reshape(x.shape) < 100.0) & ~at_sea(x.ravel(), y.ravel(), 0.0).reshape(x.shape)
    kriging, drift = (cubes[m].supported.values.astype(bool) for m in ("kriging", "kriging-drift"))
    assert between.sum() > 500
    assert kriging[between].all()
    assert not kriging[cubes["kriging"].nearest_station.values > 160.0].any()
    assert not drift[far_out].any()
    assert drift[between].mean() > 0.85


def test_dissimilarity_of_a_cube_is_that_of_points_and_marks_what_is_beyond_its_threshold(germany, cubes):
    cube = cubes["kriging-drift"]
    attrs, limit = cube.dissimilarity.attrs, said(cube)["max_distance_km"]
    assert attrs["units"] == "1"
    assert "Meyer and Pebesma" in attrs["references"]
    inside = (cube.dissimilarity <= attrs["threshold"]) & (cube.nearest_station <= limit)
    np.testing.assert_array_equal(cube.supported.astype(bool), inside)
    assert 0.2 < float((cube.dissimilarity > attrs["threshold"]).mean()) < 0.8
    cells = cube.stack(point=("lat", "lon")).isel(point=slice(0, None, 37)).reset_index("point")
    points = germany.aq.estimate("kriging-drift", lon=cells.lon.values, lat=cells.lat.values, time=DAY).compute()
    for name in ("dissimilarity", "supported", "nearest_station"):
        np.testing.assert_allclose(points[name], cells[name], rtol=1e-5, atol=1e-6)
    assert points.dissimilarity.attrs == {k: v for k, v in attrs.items() if k != "grid_mapping"}


def test_stations_that_report_are_supported_where_they_stand(germany, cubes):
    heard = germany.isel(station=germany.pm10.notnull().any("time").values)
    for method in cubes:
        there = germany.aq.estimate(method, lon=heard.lon, lat=heard.lat, time=DAY).compute()
        assert there.supported.all()
        if method == "kriging-drift":
            np.testing.assert_allclose(there.dissimilarity, 0.0, atol=1e-6)


def test_lazy_data_give_the_same_support(germany, cubes):
    lazy = germany.chunk({"time": 60}).aq.reanalyze("kriging-drift", grid=GRID, time=DAY)
    assert said(lazy)["max_distance_rule"] is None
    for name in ("dissimilarity", "supported"):
        assert lazy[name].chunks is not None
        np.testing.assert_array_equal(lazy[name].compute(), cubes["kriging-drift"][name])


def test_a_distance_that_is_given_takes_the_place_of_the_rule(germany, cubes):
    made = germany.aq.reanalyze("kriging", grid=GRID, time=DAY, max_distance=70.0).compute()
    assert (said(made)["max_distance_km"], said(made)["max_distance_rule"]) == (70.0, "given")
    np.testing.assert_array_equal(made.supported, made.nearest_station <= 70.0)
    wide = germany.aq.reanalyze("kriging-drift", grid=GRID, time=DAY, max_distance=2_000.0).compute()
    np.testing.assert_array_equal(wide.supported, wide.dissimilarity <= wide.dissimilarity.attrs["threshold"])


def test_more_stations_never_shrink_what_lies_within_a_distance(germany, cubes):
    fewer = germany.isel(station=slice(0, None, 2)).aq.reanalyze("kriging", grid=GRID, time=DAY, max_distance=90.0)
    more = germany.aq.reanalyze("kriging", grid=GRID, time=DAY, max_distance=90.0)
    assert (fewer.supported <= more.supported).all()
    assert int(more.supported.sum()) > int(fewer.supported.sum())


def test_points_beyond_the_reach_name_the_distance_that_reaches_them(germany):
    with pytest.raises(GridError, match=r"farther than max_distance=\d+ km; fix: .* max_distance=(\d+)") as error:
        germany.aq.estimate("kriging", lon=[2.0], lat=[56.0], time=DAY)
    distance = float(str(error.value).rsplit("=", 1)[1])
    assert germany.aq.estimate("kriging", lon=[2.0], lat=[56.0], time=DAY, max_distance=distance).supported.all()


def test_a_stored_cube_keeps_the_dissimilarity(germany, cubes, tmp_path):
    made = germany.aq.reanalyze("kriging-drift", grid=GRID, time=DAY, store=tmp_path / "c.zarr", progress=False)
    expected = cubes["kriging-drift"]
    xr.testing.assert_allclose(made.dissimilarity.compute(), expected.dissimilarity)
    assert made.dissimilarity.attrs == expected.dissimilarity.attrs


def test_an_update_brings_the_dissimilarity_up_to_date_when_a_silent_station_begins_to_report(germany, tmp_path):
    model = germany.aq.train("pm10", max_epochs=0, progress=False)
    asked = {"grid": GRID, "time": slice("2005-02-08", "2005-02-09"), "progress": False}
    before = germany.copy(deep=True)
    # The one on the highest mountain: without it the Alps are less like the stations.
    before.pm10[int(germany.elevation.argmax("station"))] = np.nan
    first = before.aq.reanalyze(model, store=tmp_path / "c.zarr", **asked).load()
    updated = germany.aq.reanalyze(model, store=tmp_path / "c.zarr", update=True, **asked).load()
    made = germany.aq.reanalyze(model, **{**asked, "store": None}).compute()
    assert not np.array_equal(first.dissimilarity, made.dissimilarity)
    for name in ("dissimilarity", "supported", "nearest_station"):
        np.testing.assert_array_equal(updated[name], made[name])
    assert updated.dissimilarity.attrs == made.dissimilarity.attrs


def test_a_place_beyond_the_range_of_a_raster_is_unlike_the_stations_with_a_field_in_time_beside_it():
    ds = xaq.datasets.synthetic(n_stations=40, days=2, seed=5)
    lat, lon = np.arange(46.0, 54.1, 0.1), np.arange(6.0, 14.1, 0.1)
    east = np.broadcast_to(np.sin(2.0 * lon), (len(lat), len(lon)))
    # East of the network a plateau as high as no station lies.
    raster = xr.DataArray(np.where(lon > 12.5, 30.0, east).astype("f4"), {"lat": lat, "lon": lon}, ("lat", "lon"))
    values = (ds.pm25 * np.exp(0.5 * np.sin(2.0 * ds.lon))).astype("f4").assign_attrs(ds.pm25.attrs)
    ds = ds.assign(pm25=values.transpose(*ds.pm25.dims))
    grid = xaq.Grid.regular(0.25, bounds=(9.0, 49.5, 13.5, 50.5))
    asked = {"grid": grid, "rasters": {"east": raster}, "max_distance": 500.0}
    alone = ds.aq.reanalyze("kriging-drift", **asked).compute()
    high = alone.lon.values > 12.7
    assert not alone.supported.values[:, high].any()
    assert alone.dissimilarity.values[:, high].min() > 2.0 * alone.dissimilarity.attrs["threshold"]
    assert alone.supported.values[:, alone.lon.values < 12.0].mean() > 0.5
    # What is made from a field in time has no value of its own at a place.
    wind = xr.DataArray(
        np.random.default_rng(0).normal(280, 5, (ds.sizes["time"], len(lat), len(lon))).astype("f4"),
        {"time": ds.time.values, "lat": lat, "lon": lon}, ("time", "lat", "lon"), "wind",
    )  # fmt: skip
    beside = ds.aq.reanalyze("kriging-drift", fields=[wind], **asked)
    assert "dissimilarity" in beside
    assert not beside.supported.compute().values[:, high].any()


def test_points_beyond_the_reach_beside_others_give_one_warning_with_a_fix_that_masks_them(germany):
    places = {"lon": [9.0, 9.2, 21.0, 2.0], "lat": [50.0, 50.1, 52.2, 48.8], "time": DAY}
    reporting = germany.drop_sel(station="DEHE060")
    with pytest.warns(
        XaqWarning,
        match=r"2 of 4 points are farther than max_distance=93 km .* farthest \(lon=21, lat=52.2\) is 446 km",
    ) as caught:
        found = reporting.aq.estimate("kriging", **places)
    assert len(caught) == 1
    fix = str(caught[0].message).partition("fix: ")[2].partition(", of found")[0]
    masked = eval(fix, {"found": found})
    assert masked.dims == ("time", "point")
    assert masked.notnull().values.tolist() == [[True, True, False, False]]


def test_points_within_the_reach_give_no_warning(germany, recwarn):
    reporting = germany.drop_sel(station="DEHE060")
    reporting.aq.estimate("kriging", lon=[9.0, 9.2], lat=[50.0, 50.1], time=DAY)
    reporting.aq.estimate("kriging", lon=[9.0, 21.0], lat=[50.0, 52.2], time=DAY, max_distance=500)
    assert not len(recwarn)
