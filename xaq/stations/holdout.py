"""Hidden stations: :func:`hide` marks those that are held out for verification."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from .._arguments import check_count, check_number, check_seed, check_sequence
from ..arrays import sphere
from ..conventions import HIDDEN, LAT, LON, NAME, ROLE_CF, STATION, TIME
from ..errors import SchemaError, warn
from . import schema
from .taking_part import TakingPart

#: The fraction of the stations that is hidden where none is given.
_FRACTION = 0.15


def hide(
    ds: xr.Dataset,
    stations: Sequence[str] | None = None,
    *,
    fraction: float | None = None,
    blocks: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Hide stations: never trained on, never a neighbour, used for verification only.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset.
    stations : sequence of str, optional
        The ids of the stations to hide.
    fraction : float, optional
        Hide this fraction of the stations, drawn at random. Default 0.15 where ``stations`` is not given.
    blocks : int, optional
        Hide neighbourhoods instead of single stations: draw this many stations, and hide them with their nearest
        stations until the fraction is reached. Use it where stations are clustered, so that a station hidden at random
        has a visible one nearby.
    seed : int
        Seed of the draw.

    Returns
    -------
    xarray.Dataset
        The same data with a boolean coordinate ``hidden(station)``, which replaces an earlier one. Stations within 50 m
        of a hidden one are hidden, too. Lazy: no data variable is computed.

    Raises
    ------
    SchemaError
        Unknown station ids; ``stations`` together with ``fraction`` or ``blocks``; no station, or every station hidden.

    Notes
    -----
    The draw follows from the ids and places of stations, whatever their order. Where the data are in memory, stations without any
    observation are not drawn, and copies of a station count once, so that neither changes which others are hidden.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=20, days=3)
    >>> int(ds.aq.hide(fraction=0.2, seed=1).hidden.sum())
    4
    """
    if fraction is not None:
        fix = f"fraction={_as_fraction(fraction) or _FRACTION}"
        fraction = check_number(fraction, "fraction", "between 0 and 1", fix=fix, valid=lambda f: 0 < f < 1)
    if blocks is not None:
        blocks = check_count(blocks, "blocks", 3)
    seed = check_seed(seed)
    ds = schema.conform(ds)
    ids = ds[STATION].to_index()
    if stations is not None:
        if fraction is not None or blocks is not None:
            raise SchemaError("stations= and fraction=/blocks= both choose what to hide; fix: pass one of them")
        chosen = _positions_of(stations, ids, ds[NAME].values if NAME in ds.coords else ())
    else:
        fraction = _FRACTION if fraction is None else fraction
        chosen = _draw(ds, fraction, blocks, np.random.default_rng(seed))
    return with_hidden(ds, chosen)


def _positions_of(stations: Any, ids: pd.Index, names: Iterable[Any]) -> NDArray[np.intp]:
    """Return the positions of stations that are named by id, or raise; a number is taken for the fraction that was meant.

    ``names`` are those of the stations in words, where they are known, for the fix.
    """
    known = {str(s): i for i, s in enumerate(ids)}
    if isinstance(stations, str):
        listed = [stations]
    else:
        meant = _as_fraction(stations)
        fix = f"stations=[{str(ids[0])!r}]" if meant is None else f"fraction={meant}"
        listed = check_sequence(stations, "stations", "a list of station ids", fix=fix)
    wanted = [str(s) for s in listed]
    unknown = [s for s in wanted if s not in known]
    if unknown:
        texts = [str(name) for name in names]
        if all(texts.count(s) == 1 for s in unknown):
            of_names = [s if s in known else str(ids[texts.index(s)]) for s in wanted]
            raise SchemaError(
                f"unknown station(s) {schema.some(unknown)}, expected ids; these are names of stations (station_name); "
                f"fix: ds.aq.hide({of_names})"
            )
        meant = _as_fraction(unknown[0]) if len(wanted) == 1 else None
        by_number = "" if meant is None else f"fraction={meant}, or "
        raise SchemaError(
            f"unknown station(s) {schema.some(unknown)}; fix: {by_number}ids of the dataset, such as {schema.some(ids)}"
        )
    return np.array([known[s] for s in wanted], int)


def _as_fraction(value: Any) -> float | None:
    """Return the fraction that a number or a text was meant as, ``0.2`` for ``20`` and ``"20 %"``; None where it is none."""
    text = str(value).strip()
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        return None
    percent = number >= 1 or text.endswith("%")
    fraction = number / 100 if percent else number
    return float(f"{fraction:.6g}") if 0 < fraction < 1 else None


def with_hidden(ds: xr.Dataset, chosen: NDArray[np.intp]) -> xr.Dataset:
    """Return a conformed dataset in which the stations at these positions are hidden, and those co-located with them."""
    group = sphere.colocated_groups(ds[LON].values, ds[LAT].values)
    hidden = np.isin(group, group[chosen])
    if not hidden.any() or hidden.all():
        raise SchemaError(
            f"{hidden.sum()} of {len(hidden)} stations would be hidden, expected some but not all; fix: fraction=0.15"
        )
    extra = np.setdiff1d(np.flatnonzero(hidden), chosen)
    if len(extra):
        names = schema.some(ds[STATION].values[extra])
        warn(f"also hidden, within 50 m of a hidden station: {names}")
    return ds.assign_coords({HIDDEN: (STATION, hidden, ROLE_CF[HIDDEN])})


def warn_of_colocated(ds: xr.Dataset) -> None:
    """Warn where a visible station of a conformed dataset is co-located with a hidden one: its values give those away."""
    hidden, group = schema.hidden_mask(ds), sphere.colocated_groups(ds[LON].values, ds[LAT].values)
    beside = ~hidden & np.isin(group, group[hidden])
    if beside.any():
        names = schema.some(ds[STATION].values[beside])
        warn(
            f"{beside.sum()} visible station(s) lie within 50 m of a hidden one, so that scores are optimistic: {names}; "
            "fix: ds.aq.hide(ds.aq.hidden.station.values)"
        )


def _drawn_from(ds: xr.Dataset) -> NDArray[np.intp]:
    """Return the stations that may be drawn, in the order of their ids: the same draw whatever their order in the dataset."""
    ids, names = ds[STATION].values, [*(schema.pollutants(ds) or ds.data_vars)]
    observed = [ds[n] for n in names if ds[n].dims == (STATION, TIME) and np.issubdtype(ds[n].dtype, np.number)]
    if observed and all(values.chunks is None for values in observed):
        kept = TakingPart.of(ids, *schema.positions(ds), *(values.values for values in observed)).kept
        if len(kept):
            return kept
    return np.argsort(ids.astype(str), kind="stable")


def _draw(ds: xr.Dataset, fraction: float, blocks: int | None, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw stations, whole co-located groups at a time, until the fraction is reached."""
    by_id = _drawn_from(ds)
    lon, lat = (axis[by_id] for axis in schema.positions(ds))
    group = sphere.colocated_groups(lon, lat)
    wanted = max(1, round(fraction * len(group)))
    places = rng.permutation(pd.unique(group))
    if blocks is not None:
        seeds = [np.flatnonzero(group == place)[0] for place in places[:blocks]]
        distance = sphere.distance_km(lon[:, None], lat[:, None], lon[seeds], lat[seeds]).min(axis=1)
        places = pd.unique(group[np.argsort(distance, kind="stable")])
    chosen: list[int] = []
    for place in places:
        if len(chosen) >= wanted:
            break
        chosen += np.flatnonzero(group == place).tolist()
    return by_id[chosen]
