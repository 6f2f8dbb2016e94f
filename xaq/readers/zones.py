"""Time zones of naive timestamps: whose counts, and local clocks, which show an hour twice and skip another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._arguments import fixed_offset, offset_name
from ..errors import SchemaError, warn

#: The errors of pandas and zoneinfo at a name that is no time zone.
_UNKNOWN_ZONE = (KeyError, ValueError, IndexError, TypeError, OSError, AttributeError)
_SEASONS = pd.DatetimeIndex(["2020-01-01", "2020-07-01"])
#: Abbreviations of standard time that are IANA zones with summer time, and a city that says so.
_LOCAL = {"CET": "Europe/Berlin", "MET": "Europe/Berlin", "EET": "Europe/Helsinki", "WET": "Europe/Lisbon"}
#: Which of two hours a local timestamp means that occurs twice.
AMBIGUOUS = ("infer", "first", "second")


def zone_of(tz: str | None, own: str | None) -> str | None:
    """Return the time zone of naive timestamps: the caller's, else the format's own; warns where they differ."""
    if tz is None:
        return own
    if own is not None and not same_zone(tz, own):
        warn(
            f"tz={tz!r} is used, and the format defines its timestamps in {own!r}; fix: leave tz= out, if the files are as "
            "the network publishes them"
        )
    return tz


def same_zone(one: str, other: str) -> bool:
    """Whether two time zones have the same offsets in winter and in summer; an unknown zone is no other one."""
    offsets = offsets_of(one), offsets_of(other)
    return not all(offsets) or offsets[0] == offsets[1]  # localise names an unknown zone


def offsets_of(zone: str) -> tuple[float, ...]:
    """Return the offsets of a time zone from UTC in hours, in January and July; none of an unknown zone."""
    try:
        local = _SEASONS.tz_localize("UTC").tz_convert(zone).tz_localize(None)
    except _UNKNOWN_ZONE:
        return ()
    return tuple(((local - _SEASONS) / pd.Timedelta("1h")).tolist())


def _warn_of_summer(times: pd.Series, local: pd.Series, tz: str) -> None:
    """Warn where the abbreviation of a standard time stands for local clocks, and timestamps are in summer."""
    if tz.upper() not in _LOCAL:
        return
    standard = min(offsets_of(tz))
    shifted = times - local.dt.tz_convert("UTC").dt.tz_localize(None) != pd.Timedelta(hours=standard)
    if (shifted & times.notna()).any():
        warn(
            f"tz={tz!r} has summer time, and {int(shifted.sum())} timestamps are read as an hour ahead of {tz}; fix: "
            f"tz={offset_name(standard)!r} if the clocks keep {tz} all year, or tz={_LOCAL[tz.upper()]!r} if they have summer time"
        )


def localise(times: pd.Series, tz: str, *, ambiguous: str | None = None, series: pd.Series | None = None) -> pd.Series:
    """Return naive local timestamps as naive UTC timestamps.

    Parameters
    ----------
    times : pandas.Series
        Naive timestamps.
    tz : str
        Their time zone.
    ambiguous : {"infer", "first", "second"}, optional
        Which hour a timestamp means that occurs twice, when the clock is set back; "infer": by the order of rows in each series,
        the first where it does not show which.
    series : pandas.Series, optional
        What each timestamp belongs to (a station), for "infer"; by default all are of one.

    Raises
    ------
    SchemaError
        An unknown time zone, timestamps in an hour that the clock skips, timestamps that occur twice and no rule for them.
    """
    try:
        # In the clock's first hour (True) or its second where it is set back, NaT where it is set forward.
        local = times.dt.tz_localize(tz, ambiguous=np.ones(len(times), bool), nonexistent="NaT")
        second = times.dt.tz_localize(tz, ambiguous=np.zeros(len(times), bool), nonexistent="NaT")
    except _UNKNOWN_ZONE as error:
        hours = fixed_offset(tz)
        fix = "an IANA name such as tz='Europe/Berlin'" if hours is None else f"tz={offset_name(hours)!r}"
        raise SchemaError(f"unknown time zone {tz!r}; fix: {fix}") from error
    skipped = local.isna() & times.notna()
    if skipped.any():
        raise SchemaError(
            f"{int(skipped.sum())} timestamps do not exist in {tz!r}, first: {times[skipped].iloc[0]}: the clock skips this hour when "
            f"daylight saving time begins; fix: tz={offset_name(min(offsets_of(tz)))!r} if the network keeps standard time all year, or leave "
            f"these rows out: table = table[~pd.to_datetime(table['time']).isin(pd.to_datetime({[str(t) for t in times[skipped].unique()]}))]"
        )
    twice = local != second
    if twice.any():
        later = _is_second(times, twice, tz, ambiguous, series)
        local = local.mask(later, second)
    _warn_of_summer(times, local, tz)
    return local.dt.tz_convert("UTC").dt.tz_localize(None).dt.as_unit("s")


def _is_second(
    times: pd.Series, twice: pd.Series, tz: str, ambiguous: str | None, series: pd.Series | None
) -> pd.Series:
    """Return which of the timestamps that occur ``twice`` on the clock are those of its second hour."""
    if ambiguous is None:
        raise SchemaError(
            f"{int(twice.sum())} timestamps occur twice in {tz!r}, first: {times[twice].iloc[0]}: the clock is set back when daylight saving "
            "time ends; fix: ambiguous='infer' if the rows of each station are in the order of time, ambiguous='first' or 'second', or "
            f"tz={offset_name(min(offsets_of(tz)))!r} if the network keeps standard time all year"
        )
    if ambiguous != "infer":
        return twice & (ambiguous == "second")
    later = twice.to_numpy(copy=True)
    later[later] = _by_order(times, twice.to_numpy(), 0 if series is None else series.to_numpy())
    return pd.Series(later, times.index)


def _by_order(times: pd.Series, twice: NDArray[np.bool_], series: Any) -> NDArray[np.bool_]:
    """Return which of the timestamps that occur ``twice`` are of the second hour, by the order of the rows of each series.

    Rows of a series may be newest first. A timestamp that a series has once is of the second hour where it comes after one of that
    hour, or after a later time of the clock; else of the first.
    """
    rows = pd.DataFrame({"time": times.to_numpy(), "series": series, "at": np.arange(len(times))})
    sign = np.sign(rows.groupby("series")["time"].diff().dt.total_seconds()).fillna(0)
    back = (sign.groupby(rows["series"]).transform("sum") < 0).to_numpy()
    rows = rows.assign(order=np.where(back, -rows["at"], rows["at"]))[twice].sort_values("order")
    rows["night"] = rows["time"].dt.normalize()
    same = rows.groupby(["series", "time"])
    alone = same["at"].transform("size") == 1
    second = same.cumcount() == 1
    night = [rows["series"], rows["night"]]
    after = second | (rows["time"].groupby(night).diff() < pd.Timedelta(0))
    unsure = alone & ~after.groupby(night).transform("any")
    after = after.groupby(night).cummax()
    if unsure.any():
        warn(
            f"{int(unsure.sum())} timestamps that the clock shows twice occur once, and their rows do not show in which hour: the first is "
            f"taken, first: {rows['time'][unsure].iloc[0]}; fix: timestamps in UTC or with offsets to be certain"
        )
    return (second | (alone & after)).sort_index().to_numpy()


def localise_ends(times: pd.Series, tz: str, *, ambiguous: str | None, series: pd.Series | None) -> pd.Series:
    """Return the naive local ends of intervals as naive UTC timestamps, as :func:`localise` does.

    Some networks count an end as the start on the clock and a step: 02:00 in the night whose clock skips that hour, and 03:00
    twice in the night whose clock shows 02:00 twice. Where the ends fit only so, their starts are localised.
    """
    apart = pd.Series(np.sort(times.unique())).diff().mode()
    if apart.empty or len(set(offsets_of(tz))) < 2:  # an unknown zone, or one without summer time
        return localise(times, tz, ambiguous=ambiguous, series=series)
    step = apart.iloc[0]
    (ends_skipped, ends_twice), (starts_skipped, starts_twice) = _unclear(times, tz), _unclear(times - step, tz)
    repeated = pd.DataFrame({"time": times, "series": 0 if series is None else series}).duplicated(keep=False)
    twice = repeated & starts_twice & ~ends_twice
    if starts_skipped.any() or not (ends_skipped.any() or twice.any()):
        return localise(times, tz, ambiguous=ambiguous, series=series)
    return localise(times - step, tz, ambiguous=ambiguous, series=series) + step


def _unclear(times: pd.Series, tz: str) -> tuple[pd.Series, pd.Series]:
    """Return which naive timestamps the clock of a time zone skips, and which it shows twice."""
    first = times.dt.tz_localize(tz, ambiguous=np.ones(len(times), bool), nonexistent="NaT")
    second = times.dt.tz_localize(tz, ambiguous=np.zeros(len(times), bool), nonexistent="NaT")
    return first.isna(), first.notna() & (first != second)
