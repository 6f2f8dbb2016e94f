"""The map of errors at hidden stations, and the check that a model has not seen them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cartopy.crs as ccrs
import numpy as np
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from ..arrays import longitudes
from ..conventions import LAT, LON, STATION, TIME, label
from ..cube.mapper import method_name
from ..cube.provenance import provenance
from ..cube.reanalyze import estimate_at
from ..cube.request import Fields, RequestOptions, make_request, settle_target
from ..errors import ModelError, SchemaError
from ..evaluate.verify import check_unseen
from ..interpolate.base import Mapper
from ..stations import schema
from . import basemap
from .arguments import check_of_cube
from .basemap import Lines
from .markers import bubble_handles, draw_silent, kinds, silent_handles
from .observed import check_comparable, observed_over
from .scale_bar import draw_scale_bar
from .seen import used_for
from .style import ERROR_COLOURS, colour_bar, handle, legend_below, three_digits, title
from .subject import (
    cells_at,
    cube_label,
    cube_target,
    refuse_forecast,
    shared_units,
    station_bounds,
    units_text,
)
from .times import period_text, select_times

#: Area of the largest bubble, and of the dot of a visible station, square points.
_BUBBLE, _DOT = 450.0, 7.0


def errors(
    ds: xr.Dataset,
    mapper_or_cube: Mapper | str | xr.Dataset,
    *,
    target: str | None = None,
    time: schema.Period = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    fields: Fields | None = None,
    ax: GeoAxes | None = None,
    lines: Lines = None,
) -> GeoAxes:
    """Draw the error at each hidden station as a bubble whose area is proportional to its RMSE.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset with hidden stations.
    mapper_or_cube : Model, {"kriging", "idw", "nearest"} or xarray.Dataset
        An analysis model, the name of a classical method, or a cube, such as a forecast, whose cells at the stations are
        scored.
    target : str, optional
        Variable; the model's, or the only pollutant.
    time : slice, (start, end) or one time, optional
        Period to score; the whole record by default.
    background, rasters, fields : optional
        As for :func:`xaq.reanalyze`, where a mapper reads them; a cube was made with its own.
    ax : cartopy.mpl.geoaxes.GeoAxes, optional
        Draw here. Default: a new figure.
    lines : GeoDataFrame, sequence of shapely geometries, or path of a GeoJSON file, optional
        Drawn instead of the bundled coast, borders and provinces.

    Returns
    -------
    cartopy.mpl.geoaxes.GeoAxes
        The title gives RMSE and MAE, pooled over all stations and times, in the target's units. Visible stations are
        grey dots.

    Raises
    ------
    SchemaError
        No station is hidden, or no hidden station has an observation in the period.
    ModelError
        The model is a forecast model, or it was trained on stations that are hidden now, or the cube was made from them.
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
    options = RequestOptions(target=target, time=time, background=background, rasters=rasters, fields=fields)
    made = _estimates(ds, mapper_or_cube, options)
    observed = observed_over(made.stations, made.fields, made.target).transpose(STATION, TIME).values
    error = np.asarray(made.fields[made.target].transpose(STATION, TIME).values, float) - observed
    if not np.isfinite(error).any():
        raise SchemaError(
            f"no hidden station has both {made.target!r} and an estimate in time={time!r}; fix: another time=..."
        )
    rmse = np.array([_rms(row) for row in error])
    units = units_text(str(ds[made.target].attrs["units"]))
    ax = basemap.frame(ax, station_bounds(ds), lines)
    bubbles = _draw_bubbles(ax, ds, rmse)
    draw_scale_bar(ax, ds)
    bar = colour_bar(ax, bubbles, f"RMSE of {cube_label(made.fields, made.target, units, several=True)}", "neither")
    handles = [handle("o", _DOT, "visible station", markerfacecolor="0.55", markeredgecolor="none")]
    handles += silent_handles(np.isnan(rmse)) + bubble_handles(
        bubbles, bar, float(np.nanmax(rmse)) or 1.0, _BUBBLE, units
    )
    legend_below(ax, handles)
    n = int(np.isfinite(rmse).sum())
    pooled = f"RMSE {three_digits(_rms(error))}, MAE {three_digits(float(np.nanmean(np.abs(error))))} {units}"
    head = f"{label(made.target)} at {n} hidden station{'s' * (n != 1)}, {made.method}: {pooled}"
    title(ax, head, period_text(made.fields, mean=False))
    return ax


def hidden_stations(ds: xr.Dataset, mapper: object) -> xr.Dataset:
    """Return the hidden stations; raise where there are none, or the mapper was trained on one of them."""
    hidden = schema.hidden_mask(ds)
    if not hidden.any():
        raise SchemaError("no station is hidden; fix: ds.aq.hide(fraction=0.15)")
    stations = ds.isel({STATION: np.flatnonzero(hidden)})
    check_unseen(mapper, ds)
    return stations


@dataclass(frozen=True)
class _Estimates:
    """The hidden stations, and the fields estimated there, ``(station, time)`` and computed."""

    stations: xr.Dataset
    fields: xr.Dataset
    target: str
    method: str


def _estimates(ds: xr.Dataset, mapper_or_cube: Mapper | str | xr.Dataset, options: RequestOptions) -> _Estimates:
    """Return what a mapper estimates at the hidden stations, or the cells of a cube there."""
    if isinstance(mapper_or_cube, xr.Dataset):
        check_of_cube(options)
        return _from_cube(ds, mapper_or_cube, options.target, options.time)
    refuse_forecast(
        mapper_or_cube, "errors", "fix: ds.aq.verify(model), or draw its cube, ds.aq.reanalyze(model, init=...)"
    )
    target = settle_target(ds, mapper_or_cube, options.target)
    stations = hidden_stations(ds, mapper_or_cube)
    request = make_request(ds, mapper_or_cube, replace(options, target=target))
    fields = estimate_at(request, lon=stations[LON], lat=stations[LAT], of_stations=True).compute()
    return _Estimates(stations, fields, target, method_name(mapper_or_cube))


def _from_cube(ds: xr.Dataset, cube: xr.Dataset, target: str | None, time: schema.Period) -> _Estimates:
    target = cube_target(cube, target)
    shared_units(ds, cube, target)
    stations = hidden_stations(ds, None)
    if used := used_for(ds, cube):
        raise ModelError(
            f"the cube was made from {len(used)} of the stations that are hidden now, {schema.some(used)}: its errors "
            "there would look too small; fix: hide before training and reanalyzing"
        )
    check_comparable(stations, cube)
    picked, _ = select_times(cube, time)
    cells = cells_at(picked, stations[LON].values, stations[LAT].values, STATION)
    fields = cells[[n for n in (target, "time_bnds") if n in cells]].compute()
    return _Estimates(stations, fields, target, str(provenance(cube).get("method", "cube")))


def _draw_bubbles(ax: GeoAxes, ds: xr.Dataset, rmse: NDArray) -> PathCollection:
    """Draw visible stations as dots, and hidden ones as bubbles with areas proportional to their RMSE."""
    visible, hidden = kinds(schema.hidden_mask(ds))
    plate = ccrs.PlateCarree()
    lon, lat = longitudes.canonical(ds[LON].values), ds[LAT].values
    ax.scatter(
        lon[visible.mask], lat[visible.mask], s=_DOT, color="0.55", linewidths=0, transform=plate, zorder=3,
        label="_visible",
    )  # fmt: skip
    of_station = np.full(ds.sizes[STATION], np.nan)
    of_station[hidden.mask] = rmse
    draw_silent(ax, ds, hidden.mask & np.isnan(of_station), hidden._replace(marker="o"))
    order = np.flatnonzero(np.isfinite(of_station))
    order = order[np.argsort(-of_station[order])]  # small ones on top
    largest = float(np.nanmax(rmse)) or 1.0
    return ax.scatter(
        lon[order], lat[order], s=_BUBBLE * of_station[order] / largest, c=of_station[order],
        norm=Normalize(0.0, largest), cmap=ERROR_COLOURS, edgecolors="black", linewidths=0.6, alpha=0.9,
        transform=plate, zorder=4, label="_hidden",
    )  # fmt: skip


def _rms(values: NDArray) -> float:
    """Return the root mean square of the finite values, or NaN where there are none."""
    kept = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(kept**2))) if len(kept) else float("nan")
