"""The map of a network: its concentrations, and where the zoom lies."""

import cartopy.crs as ccrs
import figures
import numpy as np
import pytest
from cartopy.mpl.geoaxes import GeoAxes
from cartopy.mpl.gridliner import Gridliner
from figures import layer, legend_of

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


def test_the_target_can_be_given_by_place_and_the_zoom_as_a_flag(network):
    assert plot.stations(network, "pm25", zoom=False, lines=[]).get_title("left").startswith("PM2.5 at 30 stations")
    crowd = network.assign_coords(
        lon=("station", np.r_[np.linspace(12.0, 12.2, 20), np.linspace(5, 15, 10)]),
        lat=("station", np.r_[np.linspace(48.0, 48.2, 20), np.linspace(45, 55, 10)]),
    )
    boxes = [insets_of(plot.stations(crowd, zoom=zoom, lines=[])) for zoom in (True, "densest", False, None)]
    assert [len(found) for found in boxes] == [1, 1, 0, 0]
    with pytest.raises(SchemaError, match=r"zoom is 3, expected .*True, False or None"):
        plot.stations(network, zoom=3)


def insets_of(ax):
    return [a for a in ax.child_axes if isinstance(a, GeoAxes)]


def test_an_inset_shows_the_stations_of_its_box_whole_and_has_coordinates(network):
    box = (9.7, 49.8, 10.3, 50.2)
    city = datasets.synthetic(n_stations=60, days=2, missing=0.0)
    ax = plot.stations(city, zoom=box, lines=[])
    (inset,) = insets_of(ax)
    ax.figure.canvas.draw()
    markers = layer(inset, "_visible")
    assert not markers.get_clip_on()
    lon, lat = np.asarray(markers.get_offsets()).T
    assert ((lon > box[0]) & (lon < box[2]) & (lat > box[1]) & (lat < box[3])).all()
    assert {"50°N", "10°E"} <= {t.get_text() for t in inset.findobj(Gridliner)[0].label_artists}


def test_an_inset_whose_stations_are_silent_is_drawn(network):
    inside = (np.abs(network.lon - 10.0) < 0.3) & (np.abs(network.lat - 50.0) < 0.3)
    silent = network.assign(pm25=network.pm25.where(~inside).assign_attrs(network.pm25.attrs))
    assert 0 < int(inside.sum()) < 30
    assert insets_of(plot.stations(silent, zoom=(9.7, 49.7, 10.3, 50.3), lines=[]))


def test_the_legend_of_sizes_has_values_of_the_colour_bar(network):
    ax = plot.stations(network, zoom=None, lines=[])
    ticks = [f"{t:g} µg m⁻³" for t in layer(ax, "_visible").colorbar.get_ticks()]
    sizes = [t for t in legend_of(ax) if t.endswith("µg m⁻³")]
    assert len(sizes) >= 2
    assert set(sizes) <= set(ticks)


def test_markers_of_the_inset_have_the_sizes_of_the_legend_and_do_not_hide_its_coordinates():
    ax = plot.stations(datasets.synthetic(n_stations=60, days=2), zoom=(9.7, 49.8, 10.3, 50.2), lines=[])
    inset = insets_of(ax)[0]
    whole, near = layer(ax, "_visible"), layer(inset, "_visible")
    area = dict(zip(whole.get_array(), whole.get_sizes(), strict=True))
    np.testing.assert_allclose(near.get_sizes(), [area[value] for value in near.get_array()])
    (grid,) = (a for a in inset.artists if isinstance(a, Gridliner))
    assert grid.get_zorder() > near.get_zorder()


def test_values_of_the_legend_of_sizes_are_spread_over_the_colour_bar(network):
    high = network.copy(deep=True)
    high.pm25[:] = 100.0 + network.pm25
    ax = plot.stations(high, time="2020-01-02", zoom=None, lines=[])
    first, middle, last = (float(text.split()[0]) for text in legend_of(ax) if "µg" in text)
    assert abs(middle - 0.5 * (first + last)) <= 0.2 * (last - first)
