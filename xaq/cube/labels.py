"""The labels of estimates: CF names, units, bounds of time, support and provenance, on a grid or at points."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from ..conventions import LAT, LON, QUANTILE, TIME, cf_attrs, label
from ..errors import GridError
from ..stations.points import pair_points
from .nodes import distance_node, reporting_count
from .request import Request


def labelled(
    request: Request,
    layers: da.Array | Sequence[da.Array],
    dims: tuple[str, ...],
    coords: dict[str, xr.Variable],
    near: da.Array,
    missing: da.Array | None,
) -> xr.Dataset:
    """Return layers of estimates as a dataset with CF names, units, bounds and provenance.

    Parameters
    ----------
    request : Request
        What was asked for.
    layers : (layer, time, ...)
        The value, and the bounds of the interval where the request has probabilities.
    dims : (time, ...)
        Of a layer.
    coords : dict of str to xarray.Variable
        Of the dimensions.
    near : dask array, dims without time, km
        Distance to the nearest station that reports.
    missing : dask array of bool, dims without time, optional
        Where a field that the mapper reads has no value; None where it reads none.
    """
    data = _estimates(request, layers, dims) | _support(request, dims[1:], near, missing)
    if request.init is None:
        data["stations_reporting"] = _reporting(request, layers[0].chunks[0])
    ds = xr.Dataset(data, coords=coords)
    edges = np.stack([request.times, request.times + request.step], axis=1)
    ds = ds.assign_coords(time_bnds=((TIME, "bnds"), edges))
    for name in (TIME, "time_bnds"):
        ds[name].encoding.update(units="seconds since 1970-01-01", dtype="int64", calendar="proleptic_gregorian")
    return ds.assign_attrs(_global_attrs(request))


def time_variable(request: Request) -> xr.Variable:
    """Return the times of a request with their CF attributes."""
    return xr.Variable(
        (TIME,),
        request.times,
        {"standard_name": "time", "axis": "T", "long_name": "start of the interval (UTC)", "bounds": "time_bnds"},
    )


def point_coords(request: Request, lon: Any, lat: Any) -> tuple[str, dict[str, xr.Variable]]:
    """Return the dimension of points, and their coordinates.

    Raises
    ------
    GridError
        They are no points, or along a dimension whose name a variable of the result has.
    """
    points = pair_points(lon, lat)
    dim, target = points.dim, request.target
    taken = {
        TIME, "time_bnds", "bnds", QUANTILE, "supported", "nearest_station", "stations_reporting",
        target, f"{target}_lower", f"{target}_upper", f"{target}_quantile",
    }  # fmt: skip
    if dim in taken:
        renamed = {"lon": lon, "lat": lat}
        fixes = [
            f"{n}={n}.rename({{{dim!r}: 'point'}})" if isinstance(v, xr.DataArray) else f"{n}={n}.rename_axis('point')"
            for n, v in renamed.items()
            if isinstance(v, (xr.DataArray, pd.Series)) and np.ndim(v)
        ]
        raise GridError(f"the points are along {dim!r}, a name that the result has too; fix: {', '.join(fixes)}")
    coords = {LON: xr.Variable((dim,), points.lon), LAT: xr.Variable((dim,), points.lat)}
    if points.label is not None:
        coords[dim] = points.label
    return dim, coords


def _estimates(
    request: Request, layers: da.Array | Sequence[da.Array], dims: tuple[str, ...]
) -> dict[str, tuple[tuple[str, ...], da.Array, dict[str, Any]]]:
    """Return the target and the bounds of its interval as variables."""
    target, units = request.target, request.units
    attrs = {**cf_attrs(target, units), "cell_methods": "time: mean", "ancillary_variables": "supported"}
    attrs.setdefault("long_name", label(target))
    data = {target: (dims, layers[0], attrs)}
    if request.probabilities:
        for i, side in enumerate(("lower", "upper"), 1):
            text = f"{side} bound of the {100 * request.level:g} % interval of {attrs['long_name']}"
            data[f"{target}_{side}"] = (dims, layers[i], {"units": units, "long_name": text})
        attrs["ancillary_variables"] += f" {target}_lower {target}_upper"
    return data


def _support(
    request: Request, space: tuple[str, ...], near: da.Array, missing: da.Array | None
) -> dict[str, tuple[tuple[str, ...], da.Array, dict[str, Any]]]:
    """Return the distance to the nearest station, and where estimates are supported, as variables."""
    supported = near <= distance_node(request)
    # Of lazy data, and of a cube that grows, the default distance is not known when the label is written.
    reach = "three times the 95th percentile of the distance between neighbouring stations"
    meaning = f"a visible station lies within {reach if request.given_distance is None else f'{request.given_distance:.6g} km'}"
    if missing is not None:
        names = " and ".join(repr(field.name) for field in request.fields)
        supported, meaning = supported & ~missing, f"{meaning}, and {names} have values at every step"
    distance = {"units": "km", "long_name": "great-circle distance to the nearest visible station"}
    flags = {"flag_values": np.array([0, 1], "i1"), "flag_meanings": "unsupported supported"}
    return {
        "nearest_station": (space, near, distance),
        "supported": (space, supported, {"long_name": meaning, **flags}),
    }


def _reporting(request: Request, chunks: tuple[int, ...]) -> tuple[tuple[str, ...], Any, dict[str, Any]]:
    """Return the number of stations that report at each step as a variable."""
    attrs = {"units": "1", "long_name": "visible stations that report at the step"}
    return (TIME,), reporting_count(request, chunks), attrs


def _global_attrs(request: Request) -> dict[str, str]:
    provenance = request.provenance
    method, identifier = provenance["method"], provenance["model_hash"][:12]
    kind = "analysis" if request.init is None else f"forecast from {request.init}"
    return {
        "Conventions": "CF-1.11",
        "title": f"{label(request.target)} {kind}, {method} from {provenance['visible_stations']} stations",
        "source": f"station observations, {method} {identifier}",
        "history": f"xaq {provenance['xaq_version']}: {kind} of {request.target} with {method} {identifier}",
        "references": "Kheder et al., SCIA 2025, arXiv 2502.11941",
        "xaq_provenance": json.dumps(provenance, sort_keys=True),
    }
