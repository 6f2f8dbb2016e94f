"""One station's series: observed against reanalysed, with the interval."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.transforms import ScaledTranslation

from .. import reanalysis, windows
from .. import stations as border
from ..errors import GridError, SchemaError
from ..mappers import Mapper
from ..vocabulary import LAT, LON, STATION, TIME, label
from .maps import (
    axis_label,
    cell_edges,
    cube_target,
    mapper_target,
    provenance,
    refuse_forecast,
    select_times,
    shared_units,
    trained_on,
    units_text,
)

_BLUE = "#0072B2"  # of the palette of Okabe and Ito, distinct from black for every eye
#: Points beyond which dots give way to a line.
_CROWDED = 400


def series(
    ds: xr.Dataset,
    mapper_or_cube: Mapper | str | xr.Dataset,
    station: str,
    *,
    target: str | None = None,
    time: border.Period = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a station's observations against the reanalysis there, with the interval as a band.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset.
    mapper_or_cube : Model, {"kriging", "idw", "nearest"}, or xarray.Dataset with dims (time, lat, lon)
        A mapper estimates at the station's coordinates, never from the station itself: a visible one is hidden first.
        Of a cube the cell that holds the station is drawn; the title says whether the cube has seen the station.
    station : str
        Its identifier.
    target : str, optional
        Variable; the model's or cube's, or the only pollutant.
    time : slice, (start, end) or one time, optional
        All of the record, or of the cube, by default.
    ax : matplotlib.axes.Axes, optional
        Draw here. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Observations as dots (a line where they are many), the estimate as a line, in the target's units, UTC.

    Raises
    ------
    SchemaError
        Unknown station, variable or period; ds and cube differ in units.
    ModelError
        The model is a forecast; pass the cube that it gives.
    GridError
        The station lies outside the cube.

    Notes
    -----
    Computes the station's observations and the estimates there. A trained model that is left without a visible station
    as a neighbour has still seen it in training, and the title says so; only a method given by name is fitted anew.
    """
    ds = border.conform(ds)
    position = _find(ds, station)
    if isinstance(mapper_or_cube, xr.Dataset):
        estimated, target, note = _from_cube(ds, mapper_or_cube, position, target, time)
        units = shared_units(ds, mapper_or_cube, target)
    else:
        estimated, target, note = _left_out(ds, mapper_or_cube, position, target, time)
        units = units_text(str(ds[target].attrs["units"]))
    observed = ds[target].isel({STATION: position}).reindex({TIME: estimated[TIME].values}).compute()
    if ax is None:
        ax = plt.figure(figsize=(8.0, 3.4), layout="constrained").add_subplot()
    _draw(ax, observed, estimated, target)
    ax.set_ylabel(axis_label(target, units))
    head = [f"{label(target)} at station {ds[STATION].values[position]}", provenance(estimated).get("method")]
    if windows.steps_per_day(windows.regular_step(ds[TIME].values)) > 1:
        head.append("times in UTC")
    ax.set_title(f"{', '.join(filter(None, head))}\n{note}", loc="left", fontsize=10)
    return ax


def _find(ds: xr.Dataset, station: Any) -> int:
    ids = [str(s) for s in ds[STATION].values]
    if str(station) not in ids:
        some = ", ".join(ids[:5]) + (f", ... ({len(ids)} in all)" if len(ids) > 5 else "")
        raise SchemaError(f"no station {str(station)!r}; known are {some}")
    return ids.index(str(station))


def _from_cube(
    ds: xr.Dataset, cube: xr.Dataset, position: int, target: str | None, time: border.Period
) -> tuple[xr.Dataset, str, str]:
    """Return the cell that holds the station, computed, the target, and what the cube knows of the station."""
    target = cube_target(cube, target)
    picked, _ = select_times(cube, time)
    x, y = cell_edges(cube, LON), cell_edges(cube, LAT)
    lon, lat = float(ds[LON].values[position]), float(ds[LAT].values[position])
    lon += 360.0 * np.round((0.5 * (x[0] + x[-1]) - lon) / 360.0)
    if not (x[0] <= lon <= x[-1] and y[0] <= lat <= y[-1]):
        raise GridError(
            f"the station ({lon:g} E, {lat:g} N) lies outside the cube ({x[0]:g}..{x[-1]:g} E, {y[0]:g}..{y[-1]:g} N)"
        )
    cell = picked.sel({LON: lon, LAT: lat}, method="nearest")
    names = [n for n in (target, f"{target}_lower", f"{target}_upper") if n in cell]
    hidden = bool(border.hidden_mask(ds)[position])
    if not hidden:
        note = "visible station: the cube has seen it"
    elif str(ds[STATION].values[position]) not in provenance(cube).get("hidden_stations", map(str, ds[STATION].values)):
        note = "hidden station, but it was visible when the cube was made"
    else:
        note = "hidden station: not used for the cube"
    return cell[names].compute(), target, f"{note}; cell at {float(cell[LON]):.6g} E, {float(cell[LAT]):.6g} N"


def _left_out(
    ds: xr.Dataset, mapper: Any, position: int, target: str | None, time: border.Period
) -> tuple[xr.Dataset, str, str]:
    """Return estimates at the station made without it, computed, the target, and words for how it was left out."""
    refuse_forecast(mapper, "series", "mend: pass the cube, ds.aq.reanalyze(model, init=...)")
    target = mapper_target(ds, mapper, target)
    hidden = border.hidden_mask(ds)
    ids = np.array([str(s) for s in ds[STATION].values])
    if hidden[position]:
        note = "hidden station, not used here"
    else:
        ds = border.hide(ds, [*ids[hidden], ids[position]])
        note = "visible station, left out here"
    if ids[position] in trained_on(mapper):
        note += " as a neighbour, but the model has seen it in training"
    place = ds.isel({STATION: position})
    estimated = reanalysis.estimate(
        ds, mapper, lon=[float(place[LON])], lat=[float(place[LAT])], target=target, time=time
    )
    return estimated.isel(point=0).compute(), target, note


def _draw(ax: Axes, observed: xr.DataArray, estimated: xr.Dataset, target: str) -> None:
    times = estimated[TIME].values
    lower, upper = f"{target}_lower", f"{target}_upper"
    if lower in estimated and upper in estimated:
        level = provenance(estimated).get("interval_level")
        text = "interval" if level is None else f"{100 * level:g} % interval"
        ax.fill_between(
            times, estimated[lower].values, estimated[upper].values, color=_BLUE, alpha=0.2, linewidth=0, label=text
        )
    ax.plot(times, estimated[target].values, color=_BLUE, linewidth=1.2, label="reanalysed")
    crowded = len(times) > _CROWDED
    ax.plot(
        times, observed.values, color="black", linewidth=0.6 if crowded else 0.0, marker="." if crowded else "o",
        markersize=1.5 if crowded else 2.8, linestyle="-" if crowded else "none", label="observed",
    )  # fmt: skip
    locator = AutoDateLocator(minticks=4, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.xaxis.get_offset_text().set_fontsize(8)
    ax.margins(x=0.01)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    below = ax.transAxes + ScaledTranslation(0.0, -24.0 / 72.0, ax.figure.dpi_scale_trans)
    ax.legend(
        loc="upper left", bbox_to_anchor=(0.0, 0.0), bbox_transform=below, borderaxespad=0.0, ncols=3, frameon=False,
        fontsize=8,
    )  # fmt: skip
