"""The map of a network: its concentrations, and where the zoom lies."""

import cartopy.crs as ccrs
import figures
import numpy as np
import pytest
from cartopy.mpl.geoaxes import GeoAxes
from figures import layer

from xaq import datasets, plot
from xaq.errors import SchemaError

network, closed = figures.network, figures.closed


def test_size_and_colour_of_a_station_show_its_mean(network):
    ax = plot.stations(network, time="2020-01-02", zoom=None, lines=[])
    level = network.pm25.sel(time="2020-01-02").mean("time")
    for name, mask in (("_visible", ~network.hidden.values), ("_hidden", network.hidden.values)):
        drawn = layer(ax, name)
        np.testing.assert_allclose(np.sort(drawn.get_array()), np.sort(level.values[mask]), rtol=1e-5)
        scale = drawn.get_sizes() / drawn.get_array()
        np.testing.assert_allclose(scale, 110.0 / float(level.max()), rtol=1e-5)
    assert ax.get_title("left") == "PM2.5 at 30 stations, daily mean 2020-01-02 (UTC)"
    assert ax.child_axes[0].get_ylabel() == "PM2.5 [µg m⁻³]"


def test_the_zoom_shows_the_city_where_no_station_is_covered():
    city = datasets.synthetic(n_stations=60, days=2, missing=0.0)
    ax = plot.stations(city, zoom=(9.7, 49.8, 10.3, 50.2), lines=[])
    ax.figure.canvas.draw()
    inset = next(a for a in ax.child_axes if isinstance(a, GeoAxes))
    inside = (np.abs(city.lon - 10.0) < 0.3) & (np.abs(city.lat - 50.0) < 0.2)
    offsets = layer(inset, "_visible").get_offsets()
    places = inset.transData.transform(
        inset.projection.transform_points(ccrs.PlateCarree(), *np.asarray(offsets).T)[:, :2]
    )
    assert inset.bbox.padded(1.0).count_contains(places) == int(inside.sum())
    on_map = ax.transData.transform(
        ax.projection.transform_points(ccrs.PlateCarree(), city.lon.values, city.lat.values)[:, :2]
    )
    assert inset.bbox.count_contains(on_map) == 0


def test_a_city_is_found_and_an_even_network_has_no_zoom(network):
    rng = np.random.default_rng(0)
    even = network.assign_coords(lon=("station", rng.uniform(5, 15, 30)), lat=("station", rng.uniform(45, 55, 30)))
    crowd = (
        np.r_[rng.normal(12.0, 0.1, 20), rng.uniform(5, 15, 10)],
        np.r_[rng.normal(48.0, 0.1, 20), rng.uniform(45, 55, 10)],
    )
    city = network.assign_coords(lon=("station", crowd[0]), lat=("station", crowd[1]))
    insets = [[a for a in plot.stations(d, lines=[]).child_axes if isinstance(a, GeoAxes)] for d in (even, city)]
    assert len(insets[0]) == 0
    (inset,) = insets[1]
    west, east, south, north = inset.get_extent(ccrs.PlateCarree())
    assert west < 12.0 < east
    assert south < 48.0 < north
    with pytest.raises(SchemaError, match="holds no station"):
        plot.stations(network, zoom=(0.0, 0.0, 1.0, 1.0))
