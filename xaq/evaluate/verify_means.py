"""Scores of means of periods at held-out stations, with the interval of the mean made from members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..arrays.timesteps import DATA_CAPTURE
from ..conventions import LAT, LON, MEMBER, STATION, TIME
from ..cube.calendar import FREQUENCIES, Calendar
from ..cube.ensemble import Ensemble, Joint
from ..cube.ensemble_graph import period_layers
from ..cube.mapper import method_name
from ..cube.member_tasks import quantiles
from ..cube.request import RequestOptions, check_fields_reach, interval_probabilities, make_request
from ..cube.tiles import PointTargets
from ..errors import SchemaError
from ..fields.background import BACKGROUND
from ..interpolate.base import Mapper
from ..stations.timestamps import step_of
from .scores import ensemble_crps, scores

#: Members that scores are made from, and periods at once.
MEMBERS, _PERIODS = 100, 366


def period_means(
    ds: xr.Dataset,
    mapper: Mapper | str,
    truth: xr.DataArray,
    options: RequestOptions,
    ensemble: Ensemble,
) -> xr.Dataset:
    """Return means of periods at held-out stations, observed and estimated, over the steps that have both.

    Parameters
    ----------
    ds : xarray.Dataset
        A conformed station dataset.
    mapper : Mapper or name
    truth : xarray.DataArray, (station, time)
        Observations at the held-out stations, NaN where missing; its name is the target.
    options : RequestOptions
    ensemble : Ensemble
        With a frequency; ``members`` says how many are returned.

    Returns
    -------
    xarray.Dataset
        ``<target>(time, station)``, ``<target>_observed(time, station)`` and, where the mapper has a distribution,
        ``<target>_member(member, time, station)``; NaN where fewer steps than the data capture are observed. Lazy.
    """
    request = make_request(ds, mapper, options)
    if not request.probabilities:
        ensemble = Ensemble(freq=ensemble.freq, tz=ensemble.tz, capture=ensemble.capture)
    joint, target = Joint(request, ensemble), str(truth.name)
    lon, lat = (truth[name].values.astype(float) for name in (LON, LAT))
    check_fields_reach(request, lon, lat, "hidden stations")
    seen = truth.sel({TIME: request.times}).transpose(TIME, STATION).values
    layers, axis = period_layers(joint, PointTargets(lon, lat), _PERIODS, da.from_array(seen, chunks=-1))
    space = (TIME, STATION)
    data: dict[str, Any] = {
        target: (space, layers.values[0]),
        f"{target}_observed": (space, layers.values[-1]),
    }
    if layers.members is not None:
        data[f"{target}_member"] = ((MEMBER, *space), layers.members)
    return xr.Dataset(data, {TIME: axis.variable, STATION: truth[STATION].variable})


def score_means(made: xr.Dataset, target: str, level: float) -> dict[str, float]:
    """Return the scores of means of periods, pooled over periods and stations, as :func:`xaq.evaluate.scores.scores` does."""
    truth = made[f"{target}_observed"].rename(target)
    fields = made[[target]]
    if f"{target}_member" in made:
        members = made[f"{target}_member"].transpose(MEMBER, *truth.dims).values
        lower, upper = quantiles(members, interval_probabilities(level))
        layers = {"lower": lower, "upper": upper, "crps": ensemble_crps(members, truth.values)}
        fields = fields.assign({f"{target}_{name}": (truth.dims, layer) for name, layer in layers.items()})
    return scores(fields, truth)


def means_of_longer(
    made: xr.Dataset, truth: xr.DataArray, freq: str, longer: str, capture: float = DATA_CAPTURE
) -> xr.Dataset:
    """Return means of longer periods from the means of the periods that they consist of.

    Parameters
    ----------
    made : xarray.Dataset
        From :func:`period_means` with ``freq``, a mean wherever a step is observed.
    truth : xarray.DataArray, (station, time)
        The observations that it was made with; they say how many steps a mean has.
    freq, longer : {"D", "MS", "QS", "YS"}
    capture : float
        NaN where a smaller fraction of the steps of a longer period is observed.
    """
    times, seen = truth[TIME].values, np.isfinite(truth.transpose(TIME, STATION).values)
    step = step_of(truth[TIME])
    short, long = (Calendar.of(times, step, name, None) for name in (freq, longer))
    short_count, long_count = (
        np.add.reduceat(seen, np.searchsorted(calendar.index, np.arange(len(calendar.start))), dtype=float)
        for calendar in (short, long)
    )
    kept = long_count >= np.maximum(capture * long.expected[:, None], 1)
    # The longer period of each short one, by its first step.
    first = np.searchsorted(short.index, np.arange(len(short.start)))
    begin = np.searchsorted(long.index[first], np.arange(len(long.start)))

    def averaged(values: NDArray) -> NDArray[np.float32]:
        weight = np.where(np.isfinite(values), short_count, 0.0)
        total, count = (np.add.reduceat(part, begin, axis=-2) for part in (np.nan_to_num(values) * weight, weight))
        return np.where(kept & (count > 0), total / np.maximum(count, 1), np.nan).astype(np.float32)

    data = {name: (made[name].dims, averaged(made[name].values)) for name in made.data_vars}
    return xr.Dataset(data, {TIME: long.start, STATION: made[STATION].variable})


def verify_means(
    ds: xr.Dataset,
    methods: Sequence[Mapper | str],
    truth: xr.DataArray,
    options: Sequence[RequestOptions],
    ensemble: Ensemble,
    level: float,
) -> pd.DataFrame:
    """Score means of periods of some methods, each with its options, at held-out stations; see :func:`xaq.verify`.

    Raises
    ------
    SchemaError
        No held-out station has a period with enough observations.
    """
    target, rows = str(truth.name), {}
    for method, option in zip(methods, options, strict=True):
        made = period_means(ds, method, truth, option, ensemble).compute()
        if not np.isfinite(made[f"{target}_observed"]).any():
            raise SchemaError(
                f"no held-out station observes {100 * ensemble.capture:g} % of any {FREQUENCIES[str(ensemble.freq)]}, of which "
                "means are to be scored; fix: a longer time="
            )
        rows[row_name(method, option)] = score_means(made, target, level)
    return pd.DataFrame(rows).T.rename_axis("method")


def row_name(method: Mapper | str, options: RequestOptions) -> str:
    """Return what a row of scores is called: a classical method over a background is another one than without it."""
    name = method_name(method)
    over = isinstance(method, str) and name != BACKGROUND and options.background is not None
    return f"{name} with background" if over else name
