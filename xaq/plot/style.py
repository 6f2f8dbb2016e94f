"""The common style of all figures: colours, sizes, colour limits, legends and colour bars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import SubplotParams
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke
from matplotlib.textpath import text_to_path
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from ..errors import SchemaError
from .arguments import check_limit

#: Perceptually uniform and safe for colour-blind readers: concentrations from dark to light; errors and widths of
#: intervals, which should be small, from light to dark.
FIELD_COLOURS, ERROR_COLOURS = "viridis", "viridis_r"
#: Differences, white at zero.
DIFFERENCE_COLOURS = "RdBu_r"
#: One colour per method, from the colour-blind-safe palette of Okabe and Ito; the first is the model's.
BLUE = "#0072B2"
METHOD_COLOURS = (BLUE, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "black")
METHOD_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: Sizes of text, points.
TITLE, LABEL, SMALL = 10.0, 9.0, 8.0
#: Inches of a figure's width that axes labels take from a title, and of its height that a title takes from a colour bar.
_BESIDE = 0.6
#: Of a legend, in font sizes: a patch, what lies between a handle and its label, and between columns.
_PATCH, _GAP, _BETWEEN = 1.6, 0.5, 1.5
#: A white rim that keeps a dark marker visible on a dark field.
CASING = [Stroke(linewidth=2.2, foreground="white"), Normal()]


def title(ax: Axes, *lines: str | None) -> None:
    """Write the non-empty lines above the axes, aligned with its left edge and wrapped at its part of the figure."""
    room = _room(ax)
    ax.set_title("\n".join(wrapped(line, room) for line in lines if line), loc="left", fontsize=TITLE)


def _room(ax: Axes, *, upright: bool = False) -> float:
    """Return the points that a line of text has above or below axes, or ``upright`` beside: their part of the figure."""
    low, high, size = ("bottom", "top", "height") if upright else ("left", "right", "width")
    frame = SubplotParams()
    whole = getattr(frame, high) - getattr(frame, low)
    part = min(getattr(ax.get_position(original=True), size) / whole, 1.0)
    return 72.0 * float(max(part * getattr(ax.figure.bbox, size) / ax.figure.dpi - _BESIDE, 1.0))


def wrapped(text: str, room: float, size: float = TITLE) -> str:
    """Return a text in lines of about one length, no wider than some points; broken behind a comma if one is near."""
    out, rest = [], text
    while (width := text_width(rest, size)) > room and " " in rest:
        even = width / -(-width // room)
        ends = {found.start(): text_width(rest[: found.start()], size) for found in re.finditer(" ", rest)}
        fitting = {end: w for end, w in ends.items() if w <= room} or {min(ends): 0.0}
        end = min(fitting, key=lambda i: abs(fitting[i] - even) + 0.3 * room * (rest[i - 1] not in ",:"))
        out.append(rest[:end])
        rest = rest[end + 1 :]
    return "\n".join([*out, rest])


def text_width(text: str, size: float = TITLE) -> float:
    """Return the width of a text, points."""
    return float(text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0])


def plain(ax: Axes) -> None:
    """Give the axes of a line plot the common style: no box, small tick labels."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=SMALL)


def as_array(axes: Sequence[Axes]) -> NDArray[np.object_]:
    """Return axes as an array, ``(n,)``."""
    array = np.empty(len(axes), object)
    array[:] = axes
    return array


def limits(
    *pools: NDArray, vmin: float | None, vmax: float | None, no_value: str, fraction: float = 0.02
) -> tuple[Normalize, str]:
    """Return the norm shared by pools of values, and which ends of the colour bar are open.

    Of each pool at most ``fraction`` of the values lie beyond either end; ``no_value`` is the error message where no
    value is finite.
    """
    vmin, vmax = check_limit(vmin, "vmin"), check_limit(vmax, "vmax")
    pools = tuple(p[np.isfinite(p)] for p in pools)
    pools = tuple(p for p in pools if len(p))
    if not pools:
        raise SchemaError(no_value, subject="map")
    low = min(float(np.quantile(p, fraction)) for p in pools) if vmin is None else vmin
    high = max(float(np.quantile(p, 1 - fraction)) for p in pools) if vmax is None else vmax
    if vmin is not None and vmax is not None and not low < high:
        raise SchemaError(f"vmin={vmin:g} is not below vmax={vmax:g}; fix: vmin={vmax:g}, vmax={vmin:g}", subject="map")
    if not low < high:  # a constant field
        pad = 0.05 * abs(low) or 0.5
        low, high = (low if vmin is not None else high - pad), (high if vmax is not None else low + pad)
    below, above = min(p.min() for p in pools) < low, max(p.max() for p in pools) > high
    extend = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}
    return Normalize(low, high), extend[bool(below), bool(above)]


def three_digits(value: float) -> str:
    """Return a number with three significant digits: ``"27.0"``."""
    return f"{value:#.3g}".rstrip(".")


def round_values(largest: float) -> list[float]:
    """Return three round values, evenly spaced, the last at or just below the largest value."""
    power = 10.0 ** np.floor(np.log10(largest / 3))
    step = max(
        m * power for m in (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0) if m * power <= largest / 3 * (1 + 1e-9)
    )
    return [float(f"{n * step:.6g}") for n in (1, 2, 3)]


def handle(marker: str, area: float, text: str, **style: Any) -> Line2D:
    """Return a legend handle as large as a scatter marker of this area, in square points."""
    return Line2D([], [], linestyle="none", marker=marker, markersize=float(np.sqrt(area)), label=text, **style)


def legend_below(
    ax: Axes,
    handles: Sequence[Artist | tuple[Line2D, ...]],
    *,
    rows: int = 1,
    length: float | None = None,
    lines: int = 1,
) -> Legend | None:
    """Put the legend under the tick labels of so many lines, where it covers no data; ``length`` of its handles in font sizes.

    It has more than ``rows`` where it would be wider than the axes' part of the figure.
    """
    if not handles:
        return None
    below = ax.transAxes + ScaledTranslation(0.0, -(10.0 + 10.0 * lines) / 72.0, ax.figure.dpi_scale_trans)
    layout = legend_layout(handles, _room(ax), rows=rows, length=length)
    return ax.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=below,
        borderaxespad=0.0,
        **layout,
    )


def legend_layout(
    handles: Sequence[Artist | tuple[Line2D, ...]], room: float, *, rows: int = 1, length: float | None = None
) -> dict[str, Any]:
    """Return the arguments of a legend that is no wider than some points: its columns, and labels in lines."""
    first = [h[0] if isinstance(h, tuple) else h for h in handles]
    if length is None:
        # As wide as the widest marker; a patch has no width of its own.
        widest = max((float(h.get_markersize()) for h in first if isinstance(h, Line2D)), default=8.0)
        length = max(widest / SMALL, _PATCH * any(isinstance(h, Patch) for h in first))
    beside = SMALL * (length + _GAP)
    labels = [wrapped(str(h.get_label()), room - beside, SMALL) for h in first]
    widths = [beside + max(text_width(line, SMALL) for line in label.split("\n")) for label in labels]
    columns = max(1, -(-len(first) // rows))
    # As matplotlib fills them, one column after the other.
    while columns > 1 and sum(max(c) + SMALL * _BETWEEN for c in np.array_split(widths, columns)) > room:
        columns -= 1
    columns = -(-len(first) // -(-len(first) // columns))  # rows of one length
    return {
        "labels": labels, "ncols": columns, "frameon": False, "fontsize": SMALL, "handletextpad": _GAP, "columnspacing": _BETWEEN,
        "handlelength": length,
    }  # fmt: skip


def colour_bar(ax: Axes, mappable: ScalarMappable, text: str, extend: str) -> Colorbar:
    """Put a colour bar beside the axes, exactly as high as the map for any aspect."""
    beside = ax.inset_axes((1.03, 0.0, 0.035, 1.0))
    bar = ax.figure.colorbar(mappable, cax=beside, extend=extend)
    label_bar(bar, text)
    return bar


def label_bar(bar: Colorbar, text: str) -> None:
    """Write the quantity and unit of a colour bar, in lines no longer than the bar."""
    bar.set_label(wrapped(text, _room(bar.ax, upright=True), LABEL), fontsize=LABEL)
    bar.ax.tick_params(labelsize=SMALL)
