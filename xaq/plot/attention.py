"""The days that a model reads: its attention by target day and day of the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.ticker import FuncFormatter

from ..arrays import timesteps
from ..conventions import STATION, label
from ..cube.request import check_model
from ..errors import ModelError, SchemaError
from ..stations import schema
from .style import ERROR_COLOURS, LABEL, SMALL, colour_bar, title

if TYPE_CHECKING:
    from ..aqnet.model import Model


def attention(
    ds: xr.Dataset,
    model: Model,
    *,
    time: str | np.datetime64 | pd.Timestamp | None = None,
    station: str | None = None,
    ax: Axes | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
) -> Axes:
    """Draw the attention of a model as a heat map, target day against history day.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset.
    model : Model
        A trained model.
    time : time, optional
        A day of the record (UTC): the first target day. Of a forecast all before it is history. Default: the last day that a
        forecast can start from, the last whole one of an analysis.
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
        adds up to 1; the line on the colour bar is what each day has where all have the same.

    Raises
    ------
    SchemaError
        The station is unknown or hidden, or the day is not in the record.
    ModelError
        ``model`` is no trained model, or not of this dataset.

    Notes
    -----
    Computes the record's target and covariates. Attention says where the network looks, not what it concludes: the
    weights of :func:`xaq.explain` are what an estimate is made of.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> ds.aq.plot.attention(model).get_ylabel()
    'target day'
    """
    ds = schema.conform(ds)
    if not hasattr(model, "attention"):
        raise ModelError(f"attention is for trained models, got {model!r}; fix: model = ds.aq.train(...)")
    check_model(model, schema.conform(ds, model.target), model.target)
    config, recipe = model.recipe.config, model.recipe
    seen = schema.observations(ds, model.target, covariates=recipe.covariates, known=recipe.known)
    start = _first_target(seen.times, model, time)
    if model.task == "forecast":
        seen = seen.until(int(np.searchsorted(seen.times, start)), config.target_steps)
    days = model.attention(seen, start)
    names = ds[STATION].values[~schema.hidden_mask(ds)].astype(str)
    if station is not None and str(station) not in names:
        raise SchemaError(f"{station!r} is no visible station", subject="attention")
    shown = days.mean(axis=0) if station is None else days[list(names).index(str(station))]
    if ax is None:
        ax = plt.figure(figsize=(6.4, 1.6 + 0.32 * max(len(shown), 5)), layout="constrained").add_subplot()
    first = -config.days_before
    # Twice the even share at least, so that attention to all days alike has the colour half-way.
    even = 1.0 / shown.shape[1]
    norm = Normalize(0.0, max(float(shown.max()), 2.0 * even) if vmax is None else vmax)
    image = ax.imshow(
        shown, norm=norm, cmap=cmap or ERROR_COLOURS, aspect="auto", interpolation="nearest",
        extent=(first - 0.5, first + shown.shape[1] - 0.5, len(shown) - 0.5, -0.5),
    )  # fmt: skip
    _label_days(ax, first, shown.shape[1], len(shown))
    bar = colour_bar(ax, image, "attention [1]", "neither" if vmax is None or vmax >= shown.max() else "max")
    bar.ax.plot([0, 1], [even, even], color="black", linewidth=1.2, transform=bar.ax.get_yaxis_transform())
    where = f"mean of {len(days)} stations" if station is None else f"station {station}"
    title(ax, f"{label(model.target)}, {model.task} from {pd.Timestamp(start):%Y-%m-%d %H:%M} UTC", where)
    return ax


def _first_target(record: np.ndarray, model: Model, time: Any) -> np.datetime64:
    """Return the step at which the window's target begins."""
    step, config = model.step, model.recipe.config
    if time is None:
        after = config.target_steps if model.task == "forecast" else (1 + config.days_after) * config.steps_per_day
        return timesteps.day_starts(record[-after], record[-after], step)[0]
    try:
        timestamp = np.datetime64(pd.Timestamp(time), "s")
    except (ValueError, TypeError) as error:
        raise SchemaError(f"time={time!r} is not one time ({error})", subject="attention") from error
    if not record[0] <= timestamp <= record[-1]:
        raise SchemaError(f"time={time!r} is outside the record, {record[0]} .. {record[-1]}", subject="attention")
    return timestamp if model.task == "forecast" else timesteps.day_starts(timestamp, timestamp, step)[0]


def _label_days(ax: Axes, first: int, history: int, targets: int) -> None:
    """Label days from the first target day, today's name being 0, and mark where the target begins."""
    every = -(-history // 14)
    ax.set_xticks(range(first, first + history, every))
    ax.set_yticks(range(targets))
    signed = FuncFormatter(lambda day, _: f"{day:+.0f}".replace("-", "\N{MINUS SIGN}") if day else "0")
    ax.xaxis.set_major_formatter(signed)
    ax.yaxis.set_major_formatter(signed)
    ax.set_xlabel("history day [days from the first target day]", fontsize=LABEL)
    ax.set_ylabel("target day", fontsize=LABEL)
    ax.tick_params(labelsize=SMALL)
