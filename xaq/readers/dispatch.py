"""``open_stations``: recognise the format of a source, and call its reader."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from .._version import __version__
from ..arrays import timesteps
from ..conventions import ROLE_NAMES, STATION, TIME, canonical_name, match_key
from ..errors import SchemaError
from ..stations import schema
from ..stations.schema import some
from ..stations.timestamps import step_of
from . import (
    airnow,
    aqs,
    cf,
    cnemc,
    ebas,
    eea,
    files,
    gios,
    openair,
    openaq,
    prsa,
    purpleair,
    sensor_community,
    tables,
    uk_air,
)  # fmt: skip
from .arguments import check_arguments, error
from .folders import listing, reading
from .given_units import with_units
from .one_step import check_step, settle_step, with_known_step, with_whole_ends
from .source import Format, Request, Source, Table

FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        tables.LONG, tables.WIDE, cf.FORMAT, prsa.FORMAT, cnemc.FORMAT, airnow.FORMAT, aqs.FORMAT, eea.FORMAT, openaq.FORMAT,
        purpleair.FORMAT, sensor_community.FORMAT, ebas.FORMAT, openair.FORMAT, uk_air.FORMAT, gios.FORMAT,
    )
}  # fmt: skip


def open_stations(
    source: Table | xr.Dataset | Sequence[str | os.PathLike] | Any,
    *,
    stations: Table | None = None,
    format: str | None = None,  # noqa: A002 - the word that pandas and xarray users expect
    tz: str | None = None,
    timestamps: Literal["start", "end"] | None = None,
    step: str | pd.Timedelta | np.timedelta64 | None = None,
    units: str | Mapping[str, str] | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    pollutant: str | None = None,
    encoding: str | Mapping[str, str] | None = None,
    skiprows: int | None = None,
    na_values: Any = None,
    censored: Literal["half", "zero", "missing"] | None = None,
    valid: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
    ambiguous: Literal["infer", "first", "second"] | None = None,
) -> xr.Dataset:
    """Open observations of a station network as a station dataset.

    Parameters
    ----------
    source : path, pattern, folder, list of paths, frame or xarray.Dataset
        CSV (any separator), Parquet, Feather or Excel, which may be compressed; netCDF or Zarr; files and folders of the networks below;
        a frame of pandas, polars or pyarrow; a station Dataset. A pattern such as ``"2018_*.xlsx"`` is the list of files that
        match it, in the order of their names.
    stations : path or frame, optional
        Station list with identifier, longitude, latitude and, if known, elevation. Not needed where the source has
        coordinates.
    format : str, optional
        ``"long"``, ``"wide"``, ``"cf"``, ``"prsa"`` (UCI Beijing), ``"china_sites"``, ``"airnow"``, ``"aqs"``, ``"eea"``,
        ``"openaq"``, ``"purpleair"``, ``"sensor_community"``, ``"ebas"``, ``"openair"``, ``"uk_air"`` or ``"gios"`` (Poland); see
        the page on readers. By default recognised from names of files and columns; an error where several fit.
    tz : str, optional
        IANA name of the time zone of naive timestamps, such as ``"Asia/Shanghai"`` or ``"UTC"``. Required for steps
        shorter than a day, unless the format defines it. Daily timestamps are not shifted.
    timestamps : {"start", "end"}, optional
        Which end of its interval each timestamp labels. By default as the format's description states; ``"start"`` for tables.
    step : str or timedelta, optional
        Bring all stations to this step, such as ``"1h"`` or ``"1D"``: means over each interval, weighted by the time that
        each value stands for, missing where less than 75 % of it is observed; of wind directions, the direction of the mean
        unit vector. Intervals begin where those of stations with this step do, else at whole steps (days too) of UTC. Stations of
        different steps or phases are an error without it. For tables and data in memory.
    units : str or mapping, optional
        Units by variable, or one string for the only pollutant; values are not converted. Particles without units are assumed to be in ug m-3,
        and the repr says so; gases need units, unless the format defines them.
    columns : mapping, optional
        Column of a role or variable that xaq does not recognise: ``{"station": "code", "pm25": "PM (fine)"}``. Where the
        table and the station list have different names for it, both: ``{"station": ["code", "site code"]}``.
    pollutant : str, optional
        Pollutant of a wide table whose columns are named by station only. An error where it is none of the variables read.
    encoding : str or mapping, optional
        Encoding of text files that are not UTF-8, such as ``"cp1252"`` or ``"gb18030"``; by name or pattern of file where they differ:
        ``{"list.csv": "cp1250"}``. The station list is one of the files.
    skiprows : int, optional
        Rows above the header of the table, in text and Excel. By default such rows are found where they are narrower than the table.
    na_values : scalar, sequence or mapping, optional
        Entries that stand for missing values, such as ``-999`` or ``["-", "LOD"]``; by column in a mapping, as in pandas.
    censored : {"half", "zero", "missing"}, optional
        What values below a detection limit become (``<0.5``, ``<LOD``, ``ND``): half of the limit, zero or missing. An error without it.
    valid : sequence or mapping, optional
        Statuses that count, where columns of statuses stand beside the values (``status``, ``pm25_flag``); by column where they have
        other names: ``{"state": ["V", "R"]}``. Values of other statuses are missing. For tables and UK-AIR.
    ambiguous : {"infer", "first", "second"}, optional
        Which of two hours a local timestamp means that occurs twice, when a clock is set back: by the order of the rows, or one of them.

    Returns
    -------
    xarray.Dataset
        Dimensions ``(station, time)``, float32 variables, CF attributes; UTC times on a regular step, each timestamp
        labelling the start of its interval; steps without observations are NaN. In memory; netCDF, Zarr and
        Dask-backed Datasets on ``(station, time)`` stay lazy.

    Raises
    ------
    SchemaError
        A format that is not recognised, unreadable files, missing columns or coordinates, unknown time zone, duplicate
        rows, irregular timestamps, stations of different steps, units missing.

    Examples
    --------
    >>> import pandas as pd, xaq
    >>> table = pd.DataFrame({
    ...     "station": ["a", "a", "b", "b"],
    ...     "time": pd.to_datetime(["2020-01-01 08:00", "2020-01-01 09:00"] * 2),
    ...     "PM2.5": [10.0, 12.0, 20.0, 18.0],
    ... })
    >>> places = pd.DataFrame({"station": ["a", "b"], "lon": [116.3, 116.5], "lat": [39.9, 40.0]})
    >>> ds = xaq.open_stations(table, stations=places, tz="Asia/Shanghai")
    >>> ds.time.values[0]
    np.datetime64('2020-01-01T00:00:00')

    The same network as a wide table whose timestamps label the end of the hour:

    >>> wide = table.pivot(index="time", columns="station", values="PM2.5").reset_index()
    >>> ds = xaq.open_stations(wide, stations=places, pollutant="pm25", tz="Asia/Shanghai", timestamps="end")
    >>> ds.time.values[0]
    np.datetime64('2019-12-31T23:00:00')
    """
    check_arguments(
        stations=stations, named=format, formats=FORMATS, tz=tz, timestamps=timestamps, units=units, columns=columns,
        pollutant=pollutant, encoding=encoding, skiprows=skiprows, na_values=na_values, censored=censored, valid=valid,
        ambiguous=ambiguous,
    )  # fmt: skip
    every = check_step(step)
    request = Request(
        stations, tz, columns, pollutant, encoding, timestamps, every, ambiguous, skiprows, na_values, censored, valid
    )
    given = found = Source.of(source)
    try:
        chosen = detect(given, request) if format is None else FORMATS[format]
        found = _in_folder(given, chosen, request)
        _check_options(found, chosen, request)
        read = [] if chosen is cf.FORMAT else [_read_as(found, chosen)]
        ds = schema.record(chosen.read(found, request), "open_stations", [*request.history, *read])
        ds = schema.conform(with_known_step(ds, every))
        if not chosen.intervals:
            ds = with_whole_ends(ds, timestamps)
            ds = settle_step(ds, every, timestamps or _labels(ds, chosen))
        ds = with_units(ds, units)
        _check_held(ds, pollutant)
    except SchemaError as raised:
        # The reader knows the problem; the name of the source is known here.
        raise _with_source_name(raised, given, found, request) from raised
    return schema.describe_as_cf(ds)


def _read_as(source: Source, form: Format) -> str:
    """Return the line of history that says what was read, by which reader; netCDF and Zarr come with their own history."""
    named = some((path.name for path in source.paths), 3) or "a table"
    return f"read {named} as {form.name!r} (xaq {__version__})"


def _check_held(ds: xr.Dataset, pollutant: str | None) -> None:
    """Raise where the named pollutant is no variable: files that name their pollutants are not asked for another one."""
    if pollutant is not None and canonical_name(pollutant) not in ds:
        raise SchemaError(
            f"pollutant={pollutant!r} is none of the variables, which are {some(ds.data_vars)}; fix: leave pollutant= out"
        )


def _labels(ds: xr.Dataset, form: Format) -> str:
    """Return which end of its interval a timestamp labels by the description of the format."""
    if form.daily is not None and step_of(ds[TIME]) >= timesteps.DAY:
        return form.daily
    return form.timestamps


def detect(source: Source, request: Request) -> Format:
    """Return the format of a source.

    Raises
    ------
    SchemaError
        When the source fits no format, or several; the message names the candidates for ``format=``.
    """
    if source.dataset is not None:
        return cf.FORMAT
    if source.paths:
        path = source.paths[0]
        named = [f for f in FORMATS.values() if _by_name(source, f)]
        if len(named) > 1:
            counts = ", ".join(f"{f.name} ({f.what})" for f in named)
            raise SchemaError(f"holds files of several formats: {counts}; fix: format={named[0].name!r}")
        if named:
            return named[0]
        if path.is_dir():
            return _of_folder(source, request)
        lines = source.first_lines(request)
        begun = next((f for f in FORMATS.values() if f.begins(lines)), None)
        if begun is not None:
            return begun
    return _by_header(source.header(request), request)


def _by_name(source: Source, form: Format) -> bool:
    """Whether the names of the files are those of the format."""
    path = source.paths[0]
    if path.is_dir() and not cf.is_zarr(path):
        return bool(form.files and listing(path, form.files))
    return any(path.match(pattern) for pattern in form.files) or (form is cf.FORMAT and cf.is_zarr(path))


def _of_folder(source: Source, request: Request) -> Format:
    """Return the format of a folder without file names of a known format, from the header of its first table."""
    tables_there = _tables_in(source)
    if not tables_there:
        patterns = ", ".join(p for f in FORMATS.values() for p in f.files)
        raise SchemaError(f"the folder has no file that xaq reads; fix: a folder with tables, or with {patterns}")
    found = detect(Source(paths=(tables_there[0],)), request)
    if found in (tables.LONG, tables.WIDE) and len(tables_there) > 1:
        raise SchemaError(
            f"a folder of {len(tables_there)} tables ({some((p.name for p in tables_there), 3)}) whose format xaq does not "
            "recognise; fix: pass the files that belong together, as open_stations(['a.csv', 'b.csv'], ...), or format='long'"
        )
    return found


def _tables_in(source: Source) -> list[Path]:
    return [p for p in listing(source.paths[0], ("*",)) if files.kind(p) in files.TABLES]


def _by_header(header: tuple[Any, ...], request: Request) -> Format:
    fitting = [f for f in FORMATS.values() if f.matches(_lower(header))]
    if len(fitting) > 1 or openair.FORMAT in fitting:
        candidates = dict.fromkeys([*fitting, tables.LONG])
        listed = ", ".join(f"format={f.name!r} ({f.what})" for f in candidates)
        raise SchemaError(f"the columns {', '.join(map(str, header[:6]))}, ... fit several formats; fix: {listed}")
    if fitting:
        return fitting[0]
    return tables.WIDE if _matches_wide(header, request) else tables.LONG


def _lower(header: tuple[Any, ...]) -> set[str]:
    """Return column names as formats compare them: in lower case and as written."""
    return {match_key(c) for c in header} | {str(c).strip() for c in header}


def _matches_wide(header: tuple[Any, ...], request: Request) -> bool:
    """Whether columns are named by station id, or by station id and pollutant."""
    if any(isinstance(c, tuple) for c in header):
        return True
    if {match_key(c) for c in header} & {*ROLE_NAMES[STATION]} or STATION in (request.columns or {}):
        return False
    places = request.places()
    if places is None or STATION not in places.frame:
        return False
    ids = set(places.frame[STATION].astype(str))
    return any(tables.station_and_variable(c, ids)[0] in ids for c in header)


def _in_folder(source: Source, form: Format, request: Request) -> Source:
    """Return a folder as the list of files that the format reads from it."""
    if not source.paths or not source.paths[0].is_dir() or cf.is_zarr(source.paths[0]):
        return source
    found = listing(source.paths[0], form.files) if form.files else []
    if found and form.also:
        others = listing(source.paths[0], form.also)
        found += [p for p in others if p not in found and form.matches(_lower(Source(paths=(p,)).header(request)))]
    found = found or _tables_in(source)
    if not found:
        raise SchemaError(
            f"the folder has no file of {form.what}; fix: a folder with {', '.join(form.files) or 'tables'}"
        )
    return replace(source, paths=tuple(found))


def _check_options(source: Source, form: Format, request: Request) -> None:
    """Raise where options of the call have no effect on this source."""
    if request.valid is not None and not form.statuses:
        raise error(
            f"valid= is for tables with columns of statuses; the format {form.name!r} has its own; fix: leave valid= out"
        )
    for name in ("skiprows", "na_values", "censored"):
        if getattr(request, name) is not None and form in (cf.FORMAT, ebas.FORMAT):
            raise error(f"{name}= is for tables, not for {form.what}; fix: leave {name}= out")
    if request.skiprows is not None and source.frame is not None:
        raise error(
            "skiprows= is for files, and the source is a frame; fix: table.iloc[n:], with the header in its columns"
        )
    if isinstance(request.encoding, Mapping):
        listed = request.stations
        paths = [*source.paths, *([Path(listed)] if isinstance(listed, (str, os.PathLike)) else [])]
        for pattern in request.encoding:
            if not any(path.match(pattern) for path in paths):
                names = some((p.name for p in paths), 3) if paths else "none, because they are frames"
                raise error(
                    f"encoding names {pattern!r}, which is none of the files ({names}); fix: the name of one of them"
                )


def _with_source_name(raised: SchemaError, source: Source, found: Source, request: Request) -> SchemaError:
    """Return an error with the name of what it is about, and the call that reads the frame on which its fix is a call.

    ``found`` are the files of the source.
    """
    if str(raised).startswith("station list: "):
        listed = request.stations
        paths = (Path(listed),) if isinstance(listed, (str, os.PathLike)) else ()
        problems = [
            _with_reading(p, "places", "the list is", paths, request, "stations=places") for p in raised.problems
        ]
        return SchemaError(problems, subject="station list")
    if not str(raised).startswith("station dataset: "):
        return raised
    are = "the files are" if len(found.paths) > 1 else "the file is"
    problems = [_of_files(p, source.paths) for p in raised.problems]
    problems = [_with_reading(p, "table", are, found.paths, request, "table") for p in problems]
    return SchemaError(problems, subject=source.name)


def _of_files(problem: str, paths: tuple[Path, ...]) -> str:
    """Return a problem whose fix works for several files: they overlap, and one by one they are joined by their times."""
    head, fix, _ = problem.partition("fix: table = table.drop_duplicates")
    if len(paths) < 2 or not fix:
        return problem
    first, second = (f"xaq.open_stations({str(path)!r}, ...)" for path in paths[:2])
    more = "" if len(paths) == 2 else ", and so on with the others"
    return f"{head}fix: {first}.combine_first({second}){more}: values of the first count"


def _with_reading(problem: str, frame: str, are: str, paths: tuple[Path, ...], request: Request, passed: str) -> str:
    if not paths or paths[0].is_dir() or not re.search(rf"fix.*: .*\b({frame}[.[]|{frame} =)", problem):
        return problem
    skiprows = request.skiprows if passed == frame else None
    then = f"open_stations({passed}, ...)" if passed == frame else f"open_stations(..., {passed})"
    call = reading(paths, request.encoding_of, request.identifiers, skiprows)
    return problem if call is None else f"{problem}; {are} read by {frame} = {call}; then {then}"
