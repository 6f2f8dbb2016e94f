"""``ds.aq.plot``: the figures of a station dataset. Imported with matplotlib when ``plot`` is asked for."""

from __future__ import annotations

import xarray as xr

from .. import plot
from .._method import method


class PlotAccessor:
    """Figures of a station dataset; each method returns what it drew on and never shows it.

    Each method calls the function of the same name in ``xaq.plot`` with the dataset as first argument. Figures of a table
    of scores take no dataset: ``xaq.plot.table(scores)``, ``xaq.plot.skill(scores)``.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> ds.aq.plot.stations(time="2020-01-01").get_title("left")
    'PM2.5 at 12 stations, daily mean 2020-01-01 (UTC)'
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    map = method(plot.map)
    panels = method(plot.panels)
    compare = method(plot.compare)
    width = method(plot.width)
    stations = method(plot.stations)
    errors = method(plot.errors)
    series = method(plot.series)
    hours = method(plot.hours)
    attention = method(plot.attention)
    reliability = method(plot.reliability)
    reliability_of_means = method(plot.reliability_of_means)
    error_covariance = method(plot.error_covariance)
    explanation = method(plot.explanation)
    animation = method(plot.animation)
    explore = method(plot.explore)

    def __repr__(self) -> str:
        figures = ", ".join(name for name in dir(self) if not name.startswith("_"))
        return f"<xaq> figures of a station dataset: {figures}\n  of a table of scores: xaq.plot.table, xaq.plot.skill"
