"""The field of a cube on a map: cells in colour, hatched where they are not supported."""

from __future__ import annotations

from typing import Literal

import cartopy.crs as ccrs
import numpy as np
import shapely
import xarray as xr
from cartopy.mpl.feature_artist import FeatureArtist
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, Normalize
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..arrays import longitudes
from ..conventions import LAT, LON, TIME
from ..cube.provenance import FIELDS, provenance
from . import basemap
from .subject import cell_edges

#: How cells that are not supported are shown.
Unsupported = Literal["hatched", "blank"]
#: Lines so dense that a single cell has one, on a ground that the smallest cell shows; no colour map has this grey.
_HATCH, _LINES, _GROUND = "////////", "0.60", "0.89"


def cube_bounds(cube: xr.Dataset) -> basemap.Bounds:
    """Return the outer edges of a cube's cells."""
    x, y = _edges(cube)
    return float(x[0]), float(y[0]), float(x[-1]), float(y[-1])


def draw_field(
    ax: GeoAxes, cube: xr.Dataset, field: NDArray, norm: Normalize, cmap: str | Colormap, unsupported: Unsupported
) -> tuple[QuadMesh] | tuple[QuadMesh, FeatureArtist]:
    """Draw a field ``(lat, lon)`` in a cube's cells, and hatch what is not supported; return what was drawn."""
    lon, lat = _edges(cube)
    mesh = ax.pcolormesh(
        lon, lat, np.ma.masked_invalid(field), norm=norm, cmap=cmap, transform=ccrs.PlateCarree(), rasterized=True,
        zorder=1,
    )  # fmt: skip
    area = _unsupported_area(cube) if unsupported == "hatched" else None
    if area is None:
        return (mesh,)
    hatch = ax.add_geometries(
        [area], crs=ccrs.PlateCarree(), facecolor=_GROUND, edgecolor=_LINES, hatch=_HATCH, linewidth=0.0, zorder=0.9
    )
    return mesh, hatch


def field_handles(cube: xr.Dataset, unsupported: Unsupported) -> list[Patch]:
    """Return the legend handle of the hatching, where there is any."""
    supported = _supported(cube)
    if unsupported == "blank" or supported is None or supported.all():
        return []
    known = provenance(cube)
    fields = [name for name in FIELDS if name in (*known, known.get("method"))]
    unlike = ["unlike all stations"] if "dissimilarity" in cube else []
    *first, last = ["no station near", *unlike, *(f"no value of the {name}" for name in fields)]
    why = " or ".join([", ".join(first), last]) if first else last
    return [Patch(facecolor=_GROUND, edgecolor=_LINES, hatch=_HATCH, linewidth=0.0, label=f"not supported: {why}")]


def no_value_text(target: str, when: str) -> str:
    """Return the error message for a map without a value to draw."""
    return f"{target!r} has no value in the cube or at the stations, {when}; fix: another time=..."


def step_text(when: str, field: NDArray) -> str:
    """Return the phrase for one of several steps, which says so where its field is empty."""
    return when if np.isfinite(field).any() else f"{when}, no value"


def _edges(cube: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the edges of a cube's cells, longitudes within what PROJ projects: no more than ten radians."""
    lon = cell_edges(cube, LON)
    if np.abs(lon).max() > 540.0:
        lon = lon + (longitudes.canonical(lon[0]) - lon[0])
    return lon, cell_edges(cube, LAT)


def _supported(cube: xr.Dataset) -> NDArray[np.bool_] | None:
    if "supported" not in cube:
        return None
    supported = cube["supported"]
    supported = supported.isel({TIME: 0}) if TIME in supported.dims else supported
    return np.asarray(supported.transpose(LAT, LON).values, bool)


def _unsupported_area(cube: xr.Dataset) -> shapely.Geometry | None:
    """Return the cells that are not supported as one geometry, or None where all are supported."""
    supported = _supported(cube)
    if supported is None or supported.all():
        return None
    lon, lat = _edges(cube)
    # One box per run of cells in a row: thousands of boxes fewer to unite than one per cell.
    padded = np.pad(~supported, ((0, 0), (1, 1)))
    edges = np.diff(padded.astype(np.int8), axis=1)
    row, first = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    return shapely.union_all(shapely.box(lon[first], lat[row], lon[stop], lat[row + 1]))
