"""Grids of HDF-EOS 5, as level-3 products of OMI are stored: variables in groups, without coordinates."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..conventions import LAT, LON

_FIELDS = re.compile(r"/HDFEOS/GRIDS/([^/]+)/Data Fields")


def grid_of(groups: Mapping[str, xr.Dataset]) -> xr.Dataset | None:
    """Return the first grid of a file with its longitudes, latitudes and attributes of the granule; None where it has none.

    The centres of cells follow from ``GridSpan`` of the group, in degrees west, east, south and north. Rows begin in the
    south, as in all products of OMI. Lazy.
    """
    for name, fields in groups.items():
        found = _FIELDS.fullmatch(name)
        grid = groups.get(f"/HDFEOS/GRIDS/{found[1]}") if found else None
        if found is None or grid is None or "GridSpan" not in grid.attrs:
            continue
        numbers = re.findall(r"-?\d+(?:\.\d+)?", str(grid.attrs["GridSpan"]))
        west, east, south, north = map(float, numbers)
        arrays = {n: v for n, v in fields.data_vars.items() if v.ndim == 2}
        rows, columns = next(iter(arrays.values())).shape
        axes = {
            LAT: south + (np.arange(rows) + 0.5) * (north - south) / rows,
            LON: west + (np.arange(columns) + 0.5) * (east - west) / columns,
        }
        attrs = groups.get("/HDFEOS/ADDITIONAL/FILE_ATTRIBUTES", grid).attrs
        made = {n: xr.Variable((LAT, LON), v.data, v.attrs, v.encoding) for n, v in arrays.items()}
        return xr.Dataset(made, axes, {**attrs, "ProcessingLevel": "3"})
    return None
