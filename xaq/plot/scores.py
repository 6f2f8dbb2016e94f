"""Scores as figures: the table of methods and horizons, skill by horizon, and the reliability of intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .._arguments import check_choice, check_names, check_sequence, check_text
from ..conventions import LAT, LON, QUANTILE, STATION, TIME, label
from ..cube.mapper import check_mapper, method_name
from ..cube.reanalyze import estimate_quantiles
from ..cube.request import Fields, RequestOptions, interval_probabilities, make_request, settle_target
from ..errors import SchemaError, each_once
from ..interpolate.base import Mapper
from ..stations import schema
from . import arguments
from .arguments import LEVELS, check_axes, check_levels
from .held_out import hidden_stations
from .style import LABEL, METHOD_COLOURS, METHOD_MARKERS, SMALL, plain, text_width, title
from .subject import refuse_forecast, units_text
from .times import period_text

#: Scores of which higher is better. The best bias is nearest to 0, the best coverage nearest to the nominal one; of the
#: others lower is better.
_HIGHER_IS_BETTER = frozenset({"r2"})
#: Scores in the target's units.
_WITH_UNITS = frozenset({"mae", "rmse", "bias", "crps", "width"})
_NAMES = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "crps": "CRPS"}
#: Inches: the height of a table's row, and the widths of a column of numbers, of the column of methods at least, and behind a method.
_ROW, _NUMBER, _METHOD, _GAP = 0.28, 0.75, 1.5, 0.1


def table(
    scores: pd.DataFrame, *, metrics: Sequence[str] = ("mae", "rmse"), stations: str = "hidden", ax: Axes | None = None
) -> Axes:
    """Draw scores as a table of methods, and of horizons for a forecast; the best score of each column is bold.

    Parameters
    ----------
    scores : pandas.DataFrame
        As :func:`xaq.verify` returns it.
    metrics : sequence of str
        Columns of ``scores`` to show.
    stations : {"hidden", "visible"}
        Stations whose scores are shown, for a forecast.
    ax : matplotlib.axes.Axes, optional
        Draw here; the table fills it. Default: a new figure of the size of the table.

    Returns
    -------
    matplotlib.axes.Axes
        The title gives the target, the stations and the units.

    Raises
    ------
    SchemaError
        ``scores`` is not a table of scores, or lacks these columns or stations.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=4).aq.hide(fraction=0.2)
    >>> ax = xaq.plot.table(ds.aq.verify("kriging"), metrics=["mae", "rmse", "r2"])
    >>> ax.figure.savefig("scores.png")
    """
    check_axes(ax)
    metrics = check_names(metrics, "metrics", fix="metrics=['mae', 'rmse']", error=arguments.error)
    if not metrics:
        raise arguments.error("metrics is empty, expected at least one column; fix: metrics=['mae', 'rmse']")
    wide = _by_method(scores, metrics, stations)
    rows, columns = wide.shape
    horizons = wide.columns.nlevels > 1
    heads = 2 if horizons else 1
    names = max(_METHOD, *(text_width(str(method), LABEL) / 72.0 + _GAP for method in wide.index))
    if ax is None:
        size = names + _NUMBER * columns, _ROW * (rows + heads) + 0.5
        ax = plt.figure(figsize=size, layout="constrained").add_subplot()
    # In units of rows and of columns of numbers, from the top left corner.
    left = names / _NUMBER
    ax.set(xlim=(0, left + columns), ylim=(rows + heads, 0))
    ax.axis("off")
    for i, metric in enumerate(wide.columns.get_level_values(-1)):
        _write_column(ax, wide.iloc[:, i].to_numpy(float), metric, left + i + 0.9, heads, scores.attrs.get("level"))
    for j, method in enumerate(wide.index):
        ax.text(0.0, heads + j + 0.5, str(method), ha="left", va="center", fontsize=LABEL)
    if horizons:
        _write_horizons(ax, wide.columns.get_level_values(0).unique(), left, len(metrics))
    for y, width in ((0, 1.2), (heads, 0.6), (rows + heads, 1.2)):
        ax.axhline(y, color="black", linewidth=width, clip_on=False)
    where = f", {stations} stations" if horizons else " at hidden stations"
    with_units = ", ".join(_NAMES.get(m, m) for m in metrics if m in _WITH_UNITS)
    units = f"; {with_units} in {units_text(str(scores.attrs['units']))}" if with_units else ""
    title(ax, f"{label(scores.attrs['target'])}{where}{units}")
    return ax


def _write_column(
    ax: Axes, values: NDArray[np.float64], metric: str, right: float, heads: int, nominal: float | None
) -> None:
    """Write a column of scores with its name, aligned at ``right`` and below ``heads`` rows; the best in bold."""
    ax.text(right, heads - 0.5, _NAMES.get(metric, metric), ha="right", va="center", fontsize=LABEL)
    best = _best(values, metric, nominal)
    for j, value in enumerate(values):
        weight = "bold" if j in best else "normal"
        text = "\N{EN DASH}" if np.isnan(value) else f"{value:#.3g}" if abs(value) < 99.95 else f"{value:.0f}"
        ax.text(right, heads + j + 0.5, text, ha="right", va="center", fontsize=LABEL, fontweight=weight)


def _write_horizons(ax: Axes, horizons: pd.Index, left: float, n_metrics: int) -> None:
    """Write each horizon above the columns of its metrics, with a line below it."""
    for i, horizon in enumerate(horizons):
        x = left + i * n_metrics
        ax.text(x + 0.5 * n_metrics + 0.2, 0.5, str(horizon), ha="center", va="center", fontsize=LABEL)
        ax.plot([x + 0.3, x + n_metrics], [1.0, 1.0], color="black", linewidth=0.5, clip_on=False)


def skill(
    scores: pd.DataFrame,
    *,
    reference: str = "persistence",
    metric: str = "rmse",
    stations: str = "hidden",
    ax: Axes | None = None,
) -> Axes:
    """Draw the skill of each method by horizon: its error reduction relative to a reference.

    Parameters
    ----------
    scores : pandas.DataFrame
        The scores of a forecast, as :func:`xaq.verify` returns them.
    reference : str
        A method in ``scores``.
    metric : {"rmse", "mae"}
        Score whose skill is drawn: 1 - score / score of the reference.
    stations : {"hidden", "visible"}
        Stations whose scores are drawn.
    ax : matplotlib.axes.Axes, optional
        Draw here. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The line at 0 is the reference; a method above it is better. Skill has no unit.

    Raises
    ------
    SchemaError
        ``scores`` is not of a forecast, or lacks this method, column or stations.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=20, days=80, step="6h").aq.hide(fraction=0.2)
    >>> model = ds.aq.train("pm25", task="forecast", time=slice(None, "2020-03-05"), max_epochs=0, progress=False)
    >>> scores = ds.aq.verify(model, time="2020-03-06")
    >>> ax = xaq.plot.skill(scores, reference="climatology")
    """
    check_axes(ax)
    reference = check_text(reference, "reference", "a method", fix="reference='persistence'", error=arguments.error)
    metric = check_text(metric, "metric", "a column", fix="metric='rmse'", error=arguments.error)
    wide = _by_method(scores, [metric], stations)
    if wide.columns.nlevels < 2:
        raise SchemaError(
            "the scores have no horizons, expected scores of a forecast; fix: xaq.plot.table(scores)", subject="skill"
        )
    if reference not in wide.index:
        known = ", ".join(map(str, wide.index))
        raise SchemaError(
            f"no method {reference!r} in the scores, which have {known}; fix: reference={str(wide.index[-1])!r}",
            subject="skill",
        )
    wide = wide.droplevel(1, axis=1)
    gained = 1.0 - wide / wide.loc[reference]
    if ax is None:
        ax = plt.figure(figsize=(5.6, 3.6), layout="constrained").add_subplot()
    at = np.arange(gained.shape[1])
    ax.axhline(0.0, color="black", linewidth=0.8)
    for i, (method, row) in enumerate(gained.drop(index=reference).iterrows()):
        ax.plot(at, row.to_numpy(float), linewidth=1.8 if i == 0 else 1.2, markersize=5, label=str(method), **_look(i))
    ax.set_xticks(at, [str(h) for h in gained.columns])
    ax.set_xlabel("horizon (hours: hourly values; days: daily means)", fontsize=LABEL)
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
    levels: Sequence[float] = LEVELS,
    target: str | None = None,
    time: schema.Period = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    fields: Fields | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the coverage of intervals at hidden stations against their nominal coverage.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset with hidden stations.
    mapper : Model or name of a classical method
        An analysis model, or a method with an interval.
    baselines : sequence of str
        Classical methods to compare with; those without an interval are left out.
    levels : sequence of float, above 0 and below 1
        Nominal coverages of the intervals.
    target : str, optional
        Variable; the model's, or the only pollutant.
    time : slice, (start, end) or one time, optional
        Period to score; the whole record by default.
    background, rasters, fields : optional
        As for :func:`xaq.verify`.
    ax : matplotlib.axes.Axes, optional
        Draw here. Default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Points on the diagonal are reliable; below it intervals are too narrow, above it too wide. The band is the
        interquartile range of the mapper's coverage over the hidden stations.

    Raises
    ------
    SchemaError
        No station is hidden or has an observation in the period; no method has an interval; a nominal coverage is not
        between 0 and 1.
    ModelError
        The model is a forecast model, or it was trained on stations that are hidden now.

    Notes
    -----
    Computes estimates at the hidden stations once for each method.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=4).aq.hide(fraction=0.2)
    >>> ax = ds.aq.plot.reliability("kriging", baselines=[])
    >>> ax.get_xlabel()
    'nominal coverage of the interval'
    """
    check_axes(ax)
    baselines = check_sequence(
        baselines, "baselines", "a list of methods", fix="baselines=['kriging']", error=arguments.error
    )
    for method in (mapper, *baselines):
        check_mapper(method)
    nominal = check_levels(levels)
    ds = schema.conform(ds)
    refuse_forecast(mapper, "reliability", "fix: ds.aq.verify(model, level=...)")
    target = settle_target(ds, mapper, target)
    hidden = hidden_stations(ds, mapper)
    methods = [mapper, *(b for b in baselines if b != mapper)]
    options = RequestOptions(target=target, time=time, background=background, rasters=rasters, fields=fields)
    each = [options, *(options.of_baseline(method) for method in methods[1:])]
    with each_once():
        found = {method_name(m): _coverage(ds, m, nominal, hidden, o) for m, o in zip(methods, each, strict=True)}
    kept = {name: coverage for name, coverage in found.items() if coverage is not None}
    if not kept:
        raise SchemaError(
            f"none of {', '.join(found)} has an interval; fix: plot.reliability('kriging'), or a trained model"
        )
    if ax is None:
        ax = plt.figure(figsize=(4.6, 4.8), layout="constrained").add_subplot()
    ax.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    low, high = np.nanquantile(next(iter(kept.values())).by_station, [0.25, 0.75], axis=1)
    ax.fill_between(
        nominal, low, high, color=METHOD_COLOURS[0], alpha=0.15, linewidth=0, label="interquartile range of stations"
    )
    for i, (name, coverage) in enumerate(kept.items()):
        ax.plot(nominal, coverage.pooled, linewidth=1.5, markersize=4.5, label=name, **_look(i))
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.set_xlabel("nominal coverage of the interval", fontsize=LABEL)
    ax.set_ylabel("fraction of observations inside the interval", fontsize=LABEL)
    plain(ax)
    ax.legend(frameon=False, fontsize=SMALL, loc="upper left")
    picked = schema.select_period(ds, time)
    title(ax, f"{label(target)} at {hidden.sizes[STATION]} hidden stations", period_text(picked, mean=False, of=ds))
    return ax


def _look(i: int) -> dict[str, Any]:
    """Return the colour and marker of the i-th method."""
    return {"color": METHOD_COLOURS[i % len(METHOD_COLOURS)], "marker": METHOD_MARKERS[i % len(METHOD_MARKERS)]}


def _by_method(scores: pd.DataFrame, metrics: Sequence[str], stations: str) -> pd.DataFrame:
    """Return scores with a row per method, in their order, and columns ``(horizon, metric)`` or ``(metric,)``."""
    if (
        not isinstance(scores, pd.DataFrame)
        or not {"target", "units"} <= set(scores.attrs)
        or "method" not in scores.index.names
    ):
        raise SchemaError(
            f"got {type(scores).__name__}, expected a table of scores; fix: ds.aq.verify(model)", subject="scores"
        )
    if unknown := [m for m in metrics if m not in scores]:
        raise SchemaError(
            f"no column {', '.join(unknown)}, expected some of {', '.join(map(str, scores.columns))}; fix: metrics=['mae', 'rmse']",
            subject="scores",
        )
    check_choice(stations, "stations", ("hidden", "visible"), error=arguments.error)
    if STATION in scores.index.names:
        raise SchemaError(
            "the scores are by station, expected pooled ones; fix: ds.aq.verify(model), without by=", subject="scores"
        )
    if "horizon" not in scores.index.names:
        wide = scores[list(metrics)]
        return wide.set_axis(pd.MultiIndex.from_product([list(metrics)]), axis=1)
    if stations not in scores.index.get_level_values("stations"):
        raise SchemaError(
            f"stations={stations!r}, expected 'hidden' or 'visible'; fix: stations='hidden'", subject="scores"
        )
    long = scores.xs(stations, level="stations")[list(metrics)].reset_index()
    methods, horizons = (list(dict.fromkeys(long[name])) for name in ("method", "horizon"))
    by_horizon = {h: part.set_index("method")[list(metrics)] for h, part in long.groupby("horizon", observed=True)}
    return pd.concat(by_horizon, axis=1).loc[methods, horizons]


def _best(values: NDArray[np.float64], metric: str, nominal: float | None) -> set[int]:
    """Return the rows of the best score as printed; none for a width, as the narrowest interval may be too narrow."""
    if metric in ("n", "width") or np.isnan(values).all() or (metric == "coverage" and nominal is None):
        return set()
    loss = {"bias": np.abs(values), "coverage": np.abs(values - (nominal or 0.0))}.get(metric, values)
    loss = np.array([float(f"{v:.3g}") for v in loss])
    return set(np.flatnonzero(loss == (np.nanmax(loss) if metric in _HIGHER_IS_BETTER else np.nanmin(loss))).tolist())


class _Coverage(NamedTuple):
    """Fractions of observations inside their interval: pooled ``(level,)``, and ``(level, station)``."""

    pooled: NDArray[np.float64]
    by_station: NDArray[np.float64]


def _coverage(
    ds: xr.Dataset, mapper: Any, levels: NDArray[np.float64], hidden: xr.Dataset, options: RequestOptions
) -> _Coverage | None:
    """Return the coverage of a mapper's intervals at the hidden stations; None where it has no interval."""
    bounds = np.array([interval_probabilities(level) for level in levels])
    request = make_request(ds, mapper, options)
    target = request.target
    made = estimate_quantiles(request, tuple(bounds.ravel().tolist()), lon=hidden[LON], lat=hidden[LAT])
    name = f"{target}_quantile"
    if name not in made:
        return None
    quantiles = made[name].transpose(QUANTILE, STATION, TIME).values
    observed = hidden[target].sel({TIME: made[TIME].values}).transpose(STATION, TIME).values
    counted = np.isfinite(observed) & np.isfinite(quantiles[0])
    if not counted.any():
        raise SchemaError(
            f"no hidden station has both {target!r} and an estimate in time={options.time!r}; fix: another time=..."
        )
    inside = (observed >= quantiles[0::2]) & (observed <= quantiles[1::2]) & counted
    n = counted.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return _Coverage(inside.sum(axis=(1, 2)) / n.sum(), inside.sum(axis=2) / np.where(n > 0, n, np.nan))
