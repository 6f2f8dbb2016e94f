"""What differs between the cube that a store holds and the one that a call asks for, in words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from ..conventions import LAT, LON

#: What users call the parts of an identity that have another name there.
_NAMES = {
    "interval_level": "level", "max_distance_km": "max_distance", "init_time": "init", "step_seconds": "step in seconds",
    "model_hash": "model",
}  # fmt: skip
#: How many differences are shown.
_SHOWN = 4


def differences(there: dict[str, Any], here: dict[str, Any], root: zarr.Group, cube: xr.Dataset) -> str:
    """Return the differences between two identities, with the value there and the value here.

    Parameters
    ----------
    there, here : dict
        Identity of the stored cube, and of the one that is asked for.
    root : zarr.Group
        The stored cube, whose axes and attributes say what hashes do not.
    cube : xarray.Dataset
        The one that is asked for. Computes its axes.
    """
    names = sorted(name for name in {*there, *here} if there.get(name) != here.get(name))
    if "grid" in names:
        # Sizes of blocks and of chunks follow from it.
        names = ["grid", *(name for name in names if name not in ("grid", "block", "chunk"))]
    texts = []
    for name in names[:_SHOWN]:
        if name == "grid":
            text = _of_grids(root, cube)
        elif name == "stations_hash":
            text = _of_stations(root, cube)
        else:
            text = f"{_NAMES.get(name, name)}: {_short(there.get(name))} there, {_short(here.get(name))} here"
        texts.append(text)
    return "; ".join(texts)


def _of_grids(root: zarr.Group, cube: xr.Dataset) -> str:
    if not {LON, LAT} <= {*root.array_keys()}:
        return "another grid"
    there = [np.asarray(root[name][:], float) for name in (LON, LAT)]
    here = [cube[name].values.astype(float) for name in (LON, LAT)]
    spacings = [_spacing(axes) for axes in (there, here)]
    if spacings[0] != spacings[1]:
        return f"grid: {spacings[0]} there, {spacings[1]} here"
    return f"grid: {_extent(there)} there, {_extent(here)} here"


def _spacing(axes: list[NDArray[np.float64]]) -> str:
    """Return the spacing of a grid in degrees; of its two axes where they differ."""
    # An axis of one cell has none.
    found = [f"{np.median(np.diff(axis)):.5g}" for axis in axes if len(axis) > 1]
    return " x ".join(dict.fromkeys(found)) or "one cell"


def _extent(axes: list[NDArray[np.float64]]) -> str:
    lon, lat = axes
    return f"{lon[0]:.7g}..{lon[-1]:.7g} E, {lat[0]:.7g}..{lat[-1]:.7g} N in {len(lat)} x {len(lon)} cells"


def _of_stations(root: zarr.Group, cube: xr.Dataset) -> str:
    """Return the numbers of visible stations; a cube that is not complete does not know its own."""
    numbers = [
        json.loads(str(attrs.get("xaq_provenance", "{}"))).get("visible_stations") for attrs in (root.attrs, cube.attrs)
    ]
    if None in numbers:
        return "visible stations: another list there than here"
    if numbers[0] == numbers[1]:
        return f"visible stations: {numbers[0]} there, as many here, with other ids or places"
    return f"visible stations: {numbers[0]} there, {numbers[1]} here"


def _short(value: Any) -> str:
    """Return a value as users write it; of a hash, its first twelve characters."""
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value)
    is_hash = len(text) >= 32 and all(c in "0123456789abcdef" for c in text)
    if is_hash:
        return text[:12]
    return text if len(text) <= 60 else text[:57] + "..."
