"""The time series of one station: observations and estimates with their interval, at all hours or at hours of the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from numpy.typing import NDArray

from .._arguments import check_integer, check_sequence, check_zone, shown
from ..arrays import timesteps
from ..conventions import TIME
from ..cube.provenance import provenance
from ..cube.request import Fields, RequestOptions
from ..errors import SchemaError
from ..interpolate.base import Mapper
from ..stations import schema
from ..stations.timestamps import step_of
from . import arguments
from .arguments import check_axes
from .place import Place, Subject, at_place
from .style import BLUE, LABEL, SMALL, as_array, legend_below, plain, three_digits, title
from .subject import axis_label
from .times import Periods, zone_text

#: Number of points above which observations are drawn as a line instead of dots.
_CROWDED = 400


def series(
    ds: xr.Dataset,
    mapper_or_cube: Mapper | str | xr.Dataset,
    station: str | None = None,
    *,
    lon: float | None = None,
    lat: float | None = None,
    target: str | None = None,
    time: schema.Period = None,
    max_distance: float | None = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    fields: Fields | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a station's observations, and the estimates there with their interval as a band; or the estimates at another place.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset.
    mapper_or_cube : Model, {"kriging", "idw", "nearest"}, or xarray.Dataset with dims (time, lat, lon)
        A mapper estimates at the station's coordinates without the station itself: a visible one is hidden first. From a
        cube the cell that contains the station is drawn; the title says whether the cube was made from the station. With a
        cube of means of periods (``freq=``) observations are averaged alike, and each mean is drawn over all of its period.
        What :func:`xaq.estimate` returns, with dims (time, point), is drawn at one of its points.
    station : str, optional
        Its identifier.
    lon, lat : float, optional
        Degrees: a place in place of a station, of which estimates are drawn alone. Neither is needed for estimates at one point.
    target : str, optional
        Variable; the model's or cube's, or the only pollutant.
    time : slice, (start, end) or one time, optional
        Default: the whole record, or the whole cube.
    max_distance : float, optional, km
        As for :func:`xaq.estimate`, of a place. A station is drawn at any distance from the others, as it is scored.
    background, rasters, fields : optional
        As for :func:`xaq.reanalyze`, where a mapper reads them; a cube was made with its own.
    ax : matplotlib.axes.Axes, optional
        Draw here. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Observations as dots, or as a line where there are many; the estimate as a line. In the target's units and UTC.

    Raises
    ------
    SchemaError
        Unknown station, variable or period; no place, or two; ``ds`` and the cube differ in units; the cube was averaged by hand.
    ModelError
        The model is a forecast model; pass its cube instead.
    GridError
        The place lies outside the cube, is none of the estimate's points, or lies farther than ``max_distance`` from every
        station.

    Notes
    -----
    Computes the station's observations and the estimates there. A method given by name is fitted without the station. A
    trained model only loses it as a neighbour; the title says so if the model was trained on it.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=4).aq.hide(["s003"])
    >>> ax = ds.aq.plot.series("kriging", "s003", time=("2020-01-02", "2020-01-03"))
    >>> ax.figure.savefig("series.png")
    """
    check_axes(ax)
    ds = schema.conform(ds)
    options = RequestOptions(
        target=target, time=time, max_distance=max_distance, background=background, rasters=rasters, fields=fields
    )
    subject = at_place(ds, mapper_or_cube, Place(station, lon, lat), options)
    if ax is None:
        ax = plt.figure(figsize=(8.0, 3.4), layout="constrained").add_subplot()
    _draw(ax, subject, pd.Timedelta(step_of(ds[TIME])))
    ax.set_ylabel(axis_label(subject.target, subject.units), fontsize=LABEL)
    zone = zone_text(subject.estimated)
    if Periods.of(subject.estimated) is None:
        zone = "UTC" if timesteps.steps_per_day(step_of(ds[TIME])) > 1 else ""
    zone = f"times in {zone}" if zone else ""
    title(ax, ", ".join(filter(None, [subject.head, zone])), subject.note)
    return ax


def hours(
    ds: xr.Dataset,
    mapper_or_cube: Mapper | str | xr.Dataset,
    station: str,
    *,
    slots: Sequence[tuple[int, int]] = ((9, 12), (16, 19)),
    tz: str = "UTC",
    target: str | None = None,
    time: schema.Period = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    fields: Fields | None = None,
    axes: Sequence[Axes] | None = None,
) -> NDArray[np.object_]:
    """Draw observations and estimates at given hours of the day, for example over a week.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset.
    mapper_or_cube : Model, {"kriging", "idw", "nearest"}, or xarray.Dataset with dims (time, lat, lon)
        As for :func:`series`.
    station : str
        Its identifier.
    slots : sequence of (first, last)
        Hours of the day, both included, of each panel; hourly or finer data.
    tz : str
        Time zone in which hours and days are counted, such as ``"Asia/Shanghai"``.
    target : str, optional
        Variable; the model's or cube's, or the only pollutant.
    time : slice, (start, end) or one time, optional
        Period in UTC. Default: the whole record, or the whole cube.
    background, rasters, fields : optional
        As for :func:`series`.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each slot. Default: a new figure, one panel below the other.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes, (slot,)
        The hours of each day side by side, with gaps between days; the title of each panel gives its MAE.

    Raises
    ------
    SchemaError, ModelError, GridError
        As for :func:`series`; or a slot contains no step of the data, or the cube holds means of days or longer.

    Notes
    -----
    Computes the station's observations and the estimates there.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=4).aq.hide(["s003"])
    >>> morning, evening = ds.aq.plot.hours("kriging", "s003", slots=[(6, 8), (18, 20)], tz="Europe/Berlin")
    >>> morning.get_ylabel()
    'PM2.5 [µg m⁻³]'
    """
    slots = [
        _hours_of(slot) for slot in _sequence(slots, "slots", "hours of the day, (first, last)", "slots=[(9, 12)]")
    ]
    if axes is not None:
        axes = _sequence(axes, "axes", "axes of matplotlib", "axes=None")
        for ax in axes:
            check_axes(ax)
    tz = check_zone(tz, "tz", "the name of a time zone", fix="tz='Asia/Shanghai'", error=arguments.error)
    ds = schema.conform(ds)
    options = RequestOptions(target=target, time=time, background=background, rasters=rasters, fields=fields)
    subject = at_place(ds, mapper_or_cube, Place(str(station)), options)
    assert subject.observed is not None  # at a station
    if (periods := Periods.of(subject.estimated)) is not None:
        raise SchemaError(
            f"the cube has {periods.many}, which have no hours of the day; fix: ds.aq.plot.series(cube, {str(station)!r})",
            subject="hours",
        )
    if step_of(ds[TIME]) >= timesteps.DAY:
        raise SchemaError(
            f"the values have a step of {timesteps.step_name(step_of(ds[TIME]))} and no hours of the day, expected hourly ones; "
            f"fix: ds.aq.plot.series(..., station={str(station)!r})",
            subject="hours",
        )
    local = pd.DatetimeIndex(subject.estimated[TIME].values).tz_localize("UTC").tz_convert(tz)
    chosen = [_in_slot(local, *slot) for slot in slots]
    if axes is None:
        figure = plt.figure(figsize=(8.0, 0.6 + 2.3 * len(slots)), layout="constrained")
        axes = [figure.add_subplot(len(slots), 1, i + 1) for i in range(len(slots))]
    if len(axes) != len(slots):
        raise SchemaError(
            f"{len(axes)} axes for {len(slots)} slots, expected one for each; fix: axes=None", subject="hours"
        )
    for ax, (first, last), steps in zip(axes, slots, chosen, strict=True):
        observed, estimated = subject.observed.isel({TIME: steps}), subject.estimated.isel({TIME: steps})
        _draw_slot(ax, observed, estimated, subject.target, local[steps])
        ax.set_ylabel(axis_label(subject.target, subject.units), fontsize=LABEL)
        miss = np.abs(estimated[subject.target].values - observed.values)
        mae = f", MAE {three_digits(float(np.nanmean(miss)))} {subject.units}" if np.isfinite(miss).any() else ""
        head = (subject.head, subject.note) if ax is axes[0] else ()
        title(ax, *head, f"{first:02d}:00\N{EN DASH}{last:02d}:59 {tz}{mae}")
    legend_below(axes[-1], axes[-1].get_legend_handles_labels()[0], length=2.0, lines=2)
    return as_array(axes)


def _sequence(value: Any, name: str, expected: str, fix: str) -> list[Any]:
    items = check_sequence(value, name, expected, fix=fix, error=arguments.error)
    if not items:
        raise arguments.error(f"{name} is empty, expected {expected}; fix: {fix}")
    return items


def _hours_of(slot: Any) -> tuple[int, int]:
    """Return the first and the last hour of a slot, or raise."""
    expected, fix = "(first, last), hours of the day with 0 <= first <= last <= 23", "slots=[(9, 12)]"
    hours = _sequence(slot, "a slot", expected, fix)
    if len(hours) != 2:
        raise arguments.error(f"a slot is {shown(slot)}, expected {expected}; fix: {fix}")
    first, last = (
        check_integer(
            hour, "an hour of a slot", "0 to 23", fix=fix, valid=lambda h: 0 <= h <= 23, error=arguments.error
        )
        for hour in hours
    )
    return first, last


def _draw(ax: Axes, subject: Subject, step: pd.Timedelta) -> None:
    """Draw the series over time, the interval as a band; a single value over its step."""
    observed, estimated, target = subject.observed, subject.estimated, subject.target
    times = over = estimated[TIME].values
    periods, twice = Periods.of(estimated), 1
    if periods is not None:
        # An estimate holds for all of its period; the observation is drawn in its middle.
        starts, ends = (edge.values for edge in periods.edges(times))
        times, over, twice = starts + (ends - starts) / 2, np.stack([starts, ends], axis=1).ravel(), 2
    elif len(times) == 1:
        over, twice = times + np.array([-0.5, 0.5]) * step.to_numpy(), 2
    drawn = {name: np.repeat(estimated[name].values, twice) for name in estimated.data_vars}
    lower, upper = f"{target}_lower", f"{target}_upper"
    if lower in drawn and upper in drawn:
        _draw_interval(ax, over, drawn[lower], drawn[upper], estimated)
    ax.plot(over, drawn[target], color=BLUE, linewidth=1.2, label=_estimate_text(estimated))
    crowded = len(times) > _CROWDED
    if observed is not None:
        ax.plot(
            times, observed.values, color="black", linewidth=0.6 if crowded else 0.0, marker="." if crowded else "o",
            markersize=1.5 if crowded else 2.8, linestyle="-" if crowded else "none", label="observed",
        )  # fmt: skip
    locator = AutoDateLocator(minticks=4, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(_Dates(locator, over[-1] - np.timedelta64(1 if periods is not None else 0, "s")))
    ax.xaxis.get_offset_text().set_fontsize(8)
    ax.margins(x=0.01)
    plain(ax)
    legend_below(ax, ax.get_legend_handles_labels()[0], length=2.0)


class _Dates(ConciseDateFormatter):
    """Dates, with the month or day of the last time that is drawn beside the axis, which ends a little later."""

    def __init__(self, locator: AutoDateLocator, last: np.datetime64) -> None:
        super().__init__(locator)
        self._last = date2num(last)

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Return the labels of ticks; a tick behind the last time has one, and no say in the text beside the axis."""
        labels: list[str] = super().format_ticks(values)
        shown = [value for value in values if value <= self._last]
        if 1 < len(shown) < len(values):
            super().format_ticks(shown)
        return labels


def _draw_interval(ax: Axes, x: NDArray, lower: NDArray, upper: NDArray, estimated: xr.Dataset) -> None:
    coverage = provenance(estimated).get("interval_level")
    text = "interval" if coverage is None else f"{100 * coverage:g} % interval"
    if (periods := Periods.of(estimated)) is not None:
        text += f" of the {periods.one}"
    ax.fill_between(x, lower, upper, color=BLUE, alpha=0.2, linewidth=0, label=text)


def _estimate_text(estimated: xr.Dataset) -> str:
    return "forecast" if provenance(estimated).get("init_time") else "reanalysed"


def _in_slot(local: pd.DatetimeIndex, first: int, last: int) -> NDArray[np.intp]:
    """Return the positions of the times from hour ``first`` to hour ``last`` of a day, both included."""
    steps = np.flatnonzero((local.hour >= first) & (local.hour <= last))
    if not len(steps):
        raise SchemaError(
            f"slot ({first}, {last}) contains no step of the data, expected 0 <= first <= last <= 23; fix: slots=[(9, 12)]",
            subject="hours",
        )
    return steps


def _draw_slot(ax: Axes, observed: xr.DataArray, estimated: xr.Dataset, target: str, local: pd.DatetimeIndex) -> None:
    """Draw the steps of a slot side by side, with a gap after each day; days, and hours of a few days, are labelled."""
    day = np.asarray(local.normalize().tz_localize(None))
    starts = np.flatnonzero(np.diff(day).astype(bool)) + 1
    x = np.arange(len(local)) + np.searchsorted(starts, np.arange(len(local)), side="right")

    def broken(values: NDArray) -> NDArray:
        """Insert a NaN between days, which breaks the line there."""
        return np.insert(np.asarray(values, float), starts, np.nan)

    lower, upper = f"{target}_lower", f"{target}_upper"
    if lower in estimated and upper in estimated:
        _draw_interval(ax, broken(x), broken(estimated[lower].values), broken(estimated[upper].values), estimated)
    ax.plot(
        broken(x), broken(estimated[target].values), color=BLUE, linewidth=1.2, marker="s", markersize=2.5,
        label=_estimate_text(estimated),
    )  # fmt: skip
    ax.plot(
        broken(x), broken(observed.values), color="black", linewidth=0.8, marker="o", markersize=3.2, label="observed"
    )
    first = np.concatenate([[0], starts])
    shown = first[:: -(-len(first) // 10)]
    style = "%H:%M\n%d %b" if len(shown) == len(first) else "%d %b"
    ax.set_xticks(x[shown], [f"{local[i]:{style}}" for i in shown], ha="left")
    if len(shown) == len(first):
        # Of a few days, the last hour is labelled too.
        last = np.setdiff1d(np.append(first[1:] - 1, len(x) - 1), first)
        ax.set_xticks(x[last], [f"{local[i]:%H:%M}" for i in last], minor=True)
    ax.set_ylim(bottom=0.0)
    plain(ax)
    ax.tick_params(axis="x", which="both", labelsize=SMALL - 1, length=3.5, pad=3.5)
