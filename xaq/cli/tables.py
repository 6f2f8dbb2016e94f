"""Files that commands write and read beside cubes: station data, tables of estimates, points."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from ..conventions import LAT, LON, ROLE_NAMES, STATION, TIME, common_units, match_key
from ..errors import SchemaError
from ..readers import files
from ..stations.schema import describe_as_cf
from . import output
from .remedies import with_names

#: Of tables, and of all files of station data.
TABLES = (".parquet", ".csv")
SUFFIXES = (".nc", ".zarr", *TABLES)


def write_stations(ds: xr.Dataset, path: str) -> None:
    """Write a station dataset to a file of one of :data:`SUFFIXES`; a table has a row per station and time."""
    suffix = Path(path).suffix.lower()
    if suffix == ".zarr":
        with output.written(path, "-o"):
            describe_as_cf(ds).drop_encoding().to_zarr(path, mode="w-")
    elif suffix == ".nc":
        _whole(path, describe_as_cf(ds).drop_encoding().to_netcdf)
    else:
        write_table(_rows(ds), path)


def _rows(ds: xr.Dataset) -> pd.DataFrame:
    """Return a long table with units in the names of columns, as ``open_stations`` reads it."""
    frame = ds.to_dataframe().reset_index()
    frame[TIME] = frame[TIME].dt.tz_localize("UTC")
    units = {str(name): ds[name].attrs.get("units") for name in ds.data_vars}
    return frame.rename(columns={name: f"{name} ({common_units(unit)})" for name, unit in units.items() if unit})


def write_table(frame: pd.DataFrame, path: str) -> None:
    """Write a table as Parquet or CSV."""
    if Path(path).suffix.lower() == ".csv":
        _whole(path, lambda part: frame.to_csv(part, index=False))
    else:
        _whole(path, lambda part: frame.to_parquet(part, index=False))


def _whole(path: str, write: Callable[[Path], Any]) -> None:
    """Write a file under another name first: an interrupted command leaves an older file as it was."""
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with output.written(path, "-o"):
            write(part)
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def read_points(
    path: str, identifier: str | None, columns: dict[str, list[str]], encoding: str | None
) -> tuple[pd.Series, pd.Series]:
    """Return longitudes and latitudes of the points of a table, labelled by their ids.

    Parameters
    ----------
    path : str
        CSV, Parquet, Feather or Excel with a row per point.
    identifier : str or None
        Column of the ids; the first with a common name by default, else points are counted from 0.
    columns : dict of str to list of str
        Columns of ``lon`` and ``lat`` where they have other names.
    encoding : str or None
        Of a text file.
    """
    named = {identifier, *ROLE_NAMES[STATION], "point"} - {None}
    try:
        frame = files.read_frame(_existing(path), identifiers={match_key(str(n)) for n in named}, encoding=encoding)
    except SchemaError as error:
        # The option of the observations has another name.
        raise with_names(error, {"encoding": "point_encoding"}) from error
    by_key = {match_key(str(column)): column for column in reversed(frame.columns)}
    lon, lat = (_column(by_key, role, columns.get(role, []), frame, path) for role in (LON, LAT))
    label = next((by_key[match_key(n)] for n in (*ROLE_NAMES[STATION], "point") if match_key(n) in by_key), None)
    if identifier is not None:
        label = _column(by_key, "id", [identifier], frame, path)
    ids = range(len(frame)) if label is None else frame[label].astype(str)
    index = pd.Index(ids, name="point" if label is None else str(label))
    return tuple(pd.Series(_numbers(frame, c, path), index) for c in (lon, lat))  # type: ignore[return-value]


def _existing(path: str) -> Path:
    """Return the path of a file that exists."""
    if not Path(path).is_file():
        raise output.usage(f"no such file: {path}; fix: --points points.csv, a table with lon, lat and an id")
    return Path(path)


def _column(by_key: dict[str, Any], role: str, named: list[str], frame: pd.DataFrame, path: str) -> Any:
    """Return the column of a role, by the name that the user gives, else by its common names."""
    names = named or list(ROLE_NAMES[role])
    found = next((by_key[match_key(n)] for n in names if match_key(n) in by_key), None)
    if found is None:
        has = ", ".join(map(str, frame.columns[:12]))
        fix = f"--id '{frame.columns[0]}'" if role == "id" else f"--point-columns {role}=COLUMN"
        raise SchemaError(f"no column {' or '.join(names[:3])} for {role}; it has {has}; fix: {fix}", subject=path)
    return found


def _numbers(frame: pd.DataFrame, column: Any, path: str) -> Any:
    numbers = pd.to_numeric(frame[column], errors="coerce")
    if numbers.isna().any():
        at = int(numbers.isna().to_numpy().argmax())
        raise SchemaError(
            f"{int(numbers.isna().sum())} of {len(frame)} points have no {column} in degrees, first: row {at + 1} "
            f"({str(frame[column].iloc[at])!r}); fix: correct the file, or leave these rows out",
            subject=path,
        )
    return numbers.to_numpy(float)
