"""The border: what a station dataset is.

One Dataset with dimensions ``(station, time)``: coordinates ``lon`` and ``lat`` in degrees, optional ``elevation``,
``hidden`` after :func:`hide`; a variable per pollutant with ``units``; UTC times on one regular step, each labelling
the start of its interval; CF discrete-sampling attributes. :func:`conform` is the first line of every public verb.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..arrays import sphere
from ..conventions import HIDDEN, LAT, LON, ROLE_CF, STATION
from ..errors import SchemaError, XaqWarning
from .schema import conform, some


def hide(
    ds: xr.Dataset,
    stations: Sequence[str] | None = None,
    *,
    fraction: float | None = None,
    blocks: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Hide stations: never trained on, never a neighbour, only for verification.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset.
    stations : sequence of str, optional
        Hide these.
    fraction : float, optional
        Hide this share of the stations, drawn at random. Default 0.15 when ``stations`` is not given.
    blocks : int, optional
        Hide neighbourhoods instead of single stations: this many seeds are drawn, and their nearest stations hidden
        until the fraction is reached. Use it where stations are clustered and random hiding would be too easy.
    seed : int
        Of the draw.

    Returns
    -------
    xarray.Dataset
        The same data with a boolean coordinate ``hidden(station)``, in place of an earlier choice. Lazy: no data variable is computed.
        Stations closer than 50 m to a hidden one are hidden with it.

    Raises
    ------
    SchemaError
        Unknown station ids, both ways of choosing given, or a share that leaves nothing to hide or to see.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=20, days=3)
    >>> int(ds.aq.hide(fraction=0.2, seed=1).hidden.sum())
    4
    """
    ds = conform(ds)
    ids = ds[STATION].to_index()
    group = sphere.colocated_groups(ds[LON].values, ds[LAT].values)
    if stations is not None:
        if fraction is not None or blocks is not None:
            raise SchemaError("stations= and fraction=/blocks= both choose what to hide; fix: pass one of them")
        wanted = [stations] if isinstance(stations, str) else [str(s) for s in stations]
        known = {str(s): i for i, s in enumerate(ids)}
        unknown = [s for s in wanted if s not in known]
        if unknown:
            raise SchemaError(f"unknown station(s) {some(unknown)}; known are {some(ids)}")
        chosen = np.array([known[s] for s in wanted], int)
    else:
        fraction = 0.15 if fraction is None else fraction
        if not 0 < fraction < 1:
            raise SchemaError(f"fraction is {fraction}, expected between 0 and 1")
        if blocks is not None and blocks < 1:
            raise SchemaError(f"blocks is {blocks}, expected 1 or more")
        chosen = _draw(ds, group, fraction, blocks, np.random.default_rng(seed))
    hidden = np.isin(group, group[chosen])
    if not hidden.any() or hidden.all():
        raise SchemaError(
            f"{hidden.sum()} of {len(hidden)} stations would be hidden; fix: choose another fraction or list"
        )
    if stations is not None and hidden.sum() > len(set(chosen.tolist())):
        extra = some(ids[np.setdiff1d(np.flatnonzero(hidden), chosen)])
        warnings.warn(f"also hidden, closer than 50 m to a hidden station: {extra}", XaqWarning, stacklevel=2)
    return ds.assign_coords({HIDDEN: (STATION, hidden, ROLE_CF[HIDDEN])})


def _draw(
    ds: xr.Dataset, group: NDArray, fraction: float, blocks: int | None, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw stations, whole co-located groups at a time, until the fraction is reached."""
    wanted = max(1, round(fraction * len(group)))
    # Places in the order of their first station's id, so that the draw does not depend on the order of stations.
    by_id = group[np.argsort(ds[STATION].values.astype(str))]
    places = rng.permutation(pd.unique(by_id))
    if blocks is not None:
        first = np.array([np.flatnonzero(group == g)[0] for g in places[:blocks]])
        lon, lat = ds[LON].values, ds[LAT].values
        distance = sphere.distance_km(lon[:, None], lat[:, None], lon[first], lat[first]).min(axis=1)
        places = pd.unique(group[np.argsort(distance, kind="stable")])
    chosen: list[int] = []
    for place in places:
        if len(chosen) >= wanted:
            break
        chosen += np.flatnonzero(group == place).tolist()
    return np.array(chosen, int)
