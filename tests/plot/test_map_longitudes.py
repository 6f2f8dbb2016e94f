"""Maps of networks in any convention of longitude show the same place."""

import cartopy.crs as ccrs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import xaq
from xaq.plot import basemap
from xaq.plot.subject import station_bounds
from xaq.plot.zoom import zoom_box


def network(lon):
    ds = xaq.datasets.synthetic(n_stations=len(lon), days=1)
    return ds.assign_coords(lon=("station", np.asarray(lon, float)))


@pytest.mark.parametrize(
    ("lon", "west", "east"),
    [
        ([359.0, 1.0, 0.0], -1.16, 1.16),
        ([-1.0, 361.0, 720.0], -1.16, 1.16),
        ([179.0, -179.0, 180.0], 178.84, 181.16),
        ([250.0, 252.0, 251.0], 249.84, 252.16),
    ],
)
def test_bounds_hold_the_network_and_not_the_globe(lon, west, east):
    ds = network(lon)
    ds = ds.assign_coords(lat=("station", [50.0, 50.5, 51.0]))
    np.testing.assert_allclose(np.array(station_bounds(ds))[[0, 2]], [west, east])


@pytest.mark.parametrize(
    "box", [(-0.5, 50, 0.5, 52), (359.5, 50, 360.5, 52), (359.5, 50, 0.5, 52), (719.5, 50, 720.5, 52)]
)
def test_the_box_of_an_inset_may_be_in_another_convention(box):
    ds = network([359.0, 1.0, 0.0]).assign_coords(lat=("station", [50.0, 50.5, 51.0]))
    np.testing.assert_allclose(zoom_box(ds, box), (-0.5, 50, 0.5, 52))


@pytest.mark.parametrize("turns", [-720.0, -360.0, 360.0, 720.0, 1080.0])
def test_the_coastline_is_there_at_any_number_of_turns(turns):
    lines = basemap.load()["coastline"]
    here, there = (basemap.clip(lines, (9.0 + by, 53.0, 12.0 + by, 55.0)) for by in (0.0, turns))
    assert len(here) == len(there) > 0
    np.testing.assert_allclose([p.bounds[0] for p in there], [p.bounds[0] + turns for p in here])


@pytest.mark.parametrize("turns", [-720.0, 360.0, 720.0])
def test_stations_and_cube_are_drawn_at_any_number_of_turns(turns):
    ds = network([9.0, 10.0, 11.0]).assign_coords(lat=("station", [50.0, 50.5, 51.0]))
    moved = ds.assign_coords(lon=ds.lon + turns)
    grid = xaq.Grid.regular(0.5, bounds=(8 + turns, 49, 12 + turns, 52))
    drawn = []
    for stations, cube in ((ds, grid), (moved, grid), (moved, 0.5)):
        ax = stations.aq.plot.map(stations.aq.reanalyze("idw", grid=cube).load())
        (visible,) = [c for c in ax.collections if c.get_label() == "_visible"]
        where = positions(ax, visible)
        places = ccrs.PlateCarree().transform_points(ax.projection, *where.T)
        inside = ax.get_window_extent().contains
        assert all(inside(x, y) for x, y in ax.transData.transform(where))
        drawn.append(places[:, 0])
        plt.close(ax.figure)
    np.testing.assert_allclose(drawn, [[9.0, 10.0, 11.0]] * 3, atol=1e-6)


def positions(ax, collection):
    """Return the positions of markers in the projection of a map."""
    pixels = collection.get_offset_transform().transform(collection.get_offsets())
    return ax.transData.inverted().transform(pixels)
