"""Station Datasets: in memory, netCDF or Zarr, with CF attributes or usual names.

Of CF's discrete sampling geometries (CF 1.11, chapter 9, feature type timeSeries) three are read: orthogonal, where stations share a
time axis and nothing is computed; contiguous ragged, where a count variable names the ``sample_dimension``; and
indexed ragged, where an index variable names the ``instance_dimension``. The ragged ones are loaded.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import ELEVATION, LAT, LON, POLLUTANTS, STATION, TIME, canonical_name
from ..errors import SchemaError
from ..stations import schema
from .assembly import Rows, assemble, check_columns
from .source import Format, Request, Source

_NETCDF = ("*.nc", "*.nc4", "*.cdf", "*.netcdf")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return path.is_dir() and any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zmetadata"))


def _read(source: Source, said: Request) -> xr.Dataset:
    if said.stations is not None or said.tz is not None:
        raise SchemaError("a Dataset brings its own coordinates and UTC times; fix: leave out stations= and tz=")
    if source.frame is not None:
        raise SchemaError("format='cf' needs an xarray.Dataset, netCDF or Zarr, got a frame; fix: format='long'")
    ds = source.dataset if source.dataset is not None else _open(source.paths)
    known = [*ds.variables, *ds.dims]
    check_columns(said.column_names, known)
    ds = _text_identifiers(_rename(ds, said.columns_in(known)))
    ragged = _station_of_sample(ds)
    if ragged is not None:
        ds = _orthogonal(ds, *ragged)
    return schema.normalise_units(schema.conform(ds))


def _open(paths: tuple[Path, ...]) -> xr.Dataset:
    if len(paths) > 1:
        raise SchemaError(f"{len(paths)} files; fix: xr.open_mfdataset(paths) first, and pass the Dataset")
    (path,) = paths
    try:
        return xr.open_zarr(path) if is_zarr(path) else xr.open_dataset(path, chunks={})
    except Exception as error:  # the back ends of netCDF and Zarr share no root of their errors
        raise SchemaError(
            f"cannot be opened as netCDF or Zarr ({type(error).__name__}: {' '.join(str(error).split())[:160]}); "
            "netCDF 4 needs a back end: pip install 'xaq[readers]'"
        ) from error


def _rename(ds: xr.Dataset, columns: Mapping[str, str]) -> xr.Dataset:
    names = {v: k for k, v in columns.items()}
    known = {str(n): canonical_name(str(n)) for n in ds.data_vars if canonical_name(str(n)) in POLLUTANTS}
    renames = {a: b for a, b in {**known, **names}.items() if a != b}
    clash = [b for b in renames.values() if b in ds.variables or list(renames.values()).count(b) > 1]
    if clash:
        raise SchemaError(f"several variables mean the same: {', '.join(sorted(set(clash)))}; fix: ds.drop_vars(...)")
    return ds.rename(renames)


def _text_identifiers(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset with station identifiers as text where a file holds characters as bytes."""
    name = schema.find_role(ds, STATION)
    if name is None or name not in ds.variables or ds[name].dtype.kind != "S":
        return ds
    text = np.char.decode(ds[name].values, "utf-8", "replace")
    return ds.assign_coords({name: (ds[name].dims, text, ds[name].attrs)})


# -- ragged ------------------------------------------------------------------------------------------------------------


def _station_of_sample(ds: xr.Dataset) -> tuple[Hashable, Hashable, NDArray] | None:
    """Return (sample dimension, station dimension, station of each sample) of a ragged dataset, or None."""
    for name, variable in ds.variables.items():
        if "sample_dimension" in variable.attrs:
            sample, instance = variable.attrs["sample_dimension"], variable.dims[0] if variable.dims else ""
            counts = _integers(ds, name)
            if sample not in ds.sizes or counts.min(initial=0) < 0 or counts.sum() != ds.sizes[sample]:
                raise SchemaError(
                    f"{name!r} counts {counts.sum()} samples along {sample!r}, which has {ds.sizes.get(sample, 'no size')}: "
                    "the file is cut short or its counts are wrong"
                )
            return sample, instance, np.repeat(np.arange(len(counts)), counts)
        if "instance_dimension" in variable.attrs:
            instance, index = variable.attrs["instance_dimension"], _integers(ds, name)
            if instance not in ds.sizes or ((index < 0) | (index >= ds.sizes[instance])).any():
                raise SchemaError(
                    f"{name!r} points outside {instance!r}, which has {ds.sizes.get(instance, 'no size')} stations"
                )
            return variable.dims[0], instance, index
    return None


def _integers(ds: xr.Dataset, name: Hashable) -> NDArray[np.int64]:
    values = np.asarray(ds[name].values, float).ravel()
    if not np.isfinite(values).all() or (values % 1 != 0).any():
        raise SchemaError(f"{name!r} has values that are no whole numbers, expected counts or indices")
    return values.astype(np.int64)


def _orthogonal(ds: xr.Dataset, sample: Hashable, instance: Hashable, station: NDArray) -> xr.Dataset:
    """Return a ragged dataset on ``(station, time)``."""
    roles = {role: schema.find_role(ds, role) for role in (STATION, TIME, LON, LAT, ELEVATION)}
    absent = [r for r in (STATION, TIME, LON, LAT) if roles[r] is None or roles[r] not in ds.variables]
    if absent:
        raise SchemaError(f"no variable for {', '.join(absent)} (looked for CF attributes, then usual names)")
    if ds[roles[TIME]].dims != (sample,):
        raise SchemaError(f"time has dimensions {ds[roles[TIME]].dims}, expected ({sample!r},)")
    where = {r: n for r, n in roles.items() if n is not None and r != TIME}
    misplaced = [str(n) for n in where.values() if ds[n].dims != (instance,)]
    if misplaced:
        raise SchemaError(f"{', '.join(misplaced)}: expected the dimension {instance!r} of the stations")
    places = pd.DataFrame({role: ds[name].values for role, name in where.items()})
    data = [n for n in ds.data_vars if ds[n].dims == (sample,) and "instance_dimension" not in ds[n].attrs]
    data = [n for n in data if n not in roles.values()]
    frame = pd.DataFrame({
        STATION: places[STATION].astype(str).to_numpy()[station], TIME: ds[roles[TIME]].values, **{n: ds[n].values for n in data}
    })  # fmt: skip
    if not np.issubdtype(ds[roles[TIME]].dtype, np.datetime64):
        raise SchemaError(f"time is {ds[roles[TIME]].dtype}, expected datetime64 in UTC; fix: xr.decode_cf(ds)")
    made = assemble(Rows(frame), Rows(places), tz="UTC").assign_attrs(ds.attrs)
    for name in made.data_vars:
        made[name].attrs = dict(ds[name].attrs)
    return made


FORMAT = Format("cf", "an xarray Dataset, netCDF or Zarr", _read, files=_NETCDF)
