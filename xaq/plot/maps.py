"""One map of a cube: the field with its stations, or the width of its interval."""

from __future__ import annotations

import cartopy.crs as ccrs
import matplotlib as mpl
import numpy as np
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.colors import Colormap, Normalize
from matplotlib.lines import Line2D

from .._arguments import shown
from ..arrays import longitudes
from ..conventions import LAT, LON, STATION, TIME, label
from ..errors import SchemaError
from ..stations import schema
from . import basemap
from .arguments import check_colours, check_map
from .basemap import Lines
from .field import Unsupported, cube_bounds, draw_field, field_handles, no_value_text
from .markers import draw_places, draw_stations, station_handles
from .observed import check_comparable, mean_observed
from .scale_bar import draw_scale_bar
from .seen import as_made
from .style import (
    ERROR_COLOURS,
    FIELD_COLOURS,
    colour_bar,
    handle,
    legend_below,
    limits,
    title,
)
from .subject import (
    NO_ESTIMATES,
    axis_label,
    bound_of,
    conformed,
    cube_label,
    cube_target,
    drawn_variable,
    is_estimate,
    is_of_user,
    mean_field,
    method_text,
    own_label,
    shared_units,
    units_text,
    user_label,
    variable_label,
)
from .times import interval_text, percent_text, period_text, select_times, values_text


def map(  # noqa: A001 - read as xaq.plot.map
    ds: xr.Dataset | None,
    cube: xr.Dataset | xr.DataArray,
    *,
    time: schema.Period = None,
    tz: str | None = None,
    target: str | None = None,
    ax: GeoAxes | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    stations: bool = True,
    unsupported: Unsupported = "hatched",
    lines: Lines = None,
) -> GeoAxes:
    """Draw the field of a cube, and the stations' observations in the same colours.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        The station dataset, in the cube's units; None is enough with ``stations=False``.
    cube : xarray.Dataset or xarray.DataArray, dims (time, lat, lon) or (lat, lon)
        As :func:`xaq.reanalyze` returns it, or one variable of it. With one of ``freq=``, observations are averaged over the same
        periods, by its time zone and data capture. One that was averaged by hand has no like at the stations, and is drawn
        without them; one without time, such as ``cube.mean("time")``, shows where stations are, without their values.
    time : str, time, slice or (start, end), optional
        A time of the cube, or a period whose mean is drawn: for hourly data ``"2017-01-01"`` is the mean of that day,
        ``"2017-01-01T08"`` one hour. Default: the mean over the whole cube. A time that is not in the cube is an error;
        the nearest one is never taken. Times are in UTC; dates of periods are those of the cube's ``tz=``.
    tz : str, optional
        Time zone of the texts in ``time`` and of the title, such as ``"Asia/Shanghai"``, for a cube of steps shorter than a day.
    target : str, optional
        Any variable with ``lat`` and ``lon``, such as ``"pm25_upper"`` or ``"nearest_station"``; the cube's estimate by
        default. Values of stations are compared with estimates only. One of your own is called by its ``long_name`` and
        ``units``, or by its name alone where xarray kept those of the variable it was computed from.
    ax : cartopy.mpl.geoaxes.GeoAxes, optional
        Draw here; an extent already set is kept. Default: a new figure in a projection that suits the extent.
    vmin, vmax : float, optional
        Colour limits, in the target's units. Default: the 2nd and 98th percentile, the wider range of field and
        stations.
    cmap : str or Colormap, optional
        Default: viridis.
    stations : bool
        Draw visible stations as circles and hidden ones as triangles, coloured by their mean observation over the
        same steps; small, hollow and grey where they have none. Stations that were hidden when the cube was made are
        triangles too; those that it was made from are circles, and a warning says so where ``ds`` hides them.
    unsupported : {"hatched", "blank"}
        How cells too far from every station are shown; they are never coloured.
    lines : GeoDataFrame, sequence of shapely geometries, or path of a GeoJSON file, optional
        Drawn instead of the bundled coast, borders and provinces.

    Returns
    -------
    cartopy.mpl.geoaxes.GeoAxes
        With one colour bar in the target's units; the title says what is drawn, such as an annual mean, and names the time,
        the method and the number of stations.

    Raises
    ------
    SchemaError
        The time is not in the cube; ``ds`` and ``cube`` differ in units; there is nothing to draw; ``ax`` is not a
        map; the cube was averaged by hand to other steps and ``stations`` are to be drawn.

    Notes
    -----
    Computes the chosen steps of the cube.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> ds.aq.plot.map(cube, time="2020-01-01").get_title("left").splitlines()
    ['PM2.5, daily mean 2020-01-01 (UTC)', 'kriging, 12 stations']
    """
    cmap, unsupported = check_colours(cmap, FIELD_COLOURS), check_map(stations, unsupported)
    cube, target = drawn_variable(cube, target)
    ds = as_made(conformed(ds, cube, target, stations), cube)
    picked, zone = _at_times(cube, target, time, tz)
    field, picked = mean_field(picked, target)
    text, head, when = _texts(ds, cube, picked, target, zone)
    observed_too = _is_observed(ds, cube, target) and TIME in picked.dims
    observed = np.full(ds.sizes[STATION], np.nan)
    if stations and observed_too:
        check_comparable(ds, cube)
        observed = mean_observed(ds, picked, target)
    norm, extend = limits(field, observed, vmin=vmin, vmax=vmax, no_value=no_value_text(target, when))
    yes_or_no = picked[target].dtype == bool and picked[target].sizes.get(TIME, 1) == 1
    if yes_or_no:
        norm, extend, cmap = Normalize(0.0, 1.0), "neither", mpl.colormaps.get_cmap(cmap).resampled(2)
    if target in NO_ESTIMATES:  # known of all cells
        unsupported = "blank"
    ax = basemap.frame(ax, cube_bounds(cube), lines)
    mesh, *_ = draw_field(ax, picked, field, norm, cmap, unsupported)
    handles: list[Line2D] = []
    if stations and observed_too:
        draw_stations(ax, ds, observed, mesh)
        handles += station_handles(ds, observed)
    elif stations:
        handles += draw_places(ax, ds)
    draw_scale_bar(ax, ds)
    legend_below(ax, [*handles, *field_handles(picked, unsupported)])
    bar = colour_bar(ax, mesh, "" if yes_or_no else text, extend)
    if yes_or_no:  # which the title asks
        bar.set_ticks([0.25, 0.75], labels=["no", "yes"])
    title(ax, head, method_text(cube))
    return ax


def _at_times(cube: xr.Dataset, target: str, time: schema.Period, tz: str | None) -> tuple[xr.Dataset, str]:
    """Return the chosen steps of a cube, and the time zone that they are written in; all of a variable without time."""
    if TIME in cube[target].coords:
        return select_times(cube, time, tz)
    if time is not None:
        raise SchemaError(f"{target!r} has no time, and time is {shown(time)}; fix: time=None", subject="map")
    return cube, "UTC"


def _is_observed(ds: xr.Dataset, cube: xr.Dataset, target: str) -> bool:
    """Return whether a variable of a cube is what stations observe."""
    return is_estimate(cube, target) and bound_of(cube, target) is None and not is_of_user(ds, cube, target)


def _texts(ds: xr.Dataset, cube: xr.Dataset, picked: xr.Dataset, target: str, zone: str) -> tuple[str, str, str]:
    """Return the label of the colour bar, the title, and the phrase for the steps that are drawn."""
    timed, bound = TIME in picked[target].dims, bound_of(cube, target)
    if is_of_user(ds, cube, target):
        when = values_text(picked, zone) if timed else ""
        head, text = user_label(cube, target)
        return text, ", ".join(filter(None, [head, when])), when
    estimated = _is_observed(ds, cube, target)
    when = period_text(picked, zone=zone) if timed else "time not stated" * (estimated or bound is not None)
    if bound is not None:
        of, which = bound
        units = units_text(str(cube[target].attrs.get("units", "")))
        several = timed and picked.sizes[TIME] > 1
        drawn = (
            interval_text(cube, picked, zone, which)
            if timed
            else f"{which} of the {percent_text(cube)}interval, {when}"
        )
        return _interval_label(cube, which, several, axis_label(of, units)), f"{label(of)}, {drawn}", when
    head = ", ".join(filter(None, [variable_label(cube, target), when]))
    if estimated and timed:
        return cube_label(cube, target, shared_units(ds, cube, target)), head, when
    return own_label(cube, target), head, when


def _interval_label(cube: xr.Dataset, what: str, several: bool, of: str) -> str:
    """Return the label of the colour bar of widths or bounds: ``"mean width of the 90 % intervals of PM2.5 [µg m⁻³]"``."""
    return f"{'mean ' * several}{what} of the {percent_text(cube)}interval{'s' * several} of {of}"


def width(
    ds: xr.Dataset,
    cube: xr.Dataset,
    *,
    time: schema.Period = None,
    tz: str | None = None,
    target: str | None = None,
    ax: GeoAxes | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    unsupported: Unsupported = "hatched",
    lines: Lines = None,
) -> GeoAxes:
    """Draw the width of the cube's interval, which shows where its estimates are uncertain.

    Parameters
    ----------
    ds, cube : xarray.Dataset
        As for :func:`map`.
    time, tz, target, ax : optional
        As for :func:`map`; for several steps the mean width of their intervals is drawn, which is not the width of the
        interval of their mean: that is drawn of a cube with ``freq=``.
    vmax : float, optional
        Upper colour limit, in the target's units; the lower one is 0. Default: the 98th percentile.
    cmap : str or Colormap, optional
        Default: viridis reversed, dark where the interval is wide.
    unsupported, lines : optional
        As for :func:`map`.

    Returns
    -------
    cartopy.mpl.geoaxes.GeoAxes
        Visible stations are white dots; the interval is narrow near them.

    Raises
    ------
    SchemaError
        As :func:`map`; or the cube has no interval.

    Notes
    -----
    Computes the bounds of the interval at the chosen steps of the cube.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> ds.aq.plot.width(cube, time="2020-01-01").get_title("left").splitlines()
    ['PM2.5, mean width of the 90 % intervals of single hours, 2020-01-01 (UTC)', 'kriging, 12 stations']
    """
    cmap, unsupported = check_colours(cmap, ERROR_COLOURS), check_map(unsupported=unsupported)
    target = cube_target(cube, target)
    ds = as_made(conformed(ds, cube, target, stations=True), cube)
    units = shared_units(ds, cube, target)
    lower, upper = f"{target}_lower", f"{target}_upper"
    if not {lower, upper} <= set(cube):
        raise SchemaError(
            f"no {lower} and {upper}: the cube was made without an interval; fix: ds.aq.reanalyze('kriging', ...), or a "
            "trained model",
            subject="cube",
        )
    picked, zone = select_times(cube, time, tz)
    field, picked = mean_field(picked.assign({target: picked[upper] - picked[lower]}), target)
    when = period_text(picked, zone=zone)
    norm, extend = limits(field, vmin=0.0, vmax=vmax, no_value=no_value_text(target, when))
    ax = basemap.frame(ax, cube_bounds(cube), lines)
    mesh, *_ = draw_field(ax, picked, field, norm, cmap, unsupported)
    visible = ~schema.hidden_mask(ds)
    ax.scatter(
        longitudes.canonical(ds[LON].values[visible]), ds[LAT].values[visible], s=9.0, color="white", edgecolors="black", linewidths=0.5,
        transform=ccrs.PlateCarree(), zorder=3, label="_visible",
    )  # fmt: skip
    draw_scale_bar(ax, ds)
    dot = handle("o", 9.0, "visible station", markerfacecolor="white", markeredgecolor="black", markeredgewidth=0.5)
    legend_below(ax, [dot, *field_handles(picked, unsupported)])
    width_of = _interval_label(cube, "width", picked.sizes[TIME] > 1, axis_label(target, units))
    colour_bar(ax, mesh, width_of, extend)
    title(ax, f"{label(target)}, {interval_text(cube, picked, zone)}", method_text(cube))
    return ax
