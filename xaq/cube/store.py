"""Write a lazy cube to a Zarr store, complete, extend or replace it, and open it.

The root group holds the cube; the group ``_xaq`` holds what identifies it, and ``records``, one for each block: the
fingerprint of the inputs that the block was made from, and the checksum of the bytes written. A block is recorded after it is
written, and its record is removed before it is written again. So a block whose record has the fingerprint of its inputs is
complete, whatever interrupted the writer; every other block is written again. The last thing written is the manifest, a copy
of everything else.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.errors import BaseZarrError

from ..conventions import LAT, LEAD, LON, REFERENCE_TIME
from ..errors import StoreError, XaqError
from . import manifest
from .blocks import damaged_blocks, fill_blocks
from .contents import (
    COMPLETE,
    CREATING,
    STATUS,
    UNFINISHED,
    Found,
    delete_all,
    expect,
    find,
    forget_blocks,
    own_keys,
    set_status,
    settled,
    sweep,
    write_attributes,
)
from .geozarr import with_geozarr, without_geozarr
from .identity import differences
from .layout import BLOCK_DIMS, STATE, Layout, StoreOptions, block_variables, encoding_of, flags_as_bytes
from .location import (
    StoreLike,
    Target,
    active_client,
    check_writable,
    is_repository,
    only_writer,
    plain,
    raw_store,
    resolve,
    transaction,
)
from .records import delete_broken, read_records
from .replace import check_name, delete_folder, new_name, recover, replace

#: Of what a store holds. Cubes of another format can be opened, and not completed or extended.
_FORMAT = 2


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
    """Write a lazy cube block by block, or complete or extend the cube of an earlier call.

    Parameters
    ----------
    cube : xarray.Dataset
        Lazy; a Dask block becomes a Zarr shard. Dask's threads write blocks in parallel, or the workers of a distributed
        client where one is active.
    store : path, URL, zarr.abc.store.Store or icechunk.Repository
        A folder; a URL that fsspec knows, such as ``s3://bucket/pm25.zarr``; any store object of zarr; or an Icechunk
        repository, with a commit to its main branch for the template, for every 16 blocks and at the end.
    identity : dict
        What identifies the cube whatever its length, ready for JSON. A store with another identity is refused.
    block : (steps, rows, columns)
        Sizes of the Dask blocks; the last ones may be smaller.
    inputs : sequence of int
        For each period, the fingerprint of the inputs of its blocks, not 0.
    options : StoreOptions, optional
    overwrite : bool
        Replace the cube that the store holds. In a folder the new cube is written beside it, gets its name when it is
        complete, and only then is the old one deleted. Other stores cannot rename: there the old cube is deleted first.
    update : bool
        Append steps after the end of the stored cube, and write the blocks again whose inputs have changed.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    xarray.Dataset
        The complete cube, opened from the store (lazy).

    Raises
    ------
    StoreError
        The store holds another cube or something else, another process writes to it, or it cannot be written.
    """
    target = resolve(store)
    writer = _Writer(cube, Layout.of(cube, block), identity, inputs, options or StoreOptions(), progress)
    with store_errors(target):
        done = not overwrite and writer.is_done(target)
        if not done:
            check_writable(store, target)
            if isinstance(target, Path):
                check_name(target)
            if is_repository(target) and active_client() is not None:
                raise StoreError(
                    "a distributed client is active, and only the threads of one process can write to an Icechunk "
                    "repository; fix: close the client, or another store"
                )
    if not done:
        with only_writer(target):
            writer.write(target, overwrite, update)
    with store_errors(target):
        return _open(target, writer.layout)


def check_place(store: StoreLike | None, overwrite: bool, update: bool) -> None:
    """Refuse what is no store, and to replace a cube and to keep it at once."""
    if overwrite and update:
        raise StoreError(
            "overwrite and update exclude each other; fix: update=True keeps the cube, overwrite=True replaces it"
        )
    if store is not None:
        resolve(store)


def open_cube(store: StoreLike) -> xr.Dataset:
    """Open a complete cube (lazy).

    Parameters
    ----------
    store : path, URL or zarr.abc.store.Store
        As it was given to :func:`xaq.reanalyze`.

    Returns
    -------
    xarray.Dataset
        As ``xr.open_zarr`` opens it, in chunks of whole blocks.

    Raises
    ------
    StoreError
        There is no cube at the path, it is not complete, or something of it is missing or damaged. The bytes of blocks are
        not read: :func:`xaq.cube_info` does so with ``verify=True``.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("idw", grid=0.5, store="idw.zarr", progress=False, overwrite=True)
    >>> dict(xaq.open_cube("idw.zarr").pm25.sizes)
    {'time': 48, 'lat': 6, 'lon': 8}
    """
    target = resolve(store, reads=True)
    with store_errors(target):
        found = expect(target)
        raw = raw_store(target, read_only=True)
        whole = manifest.read(raw)
        if found.status != COMPLETE or (whole is None and not manifest.exists(raw)):
            written, total = _progress_of(target)
            raise StoreError(
                f"{target} is unfinished: {written} of {total} blocks; fix: call reanalyze(..., store=...) again to resume"
            )
        damaged = ["the manifest"] if whole is None else manifest.differing(target, whole)
        if damaged:
            shown = ", ".join(damaged[:3]) + (", ..." if len(damaged) > 3 else "")
            raise StoreError(
                f"{target} is damaged: {len(damaged)} file(s) are missing or differ from what was written ({shown}); fix: call "
                "reanalyze(..., store=...) again, which restores them"
            )
        return _open(target, Layout.from_json(found.identity))


def _open(target: Target, layout: Layout) -> xr.Dataset:
    # By whole shards: one file is one task, and whole shards can be written to another store as they are.
    cube = without_geozarr(xr.open_zarr(plain(target), decode_coords="all", chunks=layout.chunks))
    for variable in cube.variables.values():
        if not {LAT, LON} <= set(variable.dims):
            # Series lie in longer shards than blocks; they are small.
            variable.load()
        for name in {"grid_mapping", "bounds"} & variable.encoding.keys():
            # As attributes, so that a copy keeps them whatever its encoding.
            variable.attrs[name] = variable.encoding.pop(name)
    lead = [name for name in cube.data_vars if set(BLOCK_DIMS) <= set(cube[name].dims)]
    order = [*sorted(lead, key=str), *(name for name in cube.data_vars if name not in lead)]
    return xr.Dataset({name: cube[name].variable for name in order}, cube.coords, cube.attrs)


@contextmanager
def store_errors(target: Target, *, computing: bool = False) -> Iterator[None]:
    """Turn the errors of a store, or of damaged metadata in it, into a StoreError that says how to go on.

    While blocks are computed, only errors of input and output are the store's.
    """
    try:
        yield
    except XaqError:
        raise
    except (OSError, MemoryError) as error:
        raise StoreError(
            f"{target}: cannot be written or read ({type(error).__name__}: {error}); finished blocks are kept; fix: call "
            "again to resume"
        ) from error
    except (BaseZarrError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, ImportError) as error:
        if computing:
            raise
        text = " ".join(str(error).split())[:200]
        raise StoreError(
            f"{target}: cannot be opened as a store ({type(error).__name__}: {text}); fix: another path, "
            "or overwrite=True where this is a damaged cube of yours"
        ) from error


def _progress_of(target: Target) -> tuple[int, int]:
    written = read_records(target)[0][..., 0]
    return int((written != 0).sum()), written.size


class _Writer:
    """A lazy cube, and everything that its store is made from."""

    def __init__(
        self,
        cube: xr.Dataset,
        layout: Layout,
        identity: dict[str, Any],
        inputs: Sequence[int],
        options: StoreOptions,
        progress: bool,
    ) -> None:
        # GeoZarr is of Zarr 3; the readers of Zarr 2 in netCDF-C refuse attributes with fields.
        self.cube = with_geozarr(cube) if options.zarr_format == 3 else cube
        self.layout, self.inputs, self.options, self.progress = layout, inputs, options, progress
        self.blocks = [str(name) for name in block_variables(cube)]
        self.shape = tuple(cube.sizes[dim] for dim in BLOCK_DIMS)
        whole = {
            **identity, **layout.identity(), "precision": options.precision, "zarr_format": options.zarr_format,
            "variables": sorted(map(str, cube.variables)), "format": _FORMAT,
        }  # fmt: skip
        self.identity = json.loads(json.dumps(whole))

    # -- what is there ---------------------------------------------------------------------------------------------

    def is_done(self, target: Target) -> bool:
        """Return whether the store holds this very cube, complete and undamaged; needs no permission to write."""
        found = find(target)
        if found is None or found.status != COMPLETE or found.identity != self.identity:
            return False
        whole = manifest.read(raw_store(target, read_only=True))
        if whole is None or manifest.differing(target, whole):
            return False
        root = zarr.open_group(plain(target), mode="r", use_consolidated=False)
        if root[self.blocks[0]].shape != self.shape:
            return False
        return bool((read_records(target)[0][..., 0] == np.asarray(self.inputs, np.uint64)[:, None, None]).all())

    def _check_identity(self, target: Target, found: Found) -> None:
        if found.identity == self.identity:
            return
        root = zarr.open_group(plain(target), mode="r", use_consolidated=False)
        shown = differences(found.identity, self.identity, root, self.cube)
        raise StoreError(f"{target} holds another cube ({shown}); fix: another path, or overwrite=True")

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(self, target: Target, overwrite: bool, update: bool) -> None:
        """Write the cube; its place is locked."""
        # Computed first: what goes wrong here has cost nothing yet.
        self.small = flags_as_bytes(self.cube.drop_vars(self.blocks).compute())
        if not isinstance(target, Path):
            self._complete(target, update, overwrite)
            return
        with store_errors(target):
            recover(target)
            found = find(target) if overwrite else None
            if found is not None:
                own_keys(target, found)
        if found is None:
            self._complete(target, update)
        else:
            self._overwrite(target)

    def _overwrite(self, target: Path) -> None:
        """Write the cube beside the one that it replaces; what an interrupted call has written of it is completed."""
        beside = new_name(target)
        with store_errors(target):
            before = find(beside)
            if before is not None and before.identity != self.identity:
                delete_folder(beside, before)
        self._complete(beside, update=True)
        with store_errors(target):
            replace(target, beside)

    def _complete(self, target: Target, update: bool, overwrite: bool = False) -> None:
        """Create, restore, extend or replace the cube's metadata; then write every block that is not there yet."""
        with store_errors(target), transaction(target, "template") as place:
            found = find(place)
            if found is not None and (overwrite or found.status == CREATING):
                delete_all(place, found)
                found = None
            if found is None:
                self._create(place)
            else:
                self._check_identity(place, settled(place, found))
                if found.status == COMPLETE:
                    self._restore(place)
                delete_broken(place)
                self._extend(place, update)
        with store_errors(target, computing=True):
            fill_blocks(self.cube, target, self.layout, self.inputs, self.options, self.progress)
        with store_errors(target):
            if isinstance(target, Path):
                sweep(target, Found(UNFINISHED, self.identity))
            with transaction(target, "complete") as place:
                self._finish(place)

    def _create(self, target: Target) -> None:
        """Write metadata, the small variables and empty records; the status is "creating" until all of these are written."""
        root = zarr.create_group(
            plain(target), zarr_format=self.options.zarr_format, attributes={STATUS: CREATING}, overwrite=False
        )
        # The names of all variables come first: what lies here is then known to be xaq's.
        state = root.create_group(STATE, attributes={"identity": self.identity})
        names, options = self.blocks, self.options
        encoding = {
            name: {"_FillValue": np.float32(np.nan), **encoding_of(self.layout.dims(name), self.layout, options)}
            for name in names
        }
        template = xr.Dataset({name: self.cube[name].variable for name in names})
        template = template.drop_encoding().assign_attrs({STATUS: CREATING})
        leads = [name for name in (REFERENCE_TIME, LEAD) if name in self.cube.coords]
        for name in names:
            template[name].attrs.update({"precision": options.precision} if options.precision is not None else {})
            template[name].attrs.update({"coordinates": " ".join(leads)} if leads else {})
        template.to_zarr(
            plain(target), compute=False, encoding=encoding, zarr_format=options.zarr_format, consolidated=False,
            mode="a", safe_chunks=False,
        )  # fmt: skip
        self._write_small(
            target, CREATING, mode="a", zarr_format=options.zarr_format,
            # Units of times too: without them they would count from the first time of the cube.
            encoding={str(n): {**self._units(n), **encoding_of(v.dims, self.layout, options)}
                      for n, v in self.small.variables.items() if v.dims},
        )  # fmt: skip
        state.create_array(
            "records", shape=(*self.layout.counts(self.shape), 2), chunks=(1, 1, 1, 2), dtype="uint64", fill_value=0,
            # Not compressed: then every byte counts, and a damaged one is found.
            compressors=None,
        )  # fmt: skip
        set_status(target, UNFINISHED)

    def _write_small(self, target: Target, status: str, **how: Any) -> None:
        """Write coordinates, and variables without all three dimensions: they are small."""
        # Not named as a coordinate of the whole file, but of the variables that it belongs to.
        small = self.small.reset_coords(LEAD) if LEAD in self.small.coords else self.small.copy()
        for key, variable in small.variables.items():
            variable.encoding = self._units(key)
        small.attrs = {STATUS: status}
        small.to_zarr(plain(target), consolidated=False, **how)

    def _units(self, name: Hashable) -> dict[str, Any]:
        """Return the encoding of times and leads, which else count from the first time; coordinates have no fill value."""
        variable = self.cube[name]
        if variable.dtype.kind in "mM":
            return dict(variable.encoding)
        return {"_FillValue": None} if name in self.cube.coords and variable.dtype.kind == "f" else {}

    def _restore(self, target: Target) -> None:
        """Bring back what is missing or damaged of a finished cube; blocks that are damaged are to be written again."""
        whole = manifest.read(raw_store(target))
        if whole is not None and not manifest.differing(target, whole):
            return
        if whole is None:
            # Without the copy, the small variables are written anew, from the cube.
            self._write_small(target, COMPLETE, mode="r+")
        missing = [] if whole is None else manifest.restore(target, whole)
        # Where something is damaged, more may be: every block is read.
        broken = damaged_blocks(target, self.layout)
        if whole is None or missing or broken:
            forget_blocks(target, broken)

    def _extend(self, target: Target, update: bool) -> None:
        """Make the store as long as the cube; refuse changes that need ``update``."""
        root = zarr.open_group(plain(target), mode="r+", use_consolidated=False)
        records, there, here = root[STATE]["records"], root[self.blocks[0]].shape[0], self.shape[0]
        if here < there:
            raise StoreError(
                f"{target} has {there} steps, {here} are asked for; fix: a period that reaches as far, or overwrite=True"
            )
        written = records[..., 0]
        changed = sum(bool((w[w != 0] != i).any()) for w, i in zip(written, self.inputs, strict=False))
        if (changed or here > there) and not update:
            what = (
                f"{changed} period(s) were made from other inputs"
                if changed
                else f"it ends {here - there} step(s) earlier"
            )
            raise StoreError(
                f"{target} holds another cube ({what}); fix: update=True to bring it up to date, another path, or overwrite=True"
            )
        if here == there and not changed and root.attrs[STATUS] == COMPLETE:
            return
        # An earlier call may have been interrupted below: each of these may be repeated.
        set_status(target, UNFINISHED)
        manifest.remove(target)
        self._resize(root, [str(name) for name in self.small.variables])
        self._write_small(target, UNFINISHED, mode="r+")
        # After the labels: while lengths differ nobody reads new steps, which are of 1970 until labels are written.
        self._resize(root, self.blocks)
        records.resize((len(self.inputs), *records.shape[1:]))

    def _resize(self, root: zarr.Group, names: Sequence[str]) -> None:
        """Make the arrays of some variables as long as the cube."""
        for name in names:
            dims, array = self.cube[name].dims, root[name]
            if "time" in dims:
                array.resize(tuple(self.shape[0] if d == "time" else n for d, n in zip(dims, array.shape, strict=True)))

    def _finish(self, target: Target) -> None:
        """Write the cube's attributes and its status, and the manifest last of all: the cube is complete."""
        root = zarr.open_group(plain(target), mode="r+", use_consolidated=False)
        if root.attrs[STATUS] == COMPLETE and manifest.read(raw_store(target)) is not None:
            return
        manifest.remove(target)
        write_attributes(root, self.cube)
        if self.options.consolidated and root.store.supports_consolidated_metadata:
            with warnings.catch_warnings():
                # Zarr warns that version 3 has no standard for it.
                warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
                zarr.consolidate_metadata(plain(target))
        keys = self.layout.keys(self.blocks, self.shape, self.options.zarr_format)
        manifest.write(target, own_keys(target, Found(COMPLETE, self.identity), strict=False), keys)
