"""Compute the blocks of a cube, write them, and record each when it is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask
import dask.array as da
import google_crc32c
import numpy as np
import xarray as xr
import zarr
from dask.callbacks import Callback
from numpy.typing import NDArray
from zarr.abc.store import Store
from zarr.storage import WrapperStore

from .._display import progress_bar
from ..errors import StoreError
from .layout import BLOCK_DIMS, STATE, Layout, StoreOptions, block_names, block_variables
from .location import BLOCKS_PER_COMMIT, Target, active_client, is_repository, plain, raw_store, read_bytes, transaction
from .records import read_records


def fill_blocks(
    cube: xr.Dataset,
    target: Target,
    layout: Layout,
    inputs: Sequence[int],
    options: StoreOptions,
    progress: bool,
) -> None:
    """Compute, check, write and record each block whose record does not have the fingerprint of its inputs."""
    records = read_records(target)[0][..., 0]
    pending = np.argwhere(records != np.asarray(inputs, np.uint64)[:, None, None])
    if not len(pending):
        return
    per_commit = BLOCKS_PER_COMMIT if is_repository(target) else len(pending)
    names = sorted(str(n) for n in block_variables(cube))
    _check_labels(cube, target)
    shape = tuple(cube.sizes[d] for d in BLOCK_DIMS)
    # Not optimised: one by one, blocks would no longer share the station side that they are made from.
    blocks = {name: _delayed(cube[name].transpose(*layout.dims(name)).data) for name in names}
    write = dask.delayed(_write_block, pure=False)

    def task(place: Target, index: NDArray) -> Any:
        return write(
            place, names, tuple(map(int, index)), layout.region(index.tolist(), shape), int(inputs[index[0]]),
            options.precision, *(blocks[name][tuple(index)] for name in names),
        )  # fmt: skip

    bar = {"total": records.size, "initial": records.size - len(pending), "unit": "block", "disable": not progress}
    with progress_bar(desc=f"writing {str(target).rsplit('/', 1)[-1]}", **bar) as shown:
        for i in range(0, len(pending), per_commit):
            group = pending[i : i + per_commit]
            with transaction(target, f"blocks {group[0].tolist()} .. {group[-1].tolist()}") as place:
                _compute([task(place, index) for index in group], shown.update)


def _delayed(array: da.Array) -> NDArray:
    """Return the blocks of an array as nodes, ``(time, lat, lon)``: members together."""
    if array.ndim == len(BLOCK_DIMS):
        return array.to_delayed(optimize_graph=False)
    return array.rechunk({0: -1}).to_delayed(optimize_graph=False)[0]


def _compute(tasks: list[Any], done: Callable[[], Any]) -> None:
    """Run tasks on the workers of an active distributed client, else on Dask's threads; call ``done`` after each."""
    client = active_client()
    if client is None:
        with _Each({task.key for task in tasks}, done):
            dask.compute(*tasks)
        return
    from distributed import as_completed

    futures = client.compute(tasks)
    try:
        for future in as_completed(futures):
            future.result()
            done()
    finally:
        client.cancel(futures)


class _Each(Callback):
    """Call ``done`` when one of the tasks has run."""

    def __init__(self, keys: set[Any], done: Callable[[], Any]) -> None:
        super().__init__(posttask=self._after)
        self._keys, self._done = keys, done

    def _after(self, key: Any, *_: Any) -> None:
        if key in self._keys:
            self._done()


def _write_block(
    target: Target,
    names: Sequence[str],
    index: tuple[int, int, int],
    region: tuple[slice, ...],
    fingerprint: int,
    precision: float | None,
    *arrays: NDArray[np.float32],
) -> None:
    """Write one block of every variable, then its record."""
    store = _Checksums(raw_store(target))
    root = zarr.open_group(store, mode="r+", use_consolidated=False)
    records = root[STATE]["records"]
    expected = tuple(s.stop - s.start for s in region)
    wrong = [f"{n} is {a.shape}" for n, a in zip(names, arrays, strict=True) if a.shape[-len(expected) :] != expected]
    if wrong:
        raise StoreError(f"block {index}: {', '.join(wrong)}, expected {expected}")
    if records[index][0]:
        records[index] = 0
    store.of.clear()
    for name, values in zip(names, arrays, strict=True):
        # Empty chunks are written too: a check would read every value twice, and hardly any chunk is empty.
        where = region if values.ndim == len(region) else (slice(None), *region)
        root[name].with_config({"write_empty_chunks": True})[where] = _round(values, precision)
    records[index] = np.array([fingerprint, _checksum(fingerprint, store.of)], np.uint64)


class _Checksums(WrapperStore[Store]):
    """A store that keeps the checksum of everything written through it, by key."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.of: dict[str, int] = {}

    async def set(self, key: str, value: Any) -> None:
        """Write a value and keep its checksum."""
        self.of[key] = google_crc32c.value(value.as_numpy_array())
        await super().set(key, value)


def _round(values: NDArray[np.float32], precision: float | None) -> NDArray[np.float32]:
    """Round to multiples of the largest power of two not above the precision, so that the last bits become zeros."""
    if precision is None:
        return values
    step = np.float32(2.0 ** math.floor(math.log2(precision)))
    return np.round(values / step) * step


def _checksum(fingerprint: int, written: Mapping[str, int]) -> int:
    """Return the checksum of a block's record: of its fingerprint, its keys, and the checksums of their bytes."""
    text = "".join(f"{key} {value:08x}\n" for key, value in sorted(written.items()))
    return google_crc32c.value(f"{fingerprint}\n{text}".encode())


def damaged_blocks(target: Target, layout: Layout, metadata: Any = None) -> list[tuple[int, ...]]:
    """Return the blocks whose bytes are not those of their records. Reads every block that has a record.

    ``metadata`` is a store with a copy of the cube's metadata, where its own may be damaged.
    """
    store = raw_store(target, read_only=True)
    root = zarr.open_group(plain(target) if metadata is None else metadata, mode="r", use_consolidated=False)
    records, broken = read_records(target, metadata)
    names = block_names(root)
    shape, zarr_format = root[names[0]].shape[-len(BLOCK_DIMS) :], root.metadata.zarr_format
    damaged = list(broken)
    for row in np.argwhere(records[..., 0]):
        index = tuple(map(int, row))
        keys = [key for name in names for key in layout.block_keys(name, index, shape, zarr_format)]
        written = {key: google_crc32c.value(raw) for key, raw in read_bytes(store, keys).items() if raw is not None}
        fingerprint, checksum = map(int, records[index])
        if len(written) < len(keys) or _checksum(fingerprint, written) != checksum:
            damaged.append(index)
    return sorted(damaged)


def _check_labels(cube: xr.Dataset, target: Target) -> None:
    """Refuse to write a cube to a store with other coordinates."""
    stored = xr.open_zarr(plain(target), consolidated=False, chunks=None)
    for dim in BLOCK_DIMS:
        if not np.array_equal(cube[dim].values, stored[dim].values):
            raise StoreError(
                f"{target}: {dim} of the cube differs from the store's; fix: another path, or overwrite=True"
            )
