"""Stations on a map: markers of visible and hidden ones, and their legend handles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cartopy.crs as ccrs
import numpy as np
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colorbar import Colorbar
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from ..arrays import longitudes
from ..conventions import LAT, LON
from ..stations import schema
from .style import handle, round_values


class Kind(NamedTuple):
    """The visible or the hidden stations: which they are, and their marker with its area in square points."""

    name: str
    mask: NDArray[np.bool_]
    marker: str
    area: float


def kinds(hidden: NDArray[np.bool_]) -> list[Kind]:
    """Return both kinds of stations; the more stations there are, the smaller their markers."""
    area = float(np.clip(4000.0 / len(hidden), 10.0, 40.0))
    return [Kind("visible", ~hidden, "o", area), Kind("hidden", hidden, "^", 1.5 * area)]


def draw_stations(
    ax: GeoAxes, ds: xr.Dataset, observed: NDArray, mesh: ScalarMappable, *, scale: float = 1.0
) -> list[Artist]:
    """Draw visible stations as circles and hidden ones as triangles in a field's colours; hollow without a value.

    Areas of markers are multiplied by ``scale``, below 1 on small maps.
    """
    silent = np.isnan(observed)
    rim = float(np.sqrt(scale))
    casing = [Stroke(linewidth=2.2 * rim, foreground="white"), Normal()]
    drawn: list[Artist] = []
    for kind in kinds(schema.hidden_mask(ds)):
        kept = kind.mask & ~silent
        drawn.append(ax.scatter(
            longitudes.canonical(ds[LON].values[kept]), ds[LAT].values[kept], s=scale * kind.area, c=observed[kept],
            marker=kind.marker, norm=mesh.norm, cmap=mesh.cmap, edgecolors="black", linewidths=0.8 * rim,
            transform=ccrs.PlateCarree(), zorder=4, label=f"_{kind.name}", path_effects=casing,
        ))  # fmt: skip
        drawn += draw_silent(ax, ds, kind.mask & silent, kind, scale=scale)
    return drawn


def draw_places(ax: GeoAxes, ds: xr.Dataset) -> list[Line2D]:
    """Draw visible stations as white circles and hidden ones as white triangles, without values; return their legend handles."""
    handles = []
    for kind in kinds(schema.hidden_mask(ds)):
        if kind.mask.any():
            ax.scatter(
                longitudes.canonical(ds[LON].values[kind.mask]), ds[LAT].values[kind.mask], s=0.6 * kind.area, color="white",
                marker=kind.marker, edgecolors="black", linewidths=0.8, transform=ccrs.PlateCarree(), zorder=4,
                label=f"_{kind.name}",
            )  # fmt: skip
            style = {"markerfacecolor": "white", "markeredgecolor": "black"}
            handles.append(handle(kind.marker, 0.6 * kind.area, f"{kind.name} station", **style))
    return handles


def draw_silent(
    ax: GeoAxes, ds: xr.Dataset, silent: NDArray[np.bool_], kind: Kind, *, scale: float = 1.0
) -> list[Artist]:
    """Draw stations of a kind that have no observation: small, hollow and grey."""
    if not silent.any():
        return []
    return [ax.scatter(
        longitudes.canonical(ds[LON].values[silent]), ds[LAT].values[silent], s=12.0 * scale, marker=kind.marker, facecolors="none",
        edgecolors="0.45", linewidths=0.8, transform=ccrs.PlateCarree(), zorder=3,
        label=f"_{kind.name} without observation",
        path_effects=[Stroke(linewidth=2.0, foreground="white", alpha=0.8), Normal()],
    )]  # fmt: skip


def station_handles(ds: xr.Dataset, observed: NDArray, *, scale: float = 1.0) -> list[Line2D]:
    """Return the legend handles of what :func:`draw_stations` draws of values, ``(station,)`` or ``(map, station)``."""
    silent = np.isnan(np.atleast_2d(observed))
    shown = [
        handle(kind.marker, scale * kind.area, f"{kind.name} station", markerfacecolor="0.8", markeredgecolor="black")
        for kind in kinds(schema.hidden_mask(ds))
        if (kind.mask & ~silent.all(axis=0)).any()
    ]
    return shown + silent_handles(silent)


def silent_handles(silent: NDArray[np.bool_]) -> list[Line2D]:
    """Return the legend handle of stations without observation, where there are any."""
    if not silent.any():
        return []
    return [handle("o", 12.0, "no observation", markerfacecolor="none", markeredgecolor="0.45")]


def bubble_handles(bubbles: PathCollection, bar: Colorbar, largest: float, area: float, units: str) -> list[Line2D]:
    """Return legend handles of three values of a colour bar, in the colour and size of their bubbles; ``area`` of the largest."""
    low, high = bubbles.get_clim()
    ticks = [float(t) for t in np.sort(bar.get_ticks()) if 0.0 < t <= largest and low <= t <= high]
    values = (
        sorted({ticks[0], _nearest(ticks, 0.5 * (ticks[0] + ticks[-1])), ticks[-1]}) if ticks else round_values(largest)
    )
    colours = bubbles.to_rgba(np.array(values))
    return [
        handle("o", area * v / largest, f"{v:g} {units}", markerfacecolor=colour, markeredgecolor="black")
        for v, colour in zip(values, colours, strict=True)
    ]


def _nearest(values: Sequence[float], wanted: float) -> float:
    return min(values, key=lambda value: abs(value - wanted))
