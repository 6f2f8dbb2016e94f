"""The writer: a template, blocks, and a stamp per block. It knows no model and no stations.

A store holds the cube in its root group and, in the group ``_xaq``, the identity of the cube and an array of stamps:
for each block, the fingerprint of what it was made from and the checksum of what was written. A block is stamped after
it is written, and its stamp is taken away before it is written anew; so a block whose stamp is that of its inputs is
whole, whatever happened in between, and everything else is written once more.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import dask
import google_crc32c
import numpy as np
import xarray as xr
import zarr
from dask.callbacks import Callback
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from zarr.abc.store import Store
from zarr.codecs import BloscCodec
from zarr.errors import GroupNotFoundError

from .errors import StoreError
from .progress import progress_bar
from .tables import html_table

_STATE, _STATUS = "_xaq", "xaq_status"
_CREATING, _COMPLETE = "creating", "complete"
_UNFINISHED = "unfinished: blocks that are not written yet read as missing"
_BLOCK_DIMS = ("time", "lat", "lon")
#: Longest edges of an inner chunk: 192 x 36 x 36 float32 are 1 MB. A map of 25,000 cells is 20 of them, a year of
#: hours at a point 46; both are read in a blink.
_CHUNK_STEPS, _CHUNK_CELLS = 192, 36

#: Steps of a shard of what has no blocks, such as the times themselves.
_SMALL_STEPS = 16_384

StoreLike: TypeAlias = str | os.PathLike | Store
#: A path on this machine, a URL, a store object, or an Icechunk repository.
Target: TypeAlias = Any
#: Of an Icechunk repository.
_BRANCH, _BLOCKS_PER_COMMIT = "main", 16


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
    """Write a lazy cube block by block, completing or extending what an earlier call began.

    Parameters
    ----------
    cube : xarray.Dataset
        Lazy; a Dask block becomes a Zarr shard. Blocks are written side by side by Dask's scheduler: threads, or the
        workers of a distributed client where one is active.
    store : path, URL, zarr.abc.store.Store or icechunk.Repository
        A folder; a URL that fsspec knows, such as ``s3://bucket/pm25.zarr``; any store object of zarr; or an Icechunk
        repository, to whose main branch a commit is made for the template, for every 16 blocks and in the end.
    identity : dict
        JSON-ready; what makes this cube this cube, whatever its length. A store with another identity is refused.
    block : (steps, rows, columns)
        Of the Dask blocks; the last ones may be smaller.
    inputs : sequence of int
        Fingerprint, not 0, of what the blocks of each period are made from.
    options : StoreOptions, optional
    overwrite : bool
        Delete what the store holds first.
    update : bool
        Append steps after the end of the stored cube, and write blocks anew whose inputs have changed.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    xarray.Dataset
        The finished cube, reopened from the store (lazy).

    Raises
    ------
    StoreError
        The store holds another cube or something else, another process writes to it, or it cannot be written.
    """
    options = options or StoreOptions()
    target = _resolve(store)
    if _is_repository(target) and _client() is not None:
        raise StoreError(
            "an Icechunk repository is written by the threads of one process, and a distributed client is active; "
            "mend: close the client, or another store"
        )
    layout = _Layout.of(cube, block)
    whole = {**identity, **layout.identity(), "precision": options.precision, "zarr_format": options.zarr_format}
    whole = json.loads(json.dumps(whole))
    try:
        with _only_writer(target):
            with _transaction(target, "template") as place:
                if overwrite:
                    _delete(place)
                if _status(place) in (None, _CREATING):
                    _create(cube, place, layout, whole, options)
                else:
                    _check_identity(place, whole)
                    _extend(cube, place, inputs, update)
            _fill(cube, target, layout, inputs, options, progress)
            _sweep(target)
            with _transaction(target, "complete") as place:
                _finish(cube, place, options)
    except (OSError, MemoryError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{_name(target)}: cannot be written ({type(error).__name__}: {error}); what is finished is kept, call again to resume"
        ) from error
    return open_cube(store)


def open_cube(store: StoreLike) -> xr.Dataset:
    """Open a finished cube (lazy).

    Parameters
    ----------
    store : path, URL or zarr.abc.store.Store
        As it was given to :func:`xaq.reanalyze`.

    Returns
    -------
    xarray.Dataset
        As ``xr.open_zarr`` gives it; any other tool may open it too.

    Raises
    ------
    StoreError
        There is no cube at the path, or it is not finished.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("idw", grid=0.5, store="idw.zarr", progress=False, overwrite=True)
    >>> dict(xaq.open_cube("idw.zarr").pm25.sizes)
    {'time': 48, 'lat': 6, 'lon': 8}
    """
    target = _resolve(store)
    _check_ours(target)
    written, total = _progress_of(target)
    if written < total or _status(target) != _COMPLETE:
        raise StoreError(
            f"{_name(target)} is unfinished: {written} of {total} blocks; mend: call reanalyze(..., store=...) again to resume"
        )
    # By whole shards: what one file holds is one task.
    layout = _Layout.from_json(zarr.open_group(_plain(target), mode="r", path=_STATE).attrs["identity"])
    cube = xr.open_zarr(_plain(target), decode_coords="all", chunks=dict(zip(_BLOCK_DIMS, layout.block, strict=True)))
    lead = [name for name in cube.data_vars if set(_BLOCK_DIMS) <= set(cube[name].dims)]
    order = [*sorted(lead, key=str), *(name for name in cube.data_vars if name not in lead)]
    return xr.Dataset({name: cube[name].variable for name in order}, cube.coords, cube.attrs)


@dataclass(frozen=True, repr=False)
class CubeInfo:
    """What a stored cube is: how much of it is done, by which model, how accurate; its text is for people.

    Attributes
    ----------
    name : str
        Path or URL of the store.
    title : str
        Of the cube.
    written, blocks : int
        Blocks that are done, and all there are.
    sizes : dict of str to int
        Steps and cells: ``time``, ``lat``, ``lon``.
    period : (first, last)
        Times, as text.
    provenance : dict
        Model, stations, settings and hidden-station scores, as in the cube's attribute ``xaq_provenance``.
    damaged : list of (time, lat, lon), optional
        Indices of blocks whose values are not those that were written; None where they were not looked at.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("idw", grid=0.5, store="idw.zarr", progress=False, overwrite=True)
    >>> info = xaq.cube_info("idw.zarr")
    >>> info.written == info.blocks, info.provenance["method"]
    (True, 'idw')
    """

    name: str
    title: str
    written: int
    blocks: int
    sizes: dict[str, int]
    period: tuple[str, str]
    provenance: dict[str, Any]
    damaged: list[tuple[int, ...]] | None = None

    def __repr__(self) -> str:
        body = "\n".join(f"  {head}: {text}" for head, text in self._facts())
        return f"{self.name}: {self.title}\n{body}"

    def _repr_html_(self) -> str:
        return html_table(f"cube {self.name}: {self.title}", self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        """Return what is known of the cube, as names and texts."""
        p = self.provenance
        facts = [
            (
                "state",
                "complete" if self.written == self.blocks else f"unfinished, {self.written} of {self.blocks} blocks",
            ),
            ("size", ", ".join(f"{k} {v}" for k, v in self.sizes.items())),
            ("period", f"{self.period[0]} .. {self.period[1]}"),
            (
                "made by",
                f"{p.get('method')} {str(p.get('model_hash'))[:12]}, {p.get('visible_stations')} stations, xaq {p.get('xaq_version')}",
            ),
        ]
        facts += [
            (row["method"], f"MAE {row['mae']:.3g}, RMSE {row['rmse']:.3g} ({row['stations']})")
            for row in p.get("certificate", [])
            if "mae" in row
        ]
        if self.damaged is not None:
            shown = ", ".join(map(str, self.damaged[:5])) + (", ..." if len(self.damaged) > 5 else "")
            intact = f"all {self.written} written blocks are as written"
            facts.append(("damaged blocks", shown) if self.damaged else ("checked", intact))
        return facts


def cube_info(store: StoreLike, *, verify: bool = False, forget: bool = False) -> CubeInfo:
    """Say what a stored cube is, and whether it is as it was written.

    Parameters
    ----------
    store : path, URL or zarr.abc.store.Store
        Of a cube, finished or not.
    verify : bool
        Read every written block and compare its checksum.
    forget : bool
        Take the stamps of damaged blocks away: the call that wrote the cube then writes them once more.

    Returns
    -------
    CubeInfo
        Printed, or shown by Jupyter, as a table. Reads metadata, and with ``verify`` every block.

    Raises
    ------
    StoreError
        There is no cube.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("idw", grid=0.5, store="idw.zarr", progress=False, overwrite=True)
    >>> xaq.cube_info("idw.zarr", verify=True).damaged
    []
    """
    target = _resolve(store)
    _check_ours(target)
    root = zarr.open_group(_plain(target), mode="r", use_consolidated=False)
    stamps = root[_STATE]["stamps"][:]
    damaged = None
    if verify:
        layout = _Layout.from_json(root[_STATE].attrs["identity"])
        names = _block_names(root)
        damaged = [
            tuple(map(int, index))
            for index in np.argwhere(stamps[..., 0])
            if _read_checksum(root, names, layout.region(index.tolist(), root[names[0]].shape))
            != stamps[tuple(index)][1]
        ]
        if forget and damaged:
            with _only_writer(target):
                for index in damaged:
                    zarr.open_group(_plain(target), mode="r+", path=_STATE)["stamps"][index] = 0
                _set_status(target, _UNFINISHED)
    attrs = dict(root.attrs)
    opened = xr.open_zarr(_plain(target), consolidated=False)
    times = opened["time"].values
    return CubeInfo(
        name=_name(target),
        title=str(attrs.get("title", "")),
        written=int((stamps[..., 0] != 0).sum()),
        blocks=int(np.prod(stamps.shape[:3])),
        sizes={d: opened.sizes[d] for d in _BLOCK_DIMS},
        period=(str(times[0].astype("datetime64[s]")), str(times[-1].astype("datetime64[s]"))),
        provenance=json.loads(attrs.get("xaq_provenance", "{}")),
        damaged=damaged,
    )


# -- where ---------------------------------------------------------------------------------------------------------


def _resolve(store: StoreLike) -> Target:
    """Return a path for what is on this machine's file system, else the URL, store object or repository as it is."""
    if isinstance(store, Store) or _is_repository(store):
        return store
    text = os.fspath(store)
    if "://" in text:
        return text
    path = Path(text).absolute()
    if path.is_file():
        raise StoreError(f"{path} is a file, expected a folder or nothing; mend: another path")
    return path


def _is_repository(store: Any) -> bool:
    """Return whether this is an Icechunk repository, without importing it."""
    return hasattr(store, "writable_session")


def _plain(target: Target) -> Any:
    """Return what zarr can open; of a repository, the last commit."""
    if _is_repository(target):
        return target.readonly_session(_BRANCH).store
    return str(target) if isinstance(target, Path) else target


@contextmanager
def _transaction(target: Target, message: str) -> Iterator[Target]:
    """Yield where to write; in a repository, what was written becomes one commit."""
    if not _is_repository(target):
        yield target
        return
    session = target.writable_session(_BRANCH)
    yield session.store
    if session.has_uncommitted_changes:
        session.commit(f"xaq: {message}")


def _name(target: Target) -> str:
    return str(target)


@contextmanager
def _only_writer(target: Target) -> Iterator[None]:
    """Keep other processes of this machine from writing to the same folder; the lock dies with its process."""
    if not isinstance(target, Path):
        yield
        return
    if not target.parent.is_dir():
        raise StoreError(f"no such folder: {target.parent}; mend: create it first")
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StoreError(f"{target} is being written by another process; mend: wait for it, or another path") from error
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({error})") from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _sweep(target: Target) -> None:
    """Delete what killed writers left: zarr writes a file under another name first, and then renames it."""
    if isinstance(target, Path):
        for left in target.rglob("*.partial"):
            left.unlink(missing_ok=True)


def _status(target: Target) -> str | None:
    """Return the status of what is at the target, None where there is nothing; refuse what is not xaq's."""
    try:
        status = zarr.open_group(_plain(target), mode="r", use_consolidated=False).attrs.get(_STATUS)
    except (GroupNotFoundError, FileNotFoundError) as error:
        if isinstance(target, Path) and target.exists() and any(target.iterdir()):
            raise _not_ours(target) from error
        return None
    if status is None:
        raise _not_ours(target)
    return str(status)


def _not_ours(target: Target) -> StoreError:
    return StoreError(f"{_name(target)} exists and is no cube of xaq's; mend: another path")


def _check_ours(target: Target) -> None:
    status = _status(target)
    if status is None:
        raise StoreError(f"no store at {_name(target)}")
    if status == _CREATING:
        raise StoreError(f"{_name(target)} was hardly begun; mend: call reanalyze(..., store=...) again")


def _set_status(target: Target, status: str) -> None:
    zarr.open_group(_plain(target), mode="r+", use_consolidated=False).attrs[_STATUS] = status


def _delete(target: Target) -> None:
    """Delete a cube of ours. A folder is renamed first: a process killed meanwhile leaves no half store under its name."""
    if _status(target) is None:
        return
    if not isinstance(target, Path):
        zarr.open_group(target, mode="w", attributes={_STATUS: _CREATING})
        return
    path = target.resolve()
    doomed = path.with_name(f".{path.name}.{uuid4().hex}.deleted")
    path.rename(doomed)
    shutil.rmtree(doomed)


# -- the layout ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """Blocks of equal size, counted from the first step, row and column; ``chunk`` divides ``block``."""

    block: tuple[int, int, int]
    chunk: tuple[int, int, int]
    start: str
    step_seconds: int

    @classmethod
    def of(cls, cube: xr.Dataset, sizes: tuple[int, int, int]) -> _Layout:
        """Settle the chunks inside blocks of the given sizes. A cube may grow in time, so no block holds all of that."""
        steps = _edges(sizes[0], None, _CHUNK_STEPS)
        cells = [_edges(n, cube.sizes[d], _CHUNK_CELLS) for d, n in zip(_BLOCK_DIMS[1:], sizes[1:], strict=True)]
        block, chunk = zip(steps, *cells, strict=True)
        bounds = cube["time_bnds"].values[0].astype("datetime64[s]")
        step = int((bounds[1] - bounds[0]) / np.timedelta64(1, "s"))
        return cls(block, chunk, str(bounds[0]), step)

    @classmethod
    def from_json(cls, identity: dict[str, Any]) -> _Layout:
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


# -- the template --------------------------------------------------------------------------------------------------


def _create(cube: xr.Dataset, target: Target, layout: _Layout, identity: dict[str, Any], options: StoreOptions) -> None:
    """Write metadata, what is small, and empty stamps; the status says "creating" until all of it is there."""
    zarr.open_group(_plain(target), mode="w", zarr_format=options.zarr_format, attributes={_STATUS: _CREATING})
    names = [str(n) for n in _block_variables(cube)]
    encoding = {name: {"_FillValue": np.float32(np.nan), **_encoding(_BLOCK_DIMS, layout, options)} for name in names}
    template = (
        xr.Dataset({name: cube[name].variable for name in names}).drop_encoding().assign_attrs({_STATUS: _CREATING})
    )
    for name in names if options.precision is not None else ():
        template[name].attrs["precision"] = options.precision
    template.to_zarr(
        _plain(target), compute=False, encoding=encoding, zarr_format=options.zarr_format, consolidated=False, mode="a",
        safe_chunks=False,
    )  # fmt: skip
    small = {str(n): v.dims for n, v in cube.variables.items() if str(n) not in names and v.dims}
    _write_small(
        cube, target, mode="a", zarr_format=options.zarr_format,
        encoding={name: _encoding(dims, layout, options) for name, dims in small.items()},
    )  # fmt: skip
    state = zarr.open_group(_plain(target), mode="a", zarr_format=options.zarr_format).create_group(
        _STATE, attributes={"identity": identity}, overwrite=True
    )
    counts = layout.counts([cube.sizes[d] for d in _BLOCK_DIMS])
    state.create_array("stamps", shape=(*counts, 2), chunks=(1, 1, 1, 2), dtype="uint64", fill_value=0)
    _set_status(target, _UNFINISHED)


def _encoding(dims: Sequence[Hashable], layout: _Layout, options: StoreOptions) -> dict[str, Any]:
    """Return chunks, shards and compression of a variable. All variables agree, so that ``ds.chunks`` does."""
    chunk = dict(zip(_BLOCK_DIMS, layout.chunk, strict=True))
    shard = dict(zip(_BLOCK_DIMS, layout.block, strict=True))
    if set(dims) != set(_BLOCK_DIMS):
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


def _write_small(cube: xr.Dataset, target: Target, **how: Any) -> None:
    """Write coordinates, and variables without all three dimensions: they are small."""
    small = cube.drop_vars(list(_block_variables(cube))).compute()
    for key, variable in small.variables.items():
        variable.encoding = dict(cube[key].encoding) if key in ("time", "time_bnds") else {}
    small.attrs = {_STATUS: _CREATING}
    small.to_zarr(_plain(target), consolidated=False, **how)


def _block_variables(cube: xr.Dataset) -> list[Hashable]:
    return [name for name in cube.data_vars if set(_BLOCK_DIMS) == set(cube[name].dims)]


def _block_names(root: zarr.Group) -> list[str]:
    return sorted(name for name, array in root.arrays() if array.ndim == len(_BLOCK_DIMS))


def _check_identity(target: Target, wanted: dict[str, Any]) -> None:
    found = dict(zarr.open_group(_plain(target), mode="r", path=_STATE, use_consolidated=False).attrs)["identity"]
    differing = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
    if differing:
        shown = "; ".join(f"{k}: {_short(found.get(k))} there, {_short(wanted.get(k))} here" for k in differing[:4])
        raise StoreError(f"{_name(target)} holds another cube ({shown}); mend: another path, or overwrite=True")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _extend(cube: xr.Dataset, target: Target, inputs: Sequence[int], update: bool) -> None:
    """Make the store as long as the cube, or refuse what only an update may change."""
    root = zarr.open_group(_plain(target), mode="r+", use_consolidated=False)
    names, stamps = _block_names(root), root[_STATE]["stamps"]
    there, here = root[names[0]].shape[0], cube.sizes["time"]
    if here < there:
        raise StoreError(
            f"{_name(target)} has {there} steps, {here} are asked for; mend: a period that reaches as far, or overwrite=True"
        )
    written = stamps[..., 0]
    changed = sum(bool((w[w != 0] != i).any()) for w, i in zip(written, inputs, strict=False))
    if (changed or here > there) and not update:
        what = (
            f"{changed} periods were made from other observations"
            if changed
            else f"it ends {here - there} steps earlier"
        )
        raise StoreError(
            f"{_name(target)} holds another cube ({what}); mend: update=True to bring it up to date, another path, or overwrite=True"
        )
    if here == there and not changed and _status(target) == _COMPLETE:
        return
    # Once more where an earlier call was cut off in here: each step may be repeated.
    _set_status(target, _UNFINISHED)
    for name, variable in cube.variables.items():
        if variable.dims[:1] == ("time",):
            root[str(name)].resize((here, *root[str(name)].shape[1:]))
    stamps.resize((len(inputs), *stamps.shape[1:]))
    _write_small(cube, target, mode="r+")


# -- blocks --------------------------------------------------------------------------------------------------------


def _fill(
    cube: xr.Dataset,
    target: Target,
    layout: _Layout,
    inputs: Sequence[int],
    options: StoreOptions,
    progress: bool,
) -> None:
    """Compute, check, write and stamp each block whose stamp is not that of its inputs."""
    stamps = zarr.open_group(_plain(target), mode="r", path=_STATE, use_consolidated=False)["stamps"][..., 0]
    pending = np.argwhere(stamps != np.asarray(inputs, np.uint64)[:, None, None])
    if not len(pending):
        return
    per_commit = _BLOCKS_PER_COMMIT if _is_repository(target) else len(pending)
    names = sorted(str(n) for n in _block_variables(cube))
    _check_labels(cube, target)
    shape = tuple(cube.sizes[d] for d in _BLOCK_DIMS)
    # As they are: optimised one by one, they would no longer share what they are all made from.
    blocks = {name: cube[name].transpose(*_BLOCK_DIMS).data.to_delayed(optimize_graph=False) for name in names}
    write = dask.delayed(_write_block, pure=False)

    def task(place: Target, index: NDArray) -> Any:
        return write(
            place, names, tuple(map(int, index)), layout.region(index.tolist(), shape), int(inputs[index[0]]),
            options.precision, *(blocks[name][tuple(index)] for name in names),
        )  # fmt: skip

    bar = {"total": stamps.size, "initial": stamps.size - len(pending), "unit": "block", "disable": not progress}
    with progress_bar(desc=f"writing {_name(target).rsplit('/', 1)[-1]}", **bar) as shown:
        for i in range(0, len(pending), per_commit):
            group = pending[i : i + per_commit]
            with _transaction(target, f"blocks {group[0].tolist()} .. {group[-1].tolist()}") as place:
                _compute([task(place, index) for index in group], shown.update)


def _compute(tasks: list[Any], done: Callable[[], Any]) -> None:
    """Run tasks on the workers of an active distributed client, else on Dask's threads; call ``done`` after each."""
    client = _client()
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


def _client() -> Any:
    """Return the active client of dask.distributed, if there is one."""
    try:
        from distributed import get_client

        return get_client()
    except (ImportError, ValueError):
        return None


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
    """Write one block of every variable, then its stamp."""
    root = zarr.open_group(_plain(target), mode="r+", use_consolidated=False)
    stamps = root[_STATE]["stamps"]
    expected = tuple(s.stop - s.start for s in region)
    wrong = [f"{n} is {a.shape}" for n, a in zip(names, arrays, strict=True) if a.shape != expected]
    if wrong:
        raise StoreError(f"block {index}: {', '.join(wrong)}, its place is {expected}")
    if stamps[index][0]:
        stamps[index] = 0
    rounded = [np.ascontiguousarray(_round(a, precision)) for a in arrays]
    for name, values in zip(names, rounded, strict=True):
        # Whether a chunk is empty is not asked: that would read every value twice, and hardly any is.
        root[name].with_config({"write_empty_chunks": True})[region] = values
    stamps[index] = np.array([fingerprint, _checksum(rounded)], np.uint64)


def _round(values: NDArray[np.float32], precision: float | None) -> NDArray[np.float32]:
    """Round to multiples of the largest power of two not above the precision: the last bits become zeros."""
    if precision is None:
        return values
    step = np.float32(2.0 ** math.floor(math.log2(precision)))
    return np.round(values / step) * step


def _checksum(arrays: Sequence[NDArray[np.float32]]) -> int:
    value = 0
    for array in arrays:
        value = google_crc32c.extend(value, array.reshape(-1).view(np.uint8))
    return value


def _read_checksum(root: zarr.Group, names: Sequence[str], region: tuple[slice, ...]) -> int:
    """Return the checksum of a block as it is stored; -1 where it cannot be read."""
    try:
        return _checksum([np.ascontiguousarray(root[name][region]) for name in names])
    except Exception:  # whatever a codec says of bytes that are not its own
        return -1


def _check_labels(cube: xr.Dataset, target: Target) -> None:
    """Refuse to write blocks under labels that are not theirs."""
    stored = xr.open_zarr(_plain(target), consolidated=False, chunks=None)
    for dim in _BLOCK_DIMS:
        if not np.array_equal(cube[dim].values, stored[dim].values):
            raise StoreError(f"{_name(target)}: the {dim} labels of the cube are not those of the store")


def _progress_of(target: Target) -> tuple[int, int]:
    stamps = zarr.open_group(_plain(target), mode="r", path=_STATE, use_consolidated=False)["stamps"][..., 0]
    return int((stamps != 0).sum()), stamps.size


def _finish(cube: xr.Dataset, target: Target, options: StoreOptions) -> None:
    """Say that the cube is complete, last of all."""
    if _status(target) == _COMPLETE:
        return
    root = zarr.open_group(_plain(target), mode="r+", use_consolidated=False)
    attrs = json.loads(json.dumps(cube.attrs))
    if (before := root.attrs.get("history")) and before != attrs.get("history"):
        attrs["history"] = f"{attrs['history']}\n{before}"
    root.attrs.update({**attrs, _STATUS: _COMPLETE})
    if options.consolidated and root.store.supports_consolidated_metadata:
        with warnings.catch_warnings():
            # Zarr warns that version 3 has no standard for it.
            warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
            zarr.consolidate_metadata(_plain(target))
