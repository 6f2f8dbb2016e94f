"""Files of gridded fields as xarray datasets: netCDF, Zarr, GRIB and HDF-EOS 5, told apart by their first bytes."""

from __future__ import annotations

import glob
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from .._arguments import check_path
from ..errors import SchemaError, or_netcdf4
from .forms import as_dataset
from .hdfeos import grid_of

_OPTIONS: dict[str, Any] = {"chunks": "auto", "decode_timedelta": False}
_FIX = "xaq.open_field('field.nc')"


def datasets_of(source: Any) -> list[xr.Dataset]:
    """Return the datasets of a source: an xarray object, a path, a pattern of paths, or a list of them. Lazy.

    Raises
    ------
    SchemaError
        No such file, or one that is not read.
    """
    if isinstance(source, xr.DataArray):
        return [as_dataset(source)]
    if isinstance(source, xr.Dataset):
        return [source]
    if isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
        if not source:
            raise SchemaError(f"path is {source!r}, expected at least one path; fix: {_FIX}", subject="open_field")
        return [ds for item in source for ds in datasets_of(item)]
    checked = check_path(source, "path", fix=_FIX, error=lambda text: SchemaError(text, subject="open_field"))
    text = os.fspath(checked)
    if "://" in text:
        return [_opened(text, engine="zarr")]
    path = Path(text)
    if not path.exists() and glob.has_magic(text):
        found = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - patterns may be absolute
        if not found:
            raise SchemaError(f"no file matches; fix: {_FIX}", subject=text)
        return [ds for item in found for ds in _of_path(Path(item))]
    return _of_path(path)


def _of_path(path: Path) -> list[xr.Dataset]:
    if not path.exists():
        raise SchemaError(f"there is no such file; fix: {_FIX}", subject=str(path))
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zmetadata")):
            return [_opened(path, engine="zarr")]
        raise SchemaError(f"is a folder; fix: xaq.open_field('{path}/*.nc')", subject=str(path))
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise SchemaError(
            f"cannot be read: {error.strerror}; fix: a file that you may read", subject=str(path)
        ) from error
    if start.startswith(b"GRIB"):
        return _of_grib(path)
    if start.startswith(b"PK"):
        raise SchemaError(
            f"is an archive with {_members(path)}; fix: unpack it, then xaq.open_field('folder/*.nc')",
            subject=str(path),
        )
    if start.startswith(b"\x0e\x03\x13\x01"):
        raise SchemaError("is HDF 4; fix: the product as netCDF, from Giovanni or OPeNDAP", subject=str(path))
    if start[:4] in (b"II*\0", b"MM\0*"):
        raise SchemaError(
            f"is a GeoTIFF; fix: rioxarray.open_rasterio('{path}', mask_and_scale=True), which sample and rasters= take",
            subject=str(path),
        )
    if not start.startswith((b"CDF", b"\x89HDF")):
        raise SchemaError("is neither netCDF, HDF 5, Zarr nor GRIB; fix: a file in one of them", subject=str(path))
    ds = _opened(path)
    return [ds] if ds.data_vars else [_grid_in_groups(path)]


def _opened(path: str | Path, **options: Any) -> xr.Dataset:
    try:
        try:
            return xr.open_dataset(path, **_OPTIONS, **options)
        except NotImplementedError:
            return _opened_with_text(path, **options)
    except Exception as error:  # the errors of the backends have no common base class
        raise _unreadable(path, error) from error


def _opened_with_text(path: str | Path, **options: Any) -> xr.Dataset:
    """Return a file with text of any length, such as the version of ERA5, which dask cannot split: it is loaded."""
    whole = xr.open_dataset(path, **{**_OPTIONS, "chunks": None}, **options)
    texts = [str(name) for name, variable in whole.variables.items() if variable.dtype.kind in "OT"]
    ds = xr.open_dataset(path, **_OPTIONS, **options, drop_variables=texts)
    made = ds.merge(whole[texts].load(), join="exact", compat="override")
    made.encoding = ds.encoding
    return made


def _grid_in_groups(path: Path) -> xr.Dataset:
    """Return the grid of a file that has its variables in groups."""
    try:
        groups = xr.open_groups(path, **_OPTIONS)
    except Exception as error:  # as above
        raise _unreadable(path, error) from error
    ds = grid_of(groups)
    if ds is None and [*groups] == ["/"]:
        raise SchemaError("has no variable; fix: a file with a field", subject=str(path))
    if ds is None:
        raise SchemaError(
            f"has no variable at its root, and no grid of HDF-EOS, in the groups {', '.join(groups)}; "
            f"fix: xaq.open_field(xr.open_dataset('{path}', group='...'))",
            subject=str(path),
        )
    ds.encoding["source"] = str(path)
    return ds


def _of_grib(path: Path) -> list[xr.Dataset]:
    try:
        import cfgrib
    except ImportError as error:
        raise SchemaError("is GRIB; fix: pip install cfgrib", subject=str(path)) from error
    try:
        # Without squeeze=False a single time would be no dimension; an index file is not written beside the user's.
        found = cfgrib.open_datasets(str(path), {"squeeze": False, "indexpath": ""}, chunks="auto")
    except Exception as error:  # ecCodes and cfgrib have no common base class
        raise _unreadable(path, error) from error
    return list(found)


def _members(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            return ", ".join(archive.namelist()[:3])
    except (OSError, zipfile.BadZipFile):
        return "unreadable members"


def _unreadable(path: str | Path, error: BaseException) -> SchemaError:
    text = " ".join(str(error).split())[:160]
    return SchemaError(
        f"cannot be opened ({type(error).__name__}: {text}); fix: a valid file{or_netcdf4()}",
        subject=str(path),
    )
