"""What netCDF can hold of names and attributes: others become text, or are errors."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

import numpy as np
import xarray as xr

from ..errors import SchemaError

#: Letters, digits and ``_`` first, no ``/`` and no control characters, no space at the end.
_NAME = re.compile(r"(?:\w|[^\x00-\x7f])(?:[^\x00-\x1f\x7f/]*[^\x00-\x1f\x7f/ ])?")
#: Names of bytes of UTF-8 that netCDF has room for.
_LONGEST = 256
#: Names that the netCDF library keeps for itself.
_RESERVED = {
    "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Format", "_IsNetcdf4", "_NCProperties", "_Netcdf4Coordinates",
    "_Netcdf4Dimid", "_SuperblockVersion", "_nc3_strict",
}  # fmt: skip
EXPECTED = "a name that netCDF can hold: without '/', begun by a letter, a digit or _, and not one of netCDF's own"


def is_name(name: Any) -> bool:
    """Return whether netCDF takes a name for an attribute."""
    if not isinstance(name, str) or name in _RESERVED:
        return False
    return bool(_NAME.fullmatch(name)) and len(name.encode()) <= _LONGEST


def check_names(ds: xr.Dataset) -> None:
    """Raise where a variable, a dimension or an attribute has a name that netCDF does not take."""
    for name in dict.fromkeys([*ds.variables, *ds.dims]):
        if not is_name(name):
            plain = re.sub(r"\W", "_", str(name)).strip("_") or "x"
            plain = plain if is_name(plain) else f"{plain[:50]}_"
            raise SchemaError(
                f"it has a variable or a dimension {name!r}, expected {EXPECTED}; "
                f"fix: cube = cube.rename({{{name!r}: {plain!r}}})",
                subject="cube",
            )
    for where, attrs in [("cube", ds.attrs), *((f"cube[{n!r}]", v.attrs) for n, v in ds.variables.items())]:
        for name in attrs:
            if not is_name(name):
                raise SchemaError(
                    f"{where} has an attribute {name!r}, expected {EXPECTED}; fix: del {where}.attrs[{name!r}]",
                    subject="cube",
                )


def settled(attrs: dict[Any, Any]) -> dict[Any, Any]:
    """Return attributes as netCDF can hold them: texts, numbers and lists of them; others as JSON, and none for None."""
    return {name: value if _can_hold(value) else _as_text(value) for name, value in attrs.items() if value is not None}


def settle_ancillary(attrs: dict[Any, Any], present: Collection[Any]) -> None:
    """Name as ancillary variables those that are present alone, in place."""
    if "ancillary_variables" in attrs:
        names = [name for name in attrs.pop("ancillary_variables").split() if name in present]
        attrs.update({"ancillary_variables": " ".join(names)} if names else {})


def _can_hold(value: Any) -> bool:
    if isinstance(value, (str, bytes)):
        return True
    if not isinstance(value, (int, float, np.number, np.ndarray, list, tuple)):
        return False
    try:
        array = np.asarray(value)
    except ValueError:
        return False
    return array.ndim <= 1 and (array.dtype.kind in "iuSU" or array.dtype in (np.float32, np.float64))


def _as_text(value: Any) -> str:
    plain = value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
    try:
        return json.dumps(plain)
    except (TypeError, ValueError):
        return str(value)
