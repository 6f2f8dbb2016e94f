"""Why an estimate is what it is: the neighbours, their weights, and what learning added to kriging."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import LAT, LON, ROLE_CF, STATION, TIME, cf_attrs, label
from ..cube.graph import estimate_fields, prepare
from ..cube.request import Plan, check_points, make_plan
from ..errors import GridError, ModelError, SchemaError
from ..interpolate.base import Explainer, Explanation
from ..stations import schema

#: The place that is explained; ``lon`` and ``lat`` are the neighbours'.
PLACE_LON, PLACE_LAT = "place_lon", "place_lat"


def explain(
    ds: xr.Dataset,
    model: Explainer,
    *,
    lon: float,
    lat: float,
    time: str | np.datetime64 | pd.Timestamp,
    level: float = 0.9,
    max_distance: float | None = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
) -> xr.Dataset:
    """Say why a model's estimate at one place and time is what it is.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset; hidden stations are not used.
    model : Model
        A trained analysis model.
    lon, lat : float, degrees
        One place.
    time : time
        One step of the record (UTC); a date alone is its midnight. The nearest step is never taken.
    level, max_distance, background, rasters : optional
        As for :func:`xaq.reanalyze`.

    Returns
    -------
    xarray.Dataset
        Of each neighbour, ``(station)``, the nearest first: ``distance`` in km; ``weight``; ``value``, filled from the
        other stations where not ``observed``; ``advected``, what it is taken to say advected, from the hours around;
        ``contribution``. Of the place: ``estimate`` with ``lower`` and
        ``upper`` as :func:`xaq.estimate` gives them; ``kriging`` of what is read, where training started, and
        ``learned``, what it added; ``correction``, the factor of the level that rasters make; ``log_weight``, the weight of the log scale that day;
        ``kriging_variance`` relative to the sill.

    Raises
    ------
    SchemaError
        The dataset or the time is not usable.
    ModelError
        ``model`` is no trained analysis model, or not of this dataset.
    GridError
        The place is none, or lies farther than ``max_distance`` from every station.

    Notes
    -----
    Computes the days around the time. Contributions add up to the estimate (before a negative one becomes 0), its level
    correction included; on the log scale a neighbour has the share of the estimate that it has of the sum of logs.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> why = ds.aq.explain(model, lon=10.0, lat=50.0, time="2020-01-04T08")
    >>> float(why.weight.sum().round(3)), float(why.learned.round(3))
    (1.0, 0.0)
    """
    _check_model(model)
    place = _place(lon, lat)
    timestamp = _step(schema.conform(ds), time)
    plan = make_plan(
        ds,
        model,
        time=slice(timestamp, timestamp),
        level=level,
        max_distance=max_distance,
        background=background,
        rasters=rasters,
    )
    x, y = np.array([place[0]]), np.array([place[1]])
    check_points(x, y, plan)
    prepared, stations = prepare(plan)
    observed = np.asarray(stations[plan.target].sel({TIME: timestamp}).values, float)
    if not np.isfinite(observed).any():
        raise SchemaError(f"no visible station reports {plan.target!r} at {timestamp}: there is no estimate to explain")
    settled = cast(Explainer, plan.mapper)
    fields = estimate_fields(settled, prepared, 1, x, y, plan.probabilities)[:, 0, 0]
    return _dress(plan, stations, observed, settled.explain(prepared, *place), fields, place)


def _check_model(model: Any) -> None:
    instead = "fix: model = ds.aq.train(...); of anything else: ds.aq.estimate(...)"
    if isinstance(model, str):
        raise ModelError(
            f"explain is for trained models, got the name {model!r}; an explanation says what kriging says too; {instead}"
        )
    if getattr(model, "task", "analysis") == "forecast":
        raise ModelError(
            "explain is for analysis models, and this one is a forecast; fix: ds.aq.estimate(model, lon=..., lat=..., init=...) "
            "for its values, model.attention(...) for the days it reads"
        )
    if not isinstance(model, Explainer):
        raise ModelError(f"explain is for trained models, got {type(model).__name__}; {instead}")


def _place(lon: Any, lat: Any) -> tuple[float, float]:
    if np.ndim(lon) or np.ndim(lat):
        raise GridError(f"lon has shape {np.shape(lon)}, lat {np.shape(lat)}; expected one place: two numbers")
    x, y = float(lon), float(lat)
    if not (np.isfinite(x) and np.isfinite(y) and abs(y) <= 90):
        raise GridError(f"lon={x:g}, lat={y:g} is no place, expected degrees, lat within -90..90")
    return x, y


def _step(ds: xr.Dataset, time: Any) -> np.datetime64:
    """Return the step of the record at a time, or raise with the steps nearest to it."""
    record = ds[TIME].values.astype("datetime64[s]")
    first = str(record[0])
    try:
        given: Any = time.values[()] if isinstance(time, xr.DataArray) else time
        timestamp = pd.Timestamp(given)
    except (ValueError, TypeError) as error:
        raise SchemaError(f"time={time!r} is not one time ({error}); fix: one step, such as {first!r}") from error
    if pd.isna(timestamp):
        raise SchemaError(f"time={time!r} is not one time; fix: one step, such as {first!r}")
    if timestamp.tzinfo is not None:
        timestamp = timestamp.tz_convert("UTC").tz_localize(None)
    after = int(np.searchsorted(record.astype("datetime64[ns]"), timestamp.to_datetime64()))
    if after < len(record) and record[after] == timestamp.to_datetime64():
        return record[after]
    nearest = " and ".join(str(t) for t in record[max(after - 1, 0) : after + 1])
    raise SchemaError(f"time={time!r} is no step of the dataset; fix: the nearest, {nearest}")


def _dress(
    plan: Plan,
    stations: xr.Dataset,
    observed: NDArray[np.float64],
    made: Explanation,
    fields: NDArray[np.float32],
    place: tuple[float, float],
) -> xr.Dataset:
    units = str(plan.source[plan.target].attrs["units"])
    name, percent = label(plan.target), f"{100 * plan.provenance['interval_level']:g} %"
    seen = np.isfinite(observed[made.index])
    value = np.where(seen, observed[made.index], made.value)
    estimate, kriging = float(fields[0]), max(made.kriging, 0.0)
    of_station: dict[str, tuple[NDArray, str, str | None]] = {
        "distance": (made.distance, "great-circle distance to the place", "km"),
        "weight": (made.weight, "weight of the neighbour", "1"),
        "value": (value, f"{name} of the neighbour, observed or filled", units),
        "observed": (seen, "the neighbour observed; otherwise its value is filled from the others", None),
        "advected": (made.advected, f"{name} of the neighbour advected to the place", units),
        "contribution": (made.contribution, f"what the neighbour adds to the estimate of {name}", units),
    }
    of_place: dict[str, tuple[float, str, str]] = {
        "kriging": (
            kriging,
            f"{name} by kriging what is read with the fitted covariance, at the level of the place: where training started",
            units,
        ),
        "learned": (estimate - kriging, "what training added: estimate less kriging", units),
        "estimate": (estimate, f"estimate of {name}", units),
    }
    for side, bound in zip(("lower", "upper"), fields[1:], strict=False):
        of_place[side] = (float(bound), f"{side} bound of the {percent} interval of {name}", units)
    of_place |= {
        "correction": (made.correction, "factor by which geography and rasters correct the level", "1"),
        "log_weight": (made.log_weight, "weight of the log scale", "1"),
        "kriging_variance": (made.variance, "kriging variance of a new observation, relative to the sill", "1"),
    }
    near = stations.isel({STATION: made.index})
    explained = xr.Dataset(
        {
            n: ((STATION,), v, {"long_name": text} | ({"units": u} if u else {}))
            for n, (v, text, u) in of_station.items()
        }
        | {n: ((), v, {"long_name": text, "units": u}) for n, (v, text, u) in of_place.items()},
        coords={
            STATION: ((STATION,), near[STATION].values, ROLE_CF[STATION]),
            LON: ((STATION,), near[LON].values, ROLE_CF[LON]),
            LAT: ((STATION,), near[LAT].values, ROLE_CF[LAT]),
            TIME: ((), plan.times[0], ROLE_CF[TIME]),
            PLACE_LON: ((), place[0], ROLE_CF[LON] | {"long_name": "longitude of the place"}),
            PLACE_LAT: ((), place[1], ROLE_CF[LAT] | {"long_name": "latitude of the place"}),
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": f"{name} by {plan.provenance['method']} at {place[0]:g} E, {place[1]:g} N, {plan.times[0]}, explained",
            "source": f"station observations, {plan.provenance['method']} {plan.provenance['model_hash'][:12]}",
            "xaq_provenance": json.dumps(plan.provenance, sort_keys=True),
        },
    )
    standard = cf_attrs(plan.target, units).get("standard_name")
    if standard is not None:
        for n in ("estimate", "kriging", "value"):
            explained[n].attrs["standard_name"] = standard
    return explained
