"""The writer: a template, blocks, and a done-flag per block. It knows no model and no stations.

A store holds the cube in its root group and, in the group ``_xaq``, the identity of the cube and one flag per block.
A block is written before its flag is set; a process that dies in between writes the block once more.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Hashable, Iterator
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask
import numpy as np
import xarray as xr
import zarr
from tqdm.auto import tqdm

from .errors import StoreError

_STATE, _STATUS = "_xaq", "xaq_status"
_BLOCK_DIMS = ("time", "lat", "lon")


def write_cube(
    cube: xr.Dataset,
    store: str | os.PathLike,
    *,
    identity: dict[str, Any],
    overwrite: bool = False,
    progress: bool = True,
) -> xr.Dataset:
    """Write a lazy cube block by block, completing what an earlier call began.

    Parameters
    ----------
    cube : xarray.Dataset
        Lazy; its Dask chunks become Zarr chunks.
    store : path
        A folder for the Zarr store.
    identity : dict
        JSON-ready; what makes this cube this cube. A store with another identity is refused.
    overwrite : bool
        Delete what the store holds first.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    xarray.Dataset
        The finished cube, reopened from the store (lazy).

    Raises
    ------
    StoreError
        The store holds another cube or something else, or cannot be written.
    """
    path = Path(store)
    text = json.dumps({**identity, "chunks": _chunk_lengths(cube)}, sort_keys=True)
    if path.is_file():
        raise StoreError(f"{path} is a file, expected a folder or nothing; mend: another path")
    try:
        if overwrite and path.exists():
            _delete(path.resolve())
        if not (path.exists() and any(path.iterdir())):
            _create(cube, path, text)
        _check_identity(path, text)
        _fill(cube, path, progress)
        if not _is_consolidated(path):
            zarr.open_group(path, mode="r+").attrs[_STATUS] = "complete"
            _consolidate(path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{path}: cannot be written ({error}); what is finished is kept, call again to resume"
        ) from error
    return open_cube(path)


def open_cube(store: str | os.PathLike) -> xr.Dataset:
    """Open a finished cube (lazy).

    Parameters
    ----------
    store : path

    Returns
    -------
    xarray.Dataset
        As ``xr.open_zarr`` gives it; any other tool may open it too.

    Raises
    ------
    StoreError
        There is no cube at the path, or it is not finished.
    """
    path = Path(store)
    _check_ours(path)
    flags = zarr.open_group(path, mode="r", path=_STATE)["done"][:]
    if not flags.all():
        raise StoreError(
            f"{path} is unfinished: {int(flags.sum())} of {flags.size} blocks; mend: call reanalyze(..., store=...) again to resume"
        )
    cube = xr.open_zarr(path, decode_coords="all")
    lead = [name for name in cube.data_vars if set(_BLOCK_DIMS) <= set(cube[name].dims)]
    order = [*sorted(lead, key=str), *(name for name in cube.data_vars if name not in lead)]
    return xr.Dataset({name: cube[name].variable for name in order}, cube.coords, cube.attrs)


def _is_consolidated(path: Path) -> bool:
    return json.loads((path / "zarr.json").read_text()).get("consolidated_metadata") is not None


def _consolidate(path: Path) -> None:
    """Gather the metadata in one place, which other tools open faster. Zarr warns that version 3 has no standard for it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        zarr.consolidate_metadata(path)


def _chunk_lengths(cube: xr.Dataset) -> dict[str, list[int]]:
    return {str(dim): list(sizes) for dim, sizes in cube.chunks.items() if dim in _BLOCK_DIMS}


def _check_ours(path: Path) -> None:
    if not path.exists():
        raise StoreError(f"no store at {path.absolute()}")
    if not (path / _STATE / "zarr.json").exists():
        raise StoreError(f"{path} exists and is no cube of xaq's; mend: another path")


def _delete(path: Path) -> None:
    """Rename, then delete: a process killed meanwhile leaves no half store under the cube's name."""
    _check_ours(path)
    doomed = path.with_name(f".{path.name}.{uuid4().hex}.deleted")
    path.rename(doomed)
    shutil.rmtree(doomed)


def _create(cube: xr.Dataset, path: Path, identity: str) -> None:
    """Write metadata, coordinates and flags under a temporary name, then rename: a template is whole or absent."""
    if not path.absolute().parent.is_dir():
        raise StoreError(f"no such folder: {path.absolute().parent}; mend: create it first")
    part = path.absolute().with_name(f".{path.name}.{uuid4().hex}.part")
    encoding: dict[Hashable, dict[str, Any]] = {n: {"chunks": _zarr_chunks(cube[n])} for n in _block_variables(cube)}
    for name, settings in encoding.items():
        if np.issubdtype(cube[name].dtype, np.floating):
            settings["_FillValue"] = np.float32(np.nan)
    try:
        unfinished = cube.assign_attrs({_STATUS: "unfinished: blocks that are not written yet read as missing"})
        unfinished.to_zarr(part, compute=False, encoding=encoding, zarr_format=3, consolidated=False, mode="w")
        state = zarr.open_group(part, mode="a").create_group(_STATE, attributes={"identity": json.loads(identity)})
        counts = tuple(len(sizes) for sizes in _chunk_lengths(cube).values())
        state.create_array("done", shape=counts, chunks=(1,) * len(counts), dtype="uint8", fill_value=0)
        part.rename(path.absolute())
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _zarr_chunks(variable: xr.DataArray) -> tuple[int, ...]:
    return tuple(sizes[0] for sizes in variable.chunks or ())


def _block_variables(cube: xr.Dataset) -> list[Hashable]:
    return [name for name in cube.data_vars if cube[name].chunks is not None]


def _check_identity(path: Path, identity: str) -> None:
    _check_ours(path)
    found = dict(zarr.open_group(path, mode="r", path=_STATE).attrs)["identity"]
    wanted = json.loads(identity)
    differing = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
    if differing:
        shown = "; ".join(f"{k}: {_short(found.get(k))} there, {_short(wanted.get(k))} here" for k in differing[:4])
        raise StoreError(f"{path} holds another cube ({shown}); mend: another path, or overwrite=True")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fill(cube: xr.Dataset, path: Path, progress: bool) -> None:
    """Compute, check and write each block that has no flag, then set its flag."""
    flags = zarr.open_group(path, mode="r", path=_STATE)["done"][:]
    pending = [index for index in np.ndindex(*flags.shape) if not flags[index]]
    if not pending:
        return
    done = zarr.open_group(path, mode="r+", path=_STATE)["done"]
    regions = dict(_regions(cube))
    stored = xr.open_zarr(path, consolidated=False, chunks=None)
    bar = {"total": flags.size, "initial": flags.size - len(pending), "unit": "block", "disable": not progress}
    for index in tqdm(pending, desc=f"writing {path.name}", **bar):
        region = regions[index]
        block = cube.isel(region)
        block = block.drop_vars([n for n in block.variables if not _belongs(block[n], index, list(region))])
        # One block at a time; its own arithmetic is threaded already.
        (block,) = dask.compute(block, scheduler="synchronous")
        _check_block(block, cube.isel(region), stored.isel(region), index)
        block.drop_encoding().to_zarr(path, region=region, consolidated=False, zarr_format=3)
        done[index] = 1


def _regions(cube: xr.Dataset) -> Iterator[tuple[tuple[int, ...], dict[str, slice]]]:
    lengths = _chunk_lengths(cube)
    edges = {dim: np.concatenate([[0], np.cumsum(sizes)]).tolist() for dim, sizes in lengths.items()}
    for index in product(*(range(len(sizes)) for sizes in lengths.values())):
        yield index, {dim: slice(edges[dim][i], edges[dim][i + 1]) for dim, i in zip(lengths, index, strict=True)}


def _belongs(variable: xr.DataArray, index: tuple[int, ...], dims: list[str]) -> bool:
    """Whether a block writes this variable: all of its lazy ones; those without time only with the first of time."""
    if variable.chunks is None:
        return False
    return all(i == 0 or dim in variable.dims for i, dim in zip(index, dims, strict=True))


def _check_block(block: xr.Dataset, labels: xr.Dataset, place: xr.Dataset, index: tuple[int, ...]) -> None:
    """Refuse a block whose labels or shapes are not those of the place in the store where it would go."""
    for dim in _BLOCK_DIMS:
        if not np.array_equal(labels[dim].values, place[dim].values):
            raise StoreError(f"block {index}: its {dim} labels are not those of its place in the store")
    for name in block.data_vars:
        expected = place[name]
        if block[name].dims != expected.dims or block[name].shape != expected.shape:
            raise StoreError(
                f"block {index}: {name} is {block[name].dims} {block[name].shape}, its place {expected.dims} {expected.shape}"
            )
