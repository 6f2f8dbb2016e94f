"""Gridded fields of a command: background, rasters and fields, opened as :func:`xaq.open_field` opens them."""

from __future__ import annotations

import argparse
import glob
import re
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from ..errors import SchemaError
from ..fields.open import open_field
from . import output, text

_GEOTIFF = (".tif", ".tiff")
#: Calls and choices in messages of ``open_field``.
_CALL, _CHOICE = re.compile(r"xaq\.open_field\('(?P<path>[^']*)'\)"), re.compile(r"\bvariable='(?P<name>[^']*)'")
#: The variable behind a file; a part of a path, a drive and a URL are none.
_VARIABLE = re.compile(r"(?P<files>.{2,}):(?P<variable>[^/\\:,]+)")
#: The name of a field before its file.
_NAMED = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<file>.+)")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options of gridded fields."""
    group = parser.add_argument_group("gridded fields: netCDF, Zarr, GRIB; FILE:VARIABLE where a file has several")
    for name, metavar, what in OPTIONS:
        group.add_argument(f"--{name}", metavar=metavar, help=what)


#: Name, value and help of each option.
OPTIONS = (
    ("background", "FILE[:VARIABLE]", "field of the target, such as CAMS; several files with commas, or a quoted pattern"),
    ("rasters", "NAME=FILE[:VARIABLE],...", "static rasters by name, also GeoTIFF, such as elevation=dem.tif"),
    ("fields", "[NAME=]FILE[:VARIABLE],...", "predictors in time, such as era5.nc:blh; of a file without name or variable, all"),
)  # fmt: skip


def opened(a: argparse.Namespace) -> dict[str, Any]:
    """Return the background, the rasters and the fields of a command, as the verbs take them; lazy."""
    return {"background": background(a.background), "rasters": rasters(a.rasters), "fields": fields(a.fields)}


def background(value: str | None) -> xr.DataArray | xr.Dataset | None:
    """Open the files of a background; of several variables without a choice, a dataset."""
    if value is None:
        return None
    files, variable = _parts(value, "--background", "cams.nc:pm25")
    return _field(files, variable, "--background ")


def rasters(value: str | None) -> dict[str, xr.DataArray] | None:
    """Open rasters by name; of several variables without a choice, the one of this name."""
    if value is None:
        return None
    found = {}
    for name, file in text.pairs(value, "--rasters", "elevation=dem.tif"):
        files, variable = _parts(file, "--rasters", "elevation=dem.tif")
        raster = (
            _geotiff(files[0]) if files[0].lower().endswith(_GEOTIFF) else _field(files, variable, f"--rasters {name}=")
        )
        found[name] = _of_name(raster, name, files, "--rasters")
    return found


def _of_name(field: xr.DataArray | xr.Dataset, name: str, files: list[str], option: str) -> xr.DataArray:
    """Return a field that is given a name; of several variables, the one of this name."""
    if isinstance(field, xr.DataArray):
        return field
    if name not in field:
        raise SchemaError(
            f"no variable {name!r} among {', '.join(map(str, field))}; fix: {option} {name}={files[0]}:{next(iter(field))}",
            subject=files[0],
        )
    return field[name]


def fields(value: str | None) -> list[xr.DataArray | xr.Dataset] | None:
    """Open fields: an array where a variable is chosen or a name given, else all variables of a file."""
    if value is None:
        return None
    given, names = [], []
    for item in text.names(value) or [""]:
        name, file = _name_of(item)
        given.append((item, *_parts(file, "--fields", "era5.nc:blh")))
        names.append(name)
    _check_files_of_variables(given)
    found = []
    for name, (_, files, variable) in zip(names, given, strict=True):
        field = _field(files, variable, f"--fields {name}=" if name else "--fields ")
        found.append(_of_name(field, name, files, "--fields").rename(name) if name else field)
    return found


def _name_of(item: str) -> tuple[str, str]:
    """Return the name of a field, empty where it has none, and its file; a file or a folder may have an equals sign in it."""
    match = _NAMED.fullmatch(item)
    if match is None or glob.glob(_parts(item, "--fields", "")[0][0]):  # noqa: PTH207 - patterns may be absolute
        return "", item
    return match["name"], match["file"]


def _check_files_of_variables(given: list[tuple[str, list[str], str | None]]) -> None:
    """Refuse a further variable of a file, as in ``era5.nc:blh,t2m``, which would be taken for a file."""
    written, file = list[str](), ""
    for name, files, variable in given:
        is_variable = bool(file) and variable is None and name.isidentifier() and not Path(name).exists()
        written.append(f"{file}:{name}" if is_variable else name)
        if not is_variable:
            file = files[0] if variable else ""
    if written != [name for name, _, _ in given]:
        raise output.usage(
            f"--fields takes a variable behind its file, and a name alone is a file; "
            f"fix: --fields {shlex.quote(','.join(written))}"
        )


def _parts(value: str, option: str, example: str) -> tuple[list[str], str | None]:
    """Return files and the variable behind them."""
    match = None if Path(value).exists() else _VARIABLE.fullmatch(value)
    files, variable = (match["files"], match["variable"]) if match else (value, None)
    names = text.names(files)
    if not names:
        raise output.usage(f"{option} is {value!r}, expected a file; fix: {option} {example}")
    return names, variable


def _field(files: list[str], variable: str | None, option: str) -> xr.DataArray | xr.Dataset:
    """Open a field; ``option`` is what stands before its files in a fix."""
    try:
        return open_field(files[0] if len(files) == 1 else files, variable)
    except SchemaError as error:
        of_file = partial(_CALL.sub, lambda call: option + shlex.quote(call["path"]))
        chosen = partial(_CHOICE.sub, lambda choice: option + shlex.quote(f"{','.join(files)}:{choice['name']}"))
        problems = [of_file(chosen(problem)) for problem in error.problems]
        raise SchemaError(problems, subject=str(error).partition(": ")[0]) from error


def _geotiff(path: str) -> xr.DataArray:
    """Open a GeoTIFF of one band."""
    import rioxarray

    try:
        raster: xr.DataArray = rioxarray.open_rasterio(path, mask_and_scale=True)
    except OSError as error:
        raise SchemaError(
            f"cannot be opened as GeoTIFF ({error}); fix: --rasters elevation=dem.tif", subject=path
        ) from error
    if raster.sizes.get("band", 1) != 1:
        raise SchemaError(
            f"has {raster.sizes['band']} bands, expected one; fix: gdal_translate -b 1 {path} band1.tif", subject=path
        )
    return raster.squeeze(drop=True)
