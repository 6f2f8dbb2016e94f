"""The labels of estimates: CF names, units, bounds of time, support and provenance, on a grid or at points."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import LAT, LEAD, LON, MEMBER, QUANTILE, REFERENCE_TIME, ROLE_CF, TIME, cf_attrs, label
from ..errors import GridError
from ..interpolate.dissimilarity import REFERENCE
from ..stations.points import pair_points
from .calendar import FREQUENCIES
from .ensemble import Ensemble, Joint
from .nodes import distance_node, period_reporting, reporting_count
from .provenance import method_text
from .request import Request


@dataclass(frozen=True)
class Layers:
    """What is estimated: the value and the bounds of its interval, each ``(time, ...)``, and members ``(member, time, ...)``."""

    values: Sequence[da.Array]
    members: da.Array | None = None


@dataclass(frozen=True)
class Support:
    """What decides where estimates are supported, each ``(*space)``, without the time.

    Attributes
    ----------
    near : dask array of float32, km
        Distance to the nearest station that reports.
    missing : dask array of bool, optional
        Where a field that the mapper reads has no value; None where it reads none.
    unlike : dask array of float32, optional
        Dissimilarity from the stations; None without predictors.
    threshold : dask array of float32, (), optional
        Largest dissimilarity at which estimates are supported.
    """

    near: da.Array
    missing: da.Array | None
    unlike: da.Array | None
    threshold: da.Array | None


@dataclass(frozen=True)
class TimeAxis:
    """The times of estimates.

    Attributes
    ----------
    start, end : (time,) datetime64, UTC
    long_name : str
        Of the coordinate.
    cell_methods : str
        Of the target, over time.
    what : str
        What an estimate is, before the name of the target: empty, or ``"monthly mean of "``.
    reporting : array of (time,)
        Visible stations that report; their mean over the steps of a period.
    """

    start: NDArray[np.datetime64]
    end: NDArray[np.datetime64]
    long_name: str
    cell_methods: str
    what: str
    reporting: Any

    @property
    def variable(self) -> xr.Variable:
        """The coordinate, with its CF attributes, and without bounds."""
        attrs = {"standard_name": "time", "axis": "T", "long_name": self.long_name}
        return xr.Variable((TIME,), self.start, attrs)


def steps_axis(request: Request, chunks: tuple[int, ...] | None = None) -> TimeAxis:
    """Return the times of a request, each the start of a step; ``chunks`` of the estimates in time."""
    reporting = None if request.init is not None else reporting_count(request, chunks or (len(request.times),))
    return TimeAxis(
        request.times, request.times + request.step, "start of the interval (UTC)",
        _stated_method(request) or "time: mean", "", reporting,
    )  # fmt: skip


def _stated_method(request: Request) -> str:
    """Return what the stations say of a value and its step, such as ``"time: maximum"``; empty for means."""
    stated = re.search(
        r"\btime: (?!mean)\w+( \([^)]*\))?", str(request.source[request.target].attrs.get("cell_methods"))
    )
    return stated[0] if stated else ""


#: What a mean or a maximum of each frequency is called.
_OF_PERIOD = {"D": "daily", "MS": "monthly", "QS": "quarterly", "YS": "annual"}


def periods_axis(joint: Joint, n_period: int) -> TimeAxis:
    """Return the periods of a request, in blocks of ``n_period``."""
    request, ensemble, calendar = joint.request, joint.ensemble, joint.calendar
    assert ensemble.freq is not None
    statistic = {"mean": "mean", "max": "maximum"}[ensemble.statistic]
    hours = request.step / np.timedelta64(1, "h")
    step = f"interval: {hours:g} hour{'s' if hours != 1 else ''}"
    reporting = None
    if request.init is None:
        edges = [*range(0, len(calendar.start), n_period), len(calendar.start)]
        steps = np.searchsorted(calendar.index, edges)
        count = reporting_count(request, tuple(np.diff(steps).tolist()))
        reporting = period_reporting(count, calendar.index, edges)
    # Days of a network may begin at another hour than midnight in UTC.
    own_days = ensemble.tz is None and bool((calendar.start != calendar.start.astype("datetime64[D]")).any())
    period = FREQUENCIES[ensemble.freq] + (" of the network's days" if own_days else "")
    return TimeAxis(
        calendar.start, calendar.end, f"start of the {period} ({ensemble.tz or 'UTC'})",
        f"{_stated_method(request)} time: {statistic} ({step})".lstrip(), f"{_OF_PERIOD[ensemble.freq]} {statistic} of ", reporting,
    )  # fmt: skip


def labelled(
    request: Request,
    layers: Layers,
    axis: TimeAxis,
    space: tuple[str, ...],
    coords: dict[str, xr.Variable],
    support: Support,
    ensemble: Ensemble,
) -> xr.Dataset:
    """Return layers of estimates as a dataset with CF names, units, bounds and provenance.

    Parameters
    ----------
    request : Request
        What was asked for.
    layers : Layers
    axis : TimeAxis
    space : tuple of str
        Dimensions behind the time.
    coords : dict of str to xarray.Variable
        Of these.
    support : Support
    ensemble : Ensemble
    """
    data = _estimates(request, layers, axis, (TIME, *space), ensemble) | _support(request, space, support)
    if axis.reporting is not None:
        data["stations_reporting"] = ((TIME,), axis.reporting, _reporting_attrs(axis))
    coords = {**coords, **_time_coords(request, axis, space, ensemble)}
    if layers.members is not None:
        of_member = {"standard_name": "realization", "units": "1", "long_name": "member"}
        coords[MEMBER] = xr.Variable((MEMBER,), np.arange(layers.members.shape[0], dtype="i4"), of_member)
    attrs = _global_attrs(request, ensemble, _cell_degrees(coords) if space == (LAT, LON) else {})
    return xr.Dataset(data, coords=coords, attrs=attrs)


def _time_coords(
    request: Request, axis: TimeAxis, space: tuple[str, ...], ensemble: Ensemble
) -> dict[str, xr.Variable]:
    """Return the times of estimates: their bounds on a grid, the ends of periods at points, the leads of a forecast.

    Bounds have a dimension of their own, which would double each row of a table, so that estimates at points have none.
    """
    coords = {TIME: axis.variable}
    if space == (LAT, LON):
        coords[TIME].attrs["bounds"] = "time_bnds"
        coords["time_bnds"] = xr.Variable((TIME, "bnds"), np.stack([axis.start, axis.end], axis=1))
    elif ensemble.freq is not None:
        ends = {"long_name": axis.long_name.replace("start", "end", 1)}
        coords["period_end"] = xr.Variable((TIME,), axis.end, ends)
    if request.init is not None:
        names = {"standard_name": REFERENCE_TIME, "long_name": "last time whose observations are used (UTC)"}
        coords[REFERENCE_TIME] = xr.Variable((), np.asarray(request.init, "datetime64[s]"), names)
        names = {"standard_name": LEAD, "long_name": "time since forecast_reference_time"}
        coords[LEAD] = xr.Variable((TIME,), axis.start - request.init, names)
    for variable in coords.values():
        epoch = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}
        variable.encoding = {"dtype": "int64", **({"units": "seconds"} if variable.dtype.kind == "m" else epoch)}
    return coords


def _reporting_attrs(axis: TimeAxis) -> dict[str, str]:
    if axis.what:
        return {"units": "1", "long_name": "mean number of visible stations that report"}
    text = "visible stations that report at the step"
    return {"standard_name": "number_of_observations", "units": "1", "long_name": text}


def point_coords(request: Request, lon: Any, lat: Any) -> tuple[str, dict[str, xr.Variable]]:
    """Return the dimension of points, and their coordinates.

    Raises
    ------
    GridError
        They are no points, or along a dimension whose name a variable of the result has.
    """
    points = pair_points(lon, lat)
    dim, target = points.dim, request.target
    taken = {
        TIME, "time_bnds", "bnds", "period_end", REFERENCE_TIME, LEAD, QUANTILE, MEMBER, "supported", "nearest_station",
        "stations_reporting", "dissimilarity",
        target, f"{target}_lower", f"{target}_upper", f"{target}_quantile", f"{target}_member",
    }  # fmt: skip
    if dim in taken:
        renamed = {"lon": lon, "lat": lat}
        fixes = [
            f"{n}={n}.rename({{{dim!r}: 'point'}})" if isinstance(v, xr.DataArray) else f"{n}={n}.rename_axis('point')"
            for n, v in renamed.items()
            if isinstance(v, (xr.DataArray, pd.Series)) and np.ndim(v)
        ]
        raise GridError(f"the points are along {dim!r}, a name that the result has too; fix: {', '.join(fixes)}")
    coords = {
        LON: xr.Variable((dim,), points.lon, ROLE_CF[LON]), LAT: xr.Variable((dim,), points.lat, ROLE_CF[LAT])
    }  # fmt: skip
    if points.label is not None:
        coords[dim] = points.label
    return dim, coords | {name: ids for name, ids in points.others.items() if name not in taken}


def _estimates(
    request: Request, layers: Layers, axis: TimeAxis, dims: tuple[str, ...], ensemble: Ensemble
) -> dict[str, tuple[tuple[str, ...], da.Array, dict[str, Any]]]:
    """Return the target, the bounds of its interval and its members as variables."""
    target, units = request.target, request.units
    methods = axis.cell_methods + (" area: mean" if ensemble.support == "cell" else "")
    attrs = {**cf_attrs(target, units), "cell_methods": methods, "ancillary_variables": "supported"}
    if axis.reporting is not None:
        attrs["ancillary_variables"] += " stations_reporting"
    name = axis.what + attrs.setdefault("long_name", label(target))
    attrs["long_name"] = name
    data = {target: (dims, layers.values[0], attrs)}
    if request.probabilities:
        for i, side in enumerate(("lower", "upper"), 1):
            text = f"{side} bound of the {100 * request.level:g} % interval of {name}"
            data[f"{target}_{side}"] = (
                dims,
                layers.values[i],
                {"units": units, "long_name": text, "cell_methods": methods},
            )
        attrs["ancillary_variables"] += f" {target}_lower {target}_upper"
    if layers.members is not None:
        text = f"members of {name}: equally likely truths"
        of_member = {**cf_attrs(target, units), "cell_methods": methods, "long_name": text}
        data[f"{target}_member"] = ((MEMBER, *dims), layers.members, of_member)
    return data


def _support(
    request: Request, space: tuple[str, ...], support: Support
) -> dict[str, tuple[tuple[str, ...], da.Array, dict[str, Any]]]:
    """Return the distance to the nearest station, the dissimilarity, and where estimates are supported, as variables."""
    supported = support.near <= distance_node(request)
    meaning = f"a visible station lies within {_reach_text(request)}"
    found = {}
    if support.unlike is not None:
        supported = supported & (support.unlike <= support.threshold)
        meaning += ", and the place is like some station in the predictors of the trend (dissimilarity)"
        found["dissimilarity"] = (space, support.unlike, _dissimilarity_attrs(request))
    if support.missing is not None:
        supported, meaning = supported & ~support.missing, f"{meaning}, and {_known_text(request)}"
    distance = {"units": "km", "long_name": "great-circle distance to the nearest visible station"}
    flags = {"flag_values": np.array([0, 1], "i1"), "flag_meanings": "unsupported supported"}
    return {
        "nearest_station": (space, support.near, distance),
        **found,
        "supported": (space, supported, {"standard_name": "status_flag", "long_name": meaning, **flags}),
    }


def _known_text(request: Request) -> str:
    """Return which fields have values where estimates are supported."""
    texts = []
    for when, kind in (("every step", True), ("one step at least", False)):
        names = [repr(field.name) for field in request.fields if field.every_step == kind]
        if names:
            texts.append(f"{' and '.join(names)} {'have values' if len(names) > 1 else 'has a value'} at {when}")
    return " and ".join(texts)


def _dissimilarity_attrs(request: Request) -> dict[str, Any]:
    attrs: dict[str, Any] = {
        "units": "1",
        "long_name": "dissimilarity from the nearest visible station in the predictors of the trend",
        "comment": (
            "distance in standardised predictors, each weighted by its slope, divided by the mean distance among the stations; "
            "the threshold is 1.5 interquartile ranges above the third quartile of the stations' own, at most their largest, and "
            "at least what changes the trend by 2 %"
        ),
        "references": REFERENCE,
    }
    if request.dissimilarity is not None:
        # As it is compared, in the precision of the variable.
        attrs["threshold"] = float(np.float32(request.dissimilarity.threshold))
    return attrs


def _reach_text(request: Request) -> str:
    """Return the distance that was given, or the rule: of lazy data, and of a cube that grows, the default is not known yet."""
    if request.given_distance is not None:
        return f"{request.given_distance:.6g} km"
    spacing = "the 95th percentile of the distance between neighbouring stations"
    if request.range_km is None:
        return spacing
    return f"{spacing}, or the distance at which one station explains a third of the variance about their mean"


def _cell_degrees(coords: dict[str, xr.Variable]) -> dict[str, Any]:
    """Return the sizes of the cells of evenly spaced axes, of which a part of the grid could say another."""
    sizes = {name: np.diff(coords[name].values) for name in (LAT, LON)}
    even = {n: round(float(np.mean(s)), 12) for n, s in sizes.items() if s.size and np.ptp(s) <= 1e-4 * np.mean(s)}
    return {"cell_degrees": even} if even else {}


def _global_attrs(request: Request, ensemble: Ensemble, cells: dict[str, Any]) -> dict[str, str]:
    """Return the global attributes; ``cells`` is what the provenance says of a grid."""
    provenance = {**request.provenance, **ensemble.provenance(request), **cells}
    if ensemble.freq is not None:
        # Those of a model are of means of UTC periods at points, with default settings.
        scored = request.level == 0.9 and ensemble == Ensemble(
            freq=ensemble.freq, members=ensemble.members, seed=ensemble.seed, at_points=ensemble.at_points
        )
        rows = [] if request.trained is None or not scored else request.trained.recipe.mean_scores
        provenance["held_out_scores"] = [row for row in rows if row["of"] == ensemble.freq]
    method = method_text(provenance)
    named = f"{provenance['method']} {provenance['model_hash'][:12]}{method.removeprefix(provenance['method'])}"
    kind = "analysis" if request.init is None else f"forecast from {request.init}"
    return {
        "Conventions": "CF-1.11",
        "title": f"{label(request.target)} {kind}, {method} from {provenance['visible_stations']} stations",
        "source": f"station observations, {named}",
        "history": f"xaq {provenance['xaq_version']}: {kind} of {request.target} with {named}",
        "references": "Kheder et al., SCIA 2025, arXiv 2502.11941",
        "xaq_provenance": json.dumps(provenance, sort_keys=True),
    }
