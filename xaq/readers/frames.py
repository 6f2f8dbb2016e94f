"""Frames as people have them -> a plain frame: roles in columns, one header, NumPy or pandas types, no row of units."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import xarray as xr

from ..conventions import ROLE_NAMES, TIME, canonical_units, is_units, match_key
from ..errors import SchemaError

#: Units of what may stand beside pollutants, in plain lower case.
_OTHER_UNITS = {
    "degc", "°c", "degf", "°f", "k", "m s-1", "m/s", "km/h", "hpa", "mb", "%", "degree", "degrees", "deg", "°", "mm", "m", "w/m2", "w m-2",
    "degrees_east", "degrees_north", "°e", "°n", "m a.s.l.", "masl",
}  # fmt: skip


def frame_of(thing: Any) -> pd.DataFrame | None:
    """Return a frame of pandas, polars, pyarrow and others as a new, plain pandas frame; None for anything else."""
    if isinstance(thing, pd.DataFrame):
        return plain_frame(thing.copy())
    if hasattr(thing, "to_pandas") and not isinstance(thing, (xr.DataArray, type)):
        return plain_frame(thing.to_pandas())
    return None


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with its index as columns, names in one level where possible, and no types of Arrow or categories.

    Raises
    ------
    SchemaError
        Several columns of one name, or an index that contradicts a column of its name.
    """
    frame = _with_one_level(_with_index_as_columns(frame))
    twice = frame.columns[frame.columns.duplicated()].unique()
    if len(twice):
        raise SchemaError(
            f"has several columns {', '.join(map(repr, twice))}; fix: table = table.loc[:, ~table.columns.duplicated()], "
            "where the first of each is right",
            subject="table",
        )
    for name in frame.columns:
        if isinstance(frame[name].dtype, (pd.ArrowDtype, pd.CategoricalDtype)):
            frame[name] = _plain_column(frame[name])
    return frame


def _plain_column(column: pd.Series) -> pd.Series:
    """Return a column of Arrow's types, or of categories, as one of NumPy's or pandas's own."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(column.cat.categories.dtype if not column.hasnans else object)
    if isinstance(column.dtype, pd.ArrowDtype) and pa.types.is_integer(column.dtype.pyarrow_dtype):
        return column.astype("Int64")
    return pd.Series(pa.array(column).to_pandas(date_as_object=False).array, column.index)


def _with_index_as_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose index is a number of rows: levels that name something become columns."""
    index = frame.index
    roles = {name for names in ROLE_NAMES.values() for name in names}
    dates = [
        isinstance(level, pd.DatetimeIndex) for level in (index.levels if isinstance(index, pd.MultiIndex) else [index])
    ]
    has_time = any(match_key(c[0] if isinstance(c, tuple) else c) in ROLE_NAMES[TIME] for c in frame.columns)
    if not (isinstance(index, pd.MultiIndex) or match_key(index.name) in roles or (dates[0] and not has_time)):
        return frame
    names: list[Any] = [
        name if name is not None else TIME if date and not has_time else f"level_{i}"
        for i, (name, date) in enumerate(zip(index.names, dates, strict=True))
    ]
    frame = frame.rename_axis(index=names)
    for name in names:
        column = (name, *[""] * (frame.columns.nlevels - 1)) if frame.columns.nlevels > 1 else name
        if column in frame.columns:
            if not (frame[column].astype(str).to_numpy() == frame.index.get_level_values(name).astype(str)).all():
                raise SchemaError(
                    f"{name!r} is a level of the index and a column, with other values; fix: table = table.drop(columns={name!r}), "
                    f"or table = table.reset_index({name!r}, drop=True)",
                    subject="table",
                )
            frame = frame.drop(columns=[column])
    return frame.reset_index()


def _with_one_level(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with texts as names where the second level of its names is empty or holds units."""
    if frame.columns.nlevels == 1:
        return frame
    parts = [
        tuple(str(part) for part in name if str(part) and not str(part).startswith("Unnamed: "))
        for name in frame.columns
    ]
    if not all(len(p) == 1 or (len(p) == 2 and _is_unit(p[1])) for p in parts):
        if frame.columns.nlevels > 2:
            raise SchemaError(
                f"its columns have {frame.columns.nlevels} levels, such as {frame.columns[-1]}, expected station and pollutant; "
                "fix: table.columns = table.columns.droplevel(2)",
                subject="table",
            )
        return frame
    return frame.set_axis([p[0] if len(p) == 1 else f"{p[0]} ({p[1]})" for p in parts], axis=1)


def _is_unit(text: str) -> bool:
    return is_units(text) or match_key(text) in _OTHER_UNITS


def take_units_row(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[Any, str]]:
    """Return a frame without the row of units under its header, and the units by column; none where its first row holds data."""
    if len(frame) < 2:
        return frame, {}
    first = {c: cell for c, cell in frame.iloc[0].items() if not (pd.api.types.is_scalar(cell) and pd.isna(cell))}
    if not first or not all(isinstance(cell, str) for cell in first.values()):
        return frame, {}
    cells = {c: cell.strip().strip("[]()") for c, cell in first.items()}
    if not any(_is_unit(cell) for cell in cells.values()) or any(_is_data(cell) for cell in cells.values()):
        return frame, {}
    units = {c: canonical_units(cell) for c, cell in cells.items() if _is_unit(cell)}
    return frame.iloc[1:].reset_index(drop=True), units


def _is_data(cell: str) -> bool:
    """Whether a cell is a number or begins like a date."""
    return any(char.isdigit() for char in cell) and not _is_unit(cell)
