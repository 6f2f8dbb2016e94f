"""A pyramid for web maps: a cube and means over 2 x 2, 4 x 4, ... of its cells, in a Zarr store of their own."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
import zarr
from numpy.typing import NDArray

from .._arguments import check_flag, check_path, shown
from .._version import __version__
from ..conventions import LAT, LON, TIME
from ..cube.contents import STATUS
from ..cube.geozarr import CRS_CODE, DECLARED, PROJ, SPATIAL, affine, without_geozarr
from ..cube.layout import flags_as_bytes
from ..errors import GridError, SchemaError, StoreError
from .attributes import settle_ancillary
from .form import check_complete

MULTISCALES = {
    "uuid": "d35379db-88df-4056-af3a-620245f8e347",
    "schema_url": "https://raw.githubusercontent.com/zarr-conventions/multiscales/refs/tags/v0.1/schema.json",
    "spec_url": "https://github.com/zarr-conventions/multiscales/blob/v0.1/README.md",
    "name": "multiscales",
    "description": "Multiscale layout of zarr datasets",
}
#: Edge of a chunk in cells, as of the tiles of web maps; a level this small needs no coarser one.
_TILE = 256
#: Sizes of a shard: 24 maps of 2 x 2 tiles are 25 MB.
_SHARD_STEPS, _SHARD_TILES = 24, 2
#: Beyond an odd last row or column is nothing.
_WINDOWS: dict[str, Any] = {"dim": {LAT: 2, LON: 2}, "boundary": "pad"}
#: The attribute by which a pyramid is known.
_MADE = "xaq_pyramid"
_PATH_FIX = "path='pm25-map.zarr'"


def to_pyramid(cube: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False) -> xr.DataTree:
    """Write a cube and means of its cells at ever coarser resolution, for web maps.

    A server of tiles then reads a few chunks for any zoom. The pyramid is a store of its own: a cube's store may grow and is
    checked as a whole, and maps need other chunks and rows from north to south. It does not follow an update of the cube:
    write it again.

    Parameters
    ----------
    cube : xarray.Dataset
        A cube or a part of it, with even ``lat`` and ``lon``; lazy cubes are read block by block.
    path : path
        A folder. What is written has another name beside it until it is complete.
    overwrite : bool
        Replace the pyramid that lies at the path; anything else there is kept, and refused.

    Returns
    -------
    xarray.DataTree
        The pyramid, opened (lazy). Groups ``"0"``, ``"1"``, ... of variables ``([time,] lat, lon)``, latitude descending:
        the cube's cells, and means over 2 x 2, 4 x 4, ... of them, until a map is at most 256 x 256 cells. Means are
        weighted by area and leave out cells without a value. A coarse cell is ``supported`` where all its cells are.
        Bounds of an interval are means too, which are not the bounds of a mean's interval. Members and bounds of cells
        and times are left out. Attributes follow the GeoZarr conventions ``multiscales``, ``proj:`` and ``spatial:``.

    Raises
    ------
    SchemaError
        It is no cube, or of a store that is not finished.
    GridError
        Its axes are uneven.
    StoreError
        Something lies at the path that may not be replaced, or the path cannot be written.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("idw", grid=0.01).isel(time=0)
    >>> tree = xaq.to_pyramid(cube, "idw-map.zarr", overwrite=True)
    >>> {name: level.pm25.shape for name, level in tree.children.items()}
    {'0': (156, 306), '1': (78, 153)}
    """
    maps, cells = _maps(cube)
    target = _place(path, check_flag(overwrite, "overwrite", error=StoreError))
    beside, replaced = (target.with_name(f".{target.name}.{uuid4().hex}.{end}") for end in ("partial", "old"))
    try:
        _write(maps, cells, beside)
        if target.exists():
            target.rename(replaced)
        beside.rename(target)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"{target}: cannot be written ({type(error).__name__}: {error}); fix: a path where files can be written"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return xr.open_datatree(target, engine="zarr", chunks={}, decode_coords="all")


@dataclass(frozen=True)
class _Cells:
    """Even cells from north-west to south-east: edges and spacing, degrees, and how many rows and columns."""

    west: float
    north: float
    d_lon: float
    d_lat: float
    shape: tuple[int, int]

    def halved(self) -> _Cells:
        """Return cells twice as large; the last ones may reach beyond the edge."""
        n_lat, n_lon = self.shape
        return _Cells(self.west, self.north, 2 * self.d_lon, 2 * self.d_lat, (-(-n_lat // 2), -(-n_lon // 2)))

    @property
    def axes(self) -> dict[str, NDArray[np.float64]]:
        """Centres by dimension, rounded as those of a grid are."""
        lat = self.north - self.d_lat * (np.arange(self.shape[0]) + 0.5)
        lon = self.west + self.d_lon * (np.arange(self.shape[1]) + 0.5)
        return {LAT: np.round(lat, 12), LON: np.round(lon, 12)}

    @property
    def place(self) -> dict[str, Any]:
        """Attributes of the convention ``spatial:``."""
        transform = [self.d_lon, 0.0, self.west, 0.0, -self.d_lat, self.north]
        return {"spatial:transform": transform, "spatial:shape": list(self.shape)}

    @property
    def bbox(self) -> list[float]:
        """West, south, east and north of the outer edges, none beyond a pole."""
        south, east = self.north - self.d_lat * self.shape[0], self.west + self.d_lon * self.shape[1]
        return [self.west, max(round(south, 12), -90.0), round(east, 12), min(self.north, 90.0)]

    @property
    def area(self) -> xr.DataArray:
        """Areas, ``(lat, lon)``, in an arbitrary unit."""
        edges = np.clip(self.north - self.d_lat * np.arange(self.shape[0] + 1), -90.0, 90.0)
        rows = -np.diff(np.sin(np.deg2rad(edges)))
        return xr.DataArray(np.broadcast_to(rows[:, None], self.shape), dims=(LAT, LON))


def _maps(cube: Any) -> tuple[xr.Dataset, _Cells]:
    """Return the variables of a cube that are maps, north at the top, with the coordinates that maps need (lazy), and their cells."""
    if not isinstance(cube, xr.Dataset) or not {LAT, LON} <= set(cube.dims):
        raise SchemaError(
            f"got {shown(cube)}, expected a Dataset with lat and lon; fix: cube = ds.aq.reanalyze(...)", subject="cube"
        )
    check_complete(cube)
    plane = {LAT, LON}
    names = [name for name in cube.data_vars if plane <= set(cube[name].dims) <= {TIME, *plane}]
    if not names or 0 in (cube.sizes[LAT], cube.sizes[LON]):
        raise SchemaError(
            "no variable (time, lat, lon) or (lat, lon) with cells; fix: cube = ds.aq.reanalyze(...)", subject="cube"
        )
    maps = without_geozarr(cube)[names].transpose(..., LAT, LON)
    # Bounds are arrays of two dimensions, which readers of pyramids take for maps.
    maps = maps.drop_vars([name for name, c in maps.coords.items() if c.ndim > 1 or not set(c.dims) <= {TIME, *plane}])
    for variable in maps.variables.values():
        variable.attrs.pop("bounds", None)
        settle_ancillary(variable.attrs, maps.variables)
    for name in names:
        # Where coordinates are decoded, xarray holds the name of the CRS as encoding.
        maps[name].attrs["grid_mapping"] = "spatial_ref"
    return maps.sortby(LON).sortby(LAT, ascending=False).rio.write_crs(CRS_CODE), _cells(cube)


def _cells(cube: xr.Dataset) -> _Cells:
    transform = affine(cube)
    if transform is None:
        raise GridError(
            "lat or lon are uneven, or one value without bounds, expected even axes; fix: ds.aq.reanalyze(..., grid=0.1)"
        )
    d_lon, _, left, _, d_lat, top = transform
    n_lat, n_lon = cube.sizes[LAT], cube.sizes[LON]
    west, north = min(left, left + d_lon * n_lon), max(top, top + d_lat * n_lat)
    return _Cells(round(west, 12), round(north, 12), abs(d_lon), abs(d_lat), (n_lat, n_lon))


def _place(path: Any, overwrite: bool) -> Path:
    """Return the folder to write; refuse one that exists, unless it is a pyramid and may be replaced."""
    target = Path(check_path(path, "path", fix=_PATH_FIX, error=StoreError)).expanduser().resolve()
    if not target.parent.is_dir():
        raise StoreError(f"no such folder: {target.parent}; fix: os.makedirs({str(target.parent)!r})")
    if target.exists() and not _is_pyramid(target):
        raise StoreError(f"{target} exists and is no pyramid of xaq's; fix: another path")
    if target.exists() and not overwrite:
        raise StoreError(f"{target} holds a pyramid already; fix: overwrite=True, or another path")
    return target


def _is_pyramid(folder: Path) -> bool:
    try:
        attributes = json.loads((folder / "zarr.json").read_bytes())["attributes"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return isinstance(attributes, dict) and {_MADE, "multiscales"} <= attributes.keys()


def _write(maps: xr.Dataset, cells: _Cells, folder: Path) -> None:
    """Write all levels, each made from the one before it as it was written, then what the root says of them."""
    layout: list[dict[str, Any]] = [{"asset": "0", **cells.place}]
    level, area, bbox = maps.drop_attrs(deep=False), cells.area, cells.bbox
    _write_level(level, folder, 0)
    while max(cells.shape) > _TILE:
        finer = xr.open_zarr(folder, group=str(len(layout) - 1), consolidated=False, chunks=_shards(level))
        cells = cells.halved()
        level, area = _means(finer, area, cells), area.coarsen(**_WINDOWS).sum()
        derived = {"derived_from": str(len(layout) - 1), "transform": {"scale": [2.0, 2.0]}}
        _write_level(level, folder, len(layout))
        layout.append({"asset": str(len(layout)), **derived, **cells.place})
    root = zarr.open_group(folder, mode="r+", use_consolidated=False)
    root.attrs.update({
        **{key: value for key, value in maps.attrs.items() if key != STATUS},
        _MADE: f"xaq {__version__}",
        DECLARED: [MULTISCALES, PROJ, SPATIAL],
        "multiscales": {"layout": layout, "resampling_method": "average"},
        "proj:code": CRS_CODE,
        "spatial:dimensions": [LAT, LON],
        "spatial:bbox": bbox,
    })  # fmt: skip
    with warnings.catch_warnings():
        # Zarr warns that version 3 has no standard for it.
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        zarr.consolidate_metadata(folder)


def _means(finer: xr.Dataset, area: xr.DataArray, cells: _Cells) -> xr.Dataset:
    """Return the means over 2 x 2 cells, weighted by area; flags are their minimum. Lazy."""
    made = {}
    for name, variable in finer.data_vars.items():
        attrs = dict(variable.attrs)
        if variable.dtype.kind == "f":
            weight = area.where(variable.notnull(), 0.0)
            total, weight = ((w.coarsen(**_WINDOWS)).sum() for w in (variable.fillna(0.0) * weight, weight))
            values = total / weight.where(weight > 0)
            if "area: mean" not in attrs.get("cell_methods", ""):
                attrs["cell_methods"] = f"{attrs.get('cell_methods', '')} area: mean".strip()
        else:
            values = variable.astype("float32").coarsen(**_WINDOWS).min()
        made[name] = values.astype(variable.dtype).transpose(*variable.dims).variable.copy()
        made[name].attrs = attrs
    axes = {name: xr.Variable((name,), centres, finer[name].attrs) for name, centres in cells.axes.items()}
    others = {name: c.variable for name, c in finer.coords.items() if name not in axes}
    return xr.Dataset(made, coords={**others, **axes})


def _write_level(level: xr.Dataset, folder: Path, number: int) -> None:
    """Write a level in shards of many tiles, a Dask block for each."""
    edges, encoding = _shards(level), dict[Any, Any]()
    for name, variable in level.data_vars.items():
        shards = tuple(edges[str(d)] for d in variable.dims)
        chunks = tuple(1 if d == TIME else min(edges[str(d)], _TILE) for d in variable.dims)
        encoding[name] = {"chunks": chunks, **({"shards": shards} if chunks != shards else {})}
    if TIME in level.coords:
        encoding[TIME] = {"units": "seconds since 1970-01-01", "dtype": "int64", "calendar": "proleptic_gregorian"}
    blocks = flags_as_bytes(level.drop_encoding()).chunk(edges)
    blocks.to_zarr(folder, group=str(number), mode="a", zarr_format=3, encoding=encoding, consolidated=False)


def _shards(level: xr.Dataset) -> dict[str, int]:
    """Return the edges of shards by dimension: 24 maps of 2 x 2 tiles, or less where there is less."""
    cells = {name: _TILE * _SHARD_TILES if level.sizes[name] > _TILE else level.sizes[name] for name in (LAT, LON)}
    return {**cells, **({TIME: min(_SHARD_STEPS, level.sizes[TIME])} if TIME in level.dims else {})}
