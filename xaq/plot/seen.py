"""Which stations a cube was made from: what a figure may call hidden."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..conventions import HIDDEN, STATION
from ..cube.provenance import not_seen, provenance
from ..errors import warn
from ..stations import schema


def used_for(ds: xr.Dataset, made: xr.Dataset) -> list[str]:
    """Return the hidden stations of a conformed dataset that a cube or estimates were made from; none where that is not known."""
    known = provenance(made)
    if "hidden_stations" not in known:
        return []
    ids, hidden = ds[STATION].values.astype(str), schema.hidden_mask(ds)
    listed = np.isin(ids, not_seen(made))
    if not (hidden & ~listed).any():
        return []
    # A cube of a selection does not name the stations that were left out of it.
    if schema.stations_hash(ds.isel({STATION: np.flatnonzero(~hidden & ~listed)})) == known.get("stations_hash"):
        return []
    return sorted(ids[hidden & ~listed].tolist())


def as_made(ds: xr.Dataset, cube: xr.Dataset) -> xr.Dataset:
    """Return a conformed dataset that hides the stations from which a cube was not made, whatever it hid; warn where it hid others.

    A map that draws as hidden what the cube was made from shows an agreement that verifies nothing.
    """
    ids = ds[STATION].values.astype(str)
    hidden = schema.hidden_mask(ds) | np.isin(ids, not_seen(cube))
    if used := used_for(ds, cube):
        warn(
            f"the cube was made from {len(used)} of the stations that are hidden now, {schema.some(used)}: they are drawn as visible; "
            "fix: cube = ds.aq.reanalyze(...), of the dataset that hides them"
        )
        hidden &= ~np.isin(ids, used)
    changed = (hidden != schema.hidden_mask(ds)).any()
    return ds.assign_coords({HIDDEN: (STATION, hidden)}) if changed else ds
