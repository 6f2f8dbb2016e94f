"""What an estimate was made of: the neighbours, their weights, and the difference that training made to kriging."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from .._arguments import check_number, shown
from ..conventions import LAT, LON, ROLE_CF, STATION, TIME, cf_attrs, label
from ..cube.request import Request, RequestOptions, check_points, make_request
from ..cube.station_side import prepare
from ..cube.tasks import estimate_points
from ..errors import GridError, ModelError, SchemaError
from ..fields.predictor_field import Fields
from ..interpolate.explanation import Explainer, Explanation
from ..interpolate.trained import TrainedMapper
from ..stations import limits, schema, timestamps

#: The place that is explained; ``lon`` and ``lat`` are the neighbours'.
PLACE_LON, PLACE_LAT = "place_lon", "place_lat"
#: The terms of the trend.
TERM = "term"


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
    fields: Fields | None = None,
) -> xr.Dataset:
    r"""Explain a model's estimate at one place and time.

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
    level, max_distance, background, rasters, fields : optional
        As for :func:`xaq.reanalyze`.

    Returns
    -------
    xarray.Dataset
        Of each neighbour, ``(station)``, the nearest first: ``distance`` in km; ``weight``; ``value``, filled from the
        other stations where not ``observed``; ``advected``, its value advected to the place from the hours around;
        ``contribution`` to the estimate. Of the place: ``estimate`` with ``lower`` and ``upper`` as :func:`xaq.estimate`
        gives them, and its parts: ``kriging``, ordinary kriging of the observations; ``factor (term)``, by what each term
        of the trend (background, predictors of the drift, site effect) raises the place above its neighbours;
        ``advection``, ``log_scale`` and ``learned``, what the advection of neighbours, the mixture with the log scale and
        training add. ``log_weight`` is the mixture weight of the log scale that day, ``kriging_variance`` relative to the sill.

    Raises
    ------
    SchemaError
        The dataset or the time is not usable.
    ModelError
        ``model`` is no trained analysis model, or not of this dataset.
    GridError
        The place has no valid coordinates, or lies farther than ``max_distance`` from every station.

    Notes
    -----
    Computes the days around the time. Before a negative estimate becomes 0,

    .. math:: \text{estimate} = \text{kriging} \prod \text{factor} + \text{advection} + \text{log scale} + \text{learned},

    and contributions add up to it; on the log scale a neighbour contributes the fraction of the estimate that it has of the
    sum of logs. Kriging has the model's covariance, which was fitted to ratios to the trend.

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
    ds = schema.conform(ds)
    timestamp = _step(ds, time)
    options = RequestOptions(
        time=slice(timestamp, timestamp), level=level, max_distance=max_distance, background=background, rasters=rasters,
        fields=fields,
    )  # fmt: skip
    request = make_request(ds, model, options)
    limits.warn_if_impossible(ds, request.variables)
    x, y = np.array([place[0]]), np.array([place[1]])
    check_points(request, x, y)
    prepared, stations = prepare(request)
    observed = np.asarray(stations[request.target].sel({TIME: timestamp}).values, float)
    if not np.isfinite(observed).any():
        raise SchemaError(
            f"no visible station reports {request.target!r} at {timestamp}: there is no estimate to explain; fix: a time= with observations"
        )
    settled = cast(Explainer, request.mapper)
    layers = estimate_points(settled, prepared, 1, x, y, request.probabilities)[:, 0, 0]
    explanation = settled.explain(prepared, *place)
    return _labelled(request, stations.isel({STATION: explanation.index}), observed, explanation, layers, place)


def _check_model(model: Any) -> None:
    """Refuse what is no trained analysis model."""
    instead = "fix: model = ds.aq.train(...); the values of any other method: ds.aq.estimate(...)"
    if isinstance(model, str):
        raise ModelError(
            f"explain is for trained models, got the name {model!r}; an explanation contains the kriging estimate, too; {instead}"
        )
    if isinstance(model, TrainedMapper) and model.task == "forecast":
        raise ModelError(
            "explain is for analysis models, and this one is a forecast; fix: ds.aq.estimate(model, lon=..., lat=..., init=...) "
            "for its values, model.attention(...) for the days it reads"
        )
    if not isinstance(model, Explainer):
        raise ModelError(f"explain is for trained models, got {type(model).__name__}; {instead}")


def _place(lon: Any, lat: Any) -> tuple[float, float]:
    fix = "lon=10.0, lat=50.0"
    x = check_number(lon, LON, "one place: a longitude in degrees", fix=fix, error=GridError)
    y = check_number(
        lat, LAT, "one place: a latitude within -90..90", fix=fix, valid=lambda y: abs(y) <= 90, error=GridError
    )
    return x, y


def _step(ds: xr.Dataset, time: Any) -> np.datetime64:
    """Return the step of the record at a time, or raise with the steps nearest to it."""
    record = ds[TIME].values.astype("datetime64[s]")
    first = str(record[0])
    try:
        timestamp = pd.Timestamp(timestamps.plain_time(time))
    except (ValueError, TypeError) as error:
        raise SchemaError(f"time={shown(time)} is not one time; fix: time={first!r}") from error
    if pd.isna(timestamp):
        raise SchemaError(f"time={shown(time)} is not one time; fix: time={first!r}")
    after = int(np.searchsorted(record.astype("datetime64[ns]"), timestamp.to_datetime64()))
    if after < len(record) and record[after] == timestamp.to_datetime64():
        return record[after]
    nearest = " and ".join(str(t) for t in record[max(after - 1, 0) : after + 1])
    raise SchemaError(f"time={time!r} is no step of the dataset; fix: the nearest, {nearest}")


def _labelled(
    request: Request,
    neighbours: xr.Dataset,
    observed: NDArray[np.float64],
    explanation: Explanation,
    layers: NDArray[np.float32],
    place: tuple[float, float],
) -> xr.Dataset:
    """Return an explanation as a dataset with CF names and units; ``observed`` are the values of all stations."""
    name, provenance = label(request.target), request.provenance
    data = _of_neighbours(request, observed, explanation) | _of_place(request, explanation, layers)
    explained = xr.Dataset(
        data,
        coords={
            STATION: ((STATION,), neighbours[STATION].values, ROLE_CF[STATION]),
            LON: ((STATION,), neighbours[LON].values, ROLE_CF[LON]),
            LAT: ((STATION,), neighbours[LAT].values, ROLE_CF[LAT]),
            TIME: ((), request.times[0], ROLE_CF[TIME]),
            TERM: ((TERM,), [name for name, _ in explanation.factors], {"long_name": "term of the trend"}),
            PLACE_LON: ((), place[0], ROLE_CF[LON] | {"long_name": "longitude of the place"}),
            PLACE_LAT: ((), place[1], ROLE_CF[LAT] | {"long_name": "latitude of the place"}),
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": f"{name} by {provenance['method']} at {place[0]:g} E, {place[1]:g} N, {request.times[0]}, explained",
            "source": f"station observations, {provenance['method']} {provenance['model_hash'][:12]}",
            "xaq_provenance": json.dumps(provenance, sort_keys=True),
        },
    )
    standard = cf_attrs(request.target, request.units).get("standard_name")
    if standard is not None:
        for n in ("estimate", "kriging", "value"):
            explained[n].attrs["standard_name"] = standard
    return explained


def _of_neighbours(
    request: Request, observed: NDArray[np.float64], explanation: Explanation
) -> dict[str, tuple[tuple[str, ...], NDArray, dict[str, str]]]:
    """Return what an explanation says of each neighbour, as variables ``(station,)``."""
    name, units = label(request.target), request.units
    seen = np.isfinite(observed[explanation.index])
    value = np.where(seen, observed[explanation.index], explanation.value)
    columns: dict[str, tuple[NDArray, str, str | None]] = {
        "distance": (explanation.distance, "great-circle distance to the place", "km"),
        "weight": (explanation.weight, "weight of the neighbour", "1"),
        "value": (value, f"{name} of the neighbour, observed or filled", units),
        "observed": (seen, "the neighbour observed; otherwise its value is filled from the others", None),
        "advected": (explanation.advected, f"{name} of the neighbour advected to the place", units),
        "contribution": (explanation.contribution, f"contribution of the neighbour to the estimate of {name}", units),
    }
    return {
        key: ((STATION,), values, {"long_name": text} | ({"units": unit} if unit else {}))
        for key, (values, text, unit) in columns.items()
    }


def _of_place(request: Request, explanation: Explanation, layers: NDArray[np.float32]) -> dict[str, Any]:
    """Return what an explanation says of the place: numbers, and a factor for each term of the trend."""
    name, units = label(request.target), request.units
    rows = {
        "estimate": (float(layers[0]), f"estimate of {name}", units),
        "kriging": (explanation.kriging, f"{name} by ordinary kriging of the observations", units),
        "advection": (explanation.advection, "what the advection of neighbours adds", units),
        "log_scale": (explanation.log_scale, "what the mixture with the log scale adds", units),
        "learned": (explanation.learned, "what training adds", units),
    }
    for side, bound in zip(("lower", "upper"), layers[1:], strict=False):
        rows[side] = (float(bound), f"{side} bound of the {100 * request.level:g} % interval of {name}", units)
    rows |= {
        "log_weight": (explanation.log_weight, "mixture weight of the log scale", "1"),
        "kriging_variance": (explanation.variance, "kriging variance of a new observation, relative to the sill", "1"),
    }
    of_place: dict[str, Any] = {
        key: ((), value, {"long_name": text, "units": unit}) for key, (value, text, unit) in rows.items()
    }
    text = "factor of a term of the trend at the place, relative to its neighbours"
    of_place["factor"] = ((TERM,), [factor for _, factor in explanation.factors], {"long_name": text, "units": "1"})
    return of_place
