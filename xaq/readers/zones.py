"""Time zones of naive timestamps: whose counts, and local clocks, which show an hour twice and skip another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import SchemaError, warn

#: The errors of pandas and zoneinfo at a name that is no time zone.
_UNKNOWN_ZONE = (KeyError, ValueError, IndexError, TypeError, OSError, AttributeError)
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
    seasons = pd.DatetimeIndex(["2020-01-01", "2020-07-01"], tz="UTC")
    try:
        offsets = [[t.utcoffset() for t in seasons.tz_convert(zone)] for zone in (one, other)]
    except _UNKNOWN_ZONE:
        return True  # localise names it
    return offsets[0] == offsets[1]


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
        raise SchemaError(f"unknown time zone {tz!r}; fix: an IANA name such as tz='Europe/Berlin'") from error
    skipped = local.isna() & times.notna()
    if skipped.any():
        raise SchemaError(
            f"{int(skipped.sum())} timestamps do not exist in {tz!r}, first: {times[skipped].iloc[0]}: the clock skips this hour when "
            "daylight saving time begins; fix: tz='Etc/GMT-1' (that is UTC+1) if the network keeps standard time all year, or leave these rows "
            f"out: table = table[~pd.to_datetime(table['time']).isin(pd.to_datetime({[str(t) for t in times[skipped].unique()]}))]"
        )
    twice = local != second
    if twice.any():
        later = _is_second(times, twice, tz, ambiguous, series)
        local = local.mask(later, second)
    return local.dt.tz_convert("UTC").dt.tz_localize(None).dt.as_unit("s")


def _is_second(
    times: pd.Series, twice: pd.Series, tz: str, ambiguous: str | None, series: pd.Series | None
) -> pd.Series:
    """Return which of the timestamps that occur ``twice`` on the clock are those of its second hour."""
    if ambiguous is None:
        raise SchemaError(
            f"{int(twice.sum())} timestamps occur twice in {tz!r}, first: {times[twice].iloc[0]}: the clock is set back when daylight saving "
            "time ends; fix: ambiguous='infer' if the rows of each station are in the order of time, ambiguous='first' or 'second', or "
            "tz='Etc/GMT-1' (that is UTC+1) if the network keeps standard time all year"
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
