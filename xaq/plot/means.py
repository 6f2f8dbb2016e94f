"""The reliability of means: the coverage of intervals of daily, monthly and annual means at hidden stations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .._arguments import check_sequence
from ..arrays import timesteps
from ..conventions import MEMBER, STATION, TIME, label
from ..cube.calendar import check_freq
from ..cube.ensemble import Ensemble
from ..cube.mapper import check_mapper, method_name
from ..cube.member_tasks import quantiles
from ..cube.request import Fields, RequestOptions, interval_probabilities, settle_target
from ..errors import ModelError, SchemaError
from ..evaluate.verify import held_out_truth
from ..evaluate.verify_means import MEMBERS, period_means
from ..interpolate.base import Mapper
from ..stations import schema
from ..stations.timestamps import step_of
from . import arguments
from .arguments import LEVELS, check_axes, check_levels
from .held_out import hidden_stations
from .style import LABEL, METHOD_COLOURS, METHOD_MARKERS, SMALL, plain, title
from .subject import refuse_forecast
from .times import ADJECTIVE, period_text


def reliability_of_means(
    ds: xr.Dataset,
    mapper: Mapper | str,
    *,
    of: Sequence[str] = ("D", "MS", "YS"),
    levels: Sequence[float] = LEVELS,
    target: str | None = None,
    time: schema.Period = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    fields: Fields | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the coverage of intervals of means of periods at hidden stations against their nominal coverage.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset with hidden stations.
    mapper : Model or name of a classical method
        An analysis model, or a method with a distribution of errors.
    of : sequence of {"D", "MS", "QS", "YS"}
        Means of days, months, quarters and years, in UTC. Days of daily data are left out: they are no means.
    levels : sequence of float, above 0 and below 1
        Nominal coverages of the intervals.
    target : str, optional
        Variable; the model's, or the only pollutant.
    time : slice, (start, end) or one time, optional
        Period to score; the whole record by default.
    background, rasters, fields : optional
        As for :func:`xaq.reanalyze`, where the mapper reads them.
    ax : matplotlib.axes.Axes, optional
        Draw here. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Points on the diagonal are reliable; below it intervals are too narrow, above it too wide. Bars are twice the standard
        error over stations, whose means are not independent; the legend gives the numbers of means.

    Raises
    ------
    SchemaError
        No station is hidden, or none has a mean of any of these periods.
    ModelError
        The model is a forecast model, it was trained on stations that are hidden now, or there is no distribution of errors.

    Notes
    -----
    Computes members at the hidden stations. A mean is over the observed steps, of which there are at least 75 %.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8).aq.hide(fraction=0.2)
    >>> ax = ds.aq.plot.reliability_of_means("kriging", of=["D"])
    >>> ax.get_xlabel()
    'nominal coverage of the interval'
    """
    check_axes(ax)
    check_mapper(mapper)
    expected, fix = "a list of some of 'D', 'MS', 'QS', 'YS'", "of=['D', 'MS']"
    freqs = [check_freq(freq) for freq in check_sequence(of, "of", expected, fix=fix, error=arguments.error)]
    if not freqs or None in freqs:
        raise arguments.error(f"of names no period, expected {expected}; fix: {fix}")
    nominal = check_levels(levels)
    ds = schema.conform(ds)
    refuse_forecast(mapper, "reliability_of_means", "fix: ds.aq.verify(model)")
    target = settle_target(ds, mapper, target)
    hidden_stations(ds, mapper)
    truth = held_out_truth(ds, target, time)
    daily = timesteps.steps_per_day(step_of(ds[TIME])) == 1
    options = RequestOptions(target=target, time=time, background=background, rasters=rasters, fields=fields)
    found: dict[str, tuple[xr.DataArray, xr.DataArray]] = {}
    for freq in filter(None, freqs):
        if daily and freq == "D":
            continue
        made = period_means(ds, mapper, truth, options, Ensemble(members=MEMBERS, freq=freq)).compute()
        if f"{target}_member" not in made:
            raise ModelError(
                f"{method_name(mapper)} has no distribution of errors; fix: plot.reliability_of_means('kriging')"
            )
        found[freq] = made[f"{target}_member"], made[f"{target}_observed"]
    if ax is None:
        ax = plt.figure(figsize=(4.6, 4.8), layout="constrained").add_subplot()
    draw_coverage(ax, found, nominal)
    picked = schema.select_period(ds, time)
    head = f"Means of {label(target)} at {truth.sizes[STATION]} hidden stations"
    title(ax, head, f"{method_name(mapper)}, {period_text(picked, mean=False, of=ds)}")
    return ax


def draw_coverage(
    ax: Axes, found: Mapping[str, tuple[xr.DataArray, xr.DataArray]], nominal: NDArray[np.float64]
) -> None:
    """Draw the coverage of intervals of means made from members.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    found : mapping of frequency to (members, observed)
        ``(member, time, station)`` and ``(time, station)`` in any order; NaN where there is no mean.
    nominal : (level,)
        Nominal coverages.

    Raises
    ------
    SchemaError
        There is no observed mean.
    """
    drawn = {freq: coverage for freq, pair in found.items() if (coverage := _coverage(*pair, nominal)).n}
    if not drawn:
        raise SchemaError(
            "no hidden station has a mean of these periods: at least 75 % of the steps must be observed; fix: of=['D'] where "
            "data are hourly, or a longer time=",
            subject="plot",
        )
    ax.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    for i, (freq, found_of) in enumerate(drawn.items()):
        # Points of different periods side by side: their bars stay apart.
        shift = 0.006 * (i - (len(drawn) - 1) / 2)
        ax.errorbar(
            nominal + shift, found_of.pooled, yerr=2 * found_of.error, color=METHOD_COLOURS[i], marker=METHOD_MARKERS[i], markersize=4.5,
            linewidth=1.5, elinewidth=0.8, label=f"{found_of.n} {ADJECTIVE[freq]} means",
        )  # fmt: skip
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
    ax.set_xlabel("nominal coverage of the interval", fontsize=LABEL)
    ax.set_ylabel("fraction of observed means inside the interval", fontsize=LABEL)
    plain(ax)
    ax.legend(frameon=False, fontsize=SMALL, loc="upper left")


class _Coverage(NamedTuple):
    """Fraction of means inside their interval: ``pooled (level,)``, its standard ``error`` over stations, and the number ``n``."""

    pooled: NDArray[np.float64]
    error: NDArray[np.float64]
    n: int


def _coverage(members: xr.DataArray, observed: xr.DataArray, nominal: NDArray[np.float64]) -> _Coverage:
    """Return the coverage of intervals made from members, ``(member, time, station)`` and ``(time, station)`` in any order."""
    ensemble = members.transpose(MEMBER, TIME, STATION).values
    truth = observed.transpose(TIME, STATION).values
    counted = np.isfinite(truth) & np.isfinite(ensemble[0])
    bounds = quantiles(ensemble, [p for level in nominal for p in interval_probabilities(level)])
    inside = np.array([
        (truth >= lower) & (truth <= upper) & counted for lower, upper in zip(bounds[0::2], bounds[1::2], strict=True)
    ])  # fmt: skip
    n = counted.sum(axis=0)
    pooled = inside.sum(axis=(1, 2)) / max(n.sum(), 1)
    # Of a ratio: stations have different numbers of means.
    deviation = inside.sum(axis=1) - pooled[:, None] * n
    few = (n > 0).sum() < 2
    error = np.full(len(nominal), np.nan) if few else np.sqrt((deviation**2).sum(axis=1)) / n.sum()
    return _Coverage(pooled, error, int(n.sum()))
