"""Observations over the steps or periods of a cube, so that like is compared with like."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..arrays import timesteps
from ..conventions import STATION, TIME
from ..cube.calendar import Calendar
from ..errors import SchemaError
from ..stations.timestamps import step_of as stations_step
from .times import Periods, step_of

#: The shortest and the longest period of each frequency; a change of the clock adds or takes an hour.
_SHORTEST = {freq: pd.Timedelta(days=days, hours=-1) for freq, days in {"D": 1, "MS": 28, "QS": 90, "YS": 365}.items()}
_LONGEST = {freq: pd.Timedelta(days=days, hours=1) for freq, days in {"D": 1, "MS": 31, "QS": 92, "YS": 366}.items()}


def check_comparable(ds: xr.Dataset, cube: xr.Dataset) -> None:
    """Refuse a cube that was averaged by hand: its steps are not those of the stations, nor periods that it names.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A conformed station dataset.
    cube : xarray.Dataset
        All of the cube: two steps show what one of them may not.

    Raises
    ------
    SchemaError
    """
    periods = Periods.of(cube)
    if periods is None or _are_days(ds, periods):
        _check_steps(ds, cube)
    else:
        _check_periods(cube, periods)


def observed_over(ds: xr.Dataset, cube: xr.Dataset, target: str) -> xr.DataArray:
    """Return what stations observe over the steps of a cube. Computes.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A conformed station dataset.
    cube : xarray.Dataset
        With a dimension ``time``; of one with ``freq=``, observations are averaged over the same periods, with its time zone
        and data capture.
    target : str

    Returns
    -------
    xarray.DataArray, (time, station)
        In the target's units, NaN where there is no observation.

    See Also
    --------
    check_comparable : what is checked before.
    """
    observations = ds[target].transpose(TIME, STATION)
    periods = Periods.of(cube)
    if periods is not None and not _are_days(ds, periods):
        return _averaged(observations, cube, periods)
    at = observations.reindex({TIME: cube[TIME].values})
    return at.where(np.isfinite(at)).astype(float).compute()


def mean_observed(ds: xr.Dataset, cube: xr.Dataset, target: str) -> NDArray[np.float64]:
    """Return each station's mean over the steps of a cube, ``(station,)``; see :func:`observed_over`."""
    return np.asarray(observed_over(ds, cube, target).mean(TIME).values, float)


def _are_days(ds: xr.Dataset, periods: Periods) -> bool:
    """Return whether the observations are means of the periods already."""
    return periods.freq == "D" and periods.tz is None and stations_step(ds[TIME]) == timesteps.DAY


def _averaged(observations: xr.DataArray, cube: xr.Dataset, periods: Periods) -> xr.DataArray:
    """Return the means, or maxima, of the periods of a cube, ``(time, station)``."""
    starts, times = (data[TIME].values.astype("datetime64[s]") for data in (cube, observations))
    step = stations_step(observations[TIME])
    record = Calendar.of(times, step, periods.freq, periods.tz)
    first, last = (int(np.searchsorted(record.start, start)) for start in starts[[0, -1]])
    steps, _ = record.block(first, last + 1)
    if steps.start == steps.stop:
        empty = np.full((len(starts), observations.sizes[STATION]), np.nan)
        return xr.DataArray(empty, {TIME: starts}, (TIME, STATION))
    calendar = Calendar.of(times[steps], step, periods.freq, periods.tz)
    made = calendar.summary(observations.isel({TIME: steps}).values, periods.statistic, periods.capture)
    return xr.DataArray(made, {TIME: calendar.start}, (TIME, STATION)).reindex({TIME: starts})


def _check_steps(ds: xr.Dataset, cube: xr.Dataset) -> None:
    """Refuse a cube whose steps are not those of the stations."""
    times, record = np.atleast_1d(cube[TIME].values), ds[TIME].values
    own, step = step_of(cube), pd.Timedelta(stations_step(ds[TIME]))
    within = (times >= record[0]) & (times <= record[-1])
    if own == step and np.isin(times[within], record).all():
        return
    if own is None:
        raise SchemaError(
            "the cube has one step and no time_bnds: it may be a step of the stations or a mean of many, and a mean made by hand "
            f"is not compared with single values; fix: {_fix(own, step)}, or a step with its bounds, cube.isel(time=[0])",
            subject="cube",
        )
    # A coarsened cube keeps bounds as wide as those of one step.
    own = max(own, pd.Timedelta(np.diff(times).min())) if len(times) > 1 else own
    alike = f"ds = ds.resample(time='{own / pd.Timedelta('1h'):g}h', origin={str(times[0].astype('datetime64[s]'))!r}).mean(keep_attrs=True)"
    resampled = own > step and np.isin(times[within], record).all()
    raise SchemaError(
        f"the cube has steps of {_name(own)} and the stations of {_name(step)}: a mean made by hand, which is not compared "
        f"with single values; fix: {_fix(own, step, alike if resampled else None)}",
        subject="cube",
    )


def _check_periods(cube: xr.Dataset, periods: Periods) -> None:
    """Refuse a cube whose periods were averaged further by hand."""
    own = step_of(cube)
    times = np.atleast_1d(cube[TIME].values)
    # A clock that skips midnight begins a day an hour late.
    late = (periods.local(times) - periods.edges(times)[0]) / pd.Timedelta("1h")
    if (own is None or own <= _LONGEST[periods.freq]) and ((late >= 0) & (late <= 1)).all():
        return
    raise SchemaError(
        f"the cube has {periods.many} that were averaged by hand, which are not compared with {periods.many} of stations; "
        f"fix: {_fix(own, _LONGEST[periods.freq])}",
        subject="cube",
    )


def _fix(own: pd.Timedelta | None, step: pd.Timedelta, alike: str | None = None) -> str:
    """Return the call that makes means of steps as long as these, with their intervals; else ``alike``, else one that is near."""
    for freq, longest in _LONGEST.items():
        if own is not None and max(_SHORTEST[freq], step + pd.Timedelta("1s")) <= own <= longest:
            return f"ds.aq.reanalyze(..., freq={freq!r})"
    return alike or f"ds.aq.reanalyze(..., freq={'D' if step < pd.Timedelta('1D') else 'MS'!r})"


def _name(step: pd.Timedelta) -> str:
    hours = step / pd.Timedelta("1h")
    return f"{hours / 24:g} d" if hours >= 24 else f"{hours:g} h"
