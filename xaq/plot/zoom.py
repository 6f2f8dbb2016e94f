"""The inset of a map: which box it shows, in which corner it lies, and how its outline is joined to the map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.patches import ConnectionPatch, Rectangle
from numpy.typing import NDArray

from .._arguments import check_number, check_sequence, shown
from ..arrays import longitudes
from ..conventions import LAT, LON
from ..cube.grid_axes import settle_edges
from ..errors import SchemaError
from . import arguments, basemap
from .basemap import Lines

#: Edge of the box that is searched for: this fraction of the map's extent, and at most so many degrees, as a city.
_BOX_FRACTION, _BOX_DEGREES = 0.2, 1.5
#: Margin between the stations that are found and the edge of the box, as a fraction of its half.
_BOX_MARGIN = 0.08
#: Stations that make a box worth an inset: at least so many, and so many times those of an evenly spread network.
_LEAST_STATIONS, _LEAST_DENSITY = 6, 6.0
#: Edges of the inset, as fractions of the map's shorter side: the largest for which a corner is free is taken.
_INSETS = (0.42, 0.36, 0.30)


def zoom_box(ds: xr.Dataset, zoom: basemap.Bounds | str | bool | None) -> basemap.Bounds | None:
    """Return the box of the inset: the one asked for, or one around the densest part of the network, if dense enough."""
    if zoom is None or zoom is False:
        return None
    lon, lat = longitudes.unwrap(ds[LON].values), np.asarray(ds[LAT].values, float)
    if not (zoom is True or (isinstance(zoom, str) and zoom == "densest")):
        west, south, east, north = _edges(zoom)
        west, east = settle_edges(west, east, south, north)
        middle = 0.5 * (west + east)
        turns = float(longitudes.nearest_image(middle, 0.5 * float(lon.min() + lon.max()))) - middle
        west, east = west + turns, east + turns
        if not within(ds, (west, south, east, north)).any():
            raise SchemaError(
                f"zoom={zoom} holds no station; fix: zoom=(west, south, east, north) in degrees, or zoom=None",
                subject="map",
            )
        return west, south, east, north
    stretch = np.cos(np.radians(lat.mean()))
    half = 0.5 * min(_BOX_FRACTION * max(float(np.ptp(lon)) * stretch, float(np.ptp(lat))), _BOX_DEGREES)
    near = (np.abs(lat[:, None] - lat) <= half) & (np.abs(lon[:, None] - lon) * stretch <= half)
    densest = near[np.argmax(near.sum(axis=1))]
    evenly = len(lon) * (2 * half) ** 2 / max(float(np.ptp(lon)) * stretch * float(np.ptp(lat)), 1e-9)
    if densest.sum() < max(_LEAST_STATIONS, _LEAST_DENSITY * evenly):
        return None
    x, y = (0.5 * (v[densest].min() + v[densest].max()) for v in (lon, lat))
    half *= 1.0 + _BOX_MARGIN
    return x - half / stretch, y - half, x + half / stretch, y + half


def within(ds: xr.Dataset, box: basemap.Bounds) -> NDArray[np.bool_]:
    """Return which stations lie in a box, ``(station,)``; longitudes may differ by whole turns of 360 degrees."""
    west, south, east, north = box
    lon = longitudes.nearest_image(np.asarray(ds[LON].values, float), 0.5 * (west + east))
    lat = np.asarray(ds[LAT].values, float)
    return (lon > west) & (lon < east) & (lat > south) & (lat < north)


def _edges(zoom: Any) -> basemap.Bounds:
    expected, fix = "(west, south, east, north) in degrees, 'densest', True, False or None", "zoom='densest'"
    edges = check_sequence(zoom, "zoom", expected, fix=fix, error=arguments.error)
    if len(edges) != 4:
        raise arguments.error(f"zoom is {shown(zoom)}, expected {expected}; fix: {fix}")
    west, south, east, north = (check_number(edge, "zoom", expected, fix=fix, error=arguments.error) for edge in edges)
    return west, south, east, north


@dataclass(frozen=True)
class Corner:
    """Where an inset lies: 0 or 1 along x and y, and its edge as a fraction of the map's shorter side."""

    right: int
    top: int
    edge: float


def choose_corner(bounds: basemap.Bounds, ds: xr.Dataset) -> tuple[basemap.Bounds, Corner]:
    """Return the bounds, and a corner where an inset covers no station; if there is none, widen the bounds eastwards."""
    west, south, east, north = bounds
    lon, lat = np.asarray(ds[LON].values, float), np.asarray(ds[LAT].values, float)
    lon = west + (lon - west) % 360.0
    stretch = np.cos(np.radians(0.5 * (south + north)))
    for edge in _INSETS:
        side = 1.1 * edge * min((east - west) * stretch, north - south)
        for right, top in ((0, 0), (1, 0), (0, 1), (1, 1)):
            x = (lon > east - side / stretch) if right else (lon < west + side / stretch)
            y = (lat > north - side) if top else (lat < south + side)
            if not (x & y).any():
                return bounds, Corner(right, top, edge)
    side = 1.1 * _INSETS[0] * min((east - west) * stretch, north - south)
    return (west, south, east + side / stretch, north), Corner(1, 0, _INSETS[0])


def add_inset(ax: GeoAxes, box: basemap.Bounds, corner: Corner, lines: Lines) -> GeoAxes:
    """Return a map of the box in a corner of another map, on which its outline is drawn and joined to the inset."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    side = corner.edge * min(right - left, top - bottom)
    w, h = side / (right - left), side / (top - bottom)
    gap = 0.02
    place = ((1 - w - gap) if corner.right else gap, (1 - h - gap) if corner.top else gap, w, h)
    inset = ax.inset_axes(place, projection=basemap.projection(box), zorder=5)
    basemap.show(inset, box, lines)
    basemap.label_grid(inset, box, marks=3, size=6.0, inside=True)
    x, y = basemap.outline(ax.projection, box)
    outline = Rectangle(
        (float(x.min()), float(y.min())), float(np.ptp(x)), float(np.ptp(y)), fill=False, edgecolor="black", linewidth=0.8,
        zorder=4.5, label="_zoom",
    )  # fmt: skip
    ax.add_patch(outline)
    for at in ((0, 0), (1, 1)) if corner.right != corner.top else ((0, 1), (1, 0)):
        end = (x.min() + at[0] * np.ptp(x), y.min() + at[1] * np.ptp(y))
        ax.add_artist(ConnectionPatch(
            at, end, inset.transAxes, ax.transData, color="0.3", linewidth=0.6, zorder=4.4, clip_on=False
        ))  # fmt: skip
    return inset
