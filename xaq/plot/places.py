"""Maps of the network: its stations by level with a zoom on the densest city, and the errors at hidden stations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cartopy.crs as ccrs
import numpy as np
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch, Rectangle
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from ..conventions import LAT, LON, STATION, TIME, label
from ..cube import reanalyze as reanalysis
from ..errors import ModelError, SchemaError
from ..interpolate.base import Mapper
from ..stations import schema
from . import basemap
from .basemap import Lines
from .style import CASING, ERROR_COLOURS, FIELD_COLOURS, colour_bar, handle, legend_below, limits, round_values, title
from .subject import (
    axis_label,
    cells_at,
    cube_target,
    mapper_target,
    mean_observed,
    period_text,
    provenance,
    refuse_forecast,
    select_times,
    shared_units,
    trained_on,
    units_text,
)

#: Area of the largest bubble, of the largest station of a map by level, and of a dot, square points.
_BUBBLE, _LARGEST, _DOT = 450.0, 110.0, 7.0
#: A zoom shows a box of this share of the map's extent, and no more degrees than a city has, if it holds this many
#: stations, and this many times those of a box where they were spread evenly.
_ZOOM_FRACTION, _ZOOM_DEGREES, _ZOOM_LEAST, _ZOOM_CROWD = 0.2, 1.5, 6, 6.0
#: By how much the stations are larger in the zoom's picture.
_ZOOM_FACTOR = 2.0
#: Edges of the zoom's picture, as shares of the map's shorter side: the largest for which a corner is free.
_INSETS = (0.42, 0.36, 0.30)


def stations(
    ds: xr.Dataset,
    *,
    target: str | None = None,
    time: schema.Period = None,
    zoom: basemap.Bounds | Literal["densest"] | None = "densest",
    ax: GeoAxes | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    lines: Lines = None,
) -> GeoAxes:
    """Draw the stations, colour and size by level, with a zoom on a dense city.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset.
    target : str, optional
        Variable; the only pollutant by default.
    time : slice, (start, end) or one time, optional
        Period whose mean is drawn; all of the record by default.
    zoom : {"densest"}, (west, south, east, north) in degrees, or None
        What an inset shows larger: the densest part of the network, where it has one; a box; or nothing.
    ax : cartopy.mpl.geoaxes.GeoAxes, optional
        Draw here. Default: a new figure.
    vmin, vmax : float, optional
        Colour limits, in the target's units. Default: 2nd to 98th percentile.
    cmap : str or Colormap, optional
        Default: viridis.
    lines : sequence of shapely geometries, or path of a GeoJSON file, optional
        Instead of the bundled coast, borders and provinces.

    Returns
    -------
    cartopy.mpl.geoaxes.GeoAxes
        Visible stations are circles, hidden ones triangles; areas are proportional to the level. The inset is the
        last of its ``child_axes``, in a corner without stations, for which the map is widened where there is none.

    Raises
    ------
    SchemaError
        No station has an observation in the period; the zoom holds no station; ``ax`` is no map.

    Notes
    -----
    Computes the mean of the observations.

    Examples
    --------
    >>> import xaq
    >>> xaq.datasets.load("germany").aq.plot.stations(time="2005-02-08").get_title("left")
    'PM10 at 66 stations, 2005-02-08'
    """
    ds = schema.conform(ds)
    target = mapper_target(ds, None, target)
    picked = schema.select_period(ds, time)
    units = units_text(str(ds[target].attrs["units"]))
    level = mean_observed(picked, target, picked[TIME].values)
    when = period_text(picked, of=ds)
    norm, extend = limits(level, vmin=vmin, vmax=vmax, silent=f"no station has an observation of {target!r}, {when}")
    largest = float(np.nanmax(level))
    box = _zoom_box(ds, zoom)
    bounds, corner = _around(ds), None
    if box is not None:
        bounds, corner = _with_corner(bounds, ds)
    ax = basemap.frame(ax, bounds, lines)
    drawn = _draw_levels(ax, ds, level, norm, cmap or FIELD_COLOURS, largest)
    n = int(np.isfinite(level).sum())
    handles = _kind_handles(ds, level) + _size_handles(drawn, largest, _LARGEST, units)
    legend_below(ax, handles + _silent_handle(np.isnan(level)), rows=2)
    colour_bar(ax, drawn, axis_label(target, units), extend)
    title(ax, f"{label(target)} at {n} station{'s' * (n != 1)}, {when}")
    if box is not None and corner is not None:
        inset = _inset(ax, box, corner, lines)
        _draw_levels(inset, ds, level, norm, cmap or FIELD_COLOURS, largest / _ZOOM_FACTOR)
    return ax


def errors(
    ds: xr.Dataset,
    mapper_or_cube: Mapper | str | xr.Dataset,
    *,
    target: str | None = None,
    time: schema.Period = None,
    ax: GeoAxes | None = None,
    lines: Lines = None,
) -> GeoAxes:
    """Draw the error at each hidden station as a bubble whose area is proportional to its RMSE.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset with hidden stations.
    mapper_or_cube : Model, {"kriging", "idw", "nearest"} or xarray.Dataset
        An analysis model, the name of a classical method, or a cube, whose cells at the stations are scored: that of a forecast, say.
    target : str, optional
        Variable; the model's, or the only pollutant.
    time : slice, (start, end) or one time, optional
        Period scored; all of the record by default.
    ax : cartopy.mpl.geoaxes.GeoAxes, optional
        Draw here. Default: a new figure.
    lines : sequence of shapely geometries, or path of a GeoJSON file, optional
        Instead of the bundled coast, borders and provinces.

    Returns
    -------
    cartopy.mpl.geoaxes.GeoAxes
        The title gives RMSE and MAE pooled over all pairs, in the target's units. Visible stations are grey dots.

    Raises
    ------
    SchemaError
        No station is hidden, or no hidden station has an observation in the period.
    ModelError
        The model is a forecast, or was trained on stations that are hidden now, or the cube was made from them.
    GridError
        A hidden station lies outside the cube.

    Notes
    -----
    Computes estimates at the hidden stations.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=4).aq.hide(fraction=0.2)
    >>> ax = ds.aq.plot.errors("kriging")
    >>> ax.figure.savefig("errors.png")
    """
    ds = schema.conform(ds)
    if isinstance(mapper_or_cube, xr.Dataset):
        places, estimated, target = _from_cube(ds, mapper_or_cube, target, time)
        method = provenance(mapper_or_cube).get("method", "cube")
    else:
        refuse_forecast(
            mapper_or_cube, "errors", "fix: ds.aq.verify(model), or draw its cube, ds.aq.reanalyze(model, init=...)"
        )
        target = mapper_target(ds, mapper_or_cube, target)
        places = unseen(ds, mapper_or_cube)
        estimated = reanalysis.estimate(
            ds, mapper_or_cube, lon=places[LON], lat=places[LAT], target=target, time=time
        ).compute()
        method = getattr(mapper_or_cube, "name", mapper_or_cube)
    seen = places[target].reindex({TIME: estimated[TIME].values}).transpose(STATION, TIME).values
    miss = np.asarray(estimated[target].transpose(STATION, TIME).values, float) - seen
    if not np.isfinite(miss).any():
        raise SchemaError(
            f"no hidden station has both {target!r} and an estimate in time={time!r}; fix: another period"
        )
    rmse = np.array([_rms(row) for row in miss])
    units = units_text(str(ds[target].attrs["units"]))
    ax = basemap.frame(ax, _around(ds), lines)
    bubbles = _draw_errors(ax, ds, places, rmse)
    colour_bar(ax, bubbles, f"RMSE of {axis_label(target, units)}", "neither")
    handles = [handle("o", _DOT, "visible station", markerfacecolor="0.55", markeredgecolor="none")]
    legend_below(
        ax,
        handles
        + _silent_handle(np.isnan(rmse))
        + _size_handles(bubbles, float(np.nanmax(rmse)) or 1.0, _BUBBLE, units),
    )
    pooled = f"RMSE {_rms(miss):.3g}, MAE {np.nanmean(np.abs(miss)):.3g} {units}"
    n = int(np.isfinite(rmse).sum())
    head = f"{label(target)} at {n} hidden station{'s' * (n != 1)}, {method}: {pooled}"
    title(ax, head, period_text(estimated, mean=False))
    return ax


def _from_cube(
    ds: xr.Dataset, cube: xr.Dataset, target: str | None, time: schema.Period
) -> tuple[xr.Dataset, xr.Dataset, str]:
    """Return the hidden stations, the cells of a cube that hold them, computed, and the target."""
    target = cube_target(cube, target)
    shared_units(ds, cube, target)
    places = unseen(ds, None)
    hidden = {str(s) for s in places[STATION].values}
    if made_from := sorted(hidden - set(provenance(cube).get("hidden_stations", hidden))):
        raise ModelError(
            f"the cube was made from {len(made_from)} of the stations that are hidden now: {', '.join(made_from[:5])}; "
            "errors there would flatter it; fix: hide before training and reanalyzing"
        )
    picked, _ = select_times(cube, time)
    cells = cells_at(picked, places[LON].values, places[LAT].values, STATION)
    return places, cells[[n for n in (target, "time_bnds") if n in cells]].compute(), target


def unseen(ds: xr.Dataset, mapper: object) -> xr.Dataset:
    """Return the hidden stations; raise where there is none, or the mapper was trained on one."""
    hidden = schema.hidden_mask(ds)
    if not hidden.any():
        raise SchemaError("no station is hidden; fix: ds.aq.hide(fraction=0.15)")
    places = ds.isel({STATION: np.flatnonzero(hidden)})
    trained = sorted(trained_on(mapper) & {str(s) for s in places[STATION].values})
    if trained:
        raise ModelError(
            f"the model was trained on {len(trained)} of the stations that are hidden now: {', '.join(trained[:5])}; "
            "errors there would flatter it; fix: hide before training, or ds.aq.hide(model.recipe.hidden)"
        )
    return places


# -- stations on any map -------------------------------------------------------------------------------------------


def draw_stations(ax: GeoAxes, ds: xr.Dataset, observed: NDArray, mesh: ScalarMappable) -> list[Artist]:
    """Draw visible stations as circles and hidden ones as triangles on a field's colours; hollow where silent."""
    hidden = schema.hidden_mask(ds)
    silent = np.isnan(observed)
    drawn: list[Artist] = []
    for name, mask, marker, area in _kinds(hidden):
        kept = mask & ~silent
        drawn.append(ax.scatter(
            ds[LON].values[kept], ds[LAT].values[kept], s=area, c=observed[kept], marker=marker, norm=mesh.norm,
            cmap=mesh.cmap, edgecolors="black", linewidths=0.8, transform=ccrs.PlateCarree(), zorder=4,
            label=f"_{name}", path_effects=CASING,
        ))  # fmt: skip
        gone = mask & silent
        drawn += _hollow(ax, ds[LON].values[gone], ds[LAT].values[gone], marker, f"_{name} without observation")
    return drawn


def station_handles(ds: xr.Dataset, observed: NDArray) -> list[Line2D]:
    """Return the legend's keys of what :func:`draw_stations` draws."""
    hidden, silent = schema.hidden_mask(ds), np.isnan(observed)
    shown = [
        handle(marker, area, f"{name} station", markerfacecolor="0.8", markeredgecolor="black")
        for name, mask, marker, area in _kinds(hidden)
        if (mask & ~silent).any()
    ]
    return shown + _silent_handle(silent)


def _kinds(hidden: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.bool_], str, float]]:
    """Return name, stations, marker and its area of both kinds; the more stations, the smaller."""
    size = float(np.clip(4000.0 / len(hidden), 10.0, 40.0))
    return [("visible", ~hidden, "o", size), ("hidden", hidden, "^", 1.5 * size)]


def _silent_handle(silent: NDArray[np.bool_]) -> list[Line2D]:
    if not silent.any():
        return []
    return [handle("o", 12.0, "no observation", markerfacecolor="none", markeredgecolor="0.45")]


def _hollow(ax: GeoAxes, lon: NDArray, lat: NDArray, marker: str, name: str) -> list[Artist]:
    if not len(lon):
        return []
    return [ax.scatter(
        lon, lat, s=12.0, marker=marker, facecolors="none", edgecolors="0.45", linewidths=0.8,
        transform=ccrs.PlateCarree(), zorder=3, label=name,
        path_effects=[Stroke(linewidth=2.0, foreground="white", alpha=0.8), Normal()],
    )]  # fmt: skip


# -- bubbles -------------------------------------------------------------------------------------------------------


def _draw_levels(
    ax: GeoAxes, ds: xr.Dataset, level: NDArray, norm: Normalize, cmap: str | Colormap, largest: float
) -> PathCollection:
    """Draw stations with areas proportional to their level; return the visible ones, or the hidden where all are."""
    hidden, silent = schema.hidden_mask(ds), np.isnan(level)
    drawn = None
    for name, mask, marker, _ in reversed(_kinds(hidden)):
        kept = np.flatnonzero(mask & ~silent)
        kept = kept[np.argsort(-level[kept])]  # small ones on top
        if len(kept):
            drawn = ax.scatter(
                ds[LON].values[kept], ds[LAT].values[kept], s=_LARGEST * np.maximum(level[kept], 0.0) / largest,
                c=level[kept], marker=marker, norm=norm, cmap=cmap, edgecolors="black", linewidths=0.4, alpha=0.9,
                transform=ccrs.PlateCarree(), zorder=4, label=f"_{name}",
            )  # fmt: skip
        gone = mask & silent
        _hollow(ax, ds[LON].values[gone], ds[LAT].values[gone], marker, f"_{name} without observation")
    assert drawn is not None  # limits() has refused a network without a value
    return drawn


def _kind_handles(ds: xr.Dataset, level: NDArray) -> list[Line2D]:
    """Return keys for circles and triangles, where the network has both."""
    hidden = schema.hidden_mask(ds) & np.isfinite(level)
    if not hidden.any():
        return []
    return [
        handle(marker, 0.4 * _LARGEST, f"{name} station", markerfacecolor="0.8", markeredgecolor="black")
        for name, _, marker, _ in _kinds(hidden)
    ]


def _draw_errors(ax: GeoAxes, ds: xr.Dataset, places: xr.Dataset, rmse: NDArray) -> PathCollection:
    visible = ~schema.hidden_mask(ds)
    ax.scatter(
        ds[LON].values[visible], ds[LAT].values[visible], s=_DOT, color="0.55", linewidths=0,
        transform=ccrs.PlateCarree(), zorder=3, label="_visible",
    )  # fmt: skip
    known = np.isfinite(rmse)
    lon, lat = places[LON].values, places[LAT].values
    _hollow(ax, lon[~known], lat[~known], "o", "_hidden without observation")
    order = np.flatnonzero(known)[np.argsort(-rmse[known])]  # small ones on top
    largest = float(np.nanmax(rmse)) or 1.0
    return ax.scatter(
        lon[order], lat[order], s=_BUBBLE * rmse[order] / largest, c=rmse[order], norm=Normalize(0.0, largest),
        cmap=ERROR_COLOURS, edgecolors="black", linewidths=0.6, alpha=0.9, transform=ccrs.PlateCarree(), zorder=4,
        label="_hidden",
    )  # fmt: skip


def _size_handles(bubbles: PathCollection, largest: float, area: float, units: str) -> list[Line2D]:
    """Return keys of three round values, in their colour and of their size."""
    return [
        handle("o", area * v / largest, f"{v:g} {units}", markerfacecolor=bubbles.to_rgba(v), markeredgecolor="black")  # type: ignore[arg-type]
        for v in round_values(largest)
    ]


# -- the zoom ------------------------------------------------------------------------------------------------------


def _zoom_box(ds: xr.Dataset, zoom: basemap.Bounds | str | None) -> basemap.Bounds | None:
    """Return what the inset shows: the box asked for, or round the station with most others near, if they are many."""
    if zoom is None:
        return None
    lon, lat = np.asarray(ds[LON].values, float), np.asarray(ds[LAT].values, float)
    if zoom != "densest":
        west, south, east, north = (float(edge) for edge in zoom)
        if not ((lon > west) & (lon < east) & (lat > south) & (lat < north)).any():
            raise SchemaError(
                f"zoom={zoom} holds no station; fix: (west, south, east, north) in degrees", subject="map"
            )
        return west, south, east, north
    stretch = np.cos(np.radians(lat.mean()))
    half = 0.5 * min(_ZOOM_FRACTION * max(float(np.ptp(lon)) * stretch, float(np.ptp(lat))), _ZOOM_DEGREES)
    near = (np.abs(lat[:, None] - lat) <= half) & (np.abs(lon[:, None] - lon) * stretch <= half)
    crowd = near[np.argmax(near.sum(axis=1))]
    evenly = len(lon) * (2 * half) ** 2 / max(float(np.ptp(lon)) * stretch * float(np.ptp(lat)), 1e-9)
    if crowd.sum() < max(_ZOOM_LEAST, _ZOOM_CROWD * evenly):
        return None
    x, y = (0.5 * (v[crowd].min() + v[crowd].max()) for v in (lon, lat))
    return x - half / stretch, y - half, x + half / stretch, y + half


@dataclass(frozen=True)
class _Corner:
    """Where an inset goes: 0 or 1 along x and y, and its edge as a share of the map's shorter side."""

    right: int
    top: int
    edge: float


def _with_corner(bounds: basemap.Bounds, ds: xr.Dataset) -> tuple[basemap.Bounds, _Corner]:
    """Return the bounds, and a corner where an inset covers no station; to the east of all stations if there is none."""
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
                return bounds, _Corner(right, top, edge)
    side = 1.1 * _INSETS[0] * min((east - west) * stretch, north - south)
    return (west, south, east + side / stretch, north), _Corner(1, 0, _INSETS[0])


def _inset(ax: GeoAxes, box: basemap.Bounds, corner: _Corner, lines: Lines) -> GeoAxes:
    """Return a map of the box in a corner of another one, on which its outline is drawn and joined to it."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    side = corner.edge * min(right - left, top - bottom)
    w, h = side / (right - left), side / (top - bottom)
    gap = 0.02
    place = ((1 - w - gap) if corner.right else gap, (1 - h - gap) if corner.top else gap, w, h)
    inset = ax.inset_axes(place, projection=basemap.projection(box), zorder=5)
    basemap.show(inset, box, lines)
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


# -- numbers -------------------------------------------------------------------------------------------------------


def _rms(values: NDArray) -> float:
    """Return the root mean square of what is finite, or NaN."""
    kept = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(kept**2))) if len(kept) else float("nan")


def _around(ds: xr.Dataset) -> basemap.Bounds:
    """Return bounds around all stations with a margin of 8 % of their extent; across the date line where shorter."""
    lon, lat = np.asarray(ds[LON].values, float), np.asarray(ds[LAT].values, float)
    if np.ptp(lon % 360.0) < np.ptp(lon):
        lon = lon % 360.0
    margin = max(0.08 * max(float(np.ptp(lon)), float(np.ptp(lat))), 0.02)
    return (
        float(lon.min()) - margin,
        max(float(lat.min()) - margin, -90.0),
        float(lon.max()) + margin,
        min(float(lat.max()) + margin, 90.0),
    )
