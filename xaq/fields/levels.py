"""Levels above the ground that a field is or was on, whose air is not that of the surface."""

from __future__ import annotations

import numpy as np
import xarray as xr

#: Attribute of a variable whose level has been removed from its coordinates: the pressure in Pa, NaN where it is not known.
_WAS = "_level_pressure"
_PASCALS = {"Pa": 1.0, "hPa": 100.0, "mbar": 100.0, "mb": 100.0, "millibar": 100.0, "millibars": 100.0}
#: Names of pressure levels, with the units that a name states.
_PRESSURE = {"isobaricInhPa": "hPa", "isobaricInPa": "Pa", "pressure_level": "", "plev": "", "level": "", "lev": ""}
#: Names of levels of models, and the numbers of the lowest one in those of ECMWF.
_MODEL, _LOWEST = ("hybrid", "model_level"), (60, 137)


def level_pressure(array: xr.DataArray) -> float | xr.DataArray | None:
    """Return the pressure in Pa of the level of a variable, or of each level along its axis.

    NaN where the level is not known to be at the ground, and its pressure is not known. None where it is at the ground, or
    says nothing of a level.
    """
    if _WAS in array.attrs:
        return float(array.attrs[_WAS])
    for name, level in array.coords.items():
        units = level.attrs.get("units", "") or _PRESSURE.get(str(name), "")
        is_axis = level.dims == (name,) or (not level.ndim and name in {*_PRESSURE, *_MODEL})
        if not is_axis or level.dtype.kind not in "iuf":
            continue
        if units in _PASCALS:
            pressure = level.astype(float) * _PASCALS[units]
            return float(pressure.item()) if pressure.size == 1 else pressure
        of_model = name in _MODEL or "model_level" in str(level.attrs.get("long_name", "")).replace(" ", "_")
        if name in ("pressure_level", "plev") or (of_model and not np.isin(level.values, _LOWEST).all()):
            return np.nan
    return None


def with_marks(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset whose variables keep the pressure of their single level when its coordinate is removed."""
    levels = {name: level_pressure(array) for name, array in ds.data_vars.items()}
    return ds.assign({n: ds[n].assign_attrs({_WAS: p}) for n, p in levels.items() if isinstance(p, float)})


def without_marks(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset without what :func:`with_marks` added."""
    ds = ds.copy()
    for variable in ds.data_vars.values():
        variable.attrs = {k: v for k, v in variable.attrs.items() if k != _WAS}
    return ds
