"""The temporal attention of a model, by target day and history day."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from .._arguments import check_number, shown
from ..arrays import timesteps
from ..conventions import STATION, label
from ..cube.mapper import check_model
from ..errors import ModelError, SchemaError
from ..interpolate.trained import AttendingMapper
from ..stations import schema, taking_part, timestamps
from . import arguments
from .arguments import check_axes, check_colours
from .style import ERROR_COLOURS, LABEL, SMALL, colour_bar, title


def attention(
    ds: xr.Dataset,
    model: AttendingMapper,
    *,
    time: str | np.datetime64 | pd.Timestamp | None = None,
    station: str | None = None,
    ax: Axes | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
) -> Axes:
    """Draw the temporal attention of a model as a heat map, target day against history day.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset.
    model : Model
        A trained model.
    time : time, optional
        The first target day (UTC), in the record; for a forecast the init time, and only earlier times are history.
        Default: the last whole day for an analysis, the last possible init time for a forecast.
    station : str, optional
        A visible station. Default: the mean over all.
    ax : matplotlib.axes.Axes, optional
        Draw here. Default: a new figure.
    vmax : float, optional
        Upper colour limit; the lower one is 0.
    cmap : str or Colormap, optional
        Default: viridis reversed, dark where attention is high.

    Returns
    -------
    matplotlib.axes.Axes
        Rows are target days, columns the days that the model reads, both counted from the first target day. Each row
        sums to 1; the line on the colour bar marks uniform attention.

    Raises
    ------
    SchemaError
        The station is unknown or hidden, or the day is not in the record.
    ModelError
        ``model`` is not a trained model, has no temporal module (an analysis by default), or does not fit the dataset.

    Notes
    -----
    Computes the target and covariates of the whole record. Attention shows which days the network reads, not how they
    change the estimate; :func:`xaq.explain` gives the weights of an estimate.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> config = xaq.AQNetConfig(temporal=True)
    >>> model = ds.aq.train("pm25", config=config, max_epochs=0, progress=False)
    >>> ds.aq.plot.attention(model).get_ylabel()
    'target day'
    """
    cmap = check_colours(cmap, ERROR_COLOURS)
    check_axes(ax)
    if vmax is not None:
        vmax = check_number(
            vmax, "vmax", "above 0, or None", fix="vmax=None", valid=lambda x: 0 < x < np.inf, error=arguments.error
        )
    ds = schema.conform(ds)
    if not isinstance(model, AttendingMapper):
        raise ModelError(f"got {model!r}, expected a trained model; fix: model = ds.aq.train(...)")
    schema.require_target(ds, model.target)
    check_model(model, ds, model.target)
    config, recipe = model.recipe.config, model.recipe
    seen = taking_part.observed(ds, model.target, covariates=recipe.covariates, known=recipe.known)
    observations = seen.observations
    first = _first_target(observations.times, model, time)
    if model.task == "forecast":
        observations = observations.until(int(np.searchsorted(observations.times, first)), config.target_steps)
    by_station = model.attention(observations, first)
    names = seen.stations[STATION].values.astype(str)
    if station is not None and str(station) not in names:
        raise SchemaError(
            f"{station!r} is not a visible station that reports; fix: one of {schema.some(names)}", subject="attention"
        )
    shown = by_station.mean(axis=0) if station is None else by_station[list(names).index(str(station))]
    ax = _draw(ax, shown, -config.days_before, vmax, cmap)
    where = f"mean of {len(by_station)} stations" if station is None else f"station {station}"
    head = f"{label(model.target)}, {model.task} from {pd.Timestamp(first):%Y-%m-%d %H:%M} UTC"
    title(ax, head, where, None if recipe.learned else "training gained nothing: attention is not learned")
    return ax


def _draw(ax: Axes | None, shown: NDArray, first: int, vmax: float | None, cmap: str | Colormap) -> Axes:
    """Draw attention ``(target day, history day)``, whose first history day is ``first``, with its colour bar."""
    targets, history = shown.shape
    if ax is None:
        ax = plt.figure(figsize=(6.4, 1.6 + 0.32 * max(targets, 5)), layout="constrained").add_subplot()
    uniform = 1.0 / history
    # The scale ends at twice uniform attention or above, so that uniform attention never has the darkest colour.
    norm = Normalize(0.0, max(float(shown.max()), 2.0 * uniform) if vmax is None else vmax)
    image = ax.imshow(
        shown, norm=norm, cmap=cmap, aspect="auto", interpolation="nearest",
        extent=(first - 0.5, first + history - 0.5, targets - 0.5, -0.5),
    )  # fmt: skip
    _label_days(ax, first, history, targets)
    bar = colour_bar(ax, image, "attention [1]", "neither" if vmax is None or vmax >= shown.max() else "max")
    bar.ax.plot([0, 1], [uniform, uniform], color="black", linewidth=1.2, transform=bar.ax.get_yaxis_transform())
    return ax


def _first_target(record: np.ndarray, model: AttendingMapper, time: Any) -> np.datetime64:
    """Return the first target step of the window."""
    step, config = model.step, model.recipe.config
    if time is None:
        after = config.target_steps if model.task == "forecast" else (1 + config.days_after) * config.steps_per_day
        return timesteps.day_starts(record[-after], record[-after], step)[0]
    try:
        timestamp = np.datetime64(pd.Timestamp(timestamps.plain_time(time)), "s")
    except (ValueError, TypeError) as error:
        raise SchemaError(
            f"time={shown(time)} is not one time; fix: time={str(record[-1])!r}", subject="attention"
        ) from error
    if not record[0] <= timestamp <= record[-1]:
        raise SchemaError(
            f"time={shown(time)} is outside the record, {record[0]} .. {record[-1]}; fix: time={str(record[-1])!r}",
            subject="attention",
        )
    return timestamp if model.task == "forecast" else timesteps.day_starts(timestamp, timestamp, step)[0]


def _label_days(ax: Axes, first: int, history: int, targets: int) -> None:
    """Label both axes in days from the first target day, which is 0."""
    every = -(-history // 14)
    ax.set_xticks(range(first, first + history, every))
    ax.set_yticks(range(targets))
    signed = FuncFormatter(lambda day, _: f"{day:+.0f}".replace("-", "\N{MINUS SIGN}") if day else "0")
    ax.xaxis.set_major_formatter(signed)
    ax.yaxis.set_major_formatter(signed)
    ax.set_xlabel("history day [days from the first target day]", fontsize=LABEL)
    ax.set_ylabel("target day", fontsize=LABEL)
    ax.tick_params(labelsize=SMALL)
