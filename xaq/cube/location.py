"""Where a cube is stored: a folder, a URL, a store object or an Icechunk repository; its status, its lock, and its removal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import zarr
from filelock import FileLock, Timeout
from zarr.abc.store import Store
from zarr.errors import GroupNotFoundError

from ..errors import StoreError

#: The group that holds what identifies a cube and its block records, and the attribute that holds its status.
STATE, STATUS = "_xaq", "xaq_status"
CREATING, COMPLETE = "creating", "complete"
UNFINISHED = "unfinished: blocks that are not written yet read as missing"

StoreLike: TypeAlias = str | os.PathLike | Store
#: A path on this machine, a URL, a store object, or an Icechunk repository.
Target: TypeAlias = Any
#: The branch of an Icechunk repository, and the blocks of one commit.
_BRANCH, BLOCKS_PER_COMMIT = "main", 16


def resolve(store: StoreLike) -> Target:
    """Return the path of a folder on this machine; a URL, store object or repository is returned as it is."""
    if isinstance(store, Store) or is_repository(store):
        return store
    text = os.fspath(store)
    if "://" in text:
        return text
    path = Path(text).absolute()
    if path.is_file():
        raise StoreError(f"{path} is a file, expected a folder or no file yet; fix: another path")
    return path


def is_repository(store: Any) -> bool:
    """Return whether a store is an Icechunk repository; the package is not imported for it."""
    return hasattr(store, "writable_session")


def plain(target: Target) -> Any:
    """Return what zarr can open; for a repository, its last commit."""
    if is_repository(target):
        return target.readonly_session(_BRANCH).store
    return str(target) if isinstance(target, Path) else target


@contextmanager
def transaction(target: Target, message: str) -> Iterator[Target]:
    """Yield the place to write to; in a repository, all that was written there becomes one commit."""
    if not is_repository(target):
        yield target
        return
    session = target.writable_session(_BRANCH)
    yield session.store
    if session.has_uncommitted_changes:
        session.commit(f"xaq: {message}")


@contextmanager
def only_writer(target: Target) -> Iterator[None]:
    """Lock a folder against other processes of this machine; the lock is released when its process ends or is killed."""
    if not isinstance(target, Path):
        yield
        return
    if not target.parent.is_dir():
        raise StoreError(f"no such folder: {target.parent}; fix: os.makedirs({str(target.parent)!r})")
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StoreError(f"{target} is being written by another process; fix: wait for it, or another path") from error
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({error})") from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def sweep(target: Target) -> None:
    """Delete the temporary files of killed writers: zarr writes a file under another name, and then renames it."""
    if isinstance(target, Path):
        for left in target.rglob("*.partial"):
            left.unlink(missing_ok=True)


def status_of(target: Target) -> str | None:
    """Return the status of a cube, None where there is no store; refuse a store that is not xaq's."""
    try:
        status = zarr.open_group(plain(target), mode="r", use_consolidated=False).attrs.get(STATUS)
    except (GroupNotFoundError, FileNotFoundError) as error:
        if isinstance(target, Path) and target.exists() and any(target.iterdir()):
            raise _not_ours(target) from error
        return None
    if status is None:
        raise _not_ours(target)
    return str(status)


def _not_ours(target: Target) -> StoreError:
    return StoreError(f"{target} exists and is no cube of xaq's; fix: another path")


def check_ours(target: Target) -> None:
    """Refuse a place without a cube of xaq's, or with one whose creation was interrupted."""
    status = status_of(target)
    if status is None:
        raise StoreError(f"no store at {target}; fix: ds.aq.reanalyze(..., store=...) makes one")
    if status == CREATING:
        raise StoreError(
            f"{target} holds no cube yet: its creation was interrupted; fix: call reanalyze(..., store=...) again"
        )


def set_status(target: Target, status: str) -> None:
    """Write the status of a cube into its attributes."""
    zarr.open_group(plain(target), mode="r+", use_consolidated=False).attrs[STATUS] = status


def delete(target: Target) -> None:
    """Delete a cube of xaq's. A folder is renamed first: a process killed meanwhile leaves no partial store under its name."""
    if status_of(target) is None:
        return
    if not isinstance(target, Path):
        zarr.open_group(target, mode="w", attributes={STATUS: CREATING})
        return
    path = target.resolve()
    doomed = path.with_name(f".{path.name}.{uuid4().hex}.deleted")
    path.rename(doomed)
    shutil.rmtree(doomed)


def active_client() -> Any:
    """Return the active client of dask.distributed, None without one."""
    try:
        from distributed import get_client

        return get_client()
    except (ImportError, ValueError):
        return None
