"""Write a cube or estimates at points as a netCDF file that other programs read right."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dask
import xarray as xr
from dask.system import CPU_COUNT

from .._arguments import argument_error, check_flag, check_mapping, check_path, check_text, shown
from ..conventions import TIME
from ..errors import StoreError
from .attributes import EXPECTED, is_name
from .cf import as_cf, encoding_of
from .discovery import global_attrs
from .form import check_form

_FIX = "fix: xaq.to_netcdf(cube, 'pm25.nc')"
_FIX_ATTRS = "attrs={'institution': 'University of Somewhere', 'license': 'CC-BY-4.0'}"


def to_netcdf(
    cube: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    attrs: Mapping[str, str] | None = None,
    unlimited: bool = False,
) -> Path:
    """Write a cube, a part of one or estimates at points as netCDF-4 after CF-1.11, with discovery attributes after ACDD-1.3.

    Parameters
    ----------
    cube : xarray.Dataset
        Of :func:`xaq.reanalyze`, :func:`xaq.open_cube` or :func:`xaq.estimate`, or a selection from it:
        ``<target>(time, lat, lon)`` or ``<target>(time, point)``. Computed and written block by block, so that it may be
        larger than the memory.
    path : path
        Written to a temporary name in the same folder first and renamed, so that the file is whole or absent, and an older
        file is replaced only by a whole one.
    attrs : mapping of str to str, optional
        Global attributes, such as ``institution``, ``license``, ``creator_name`` and ``title``. They replace those that xaq
        writes.
    unlimited : bool
        Make time the record dimension, along which NCO and CDO append and average.

    Returns
    -------
    pathlib.Path
        Where it was written.

    Raises
    ------
    SchemaError
        The dataset is no cube and no estimate at points, is of a store that is not finished, has an axis whose values neither
        all rise nor all fall, or times that are not decoded; or an argument is wrong.
    StoreError
        The file cannot be written, or the package netCDF4 is not installed; nothing is left at the path then.

    Notes
    -----
    Values are compressed without loss. Missing values are 9.96921e36, netCDF's own, in data only. Times count days, hours,
    minutes or seconds from a midnight (UTC), whichever is the longest that divides them all. Estimates at points become time
    series with an identifier each.

    Examples
    --------
    >>> import xaq
    >>> cube = xaq.datasets.synthetic(n_stations=12, days=2).aq.reanalyze("idw", grid=0.5)
    >>> xaq.to_netcdf(cube, "pm25.nc", attrs={"institution": "University of Somewhere"}).name
    'pm25.nc'
    """
    place = check_form(cube)
    given = _check_attrs(attrs)
    unlimited = check_flag(unlimited, "unlimited")
    target = _check_target(path)
    if find_spec("netCDF4") is None:
        raise StoreError("the package netCDF4 is not installed; fix: pip install netCDF4")
    ds = as_cf(cube, place)
    ds.attrs = {**global_attrs(ds, place), **given}
    records = [TIME] if unlimited and TIME in ds.dims else []
    with _whole_or_absent(target) as part, _own_threads():
        ds.to_netcdf(part, format="NETCDF4", engine="netcdf4", encoding=encoding_of(ds), unlimited_dims=records)
    return Path(_expanded(path))


def _check_attrs(attrs: Any) -> dict[str, str]:
    given = {} if attrs is None else check_mapping(attrs, "attrs", "texts by name, or None", fix=_FIX_ATTRS)
    expected = "a text that is not empty"
    for name, text in given.items():
        check_text(name, "a name in attrs", expected, fix=_FIX_ATTRS)
        check_text(text, f"attrs[{name!r}]", expected, fix=_FIX_ATTRS)
        if not is_name(name):
            raise argument_error(f"attrs has the name {shown(name)}, expected {EXPECTED}; fix: {_FIX_ATTRS}")
    return given


def _check_target(path: Any) -> Path:
    """Return where a path leads, or raise: no file can be made there."""
    check_path(path, "path", fix=_FIX.removeprefix("fix: "), error=StoreError)
    target = Path(os.path.realpath(_expanded(path)))
    if not target.parent.is_dir():
        raise StoreError(f"no such folder: {target.parent}; fix: os.makedirs({str(target.parent)!r})")
    if target.is_dir():
        raise StoreError(
            f"{target} is a folder, expected the name of a file; fix: xaq.to_netcdf(cube, {str(target / 'pm25.nc')!r})"
        )
    return target


def _expanded(path: str | os.PathLike[str]) -> str:
    """Return a path with the home folder for ``~``, and as it is for the home of a user who is not there."""
    return os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises then


@contextmanager
def _own_threads() -> Iterator[None]:
    """Compute in threads that have ended at the end: after an error Dask's own ones go on, and make the file again."""
    n = dask.config.get("num_workers", None) or CPU_COUNT
    with ThreadPoolExecutor(n) as pool, dask.config.set(pool=pool):
        yield


@contextmanager
def _whole_or_absent(target: Path) -> Iterator[Path]:
    """Yield a temporary name beside the target, which gets the target's name if all goes well and is deleted if not."""
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written ({error.strerror or error}); fix: xaq.to_netcdf(cube, '<a path in a folder that can be "
            "written to>')"
        ) from error
    finally:
        part.unlink(missing_ok=True)
