"""The covariance of errors: their correlation by lag and by distance, as fitted and as found at held-out stations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from .._arguments import check_sequence
from ..conventions import label
from ..cube.ensemble import Ensemble, Joint
from ..cube.mapper import method_name
from ..cube.request import Fields, RequestOptions, make_request
from ..errors import ModelError
from ..interpolate.base import Mapper
from ..interpolate.error_covariance import ErrorCovariance
from ..stations import schema
from . import arguments
from .arguments import check_axes
from .style import BLUE, LABEL, METHOD_COLOURS, SMALL, TITLE, as_array, plain

#: Lags that an axis is labelled at, hours.
_TICKS = {
    1.0: "1 hour", 3.0: "3", 12.0: "12", 24.0: "1 day", 72.0: "3", 168.0: "7", 720.0: "30", 2160.0: "90", 8760.0: "1 year",
    26280.0: "3",
}  # fmt: skip
#: Parts of the variance by time of decay, with the longest of each in hours, and by range, in km.
_TIMES = {"white noise": 0.0, "hours": 12.0, "days": 192.0, "months": 3072.0}
_RANGES = {"the site's own": 0.0, "within 10 km": 10.0}
#: Correlation by distance is drawn at lag 0 and at about this one, hours.
_LONGER = 168.0


def error_covariance(
    ds: xr.Dataset,
    mapper: Mapper | str | ErrorCovariance,
    *,
    target: str | None = None,
    time: schema.Period = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    fields: Fields | None = None,
    axes: Sequence[Axes] | None = None,
) -> NDArray[np.object_]:
    """Draw how errors hang together: their correlation by lag at one place, and by distance.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset.
    mapper : Model, name of a classical method, or ErrorCovariance
        A model draws the covariance that it was trained with, ``model.error_covariance``; that of a classical method is
        fitted to its errors at held-out stations.
    target : str, optional
        Variable; the model's, or the only pollutant.
    time : slice, (start, end) or one time, optional
        Period that a classical method's covariance is fitted in; the whole record by default.
    background, rasters, fields : optional
        As for :func:`xaq.reanalyze`, where the mapper reads them.
    axes : two matplotlib.axes.Axes, optional
        Draw here. Default: a new figure.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes, (2,)
        By lag, on a logarithmic axis, and by distance. Points are averages of products of normal scores of errors at
        held-out stations, relative to that of a place with itself; lines are fitted. The text above says what part of the variance
        of the field decays in which time, and within which range: "lasting" are errors of a place that do not decay within
        the record.

    Raises
    ------
    ModelError
        The mapper has no distribution of errors, the model was trained without their covariance, or there are too few of them.

    Notes
    -----
    Computes the target where the covariance is fitted. At the place itself the fit is raised by one standard error over
    stations, so that its line may lie above the points.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> by_lag, by_distance = ds.aq.plot.error_covariance("kriging")
    >>> by_distance.get_xlabel()
    'distance [km]'
    """
    if axes is not None:
        axes = check_sequence(axes, "axes", "two axes of matplotlib", fix="axes=None", error=arguments.error)
        for ax in axes:
            check_axes(ax)
        if len(axes) != 2:
            raise arguments.error(f"{len(axes)} axes, expected one by lag and one by distance; fix: axes=None")
    ds = schema.conform(ds)
    options = RequestOptions(target=target, time=time, background=background, rasters=rasters, fields=fields)
    covariance, head = _covariance(ds, mapper, options)
    pairs = np.array(covariance.pairs)
    if not len(pairs):
        raise ModelError("the covariance has no pairs that it was fitted to; fix: ds.aq.plot.error_covariance(model)")
    if axes is None:
        figure = plt.figure(figsize=(9.4, 3.6), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
    by_lag, by_distance = axes
    _draw_by_lag(by_lag, pairs)
    _draw_by_distance(by_distance, pairs)
    for ax, text in ((by_lag, _in_time_text(covariance)), (by_distance, _in_space_text(covariance))):
        ax.text(0.0, 1.02, f"variance: {text}", transform=ax.transAxes, fontsize=SMALL, va="bottom")
    by_lag.set_title(head, loc="left", fontsize=TITLE, pad=18.0)
    by_lag.set_ylabel("correlation of errors", fontsize=LABEL)
    return as_array(list(axes))


def _covariance(ds: xr.Dataset, mapper: Any, options: RequestOptions) -> tuple[ErrorCovariance, str]:
    """Return the covariance of a mapper's errors, and what it is of."""
    if isinstance(mapper, ErrorCovariance):
        return mapper, "Errors"
    request = make_request(ds, mapper, options)
    # Asked for members, a mapper without a distribution of errors is refused.
    found = Joint(request, Ensemble(members=1)).covariance
    assert found is not None
    return found, f"Errors of {label(request.target)}, {method_name(mapper)}"


def _draw_by_lag(ax: Axes, pairs: NDArray[np.float64]) -> None:
    """Draw the correlation of the errors of one place with later ones; lag 0 is at the left, apart."""
    lag, _, found, fitted, _ = pairs[pairs[:, 1] == 0].T
    later = lag > 0
    ax.set_xscale("log")
    ax.plot(lag[later], fitted[later], color=BLUE, linewidth=1.5, label="fitted to points + 1 standard error")
    ax.plot(lag[later], found[later], "o", color="black", markersize=3.5, label="held-out stations")
    shortest, longest = (lag[later].min(), lag[later].max()) if later.any() else (1.0, 10.0)
    ticks = {hours: text for hours, text in _TICKS.items() if shortest <= hours <= longest}
    ax.xaxis.set_major_locator(FixedLocator(list(ticks)))
    ax.set_xticklabels(list(ticks.values()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("lag at the same place", fontsize=LABEL)
    _frame(ax)


def _draw_by_distance(ax: Axes, pairs: NDArray[np.float64]) -> None:
    """Draw the correlation of errors at two places at once, and about a week apart."""
    lags = np.unique(pairs[:, 0])
    longer = lags[np.abs(lags - _LONGER).argmin()]
    for i, lag in enumerate(dict.fromkeys([0.0, longer])):
        _, distance, found, fitted, _ = pairs[pairs[:, 0] == lag].T
        order = np.argsort(distance)
        apart = order[distance[order] > 0]
        text = "at once" if lag == 0 else f"{_lag_text(lag)} apart"
        colour, marker = METHOD_COLOURS[i], "os"[i]
        ax.plot(distance[apart], fitted[apart], color=colour, linewidth=1.5, label="_fitted")
        ax.plot(distance[order], found[order], marker, color=colour, markersize=4, label=text)
    ax.set_xlabel("distance [km]", fontsize=LABEL)
    ax.set_xlim(left=-0.02 * pairs[:, 1].max())
    _frame(ax)


def _frame(ax: Axes) -> None:
    ax.axhline(0.0, color="black", linewidth=0.6, zorder=0)
    plain(ax)
    ax.legend(frameon=False, fontsize=SMALL, loc="upper right")


def _lag_text(hours: float) -> str:
    """Return a lag in words: ``"7 days"``."""
    n, unit = (hours / 24, "day") if hours >= 24 else (hours, "hour")
    return f"{n:.2g} {unit}{'' if n == 1 else 's'}"


def _in_time_text(covariance: ErrorCovariance) -> str:
    """Return the parts of the variance of the field by their time of decay."""
    by_time = np.array(covariance.weights).sum(axis=1)
    parts = _parts(_TIMES, covariance.times_hours, by_time[:-1])
    return _percent({**parts, "lasting": by_time[-1]})


def _in_space_text(covariance: ErrorCovariance) -> str:
    """Return the parts of the variance of the field by their range."""
    parts = _parts(_RANGES, covariance.ranges_km, covariance.by_range)
    return _percent({**parts, "beyond 10 km": 1.0 - sum(parts.values())})


def _parts(classes: dict[str, float], scales: Sequence[float], weights: NDArray[np.float64]) -> dict[str, float]:
    """Return the weights of scales summed by class, each up to its largest scale."""
    which = np.searchsorted(list(classes.values()), scales)
    return {name: float(weights[which == i].sum()) for i, name in enumerate(classes)}


def _percent(parts: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * part:.0f} %" for name, part in parts.items() if part >= 0.005)
