"""What a stored cube is, how much of it is written, and whether it is as it was written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
import zarr

from .._arguments import check_flag
from .._display import html_table
from ..errors import StoreError
from .blocks import read_checksum
from .layout import BLOCK_DIMS, Layout, block_names
from .location import STATE, UNFINISHED, StoreLike, check_ours, only_writer, plain, resolve, set_status


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
        facts += [
            (row["method"], f"MAE {row['mae']:.3g}, RMSE {row['rmse']:.3g} ({row['stations']})")
            for row in p.get("held_out_scores", [])
            if "mae" in row
        ]
        if self.damaged is not None:
            shown = ", ".join(map(str, self.damaged[:5])) + (", ..." if len(self.damaged) > 5 else "")
            intact = f"all {self.written} written blocks are as written"
            facts.append(("damaged blocks", shown) if self.damaged else ("checked", intact))
        return facts


def cube_info(store: StoreLike, *, verify: bool = False, forget: bool = False) -> CubeInfo:
    """Return what a stored cube is and, with ``verify``, which of its blocks are damaged.

    Parameters
    ----------
    store : path, URL or zarr.abc.store.Store
        Of a cube, finished or not.
    verify : bool
        Read every written block and compare its checksum.
    forget : bool
        Delete the records of damaged blocks, so that the call that wrote the cube writes them again.

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
    target = resolve(store)
    check_ours(target)
    root = zarr.open_group(plain(target), mode="r", use_consolidated=False)
    records = root[STATE]["records"][:]
    damaged = None
    if verify:
        layout = Layout.from_json(root[STATE].attrs["identity"])
        names = block_names(root)
        damaged = [
            tuple(map(int, index))
            for index in np.argwhere(records[..., 0])
            if read_checksum(root, names, layout.region(index.tolist(), root[names[0]].shape))
            != records[tuple(index)][1]
        ]
        if forget and damaged:
            with only_writer(target):
                for index in damaged:
                    zarr.open_group(plain(target), mode="r+", path=STATE)["records"][index] = 0
                set_status(target, UNFINISHED)
    attrs = dict(root.attrs)
    opened = xr.open_zarr(plain(target), consolidated=False)
    times = opened["time"].values
    return CubeInfo(
        name=str(target),
        title=str(attrs.get("title", "")),
        written=int((records[..., 0] != 0).sum()),
        blocks=int(np.prod(records.shape[:3])),
        sizes={d: opened.sizes[d] for d in BLOCK_DIMS},
        period=(str(times[0].astype("datetime64[s]")), str(times[-1].astype("datetime64[s]"))),
        provenance=json.loads(attrs.get("xaq_provenance", "{}")),
        damaged=damaged,
    )
