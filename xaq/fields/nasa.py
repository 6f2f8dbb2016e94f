"""Fields of NASA: MERRA-2 and GEOS, and level-3 products of satellites (OMI, MODIS)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ..conventions import TIME
from ..errors import SchemaError
from ..stations import schema
from .field_units import without_nodata

#: The components of PM2.5 in MERRA-2 and their factors, as its authors sum them (GMAO, MERRA-2 FAQ); sulfate as ammonium sulfate.
_PM25 = {"DUSMASS25": 1.0, "OCSMASS": 1.0, "BCSMASS": 1.0, "SSSMASS25": 1.0, "SO4SMASS": 132.14 / 96.06}
#: Names of level-3 products, at the start of names of variables, of files, and of attributes.
_PRODUCT = re.compile(r"^(OMI-Aura_L3|OM[A-Z0-9]{3,6}[de]\b|OM[A-Z0-9]{3,6}[de]_|M[OYC]D08_|MCD19|g4\.)")
#: Products of eight days and of months, named after their first day.
_PERIODS = re.compile(r"M[OYC]D08_[EM]3")
_LEVEL = ("ProcessingLevel", "processing_level", "ProcessLevel", "ProcessingLevelID")
_BEGIN = ("start_time", "time_coverage_start", "StartUTC", "StartTime")
_END = ("end_time", "time_coverage_end", "EndUTC", "EndTime")
_DATES = (
    re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)[-m_.]?(?P<m>0[1-9]|1[0-2])[-.]?(?P<d>0[1-9]|[12]\d|3[01])(?!\d)"),
    re.compile(r"\bA(?P<y>(?:19|20)\d\d)(?P<j>[0-3]\d\d)\b"),
)


# -- MERRA-2 -----------------------------------------------------------------------------------------------------------


def recognise_merra(ds: xr.Dataset) -> bool:
    """Whether a dataset is of MERRA-2 or GEOS: by its short name, or by the attributes of its time."""
    return TIME in ds.coords and (bool(_short_name(ds)) or {"begin_time", "time_increment"} <= {*ds[TIME].attrs})


def normalise_merra(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset with means at the start of their interval, and with ``pm25`` where its components are. Lazy.

    Time-averaged collections label the centre of the interval, as 00:30 for 00:00 .. 01:00.
    """
    notes, half = [], _half_step(ds)
    if TIME in ds.dims and half:
        ds = ds.assign_coords({TIME: (TIME, ds[TIME].values - half.to_timedelta64(), {"standard_name": "time"})})
        notes.append(f"means labelled with the start of the interval (the file labels its centre, {half} later)")
    if all(name in ds.data_vars for name in _PM25):
        parts = (without_nodata(ds[name]) * factor for name, factor in _PM25.items())
        total = sum(parts, start=xr.zeros_like(ds["BCSMASS"]))
        units = ds["BCSMASS"].attrs.get("units", "")
        ds = ds.assign(pm25=total.assign_attrs(units=units, long_name="PM2.5 at the surface"))
        notes.append("pm25 is DUSMASS25 + OCSMASS + BCSMASS + SSSMASS25 + SO4SMASS * 132.14 / 96.06")
    return schema.record(ds, "open_field", notes)


def _half_step(ds: xr.Dataset) -> pd.Timedelta:
    """Return half the interval of means; zero for instants, for statistics of days and months, and where it is not certain.

    Attributes of time survive what a user does with an array, so that the times have to agree with them: centres of
    intervals, that far apart.
    """
    attrs, none = ds[TIME].attrs, pd.Timedelta(0)
    begin = None
    if {"begin_time", "time_increment"} <= {*attrs}:
        begin, step = (_clock(int(np.ravel(attrs[key])[0])) for key in ("begin_time", "time_increment"))
        if not step or begin % step != step / 2:
            return none
    elif (hours := re.match(r"M2T([136])", _short_name(ds))) is not None:
        step = pd.Timedelta(int(hours[1]), "h")
    else:
        return none
    times = pd.DatetimeIndex(np.atleast_1d(ds[TIME].values))
    clock = times - times.floor("D")
    if not (clock % step == step / 2).all():
        return none
    steps = np.diff(times.unique().sort_values())
    if not len(steps):
        # A single time has no step of its own; that of a file is where its times begin.
        return step / 2 if len(times) and begin == clock[0] else none
    return step / 2 if steps.min() == step and not (steps % step.to_timedelta64()).any() else none


def _short_name(ds: xr.Dataset) -> str:
    """Return the short name of a collection of MERRA-2, which Giovanni writes before the names of variables."""
    names = [str(ds.attrs.get("ShortName", "")), *map(str, ds.data_vars)]
    return next((name for name in names if re.match(r"M2[TISC][0-9A-Z][NV]", name)), "")


def _clock(number: int) -> pd.Timedelta:
    """Return HHMMSS as a duration."""
    return pd.Timedelta(hours=number // 10_000, minutes=number // 100 % 100, seconds=number % 100)


# -- level-3 products of satellites --------------------------------------------------------------------------------------


def recognise_level3(ds: xr.Dataset) -> bool:
    """Whether a dataset is a level-3 product of a satellite."""
    level = next((str(ds.attrs[key]) for key in _LEVEL if key in ds.attrs), "")
    return bool(re.fullmatch(r"(level|l)?[ -]?3\w?", level.strip(), re.IGNORECASE)) or _is_product(ds)


def _is_product(ds: xr.Dataset) -> bool:
    """Whether a name is that of a product of a satellite."""
    names = [*map(str, ds.data_vars), str(ds.attrs.get("ShortName", "")), Path(_source(ds)).name]
    return any(map(_PRODUCT.match, names))


def normalise_level3(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset with values of HDF-EOS decoded. Lazy."""
    return _decoded(ds)


def with_day(ds: xr.Dataset) -> xr.Dataset:
    """Return a product of one day with the date of its attributes or its file name as ``time``. Lazy.

    A mean over more than a day, or of which only the beginning is stated, has no time.

    Raises
    ------
    SchemaError
        A product of a satellite, by its name, without a date.
    """
    if schema.find_role(ds, TIME) is not None:
        return ds
    begin, end = (next((ds.attrs[key] for key in keys if key in ds.attrs), None) for keys in (_BEGIN, _END))
    first, last = _timestamp(begin), _timestamp(end)
    if last is not None and re.fullmatch(r"[\d/-]+", str(end).strip()):
        last += pd.Timedelta("1D")  # a date includes its day
    one_day = first is not None and last is not None and last - first <= pd.Timedelta("1D")
    day = _granule_day(ds)
    if day is None and not _is_period(ds) and (first is None or one_day):
        day = _day(ds) or (first if first is None else first.floor("D"))
    if day is not None:
        note = f"time {day:%Y-%m-%d}, the day of the product"
        return schema.record(ds.expand_dims({TIME: [day.to_datetime64()]}), "open_field", [note])
    if first is None and not _is_period(ds) and _is_product(ds):
        raise SchemaError(
            "a level-3 product without a date in its attributes or its file name; "
            "fix: ds.expand_dims(time=[np.datetime64('2020-01-01', 'ns')]), with its date",
            subject="gridded field",
        )
    span = "" if first is None else f", from {first:%Y-%m-%d}" + ("" if last is None else f" to {last:%Y-%m-%d}")
    return schema.record(ds, "open_field", [f"without a time: no date of one day{span}"])


def _decoded(ds: xr.Dataset) -> xr.Dataset:
    """Return values with the attributes that HDF-EOS uses in place of CF's applied: MissingValue, ScaleFactor, Offset."""
    changed = {}
    for name, array in ds.data_vars.items():
        attrs = {k: np.ravel(array.attrs[k])[0] for k in ("MissingValue", "ScaleFactor", "Offset") if k in array.attrs}
        if attrs:
            missing, scale, offset = attrs.get("MissingValue"), attrs.get("ScaleFactor", 1), attrs.get("Offset", 0)
            made = array if missing is None else array.where(array != missing)
            made = made if (scale, offset) == (1, 0) else made * scale + offset
            kept = {k: v for k, v in array.attrs.items() if k not in attrs}
            if "Units" in kept:
                kept.setdefault("units", str(kept.pop("Units")))
            changed[name] = made.assign_attrs(kept)
    return ds.assign(changed)


def _granule_day(ds: xr.Dataset) -> pd.Timestamp | None:
    """Return the day of a granule of OMI, which begins and ends a little beside it."""
    granule = [f"Granule{part}" for part in ("Year", "Month", "Day")]
    if not {*granule} <= {*ds.attrs}:
        return None
    year, month, day = (int(np.ravel(ds.attrs[part])[0]) for part in granule)
    return pd.Timestamp(year, month, day)


def _day(ds: xr.Dataset) -> pd.Timestamp | None:
    """Return the day that a range of the attributes or the file name states."""
    texts = (str(ds.attrs.get("RangeBeginningDate", "")), Path(_source(ds)).name)
    return next((found[0] for text in texts if (found := _dates(text))), None)


def _dates(text: str) -> list[pd.Timestamp]:
    """Return the dates in a text; the moment at which a file was made, a date with a clock, is none."""
    found = [
        match for pattern in _DATES for match in pattern.finditer(text) if not re.match(r"[tT]\d", text[match.end() :])
    ]
    made = []
    for parts in (match.groupdict() for match in found):
        first = pd.Timestamp(int(parts["y"]), int(parts.get("m") or 1), 1)
        made.append(first + pd.Timedelta(int(parts.get("d") or parts.get("j") or 1) - 1, "D"))
    return made


def _is_period(ds: xr.Dataset) -> bool:
    """Whether attributes or the file name state a period of more than a day."""
    begin, end = (_dates(str(ds.attrs.get(f"Range{which}Date", ""))) for which in ("Beginning", "Ending"))
    clock = str(ds.attrs.get("RangeEndingTime", ""))
    one_day = pd.Timedelta("1D" if clock.startswith("00:00:00") else "0D")
    name = Path(_source(ds)).name
    in_attributes = bool(begin) and (not end or end[0] - begin[0] > one_day)
    return in_attributes or len({*_dates(name)}) > 1 or bool(_PERIODS.search(name))


def _timestamp(text: object) -> pd.Timestamp | None:
    made = pd.to_datetime(str(text), errors="coerce", utc=True)
    return made.tz_localize(None) if isinstance(made, pd.Timestamp) else None


def _source(ds: xr.Dataset) -> str:
    found = [ds.encoding.get("source"), *(v.encoding.get("source") for v in ds.data_vars.values())]
    return str(next((source for source in found if source), ""))
