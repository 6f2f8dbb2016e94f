"""The map of a network: its stations by concentration, with a zoom on its densest part."""

from __future__ import annotations

from typing import Literal

import cartopy.crs as ccrs
import numpy as np
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..arrays import longitudes
from ..conventions import LAT, LON, STATION, label
from ..cube.request import settle_target
from ..stations import schema
from . import basemap
from .arguments import check_colours
from .basemap import Lines
from .markers import bubble_handles, draw_silent, kinds, silent_handles
from .observed import mean_observed
from .scale_bar import draw_scale_bar
from .style import FIELD_COLOURS, colour_bar, handle, legend_below, limits, title
from .subject import axis_label, station_bounds, units_text
from .times import period_text
from .zoom import add_inset, choose_corner, within, zoom_box

#: Area of the marker of the highest concentration, square points.
_LARGEST = 110.0


def stations(
    ds: xr.Dataset,
    target: str | None = None,
    *,
    time: schema.Period = None,
    zoom: basemap.Bounds | Literal["densest"] | bool | None = "densest",
    ax: GeoAxes | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    lines: Lines = None,
) -> GeoAxes:
    """Draw the stations with colour and size by concentration, and a zoom on a dense city.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset.
    target : str, optional
        Variable; the only pollutant by default.
    time : slice, (start, end) or one time, optional
        Period whose mean is drawn; all of the record by default.
    zoom : {"densest"}, (west, south, east, north) in degrees, bool or None
        What an inset shows enlarged: the densest part of the network, if one is much denser than the rest (also True); a box; or
        nothing (False or None).
    ax : cartopy.mpl.geoaxes.GeoAxes, optional
        Draw here. Default: a new figure.
    vmin, vmax : float, optional
        Colour limits, in the target's units. Default: the 2nd and 98th percentile.
    cmap : str or Colormap, optional
        Default: viridis.
    lines : GeoDataFrame, sequence of shapely geometries, or path of a GeoJSON file, optional
        Drawn instead of the bundled coast, borders and provinces.

    Returns
    -------
    cartopy.mpl.geoaxes.GeoAxes
        Visible stations are circles, hidden ones triangles; areas are proportional to the mean concentration. The legend of
        sizes has values of the colour bar. The inset is the last of the ``child_axes``, and shows the stations of its box only.
        It lies in a corner without stations; if there is none, the map is widened.

    Raises
    ------
    SchemaError
        No station has an observation in the period; the zoom holds no station; ``ax`` is not a map.

    Notes
    -----
    Computes the mean of the observations.

    Examples
    --------
    >>> import xaq
    >>> xaq.datasets.load("germany").aq.plot.stations(time="2005-02-08").get_title("left")
    'PM10 at 66 stations, daily mean 2005-02-08'
    """
    cmap = check_colours(cmap, FIELD_COLOURS)
    ds = schema.conform(ds)
    target = settle_target(ds, None, target)
    picked = schema.select_period(ds, time)
    units = units_text(str(ds[target].attrs["units"]))
    mean = mean_observed(ds, picked, target)
    when = period_text(picked[[target]], of=ds[[target]])
    no_value = f"no station has an observation of {target!r}, {when}; fix: another time=..."
    norm, extend = limits(mean, vmin=vmin, vmax=vmax, no_value=no_value)
    largest = float(np.nanmax(mean))
    box = zoom_box(ds, zoom)
    bounds, corner = station_bounds(ds), None
    if box is not None:
        bounds, corner = choose_corner(bounds, ds)
    ax = basemap.frame(ax, bounds, lines)
    drawn = _draw_concentrations(ax, ds, mean, norm, cmap, largest)[-1]
    bar = colour_bar(ax, drawn, axis_label(target, units), extend)
    handles = _kind_handles(ds, mean) + bubble_handles(drawn, bar, largest, _LARGEST, units)
    legend_below(ax, handles + silent_handles(np.isnan(mean)), rows=2)
    n = int(np.isfinite(mean).sum())
    title(ax, f"{label(target)} at {n} station{'s' * (n != 1)}, {when}")
    draw_scale_bar(ax, ds, taken=None if corner is None else (corner.right, corner.top))
    if box is not None and corner is not None:
        inset = add_inset(ax, box, corner, lines)
        inside = within(ds, box)
        city = ds.isel({STATION: np.flatnonzero(inside)})
        for markers in _draw_concentrations(inset, city, mean[inside], norm, cmap, largest):
            # A marker at the edge of the box is whole.
            markers.set_clip_on(False)
    return ax


def _draw_concentrations(
    ax: GeoAxes, ds: xr.Dataset, mean: NDArray, norm: Normalize, cmap: str | Colormap, largest: float
) -> list[PathCollection]:
    """Draw stations with areas proportional to their mean; return the hidden and the visible ones, where there are any."""
    hidden, silent = schema.hidden_mask(ds), np.isnan(mean)
    drawn = []
    for kind in reversed(kinds(hidden)):
        kept = np.flatnonzero(kind.mask & ~silent)
        kept = kept[np.argsort(-mean[kept])]  # small ones on top
        if len(kept):
            drawn.append(ax.scatter(
                longitudes.canonical(ds[LON].values[kept]), ds[LAT].values[kept], s=_LARGEST * np.maximum(mean[kept], 0.0) / largest,
                c=mean[kept], marker=kind.marker, norm=norm, cmap=cmap, edgecolors="black", linewidths=0.4, alpha=0.9,
                transform=ccrs.PlateCarree(), zorder=4, label=f"_{kind.name}",
            ))  # fmt: skip
        draw_silent(ax, ds, kind.mask & silent, kind)
    return drawn


def _kind_handles(ds: xr.Dataset, mean: NDArray) -> list[Line2D]:
    """Return legend handles of circles and triangles, where the network has both."""
    hidden = schema.hidden_mask(ds) & np.isfinite(mean)
    if not hidden.any():
        return []
    return [
        handle(kind.marker, 0.4 * _LARGEST, f"{kind.name} station", markerfacecolor="0.8", markeredgecolor="black")
        for kind in kinds(hidden)
    ]
