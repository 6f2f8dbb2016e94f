"""Maps side by side: a cube at several times, or two cubes and their difference."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .._arguments import check_count, check_sequence
from ..conventions import LAT, LON, TIME, label
from ..cube.provenance import provenance
from ..errors import SchemaError
from ..stations import schema
from . import arguments, basemap
from .arguments import check_colours, check_map
from .basemap import Lines
from .field import Unsupported, cube_bounds, draw_field, field_handles, no_value_text, step_text
from .markers import draw_stations, station_handles
from .observed import check_comparable, mean_observed
from .scale_bar import draw_scale_bar
from .seen import as_made
from .style import (
    DIFFERENCE_COLOURS,
    FIELD_COLOURS,
    TITLE,
    colour_bar,
    label_bar,
    legend_layout,
    limits,
    title,
)
from .subject import (
    conformed,
    cube_label,
    cube_target,
    mean_field,
    method_text,
    shared_units,
)
from .times import Periods, period_text, select_times

#: Most meridians and parallels on each of several maps, which are small.
_PANEL_MARKS = 5


def panels(
    ds: xr.Dataset | None,
    cube: xr.Dataset,
    times: Sequence[schema.Period],
    *,
    tz: str | None = None,
    target: str | None = None,
    columns: int = 3,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    stations: bool = True,
    unsupported: Unsupported = "hatched",
    lines: Lines = None,
) -> NDArray[np.object_]:
    """Draw the field at several times side by side, in the same colours.

    Parameters
    ----------
    ds, cube : xarray.Dataset
        As for :func:`map`.
    times : sequence of times or periods
        One panel each, as ``time`` of :func:`map`.
    tz : str, optional
        Time zone of the texts in ``times`` and of the titles, as for :func:`map`.
    target : str, optional
        Variable; the cube's by default.
    columns : int
        Panels in a row.
    vmin, vmax, cmap, stations, unsupported, lines : optional
        As for :func:`map`; the limits are shared by all panels.

    Returns
    -------
    numpy.ndarray of cartopy.mpl.geoaxes.GeoAxes, (panel,)
        On a new figure, with one colour bar at its right.

    Raises
    ------
    SchemaError
        As for :func:`map`; or no time is given.

    Notes
    -----
    Computes the chosen steps of the cube.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> [ax.get_title("left") for ax in ds.aq.plot.panels(cube, ["2020-01-01", "2020-01-02"])]
    ['daily mean 2020-01-01 (UTC)', 'daily mean 2020-01-02 (UTC)']
    """
    cmap, unsupported = check_colours(cmap, FIELD_COLOURS), check_map(stations, unsupported)
    columns = check_count(columns, "columns", 3, error=arguments.error)
    times = check_sequence(
        times, "times", "a list of times", fix="times=['2017-01-01', '2017-01-02']", error=arguments.error
    )
    target = cube_target(cube, target)
    ds = as_made(conformed(ds, cube, target, stations), cube)
    if not len(times):
        raise SchemaError(
            "no times, expected one for each panel; fix: times=['2017-01-01', '2017-01-02']", subject="map"
        )
    units = shared_units(ds, cube, target)
    selected = [select_times(cube, time, tz) for time in times]
    fields, kept = zip(*(mean_field(picked, target) for picked, _ in selected), strict=True)
    chosen = [(steps, period_text(steps, zone=zone)) for steps, (_, zone) in zip(kept, selected, strict=True)]
    if stations:
        check_comparable(ds, cube)
    observed = [mean_observed(ds, picked, target) for picked, _ in chosen] if stations else []
    no_value = no_value_text(target, f"at any of {len(times)} times")
    norm, extend = limits(np.stack(fields), np.array(observed), vmin=vmin, vmax=vmax, no_value=no_value)
    axes, scale = _grid_of_maps(cube_bounds(cube), len(chosen), columns, lines), _marker_scale(cube_bounds(cube))
    for i, (ax, (picked, when), field) in enumerate(zip(axes, chosen, fields, strict=True)):
        mesh, *_ = draw_field(ax, picked, field, norm, cmap, unsupported)
        if stations:
            draw_stations(ax, ds, observed[i], mesh, scale=scale)
        title(ax, step_text(when, field))
    draw_scale_bar(axes[0], ds)
    handles = station_handles(ds, np.array(observed), scale=scale) if stations else []
    text = cube_label(cube, target, units)
    if len(axes) <= columns:
        colour_bar(axes[-1], mesh, text, extend)
    else:
        bar = axes[0].figure.colorbar(mesh, ax=list(axes), extend=extend, fraction=0.04, pad=0.02, aspect=30)
        label_bar(bar, text)
    head = ", ".join(filter(None, [label(target), method_text(cube)]))
    _add_title_and_legend(axes, head, [*handles, *field_handles(cube, unsupported)])
    return axes


def compare(
    ds: xr.Dataset | None,
    cube: xr.Dataset,
    other: xr.Dataset,
    *,
    time: schema.Period = None,
    tz: str | None = None,
    target: str | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    stations: bool = True,
    unsupported: Unsupported = "hatched",
    lines: Lines = None,
) -> NDArray[np.object_]:
    """Draw two cubes side by side in the same colours, and their difference: AQ-Net and kriging, for example.

    Parameters
    ----------
    ds, cube : xarray.Dataset
        As for :func:`map`.
    other : xarray.Dataset, dims (time, lat, lon)
        With the same cells and units.
    time, tz, target, vmin, vmax, cmap, stations, unsupported, lines : optional
        As for :func:`map`; the limits are shared by the two cubes.

    Returns
    -------
    numpy.ndarray of cartopy.mpl.geoaxes.GeoAxes, (3,)
        The cube, the other, and the cube minus the other, on a new figure; each map has triangles where its own cube was not
        made from the station. Differences are red where the cube is higher and blue where it is lower; their colours reach
        the 98th percentile of their absolute values. Means are over the steps at which both have values.

    Raises
    ------
    SchemaError
        As for :func:`map`; or the cubes differ in cells, times or units.

    Notes
    -----
    Computes the chosen steps of both cubes.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> other = ds.aq.reanalyze("idw", grid=cube)
    >>> [ax.get_title("left") for ax in ds.aq.plot.compare(cube, other, time="2020-01-01")]
    ['kriging, 12 stations', 'idw, 12 stations', 'kriging − idw']
    """
    cmap, unsupported = check_colours(cmap, FIELD_COLOURS), check_map(stations, unsupported)
    target = cube_target(cube, target)
    cube_target(other, target)
    ds = conformed(ds, cube, target, stations)
    # A station may be hidden from one cube and used for the other.
    marked = [as_made(ds, made) for made in (cube, other)]
    units = shared_units(ds, cube, target)
    shared_units(ds, other, target)
    picked, fields, when = _same_steps(cube, other, target, time, tz)
    if stations:
        for compared in (cube, other):
            check_comparable(ds, compared)
    observed = mean_observed(ds, picked[0], target) if stations else np.array([])
    norm, extend = limits(*fields, observed, vmin=vmin, vmax=vmax, no_value=no_value_text(target, when))
    difference = fields[0] - fields[1]
    spread, beyond = _symmetric_limits(difference, _no_common_text(target, when))
    axes, scale = _grid_of_maps(cube_bounds(cube), 3, 3, lines), _marker_scale(cube_bounds(cube))
    for ax, steps, field, source, own in zip(axes[:2], picked, fields, (cube, other), marked, strict=True):
        mesh, *_ = draw_field(ax, steps, field, norm, cmap, unsupported)
        if stations:
            draw_stations(ax, own, observed, mesh, scale=scale)
        title(ax, method_text(source) or "cube")
    apart, *_ = draw_field(axes[2], picked[0], difference, spread, DIFFERENCE_COLOURS, unsupported)
    draw_scale_bar(axes[0], ds)
    names = [str(provenance(c).get("method", "cube")) for c in (cube, other)]
    title(axes[2], f"{names[0]} \N{MINUS SIGN} {names[1]}")
    colour_bar(axes[1], mesh, cube_label(cube, target, units), extend)
    colour_bar(axes[2], apart, f"difference [{units}]", beyond)
    shown = [entry for own in marked for entry in station_handles(own, observed, scale=scale)] if stations else []
    handles = list({entry.get_label(): entry for entry in shown}.values())
    _add_title_and_legend(axes, f"{label(target)}, {when}", [*handles, *field_handles(cube, unsupported)])
    return axes


def _same_steps(
    cube: xr.Dataset, other: xr.Dataset, target: str, time: schema.Period, tz: str | None
) -> tuple[list[xr.Dataset], list[NDArray[np.float64]], str]:
    """Return the chosen steps at which two cubes have values, their means and a phrase; raise where cells or times differ."""
    if any(not np.array_equal(cube[name].values, other[name].values) for name in (LAT, LON)):
        raise SchemaError(
            "the cubes have different cells; fix: ds.aq.reanalyze(..., grid=cube) for both", subject="map"
        )
    (first, zone), (second, other_zone) = (select_times(c, time, tz) for c in (cube, other))
    when, other_when = period_text(first, zone=zone), period_text(second, zone=other_zone)
    if not np.array_equal(first[TIME].values, second[TIME].values):
        raise SchemaError(
            f"the cubes have different times, {when} and {other_when}; fix: time=... that both have", subject="map"
        )
    ours, theirs = Periods.of(cube), Periods.of(other)
    if ours is not None and theirs is not None and ours.one != theirs.one:
        raise SchemaError(
            f"one cube has {ours.many}, the other {theirs.many}; fix: the same freq= and statistic= for both",
            subject="map",
        )
    made = [mean_field(steps, target) for steps in (first, second)]
    common = np.intersect1d(made[0][1][TIME].values, made[1][1][TIME].values)
    if not len(common):
        raise SchemaError(_no_common_text(target, when), subject="map")
    if any(kept.sizes[TIME] != len(common) for _, kept in made):
        made = [mean_field(steps.sel({TIME: common}), target) for steps in (first, second)]
    return [kept for _, kept in made], [field for field, _ in made], period_text(made[0][1], zone=zone)


def _no_common_text(target: str, when: str) -> str:
    return f"{target!r} has no cell where both cubes have a value, {when}; fix: another time=..."


def _symmetric_limits(difference: NDArray, no_value: str) -> tuple[Normalize, str]:
    """Return the norm of a difference, symmetric about zero, and whether the ends of its colour bar are open."""
    reach, extend = limits(np.abs(difference), vmin=0.0, vmax=None, no_value=no_value)
    largest = float(reach.vmax or 1.0)
    return Normalize(-largest, largest), "neither" if extend == "neither" else "both"


def _grid_of_maps(bounds: basemap.Bounds, n: int, columns: int, lines: Lines) -> NDArray[np.object_]:
    """Return n framed maps of the same bounds on a new figure, labelled at its left and below."""
    columns = min(columns, n)
    rows = -(-n // columns)
    shape = basemap.aspect(bounds)
    wide = _width(shape)
    figure = plt.figure(figsize=(columns * wide + 1.4, rows * (wide * shape + 0.3) + 0.8), layout="compressed")
    axes = np.empty(n, object)
    for i in range(n):
        ax = figure.add_subplot(rows, columns, i + 1, projection=basemap.projection(bounds))
        axes[i] = basemap.frame(ax, bounds, lines, left=i % columns == 0, below=i + columns >= n, marks=_PANEL_MARKS)
    return axes


def _width(shape: float) -> float:
    """Return the width in inches of one of several maps, of this height over width."""
    return float(min(4.0, 3.0 / np.sqrt(shape)))


def _marker_scale(bounds: basemap.Bounds) -> float:
    """Return the area of one of several maps relative to a map that fills a figure; markers are smaller by as much."""
    shape = basemap.aspect(bounds)
    return _width(shape) ** 2 * shape / basemap.AREA


def _add_title_and_legend(axes: NDArray[np.object_], head: str, handles: list[Artist]) -> None:
    figure: Figure = axes[0].figure
    figure.suptitle(head, fontsize=TITLE, x=0.01, ha="left")
    if handles:
        room = 72.0 * figure.bbox.width / figure.dpi
        figure.legend(handles=handles, loc="outside lower left", **legend_layout(handles, room))
