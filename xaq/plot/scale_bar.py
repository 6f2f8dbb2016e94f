"""The scale bar of a map: a length in km that is true wherever on the map it is held."""

from __future__ import annotations

import cartopy.crs as ccrs
import numpy as np
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..arrays import sphere
from ..conventions import LAT, LON
from .style import CASING, SMALL

#: Largest ratio of scales within a map that has a scale bar.
_DISTORTION = 1.1
#: Longest bar, its margin, and the height of the bar with its text, as fractions of the map.
_LONGEST, _MARGIN, _HEIGHT = 0.25, 0.03, 0.09


def draw_scale_bar(ax: GeoAxes, ds: xr.Dataset, *, taken: tuple[int, int] | None = None) -> Line2D | None:
    """Draw a scale bar in the corner of a map that has the fewest stations.

    Parameters
    ----------
    ax : cartopy.mpl.geoaxes.GeoAxes
        Whose extent is set.
    ds : xarray.Dataset
        The stations, which the bar should not cover.
    taken : (int, int), optional
        A corner that is not free: 0 or 1 along x and y.

    Returns
    -------
    matplotlib.lines.Line2D or None
        The bar, labelled ``"_scale"``; None where the scale differs by more than 10 % within the map, as on maps of continents.
    """
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    per_unit = _km_per_unit(ax)
    if not np.isfinite(per_unit).all() or per_unit.max() > _DISTORTION * per_unit.min():
        return None
    km = _round_length(_LONGEST * (right - left) * float(per_unit.mean()))
    wide = km / float(per_unit.mean()) / (right - left)
    at_right, at_top = _free_corner(ax, ds, wide + 2 * _MARGIN, taken)
    x0 = left + (right - left) * (1.0 - _MARGIN - wide if at_right else _MARGIN)
    y = bottom + (top - bottom) * (1.0 - _HEIGHT + _MARGIN if at_top else _MARGIN)
    ends = [x0, x0 + wide * (right - left)]
    bar = Line2D(
        ends, [y, y], color="black", linewidth=1.3, marker="|", markersize=6.0, markeredgewidth=1.3, zorder=4.6,
        path_effects=CASING, label="_scale",
    )  # fmt: skip
    ax.add_artist(bar)
    text = f"{km:g} km" if km >= 1.0 else f"{1000 * km:g} m"
    ax.annotate(
        text, (0.5 * sum(ends), y), (0.0, 3.0), textcoords="offset points", ha="center", va="bottom", fontsize=SMALL,
        path_effects=CASING, zorder=4.6,
    )  # fmt: skip
    return bar


def _km_per_unit(ax: GeoAxes) -> NDArray[np.float64]:
    """Return the km of one unit of the map, eastwards and northwards, at nine points: ``(18,)``, NaN outside the projection."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(left, right, 3), np.linspace(bottom, top, 3)))
    step = 0.005 * min(right - left, top - bottom)
    to_degrees = ccrs.PlateCarree().transform_points
    found = []
    for dx, dy in ((step, 0.0), (0.0, step)):
        ends = (to_degrees(ax.projection, x + sign * dx, y + sign * dy) for sign in (-1, 1))
        (lon_a, lat_a, _), (lon_b, lat_b, _) = (end.T for end in ends)
        found.append(sphere.distance_km(lon_a, lat_a, lon_b, lat_b) / (2 * step))
    return np.concatenate(found)


def _round_length(longest: float) -> float:
    """Return the greatest of 1, 2 and 5 times a power of ten that is no longer."""
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(m * power for m in (1.0, 2.0, 5.0) if m * power <= longest))


def _free_corner(ax: GeoAxes, ds: xr.Dataset, wide: float, taken: tuple[int, int] | None) -> tuple[int, int]:
    """Return the corner, along x and y, where a bar with its margin covers the fewest stations; the lower right one first."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    points = ax.projection.transform_points(
        ccrs.PlateCarree(), ds[LON].values.astype(float), ds[LAT].values.astype(float)
    )
    x, y = (points[:, 0] - left) / (right - left), (points[:, 1] - bottom) / (top - bottom)
    inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
    corners = [corner for corner in ((1, 0), (0, 0), (1, 1), (0, 1)) if corner != taken]

    def covered(corner: tuple[int, int]) -> int:
        along_x = x > 1 - wide if corner[0] else x < wide
        along_y = y > 1 - _HEIGHT - _MARGIN if corner[1] else y < _HEIGHT + _MARGIN
        return int((inside & along_x & along_y).sum())

    return min(corners, key=covered)
