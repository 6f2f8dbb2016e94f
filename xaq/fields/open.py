"""``open_field``: gridded fields as they are downloaded, by the table of forms in :mod:`xaq.fields.forms`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .._arguments import check_names, check_text, shown
from ..errors import SchemaError
from ..stations import schema
from .combine import combined
from .field_units import PRESSURE, TEMPERATURE, field_name, needs_air
from .forms import completed, find_variable, on_degrees, settled
from .interpolation import BEYOND
from .sources import datasets_of

_SUBJECT = "open_field"
_VARIABLE_FIX = "variable='pm25', or variable=['t2m', 'u10']"


def open_field(
    path: str | os.PathLike | Sequence[str | os.PathLike] | xr.DataArray | xr.Dataset,
    variable: str | Sequence[str] | None = None,
    *,
    lead: str | timedelta | np.timedelta64 | None = None,
) -> xr.DataArray | xr.Dataset:
    """Open a gridded field as it was downloaded.

    Parameters
    ----------
    path : path, pattern, list of paths, or xarray object
        Files in netCDF, Zarr, GRIB (with cfgrib) or HDF-EOS 5: ERA5, CAMS, MERRA-2, level-3 products of satellites, CMAQ,
        WRF, CHIMERE and any CF field; see the page on fields. Several files, such as ``"era5_*.nc"``, are joined in time, and
        side by side where they hold other variables.
    variable : str or list of str, optional
        One variable or several, by their names in the file or by xaq's. Default: all.
    lead : str or timedelta, optional
        Of forecasts that overlap, the shortest lead of at least this one is taken for each time, such as ``"24h"`` for
        what was predicted a day before. Default: the shortest of all.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        ``(time, lat, lon)``, or ``(lat, lon)`` where it is static; of a projected or curvilinear grid ``y`` and ``x`` in
        place of ``lat`` and ``lon``. Axes ascend; ``time`` is UTC and labels the start of means and sums, and the instant
        of instants. Pollutants have xaq's names and units: mass concentrations in ug m-3, mole fractions as in the file.
        ``history`` records each change. A Dataset where there are several variables. Lazy: Dask arrays.

    Raises
    ------
    SchemaError
        No such file or variable, a file that is not read, times that are no times, files that do not fit together.

    Examples
    --------
    A file in the form of CAMS European analyses, in which hours count from a date in an attribute:

    >>> import numpy as np, xarray as xr, xaq
    >>> cams = xr.Dataset(
    ...     {"pm2p5_conc": (("time", "latitude", "longitude"), np.ones((24, 2, 2), "f4"), {"units": "µg/m3"})},
    ...     {"time": ("time", np.arange(24.0), {"long_name": "ANALYSIS time from 20200101", "units": "hours"}),
    ...      "latitude": [50.05, 49.95], "longitude": [359.95, 0.05]},
    ... )
    >>> field = xaq.open_field(cams)
    >>> field.name, field.units, field.lon.values.tolist(), str(field.time.values[1])[:16]
    ('pm25', 'ug m-3', [-0.05, 0.05], '2020-01-01T01:00')
    """
    wanted = _check_variable(variable)
    least = _check_lead(lead)
    given = datasets_of(path)
    try:
        parts = [settled(ds, is_file=True) for ds in _narrowed(given, wanted)]
        parts = [part for part in parts if part.data_vars]
        if not parts:
            names = [str(n) for ds in given for n in ds.data_vars]
            raise SchemaError(
                f"no variable on axes of longitude and latitude, or of x and y, among {schema.some(names) or 'none'}; "
                "fix: a file with a field",
                subject=_name(path),
            )
        ds = completed(combined([_without_marks(part) for part in parts]), least)
    except SchemaError as error:
        raise _with_source(error, path) from error
    return _chosen(ds, wanted, isinstance(variable, str), _name(path))


def _check_variable(variable: Any) -> list[str]:
    def error(text: str) -> SchemaError:
        return SchemaError(text, subject=_SUBJECT)

    if variable is None:
        return []
    if isinstance(variable, str):
        return [check_text(variable, "variable", "a name, a list of names, or None", fix=_VARIABLE_FIX, error=error)]
    names = check_names(variable, "variable", fix=_VARIABLE_FIX, error=error)
    if not names:
        raise error(f"variable is {variable!r}, expected at least one name; fix: {_VARIABLE_FIX}")
    return names


def _check_lead(lead: Any) -> pd.Timedelta | None:
    if lead is None:
        return None
    try:
        if not isinstance(lead, (str, timedelta, np.timedelta64)):
            raise TypeError(lead)
        least = pd.Timedelta(lead)
        if not least >= pd.Timedelta(0):  # NaT is not, either
            raise ValueError(lead)
    except (TypeError, ValueError, OverflowError):
        raise SchemaError(
            f"lead is {shown(lead)}, expected a duration of 0 or more, or None; fix: lead='24h'", subject=_SUBJECT
        ) from None
    return least


def _narrowed(given: list[xr.Dataset], wanted: list[str]) -> list[xr.Dataset]:
    """Return datasets without the fields that are not wanted, so that they can raise nothing.

    Nothing is left out where a wanted variable is in none of the files: a form may make it of others.
    """
    found = {name: [n for ds in given for n in ds.data_vars if _is(str(n), name)] for name in wanted}
    if not wanted or not all(found.values()):
        return given
    kept = {n for names in found.values() for n in names}
    if any(needs_air(ds, str(n)) for ds in given for n in ds.data_vars if n in kept):
        kept |= {*PRESSURE, *TEMPERATURE}
    narrowed = [ds.drop_vars([n for n in on_degrees(ds) if n not in kept]) for ds in given]
    return [ds for ds in narrowed if kept & {*ds.data_vars}]


def _is(name: str, wanted: str) -> bool:
    return name == wanted or field_name(name) == field_name(wanted)


def _without_marks(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset with NaN in place of numbers that stand for missing ones without a word. Lazy.

    Arrays that are not of Dask would be loaded: those numbers are left to whoever reads the field.
    """
    lazy = {n: v for n, v in ds.data_vars.items() if v.chunks is not None and v.dtype.kind == "f"}
    return ds.assign({n: v.copy(data=v.where(np.abs(v) < BEYOND).data) for n, v in lazy.items()})


def _chosen(ds: xr.Dataset, wanted: list[str], single: bool, source: str) -> xr.DataArray | xr.Dataset:
    """Return the wanted variables: one as an array, several as a dataset."""
    names = {name: find_variable(ds, name) for name in wanted}
    if missing := [name for name, found in names.items() if found is None]:
        meant = [name if found else _meant(name, ds) for name, found in names.items()]
        raise SchemaError(
            f"no variable {', '.join(map(repr, missing))}; there are {schema.some([*ds.data_vars], 12)}; "
            f"fix: variable={meant[0] if single else [*dict.fromkeys(meant)]!r}",
            subject=source,
        )
    chosen = ds[[name for name in names.values() if name is not None]] if wanted else ds
    chosen.encoding["source"] = source
    if len(chosen.data_vars) > 1 or (wanted and not single):
        return chosen
    (name,) = chosen.data_vars
    array = chosen[name]
    array.encoding["source"] = source
    return array.assign_attrs(history=ds.attrs["history"]) if "history" in ds.attrs else array


def _meant(name: str, ds: xr.Dataset) -> str:
    """Return the variable whose name or long name is most like a name; the first where none is.

    Data stores offer variables under names like the long ones: ``2m_temperature`` is ``t2m``, "2 metre temperature".
    """
    known = {str(v.attrs.get("long_name", n)).lower(): str(n) for n, v in ds.data_vars.items()}
    known |= {str(n).lower(): str(n) for n in ds.data_vars}
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return known[close[0]] if close else str(next(iter(ds.data_vars)))


def _name(path: Any) -> str:
    """Return what messages and the source of a field call the files."""
    if isinstance(path, (xr.DataArray, xr.Dataset)):
        return str(path.encoding.get("source", "an array in memory"))
    if isinstance(path, (str, os.PathLike)):
        return os.fspath(path)
    return f"{_name(path[0])}" + (f" and {len(path) - 1} more" if len(path) > 1 else "")


def _with_source(error: SchemaError, path: Any) -> SchemaError:
    """Return an error with the name of the file, and the calls around its fix where that is one on the dataset."""
    if isinstance(path, (xr.DataArray, xr.Dataset)):
        problems = [p.replace("open_field(path, ", "open_field(ds, ") for p in error.problems]
        return error if problems == error.problems else SchemaError(problems, subject="open_field")
    if str(error).startswith(f"{_SUBJECT}: "):
        return error
    read = f"xr.open_dataset({_name(path)!r}, decode_timedelta=True)"
    problems = [f"{p}; ds is {read}, then xaq.open_field(ds)" if "fix: ds" in p else p for p in error.problems]
    if isinstance(path, (str, os.PathLike)):
        problems = [p.replace("open_field(path, ", f"open_field({os.fspath(path)!r}, ") for p in problems]
    return SchemaError(problems, subject=_name(path))
