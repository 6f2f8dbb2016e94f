"""The map of one estimate: its location, and the neighbours with their values and weights."""

from __future__ import annotations

from typing import NamedTuple

import cartopy.crs as ccrs
import numpy as np
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..arrays import longitudes
from ..conventions import LAT, LON, STATION, TIME, label
from ..cube.provenance import provenance
from ..errors import SchemaError
from ..evaluate.explain import PLACE_LAT, PLACE_LON
from ..stations import schema
from . import basemap
from .arguments import check_colours
from .basemap import Lines
from .scale_bar import draw_scale_bar
from .style import CASING, FIELD_COLOURS, SMALL, colour_bar, handle, legend_below, limits, title
from .subject import axis_label, shared_units
from .times import period_text

#: Line widths of the largest and of the smallest weight, points.
_WIDEST, _THINNEST = 6.0, 0.5
#: Weights above this are written beside the neighbour.
_LABELLED = 0.05
#: Areas of markers, square points, and the radius around a neighbour that labels keep free, points.
_NEIGHBOUR, _PLACE, _DOT, _OTHER, _RADIUS = 50.0, 85.0, 8.0, 7.0, 6.0
#: Size of a label, points: its height, and the width of a character.
_HEIGHT, _CHARACTER = 8.0, 4.8
_MINUS, _NO_BREAK = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"


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
    """Draw how an estimate was made: its location, and the neighbours with their values and weights.

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
    lines : GeoDataFrame, sequence of shapely geometries, or path of a GeoJSON file, optional
        Drawn instead of the bundled coast, borders and provinces.

    Returns
    -------
    cartopy.mpl.geoaxes.GeoAxes
        A cross in the colour of the estimate at its location; circles in the colours of their values at the neighbours,
        with a white dot where the value is filled. The width of a line is proportional to the weight; negative weights
        are dashed, and weights above 5 % are written. Other visible stations are grey dots.

    Raises
    ------
    SchemaError
        ``explained`` is not an explanation; it differs from ``ds`` in units; ``ax`` is not a map.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> why = ds.aq.explain(model, lon=10.0, lat=50.0, time="2020-01-04T08")
    >>> ds.aq.plot.explanation(why).get_title("left").splitlines()[0]
    'PM2.5, 2020-01-04 08:00 UTC'
    """
    cmap = check_colours(cmap, FIELD_COLOURS)
    ds = schema.conform(ds)
    target = _target(explained)
    units = shared_units(ds, explained.rename(estimate=target), target)
    norm, extend = limits(
        np.append(explained["value"].values, float(explained["estimate"])), vmin=vmin, vmax=vmax, fraction=0.0,
        no_value="the explanation has no value; fix: ds.aq.explain(model, ...) at a time with observations",
    )  # fmt: skip
    located = _Located.of(explained)
    ax = basemap.frame(ax, located.bounds, lines)
    near = np.isin(ds[STATION].values, explained[STATION].values)
    others = ds.isel({STATION: np.flatnonzero(~near & ~schema.hidden_mask(ds))})
    ax.scatter(
        longitudes.canonical(others[LON].values), others[LAT].values, s=_OTHER, color="0.55", linewidths=0, transform=ccrs.PlateCarree(),
        zorder=3, label="_other",
    )  # fmt: skip
    cross = _draw_estimate(ax, explained, located, norm, cmap)
    weight = explained["weight"].values
    xy = ax.projection.transform_points(ccrs.PlateCarree(), located.lon, located.lat)[:, :2]
    ax.add_collection(_weight_lines(xy, weight), autolim=False)
    _write_weights(ax, xy, weight)
    colour_bar(ax, cross, axis_label(target, units), extend)
    _add_legend(ax, explained["observed"].values.astype(bool), weight, others=bool(others.sizes[STATION]))
    draw_scale_bar(ax, ds)
    when = period_text(explained[[TIME]].expand_dims(TIME), of=ds[[target]])
    title(ax, f"{label(target)}, {when}", *_parts_text(explained, units))
    return ax


class _Located(NamedTuple):
    """Longitudes and latitudes of the neighbours and, last, of the estimate, ``(n_neighbour + 1,)`` degrees."""

    lon: NDArray
    lat: NDArray

    @classmethod
    def of(cls, explained: xr.Dataset) -> _Located:
        """Locate an explanation; longitudes are those nearest to the estimate's, also across the date line."""
        place = float(longitudes.canonical(explained[PLACE_LON].values))
        lon = longitudes.nearest_image(explained[LON].values, place)
        return cls(np.append(lon, place), np.append(explained[LAT].values, float(explained[PLACE_LAT])))

    @property
    def bounds(self) -> basemap.Bounds:
        """Bounds around all of them, with room for labels."""
        lon, lat = self.lon, self.lat
        margin = 0.12 * max(float(np.ptp(lon) * np.cos(np.radians(lat.mean()))), float(np.ptp(lat)), 0.05)
        wide = margin / max(float(np.cos(np.radians(lat.mean()))), 0.1)
        return (
            float(lon.min()) - wide, max(float(lat.min()) - margin, -90.0),
            float(lon.max()) + wide, min(float(lat.max()) + margin, 90.0),
        )  # fmt: skip


def _draw_estimate(
    ax: GeoAxes, explained: xr.Dataset, located: _Located, norm: Normalize, cmap: str | Colormap
) -> PathCollection:
    """Draw the neighbours as circles, a dot in those whose value is filled, and the estimate as a cross; return it."""
    plate = ccrs.PlateCarree()
    lon, lat, observed = located.lon[:-1], located.lat[:-1], explained["observed"].values.astype(bool)
    ax.scatter(
        lon, lat, s=_NEIGHBOUR, c=explained["value"].values, norm=norm, cmap=cmap, edgecolors="black", linewidths=1.0,
        transform=plate, zorder=4, label="_neighbours", path_effects=CASING,
    )  # fmt: skip
    ax.scatter(
        lon[~observed], lat[~observed], s=_DOT, color="white", edgecolors="black", linewidths=0.5, transform=plate,
        zorder=4.5, label="_filled",
    )  # fmt: skip
    return ax.scatter(
        located.lon[-1], located.lat[-1], s=_PLACE, c=[float(explained["estimate"])], marker="X", norm=norm, cmap=cmap,
        edgecolors="black", linewidths=1.0, transform=plate, zorder=5, label="_place", path_effects=CASING,
    )  # fmt: skip


def _target(explained: xr.Dataset) -> str:
    target = provenance(explained).get("target") if isinstance(explained, xr.Dataset) else None
    if target is None or not {"weight", "value", "observed", "estimate", "kriging", "factor", "learned"} <= set(
        explained
    ):
        raise SchemaError(
            f"got {type(explained).__name__}, expected an explanation; "
            "fix: ds.aq.explain(model, lon=..., lat=..., time=...)",
            subject="explanation",
        )
    return str(target)


def _line_width(weight: NDArray, largest: float) -> NDArray:
    return np.maximum(_THINNEST, _WIDEST * np.abs(weight) / largest)


def _weight_lines(xy: NDArray, weight: NDArray) -> LineCollection:
    """Return a line from each neighbour to the estimate, the last of ``xy``."""
    order = np.argsort(-np.abs(weight))  # thin ones on top
    return LineCollection(
        [xy[[i, -1]] for i in order],
        linewidths=_line_width(weight[order], float(np.abs(weight).max())),
        linestyles=["--" if w < 0 else "-" for w in weight[order]],
        colors="0.35", alpha=0.75, zorder=3.5, label="_weights", capstyle="butt",
    )  # fmt: skip


#: Left, bottom, right, top, in points.
_Box = tuple[float, float, float, float]


def _write_weights(ax: GeoAxes, xy: NDArray, weight: NDArray) -> None:
    """Write the weights beside their neighbours, the largest first, where they overlap least."""
    ax.apply_aspect()
    scale = 72.0 / ax.figure.dpi
    points = ax.transData.transform(xy) * scale
    taken: list[_Box] = [(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in points]
    left, bottom, width, height = (scale * v for v in ax.bbox.bounds)
    frame = left, bottom, left + width, bottom + height
    for i in np.argsort(-np.abs(weight)):
        if not abs(weight[i]) > _LABELLED:
            break
        text = f"{100 * weight[i]:.0f} %".replace("-", _MINUS)
        half = np.array([0.5 * _CHARACTER * len(text), 0.5 * _HEIGHT])
        offset = _label_offset(points[i], points[i] - points[-1], half, taken, frame)
        taken.append((*(points[i] + offset - half), *(points[i] + offset + half)))
        ax.annotate(
            text, xy[i], xytext=tuple(offset), textcoords="offset points", ha="center", va="center", fontsize=SMALL,
            zorder=6, bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.8},
        )  # fmt: skip


def _label_offset(point: NDArray, outward: NDArray, half: NDArray, taken: list[_Box], frame: _Box) -> NDArray:
    """Return the offset of a label from its neighbour, points: the cheapest of several directions and distances.

    Overlaps and parts outside the frame cost their area; directions away from ``outward`` and long distances cost a little.
    """

    def cost(offset: NDArray, turn: float, far: float) -> float:
        box = (*(point + offset - half), *(point + offset + half))
        overlaps = sum(_overlap(box, other) for other in taken)
        return overlaps + 5.0 * _outside(box, frame) + 2.0 * abs(turn) + 8.0 * (far - 1.0)

    angle = float(np.arctan2(outward[1], outward[0]))
    tried = []
    for far in (1.0, 1.8):
        for turn in (0.0, 0.8, -0.8, 1.6, -1.6, 2.4, -2.4):
            direction = np.array([np.cos(angle + turn), np.sin(angle + turn)])
            offset = direction * far * (_RADIUS + 2.0 + half)
            tried.append((cost(offset, turn, far), offset))
    return min(tried, key=lambda pair: pair[0])[1]


def _overlap(a: _Box, b: _Box) -> float:
    """Return the common area of two boxes."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(a: _Box, frame: _Box) -> float:
    """Return the area of a box outside a frame."""
    return (a[2] - a[0]) * (a[3] - a[1]) - _overlap(a, frame)


def _add_legend(ax: GeoAxes, observed: NDArray, weight: NDArray, *, others: bool) -> None:
    grey = {"markerfacecolor": "0.8", "markeredgecolor": "black"}
    neighbour = handle("o", _NEIGHBOUR, "neighbour", **grey)
    handles: list[Line2D | tuple[Line2D, ...]] = [handle("X", _PLACE, "estimate", **grey), neighbour]
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


def _parts_text(explained: xr.Dataset, units: str) -> list[str]:
    """Return the estimate as the sum of its parts, and the trend as kriging times its factors, in lines."""
    factors = dict(zip(explained["term"].values.tolist(), explained["factor"].values.tolist(), strict=True))
    kriging, trend = float(explained["kriging"]), float(np.prod([*factors.values()]))
    level, levels = kriging, {"trend": kriging * trend} if factors else {}
    for part in ("advection", "log_scale", "learned"):
        level = levels.get("trend", kriging) if part == "advection" else level
        level += float(explained[part])
        levels[part.replace("_", " ")] = level
    digits = max(0, 2 - int(np.floor(np.log10(max(float(explained["estimate"]), kriging, 1e-6)))))
    # Differences of the rounded levels, so that the printed sum is exact.
    text, before = f"estimate {float(explained['estimate']):.{digits}f} = kriging {kriging:.{digits}f}", kriging
    for part, level in levels.items():
        added = round(round(level, digits) - round(before, digits), digits)
        before = level
        if added or part == "learned":
            # A line of the title may end before a part, not within one.
            sign = _MINUS if added < 0 else "+"
            text += " " + f"{sign} {part} {abs(added):.{digits}f}".replace(" ", _NO_BREAK)
    lines = [f"{text}{_NO_BREAK}{units}"]
    if factors:
        named = (f"{name} {factor:.2f}".replace(" ", _NO_BREAK) for name, factor in factors.items())
        product = " \N{MULTIPLICATION SIGN} ".join(named)
        lines.append(f"trend: kriging \N{MULTIPLICATION SIGN} {product}")
    return lines
