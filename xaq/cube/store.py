"""Write a lazy cube to a Zarr store, complete or extend it, and open it.

The root group holds the cube; the group ``_xaq`` holds what identifies it, and ``records``, one for each block: the
fingerprint of the inputs that the block was made from, and the checksum of the values written. A block is recorded after
it is written, and its record is removed before it is written again. So a block whose record has the fingerprint of its
inputs is complete, whatever interrupted the writer; every other block is written again.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
import zarr

from ..errors import StoreError
from .blocks import fill_blocks
from .layout import BLOCK_DIMS, Layout, StoreOptions, block_names, block_variables, encoding_of
from .location import (
    COMPLETE,
    CREATING,
    STATE,
    STATUS,
    UNFINISHED,
    StoreLike,
    Target,
    active_client,
    check_ours,
    delete,
    is_repository,
    only_writer,
    plain,
    resolve,
    set_status,
    status_of,
    sweep,
    transaction,
)


def write_cube(
    cube: xr.Dataset,
    store: StoreLike,
    *,
    identity: dict[str, Any],
    block: tuple[int, int, int],
    inputs: Sequence[int],
    options: StoreOptions | None = None,
    overwrite: bool = False,
    update: bool = False,
    progress: bool = True,
) -> xr.Dataset:
    """Write a lazy cube block by block, or complete or extend the cube of an earlier call.

    Parameters
    ----------
    cube : xarray.Dataset
        Lazy; a Dask block becomes a Zarr shard. Dask's threads write blocks in parallel, or the workers of a distributed
        client where one is active.
    store : path, URL, zarr.abc.store.Store or icechunk.Repository
        A folder; a URL that fsspec knows, such as ``s3://bucket/pm25.zarr``; any store object of zarr; or an Icechunk
        repository, with a commit to its main branch for the template, for every 16 blocks and at the end.
    identity : dict
        What identifies the cube whatever its length, ready for JSON. A store with another identity is refused.
    block : (steps, rows, columns)
        Sizes of the Dask blocks; the last ones may be smaller.
    inputs : sequence of int
        For each period, the fingerprint of the inputs of its blocks, not 0.
    options : StoreOptions, optional
    overwrite : bool
        Delete what the store holds first.
    update : bool
        Append steps after the end of the stored cube, and write the blocks again whose inputs have changed.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    xarray.Dataset
        The complete cube, opened from the store (lazy).

    Raises
    ------
    StoreError
        The store holds another cube or something else, another process writes to it, or it cannot be written.
    """
    options = options or StoreOptions()
    target = resolve(store)
    if is_repository(target) and active_client() is not None:
        raise StoreError(
            "a distributed client is active, and only the threads of one process can write to an Icechunk repository; "
            "fix: close the client, or another store"
        )
    layout = Layout.of(cube, block)
    whole = {**identity, **layout.identity(), "precision": options.precision, "zarr_format": options.zarr_format}
    whole = json.loads(json.dumps(whole))
    try:
        with only_writer(target):
            with transaction(target, "template") as place:
                if overwrite:
                    delete(place)
                if status_of(place) in (None, CREATING):
                    _create(cube, place, layout, whole, options)
                else:
                    _check_identity(place, whole)
                    _extend(cube, place, inputs, update)
            fill_blocks(cube, target, layout, inputs, options, progress)
            sweep(target)
            with transaction(target, "complete") as place:
                _finish(cube, place, options)
    except (OSError, MemoryError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{target}: cannot be written ({type(error).__name__}: {error}); finished blocks are kept; fix: call again to resume"
        ) from error
    return open_cube(store)


def open_cube(store: StoreLike) -> xr.Dataset:
    """Open a complete cube (lazy).

    Parameters
    ----------
    store : path, URL or zarr.abc.store.Store
        As it was given to :func:`xaq.reanalyze`.

    Returns
    -------
    xarray.Dataset
        As ``xr.open_zarr`` opens it, in chunks of whole blocks.

    Raises
    ------
    StoreError
        There is no cube at the path, or it is not complete.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("idw", grid=0.5, store="idw.zarr", progress=False, overwrite=True)
    >>> dict(xaq.open_cube("idw.zarr").pm25.sizes)
    {'time': 48, 'lat': 6, 'lon': 8}
    """
    target = resolve(store)
    check_ours(target)
    written, total = _progress_of(target)
    if written < total or status_of(target) != COMPLETE:
        raise StoreError(
            f"{target} is unfinished: {written} of {total} blocks; fix: call reanalyze(..., store=...) again to resume"
        )
    # By whole shards: one file is one task.
    layout = Layout.from_json(zarr.open_group(plain(target), mode="r", path=STATE).attrs["identity"])
    cube = xr.open_zarr(plain(target), decode_coords="all", chunks=dict(zip(BLOCK_DIMS, layout.block, strict=True)))
    lead = [name for name in cube.data_vars if set(BLOCK_DIMS) <= set(cube[name].dims)]
    order = [*sorted(lead, key=str), *(name for name in cube.data_vars if name not in lead)]
    return xr.Dataset({name: cube[name].variable for name in order}, cube.coords, cube.attrs)


def _create(cube: xr.Dataset, target: Target, layout: Layout, identity: dict[str, Any], options: StoreOptions) -> None:
    """Write metadata, the small variables and empty records; the status is "creating" until all of these are written."""
    zarr.open_group(plain(target), mode="w", zarr_format=options.zarr_format, attributes={STATUS: CREATING})
    names = [str(n) for n in block_variables(cube)]
    encoding = {name: {"_FillValue": np.float32(np.nan), **encoding_of(BLOCK_DIMS, layout, options)} for name in names}
    template = (
        xr.Dataset({name: cube[name].variable for name in names}).drop_encoding().assign_attrs({STATUS: CREATING})
    )
    for name in names if options.precision is not None else ():
        template[name].attrs["precision"] = options.precision
    template.to_zarr(
        plain(target), compute=False, encoding=encoding, zarr_format=options.zarr_format, consolidated=False, mode="a",
        safe_chunks=False,
    )  # fmt: skip
    small = {str(n): v.dims for n, v in cube.variables.items() if str(n) not in names and v.dims}
    _write_small(
        cube, target, mode="a", zarr_format=options.zarr_format,
        encoding={name: encoding_of(dims, layout, options) for name, dims in small.items()},
    )  # fmt: skip
    state = zarr.open_group(plain(target), mode="a", zarr_format=options.zarr_format).create_group(
        STATE, attributes={"identity": identity}, overwrite=True
    )
    counts = layout.counts([cube.sizes[d] for d in BLOCK_DIMS])
    state.create_array("records", shape=(*counts, 2), chunks=(1, 1, 1, 2), dtype="uint64", fill_value=0)
    set_status(target, UNFINISHED)


def _write_small(cube: xr.Dataset, target: Target, **how: Any) -> None:
    """Write coordinates, and variables without all three dimensions: they are small."""
    small = cube.drop_vars(list(block_variables(cube))).compute()
    for key, variable in small.variables.items():
        variable.encoding = dict(cube[key].encoding) if key in ("time", "time_bnds") else {}
    small.attrs = {STATUS: CREATING}
    small.to_zarr(plain(target), consolidated=False, **how)


def _check_identity(target: Target, wanted: dict[str, Any]) -> None:
    found = dict(zarr.open_group(plain(target), mode="r", path=STATE, use_consolidated=False).attrs)["identity"]
    differing = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
    if differing:
        shown = "; ".join(f"{k}: {_short(found.get(k))} there, {_short(wanted.get(k))} here" for k in differing[:4])
        raise StoreError(f"{target} holds another cube ({shown}); fix: another path, or overwrite=True")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _extend(cube: xr.Dataset, target: Target, inputs: Sequence[int], update: bool) -> None:
    """Make the store as long as the cube; refuse changes that need ``update``."""
    root = zarr.open_group(plain(target), mode="r+", use_consolidated=False)
    names, records = block_names(root), root[STATE]["records"]
    there, here = root[names[0]].shape[0], cube.sizes["time"]
    if here < there:
        raise StoreError(
            f"{target} has {there} steps, {here} are asked for; fix: a period that reaches as far, or overwrite=True"
        )
    written = records[..., 0]
    changed = sum(bool((w[w != 0] != i).any()) for w, i in zip(written, inputs, strict=False))
    if (changed or here > there) and not update:
        what = (
            f"{changed} period(s) were made from other inputs" if changed else f"it ends {here - there} step(s) earlier"
        )
        raise StoreError(
            f"{target} holds another cube ({what}); fix: update=True to bring it up to date, another path, or overwrite=True"
        )
    if here == there and not changed and status_of(target) == COMPLETE:
        return
    # An earlier call may have been interrupted below: each of these may be repeated.
    set_status(target, UNFINISHED)
    for name, variable in cube.variables.items():
        if variable.dims[:1] == ("time",):
            root[str(name)].resize((here, *root[str(name)].shape[1:]))
    records.resize((len(inputs), *records.shape[1:]))
    _write_small(cube, target, mode="r+")


def _progress_of(target: Target) -> tuple[int, int]:
    records = zarr.open_group(plain(target), mode="r", path=STATE, use_consolidated=False)["records"][..., 0]
    return int((records != 0).sum()), records.size


def _finish(cube: xr.Dataset, target: Target, options: StoreOptions) -> None:
    """Write the cube's attributes and its status, the last of all: it is complete."""
    if status_of(target) == COMPLETE:
        return
    root = zarr.open_group(plain(target), mode="r+", use_consolidated=False)
    attrs = json.loads(json.dumps(cube.attrs))
    if (before := root.attrs.get("history")) and before != attrs.get("history"):
        attrs["history"] = f"{attrs['history']}\n{before}"
    root.attrs.update({**attrs, STATUS: COMPLETE})
    if options.consolidated and root.store.supports_consolidated_metadata:
        with warnings.catch_warnings():
            # Zarr warns that version 3 has no standard for it.
            warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
            zarr.consolidate_metadata(plain(target))
