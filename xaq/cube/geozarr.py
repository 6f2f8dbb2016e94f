"""The GeoZarr conventions ``proj:`` and ``spatial:``: where a reader of rasters finds the CRS and the cells of a Zarr array.

They are attributes of stores only. Of a subset they would be wrong, and netCDF has no attributes with fields; so datasets
that xaq returns are without them.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..conventions import LAT, LON

CRS_CODE = "EPSG:4326"
#: How a Zarr node says which conventions it follows.
DECLARED = "zarr_conventions"
_PREFIXES = ("proj:", "spatial:")
#: Revisions 0.1: the schemas accept no other addresses.
PROJ = {
    "uuid": "f17cb550-5864-4468-aeb7-f3180cfb622f",
    "schema_url": "https://raw.githubusercontent.com/zarr-conventions/proj/refs/tags/v0.1/schema.json",
    "spec_url": "https://github.com/zarr-conventions/proj/blob/v0.1/README.md",
    "name": "proj",
    "description": "Coordinate reference system information for geospatial data",
}
SPATIAL = {
    "uuid": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
    "schema_url": "https://raw.githubusercontent.com/zarr-conventions/spatial/refs/tags/v0.1/schema.json",
    "spec_url": "https://github.com/zarr-conventions/spatial/blob/v0.1/README.md",
    "name": "spatial",
    "description": "Spatial coordinate information",
}
#: Degrees by which a centre may lie off an even axis, as a fraction of the spacing.
_UNEVEN = 1e-6


def with_geozarr(cube: xr.Dataset) -> xr.Dataset:
    """Return a cube with the attributes of the conventions ``proj:`` and ``spatial:``; metadata only.

    The group declares them and has CRS, dimensions and bounding box. Each array on the grid has its transform, and no more: what
    is computed of an array keeps its attributes, also in another CRS. A transform of the group would be applied to bounds
    of cells and times, which have two dimensions too.

    Parameters
    ----------
    cube : xarray.Dataset
        With ``lat``, ``lon`` and their bounds, degrees.

    Returns
    -------
    xarray.Dataset
        The same variables. Arrays on uneven axes get no transform.
    """
    of_group = {
        DECLARED: [PROJ, SPATIAL], "proj:code": CRS_CODE, "spatial:dimensions": [LAT, LON], "spatial:bbox": bbox(cube)
    }  # fmt: skip
    labelled, transform = cube.assign_attrs(of_group), affine(cube)
    for name in labelled.data_vars if transform is not None else ():
        if {LAT, LON} <= set(labelled[name].dims):
            labelled[name].attrs["spatial:transform"] = transform
    return labelled


def without_geozarr(cube: xr.Dataset) -> xr.Dataset:
    """Return a cube without the attributes of the conventions; metadata only, lazy data stay so."""
    bare = cube.copy()
    parts: list[xr.Dataset | xr.Variable] = [bare, *bare.variables.values()]
    for part in parts:
        part.attrs = {key: v for key, v in part.attrs.items() if key != DECLARED and not str(key).startswith(_PREFIXES)}
    return bare


def bbox(cube: xr.Dataset) -> list[float]:
    """Return west, south, east and north of the outer edges of the cells, degrees; loads bounds."""
    lon, lat = (cube[f"{name}_bnds"].values for name in (LON, LAT))
    return [float(edge) for edge in (lon.min(), lat.min(), lon.max(), lat.max())]


def affine(cube: xr.Dataset) -> list[float] | None:
    """Return a, b, c, d, e, f of lon = a column + b row + c, lat = d column + e row + f, of the corners of cells.

    None where centres are not evenly spaced, or one without bounds.
    """
    x, y = _steps(cube, LON), _steps(cube, LAT)
    if x is None or y is None:
        return None
    # Rounded as the axes are, far below a millimetre.
    return [round(number, 12) for number in (x[1], 0.0, x[0], 0.0, y[1], y[0])]


def _steps(cube: xr.Dataset, name: str) -> tuple[float, float] | None:
    """Return the first edge of an axis and its spacing, both in the direction of the axis; None where it is uneven."""
    centres = cube[name].values.astype(float)
    if len(centres) > 1:
        spacing = (centres[-1] - centres[0]) / (len(centres) - 1)
    elif f"{name}_bnds" in cube.variables:
        spacing = float(np.ptp(cube[f"{name}_bnds"].values))
    else:
        return None
    even = centres[0] + spacing * np.arange(len(centres))
    if np.abs(centres - even).max() > _UNEVEN * abs(spacing):
        return None
    return float(centres[0] - spacing / 2), float(spacing)
