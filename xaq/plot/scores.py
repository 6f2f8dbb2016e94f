"""Scores as figures: the table of horizons and models, skill by horizon, and how often intervals hold what they promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..conventions import LAT, LON, QUANTILE, STATION, TIME, label
from ..cube.reanalyze import estimate_quantiles
from ..cube.request import interval_probabilities
from ..errors import SchemaError
from ..interpolate.base import Mapper
from ..stations import schema
from .places import unseen
from .style import LABEL, METHOD_COLOURS, METHOD_MARKERS, SMALL, plain, title
from .subject import mapper_target, period_text, refuse_forecast, units_text

#: Scores of which more is better; of ``bias`` what is nearer to 0, of ``coverage`` what is nearer to the level.
_MORE_IS_BETTER = frozenset({"r2"})
#: Scores in the target's units.
_WITH_UNITS = frozenset({"mae", "rmse", "bias", "crps", "width"})
_NAMES = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "crps": "CRPS"}
#: Levels of the intervals whose coverage is drawn.
_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
#: Inches of a table's row, and of a column of numbers and of names.
_ROW, _NUMBER, _METHOD = 0.28, 0.75, 1.5


def table(
    scores: pd.DataFrame, *, metrics: Sequence[str] = ("mae", "rmse"), stations: str = "hidden", ax: Axes | None = None
) -> Axes:
    """Draw the table of methods, and of horizons where there are some, as a figure; the best of a column is bold.

    Parameters
    ----------
    scores : pandas.DataFrame
        As :func:`xaq.verify` returns it.
    metrics : sequence of str
        Its columns.
    stations : {"hidden", "visible"}
        Which stations, of a forecast's scores.
    ax : matplotlib.axes.Axes, optional
        Draw here; its size sets that of the rows. Default: a new figure of the size of the table.

    Returns
    -------
    matplotlib.axes.Axes
        Units stand in the heads of columns.

    Raises
    ------
    SchemaError
        ``scores`` is no such table, or has no such columns or stations.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=4).aq.hide(fraction=0.2)
    >>> ax = xaq.plot.table(ds.aq.verify("kriging"), metrics=["mae", "rmse", "r2"])
    >>> ax.figure.savefig("scores.png")
    """
    wide = _by_method(scores, metrics, stations)
    shown = wide.columns.get_level_values(-1)
    rows, columns = wide.shape
    horizons = wide.columns.nlevels > 1
    heads = 2 if horizons else 1
    # In units of rows and of columns of numbers, from the top left corner.
    names = _METHOD / _NUMBER
    if ax is None:
        size = _METHOD + _NUMBER * columns, _ROW * (rows + heads) + 0.5
        ax = plt.figure(figsize=size, layout="constrained").add_subplot()
    ax.set(xlim=(0, names + columns), ylim=(rows + heads, 0))
    ax.axis("off")
    for i, metric in enumerate(shown):
        x = names + i + 0.9
        ax.text(x, heads - 0.5, _NAMES.get(metric, metric), ha="right", va="center", fontsize=LABEL)
        values = wide.iloc[:, i].to_numpy(float)
        best = _best(values, metric, scores.attrs.get("level"))
        for j, value in enumerate(values):
            weight = "bold" if j in best else "normal"
            text = "\N{EN DASH}" if np.isnan(value) else f"{value:#.3g}" if abs(value) < 99.95 else f"{value:.0f}"
            ax.text(x, heads + j + 0.5, text, ha="right", va="center", fontsize=LABEL, fontweight=weight)
    for j, method in enumerate(wide.index):
        ax.text(0.0, heads + j + 0.5, str(method), ha="left", va="center", fontsize=LABEL)
    if horizons:
        for i, horizon in enumerate(wide.columns.get_level_values(0).unique()):
            left = names + i * len(metrics)
            ax.text(left + 0.5 * len(metrics) + 0.2, 0.5, str(horizon), ha="center", va="center", fontsize=LABEL)
            ax.plot([left + 0.3, left + len(metrics)], [1.0, 1.0], color="black", linewidth=0.5, clip_on=False)
    for y, width in ((0, 1.2), (heads, 0.6), (rows + heads, 1.2)):
        ax.axhline(y, color="black", linewidth=width, clip_on=False)
    units = units_text(str(scores.attrs["units"]))
    where = f", {stations} stations" if horizons else " at hidden stations"
    with_units = [_NAMES.get(m, m) for m in metrics if m in _WITH_UNITS]
    title(
        ax, f"{label(scores.attrs['target'])}{where}" + (f"; {', '.join(with_units)} in {units}" if with_units else "")
    )
    return ax


def skill(
    scores: pd.DataFrame,
    *,
    reference: str = "persistence",
    metric: str = "rmse",
    stations: str = "hidden",
    ax: Axes | None = None,
) -> Axes:
    """Draw skill by horizon: the share of the reference's error that each method saves.

    Parameters
    ----------
    scores : pandas.DataFrame
        Of a forecast, as :func:`xaq.verify` returns it.
    reference : str
        A method of the table.
    metric : {"rmse", "mae"}
        Of which the skill is 1 - score / score of the reference.
    stations : {"hidden", "visible"}
        Which stations.
    ax : matplotlib.axes.Axes, optional
        Draw here. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The reference is the line at 0; above it a method is better. No unit.

    Raises
    ------
    SchemaError
        ``scores`` is not that of a forecast, or has no such method, column or stations.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=20, days=80, step="6h").aq.hide(fraction=0.2)
    >>> model = ds.aq.train("pm25", task="forecast", time=slice(None, "2020-03-05"), max_epochs=0, progress=False)
    >>> scores = ds.aq.verify(model, time="2020-03-06")
    >>> ax = xaq.plot.skill(scores, reference="climatology")
    """
    wide = _by_method(scores, [metric], stations)
    if wide.columns.nlevels < 2:
        raise SchemaError(
            "the scores have no horizons, expected those of a forecast; fix: plot.table(scores)", subject="skill"
        )
    if reference not in wide.index:
        raise SchemaError(f"no method {reference!r}; there are {', '.join(map(str, wide.index))}", subject="skill")
    wide = wide.droplevel(1, axis=1)
    saved = 1.0 - wide / wide.loc[reference]
    if ax is None:
        ax = plt.figure(figsize=(5.6, 3.6), layout="constrained").add_subplot()
    at = np.arange(saved.shape[1])
    ax.axhline(0.0, color="black", linewidth=0.8)
    for i, (method, row) in enumerate(saved.drop(index=reference).iterrows()):
        ax.plot(at, row.to_numpy(float), linewidth=1.8 if i == 0 else 1.2, markersize=5, label=str(method), **_look(i))
    ax.set_xticks(at, [str(h) for h in saved.columns])
    ax.set_xlabel("horizon (hours: of hourly values; days: of daily means)", fontsize=LABEL)
    name = _NAMES.get(metric, metric)
    ax.set_ylabel(f"skill, 1 \N{MINUS SIGN} {name} / {name} of {reference}", fontsize=LABEL)
    plain(ax)
    ax.legend(frameon=False, fontsize=SMALL)
    title(ax, f"{label(scores.attrs['target'])}, {stations} stations")
    return ax


def reliability(
    ds: xr.Dataset,
    mapper: Mapper | str,
    *,
    baselines: Sequence[str] = ("kriging",),
    levels: Sequence[float] = _LEVELS,
    target: str | None = None,
    time: schema.Period = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how often observations at hidden stations fall inside intervals of each level.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset with hidden stations.
    mapper : Model or name of a classical method
        An analysis model, or a method with an interval.
    baselines : sequence of str
        Classical methods drawn beside it; those without an interval are left out.
    levels : sequence of float, above 0 and below 1
        Nominal coverage of the intervals.
    target : str, optional
        Variable; the model's, or the only pollutant.
    time : slice, (start, end) or one time, optional
        Period scored; all of the record by default.
    ax : matplotlib.axes.Axes, optional
        Draw here. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        On the diagonal an interval keeps its promise; below it is too narrow. The band is the range of the middle half
        of the hidden stations, of the mapper.

    Raises
    ------
    SchemaError
        No station is hidden or has an observation in the period; no method has an interval; a level is no share.
    ModelError
        The model is a forecast, or was trained on stations that are hidden now.

    Notes
    -----
    Computes estimates at the hidden stations once for each method.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=4).aq.hide(fraction=0.2)
    >>> ax = ds.aq.plot.reliability("kriging", baselines=[])
    >>> ax.get_xlabel()
    'level of the interval'
    """
    ds = schema.conform(ds)
    refuse_forecast(mapper, "reliability", "fix: ds.aq.verify(model, level=...)")
    nominal = np.asarray(levels, float)
    if nominal.ndim != 1 or not len(nominal) or not ((nominal > 0) & (nominal < 1)).all():
        raise SchemaError(f"levels={tuple(levels)}, expected shares such as (0.5, 0.9)", subject="reliability")
    target = mapper_target(ds, mapper, target)
    places = unseen(ds, mapper)
    methods = [mapper, *(b for b in baselines if b != mapper)]
    found = {getattr(m, "name", m): _coverage(ds, m, nominal, places, target, time) for m in methods}
    kept = {str(name): coverage for name, coverage in found.items() if coverage is not None}
    if not kept:
        raise SchemaError(f"none of {', '.join(map(str, found))} has an interval; fix: 'kriging', or a trained model")
    if ax is None:
        ax = plt.figure(figsize=(4.6, 4.8), layout="constrained").add_subplot()
    ax.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    for i, (name, (pooled, by_station)) in enumerate(kept.items()):
        if i == 0:
            low, high = np.nanquantile(by_station, [0.25, 0.75], axis=1)
            ax.fill_between(
                nominal,
                low,
                high,
                color=METHOD_COLOURS[0],
                alpha=0.15,
                linewidth=0,
                label="middle half of the stations",
            )
        ax.plot(nominal, pooled, linewidth=1.5, markersize=4.5, label=name, **_look(i))
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.set_xlabel("level of the interval", fontsize=LABEL)
    ax.set_ylabel("share of observations inside", fontsize=LABEL)
    plain(ax)
    ax.legend(frameon=False, fontsize=SMALL, loc="upper left")
    picked = schema.select_period(ds, time)
    title(ax, f"{label(target)} at {places.sizes[STATION]} hidden stations", period_text(picked, mean=False, of=ds))
    return ax


def _look(i: int) -> dict[str, Any]:
    """Return colour and marker of the i-th method."""
    return {"color": METHOD_COLOURS[i % len(METHOD_COLOURS)], "marker": METHOD_MARKERS[i % len(METHOD_MARKERS)]}


def _by_method(scores: pd.DataFrame, metrics: Sequence[str], stations: str) -> pd.DataFrame:
    """Return scores with a row for each method, in their order, and columns ``(horizon, metric)`` or ``(metric,)``."""
    if (
        not isinstance(scores, pd.DataFrame)
        or not {"target", "units"} <= set(scores.attrs)
        or "method" not in scores.index.names
    ):
        raise SchemaError("expected what ds.aq.verify(model) returns", subject="scores")
    if unknown := [m for m in metrics if m not in scores]:
        raise SchemaError(
            f"no column {', '.join(unknown)}; there are {', '.join(map(str, scores.columns))}", subject="scores"
        )
    if STATION in scores.index.names:
        raise SchemaError("the scores are by station; fix: ds.aq.verify(model), without by=", subject="scores")
    if "horizon" not in scores.index.names:
        wide = scores[list(metrics)]
        return wide.set_axis(pd.MultiIndex.from_product([list(metrics)]), axis=1)
    if stations not in scores.index.get_level_values("stations"):
        raise SchemaError(f"no {stations!r} stations; expected 'hidden' or 'visible'", subject="scores")
    long = scores.xs(stations, level="stations")[list(metrics)].reset_index()
    methods, horizons = (list(dict.fromkeys(long[name])) for name in ("method", "horizon"))
    by_horizon = {h: part.set_index("method")[list(metrics)] for h, part in long.groupby("horizon", observed=True)}
    return pd.concat(by_horizon, axis=1).loc[methods, horizons]


def _best(values: NDArray[np.float64], metric: str, level: float | None) -> set[int]:
    """Return the rows of the best score as it is written; of width none, for a narrow interval may be a wrong one."""
    if metric in ("n", "width") or np.isnan(values).all() or (metric == "coverage" and level is None):
        return set()
    loss = {"bias": np.abs(values), "coverage": np.abs(values - (level or 0.0))}.get(metric, values)
    loss = np.array([float(f"{v:.3g}") for v in loss])
    return set(np.flatnonzero(loss == (np.nanmax(loss) if metric in _MORE_IS_BETTER else np.nanmin(loss))).tolist())


def _coverage(
    ds: xr.Dataset, mapper: Any, levels: NDArray[np.float64], places: xr.Dataset, target: str, time: schema.Period
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return coverage by level, pooled ``(level,)`` and ``(level, station)``; None of a mapper without an interval."""
    bounds = np.array([interval_probabilities(level) for level in levels])
    made = estimate_quantiles(
        ds, mapper, tuple(bounds.ravel().tolist()), lon=places[LON], lat=places[LAT], target=target, time=time
    )
    name = f"{target}_quantile"
    if name not in made:
        return None
    quantiles = made[name].transpose(QUANTILE, STATION, TIME).values
    truth = places[target].sel({TIME: made[TIME].values}).transpose(STATION, TIME).values
    counted = np.isfinite(truth) & np.isfinite(quantiles[0])
    if not counted.any():
        raise SchemaError(
            f"no hidden station has both {target!r} and an estimate in time={time!r}; fix: another period"
        )
    inside = (truth >= quantiles[0::2]) & (truth <= quantiles[1::2]) & counted
    n = counted.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return inside.sum(axis=(1, 2)) / n.sum(), inside.sum(axis=2) / np.where(n > 0, n, np.nan)
