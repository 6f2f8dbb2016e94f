"""The base map: clipped and projected lines for any extent, without a network."""

import json
import time
import urllib.request

import cartopy.crs as ccrs
import figures
import matplotlib.pyplot as plt
import numpy as np
import pytest
import shapely
from cartopy.mpl.gridliner import Gridliner
from matplotlib.collections import LineCollection
from shapely.geometry import LineString, Point, box

from xaq import plot
from xaq.errors import SchemaError
from xaq.plot import basemap

ds, cube, closed = figures.ds, figures.cube, figures.closed


def test_bundled_lines_are_clipped_to_the_extent_before_they_are_projected():
    bounds = (5.0, 47.0, 16.0, 55.5)
    basemap.load()
    ax = plt.figure().add_subplot(projection=ccrs.PlateCarree())
    began = time.perf_counter()
    drawn = plot.draw_basemap(ax, bounds)
    assert time.perf_counter() - began < 5.0
    assert [a.get_label() for a in drawn] == ["_provinces", "_borders", "_coastline"]
    for art in drawn:
        xy = np.concatenate(art.get_segments())
        assert (xy >= np.array(bounds[:2]) - 1e-9).all()
        assert (xy <= np.array(bounds[2:]) + 1e-9).all()
    whole = sum(map_parts.size for map_parts in basemap.load().values())
    assert 0 < sum(len(a.get_segments()) for a in drawn) < 0.2 * whole


def test_clip_works_across_the_date_line():
    parts = basemap.clip(basemap.load()["coastline"], (175.0, -42.0, 185.0, -35.0))
    assert len(parts)
    west, _, east, _ = shapely.total_bounds(parts)
    assert 175 <= west < east <= 185
    line = np.array([LineString([(-179, 0), (-171, 0)])], object)
    assert basemap.clip(line, (175.0, -1.0, 185.0, 1.0))[0].bounds == (181.0, 0.0, 185.0, 0.0)


@pytest.mark.parametrize(
    "bounds",
    [(175.0, -45.0, 185.0, -35.0), (-180.0, -90.0, 180.0, 90.0), (-60.0, -20.0, -40.0, 15.0), (0.0, 60.0, 40.0, 90.0)],
    ids=["date line", "world", "equator", "pole"],
)
def test_any_extent_has_a_frame_that_shows_it(bounds):
    ax = basemap.frame(None, bounds, None)
    ax.figure.canvas.draw()
    west, south, east, north = bounds
    x, y = ax.projection.transform_point(0.5 * (west + east), 0.5 * (south + north), ccrs.PlateCarree())
    assert ax.get_xlim()[0] < x < ax.get_xlim()[1]
    assert ax.get_ylim()[0] < y < ax.get_ylim()[1]
    assert any(isinstance(c, LineCollection) for c in ax.collections)


def test_own_lines_replace_the_bundled_ones(ds, cube, tmp_path):
    own = [LineString([(9.0, 50.0), (11.0, 50.0)]), box(9.5, 49.5, 10.5, 50.5)]
    ax = plot.map(ds, cube, lines=own)
    drawn = {c.get_label() for c in ax.collections}
    assert "_lines" in drawn
    assert not drawn & {"_coastline", "_borders", "_provinces"}
    geometry = json.loads(shapely.to_geojson(own[0]))
    feature = {"type": "Feature", "properties": {"layer": "borders"}, "geometry": geometry}
    path = tmp_path / "own.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert list(basemap.read_lines(path)) == ["borders"]
    assert {len(parts) for parts in basemap.read_lines(own).values()} == {2}


class Geometries(dict):
    """What a GeoDataFrame has that is read: columns, and geometries in a projection."""

    columns = ("layer", "geometry")
    crs = "EPSG:3035"

    @property
    def geometry(self):
        return self["geometry"]

    def to_crs(self, crs):
        assert crs == "EPSG:4326"
        return Geometries(self, geometry=[LineString([(9.0, 50.0), (11.0, 50.0)]), None])


def test_a_frame_of_geopandas_is_drawn_by_its_layers_in_degrees(ds, cube):
    frame = Geometries(layer=["rivers", "borders"], geometry=[LineString([(4e6, 3e6), (5e6, 3e6)]), None])
    (drawn,) = [c for c in plot.map(ds, cube, lines=frame).collections if c.get_label() == "_rivers"]
    assert len(drawn.get_segments()) == 1
    assert {c.get_label() for c in plot.map(ds, cube, lines=frame).collections} & {"_coastline", "_lines"} == set()


def test_a_file_that_is_no_geojson_is_to_be_read_by_geopandas(tmp_path):
    (tmp_path / "rivers.shp").write_bytes(b"\0\0\x27\x0a")
    with pytest.raises(SchemaError, match=r"as GeoJSON .*; fix: lines=geopandas.read_file\('.*rivers.shp'\)"):
        basemap.read_lines(tmp_path / "rivers.shp")


def test_invalid_lines_are_refused(tmp_path):
    with pytest.raises(SchemaError, match="cannot read"):
        basemap.read_lines(tmp_path / "none.geojson")
    with pytest.raises(SchemaError, match="point"):
        basemap.read_lines([Point(1, 2)])
    with pytest.raises(SchemaError, match="expected degrees"):
        basemap.read_lines([LineString([(0, 0), (500_000, 4_000_000)])])
    with pytest.raises(SchemaError, match="got str"):
        basemap.read_lines(["a"])


def test_nothing_is_downloaded(ds, cube, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a map went to the network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    plot.map(ds, cube).figure.canvas.draw()


def test_meridians_of_the_world_are_evenly_spaced():
    ax = basemap.frame(None, (-180.0, -80.0, 180.0, 80.0), [])
    (grid,) = (a for a in ax.artists if isinstance(a, Gridliner))
    meridians = np.sort(grid.xlocator.tick_values(-180, 180))
    assert len(set(np.diff([*meridians, meridians[0] + 360.0]))) == 1
    assert (grid.ylocator.tick_values(-80, 80) % 10 == 0).all()


def test_lines_of_the_world_are_thinner_than_those_of_a_country_and_without_provinces():
    drawn = {}
    for name, bounds in {"country": (5.0, 47.0, 15.0, 55.0), "world": (-180.0, -80.0, 180.0, 80.0)}.items():
        ax = plt.figure().add_subplot(projection=ccrs.PlateCarree())
        drawn[name] = {art.get_label(): art.get_linewidths()[0] for art in basemap.draw(ax, bounds)}
    assert drawn["world"]["_coastline"] < 0.6 * drawn["country"]["_coastline"]
    assert "_provinces" in drawn["country"]
    assert "_provinces" not in drawn["world"]
