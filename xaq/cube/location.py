"""Where a cube is stored: a folder, a URL, a store object or an Icechunk repository; its lock, and its raw bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from filelock import FileLock, Timeout
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from ..errors import StoreError

StoreLike: TypeAlias = str | os.PathLike | Store
#: A path on this machine, a URL, a store object, or an Icechunk repository.
Target: TypeAlias = Any
#: The branch of an Icechunk repository, and the blocks of one commit.
_BRANCH, BLOCKS_PER_COMMIT = "main", 16
#: Requests to a store that are under way at once.
_AT_ONCE = 16
#: How fsspec names the files of this machine.
_LOCAL = {"file", "local"}
_FIX = "fix: store='pm25.zarr'"


def resolve(store: StoreLike, *, reads: bool = False) -> Target:
    """Return where a store lies: a path for everything on this machine, without symbolic links, however it was given.

    A lock, a new name and a list of what lies there are then those of the folder itself. ``reads``: a cube is expected there.
    """
    if isinstance(store, LocalStore):
        return Path(store.root).resolve()
    if isinstance(store, FsspecStore):
        protocol = store.fs.protocol
        local = _LOCAL & ({protocol} if isinstance(protocol, str) else set(protocol))
        return Path(store.path).resolve() if local else store
    if isinstance(store, Store) or is_repository(store):
        return store
    try:
        text = os.fsdecode(store)
    except TypeError:
        raise StoreError(
            f"store is a {type(store).__name__}, expected a path, a URL, a store of zarr or an Icechunk repository; {_FIX}"
        ) from None
    if "://" in text:
        return _resolve_url(text)
    if not text.strip():
        raise StoreError(f"store is {text!r}, expected a path; {_FIX}")
    try:
        path = Path(text).expanduser().resolve()
        is_file = path.exists() and not path.is_dir()
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"store is no path ({error}); {_FIX}") from error
    if is_file and reads:
        raise StoreError(
            f"{path} is a file, and a cube is a folder (Zarr); fix: the path that was given to reanalyze as store"
        )
    if is_file:
        raise StoreError(f"{path} is a file, expected a folder or no file yet; fix: another path")
    return path


def _resolve_url(url: str) -> Target:
    """Return the path of a URL of this machine; any other URL as it is, if the package that serves it is there."""
    import fsspec

    protocol = url.split("://", 1)[0].split("::")[-1]
    try:
        fsspec.get_filesystem_class(protocol)
        if protocol in _LOCAL and "::" not in url:
            return Path(fsspec.core.url_to_fs(url)[1]).resolve()
    except ImportError as error:
        raise StoreError(f"{url}: {error}; fix: install that package, or a store on this machine") from error
    except ValueError as error:
        raise StoreError(f"{url}: no file system is known as {protocol!r}; {_FIX}") from error
    return url


def is_repository(store: Any) -> bool:
    """Return whether a store is an Icechunk repository; the package is not imported for it."""
    return hasattr(store, "writable_session")


def plain(target: Target) -> Any:
    """Return what zarr and xarray can open; for a repository, its last commit."""
    if is_repository(target):
        return target.readonly_session(_BRANCH).store
    return str(target) if isinstance(target, Path) else target


def check_writable(store: StoreLike, target: Target) -> None:
    """Refuse a store that cannot be written to, and the working folder, which a program stands in."""
    if isinstance(store, Store) and store.read_only:
        raise StoreError(f"{target} is opened for reading only; fix: the path, or a store with read_only=False")
    if isinstance(target, Store) and not (target.supports_deletes and target.supports_listing):
        raise StoreError(
            f"a {type(target).__name__} cannot rewrite or list what it holds; fix: a folder, packed when it is complete: "
            "shutil.make_archive('pm25', 'zip', 'pm25.zarr')"
        )
    if isinstance(target, Path):
        here = Path.cwd()
        if target == here or target in here.parents:
            raise StoreError(f"{target} is the working folder or holds it; {_FIX}, a folder of its own")
        if not target.parent.is_dir():
            raise StoreError(f"no such folder: {target.parent}; fix: os.makedirs({str(target.parent)!r})")


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
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StoreError(f"{target} is being written by another process; fix: wait for it, or another path") from error
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({error}); fix: a path where files can be written") from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


# -- raw bytes -----------------------------------------------------------------------------------------------------


def raw_store(target: Target, *, read_only: bool = False) -> Store:
    """Return the store object of a place, to list, read, write and delete the bytes under its keys."""
    if isinstance(target, Path):
        return LocalStore(target, read_only=read_only)
    if isinstance(target, str):
        return FsspecStore.from_url(target, read_only=read_only)
    return plain(target)


def read_bytes(store: Store, keys: Iterable[str]) -> dict[str, bytes | None]:
    """Return the bytes under keys; None where there are none."""
    prototype = default_buffer_prototype()

    async def read(key: str, limit: asyncio.Semaphore) -> bytes | None:
        async with limit:
            buffer = await store.get(key, prototype)
        return None if buffer is None else buffer.to_bytes()

    async def read_all() -> dict[str, bytes | None]:
        limit, names = asyncio.Semaphore(_AT_ONCE), list(keys)
        return dict(zip(names, await asyncio.gather(*(read(key, limit) for key in names)), strict=True))

    return sync(read_all())


def write_bytes(store: Store, key: str, value: bytes) -> None:
    """Write bytes under a key."""
    sync(store.set(key, default_buffer_prototype().buffer.from_bytes(value)))


def list_keys(target: Target) -> set[str]:
    """Return every key of a place; of a folder also links, and folders without files, which end in a slash."""
    if not isinstance(target, Path):
        return list_prefix(raw_store(target), "")
    keys = set()
    for folder, folders, files in os.walk(target):
        here = Path(folder).relative_to(target)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        keys |= {(here / name).as_posix() for name in [*files, *links]}
        if not folders and not files and folder != str(target):
            keys.add(f"{here.as_posix()}/")
    return keys


def list_prefix(store: Store, prefix: str) -> set[str]:
    """Return the keys of a store that begin with a prefix."""

    async def collect() -> set[str]:
        return {key async for key in store.list_prefix(prefix)}

    return sync(collect())


def is_empty(target: Target) -> bool:
    """Return whether nothing lies at a place; looks no deeper than its first level."""
    if isinstance(target, Path):
        return not target.exists() or not any(target.iterdir())
    store = raw_store(target)

    async def first() -> bool:
        async for _ in store.list_dir(""):
            return False
        return True

    return sync(first())


def delete_keys(target: Target, keys: Iterable[str]) -> None:
    """Delete what lies under keys, and nothing else."""
    if isinstance(target, Path):
        for key in keys:
            if not key.endswith("/"):
                (target / key).unlink(missing_ok=True)
        return
    store = raw_store(target)

    async def delete_all() -> None:
        for key in keys:
            await store.delete(key)

    sync(delete_all())


def active_client() -> Any:
    """Return the active client of dask.distributed, None without one."""
    try:
        from distributed import get_client

        return get_client()
    except (ImportError, ValueError):
        return None
