"""Fields as the data stores of ECMWF write them: ERA5, CAMS EAC4 and CAMS global forecasts, as netCDF or GRIB.

In netCDF of the present data stores (since 2024) time is ``valid_time``, or ``forecast_reference_time`` and
``forecast_period``, with the coordinates ``number`` and ``expver``. In netCDF of the former ones time is ``time``, and
preliminary data have their own place along a dimension ``expver``. GRIB opened by cfgrib has ``time`` (the start of a
forecast), ``step`` and ``valid_time``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from ..conventions import LAT, TIME
from ..errors import SchemaError, warn
from ..stations import schema
from .bounds import MARK, names_of_bounds
from .forecasts import LEAD, on_valid_time

#: Short names of what is summed over the time before its label, where a file does not say so by ``GRIB_stepType``.
_SUMS = frozenset({
    "tp", "cp", "lsp", "sf", "csf", "lsf", "ssrd", "ssr", "ssrdc", "ssrc", "strd", "str", "strdc", "strc", "tsr", "ttr", "tsrc",
    "ttrc", "tisr", "fdir", "cdir", "slhf", "sshf", "e", "es", "pev", "ro", "sro", "ssro", "smlt",
})  # fmt: skip
#: The hour of ERA5, and the hours from which its forecasts of sums start.
_HOUR, _STARTS, _LONGEST = np.timedelta64(3600, "s"), (6, 18), np.timedelta64(12 * 3600, "s")
_DAY = np.timedelta64(24 * 3600, "s")
#: Spacing of ERA5-Land in degrees; its sums are since midnight.
_LAND = 0.1


def recognise(ds: xr.Dataset) -> bool:
    """Whether a dataset comes from GRIB of ECMWF, by cfgrib, by a data store or by ``grib_to_netcdf``."""
    marks = {"expver", "forecast_reference_time"} & {*ds.variables}
    grib = any(str(key).startswith("GRIB_") for v in ds.variables.values() for key in v.attrs)
    # "kg m**-3": a power that nobody else writes so; an array has lost the history of its file.
    spelled = any("**-" in str(v.attrs.get("units", "")) for v in ds.data_vars.values())
    return bool(marks) or grib or spelled or "grib_to_netcdf" in str(ds.attrs.get("history", ""))


def normalise(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset on its valid time, ERA5 and its preliminary data combined. Lazy.

    Sums are moved to the start of their hour by :func:`sums_at_start`, after files have been joined.

    Raises
    ------
    SchemaError
        Instants and sums share the times.
    """
    ds = _one_version(ds)
    fields = [n for n, v in ds.data_vars.items() if v.ndim >= 2 and n not in names_of_bounds(ds)]
    kinds = {str(name): _is_sum(str(name), ds[name]) for name in fields}
    if "forecast_reference_time" in ds.variables and LEAD in ds.variables:
        ds = on_valid_time(ds, "forecast_reference_time", LEAD)
    elif TIME in ds.variables and "step" in ds.variables:
        ds = on_valid_time(ds, TIME, "step")
    elif "valid_time" in ds.dims:
        ds = on_valid_time(ds, "forecast_reference_time", LEAD if LEAD in ds.variables else "step")
    if {TIME, "valid_time"} & {*ds.coords} and any(kinds.values()):
        ds = _marked_sums(ds, kinds)
    return _without_grib_keys(ds)


def _one_version(ds: xr.Dataset) -> xr.Dataset:
    """Return ERA5 where it exists and ERA5T, its preliminary version, elsewhere; the history says how much is which."""
    if "expver" not in ds.variables:
        return ds
    versions = np.asarray(ds["expver"].values)
    if "expver" in ds.dims:
        order = np.argsort(versions.astype(int), kind="stable")
        parts = [ds.isel(expver=i, drop=True) for i in order]
        combined = parts[0]
        for part in parts[1:]:
            combined = combined.combine_first(part)
        text = " and ".join(str(int(versions[i])) for i in order)
        note = f"versions {text} of ERA5 (expver) combined, the first one that has a value"
        return schema.record(combined.assign_attrs(ds.attrs), "open_field", [note])
    numbers = pd.to_numeric(pd.Series(versions.ravel()), errors="coerce")
    preliminary = int((numbers == 5).sum())
    notes = [f"{preliminary} of {len(numbers)} times are preliminary (ERA5T, expver 5)"] if preliminary else []
    return schema.record(ds.drop_vars("expver"), "open_field", notes)


def _is_sum(name: str, array: xr.DataArray) -> bool:
    """Whether values are of the time before their label rather than instants."""
    kind = array.attrs.get("GRIB_stepType")
    return name in _SUMS if kind is None else kind in ("accum", "avg", "max", "min", "diff")


def _marked_sums(ds: xr.Dataset, kinds: dict[str, bool]) -> xr.Dataset:
    """Return a dataset whose sums are marked for :func:`sums_at_start`."""
    sums, instants = ([n for n in kinds if kinds[n] == kind] for kind in (True, False))
    if instants:
        calls = (f"xaq.open_field(path, {(names if len(names) > 1 else names[0])!r})" for names in (instants, sums))
        raise SchemaError(
            f"{', '.join(sums)} is of the hour before each time and {', '.join(instants)} is of the instant, which one time "
            f"axis cannot label; fix: {' and '.join(calls)}",
            subject="gridded field",
        )
    return ds.assign({n: ds[n].assign_attrs({MARK: 1}) for n in sums})


def sums_at_start(ds: xr.Dataset) -> xr.Dataset:
    """Return sums over the hour before their label at the start of that hour; those of another or an unknown step as they are.

    It is done once, after files have been joined: a single time does not say over how long it sums.
    """
    sums = [str(n) for n, v in ds.data_vars.items() if MARK in v.attrs]
    if not sums:
        return ds
    ds = ds.copy()
    for name in sums:
        ds[name].attrs = {k: v for k, v in ds[name].attrs.items() if k != MARK}
    if TIME not in ds.dims:
        return ds
    called = ", ".join(sums)
    steps = np.diff(np.unique(ds[TIME].values))
    if len(steps) and steps.min() >= _DAY:
        # Statistics of days and months have the start of their period already.
        return schema.record(ds, "open_field", [f"{called} labelled as in the file, a period of days"])
    since = _since(ds)
    if since is not None:
        warn(f"{called}: sums since {since}, left as they are")
        return schema.record(ds, "open_field", [f"{called} left as sums since {since}"])
    if not len(steps) or steps.min() != _HOUR or (steps % _HOUR).any():
        why = "its times are not hourly" if len(steps) else "a single time does not say of which interval it is"
        warn(f"{called}: {why}, labelled as in the file")
        return schema.record(ds, "open_field", [f"{called} labelled as in the file ({why})"])
    note = f"{called} labelled with the start of the hour (the file labels its end)"
    ds = ds.drop_vars(LEAD, errors="ignore").assign_coords({TIME: ds[TIME] - _HOUR})
    return schema.record(ds, "open_field", [note])


def _since(ds: xr.Dataset) -> str | None:
    """Return since when sums count where that is not the hour before."""
    lat = schema.find_role(ds.coords.to_dataset(), LAT)
    if lat is not None and ds[lat].ndim == 1 and ds[lat].size > 1:
        spacing = float(np.abs(np.diff(ds[lat].values.astype(float))).min())
        if abs(spacing - _LAND) < 1e-3:
            return "00:00 UTC (ERA5-Land)"
    if LEAD in ds.coords and np.any(ds[LEAD].values):
        leads = ds[LEAD].values
        hours = set(pd.DatetimeIndex(ds[TIME].values - leads).hour)
        if hours - {*_STARTS} or leads.max() > _LONGEST:
            return "the start of the forecast"
    return None


def _without_grib_keys(ds: xr.Dataset) -> xr.Dataset:
    ds = ds.copy()
    ds.attrs = {k: v for k, v in ds.attrs.items() if not str(k).startswith("GRIB_")}
    for variable in ds.variables.values():
        kept = {k: v for k, v in variable.attrs.items() if not str(k).startswith("GRIB_")}
        variable.attrs = {k: v for k, v in kept.items() if (k, v) != ("standard_name", "unknown")}
    return ds
