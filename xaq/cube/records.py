"""The records of a cube's blocks: one for each, with the fingerprint of its inputs and the checksum of its bytes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from .layout import RECORDS, STATE, record_key
from .location import Target, delete_keys, plain, raw_store, read_bytes

#: Fingerprint and checksum. Records are not compressed.
_TYPE = np.dtype("<u8")


def read_records(target: Target, metadata: Any = None) -> tuple[NDArray[np.uint64], dict[tuple[int, ...], str]]:
    """Return the records, ``(time, lat, lon, 2)``, zero where there is none, and the keys of those that are cut off.

    A machine that loses power can leave files that are empty. Such a record reads as none. ``metadata`` is a store with a
    copy of the cube's metadata, where its own may be damaged.
    """
    array = zarr.open_group(
        plain(target) if metadata is None else metadata, mode="r", path=STATE, use_consolidated=False
    )["records"]
    zarr_format = array.metadata.zarr_format
    keys = {
        index: f"{RECORDS}/{record_key(index, zarr_format)}"
        for index in itertools.product(*map(range, array.shape[:-1]))
    }
    found = read_bytes(raw_store(target, read_only=True), keys.values())
    records, broken = np.zeros(array.shape, _TYPE), {}
    for index, key in keys.items():
        raw = found[key]
        if raw is not None and len(raw) == 2 * _TYPE.itemsize:
            records[index] = np.frombuffer(raw, _TYPE)
        elif raw is not None:
            broken[index] = key
    return records, broken


def delete_broken(target: Target) -> None:
    """Delete the records that are cut off: their blocks count as not written."""
    delete_keys(target, read_records(target)[1].values())
