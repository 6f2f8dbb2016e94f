"""Scores of means of periods at held-out stations, with the interval of the mean made from members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from ..conventions import LAT, LON, MEMBER, STATION, TIME
from ..cube.calendar import FREQUENCIES
from ..cube.ensemble import Ensemble, Joint
from ..cube.ensemble_graph import period_layers
from ..cube.mapper import method_name
from ..cube.member_tasks import quantiles
from ..cube.request import RequestOptions, check_fields_reach, interval_probabilities, make_request
from ..cube.tiles import PointTargets
from ..errors import SchemaError
from ..interpolate.base import Mapper
from .scores import ensemble_crps, scores

#: Members that scores are made from, and periods at once.
MEMBERS, _PERIODS = 100, 32


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
        rows[method_name(method)] = score_means(made, target, level)
    return pd.DataFrame(rows).T.rename_axis("method")
