"""The writer: a template, blocks, and a record per block. It knows no model and no stations.

A store holds the cube in its root group and, in the group ``_xaq``, the identity of the cube and an array of records:
for each block, the fingerprint of what it was made from and the checksum of what was written. A block is recorded after
it is written, and its record is taken away before it is written anew; so a block whose record is that of its inputs is
whole, whatever happened in between, and everything else is written once more.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from ..errors import StoreError

BLOCK_DIMS = ("time", "lat", "lon")
#: Longest edges of an inner chunk: 192 x 36 x 36 float32 are 1 MB. A map of 25,000 cells is 20 of them, a year of
#: hours at a point 46; both are read in a blink.
_CHUNK_STEPS, _CHUNK_CELLS = 192, 36

#: Steps of a shard of what has no blocks, such as the times themselves.
_SMALL_STEPS = 16_384


@dataclass(frozen=True)
class StoreOptions:
    """How a cube is stored; part of what it is, so that an existing cube is completed in its own way.

    Attributes
    ----------
    precision : float, optional
        In the target's units: values are rounded to multiples of the largest power of two that is not above it, so
        that the error is at most half of it. Noise compresses badly.
    zarr_format : 3 or 2
        Zarr 3 keeps the small chunks of a block in one shard (a file); Zarr 2 has no shards.
    consolidated : bool
        Gather the metadata in one place when the cube is finished: other tools open it faster.
    """

    precision: float | None = None
    zarr_format: int = 3
    consolidated: bool = True

    def __post_init__(self) -> None:
        if self.precision is not None and not self.precision > 0:
            raise StoreError(f"precision is {self.precision}, expected above 0 in the target's units, such as 0.1")
        if self.zarr_format not in (2, 3):
            raise StoreError(f"zarr_format is {self.zarr_format}, expected 3 or 2")


# -- the layout ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """Blocks of equal size, counted from the first step, row and column; ``chunk`` divides ``block``."""

    block: tuple[int, int, int]
    chunk: tuple[int, int, int]
    start: str
    step_seconds: int

    @classmethod
    def of(cls, cube: xr.Dataset, sizes: tuple[int, int, int]) -> Layout:
        """Settle the chunks inside blocks of the given sizes. A cube may grow in time, so no block holds all of that."""
        steps = _edges(sizes[0], None, _CHUNK_STEPS)
        cells = [_edges(n, cube.sizes[d], _CHUNK_CELLS) for d, n in zip(BLOCK_DIMS[1:], sizes[1:], strict=True)]
        block, chunk = zip(steps, *cells, strict=True)
        bounds = cube["time_bnds"].values[0].astype("datetime64[s]")
        step = int((bounds[1] - bounds[0]) / np.timedelta64(1, "s"))
        return cls(block, chunk, str(bounds[0]), step)

    @classmethod
    def from_json(cls, identity: dict[str, Any]) -> Layout:
        """Read the layout that a store was written with."""
        return cls(tuple(identity["block"]), tuple(identity["chunk"]), identity["start"], identity["step_seconds"])

    def identity(self) -> dict[str, Any]:
        """Return what of the layout makes a cube what it is."""
        return {"block": self.block, "chunk": self.chunk, "start": self.start, "step_seconds": self.step_seconds}

    def counts(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the number of blocks along each dimension of a cube."""
        return tuple(-(-n // size) for n, size in zip(shape, self.block, strict=True))

    def region(self, index: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
        """Return where a block lies in a cube."""
        return tuple(
            slice(i * size, min((i + 1) * size, n)) for i, size, n in zip(index, self.block, shape, strict=True)
        )


def _edges(block: int, whole: int | None, limit: int) -> tuple[int, int]:
    """Return the edges of a block and of the chunks inside it.

    Where one block holds all, it may be larger than what it holds; else its chunks must divide it.
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
    if set(dims) != set(BLOCK_DIMS):
        # What has no blocks: few files, and the same ones however long the cube has become.
        shard["time"] = chunk["time"] * math.ceil(_SMALL_STEPS / chunk["time"])
    chunks, shards = (tuple(edges.get(str(d), 2) for d in dims) for edges in (chunk, shard))
    # Bits that are not rounded away are noise: on these, zstd takes three times as long as lz4, to save one per cent.
    name = "lz4" if options.precision is None else "zstd"
    if options.zarr_format == 2:
        from numcodecs import Blosc

        return {"chunks": chunks, "compressors": Blosc(cname=name, clevel=1, shuffle=Blosc.BITSHUFFLE)}
    compressor = BloscCodec(cname=name, clevel=1, shuffle="bitshuffle")
    return {"chunks": chunks, "compressors": compressor, **({"shards": shards} if shards != chunks else {})}


def block_variables(cube: xr.Dataset) -> list[Hashable]:
    """Return the variables of a cube that are written block by block."""
    return [name for name in cube.data_vars if set(BLOCK_DIMS) == set(cube[name].dims)]


def block_names(root: zarr.Group) -> list[str]:
    """Return the arrays of a store that are written block by block."""
    return sorted(name for name, array in root.arrays() if array.ndim == len(BLOCK_DIMS))
