"""What lies in the place of a cube: nothing, a cube of xaq's and its state, or something that is not xaq's.

Only keys that :func:`write_cube` writes count as xaq's. Nothing else is ever deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import xarray as xr
import zarr
from zarr.abc.store import Store

from ..errors import StoreError
from . import manifest
from .layout import RECORDS, STATE
from .location import Target, delete_keys, is_empty, list_keys, plain, raw_store, read_bytes

#: The attribute of a cube that holds its status.
STATUS = "xaq_status"
CREATING, COMPLETE = "creating", "complete"
UNFINISHED = "unfinished: blocks that are not written yet read as missing"

_DOCUMENT = r"(?:zarr\.json|\.zgroup|\.zattrs|\.zmetadata|\.zarray)"
_PARTIAL = r"[^/]*\.[0-9a-f]{32}\.partial"
#: How xaq names a cube that another tool has derived from one.
_DERIVED = "was derived from a cube by another tool"


@dataclass(frozen=True)
class Found:
    """A cube of xaq's, or what is left of one whose creation was interrupted.

    Attributes
    ----------
    status : str, optional
        ``CREATING``, ``UNFINISHED`` or ``COMPLETE``; None where the metadata that hold it are damaged.
    identity : dict
        What identifies the cube, as :func:`write_cube` got it; empty while it is being created.
    """

    status: str | None
    identity: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """All variables of the cube, coordinates too."""
        return list(self.identity.get("variables", []))


def find(target: Target) -> Found | None:
    """Return the cube at a place, None where there is nothing; refuse what is not xaq's. Reads metadata only."""
    if is_empty(target):
        return None
    store = raw_store(target, read_only=True)
    root, state = _attributes(store, ""), _attributes(store, f"{STATE}/")
    copy = None
    identity = state.get("identity") if state else None
    if identity is None:
        copy = manifest.read(store)
        identity = None if copy is None else _parse(copy.documents, f"{STATE}/").get("identity")
    if not isinstance(identity, dict):
        if root and root.get(STATUS) == CREATING:
            return Found(CREATING, {})
        raise _not_ours(target, root, state)
    if not _is_list_of_names(identity.get("variables")):
        raise StoreError(f"{target} was written by an earlier version of xaq; fix: another path")
    status = root.get(STATUS) if root else None
    if status not in (CREATING, UNFINISHED, COMPLETE):
        status = COMPLETE if (copy or manifest.read(store)) is not None else None
    return Found(status, identity)


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _attributes(store: Store, folder: str) -> dict[str, Any] | None:
    """Return the attributes of a group; None where there is no group, empty where its documents cannot be read."""
    documents = read_bytes(store, [f"{folder}zarr.json"])
    if documents[f"{folder}zarr.json"] is None:
        # Asked for second: a store of Zarr 3 need not know the keys of Zarr 2.
        documents = read_bytes(store, [f"{folder}.zgroup", f"{folder}.zattrs"])
    if all(document is None for document in documents.values()):
        return None
    return _parse(documents, folder)


def _parse(documents: dict[str, Any], folder: str) -> dict[str, Any]:
    try:
        if (document := documents.get(f"{folder}zarr.json")) is not None:
            attributes = json.loads(document).get("attributes", {})
        else:
            attributes = json.loads(documents.get(f"{folder}.zattrs") or b"{}")
    except (ValueError, AttributeError, RecursionError):
        return {}
    return attributes if isinstance(attributes, dict) else {}


def _not_ours(target: Target, root: dict[str, Any] | None, state: dict[str, Any] | None) -> StoreError:
    if state is not None:
        what = "has metadata that cannot be read, so that nothing shows whose it is"
    elif root and (STATUS in root or "xaq_provenance" in root):
        what = f"{_DERIVED}; xr.open_zarr opens it"
    else:
        what = "exists and is no cube of xaq's"
    return StoreError(f"{target} {what}; fix: another path")


def expect(target: Target) -> Found:
    """Return the cube at a place; refuse a place without one, and one whose creation was interrupted."""
    return settled(target, find(target))


def settled(target: Target, found: Found | None) -> Found:
    """Return what was found at a place; refuse nothing, an interrupted creation, and damaged metadata without a copy."""
    if found is None:
        raise StoreError(f"no store at {target}; fix: ds.aq.reanalyze(..., store=...)")
    if found.status == CREATING:
        raise StoreError(
            f"{target} holds no cube yet: its creation was interrupted; fix: call reanalyze(..., store=...) again"
        )
    if found.status is None:
        # A finished cube has a copy of its metadata; this one has none.
        raise StoreError(
            f"{target} is unfinished, and its metadata are damaged; fix: reanalyze(..., store=..., overwrite=True)"
        )
    return found


def own_keys(target: Target, found: Found, *, strict: bool = True) -> set[str]:
    """Return the keys of a cube; where anything else lies too, refuse it if ``strict``."""
    pattern, keys = _own(found), list_keys(target)
    own = {key for key in keys if pattern.fullmatch(key)}
    if strict and own != keys:
        foreign = sorted(keys - own)
        shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise StoreError(
            f"{target} also holds {len(foreign)} file(s) that are not xaq's ({shown}), and nothing is deleted; fix: move "
            "them away, or another path"
        )
    return own


def delete_all(target: Target, found: Found) -> None:
    """Delete a cube; refuse a place where anything else lies too."""
    delete_keys(target, own_keys(target, found))


def _own(found: Found) -> re.Pattern[str]:
    """Return the pattern of the keys of a cube."""
    names = "|".join(re.escape(name) for name in [*found.names, RECORDS, f"{STATE}/manifest"])
    folder = rf"(?:{names})/(?:c/(?:\d+/)*|(?:\d+/)+)?"
    inside = rf"(?:{_DOCUMENT}|{_PARTIAL}|c|\d+(?:\.\d+)*)"
    return re.compile(rf"{_DOCUMENT}|{_PARTIAL}|{STATE}/(?:{_DOCUMENT}|{_PARTIAL})?|{folder}(?:{inside})?")


def sweep(target: Target, found: Found) -> None:
    """Delete the temporary files of killed writers: zarr writes a file under another name, and then renames it."""
    pattern = _own(found)
    delete_keys(target, [key for key in list_keys(target) if key.endswith(".partial") and pattern.fullmatch(key)])


def write_attributes(root: zarr.Group, cube: xr.Dataset) -> None:
    """Write the attributes of a cube that is complete; of its variables the numbers, which an update may have changed."""
    attrs = json.loads(json.dumps(cube.attrs))
    if (before := root.attrs.get("history")) and before != attrs.get("history"):
        attrs["history"] = f"{attrs['history']}\n{before}"
    root.attrs.update({**attrs, STATUS: COMPLETE})
    for name, variable in cube.data_vars.items():
        numbers = {key: value for key, value in variable.attrs.items() if isinstance(value, float)}
        if numbers:
            root[str(name)].attrs.update(numbers)


def set_status(target: Target, status: str) -> None:
    """Write the status of a cube into its attributes."""
    zarr.open_group(plain(target), mode="r+", use_consolidated=False).attrs[STATUS] = status


def forget_blocks(target: Target, indices: Iterable[tuple[int, ...]]) -> None:
    """Delete the records of blocks, so that the call that wrote the cube writes them again."""
    records = zarr.open_group(plain(target), mode="r+", path=STATE, use_consolidated=False)["records"]
    for index in indices:
        records[index] = 0
    # Last: a cube that still counts as complete is checked again if this is interrupted.
    set_status(target, UNFINISHED)
    manifest.remove(target)
