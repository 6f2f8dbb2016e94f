"""Maps of a cube: the field with its stations, several times or two cubes side by side, the width of the interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cartopy.crs as ccrs
import matplotlib.pyplot as plt
import numpy as np
import shapely
import xarray as xr
from cartopy.mpl.feature_artist import FeatureArtist
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.artist import Artist
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..conventions import LAT, LON, STATION, TIME, label
from ..errors import SchemaError
from ..stations import schema
from . import basemap
from .basemap import Lines
from .places import draw_stations, station_handles
from .style import (
    DIFFERENCE_COLOURS,
    ERROR_COLOURS,
    FIELD_COLOURS,
    SMALL,
    TITLE,
    colour_bar,
    label_bar,
    legend_below,
    limits,
    title,
)
from .subject import (
    axis_label,
    cell_edges,
    cube_target,
    mean_field,
    mean_observed,
    method_text,
    provenance,
    select_times,
    shared_units,
)

#: How cells that no station supports are shown.
Unsupported = Literal["hatched", "blank"]
#: Meridians and parallels of each map of several, which is small.
_PANEL_MARKS = 5


def map(  # noqa: A001 - read as xaq.plot.map
    ds: xr.Dataset,
    cube: xr.Dataset,
    *,
    time: schema.Period = None,
    target: str | None = None,
    ax: GeoAxes | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    stations: bool = True,
    unsupported: Unsupported = "hatched",
    lines: Lines = None,
) -> GeoAxes:
    """Draw the field, and the stations' observations on the same colours.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        The station dataset, in the cube's units.
    cube : xarray.Dataset, dims (time, lat, lon)
        As :func:`xaq.reanalyze` returns it.
    time : str, time, slice or (start, end), optional
        A time of the cube, or a period whose mean is drawn: ``"2017-01-01"`` is the mean of that day on hourly data,
        ``"2017-01-01T08"`` one hour. Default: the mean of all of the cube. The nearest time is never taken.
    target : str, optional
        Variable; the cube's by default.
    ax : cartopy.mpl.geoaxes.GeoAxes, optional
        Draw here; an extent already set is kept. Default: a new figure in a projection that suits the extent.
    vmin, vmax : float, optional
        Colour limits, in the target's units. Default: 2nd to 98th percentile, the wider one of field and stations.
    cmap : str or Colormap, optional
        Default: viridis.
    stations : bool
        Draw visible stations as circles and hidden ones as triangles, coloured by the mean of what they observed over
        the same steps; small, hollow and grey where they observed nothing.
    unsupported : {"hatched", "blank"}
        How cells too far from every station are shown; they never have a colour.
    lines : sequence of shapely geometries, or path of a GeoJSON file, optional
        Instead of the bundled coast, borders and provinces.

    Returns
    -------
    cartopy.mpl.geoaxes.GeoAxes
        One colour bar with the target's units; the title names time, method and stations.

    Raises
    ------
    SchemaError
        The time is not in the cube; ds and cube differ in units; nothing to draw; ``ax`` is no map.

    Notes
    -----
    Computes the chosen steps of the cube.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> ds.aq.plot.map(cube, time="2020-01-01").get_title("left").splitlines()
    ['PM2.5, daily mean 2020-01-01 (UTC)', 'kriging, 12 stations']
    """
    ds = schema.conform(ds)
    target = cube_target(cube, target)
    picked, when = select_times(cube, time)
    units = shared_units(ds, cube, target)
    field = mean_field(picked, target)
    observed = np.full(ds.sizes[STATION], np.nan)
    if stations:
        observed = mean_observed(ds, target, picked[TIME].values)
    norm, extend = limits(field, observed, vmin=vmin, vmax=vmax, silent=_silent(target, when))
    ax = basemap.frame(ax, cube_bounds(cube), lines)
    mesh, *_ = draw_field(ax, picked, field, norm, cmap or FIELD_COLOURS, unsupported)
    handles: list[Line2D] = []
    if stations:
        draw_stations(ax, ds, observed, mesh)
        handles += station_handles(ds, observed)
    legend_below(ax, [*handles, *field_handles(picked, unsupported)])
    colour_bar(ax, mesh, axis_label(target, units), extend)
    title(ax, f"{label(target)}, {when}", method_text(cube))
    return ax


def panels(
    ds: xr.Dataset,
    cube: xr.Dataset,
    times: Sequence[schema.Period],
    *,
    target: str | None = None,
    columns: int = 3,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    stations: bool = True,
    unsupported: Unsupported = "hatched",
    lines: Lines = None,
) -> NDArray[np.object_]:
    """Draw the field at several times side by side, on the same colours.

    Parameters
    ----------
    ds, cube : xarray.Dataset
        As for :func:`map`.
    times : sequence of times or periods
        One panel each, as ``time`` of :func:`map`.
    target : str, optional
        Variable; the cube's by default.
    columns : int
        Panels in a row.
    vmin, vmax, cmap, stations, unsupported, lines : optional
        As for :func:`map`; the limits are shared by all panels.

    Returns
    -------
    numpy.ndarray of cartopy.mpl.geoaxes.GeoAxes, (panel,)
        On a new figure, one colour bar at its right.

    Raises
    ------
    SchemaError
        As :func:`map`; or no time is given.

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
    ds, target = schema.conform(ds), cube_target(cube, target)
    if not len(times):
        raise SchemaError("no times, expected one for each panel, such as ['2017-01-01', '2017-01-02']", subject="map")
    units = shared_units(ds, cube, target)
    chosen = [select_times(cube, time) for time in times]
    fields = [mean_field(picked, target) for picked, _ in chosen]
    observed = [mean_observed(ds, target, picked[TIME].values) for picked, _ in chosen] if stations else []
    silent = _silent(target, f"at any of {len(times)} times")
    norm, extend = limits(np.stack(fields), np.array(observed), vmin=vmin, vmax=vmax, silent=silent)
    axes = _grid_of_maps(cube_bounds(cube), len(chosen), columns, lines)
    for i, (ax, (picked, when), field) in enumerate(zip(axes, chosen, fields, strict=True)):
        mesh, *_ = draw_field(ax, picked, field, norm, cmap or FIELD_COLOURS, unsupported)
        if stations:
            draw_stations(ax, ds, observed[i], mesh)
        title(ax, when)
    handles = station_handles(ds, np.mean(observed, axis=0)) if stations else []
    bar = axes[0].figure.colorbar(mesh, ax=list(axes), extend=extend, fraction=0.04, pad=0.02, aspect=30)
    label_bar(bar, axis_label(target, units))
    _head_and_legend(
        axes, ", ".join(filter(None, [label(target), method_text(cube)])), [*handles, *field_handles(cube, unsupported)]
    )
    return axes


def compare(
    ds: xr.Dataset,
    cube: xr.Dataset,
    other: xr.Dataset,
    *,
    time: schema.Period = None,
    target: str | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    stations: bool = True,
    unsupported: Unsupported = "hatched",
    lines: Lines = None,
) -> NDArray[np.object_]:
    """Draw two cubes side by side on the same colours, and their difference: AQ-Net and its kriging twin, say.

    Parameters
    ----------
    ds, cube : xarray.Dataset
        As for :func:`map`.
    other : xarray.Dataset, dims (time, lat, lon)
        On the same cells, in the same units.
    time, target, vmin, vmax, cmap, stations, unsupported, lines : optional
        As for :func:`map`; the limits are shared by the two cubes.

    Returns
    -------
    numpy.ndarray of cartopy.mpl.geoaxes.GeoAxes, (3,)
        The cube, the other, and the cube less the other, on a new figure. Differences are red where the cube is
        higher, blue where it is lower; their colours reach the 98th percentile of their size.

    Raises
    ------
    SchemaError
        As :func:`map`; or the cubes differ in cells, times or units.

    Notes
    -----
    Computes the chosen steps of both cubes.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> twin = ds.aq.reanalyze("idw", grid=cube)
    >>> [ax.get_title("left") for ax in ds.aq.plot.compare(cube, twin, time="2020-01-01")]
    ['kriging, 12 stations', 'idw, 12 stations', 'kriging − idw']
    """
    ds, target = schema.conform(ds), cube_target(cube, target)
    cube_target(other, target)
    units = shared_units(ds, cube, target)
    shared_units(ds, other, target)
    if any(not np.array_equal(cube[name].values, other[name].values) for name in (LAT, LON)):
        raise SchemaError(
            "the cubes have different cells; fix: ds.aq.reanalyze(..., grid=cube) for both", subject="map"
        )
    chosen = [select_times(c, time) for c in (cube, other)]
    if not np.array_equal(chosen[0][0][TIME].values, chosen[1][0][TIME].values):
        raise SchemaError(
            f"the cubes have different times, {chosen[0][1]} and {chosen[1][1]}; fix: time=...", subject="map"
        )
    when = chosen[0][1]
    fields = [mean_field(picked, target) for picked, _ in chosen]
    observed = mean_observed(ds, target, chosen[0][0][TIME].values) if stations else np.array([])
    norm, extend = limits(*fields, observed, vmin=vmin, vmax=vmax, silent=_silent(target, when))
    difference = fields[0] - fields[1]
    silent = f"{target!r} has no cell where both cubes have a value, {when}"
    reach, beyond = limits(np.abs(difference), vmin=0.0, vmax=None, silent=silent)
    size = float(reach.vmax or 1.0)
    spread = Normalize(-size, size)
    axes = _grid_of_maps(cube_bounds(cube), 3, 3, lines)
    for ax, (picked, _), field, source in zip(axes, chosen, fields, (cube, other), strict=False):
        mesh, *_ = draw_field(ax, picked, field, norm, cmap or FIELD_COLOURS, unsupported)
        if stations:
            draw_stations(ax, ds, observed, mesh)
        title(ax, method_text(source) or "cube")
    apart, *_ = draw_field(axes[2], chosen[0][0], difference, spread, DIFFERENCE_COLOURS, unsupported)
    names = [str(provenance(c).get("method", "cube")) for c in (cube, other)]
    title(axes[2], f"{names[0]} \N{MINUS SIGN} {names[1]}")
    handles = station_handles(ds, observed) if stations else []
    figure = axes[0].figure
    label_bar(
        figure.colorbar(mesh, ax=list(axes[:2]), extend=extend, fraction=0.04, pad=0.02), axis_label(target, units)
    )
    beyond = "neither" if beyond == "neither" else "both"
    label_bar(figure.colorbar(apart, ax=axes[2], extend=beyond, fraction=0.08, pad=0.04), f"difference [{units}]")
    _head_and_legend(axes, f"{label(target)}, {when}", [*handles, *field_handles(cube, unsupported)])
    return axes


def width(
    ds: xr.Dataset,
    cube: xr.Dataset,
    *,
    time: schema.Period = None,
    target: str | None = None,
    ax: GeoAxes | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    unsupported: Unsupported = "hatched",
    lines: Lines = None,
) -> GeoAxes:
    """Draw how wide the cube's interval is: where its estimates can be trusted, and where they cannot.

    Parameters
    ----------
    ds, cube : xarray.Dataset
        As for :func:`map`.
    time, target, ax : optional
        As for :func:`map`; of a period the mean width of its steps is drawn.
    vmax : float, optional
        Upper colour limit, in the target's units; the lower one is 0. Default: 98th percentile.
    cmap : str or Colormap, optional
        Default: viridis reversed, dark where the interval is wide.
    unsupported, lines : optional
        As for :func:`map`.

    Returns
    -------
    cartopy.mpl.geoaxes.GeoAxes
        Visible stations are white dots: the interval is narrow near them.

    Raises
    ------
    SchemaError
        As :func:`map`; or the cube has no interval.

    Notes
    -----
    Computes the bounds of the interval at the chosen steps of the cube.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> ds.aq.plot.width(cube, time="2020-01-01").get_title("left").splitlines()
    ['PM2.5, 90 % interval, daily mean 2020-01-01 (UTC)', 'kriging, 12 stations']
    """
    ds, target = schema.conform(ds), cube_target(cube, target)
    units = shared_units(ds, cube, target)
    lower, upper = f"{target}_lower", f"{target}_upper"
    if not {lower, upper} <= set(cube):
        raise SchemaError(
            f"no {lower} and {upper}: the cube was made without an interval; fix: ds.aq.reanalyze with a calibrated model or 'kriging'",
            subject="cube",
        )
    picked, when = select_times(cube, time)
    field = mean_field(picked.assign({target: picked[upper] - picked[lower]}), target)
    norm, extend = limits(field, vmin=0.0, vmax=vmax, silent=_silent(target, when))
    ax = basemap.frame(ax, cube_bounds(cube), lines)
    mesh, *_ = draw_field(ax, picked, field, norm, cmap or ERROR_COLOURS, unsupported)
    visible = ~schema.hidden_mask(ds)
    ax.scatter(
        ds[LON].values[visible], ds[LAT].values[visible], s=9.0, color="white", edgecolors="black", linewidths=0.5,
        transform=ccrs.PlateCarree(), zorder=3, label="_visible",
    )  # fmt: skip
    dot = Line2D(
        [], [], linestyle="none", marker="o", markersize=3.0, markerfacecolor="white", markeredgecolor="black",
        markeredgewidth=0.5, label="visible station",
    )  # fmt: skip
    legend_below(ax, [dot, *field_handles(picked, unsupported)])
    level = provenance(cube).get("interval_level")
    percent = "" if level is None else f"{100 * level:g} % "
    colour_bar(ax, mesh, f"width of the {percent}interval of {axis_label(target, units)}", extend)
    title(ax, f"{label(target)}, {percent}interval, {when}", method_text(cube))
    return ax


# -- parts that figures share --------------------------------------------------------------------------------------


def cube_bounds(cube: xr.Dataset) -> basemap.Bounds:
    """Return the outer edges of a cube's cells."""
    x, y = cell_edges(cube, LON), cell_edges(cube, LAT)
    return float(x[0]), float(y[0]), float(x[-1]), float(y[-1])


def draw_field(
    ax: GeoAxes, cube: xr.Dataset, field: NDArray, norm: Normalize, cmap: str | Colormap, unsupported: Unsupported
) -> tuple[QuadMesh] | tuple[QuadMesh, FeatureArtist]:
    """Draw a field ``(lat, lon)`` in a cube's cells, and hatch what is not supported; return what was drawn."""
    if unsupported not in ("hatched", "blank"):
        raise SchemaError(f"unsupported={unsupported!r}, expected 'hatched' or 'blank'", subject="map")
    lon, lat = cell_edges(cube, LON), cell_edges(cube, LAT)
    mesh = ax.pcolormesh(
        lon, lat, np.ma.masked_invalid(field), norm=norm, cmap=cmap, transform=ccrs.PlateCarree(), rasterized=True,
        zorder=1,
    )  # fmt: skip
    area = _unsupported_area(cube) if unsupported == "hatched" else None
    if area is None:
        return (mesh,)
    hatch = ax.add_geometries(
        [area], crs=ccrs.PlateCarree(), facecolor="none", edgecolor="0.75", hatch="////", linewidth=0.0, zorder=0.9
    )
    return mesh, hatch


def field_handles(cube: xr.Dataset, unsupported: Unsupported) -> list[Patch]:
    """Return the legend's keys of the field: what the hatching means, where there is some."""
    supported = _supported(cube)
    if unsupported == "blank" or supported is None or supported.all():
        return []
    return [Patch(facecolor="none", edgecolor="0.6", hatch="//////", linewidth=0.0, label="no station near")]


def _supported(cube: xr.Dataset) -> NDArray[np.bool_] | None:
    if "supported" not in cube:
        return None
    supported = cube["supported"]
    supported = supported.isel({TIME: 0}) if TIME in supported.dims else supported
    return np.asarray(supported.transpose(LAT, LON).values, bool)


def _unsupported_area(cube: xr.Dataset) -> shapely.Geometry | None:
    """Return the cells that no station supports as one geometry, or None where all are supported."""
    supported = _supported(cube)
    if supported is None or supported.all():
        return None
    lon, lat = cell_edges(cube, LON), cell_edges(cube, LAT)
    # A box for each run of cells in a row: thousands of boxes fewer to unite.
    padded = np.pad(~supported, ((0, 0), (1, 1)))
    turns = np.diff(padded.astype(np.int8), axis=1)
    row, first = np.nonzero(turns == 1)
    stop = np.nonzero(turns == -1)[1]
    return shapely.union_all(shapely.box(lon[first], lat[row], lon[stop], lat[row + 1]))


def _silent(target: str, when: str) -> str:
    return f"{target!r} has no value in the cube or at the stations, {when}"


def _grid_of_maps(bounds: basemap.Bounds, n: int, columns: int, lines: Lines) -> NDArray[np.object_]:
    """Return n framed maps of the same bounds on a new figure; parallels are labelled at its left, meridians below."""
    columns = min(columns, n)
    rows = -(-n // columns)
    shape = basemap.aspect(bounds)
    wide = min(4.0, 3.0 / np.sqrt(shape))
    figure = plt.figure(figsize=(columns * wide + 1.4, rows * (wide * shape + 0.3) + 0.8), layout="compressed")
    axes = np.empty(n, object)
    for i in range(n):
        ax = figure.add_subplot(rows, columns, i + 1, projection=basemap.projection(bounds))
        axes[i] = basemap.frame(ax, bounds, lines, left=i % columns == 0, below=i + columns >= n, marks=_PANEL_MARKS)
    return axes


def _head_and_legend(axes: NDArray[np.object_], head: str, handles: list[Artist]) -> None:
    figure: Figure = axes[0].figure
    figure.suptitle(head, fontsize=TITLE, x=0.01, ha="left")
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=SMALL)
