"""Stations, points, grids and fields in any convention of longitude: the same estimates, samples and scores."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xaq

#: Greenwich, China, the date line from both sides, America.
CENTRES = (0.0, 116.4, 179.9, -179.9, -100.0)
turns = st.integers(-3, 3).map(lambda n: 360.0 * n)
POINTS = np.array([-0.7, 0.0, 0.35, 1.0])


def network(centre: float, n: int = 8, steps: int = 24) -> xr.Dataset:
    rng = np.random.default_rng(3)
    # A lattice, where neighbours at equal distances are common.
    lon = np.round(centre + np.tile([-1.0, -0.5, 0.5, 1.0], n // 4), 6)
    lat = np.repeat(np.linspace(-0.5, 0.5, n // 4), 4)
    values = rng.gamma(4.0, 10.0, (n, steps)).astype("float32")
    return xr.Dataset(
        {"pm25": (("station", "time"), values, {"units": "ug m-3"})},
        coords={
            "station": [f"s{i:02d}" for i in range(n)], "time": pd.date_range("2020-01-01", periods=steps, freq="h"),
            "lon": ("station", lon), "lat": ("station", lat), "hidden": ("station", np.arange(n) % 4 == 1),
        },
    )  # fmt: skip


def field(centre: float) -> xr.DataArray:
    lon, lat = centre + np.arange(-3.0, 3.01, 0.25), np.arange(-2.0, 2.01, 0.25)
    values = 10 + np.sin(lon - centre)[None, :] + lat[:, None]
    return xr.DataArray(values, {"lat": lat, "lon": lon}, ("lat", "lon"), "height", {"units": "m"})


def moved(ds: xr.Dataset, by) -> xr.Dataset:
    return ds.assign_coords(lon=("station", ds.lon.values + by))


@settings(max_examples=8)
@given(st.data(), st.sampled_from(CENTRES), st.sampled_from(["nearest", "idw", "kriging"]))
def test_every_verb_gives_the_same_values(data, centre, mapper):
    ds, grid = network(centre), xaq.Grid.around(centre + POINTS, np.resize([-0.5, 0.5], len(POINTS)), 0.5)
    there = moved(ds, [data.draw(turns) for _ in range(8)])
    shift = data.draw(turns)
    cube, other = (
        d.aq.reanalyze(mapper, grid=g).compute() for d, g in ((ds, grid), (there, xaq.Grid(grid.lon + shift, grid.lat)))
    )
    for name in ("pm25", "nearest_station", "supported"):
        np.testing.assert_allclose(other[name], cube[name], rtol=1e-5)
    points = POINTS + centre
    shifts = [data.draw(turns) for _ in range(4)]
    here, away = (
        d.aq.estimate(mapper, lon=x, lat=np.zeros(4)).pm25 for d, x in ((ds, points), (there, points + shifts))
    )
    np.testing.assert_allclose(away, here, rtol=1e-5)
    tables = [d.aq.verify(mapper, baselines=[]).select_dtypes("number") for d in (ds, there)]
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)
    raster = field(centre)
    raster_there = raster.assign_coords(lon=(raster.lon.values + shift) % 360)
    sampled = [
        d.aq.sample(f).height for d, f in ((ds, raster), (there, raster_there), (there, raster_there.sortby("lon")))
    ]
    np.testing.assert_allclose(sampled[1], sampled[0], rtol=1e-5)
    np.testing.assert_allclose(sampled[2], sampled[0], rtol=1e-5)


@settings(max_examples=12)
@given(st.data(), st.sampled_from(CENTRES))
def test_a_spacing_gives_the_same_cube_around_the_same_network(data, centre):
    ds = network(centre)
    made, other = (
        d.aq.reanalyze("idw", grid=0.5).compute() for d in (ds, moved(ds, [data.draw(turns) for _ in range(8)]))
    )
    assert made.pm25.shape == other.pm25.shape
    np.testing.assert_allclose(other.pm25, made.pm25, rtol=1e-5)
    np.testing.assert_allclose(
        (other.lon - made.lon.values) / 360, np.round((other.lon.values[0] - made.lon.values[0]) / 360)
    )


def test_a_model_gives_the_same_values_and_its_geography_too():
    ds = xaq.datasets.synthetic(n_stations=16, days=4, seed=1)
    rng = np.random.default_rng(0)
    there = moved(ds, 360.0 * rng.integers(-3, 4, 16))
    model = ds.aq.train("pm25", max_epochs=0, progress=False)
    again = there.aq.train("pm25", max_epochs=0, progress=False)
    points, lat = np.array([9.7, 10.0, 10.4]), [49.8, 50.0, 50.3]
    expected = ds.aq.estimate(model, lon=points, lat=lat).compute()
    for m, d, x in (
        (model, ds, points + 360),
        (model, there, points - 720),
        (again, there, points),
        (again, ds, points),
    ):
        made = d.aq.estimate(m, lon=x, lat=lat)
        for name in ("pm25", "pm25_lower", "pm25_upper"):
            np.testing.assert_allclose(made[name], expected[name], rtol=1e-4)


def test_a_stored_cube_is_completed_from_the_same_stations_in_another_convention(tmp_path):
    ds, options = network(0.0), {"grid": xaq.Grid.around([-1, 1], [-0.5, 0.5], 0.5), "progress": False}
    first = ds.aq.reanalyze("idw", store=tmp_path / "c.zarr", **options)
    again = moved(ds, 360.0).aq.reanalyze("idw", store=tmp_path / "c.zarr", **options)
    xr.testing.assert_identical(first, again)


@pytest.mark.parametrize("lon", [-999.0, 9999.0, 1e20])
def test_a_mark_of_a_missing_longitude_is_no_place(lon):
    ds = network(0.0)
    bad = moved(ds, np.where(np.arange(8) == 2, lon - ds.lon.values, 0.0))
    with pytest.raises(xaq.errors.SchemaError, match=r"lon outside .*s02.*fix: ds.aq.repair\(unplaced='drop'\)"):
        bad.aq.reanalyze("idw", grid=0.5)
    assert "s02" not in bad.aq.repair(unplaced="drop").station
