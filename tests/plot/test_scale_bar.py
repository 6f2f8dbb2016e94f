"""The scale bar of maps: its length is true, it is where no station lies, and a map without one scale has none."""

import cartopy.crs as ccrs
import figures
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from xaq import datasets, plot
from xaq.arrays import sphere
from xaq.plot.scale_bar import draw_scale_bar

ds, cube, closed = figures.ds, figures.cube, figures.closed


def bar_of(ax):
    return next((a for a in ax.get_children() if a.get_label() == "_scale"), None)


def km_of(ax, bar):
    x, y = bar.get_data()
    lon, lat, _ = ccrs.PlateCarree().transform_points(ax.projection, np.asarray(x), np.asarray(y)).T
    return float(sphere.distance_km(lon[0], lat[0], lon[1], lat[1]))


def text_of(ax):
    return next(t.get_text() for t in ax.texts if t.get_text().endswith((" km", " m")))


@pytest.mark.parametrize("draw", [
    lambda ds, cube: plot.map(ds, cube, lines=[]),
    lambda ds, cube: plot.width(ds, cube, lines=[]),
    lambda ds, cube: plot.stations(ds, lines=[]),
    lambda ds, cube: plot.errors(ds, "idw", lines=[]),
    lambda ds, cube: plot.panels(ds, cube, ["2020-01-01", "2020-01-02"], lines=[])[0],
    lambda ds, cube: plot.compare(ds, cube, cube, lines=[])[0],
])  # fmt: skip
def test_the_length_of_the_bar_is_the_one_written_above_it(ds, cube, draw):
    ax = draw(ds, cube)
    assert km_of(ax, bar_of(ax)) == pytest.approx(float(text_of(ax).removesuffix(" km")), rel=0.05)


def test_a_country_has_one_too_and_a_map_of_many_scales_has_none(cube):
    germany = datasets.load("germany")
    ax = plot.stations(germany, lines=[])
    assert text_of(ax) == "100 km"
    assert km_of(ax, bar_of(ax)) == pytest.approx(100.0, rel=0.03)
    plain = plt.figure().add_subplot(projection=ccrs.PlateCarree())
    assert bar_of(plot.stations(germany, ax=plain, lines=[])) is None


def test_the_bar_covers_no_station_and_not_the_inset():
    ax = plt.figure().add_subplot(projection=ccrs.Mercator())
    ax.set_extent((10.0, 10.2, 50.0, 50.2), ccrs.PlateCarree())
    in_corner = stations_at([10.19], [50.005])
    x = draw_scale_bar(ax, in_corner).get_xdata()
    assert max(x) < np.mean(ax.get_xlim())
    y = draw_scale_bar(ax, in_corner, taken=(0, 0)).get_ydata()
    assert min(y) > np.mean(ax.get_ylim())
    assert min(draw_scale_bar(ax, stations_at([], [])).get_xdata()) > np.mean(ax.get_xlim())


def stations_at(lon, lat):
    return xr.Dataset(coords={"lon": ("station", np.array(lon)), "lat": ("station", np.array(lat))})
