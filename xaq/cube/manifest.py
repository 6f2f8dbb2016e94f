"""A copy, under checksum, of everything in a finished cube that is not a block: metadata, coordinates, small variables.

A cube is complete when its manifest is there. What differs from the copy is damaged, and is restored from it. Blocks are
large: here only their presence is checked, and the checksums of their bytes are in their records.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import dataclass

import google_crc32c
import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.storage import MemoryStore

from .layout import STATE
from .location import Target, list_keys, plain, raw_store, read_bytes, write_bytes

_FOLDER = f"{STATE}/manifest"
#: Its chunk in Zarr 3 and in Zarr 2.
_CHUNKS = {3: f"{_FOLDER}/c/0", 2: f"{_FOLDER}/0"}
#: The size of the array is a multiple of the first, with room for its own metadata, which are part of the copy.
_ROUND, _ROOM = 65_536, 8_192
#: The length of the copy stands before it; the checksum of all of it, padding too, stands at the end.
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")


@dataclass(frozen=True)
class Manifest:
    """What a finished cube consists of.

    Attributes
    ----------
    documents : dict of str to bytes
        Everything but blocks and their records, by key.
    block_keys : set of str
        The keys of all blocks and records.
    """

    documents: dict[str, bytes]
    block_keys: set[str]

    def store(self) -> Store:
        """Return a store in memory with the metadata, coordinates and small variables."""
        store = MemoryStore()
        for key, value in self.documents.items():
            write_bytes(store, key, value)
        return store


def read(store: Store) -> Manifest | None:
    """Return the manifest of a store; None where there is none, or it is damaged."""
    raw = _raw(store)
    return None if raw is None else _decode(raw)


def exists(store: Store) -> bool:
    """Return whether a store has a manifest, damaged or not."""
    return _raw(store) is not None


def _raw(store: Store) -> bytes | None:
    documents = read_bytes(store, ["zarr.json", f"{STATE}/zarr.json"])
    # A store of Zarr 3 need not know the keys of Zarr 2.
    chunk = _CHUNKS[2 if all(document is None for document in documents.values()) else 3]
    return read_bytes(store, [chunk])[chunk]


def write(target: Target, own: set[str], block_keys: set[str]) -> None:
    """Copy what a complete cube consists of; ``own`` are all of its keys. The last step of its writer."""
    store = raw_store(target)
    small = {key for key in own - block_keys - set(_CHUNKS.values()) if not key.endswith((".partial", "/"))}
    size = _ROUND * -(-(len(_encode(_copies(store, small), block_keys)) + _ROOM) // _ROUND)
    group = zarr.open_group(plain(target), mode="r+", path=STATE, use_consolidated=False)
    array = group.create_array(
        "manifest", shape=(size,), chunks=(size,), dtype="uint8", compressors=None, fill_value=0, overwrite=True
    )
    small |= {key for key in list_keys(target) if key.startswith(f"{_FOLDER}/") and _is_document(key)}
    content = _encode(_copies(store, small), block_keys)
    body = _LENGTH.pack(len(content)) + content.ljust(size - _LENGTH.size - _CHECKSUM.size, b"\0")
    array[:] = np.frombuffer(body + _CHECKSUM.pack(google_crc32c.value(body)), np.uint8)


def remove(target: Target) -> None:
    """Delete the manifest: the cube is about to be changed."""
    group = zarr.open_group(plain(target), mode="r+", path=STATE, use_consolidated=False)
    if "manifest" in group:
        del group["manifest"]


def differing(target: Target, manifest: Manifest) -> list[str]:
    """Return the keys whose bytes differ from the copy, and those of blocks that are not there."""
    found = read_bytes(raw_store(target, read_only=True), manifest.documents)
    small = [key for key, value in manifest.documents.items() if found[key] != value]
    return sorted([*small, *(manifest.block_keys - list_keys(target))])


def restore(target: Target, manifest: Manifest) -> list[str]:
    """Write again what differs from the copy; return what is missing that it has no copy of, the blocks."""
    store, damaged = raw_store(target), differing(target, manifest)
    for key in damaged:
        if key in manifest.documents:
            write_bytes(store, key, manifest.documents[key])
    return [key for key in damaged if key not in manifest.documents]


def _is_document(key: str) -> bool:
    return key.rsplit("/", 1)[-1] in ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


def _copies(store: Store, keys: set[str]) -> dict[str, bytes]:
    return {key: value for key, value in read_bytes(store, sorted(keys)).items() if value is not None}


def _encode(documents: dict[str, bytes], block_keys: set[str]) -> bytes:
    copies = {key: base64.b64encode(value).decode() for key, value in documents.items()}
    return zlib.compress(json.dumps({"documents": copies, "block_keys": sorted(block_keys)}).encode())


def _decode(raw: bytes) -> Manifest | None:
    body, ending = raw[: -_CHECKSUM.size], raw[-_CHECKSUM.size :]
    if len(raw) <= _LENGTH.size + _CHECKSUM.size or _CHECKSUM.unpack(ending)[0] != google_crc32c.value(body):
        return None
    length = _LENGTH.unpack(body[: _LENGTH.size])[0]
    read = json.loads(zlib.decompress(body[_LENGTH.size : _LENGTH.size + length]))
    documents = {key: base64.b64decode(value) for key, value in read["documents"].items()}
    return Manifest(documents, set(read["block_keys"]))
