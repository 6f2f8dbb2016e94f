"""``ds.aq.plot``: every method is one call into :mod:`xaq.plot`. Imported when ``plot`` is asked for, with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import xarray as xr

from .. import plot
from .._method import documented_by
from ..interpolate.base import Mapper
from ..stations import schema

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

    from ..aqnet.model import Model
    from .basemap import Bounds, Lines
    from .maps import Unsupported
    from .moving import Explorer


class PlotAccessor:
    """Figures of a station dataset; each method returns what it drew on and never shows it.

    A method is the function of its name in ``xaq.plot`` with the dataset as first argument. Tables of scores have theirs
    there: ``xaq.plot.table(scores)`` and ``xaq.plot.skill(scores)``.

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

    @documented_by(plot.map)
    def map(
        self,
        cube: xr.Dataset,
        *,
        time: schema.Period = None,
        target: str | None = None,
        ax: GeoAxes | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        stations: bool = True,
        unsupported: Unsupported = "hatched",
        lines: Lines = None,
    ) -> GeoAxes:
        return plot.map(
            self._ds,
            cube,
            time=time,
            target=target,
            ax=ax,
            vmin=vmin,
            vmax=vmax,
            cmap=cmap,
            stations=stations,
            unsupported=unsupported,
            lines=lines,
        )

    @documented_by(plot.panels)
    def panels(
        self,
        cube: xr.Dataset,
        times: Sequence[schema.Period],
        *,
        target: str | None = None,
        columns: int = 3,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        stations: bool = True,
        unsupported: Unsupported = "hatched",
        lines: Lines = None,
    ) -> NDArray[np.object_]:
        return plot.panels(
            self._ds,
            cube,
            times,
            target=target,
            columns=columns,
            vmin=vmin,
            vmax=vmax,
            cmap=cmap,
            stations=stations,
            unsupported=unsupported,
            lines=lines,
        )

    @documented_by(plot.compare)
    def compare(
        self,
        cube: xr.Dataset,
        other: xr.Dataset,
        *,
        time: schema.Period = None,
        target: str | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        stations: bool = True,
        unsupported: Unsupported = "hatched",
        lines: Lines = None,
    ) -> NDArray[np.object_]:
        return plot.compare(
            self._ds,
            cube,
            other,
            time=time,
            target=target,
            vmin=vmin,
            vmax=vmax,
            cmap=cmap,
            stations=stations,
            unsupported=unsupported,
            lines=lines,
        )

    @documented_by(plot.width)
    def width(
        self,
        cube: xr.Dataset,
        *,
        time: schema.Period = None,
        target: str | None = None,
        ax: GeoAxes | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        unsupported: Unsupported = "hatched",
        lines: Lines = None,
    ) -> GeoAxes:
        return plot.width(
            self._ds, cube, time=time, target=target, ax=ax, vmax=vmax, cmap=cmap, unsupported=unsupported, lines=lines
        )

    @documented_by(plot.stations)
    def stations(
        self,
        *,
        target: str | None = None,
        time: schema.Period = None,
        zoom: Bounds | Literal["densest"] | None = "densest",
        ax: GeoAxes | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        lines: Lines = None,
    ) -> GeoAxes:
        return plot.stations(
            self._ds, target=target, time=time, zoom=zoom, ax=ax, vmin=vmin, vmax=vmax, cmap=cmap, lines=lines
        )

    @documented_by(plot.errors)
    def errors(
        self,
        mapper_or_cube: Mapper | str | xr.Dataset,
        *,
        target: str | None = None,
        time: schema.Period = None,
        ax: GeoAxes | None = None,
        lines: Lines = None,
    ) -> GeoAxes:
        return plot.errors(self._ds, mapper_or_cube, target=target, time=time, ax=ax, lines=lines)

    @documented_by(plot.series)
    def series(
        self,
        mapper_or_cube: Mapper | str | xr.Dataset,
        station: str,
        *,
        target: str | None = None,
        time: schema.Period = None,
        ax: Axes | None = None,
    ) -> Axes:
        return plot.series(self._ds, mapper_or_cube, station, target=target, time=time, ax=ax)

    @documented_by(plot.hours)
    def hours(
        self,
        mapper_or_cube: Mapper | str | xr.Dataset,
        station: str,
        *,
        slots: Sequence[tuple[int, int]] = ((9, 12), (16, 19)),
        tz: str = "UTC",
        target: str | None = None,
        time: schema.Period = None,
        axes: Sequence[Axes] | None = None,
    ) -> NDArray[np.object_]:
        return plot.hours(self._ds, mapper_or_cube, station, slots=slots, tz=tz, target=target, time=time, axes=axes)

    @documented_by(plot.attention)
    def attention(
        self,
        model: Model,
        *,
        time: str | np.datetime64 | pd.Timestamp | None = None,
        station: str | None = None,
        ax: Axes | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
    ) -> Axes:
        return plot.attention(self._ds, model, time=time, station=station, ax=ax, vmax=vmax, cmap=cmap)

    @documented_by(plot.reliability)
    def reliability(
        self,
        mapper: Mapper | str,
        *,
        baselines: Sequence[str] = ("kriging",),
        levels: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
        target: str | None = None,
        time: schema.Period = None,
        ax: Axes | None = None,
    ) -> Axes:
        return plot.reliability(self._ds, mapper, baselines=baselines, levels=levels, target=target, time=time, ax=ax)

    @documented_by(plot.explanation)
    def explanation(
        self,
        explained: xr.Dataset,
        *,
        ax: GeoAxes | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        lines: Lines = None,
    ) -> GeoAxes:
        return plot.explanation(self._ds, explained, ax=ax, vmin=vmin, vmax=vmax, cmap=cmap, lines=lines)

    @documented_by(plot.animation)
    def animation(
        self,
        cube: xr.Dataset,
        *,
        time: schema.Period = None,
        target: str | None = None,
        interval: float = 200.0,
        ax: GeoAxes | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        stations: bool = True,
        unsupported: Unsupported = "hatched",
        lines: Lines = None,
    ) -> FuncAnimation:
        return plot.animation(
            self._ds,
            cube,
            time=time,
            target=target,
            interval=interval,
            ax=ax,
            vmin=vmin,
            vmax=vmax,
            cmap=cmap,
            stations=stations,
            unsupported=unsupported,
            lines=lines,
        )

    @documented_by(plot.explore)
    def explore(
        self,
        cube: xr.Dataset,
        *,
        time: schema.Period = None,
        target: str | None = None,
        dpi: float = 90.0,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        stations: bool = True,
        unsupported: Unsupported = "hatched",
        lines: Lines = None,
    ) -> Explorer:
        return plot.explore(
            self._ds,
            cube,
            time=time,
            target=target,
            dpi=dpi,
            vmin=vmin,
            vmax=vmax,
            cmap=cmap,
            stations=stations,
            unsupported=unsupported,
            lines=lines,
        )

    def __repr__(self) -> str:
        figures = ", ".join(name for name in dir(self) if not name.startswith("_"))
        return f"<xaq> figures of a station dataset: {figures}\n  of a table of scores: xaq.plot.table, xaq.plot.skill"
