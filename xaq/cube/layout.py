"""How a cube is cut into blocks and chunks, and how its variables are encoded.

A Dask block becomes one shard of Zarr, which holds many small chunks, so that maps and series both are quick to read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from .._arguments import check_choice, check_flag, check_number
from ..conventions import MEMBER
from ..errors import StoreError

BLOCK_DIMS = ("time", "lat", "lon")
#: The group that holds what identifies a cube, its block records and its manifest; and the array of the records.
STATE, RECORDS = "_xaq", "_xaq/records"
#: Longest edges of an inner chunk: 192 x 36 x 36 float32 are 1 MB. A map of 25,000 cells is 20 of them, a year of
#: hours at a point 46.
_CHUNK_STEPS, _CHUNK_CELLS = 192, 36
#: Precisions that float32 can hold.
_FINEST, _COARSEST = float(np.finfo("float32").tiny), float(np.finfo("float32").max)
#: Steps in a shard of a variable without blocks, such as the times themselves.
_SMALL_STEPS = 16_384


@dataclass(frozen=True)
class StoreOptions:
    """How a cube is stored. Precision and format belong to its identity: an existing cube is completed as it was begun.

    Attributes
    ----------
    precision : float, optional
        In the target's units: values are rounded to multiples of the largest power of two that is not above it, so
        that the error is at most half of it. Random digits below it would not compress.
    zarr_format : 3 or 2
        Zarr 3 keeps the small chunks of a block in one shard (a file); Zarr 2 has no shards.
    consolidated : bool
        Consolidate the metadata when the cube is complete: other tools open it faster.
    """

    precision: float | None = None
    zarr_format: int = 3
    consolidated: bool = True

    def __post_init__(self) -> None:
        settled: dict[str, Any] = {
            "zarr_format": check_choice(self.zarr_format, "zarr_format", (3, 2), error=StoreError),
            "consolidated": check_flag(self.consolidated, "consolidated", error=StoreError),
        }
        if self.precision is not None:
            settled["precision"] = check_number(
                self.precision, "precision", "above 0 in the target's units, or None", fix="precision=0.1",
                valid=lambda step: _FINEST <= step <= _COARSEST, error=StoreError,
            )  # fmt: skip
        for name, value in settled.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Layout:
    """Blocks of equal size, counted from the first step, row and column; ``chunk`` divides ``block``.

    ``members`` is the name of the variable with members and their number, all of them in each block; None without one.
    """

    block: tuple[int, int, int]
    chunk: tuple[int, int, int]
    start: str
    step_seconds: int
    members: tuple[str, int] | None = None

    @classmethod
    def of(cls, cube: xr.Dataset, sizes: tuple[int, int, int]) -> Layout:
        """Return the layout of a cube in blocks of the given sizes. A cube may grow in time, so no block holds all of time."""
        steps = _edges(sizes[0], None, _CHUNK_STEPS)
        cells = [_edges(n, cube.sizes[d], _CHUNK_CELLS) for d, n in zip(BLOCK_DIMS[1:], sizes[1:], strict=True)]
        block, chunk = zip(steps, *cells, strict=True)
        bounds = cube["time_bnds"].values[0].astype("datetime64[s]")
        step = int((bounds[1] - bounds[0]) / np.timedelta64(1, "s"))
        members = next(((str(n), cube.sizes[MEMBER]) for n in cube.data_vars if MEMBER in cube[n].dims), None)
        return cls(block, chunk, str(bounds[0]), step, members)

    @classmethod
    def from_json(cls, identity: dict[str, Any]) -> Layout:
        """Return the layout that a store was written with."""
        name, n = identity.get("member_variable", (None, 0))
        sizes = tuple(identity["block"]), tuple(identity["chunk"])
        return cls(*sizes, identity["start"], identity["step_seconds"], (name, n) if name else None)

    def identity(self) -> dict[str, Any]:
        """Return what a store records of the layout, to be compared with that of a later call."""
        members = {"member_variable": self.members} if self.members else {}
        return {
            "block": self.block, "chunk": self.chunk, "start": self.start, "step_seconds": self.step_seconds, **members
        }  # fmt: skip

    @property
    def chunks(self) -> dict[str, int]:
        """Sizes of the blocks by dimension."""
        members = {MEMBER: self.members[1]} if self.members else {}
        return {**dict(zip(BLOCK_DIMS, self.block, strict=True)), **members}

    def dims(self, name: str) -> tuple[str, ...]:
        """Return the dimensions of a variable that is written block by block."""
        return (MEMBER, *BLOCK_DIMS) if self.members and name == self.members[0] else BLOCK_DIMS

    def counts(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the number of blocks along each dimension of a cube."""
        return tuple(-(-n // size) for n, size in zip(shape, self.block, strict=True))

    def region(self, index: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
        """Return where a block lies in a cube."""
        return tuple(
            slice(i * size, min((i + 1) * size, n)) for i, size, n in zip(index, self.block, shape, strict=True)
        )

    def block_keys(self, name: str, index: Sequence[int], shape: Sequence[int], zarr_format: int) -> list[str]:
        """Return the keys under which a variable of a block is stored: one shard, or the chunks of Zarr 2."""
        many = len(self.dims(name)) > len(BLOCK_DIMS)
        if zarr_format == 3:
            return [f"{name}/c/{'/'.join(map(str, (0, *index) if many else index))}"]
        region = self.region(index, shape)
        chunks = [range(s.start // n, -(-s.stop // n)) for s, n in zip(region, self.chunk, strict=True)]
        if many and self.members:
            chunks.insert(0, range(self.members[1]))
        return [f"{name}/{'.'.join(map(str, chunk))}" for chunk in itertools.product(*chunks)]

    def keys(self, names: Sequence[str], shape: Sequence[int], zarr_format: int) -> set[str]:
        """Return every key of every block of some variables, and those of the blocks' records."""
        indices = list(itertools.product(*map(range, self.counts(shape))))
        blocks = {k for index in indices for name in names for k in self.block_keys(name, index, shape, zarr_format)}
        return blocks | {f"{RECORDS}/{record_key(index, zarr_format)}" for index in indices}


def record_key(index: Sequence[int], zarr_format: int) -> str:
    """Return the key of a block's record among the records."""
    return ("c/{}/{}/{}/0" if zarr_format == 3 else "{}.{}.{}.0").format(*index)


def _edges(block: int, whole: int | None, limit: int) -> tuple[int, int]:
    """Return the edges of a block and of the chunks inside it.

    A block that holds the whole dimension may be larger than it; the chunks of any other block must divide it.
    """
    if block <= limit:
        return block, block
    if whole is not None and block >= whole:
        chunk = math.ceil(block / math.ceil(block / limit))
        return chunk * math.ceil(block / chunk), chunk
    divisor = max(d for d in range(1, limit + 1) if block % d == 0)
    return (block, divisor) if divisor >= limit // 4 else (block, block)


def encoding_of(dims: Sequence[Hashable], layout: Layout, options: StoreOptions) -> dict[str, Any]:
    """Return chunks, shards and compression of a variable. All variables agree, so that ``ds.chunks`` does."""
    chunk = dict(zip(BLOCK_DIMS, layout.chunk, strict=True))
    shard = dict(zip(BLOCK_DIMS, layout.block, strict=True))
    if MEMBER in dims and layout.members:
        chunk[MEMBER], shard[MEMBER] = 1, layout.members[1]
    if not set(BLOCK_DIMS) <= set(dims):
        # A variable without blocks: few files, cut alike however long the cube becomes.
        shard["time"] = chunk["time"] * math.ceil(_SMALL_STEPS / chunk["time"])
    chunks, shards = (tuple(edges.get(str(d), 2) for d in dims) for edges in (chunk, shard))
    # Digits that are not rounded away are random: on these, zstd takes three times as long as lz4 and saves one per cent.
    name = "lz4" if options.precision is None else "zstd"
    if options.zarr_format == 2:
        from numcodecs import Blosc

        return {"chunks": chunks, "compressors": Blosc(cname=name, clevel=1, shuffle=Blosc.BITSHUFFLE)}
    compressor = BloscCodec(cname=name, clevel=1, shuffle="bitshuffle")
    return {"chunks": chunks, "compressors": compressor, **({"shards": shards} if shards != chunks else {})}


def block_variables(cube: xr.Dataset) -> list[Hashable]:
    """Return the variables of a cube that are written block by block: those on all its dimensions, members whole in each."""
    return [name for name in cube.data_vars if set(BLOCK_DIMS) <= set(cube[name].dims)]


def block_names(root: zarr.Group) -> list[str]:
    """Return the arrays of a store that are written block by block."""
    return sorted(name for name, array in root.arrays() if array.ndim >= len(BLOCK_DIMS))


def flags_as_bytes(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset whose booleans are bytes with an attribute by which xarray reads booleans again. Lazy.

    NetCDF has no booleans, and a store of Zarr 2 that holds one cannot be read by netCDF's own library at all.
    """
    flags = {name: v.astype("i1") for name, v in ds.variables.items() if v.dtype == bool}
    for variable in flags.values():
        variable.attrs = {**variable.attrs, "dtype": "bool"}
    return ds.assign(flags)
