"""Maps: the field with its stations, and the errors at hidden stations."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import cartopy.crs as ccrs
import numpy as np
import pandas as pd
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from .. import reanalysis
from .. import stations as border
from ..errors import ModelError, SchemaError
from ..mappers import Mapper
from ..vocabulary import LAT, LON, STATION, TIME, canonical_units, label
from . import basemap
from .basemap import Lines

#: Perceptually uniform, safe for the colour-blind, and dark enough at both ends to stand out from blank cells.
FIELD_COLOURS, _ERROR_COLOURS = "viridis", "viridis_r"
#: Area of the largest bubble, square points.
_BUBBLE = 450.0
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def map(  # noqa: A001 - read as xaq.plot.map
    ds: xr.Dataset,
    cube: xr.Dataset,
    *,
    time: border.Period = None,
    target: str | None = None,
    ax: GeoAxes | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    stations: bool = True,
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
    lines : sequence of shapely geometries, or path of a GeoJSON file, optional
        Instead of the bundled coast, borders and provinces.

    Returns
    -------
    cartopy.mpl.geoaxes.GeoAxes

    Raises
    ------
    SchemaError
        The time is not in the cube; ds and cube differ in units; nothing to draw; ``ax`` is no map.

    Notes
    -----
    Computes the chosen steps of the cube. Unsupported cells are blank.
    """
    ds = border.conform(ds)
    target = cube_target(cube, target)
    picked, when = select_times(cube, time)
    units = shared_units(ds, cube, target)
    field = _mean_field(picked, target)
    observed = np.full(ds.sizes[STATION], np.nan)
    if stations:
        observed = _mean_observed(ds, target, picked[TIME].values)
    norm, extend = _limits(
        field, observed, vmin, vmax, f"{target!r} has no value in the cube or at the stations, {when}"
    )
    lon_edges, lat_edges = cell_edges(cube, LON), cell_edges(cube, LAT)
    ax = basemap.frame(ax, (lon_edges[0], lat_edges[0], lon_edges[-1], lat_edges[-1]), lines)
    mesh = ax.pcolormesh(
        lon_edges, lat_edges, np.ma.masked_invalid(field), norm=norm, cmap=cmap or FIELD_COLOURS,
        transform=ccrs.PlateCarree(), rasterized=True, zorder=1,
    )  # fmt: skip
    if stations:
        _draw_stations(ax, ds, observed, mesh)
    colour_bar(ax, mesh, axis_label(target, units), extend)
    ax.set_title("\n".join(filter(None, [f"{label(target)}, {when}", method_text(cube)])), loc="left", fontsize=10)
    return ax


def errors(
    ds: xr.Dataset,
    mapper: Mapper | str,
    *,
    target: str | None = None,
    time: border.Period = None,
    ax: GeoAxes | None = None,
    lines: Lines = None,
) -> GeoAxes:
    """Draw the error at each hidden station as a bubble whose area is proportional to its RMSE.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset with hidden stations.
    mapper : Model or {"kriging", "idw", "nearest"}
        An analysis model, or the name of a classical method.
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
        The model is a forecast, or was trained on stations that are hidden now.

    Notes
    -----
    Computes estimates at the hidden stations.
    """
    ds = border.conform(ds)
    refuse_forecast(mapper, "errors", "mend: ds.aq.verify(model)")
    hidden = border.hidden_mask(ds)
    if not hidden.any():
        raise SchemaError("no station is hidden; mend: ds.aq.hide(fraction=0.15)")
    target = mapper_target(ds, mapper, target)
    places = ds.isel({STATION: np.flatnonzero(hidden)})
    trained = sorted(trained_on(mapper) & {str(s) for s in places[STATION].values})
    if trained:
        raise ModelError(
            f"the model was trained on {len(trained)} of the stations that are hidden now: {', '.join(trained[:5])}; "
            "errors there would flatter it; mend: hide before training, or ds.aq.hide(model.recipe.hidden)"
        )
    estimated = reanalysis.estimate(ds, mapper, lon=places[LON], lat=places[LAT], target=target, time=time).compute()
    seen = places[target].sel({TIME: estimated[TIME].values}).transpose(STATION, TIME).values
    miss = np.asarray(estimated[target].transpose(STATION, TIME).values, float) - seen
    if not np.isfinite(miss).any():
        raise SchemaError(
            f"no hidden station has both {target!r} and an estimate in time={time!r}; mend: another period"
        )
    rmse = np.array([_rms(row) for row in miss])
    units = units_text(str(ds[target].attrs["units"]))
    ax = basemap.frame(ax, _around(ds), lines)
    bubbles = _draw_bubbles(ax, ds, places, rmse)
    colour_bar(ax, bubbles, f"RMSE of {axis_label(target, units)}", "neither")
    _size_legend(ax, bubbles, rmse, units, silent=bool(np.isnan(rmse).any()))
    pooled = f"RMSE {_rms(miss):.3g}, MAE {np.nanmean(np.abs(miss)):.3g} {units}"
    n = int(np.isfinite(rmse).sum())
    head = f"{label(target)} at {n} hidden station{'s' * (n != 1)}, {getattr(mapper, 'name', mapper)}: {pooled}"
    ax.set_title(f"{head}\n{period_text(estimated, mean=False)}", loc="left", fontsize=10)
    return ax


# -- what is drawn -------------------------------------------------------------------------------------------------


def refuse_forecast(mapper: Any, verb: str, mend: str) -> None:
    """Raise for a forecast model, whose estimates lie after the record."""
    if getattr(mapper, "task", "analysis") == "forecast":
        raise ModelError(f"plot.{verb} is for analysis models, and this one is a forecast; {mend}")


def mapper_target(ds: xr.Dataset, mapper: Any, target: str | None) -> str:
    """Return the target asked for, or the model's, or the dataset's only pollutant; with units, on (station, time)."""
    recipe = getattr(mapper, "recipe", None)
    target = recipe.target if recipe is not None and target is None else border.pick_target(ds, target)
    border.conform(ds, target)
    return target


def trained_on(mapper: Any) -> set[str]:
    """Return the identifiers of the stations that a model saw in training; none for a classical method."""
    recipe = getattr(mapper, "recipe", None)
    return {str(s) for s in getattr(recipe, "visible", ())}


def cube_target(cube: xr.Dataset, target: str | None) -> str:
    """Return the variable of a cube: the one asked for, or the only one on the grid that is not a bound."""
    if not isinstance(cube, xr.Dataset) or not {LAT, LON} <= set(cube.dims) or TIME not in cube.coords:
        raise SchemaError(
            "expected a Dataset with time, lat and lon; mend: cube = ds.aq.reanalyze(...)", subject="cube"
        )
    fields = [
        str(n) for n in cube.data_vars if {LAT, LON} <= set(cube[n].dims) and n not in ("supported", "nearest_station")
    ]
    known = [n for n in fields if not n.endswith(("_lower", "_upper"))]
    if target is None and len(known) == 1:
        return known[0]
    if target is None or target not in fields:
        asked = "which variable?" if target is None else f"no variable {target!r};"
        raise SchemaError(f"{asked} the cube has {', '.join(known) or 'none'}; mend: target=...", subject="cube")
    return target


def select_times(cube: xr.Dataset, time: border.Period) -> tuple[xr.Dataset, str]:
    """Return the chosen steps of a cube, and words for them; never the nearest time."""
    if TIME not in cube.dims:
        cube = cube.expand_dims(TIME)
    try:
        picked = border.select_period(cube, time)
    except SchemaError as error:
        first, last = cube[TIME].values[[0, -1]].astype("datetime64[s]")
        raise SchemaError(
            f"time={time!r} holds no step of the cube, which covers {first} to {last}", subject="cube"
        ) from error
    return picked, period_text(picked)


def period_text(ds: xr.Dataset, *, mean: bool = True) -> str:
    """Return words for the times of a dataset: one step, a daily mean, or (the mean of) a period."""
    times = ds[TIME].to_index()
    step = _step(ds)
    if len(times) == 1:
        return stamp_text(times[0], step)
    style, zone = _stamp_style(step)
    if (
        mean
        and step is not None
        and len(times) * step == pd.Timedelta("1D")
        and times[0].normalize() == times[-1].normalize()
    ):
        return f"daily mean {times[0]:%Y-%m-%d} (UTC)"
    words = "days" if step == pd.Timedelta("1D") else "hours" if step == pd.Timedelta("1h") else "steps"
    return f"{'mean of ' * mean}{len(times)} {words}, {times[0]:{style}} to {times[-1]:{style}}{zone}"


def stamp_text(time: pd.Timestamp, step: pd.Timedelta | None) -> str:
    """Return words for one step: a date where a step is a day or longer."""
    style, zone = _stamp_style(step)
    return f"{time:{style}}{zone}"


def _stamp_style(step: pd.Timedelta | None) -> tuple[str, str]:
    daily = step is not None and step >= pd.Timedelta("1D")
    return ("%Y-%m-%d", "") if daily else ("%Y-%m-%d %H:%M", " UTC")


def _step(ds: xr.Dataset) -> pd.Timedelta | None:
    if "time_bnds" in ds.variables and ds["time_bnds"].ndim == 2:
        edges = ds["time_bnds"].values[0]
        return pd.Timedelta(edges[1] - edges[0])
    times = ds[TIME].to_index()
    return pd.Timedelta(times[1] - times[0]) if len(times) > 1 else None


def method_text(cube: xr.Dataset) -> str:
    """Return the method and the number of stations from a cube's provenance; empty without one."""
    known = provenance(cube)
    return (
        f"{known['method']}, {known['visible_stations']} stations"
        if {"method", "visible_stations"} <= set(known)
        else ""
    )


def provenance(cube: xr.Dataset) -> dict[str, Any]:
    """Return what a cube says of its origin; empty for one that xaq has not made."""
    try:
        known = json.loads(cube.attrs.get("xaq_provenance", "{}"))
    except (TypeError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def units_text(units: str) -> str:
    """Return units for people: ``"ug m-3"`` -> ``"µg m⁻³"``, ``"1e-9"`` -> ``"ppb"``."""
    units = canonical_units(units)
    if units in ("1e-9", "1e-6"):
        return "ppb" if units == "1e-9" else "ppm"
    text = re.sub(r"(?<=[A-Za-z])-?\d+", lambda found: found.group().translate(_SUPERSCRIPT), units)
    return re.sub(r"^u(?=[A-Za-z])", "µ", text)


def axis_label(target: str, units: str) -> str:
    """Return a label with units: ``"PM10 [µg m⁻³]"``; ``units`` as :func:`units_text` gives them."""
    return f"{label(target)} [{units}]"


def shared_units(ds: xr.Dataset, cube: xr.Dataset, target: str) -> str:
    """Return the units of both, for people; on different units one colour would mean two things."""
    border.conform(ds, target)
    ours, theirs = (canonical_units(str(d[target].attrs.get("units", ""))) for d in (ds, cube))
    if ours != theirs:
        raise SchemaError(f"{target!r} is in {ours!r}, in the cube in {theirs!r}; mend: convert one of them")
    return units_text(ours)


def _mean_field(picked: xr.Dataset, target: str) -> NDArray[np.float64]:
    """Return the mean over the chosen steps, ``(lat, lon)``, NaN where unsupported. Computes."""
    mean = picked[target].mean(TIME)
    if "supported" in picked:
        supported = picked["supported"]
        mean = mean.where((supported.isel({TIME: 0}) if TIME in supported.dims else supported).astype(bool))
    return np.asarray(mean.transpose(LAT, LON).values, float)


def _mean_observed(ds: xr.Dataset, target: str, times: NDArray) -> NDArray[np.float64]:
    """Return each station's mean over the given times, ``(station,)``, NaN where it observed nothing. Computes."""
    steps = np.flatnonzero(np.isin(ds[TIME].values.astype("datetime64[s]"), times.astype("datetime64[s]")))
    values = ds[target].isel({TIME: steps}).astype(float)
    return np.asarray(values.where(np.isfinite(values)).mean(TIME).values, float)


def cell_edges(cube: xr.Dataset, name: str) -> NDArray[np.float64]:
    """Return cell edges, ``(n + 1,)`` degrees: the cube's bounds, or half-way between centres."""
    bounds = f"{name}_bnds"
    if bounds in cube.variables and cube[bounds].shape == (cube.sizes[name], 2):
        pairs = np.asarray(cube[bounds].values, float)
        return np.append(pairs[:, 0], pairs[-1, 1])
    centres = np.asarray(cube[name].values, float)
    half = np.diff(centres) / 2 if len(centres) > 1 else np.array([0.05])
    return np.concatenate(
        [centres[:1] - half[:1], centres[:-1] + half if len(centres) > 1 else [], centres[-1:] + half[-1:]]
    )


def _limits(
    field: NDArray, observed: NDArray, vmin: float | None, vmax: float | None, silent: str
) -> tuple[Normalize, str]:
    """Return the norm shared by field and stations, and which ends of the colour bar are open."""
    pools = [p for p in (field[np.isfinite(field)], observed[np.isfinite(observed)]) if len(p)]
    if not pools:
        raise SchemaError(silent, subject="map")
    low = min(float(np.percentile(p, 2)) for p in pools) if vmin is None else float(vmin)
    high = max(float(np.percentile(p, 98)) for p in pools) if vmax is None else float(vmax)
    if vmin is not None and vmax is not None and not low < high:
        raise SchemaError(f"vmin={vmin:g} is not below vmax={vmax:g}", subject="map")
    if not low < high:  # a constant field
        pad = 0.05 * abs(low) or 0.5
        low, high = (low if vmin is not None else high - pad), (high if vmax is not None else low + pad)
    below, above = min(p.min() for p in pools) < low, max(p.max() for p in pools) > high
    extend = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}
    return Normalize(low, high), extend[bool(below), bool(above)]


# -- artists -------------------------------------------------------------------------------------------------------


def _draw_stations(ax: GeoAxes, ds: xr.Dataset, observed: NDArray, mesh: ScalarMappable) -> None:
    hidden = border.hidden_mask(ds)
    size = float(np.clip(4000.0 / len(observed), 10.0, 40.0))
    silent = np.isnan(observed)
    handles = []
    for name, mask, marker, area in (("visible", ~hidden, "o", size), ("hidden", hidden, "^", 1.5 * size)):
        kept = mask & ~silent
        ax.scatter(
            ds[LON].values[kept], ds[LAT].values[kept], s=area, c=observed[kept], marker=marker, norm=mesh.norm,
            cmap=mesh.cmap, edgecolors="black", linewidths=0.8, transform=ccrs.PlateCarree(), zorder=4,
            label=f"_{name}", path_effects=[Stroke(linewidth=2.2, foreground="white"), Normal()],
        )  # fmt: skip
        gone = mask & silent
        _hollow(ax, ds[LON].values[gone], ds[LAT].values[gone], marker, f"_{name} without observation")
        if kept.any():
            handles.append(handle(marker, area, f"{name} station", markerfacecolor="0.8", markeredgecolor="black"))
    if silent.any():
        handles.append(handle("o", 12.0, "no observation", markerfacecolor="none", markeredgecolor="0.45"))
    legend_below(ax, handles)


def _hollow(ax: GeoAxes, lon: NDArray, lat: NDArray, marker: str, name: str) -> None:
    if len(lon):
        ax.scatter(
            lon, lat, s=12.0, marker=marker, facecolors="none", edgecolors="0.45", linewidths=0.8,
            transform=ccrs.PlateCarree(), zorder=3, label=name,
            path_effects=[Stroke(linewidth=2.0, foreground="white", alpha=0.8), Normal()],
        )  # fmt: skip


def _draw_bubbles(ax: GeoAxes, ds: xr.Dataset, places: xr.Dataset, rmse: NDArray) -> PathCollection:
    visible = ~border.hidden_mask(ds)
    ax.scatter(
        ds[LON].values[visible], ds[LAT].values[visible], s=7.0, color="0.55", linewidths=0,
        transform=ccrs.PlateCarree(), zorder=3, label="_visible",
    )  # fmt: skip
    known = np.isfinite(rmse)
    lon, lat = places[LON].values, places[LAT].values
    _hollow(ax, lon[~known], lat[~known], "o", "_hidden without observation")
    order = np.flatnonzero(known)[np.argsort(-rmse[known])]  # small ones on top
    largest = float(np.nanmax(rmse)) or 1.0
    return ax.scatter(
        lon[order], lat[order], s=_BUBBLE * rmse[order] / largest, c=rmse[order], norm=Normalize(0.0, largest),
        cmap=_ERROR_COLOURS, edgecolors="black", linewidths=0.6, alpha=0.9, transform=ccrs.PlateCarree(), zorder=4,
        label="_hidden",
    )  # fmt: skip


def _size_legend(ax: GeoAxes, bubbles: PathCollection, rmse: NDArray, units: str, *, silent: bool) -> None:
    largest = float(np.nanmax(rmse)) or 1.0
    handles = [handle("o", 7.0, "visible station", markerfacecolor="0.55", markeredgecolor="none")]
    if silent:
        handles.append(handle("o", 12.0, "no observation", markerfacecolor="none", markeredgecolor="0.45"))
    for value in round_values(largest):
        colour = bubbles.to_rgba(value)  # type: ignore[arg-type]
        area = _BUBBLE * value / largest
        handles.append(handle("o", area, f"{value:g} {units}", markerfacecolor=colour, markeredgecolor="black"))
    legend_below(ax, handles)


def round_values(largest: float) -> list[float]:
    """Return three round values, evenly spaced, up to the largest one or a little below."""
    power = 10.0 ** np.floor(np.log10(largest / 3))
    step = max(m * power for m in (1.0, 2.0, 2.5, 5.0) if m * power <= largest / 3 * (1 + 1e-9))
    return [float(f"{n * step:.6g}") for n in (1, 2, 3)]


def handle(marker: str, area: float, text: str, **style: Any) -> Line2D:
    """Return a legend handle of the same size on paper as a scatter marker of this area, square points."""
    return Line2D([], [], linestyle="none", marker=marker, markersize=float(np.sqrt(area)), label=text, **style)


def legend_below(
    ax: GeoAxes, handles: Sequence[Line2D | tuple[Line2D, ...]], *, rows: int = 1, length: float | None = None
) -> Legend:
    """Put the legend under the longitude labels, where it covers no data; ``length`` of its keys in font sizes."""
    below = ax.transAxes + ScaledTranslation(0.0, -20.0 / 72.0, ax.figure.dpi_scale_trans)
    first = [h[0] if isinstance(h, tuple) else h for h in handles]
    widest = max((float(h.get_markersize()) for h in first), default=8.0)
    return ax.legend(
        handles=list(handles), labels=[str(h.get_label()) for h in first], loc="upper left", bbox_to_anchor=(0.0, 0.0),
        bbox_transform=below, borderaxespad=0.0, ncols=max(1, -(-len(handles) // rows)), frameon=False, fontsize=8,
        handletextpad=0.5, columnspacing=1.5, handlelength=widest / 8 if length is None else length,
    )  # fmt: skip


def colour_bar(ax: GeoAxes, mappable: ScalarMappable, text: str, extend: str) -> None:
    """Put a colour bar beside the axes, exactly as high as the map whatever its aspect."""
    beside = ax.inset_axes((1.03, 0.0, 0.035, 1.0))
    bar = ax.figure.colorbar(mappable, cax=beside, extend=extend)
    bar.set_label(text, fontsize=9)
    bar.ax.tick_params(labelsize=8)


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
