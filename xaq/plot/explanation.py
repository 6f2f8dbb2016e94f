"""One estimate explained on a map: the place, its neighbours, their values and weights."""

from __future__ import annotations

import cartopy.crs as ccrs
import numpy as np
import pandas as pd
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..arrays import timesteps
from ..conventions import LAT, LON, STATION, TIME, label
from ..errors import SchemaError
from ..evaluate.explain import PLACE_LAT, PLACE_LON
from ..stations import schema
from . import basemap
from .basemap import Lines
from .style import CASING, FIELD_COLOURS, SMALL, colour_bar, handle, legend_below, limits, title
from .subject import axis_label, provenance, shared_units, time_text

#: Width of the line of the heaviest neighbour and of the lightest, points.
_WIDEST, _THINNEST = 6.0, 0.5
#: Weights from here on are written beside the neighbour.
_LABELLED = 0.05
#: Areas of markers, square points, and what a label keeps away from a neighbour's centre, points.
_NEIGHBOUR, _PLACE, _DOT, _OTHER, _RADIUS = 50.0, 85.0, 8.0, 7.0, 6.0
#: Size of a label, points: height, and width of a character.
_HEIGHT, _CHARACTER = 8.0, 4.8
_MINUS = "\N{MINUS SIGN}"


def explanation(
    ds: xr.Dataset,
    explained: xr.Dataset,
    *,
    ax: GeoAxes | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    lines: Lines = None,
) -> GeoAxes:
    """Draw why an estimate is what it is: the place, and its neighbours with their values and weights.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        The station dataset.
    explained : xarray.Dataset, dims (station)
        As :func:`xaq.explain` returns it.
    ax : cartopy.mpl.geoaxes.GeoAxes, optional
        Draw here; an extent already set is kept. Default: a new figure.
    vmin, vmax : float, optional
        Colour limits, in the target's units. Default: those of the neighbours' values and the estimate.
    cmap : str or Colormap, optional
        Default: viridis.
    lines : sequence of shapely geometries, or path of a GeoJSON file, optional
        Instead of the bundled coast, borders and provinces.

    Returns
    -------
    cartopy.mpl.geoaxes.GeoAxes
        A cross with the estimate's colour at the place; circles with the values' colours at the neighbours, with
        a white dot where the value is filled. Lines are as wide as the weight, dashed where it is negative; weights beyond 5 %
        are written. Other visible stations are grey dots.

    Raises
    ------
    SchemaError
        ``explained`` is no explanation; it and ds differ in units; ``ax`` is no map.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> why = ds.aq.explain(model, lon=10.0, lat=50.0, time="2020-01-04T08")
    >>> ds.aq.plot.explanation(why).get_title("left").splitlines()[0]
    'PM2.5, 2020-01-04 08:00 UTC'
    """
    ds = schema.conform(ds)
    target = _target(explained)
    units = shared_units(ds, explained.rename(estimate=target), target)
    place = float(explained[PLACE_LON]), float(explained[PLACE_LAT])
    lat, weight = explained[LAT].values, explained["weight"].values
    # At the image nearest to the place, where the two count longitudes differently or lie across the date line.
    lon = place[0] + (explained[LON].values - place[0] + 180.0) % 360.0 - 180.0
    ax = basemap.frame(ax, _bounds(np.append(lon, place[0]), np.append(lat, place[1])), lines)
    near = np.isin(ds[STATION].values, explained[STATION].values)
    others = ds.isel({STATION: np.flatnonzero(~near & ~schema.hidden_mask(ds))})
    plate = ccrs.PlateCarree()
    ax.scatter(
        others[LON].values, others[LAT].values, s=_OTHER, color="0.55", linewidths=0, transform=plate, zorder=3,
        label="_other",
    )  # fmt: skip
    values, estimate = explained["value"].values, float(explained["estimate"])
    both = np.append(values, estimate)
    norm, extend = limits(both, vmin=vmin, vmax=vmax, fraction=0.0, silent="the explanation holds no value")
    colours = cmap or FIELD_COLOURS
    xy = ax.projection.transform_points(plate, np.append(lon, place[0]), np.append(lat, place[1]))[:, :2]
    ax.add_collection(_lines_to_place(xy, weight), autolim=False)
    observed = explained["observed"].values.astype(bool)
    ax.scatter(
        lon, lat, s=_NEIGHBOUR, c=values, norm=norm, cmap=colours, edgecolors="black", linewidths=1.0, transform=plate,
        zorder=4, label="_neighbours", path_effects=CASING,
    )  # fmt: skip
    ax.scatter(
        lon[~observed], lat[~observed], s=_DOT, color="white", edgecolors="black", linewidths=0.5, transform=plate,
        zorder=4.5, label="_filled",
    )  # fmt: skip
    cross = ax.scatter(
        *place, s=_PLACE, c=[estimate], marker="X", norm=norm, cmap=colours, edgecolors="black", linewidths=1.0,
        transform=plate, zorder=5, label="_place", path_effects=CASING,
    )  # fmt: skip
    _write_weights(ax, xy, weight)
    colour_bar(ax, cross, axis_label(target, units), extend)
    _legend(ax, observed, weight, others=bool(others.sizes[STATION]))
    step = pd.Timedelta(timesteps.regular_step(ds[TIME].values))
    when = time_text(explained[[TIME]].expand_dims(TIME)[TIME].to_index()[0], step)
    title(ax, f"{label(target)}, {when}", _sum_text(explained, units))
    return ax


def _target(explained: xr.Dataset) -> str:
    target = provenance(explained).get("target") if isinstance(explained, xr.Dataset) else None
    if target is None or not {"weight", "value", "observed", "estimate", "kriging", "learned"} <= set(explained):
        raise SchemaError(
            "expected what ds.aq.explain(model, lon=..., lat=..., time=...) returns", subject="explanation"
        )
    return str(target)


def _bounds(lon: NDArray, lat: NDArray) -> basemap.Bounds:
    """Return bounds around points, with room for the labels."""
    margin = 0.12 * max(float(np.ptp(lon) * np.cos(np.radians(lat.mean()))), float(np.ptp(lat)), 0.05)
    wide = margin / max(float(np.cos(np.radians(lat.mean()))), 0.1)
    return (
        float(lon.min()) - wide, max(float(lat.min()) - margin, -90.0),
        float(lon.max()) + wide, min(float(lat.max()) + margin, 90.0),
    )  # fmt: skip


def _line_width(weight: NDArray, largest: float) -> NDArray:
    return np.maximum(_THINNEST, _WIDEST * np.abs(weight) / largest)


def _lines_to_place(xy: NDArray, weight: NDArray) -> LineCollection:
    """Return a line from each neighbour to the place, the last of ``xy``."""
    order = np.argsort(-np.abs(weight))  # thin ones on top
    return LineCollection(
        [xy[[i, -1]] for i in order],
        linewidths=_line_width(weight[order], float(np.abs(weight).max())),
        linestyles=["--" if w < 0 else "-" for w in weight[order]],
        colors="0.35", alpha=0.75, zorder=3.5, label="_weights", capstyle="butt",
    )  # fmt: skip


def _write_weights(ax: GeoAxes, xy: NDArray, weight: NDArray) -> None:
    """Write the weights beside their neighbours, the heaviest first, where they cover least."""
    ax.apply_aspect()
    points = ax.transData.transform(xy) * 72.0 / ax.figure.dpi
    taken = [(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in points]
    box = ax.bbox.bounds
    left, bottom = box[0] * 72.0 / ax.figure.dpi, box[1] * 72.0 / ax.figure.dpi
    frame = left, bottom, left + box[2] * 72.0 / ax.figure.dpi, bottom + box[3] * 72.0 / ax.figure.dpi
    for i in np.argsort(-np.abs(weight)):
        if not abs(weight[i]) > _LABELLED:
            break
        text = f"{100 * weight[i]:.0f} %".replace("-", _MINUS)
        half = 0.5 * _CHARACTER * len(text), 0.5 * _HEIGHT
        away = points[i] - points[-1]
        start = float(np.arctan2(away[1], away[0]))
        best = None
        for far in (1.0, 1.8):
            for turn in (0.0, 0.8, -0.8, 1.6, -1.6, 2.4, -2.4):
                direction = np.array([np.cos(start + turn), np.sin(start + turn)])
                centre = points[i] + direction * far * (_RADIUS + 2.0 + np.array(half))
                place = tuple(np.r_[centre - half, centre + half])
                cost = sum(_overlap(place, other) for other in taken) + 5.0 * _outside(place, frame)
                cost += 2.0 * abs(turn) + 8.0 * (far - 1.0)
                if best is None or cost < best[0]:
                    best = cost, centre - points[i], place
        assert best is not None
        taken.append(best[2])
        ax.annotate(
            text, xy[i], xytext=tuple(best[1]), textcoords="offset points", ha="center", va="center", fontsize=SMALL,
            zorder=6, bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.8},
        )  # fmt: skip


def _overlap(a: tuple, b: tuple) -> float:
    """Return the common area of two boxes (left, bottom, right, top)."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(a: tuple, frame: tuple) -> float:
    """Return the area of a box that lies outside another."""
    return (a[2] - a[0]) * (a[3] - a[1]) - _overlap(a, frame)


def _legend(ax: GeoAxes, observed: NDArray, weight: NDArray, *, others: bool) -> None:
    grey = {"markerfacecolor": "0.8", "markeredgecolor": "black"}
    neighbour = handle("o", _NEIGHBOUR, "neighbour", **grey)
    handles: list[Line2D | tuple[Line2D, ...]] = [handle("X", _PLACE, "the place", **grey), neighbour]
    if not observed.all():
        dot = handle("o", _DOT, "", markerfacecolor="white", markeredgecolor="black", markeredgewidth=0.5)
        handles.append((handle("o", _NEIGHBOUR, "neighbour, value filled", **grey), dot))
    largest = float(np.abs(weight).max())
    shown = next((w for w in (0.5, 0.2, 0.1, 0.05) if w <= largest), largest)
    width = float(_line_width(np.array(shown), largest))
    handles.append(Line2D([], [], color="0.35", alpha=0.75, linewidth=width, label=f"weight {100 * shown:.0f} %"))
    if (weight < 0).any():
        handles.append(Line2D([], [], color="0.35", alpha=0.75, linestyle="--", linewidth=1.0, label="negative weight"))
    if others:
        handles.append(handle("o", _OTHER, "other visible station", markerfacecolor="0.55", markeredgecolor="none"))
    legend_below(ax, handles, rows=2, length=2.2)


def _sum_text(explained: xr.Dataset, units: str) -> str:
    """Return the estimate as a sum: kriging and what was learned."""
    estimate, kriging = float(explained["estimate"]), float(explained["kriging"])
    digits = max(0, 2 - int(np.floor(np.log10(max(estimate, kriging, 1e-6)))))
    # Of the rounded ones, so that the sum holds as it is read.
    learned = round(round(estimate, digits) - round(kriging, digits), digits)
    sign = _MINUS if learned < 0 else "+"
    parts = f"kriging {kriging:.{digits}f} {sign} learned {abs(learned):.{digits}f} {units}"
    return f"estimate {estimate:.{digits}f} = {parts}"
