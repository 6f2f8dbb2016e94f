"""Station Datasets: in memory, netCDF or Zarr, with CF attributes or common names.

Three of CF's representations of time series (CF 1.11, chapter 9, feature type timeSeries) are read: the orthogonal
multidimensional array, where stations share a time axis and nothing is computed; the contiguous ragged array, where a
count variable names the ``sample_dimension``; and the indexed ragged array, where an index variable names the
``instance_dimension``. Ragged arrays are loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import ELEVATION, LAT, LON, STATION, TIME, canonical_name
from ..errors import SchemaError, or_netcdf4, warn
from ..stations import schema
from .assembly import Rows, assemble, check_columns
from .one_step import with_known_step
from .source import Format, Request, Source

_NETCDF = ("*.nc", "*.nc4", "*.cdf", "*.netcdf")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return path.is_dir() and any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zmetadata"))


def _read(source: Source, request: Request) -> xr.Dataset:
    if request.stations is not None or request.tz is not None:
        raise SchemaError("a Dataset has its own coordinates and UTC times; fix: leave out stations= and tz=")
    if source.frame is not None:
        raise SchemaError("format='cf' needs an xarray.Dataset, netCDF or Zarr, got a frame; fix: format='long'")
    ds = source.dataset if source.dataset is not None else _open(source.paths)
    known = [*ds.variables, *ds.dims]
    check_columns(request.column_names, known)
    ds = _text_identifiers(_rename(ds, request.columns_in(known)))
    ds = _on_bounds(ds, request.timestamps)
    ragged = _ragged_layout(ds)
    if ragged is not None:
        ds = _orthogonal(ds, ragged)
    ds = with_known_step(ds, request.step, schema.find_role(ds, TIME))
    return schema.normalise_units(schema.conform(ds))


def _open(paths: tuple[Path, ...]) -> xr.Dataset:
    if len(paths) > 1:
        raise SchemaError(
            f"{len(paths)} files, expected one; fix: open_stations(xr.open_mfdataset(paths, combine_attrs='no_conflicts'))"
        )
    (path,) = paths
    try:
        return xr.open_zarr(path) if is_zarr(path) else xr.open_dataset(path, chunks={})
    except Exception as error:  # the errors of the netCDF and Zarr backends have no common base class
        raise SchemaError(
            f"cannot be opened as netCDF or Zarr ({type(error).__name__}: {' '.join(str(error).split())[:160]}); "
            f"fix: a valid file{or_netcdf4()}"
        ) from error


def _rename(ds: xr.Dataset, columns: Mapping[str, str]) -> xr.Dataset:
    names = {v: k for k, v in columns.items()}
    known = {name: canonical_name(name) for name in schema.pollutants(ds)}
    renames = {a: b for a, b in {**known, **names}.items() if a != b}
    clash: dict[str, list[str]] = {}
    for old in ds.variables:
        clash.setdefault(renames.get(str(old), str(old)), []).append(str(old))
    # The variable that the caller named is kept, else the first.
    others = [old for olds in clash.values() for old in sorted(olds, key=lambda old: old not in names)[1:]]
    if others:
        means = ", ".join(sorted(new for new, olds in clash.items() if len(olds) > 1))
        raise SchemaError(f"several variables have the same meaning: {means}; fix: ds.drop_vars({others})")
    return ds.rename(renames)


def _text_identifiers(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset with station identifiers as text where the file has bytes."""
    name = schema.find_role(ds, STATION)
    if name is None or name not in ds.variables or ds[name].dtype.kind != "S":
        return ds
    text = np.char.decode(ds[name].values, "utf-8", "replace")
    return ds.assign_coords({name: (ds[name].dims, text, ds[name].attrs)})


def _on_bounds(ds: xr.Dataset, timestamps: str | None) -> xr.Dataset:
    """Return the dataset without bounds of coordinates, and with times at the start of their bounds.

    What the caller says of ``timestamps`` comes first; bounds of running means say nothing about the label of a step.
    """
    time, found = schema.find_role(ds, TIME), {}
    for name, variable in ds.variables.items():
        bounds = variable.attrs.get("bounds", variable.encoding.get("bounds"))
        if bounds is not None:
            found[name] = bounds
    if not found:
        return ds
    edges = ds[found[time]].values if time in found and found[time] in ds.variables else None
    ds = ds.drop_vars({bounds for bounds in found.values() if bounds in ds.variables})
    for name in found:
        ds[name] = ds[name].copy()
        ds[name].attrs.pop("bounds", None)
        ds[name].encoding.pop("bounds", None)
    return ds if edges is None or timestamps is not None else _at_starts(ds, str(time), edges)


def _at_starts(ds: xr.Dataset, time: str, edges: NDArray[np.datetime64]) -> xr.Dataset:
    """Return the dataset with times at the lower ``edges`` ``(time, 2)`` of intervals of one length that do not overlap."""
    if edges.shape != (ds[time].size, 2) or edges.dtype.kind != "M":
        return ds
    starts, lengths = edges.min(axis=1), np.unique(edges.max(axis=1) - edges.min(axis=1))
    if (starts == ds[time].values).all():
        return ds
    if len(lengths) > 1 or (np.diff(np.unique(starts)) < lengths[0]).any():
        warn(
            "bounds of time overlap or differ in length: its labels are taken for the starts; fix: timestamps='end' if they are ends"
        )
        return ds
    moved = ds.assign_coords({time: ds[time].copy(data=starts)})
    return schema.record(
        moved, "open_stations", [f"each timestamp moved to the start of its bounds (first: {starts[0]})"]
    )


# -- ragged ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ragged:
    """The layout of a ragged array: its two dimensions, and the station of each sample as a position."""

    sample_dim: Hashable
    station_dim: Hashable
    station: NDArray[np.int64]


def _ragged_layout(ds: xr.Dataset) -> _Ragged | None:
    """Return the layout of a ragged dataset, or None where the dataset is orthogonal."""
    for name, variable in ds.variables.items():
        if "sample_dimension" in variable.attrs:
            sample, instance = variable.attrs["sample_dimension"], variable.dims[0] if variable.dims else ""
            counts = _integers(ds, name)
            if sample not in ds.sizes or counts.min(initial=0) < 0 or counts.sum() != ds.sizes[sample]:
                raise SchemaError(
                    f"{name!r} counts {counts.sum()} samples along {sample!r}, which has {ds.sizes.get(sample, 'no size')}: "
                    "the file is cut short or its counts are wrong; fix: write it again"
                )
            return _Ragged(sample, instance, np.repeat(np.arange(len(counts)), counts))
        if "instance_dimension" in variable.attrs:
            instance, index = variable.attrs["instance_dimension"], _integers(ds, name)
            if instance not in ds.sizes or ((index < 0) | (index >= ds.sizes[instance])).any():
                raise SchemaError(
                    f"{name!r} points outside {instance!r}, which has {ds.sizes.get(instance, 'no size')} stations; "
                    "fix: indices from 0"
                )
            return _Ragged(variable.dims[0], instance, index)
    return None


def _integers(ds: xr.Dataset, name: Hashable) -> NDArray[np.int64]:
    values = np.asarray(ds[name].values, float).ravel()
    if not np.isfinite(values).all() or (values % 1 != 0).any():
        raise SchemaError(f"{name!r} has values that are not whole numbers; fix: counts or indices")
    return values.astype(np.int64)


def _text(ds: xr.Dataset, station_dim: Hashable, roles: Collection[Hashable]) -> dict[str, NDArray]:
    """Return the variables of text of stations, such as their names; bytes are decoded."""
    found = {}
    for name, variable in ds.variables.items():
        if variable.dims == (station_dim,) and variable.dtype.kind in "SUO" and name not in roles:
            values = variable.values
            found[str(name)] = np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values
    return found


def _orthogonal(ds: xr.Dataset, ragged: _Ragged) -> xr.Dataset:
    """Return a ragged dataset on ``(station, time)``; loads it."""
    roles = {role: schema.find_role(ds, role) for role in (STATION, TIME, LON, LAT, ELEVATION)}
    absent = [r for r in (STATION, TIME, LON, LAT) if roles[r] is None or roles[r] not in ds.variables]
    if absent:
        raise SchemaError(
            f"no variable for {', '.join(absent)} (looked for CF attributes, then common names); "
            f"fix: columns={{{absent[0]!r}: 'your variable'}}"
        )
    if ds[roles[TIME]].dims != (ragged.sample_dim,):
        raise SchemaError(
            f"time has dimensions {ds[roles[TIME]].dims}, expected ({ragged.sample_dim!r},); fix: a time for each sample"
        )
    where = {r: n for r, n in roles.items() if n is not None and r != TIME}
    misplaced = [str(n) for n in where.values() if ds[n].dims != (ragged.station_dim,)]
    if misplaced:
        raise SchemaError(
            f"{', '.join(misplaced)}: expected the dimension {ragged.station_dim!r} of the stations; fix: a value for each station"
        )
    places = pd.DataFrame(
        {role: ds[name].values for role, name in where.items()} | _text(ds, ragged.station_dim, where.values())
    )
    data = [n for n in ds.data_vars if ds[n].dims == (ragged.sample_dim,) and "instance_dimension" not in ds[n].attrs]
    data = [n for n in data if n not in roles.values()]
    frame = pd.DataFrame({
        STATION: places[STATION].astype(str).to_numpy()[ragged.station], TIME: ds[roles[TIME]].values, **{n: ds[n].values for n in data}
    })  # fmt: skip
    if not np.issubdtype(ds[roles[TIME]].dtype, np.datetime64):
        raise SchemaError(f"time is {ds[roles[TIME]].dtype}, expected datetime64 in UTC; fix: xr.decode_cf(ds)")
    made = assemble(Rows(frame), Rows(places), tz="UTC").assign_attrs(ds.attrs)
    for name in made.data_vars:
        made[name].attrs = dict(ds[name].attrs)
    return made


FORMAT = Format("cf", "an xarray Dataset, netCDF or Zarr", _read, files=_NETCDF)
