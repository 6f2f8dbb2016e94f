"""``ds.aq.plot``: every method is one call into :mod:`xaq.plot`, which is imported when a figure is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import xarray as xr

from . import stations as border
from .mappers import Mapper

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

    from .model import Model
    from .plot.basemap import Bounds, Lines
    from .plot.maps import Unsupported
    from .plot.moving import Explorer


class PlotAccessor:
    """Figures of a station dataset; each method returns what it drew on and never shows it.

    Tables of scores have theirs in ``xaq.plot``: ``plot.table(scores)`` and ``plot.skill(scores)``.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    def map(
        self,
        cube: xr.Dataset,
        *,
        time: border.Period = None,
        target: str | None = None,
        ax: GeoAxes | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        stations: bool = True,
        unsupported: Unsupported = "hatched",
        lines: Lines = None,
    ) -> GeoAxes:
        """Draw the field with visible circles and hidden triangles on its colours. See :func:`xaq.plot.map`."""
        from . import plot

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

    def panels(
        self,
        cube: xr.Dataset,
        times: Sequence[border.Period],
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
        """Draw the field at several times side by side, on the same colours. See :func:`xaq.plot.panels`."""
        from . import plot

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

    def compare(
        self,
        cube: xr.Dataset,
        other: xr.Dataset,
        *,
        time: border.Period = None,
        target: str | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        stations: bool = True,
        unsupported: Unsupported = "hatched",
        lines: Lines = None,
    ) -> NDArray[np.object_]:
        """Draw two cubes side by side, and their difference. See :func:`xaq.plot.compare`."""
        from . import plot

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

    def width(
        self,
        cube: xr.Dataset,
        *,
        time: border.Period = None,
        target: str | None = None,
        ax: GeoAxes | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        unsupported: Unsupported = "hatched",
        lines: Lines = None,
    ) -> GeoAxes:
        """Draw how wide the cube's interval is. See :func:`xaq.plot.width`."""
        from . import plot

        return plot.width(
            self._ds, cube, time=time, target=target, ax=ax, vmax=vmax, cmap=cmap, unsupported=unsupported, lines=lines
        )

    def stations(
        self,
        *,
        target: str | None = None,
        time: border.Period = None,
        zoom: Bounds | Literal["densest"] | None = "densest",
        ax: GeoAxes | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        lines: Lines = None,
    ) -> GeoAxes:
        """Draw the stations, colour and size by level, with a zoom on a dense city. See :func:`xaq.plot.stations`."""
        from . import plot

        return plot.stations(
            self._ds, target=target, time=time, zoom=zoom, ax=ax, vmin=vmin, vmax=vmax, cmap=cmap, lines=lines
        )

    def errors(
        self,
        mapper_or_cube: Mapper | str | xr.Dataset,
        *,
        target: str | None = None,
        time: border.Period = None,
        ax: GeoAxes | None = None,
        lines: Lines = None,
    ) -> GeoAxes:
        """Draw hidden-station errors as bubbles. See :func:`xaq.plot.errors`."""
        from . import plot

        return plot.errors(self._ds, mapper_or_cube, target=target, time=time, ax=ax, lines=lines)

    def series(
        self,
        mapper_or_cube: Mapper | str | xr.Dataset,
        station: str,
        *,
        target: str | None = None,
        time: border.Period = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw a station's observations against the reanalysis there. See :func:`xaq.plot.series`."""
        from . import plot

        return plot.series(self._ds, mapper_or_cube, station, target=target, time=time, ax=ax)

    def hours(
        self,
        mapper_or_cube: Mapper | str | xr.Dataset,
        station: str,
        *,
        slots: Sequence[tuple[int, int]] = ((9, 12), (16, 19)),
        tz: str = "UTC",
        target: str | None = None,
        time: border.Period = None,
        axes: Sequence[Axes] | None = None,
    ) -> NDArray[np.object_]:
        """Draw observed against reanalysed for given hours of the day. See :func:`xaq.plot.hours`."""
        from . import plot

        return plot.hours(self._ds, mapper_or_cube, station, slots=slots, tz=tz, target=target, time=time, axes=axes)

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
        """Draw the attention of a model, target day against history day. See :func:`xaq.plot.attention`."""
        from . import plot

        return plot.attention(self._ds, model, time=time, station=station, ax=ax, vmax=vmax, cmap=cmap)

    def reliability(
        self,
        mapper: Mapper | str,
        *,
        baselines: Sequence[str] = ("kriging",),
        levels: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
        target: str | None = None,
        time: border.Period = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw how often intervals of each level hold what they promise, at hidden stations. See :func:`xaq.plot.reliability`."""
        from . import plot

        return plot.reliability(self._ds, mapper, baselines=baselines, levels=levels, target=target, time=time, ax=ax)

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
        """Draw an explained estimate: the place, its neighbours and their weights. See :func:`xaq.plot.explanation`."""
        from . import plot

        return plot.explanation(self._ds, explained, ax=ax, vmin=vmin, vmax=vmax, cmap=cmap, lines=lines)

    def animation(
        self,
        cube: xr.Dataset,
        *,
        time: border.Period = None,
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
        """Return an animation of a cube's steps, to be saved as a GIF or a film. See :func:`xaq.plot.animation`."""
        from . import plot

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

    def explore(
        self,
        cube: xr.Dataset,
        *,
        time: border.Period = None,
        target: str | None = None,
        dpi: float = 90.0,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        stations: bool = True,
        unsupported: Unsupported = "hatched",
        lines: Lines = None,
    ) -> Explorer:
        """Return a small map with a time slider, for a notebook or as a page of its own. See :func:`xaq.plot.explore`."""
        from . import plot

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
