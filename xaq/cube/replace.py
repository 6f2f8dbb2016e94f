"""Give a cube that was written beside another one its name; the old cube is deleted last, and put back after a kill."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from ..errors import StoreError
from .contents import Found, find, own_keys
from .layout import STATE
from .location import delete_keys, list_keys

#: What identifies a cube, in the order in which it is deleted. In Zarr 2 the attributes hold it.
_IDENTITY = [f"{STATE}/.zgroup", f"{STATE}/.zattrs", f"{STATE}/zarr.json"]
#: Longest name of a file in the file systems in use, in bytes.
_LONGEST = 255


def new_name(target: Path) -> Path:
    """Return where the cube is written that replaces another one."""
    return target.with_name(f".{target.name}.xaq-new")


def old_name(target: Path) -> Path:
    """Return a name for a cube that has been replaced and is to be deleted."""
    return target.with_name(f".{target.name}.{uuid4().hex}.xaq-old")


def check_name(target: Path) -> None:
    """Refuse a name that leaves no room for those which a cube has while it is written and replaced."""
    room = _LONGEST - len(old_name(target).name) + len(target.name)
    if (length := len(target.name.encode())) > room:
        raise StoreError(
            f"the name of the store has {length} bytes, expected at most {room}; fix: a shorter name, such as "
            "store='pm25.zarr'"
        )


def replace(target: Path, beside: Path) -> None:
    """Give a complete cube the name of the one that it replaces, and delete that one last."""
    old = old_name(target)
    if (found := find(target)) is not None:
        # Again: something may have been put there since the new cube was begun.
        own_keys(target, found)
        target.rename(old)
    beside.rename(target)
    if found is not None:
        delete_folder(old, found)


def recover(target: Path) -> None:
    """Put back the cube of a call that was killed while it replaced it, or finish to delete it."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{32}}\.xaq-old")
    for old in sorted(path for path in target.parent.iterdir() if pattern.fullmatch(path.name)):
        if not target.exists():
            old.rename(target)
        elif all(key.endswith("/") for key in list_keys(old)):
            _delete_empty(old)
        elif (found := find(old)) is not None:
            delete_folder(old, found)


def delete_folder(folder: Path, found: Found) -> None:
    """Delete a cube and nothing else; what identifies it goes last, so that an interrupted deletion can be finished."""
    keys = own_keys(folder, found)
    last = [key for key in _IDENTITY if key in keys] if found.identity else ["zarr.json", ".zattrs"]
    documents = [key for key in keys if "/" not in key and key not in last]
    delete_keys(folder, keys.difference(documents, last))
    delete_keys(folder, [*documents, *last])
    _delete_empty(folder)


def _delete_empty(folder: Path) -> None:
    """Delete a folder and those inside it; one that holds a file is kept."""
    for inside in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        with suppress(OSError):
            inside.rmdir()
    with suppress(OSError):
        folder.rmdir()
