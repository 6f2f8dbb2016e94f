"""Values whose intervals are no regular steps -> means over regular steps.

Loggers report every two to ten minutes, samplers change their filters late. Each value here has a start and an end. A step
has a value where at least 75 % of it is covered.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ..arrays import timesteps
from ..conventions import STATION, TIME
from ..errors import SchemaError, warn
from ..stations import limits
from ..stations.schema import some
from .assembly import PARAMETER, VALUE, Rows, one_unit_each

#: The column of the end of each value's interval; ``time`` is its start.
END = "end"
_ROW = "row"
#: Starts that are no further from a regular step than this fraction of it are the noise of a clock.
_NOISE = 0.05
#: A value may be so much longer than the step that it is put on.
_LONGER = 1.1
#: A reading stands until the next one, at most so many times the usual difference: the lower quartile of so many around it.
_LONGEST_READING, _AROUND = 1.25, 25
#: Steps begin on one of these, in seconds, where the starts of values do but for so many seconds at most.
_ROUND, _LATE = (3600, 1800, 900, 600, 300, 60), 120
_SECOND = np.timedelta64(1, "s")


def check_rows(frame: pd.DataFrame) -> None:
    """Raise where a table has no rows."""
    if frame.empty:
        raise SchemaError("the table has no rows; fix: a table with observations")


def readings(frame: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return the readings of loggers with start and end: each stands for the time to the next one of its station.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``station`` and ``time``, naive UTC, in any order.
    label : {"start", "end"}
        Which end of its interval the time of a reading labels.

    Returns
    -------
    pandas.DataFrame
        The same rows with ``time`` at the start and ``end``. Before a gap, a reading stands for 1.25 times the lower quartile of
        the 25 differences around it at most.
    """
    check_rows(frame)
    times = frame[[STATION, TIME]].drop_duplicates().sort_values([STATION, TIME])
    sign = 1 if label == "start" else -1
    seconds = times.groupby(STATION)[TIME].diff(-sign).abs().dt.total_seconds()
    typical = seconds.groupby(times[STATION]).transform(
        lambda s: s.rolling(_AROUND, center=True, min_periods=1).quantile(0.25)
    )
    typical = typical.groupby(times[STATION]).transform(lambda s: s.bfill().ffill())
    stands = seconds.fillna(typical).clip(upper=_LONGEST_READING * typical).fillna(0).round()
    times = times.assign(stands=pd.to_timedelta(stands, unit="s"))
    joined = frame.merge(times, on=[STATION, TIME], how="left")
    other = joined[TIME] + sign * joined.pop("stands")
    return joined.assign(**({END: other} if sign == 1 else {TIME: other, END: joined[TIME]}))


def on_steps(
    rows: Rows, step: np.timedelta64 | None, resolution: pd.Timedelta | None = None
) -> tuple[Rows, np.timedelta64, list[str]]:
    """Return means over regular steps of values with a start and an end.

    Parameters
    ----------
    rows : Rows
        Narrow, with ``time`` (start) and ``end``, naive UTC; numbers in ``value``.
    step : numpy.timedelta64, optional
        The step that the caller asks for. By default the step that the values have, if it is regular.
    resolution : pandas.Timedelta, optional
        The step of the values, where the source states it; by default the most frequent difference of starts.

    Returns
    -------
    rows : Rows
        ``time`` at the start of each step; NaN where less than 75 % of a step is covered.
    step : numpy.timedelta64
    notes : list of str
        What was averaged, for ``history``.

    Raises
    ------
    SchemaError
        Duplicate rows, several units of a variable, values longer than the step, irregular values without ``step``, no step that is covered.
    """
    frame = rows.frame.drop_duplicates()
    _check_no_conflicts(frame)
    one_unit_each(frame)
    own = _frequent_step(frame, step) if resolution is None else int(resolution.total_seconds())
    width = own if step is None else int(step / _SECOND)
    starts = _seconds(frame[TIME])
    ends = np.maximum(_seconds(frame[END]), starts + 1)
    phase = _phase(starts, width) if own == width else 0
    past = (starts - phase + width // 2) % width - width // 2
    regular = own == width and bool((abs(past) <= _NOISE * width).all())
    if step is None and not regular:
        raise SchemaError(_irregular(frame, starts, ends, own))
    _check_lengths(ends - starts, width, step)
    frame, starts, ends, past = _without_longer(frame, starts, ends, past, width)
    if regular:
        # Each value is that of one step, whatever its clock says.
        starts = starts - past
        ends = np.minimum(ends - past, starts + width)
    else:
        limits.require_no_codes({str(name): rows[VALUE].to_numpy(float) for name, rows in frame.groupby(PARAMETER)})
    made, short = _means(frame, starts - phase, ends - phase, width)
    if not made[VALUE].notna().any():
        raise SchemaError(
            f"no step of {_name(width)} has values for {timesteps.DATA_CAPTURE:.0%} of it; fix: a shorter step, such as "
            f"step={_name(_dividing(max(2 * own, 60)))!r}, or a longer record"
        )
    if short and step is None:
        warn(
            f"{short} value(s) stand for less than {timesteps.DATA_CAPTURE:.0%} of their step of {_name(width)} and are left out"
        )
    made[TIME] = (np.datetime64(0, "s") + (made[TIME].to_numpy() * width + phase).astype("timedelta64[s]")).astype(
        "datetime64[s]"
    )
    # What else is known of a step, such as its place, is what one of its values says: assemble compares the steps of a station.
    others = frame.drop(columns=[STATION, PARAMETER, TIME, END, VALUE]).iloc[made.pop(_ROW).to_numpy()]
    kept = pd.concat([made, others.reset_index(drop=True)], axis=1)
    notes = [f"means over {_name(width)}, each with at least {timesteps.DATA_CAPTURE:.0%} observed"]
    if regular:
        notes = (
            [f"starts of values moved by up to {_name(int(abs(past).max()))} to steps of {_name(width)}"]
            if past.any()
            else []
        )
    return replace(rows, frame=kept), np.timedelta64(width, "s"), notes


def _means(frame: pd.DataFrame, starts: np.ndarray, ends: np.ndarray, width: int) -> tuple[pd.DataFrame, int]:
    """Return means by station, parameter and number of the step, weighted by time, and how many steps with values lack cover.

    Each step has the number of the first row in it.
    """
    values = frame[VALUE].to_numpy(float)
    first = starts // width
    parts = []
    for later in range(int(((ends - 1) // width - first).max()) + 1):
        at = first + later
        inside = np.clip(np.minimum(ends, (at + 1) * width) - np.maximum(starts, at * width), 0, None)
        weight = np.where(np.isfinite(values), inside, 0)
        parts.append(pd.DataFrame({
            STATION: frame[STATION].to_numpy(), PARAMETER: frame[PARAMETER].to_numpy(), TIME: at, "weight": weight,
            VALUE: np.where(weight > 0, values, 0) * weight, _ROW: np.arange(len(frame)),
        })[inside > 0])  # fmt: skip
    steps = pd.concat(parts).groupby([STATION, PARAMETER, TIME])
    sums = steps[["weight", VALUE]].sum().assign(**{_ROW: steps[_ROW].min()}).reset_index()
    covered = sums["weight"] >= timesteps.DATA_CAPTURE * width
    sums[VALUE] = (sums[VALUE] / sums["weight"]).where(covered)
    return sums.drop(columns="weight"), int(((sums["weight"] > 0) & ~covered).sum())


def _seconds(times: pd.Series) -> np.ndarray:
    return (times.to_numpy().astype("datetime64[s]") - np.datetime64(0, "s")).astype(np.int64)


def _frequent_step(frame: pd.DataFrame, step: np.timedelta64 | None) -> int:
    """Return the most frequent difference of starts at one station, in seconds; with a step of the caller, of stations with one value its length."""
    times = frame[[STATION, TIME]].drop_duplicates().sort_values([STATION, TIME])
    apart = times.groupby(STATION)[TIME].diff().dropna()
    if apart.empty:
        length = int((frame[END] - frame[TIME]).dt.total_seconds().median())
        if step is not None and length > 0:
            return length
        fix = f"step={_name(_dividing(length))!r}, or more of the record" if length > 0 else "open more of the record"
        raise SchemaError(
            f"every station has one time only, expected at least 2 to know the step or for how long a reading stands; fix: {fix}"
        )
    return int(apart.mode().iloc[0].total_seconds())


def _phase(starts: np.ndarray, width: int) -> int:
    """Return where the steps of this width begin after 1970-01-01: at the usual start, on a whole hour or minute near it."""
    values, counts = np.unique(starts % width, return_counts=True)
    past = int(values[np.argmax(counts)])
    near = (round(past / unit) * unit for unit in _ROUND)
    return next((at for at in near if abs(at - past) <= min(width / 100, _LATE)), past) % width


def _check_no_conflicts(frame: pd.DataFrame) -> None:
    keys = [STATION, PARAMETER, TIME]
    twice = frame.duplicated(keys)
    if twice.any():
        first = frame.loc[twice, keys].iloc[0]
        raise SchemaError(
            f"{int(twice.sum())} values have the station, variable and start of others, and differ from them, first: {first[STATION]}, "
            f"{first[PARAMETER]}, {first[TIME]} UTC; fix: leave out one of the files that overlap, open_stations(['a', 'b'], ...)"
        )


def _check_lengths(lengths: np.ndarray, width: int, step: np.timedelta64 | None) -> None:
    longest = int(np.quantile(lengths, 0.9, method="higher"))
    if longest > _LONGER * width:
        than = f"their usual step of {_name(width)}" if step is None else f"step={_name(width)!r}"
        raise SchemaError(
            f"values stand for up to {_name(longest)}, longer than {than}; fix: step={_name(_dividing(longest))!r}"
        )


def _without_longer(
    frame: pd.DataFrame, starts: np.ndarray, ends: np.ndarray, past: np.ndarray, width: int
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Return values without those that are much longer than the step, with a warning."""
    longer = ends - starts > _LONGEST_READING * width + 1
    if not longer.any():
        return frame, starts, ends, past
    lengths = ends - starts
    warn(
        f"{int(longer.sum())} value(s) stand for up to {_name(int(lengths.max()))}, longer than the step of {_name(width)}, and are left "
        f"out, first: {frame[STATION][longer].iloc[0]}, {frame[TIME][longer].iloc[0]} UTC; fix: "
        f"step={_name(_dividing(int(lengths.max())))!r} to have them"
    )
    return frame[~longer], starts[~longer], ends[~longer], past[~longer]


def _irregular(frame: pd.DataFrame, starts: np.ndarray, ends: np.ndarray, own: int) -> str:
    """Return the message about values that are on no regular step, with a step of which some are covered."""
    times = frame[[STATION, TIME]].drop_duplicates().sort_values([STATION, TIME])
    apart = times.groupby(STATION)[TIME].diff().dropna().dt.total_seconds()
    steps = dict.fromkeys([_dividing(max(own, 3600)), _dividing(2 * own)])
    fitting = [width for width in steps if _means(frame, starts, ends, width)[0][VALUE].notna().any()]
    return (
        f"values of {some(frame[STATION].unique(), 3)} begin {_name(int(apart.min()))} to {_name(int(apart.max()))} after each other, "
        f"most often {_name(own)}, expected one regular step; fix: step={_name((fitting or list(steps))[0])!r} for means over it"
    )


def _dividing(seconds: int) -> int:
    """Return the shortest step of at least so many seconds that divides a day, or whole days."""
    if seconds > 43200:
        return 86400 * -(-seconds // 86400)
    return next(s for s in (60, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200) if s >= seconds)


def _name(seconds: int) -> str:
    return timesteps.step_name(np.timedelta64(seconds, "s"))
