"""From stations, a grid and any mapper to a lazy cube, or to a series at points. Labels and Dask; never torch.

The graph has one node per period for the station side, shared by the tiles that are computed together, and one per
block for the cell side.
"""

from __future__ import annotations

import json
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ..arrays import timesteps
from ..conventions import LAT, LON, POINT, STATION, TIME, cf_attrs, label
from ..errors import GridError
from .request import Plan, fields_of

# -- labels --------------------------------------------------------------------------------------------------------


def time_variable(plan: Plan) -> xr.Variable:
    """Return the times of a plan with their CF attributes."""
    return xr.Variable(
        (TIME,),
        plan.times,
        {"standard_name": "time", "axis": "T", "long_name": "start of the interval (UTC)", "bounds": "time_bnds"},
    )


def point_coords(lon: ArrayLike, lat: ArrayLike) -> tuple[str, dict[str, xr.Variable]]:
    """Return the dimension of points, and their coordinates."""
    dim = str(lon.dims[0]) if isinstance(lon, xr.DataArray) and lon.ndim == 1 else POINT
    x, y = (np.atleast_1d(np.asarray(v, float)) for v in (lon, lat))
    if x.ndim != 1 or x.shape != y.shape:
        raise GridError(f"lon has shape {x.shape}, lat {y.shape}; expected one dimension and equal length")
    coords = {LON: xr.Variable((dim,), x), LAT: xr.Variable((dim,), y)}
    if isinstance(lon, xr.DataArray) and dim in lon.coords:
        coords[dim] = lon[dim].variable
    return dim, coords


def _field_names(plan: Plan) -> str:
    return " and ".join(repr(field.name) for field in fields_of(plan.mapper))


def labelled(
    plan: Plan,
    fields: da.Array | list[da.Array],
    dims: tuple[str, ...],
    coords: dict[str, xr.Variable],
    near: xr.Variable,
    missing: da.Array | None,
) -> xr.Dataset:
    """Return the dataset with CF names, units, bounds, provenance and the accuracy held_out_scores.

    ``missing`` says where a field or a raster that the mapper reads has no value; None where it reads none.
    """
    target, units = plan.target, str(plan.source[plan.target].attrs["units"])
    percent = f"{100 * plan.provenance['interval_level']:g} %"
    space = dims[1:]
    attrs = {**cf_attrs(target, units), "cell_methods": "time: mean", "ancillary_variables": "supported"}
    attrs.setdefault("long_name", label(target))
    data: dict[str, Any] = {target: (dims, fields[0], attrs)}
    if plan.probabilities:
        for i, side in enumerate(("lower", "upper"), 1):
            text = f"{side} bound of the {percent} interval of {attrs['long_name']}"
            data[f"{target}_{side}"] = (dims, fields[i], {"units": units, "long_name": text})
        attrs["ancillary_variables"] += f" {target}_lower {target}_upper"
    data["nearest_station"] = (
        space,
        near.data,
        {"units": "km", "long_name": "great-circle distance to the nearest visible station"},
    )
    supported, meaning = (
        near.data <= np.float32(plan.max_distance),
        f"a visible station lies within {plan.max_distance:.6g} km",
    )
    if missing is not None:
        supported, meaning = supported & ~missing, f"{meaning}, and {_field_names(plan)} are there at every step"
    data["supported"] = (
        space,
        supported,
        {
            "long_name": meaning,
            "flag_values": np.array([0, 1], "i1"),
            "flag_meanings": "unsupported supported",
        },
    )
    if plan.init is None:
        reporting = plan.source[plan.target].sel({TIME: plan.times}).notnull().sum(STATION).astype(np.int32)
        if reporting.chunks is not None:
            reporting = reporting.chunk({TIME: fields[0].chunks[0]})
        data["stations_reporting"] = (
            (TIME,),
            reporting.data,
            {"units": "1", "long_name": "visible stations that report at the step"},
        )
    ds = xr.Dataset(data, coords=coords)
    step = timesteps.regular_step(plan.source[TIME].values)
    edges = np.stack([plan.times, plan.times + step], axis=1)
    ds = ds.assign_coords(time_bnds=((TIME, "bnds"), edges))
    for name in ("time", "time_bnds"):
        ds[name].encoding.update(units="seconds since 1970-01-01", dtype="int64", calendar="proleptic_gregorian")
    identifier = plan.provenance["model_hash"][:12]
    kind = "analysis" if plan.init is None else f"forecast from {plan.init}"
    return ds.assign_attrs(
        Conventions="CF-1.11",
        title=f"{label(target)} {kind}, {plan.provenance['method']} from {plan.provenance['visible_stations']} stations",
        source=f"station observations, {plan.provenance['method']} {identifier}",
        history=f"xaq {plan.provenance['xaq_version']}: {kind} of {target} with {plan.provenance['method']} {identifier}",
        references="Kheder et al., SCIA 2025, arXiv 2502.11941",
        xaq_provenance=json.dumps(plan.provenance, sort_keys=True),
    )
