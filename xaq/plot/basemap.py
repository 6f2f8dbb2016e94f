"""Coast, borders and provinces from bundled Natural Earth lines, and the frame of a map. Needs no network."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cartopy.crs as ccrs
import matplotlib.pyplot as plt
import numpy as np
import shapely
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import FixedLocator, Locator, MaxNLocator, MultipleLocator
from numpy.typing import NDArray
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from .._arguments import check_sequence
from ..arrays import longitudes
from ..cube.grid import check_bounds
from ..errors import SchemaError
from .style import CASING

#: west, south, east, north in degrees; west < east, also across the date line (170, ..., 190).
Bounds = tuple[float, float, float, float]


@runtime_checkable
class Frame(Protocol):
    """What is read of a GeoDataFrame, or a GeoSeries, of geopandas."""

    crs: Any

    @property
    def geometry(self) -> Iterable[BaseGeometry]:
        """The geometries."""

    def to_crs(self, crs: str) -> Frame:
        """Return the frame in another system of coordinates."""

    def __getitem__(self, column: str) -> Iterable[Any]:
        """Return a column."""


#: A user's own lines: a frame of geopandas, shapely geometries or a GeoJSON file in degrees; None for the bundled ones.
Lines = Frame | Sequence[BaseGeometry] | str | os.PathLike | None

#: Colour and width in points by layer, drawn in this order.
_STYLE: dict[str, tuple[str, float]] = {
    "provinces": ("0.35", 0.35),
    "borders": ("0.10", 0.7),
    "coastline": ("0.10", 0.8),
    "lines": ("0.10", 0.7),
    "rivers": ("#2b6cb0", 0.8),
}
#: Spacing of labelled meridians and parallels, as multiples of a power of ten; and, of more than so many degrees, in degrees.
_STEPS, _WORLD, _WORLD_STEPS = [1, 2, 5, 10], 60.0, (10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0)
#: Degrees above which lines are thinner, and above which the bundled provinces are left out.
_COUNTRY, _NO_PROVINCES = 25.0, 90.0
#: Longest segment that is projected, degrees: a border along a parallel is one segment in the file but curved on the map.
_PIECE = 0.25
_ABOVE_MARKERS = 4.2
#: Area of a map that fills a figure, square inches.
AREA = 24.0
#: Degrees of longitude or latitude above which a conformal conic projection distorts too much.
_WIDE = 120.0


def draw(ax: GeoAxes, bounds: Bounds, *, lines: Lines = None) -> list[LineCollection]:
    """Draw coastline, country borders and provinces on a map.

    Parameters
    ----------
    ax : cartopy.mpl.geoaxes.GeoAxes
        Any projection.
    bounds : (west, south, east, north)
        Degrees; nothing outside is projected or drawn. They may cross the date line: ``(170, -50, 190, -30)``.
    lines : GeoDataFrame, sequence of shapely geometries, or path of a GeoJSON file, optional
        Drawn instead of the bundled lines; ``[]`` draws none. Geometries and files are in degrees, a frame of geopandas in any system
        that it names. Features whose ``layer`` property, or column, is coastline, borders, provinces or rivers are styled as such.

    Returns
    -------
    list of matplotlib.collections.LineCollection
        One per layer with a line inside the bounds, labelled by the layer.

    Raises
    ------
    SchemaError
        ``ax`` is no map, or ``lines`` cannot be read, contains points, or is not in degrees.
    GridError
        ``bounds`` are no four numbers.

    Notes
    -----
    Lines are clipped before they are projected, as projecting all coasts takes cartopy a minute. The bundled lines are
    Natural Earth 10m (public domain), simplified to 0.02 degrees; disputed borders are drawn as in Natural Earth.

    Examples
    --------
    >>> import cartopy.crs as ccrs, matplotlib.pyplot as plt, xaq
    >>> ax = plt.figure().add_subplot(projection=ccrs.PlateCarree())
    >>> ax.set_extent((5, 16, 47, 55))
    >>> [layer.get_label() for layer in xaq.plot.draw_basemap(ax, (5, 47, 16, 55))]
    ['_provinces', '_borders', '_coastline']
    """
    if not isinstance(ax, GeoAxes):
        raise _no_map(ax)
    west, south, east, north = check_bounds(bounds)
    layers = load() if lines is None else read_lines(lines)
    extent = max(east - west, north - south)
    if lines is None and extent > _NO_PROVINCES:
        layers = {layer: parts for layer, parts in layers.items() if layer != "provinces"}
    thinner = float(np.clip(np.sqrt(_COUNTRY / extent), 0.35, 1.0))
    drawn = []
    for layer, (colour, whole) in _STYLE.items():
        segments = _project(ax, clip(layers.get(layer, ()), (west, south, east, north)))
        if not segments:
            continue
        width = thinner * whole
        # The white casing keeps a dark line visible on dark colours.
        casing = [Stroke(linewidth=width + 0.7 * thinner, foreground="white", alpha=0.45), Normal()]
        art = LineCollection(
            segments, colors=colour, linewidths=width, zorder=2.5, label=f"_{layer}", path_effects=casing
        )
        ax.add_collection(art, autolim=False)
        drawn.append(art)
    return drawn


@lru_cache(maxsize=1)
def load() -> dict[str, NDArray[np.object_]]:
    """Return the bundled lines by layer, each an array of shapely LineStrings in degrees. Cached."""
    packed = (files("xaq") / "data" / "basemap.geojson.gz").read_bytes()
    return _layers(json.loads(gzip.decompress(packed)))


def read_lines(lines: Frame | Sequence[BaseGeometry] | str | os.PathLike) -> dict[str, NDArray[np.object_]]:
    """Return a user's lines by layer: of a frame of geopandas, of shapely geometries, or of a GeoJSON file (``.gz`` too)."""
    if isinstance(lines, (str, os.PathLike)):
        path = Path(lines)
        try:
            packed = path.read_bytes()
            layers = _layers(json.loads(gzip.decompress(packed) if path.suffix == ".gz" else packed))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SchemaError(
                f"cannot read {path} as GeoJSON ({error}); fix: lines=geopandas.read_file({str(path)!r})",
                subject="basemap lines",
            ) from error
    elif isinstance(lines, Frame):
        layers = _of_frame(lines)
    else:
        layers = {"lines": _as_lines(lines)}
    for parts in filter(len, layers.values()):
        west, south, east, north = shapely.total_bounds(parts)
        if max(abs(west), abs(east)) > 360 or max(abs(south), abs(north)) > 90:
            raise SchemaError(
                f"coordinates reach ({west:g}, {south:g}, {east:g}, {north:g}), expected degrees; "
                "fix: frame.to_crs('EPSG:4326')",
                subject="basemap lines",
            )
    return layers


def clip(parts: Iterable[BaseGeometry], bounds: Bounds) -> NDArray[np.object_]:
    """Return the parts of lines inside bounds, as an array of LineStrings; lines are also tried whole turns away."""
    parts = np.asarray(parts, object)
    if not len(parts):
        return parts
    west, south, east, north = bounds
    box = shapely.bounds(parts)
    pieces = []
    for turn in 360.0 * round(0.5 * (west + east) / 360.0) + np.array([-360.0, 0.0, 360.0]):
        near = (box[:, 0] + turn <= east) & (box[:, 2] + turn >= west) & (box[:, 1] <= north) & (box[:, 3] >= south)
        inside = shapely.clip_by_rect(parts[near], west - turn, south, east - turn, north)
        found = shapely.get_parts(shapely.get_parts(inside))
        found = found[(shapely.get_type_id(found) == shapely.GeometryType.LINESTRING) & (shapely.length(found) > 0)]
        pieces.append(shapely.transform(found, lambda xy, by=turn: xy + np.array([by, 0.0])))
    return np.concatenate(pieces)


def _layers(data: Mapping[str, Any]) -> dict[str, NDArray[np.object_]]:
    """Return GeoJSON by layer: a FeatureCollection, a Feature or a bare geometry."""
    features = data["features"] if data.get("type") == "FeatureCollection" else [data]
    found: dict[str, list[BaseGeometry]] = {}
    for feature in features:
        geometry = feature["geometry"] if feature.get("type") == "Feature" else feature
        layer = (feature.get("properties") or {}).get("layer")
        if geometry is not None:
            found.setdefault(layer if layer in _STYLE else "lines", []).append(shape(geometry))
    return {layer: _as_lines(geometries) for layer, geometries in found.items()}


def _of_frame(frame: Frame) -> dict[str, NDArray[np.object_]]:
    """Return the lines of a frame by its column ``layer``, if it has one; in degrees, as which coordinates of no system count."""
    frame = frame if frame.crs is None else frame.to_crs("EPSG:4326")
    geometries = list(frame.geometry)
    names = list(frame["layer"]) if "layer" in getattr(frame, "columns", ()) else ["lines"] * len(geometries)
    found: dict[str, list[BaseGeometry]] = {}
    for name, geometry in zip(names, geometries, strict=True):
        if geometry is not None:
            found.setdefault(name if name in _STYLE else "lines", []).append(geometry)
    return {layer: _as_lines(of_layer) for layer, of_layer in found.items()}


def _as_lines(geometries: Iterable[BaseGeometry]) -> NDArray[np.object_]:
    """Return single LineStrings; polygons become their outlines."""
    geometries = check_sequence(
        geometries, "lines", "shapely geometries or the path of a GeoJSON file", fix="lines=list(frame.geometry)",
        error=lambda text: SchemaError(text, subject="basemap lines"),
    )  # fmt: skip
    if not all(isinstance(g, BaseGeometry) for g in geometries):
        kinds = ", ".join(sorted({type(g).__name__ for g in geometries if not isinstance(g, BaseGeometry)}))
        raise SchemaError(
            f"got {kinds}, expected shapely geometries; fix: list(frame.geometry)", subject="basemap lines"
        )
    parts = shapely.get_parts(shapely.get_parts(np.array(geometries, object)))
    areas = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts = shapely.get_parts(np.where(areas, shapely.boundary(parts), parts)) if len(parts) else parts
    if (shapely.get_dimensions(parts) != 1).any():
        raise SchemaError(
            "a geometry is a point, expected lines or polygons; fix: frame[frame.geom_type != 'Point']",
            subject="basemap lines",
        )
    return parts


def _project(ax: GeoAxes, parts: NDArray[np.object_]) -> list[NDArray[np.float64]]:
    """Return lines in the axes' projection, one (n, 2) array each, with NaN where they cross its edge."""
    parts = shapely.segmentize(parts, _PIECE)
    xy, index = shapely.get_coordinates(parts, return_index=True)
    if not len(xy):
        return []
    points = ax.projection.transform_points(ccrs.PlateCarree(), xy[:, 0], xy[:, 1])[:, :2]
    low, high = ax.projection.x_limits
    jump = (np.abs(np.diff(points[:, 0])) > 0.5 * (high - low)) & (np.diff(index) == 0)
    points[1:][jump] = np.nan
    points[~np.isfinite(points).all(axis=1)] = np.nan
    return np.split(points, np.flatnonzero(np.diff(index)) + 1)


# -- the frame -----------------------------------------------------------------------------------------------------


def projection(bounds: Bounds) -> ccrs.Projection:
    """Return a projection centred on bounds: Mercator for a city, Lambert conformal conic for a country, else PlateCarree.

    The first two are conformal, so that shapes away from the equator are not stretched.
    """
    west, south, east, north = bounds
    lon, lat = 0.5 * (west + east), 0.5 * (south + north)
    if east - west <= 5 and north - south <= 5 and abs(lat) < 70:
        return ccrs.Mercator(central_longitude=lon, latitude_true_scale=lat, min_latitude=-85, max_latitude=85)
    if max(east - west, north - south) <= _WIDE and abs(lat) > 15 and south * north >= 0:
        parallels = (south + (north - south) / 6, north - (north - south) / 6)
        # The cutoff is the parallel, in the other hemisphere, at which the map ends.
        return ccrs.LambertConformal(lon, lat, standard_parallels=parallels, cutoff=-30 if lat > 0 else 30)
    return ccrs.PlateCarree(central_longitude=lon)


def frame(
    ax: GeoAxes | None, bounds: Bounds, lines: Lines, *, left: bool = True, below: bool = True, marks: int = 7
) -> GeoAxes:
    """Return map axes that show bounds, with lines and labelled meridians and parallels; on a new figure without ``ax``.

    An extent already set on ``ax`` is kept. ``left`` and ``below`` are the sides that are labelled, ``marks`` is the largest
    number of meridians and of parallels.
    """
    if ax is None:
        figure = plt.figure(figsize=_figure_size(bounds), layout="constrained")
        ax = figure.add_subplot(projection=projection(bounds))
    elif not isinstance(ax, GeoAxes):
        raise _no_map(ax)
    view = show(ax, bounds, lines)
    label_grid(ax, view, marks=marks, left=left, below=below)
    return ax


def label_grid(
    ax: GeoAxes,
    view: Bounds,
    *,
    marks: int,
    size: float = 8.0,
    left: bool = True,
    below: bool = True,
    inside: bool = False,
) -> None:
    """Draw and label meridians and parallels of what a map shows.

    Parameters
    ----------
    ax : cartopy.mpl.geoaxes.GeoAxes
    view : (west, south, east, north)
        What it shows.
    marks : int
        Largest number of meridians and of parallels.
    size : float
        Of the labels, points.
    left, below : bool
        The sides that are labelled.
    inside : bool
        Labels lie inside the map, as in an inset, beside which there is no room.
    """
    sides = {side: axis for side, axis, shown in (("left", "y", left), ("bottom", "x", below)) if shown}
    grid = ax.gridlines(draw_labels=sides, x_inline=False, y_inline=False, linewidth=0.3, color="0.5", alpha=0.5)
    # Cartopy's default steps include 1.5 and 3, which give labels such as 40.05 on the map of a city.
    meridians = np.asarray(_locator(view[2] - view[0], marks).tick_values(view[0], view[2]))
    grid.xlocator = FixedLocator(np.unique((meridians + 180.0) % 360.0 - 180.0).tolist())
    grid.ylocator = _locator(view[3] - view[1], marks)
    grid.rotate_labels = False
    grid.xlabel_style = grid.ylabel_style = {"size": size}
    if inside:
        # Markers near an edge would hide its labels.
        grid.set_zorder(_ABOVE_MARKERS)
        grid.xpadding = grid.ypadding = -2.0
        grid.xlabel_style = grid.ylabel_style = {"size": size, "path_effects": CASING}


def _locator(extent: float, marks: int) -> Locator:
    """Return where at most so many lines of an extent lie; those of a wide one divide the circle evenly."""
    if extent <= _WORLD:
        return MaxNLocator(marks, steps=_STEPS)
    return MultipleLocator(next(step for step in _WORLD_STEPS if extent / step <= marks or step == _WORLD_STEPS[-1]))


def _no_map(ax: Any) -> SchemaError:
    return SchemaError(
        f"ax is {type(ax).__name__}, expected a cartopy GeoAxes; "
        "fix: plt.subplots(subplot_kw={'projection': cartopy.crs.PlateCarree()})",
        subject="map",
    )


def show(ax: GeoAxes, bounds: Bounds, lines: Lines) -> Bounds:
    """Show bounds, unless an extent has been set, and draw lines; return the bounds that are shown."""
    if ax.get_autoscale_on():
        x, y = outline(ax.projection, bounds)
        ax.set_xlim(np.nanmin(x), np.nanmax(x))
        ax.set_ylim(np.nanmin(y), np.nanmax(y))
    view = _view(ax, 0.5 * (bounds[0] + bounds[2]))
    draw(ax, view, lines=lines)
    return view


def outline(crs: ccrs.Projection, bounds: Bounds) -> tuple[NDArray, NDArray]:
    """Return the edge of bounds in a projection, ``(n,)`` each; non-finite points are NaN."""
    west, south, east, north = bounds
    if east - west >= 360:  # both edges are the same meridian, and would be projected to the same side
        middle = 0.5 * (west + east)
        west, east = middle - 180 + 1e-6, middle + 180 - 1e-6
    along, up = np.linspace(west, east, 61), np.linspace(south, north, 61)
    lon = np.concatenate([along, along, np.full(61, west), np.full(61, east)])
    lat = np.concatenate([np.full(61, south), np.full(61, north), up, up])
    x, y = crs.transform_points(ccrs.PlateCarree(), lon, lat)[:, :2].T
    return np.where(np.isfinite(x), x, np.nan), np.where(np.isfinite(y), y, np.nan)


def _figure_size(bounds: Bounds) -> tuple[float, float]:
    """Return width and height in inches: a map in the shape of the bounds, plus labels and bar."""
    shape_ = aspect(bounds)
    width = float(np.sqrt(AREA / shape_))
    return width + 1.6, width * shape_ + 1.1


def aspect(bounds: Bounds) -> float:
    """Return height over width of a map of bounds, limited to 0.4 .. 1.8."""
    x, y = outline(projection(bounds), bounds)
    return float(np.clip(float(np.nanmax(y) - np.nanmin(y)) / float(np.nanmax(x) - np.nanmin(x)), 0.4, 1.8))


def _view(ax: GeoAxes, centre: float) -> Bounds:
    """Return the bounds of what the axes show, including corners; longitudes are those nearest to ``centre``."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    x, y = np.meshgrid(np.linspace(left, right, 41), np.linspace(bottom, top, 41))
    lon, lat, _ = ccrs.PlateCarree().transform_points(ax.projection, x.ravel(), y.ravel()).T
    inside = np.isfinite(lon) & np.isfinite(lat)
    if not inside.any():
        return -180.0, -90.0, 180.0, 90.0
    lon = longitudes.nearest_image(lon[inside], centre)
    lat = lat[inside]
    margin = 0.02 * max(float(np.ptp(lon)), float(np.ptp(lat))) + 0.01
    west, east = max(lon.min() - margin, centre - 180.0), min(lon.max() + margin, centre + 180.0)
    return float(west), float(lat.min()) - margin, float(east), float(lat.max()) + margin
