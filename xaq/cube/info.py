"""What a stored cube is, how much of it is written, and whether it is as it was written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import xarray as xr
import zarr

from .._arguments import check_flag
from .._display import html_table
from ..errors import StoreError
from . import manifest
from .blocks import damaged_blocks
from .contents import COMPLETE, expect, forget_blocks
from .layout import BLOCK_DIMS, Layout
from .location import StoreLike, only_writer, plain, raw_store, resolve
from .records import read_records
from .store import store_errors


@dataclass(frozen=True, repr=False)
class CubeInfo:
    """What a stored cube is: how much of it is written, by which model, how accurate. Its repr is a table.

    Attributes
    ----------
    name : str
        Path or URL of the store.
    title : str
        Of the cube.
    written, blocks : int
        Blocks that are written, and all blocks.
    sizes : dict of str to int
        Steps and cells: ``time``, ``lat``, ``lon``.
    period : (first, last)
        First and last time, as text.
    provenance : dict
        Model, stations, settings and held-out scores, as in the cube's attribute ``xaq_provenance``.
    damaged : list of (time, lat, lon), optional
        Indices of blocks whose checksum differs from their record; None where blocks were not verified.
    damaged_files : list of str, optional
        What is missing of a complete cube, and which of its metadata, coordinates and small variables differ from what was
        written; None where they were not verified.

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
    damaged_files: list[str] | None = None

    def __repr__(self) -> str:
        body = "\n".join(f"  {head}: {text}" for head, text in self._facts())
        return f"{self.name}: {self.title}\n{body}"

    def _repr_html_(self) -> str:
        return html_table(f"cube {self.name}: {self.title}", self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        """Return the rows of the table, as names and texts."""
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
        # The scores are those of training: a cube of a dataset in which nothing is hidden uses these stations too.
        used = "" if p.get("hidden_stations") else " in training, none from this cube"
        facts += [
            (row["method"], f"MAE {row['mae']:.3g}, RMSE {row['rmse']:.3g} ({row['stations']}{used})")
            for row in p.get("held_out_scores", [])
            if "mae" in row
        ]
        if self.damaged is not None:
            shown = ", ".join(map(str, self.damaged[:5])) + (", ..." if len(self.damaged) > 5 else "")
            intact = f"all {self.written} written blocks are as written"
            facts.append(("damaged blocks", shown) if self.damaged else ("checked", intact))
        if self.damaged_files:
            more = ", ..." if len(self.damaged_files) > 5 else ""
            facts.append(("damaged files", ", ".join(self.damaged_files[:5]) + more))
        return facts


def cube_info(store: StoreLike, *, verify: bool = False, forget: bool = False) -> CubeInfo:
    """Return what a stored cube is and, with ``verify``, which of its blocks are damaged.

    Parameters
    ----------
    store : path, URL or zarr.abc.store.Store
        Of a cube, finished or not.
    verify : bool
        Read every written block, the metadata and the small variables, and compare their checksums.
    forget : bool
        Delete the records of damaged blocks, so that the call that wrote the cube writes them again; verifies too.

    Returns
    -------
    CubeInfo
        Reads metadata, and with ``verify`` every block.

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
    verify, forget = (check_flag(verify, "verify", error=StoreError), check_flag(forget, "forget", error=StoreError))
    verify = verify or forget
    target = resolve(store, reads=True)
    with store_errors(target):
        found = expect(target)
        whole = manifest.read(raw_store(target, read_only=True)) if found.status == COMPLETE else None
        # A copy that is intact is read in place of what may be damaged.
        metadata = plain(target) if whole is None else whole.store()
        files, damaged = None, None
        if verify:
            if whole is not None:
                files = manifest.differing(target, whole)
            else:
                files = ["_xaq/manifest"] if found.status == COMPLETE else []
            damaged = damaged_blocks(target, Layout.from_json(found.identity), metadata)
            if forget and damaged:
                with only_writer(target):
                    if whole is not None:
                        # Its copy is about to be deleted.
                        manifest.restore(target, whole)
                    forget_blocks(target, damaged)
        attrs = dict(zarr.open_group(metadata, mode="r", use_consolidated=False).attrs)
        records = read_records(target, metadata)[0][..., 0]
        opened = xr.open_zarr(metadata, consolidated=False)
        times = opened["time"].values.astype("datetime64[s]")
        return CubeInfo(
            name=str(target),
            title=str(attrs.get("title", "")),
            written=int((records != 0).sum()),
            blocks=records.size,
            sizes={d: opened.sizes[d] for d in BLOCK_DIMS},
            period=(str(times[0]), str(times[-1])),
            provenance=json.loads(attrs.get("xaq_provenance", "{}")),
            damaged=damaged,
            damaged_files=files,
        )
