"""Bundled networks, and a synthetic one with a known true field."""

from __future__ import annotations

import warnings
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ._arguments import check_choice, check_count, check_number, check_seed, check_text, shown
from .arrays import timesteps
from .conventions import ELEVATION, LAT, LON, MASS_UNITS, STATION, TIME, cf_attrs
from .cube.grid import Grid
from .errors import GridError, SchemaError, XaqWarning
from .quality import coastline
from .readers.dispatch import open_stations
from .stations import schema

__all__ = ["land_mask", "load", "synthetic", "synthetic_truth", "synthetic_weather"]

_BUNDLED = {"germany": "germany-2005", "germany-2005": "germany-2005", "germany-1998-2009": "germany-1998-2009"}
#: Weather of the synthetic network: wind speed in m s-1, and the daily mean depth of the boundary layer in m.
_WIND_SPEED, _BOUNDARY_LAYER = 5.0, 800.0
#: Of the synthetic network: 100 million are 800 MB on the way.
_MOST_VALUES = 100_000_000
_ACKNOWLEDGEMENT = "AirBase, European Environment Agency (EEA), through the R packages gstat and spacetime (GPL >= 2); see xaq/data/NOTICE.md"


def load(name: str = "germany") -> xr.Dataset:
    """Load a bundled network.

    Parameters
    ----------
    name : {"germany", "germany-1998-2009"}
        ``"germany"``: 69 rural background stations, two of which report every third day, daily PM10 of 2005, with elevation.
        ``"germany-1998-2009"``: 70 stations, twelve years, without elevation. The two differ at DEUB004: do not merge them.

    Returns
    -------
    xarray.Dataset
        ``pm10(station, time)`` in ug m-3, daily means of local days. In memory. Source: EEA AirBase.

    Raises
    ------
    SchemaError
        Unknown name.

    Examples
    --------
    >>> import xaq
    >>> dict(xaq.datasets.load("germany").sizes)
    {'station': 69, 'time': 365}
    """
    name = check_choice(name, "name", _BUNDLED, error=lambda text: SchemaError(text, subject="datasets.load"))
    with as_file(files("xaq") / "data" / _BUNDLED[name]) as folder:
        table = pd.read_csv(folder / "observations.csv.gz", parse_dates=["time"])
        places = pd.read_csv(folder / "stations.csv.gz")
    with warnings.catch_warnings():
        # That two stations report every third day is known, and in the docstring.
        warnings.simplefilter("ignore", XaqWarning)
        ds = open_stations(table, stations=places, units={"pm10": MASS_UNITS})
    return ds.assign_attrs(title=f"Daily PM10 at rural background stations, Germany ({name})", source=_ACKNOWLEDGEMENT)


def land_mask(ds: xr.Dataset | xr.DataArray) -> xr.DataArray:
    """Return which cells of a cube, or which points or stations, lie on land.

    Parameters
    ----------
    ds : xarray.Dataset or DataArray
        A cube, estimates at points or a station dataset: with coordinates ``lat`` and ``lon`` in degrees.

    Returns
    -------
    xarray.DataArray
        Booleans ``(lat, lon)`` of a cube, ``(point,)`` or ``(station,)`` else: True where the cell's centre or the place is on
        land, lakes included. By the bundled coastline, Natural Earth 10m to 0.02 degrees (2 km), without the smallest islands.

    Raises
    ------
    SchemaError
        There are no such coordinates, or they are not finite.

    Examples
    --------
    >>> import xaq
    >>> cube = xaq.datasets.load("germany").aq.reanalyze("idw", grid=1.0, time="2005-02-01")
    >>> land = cube.pm10.where(xaq.datasets.land_mask(cube))
    """
    places = ds.coords if isinstance(ds, (xr.Dataset, xr.DataArray)) else {}
    if not {LAT, LON} <= set(places):
        raise SchemaError(
            f"got {shown(ds)}, expected a cube, points or stations with coordinates {LAT} and {LON}; "
            f"fix: xaq.datasets.land_mask(cube), or ds.rename(latitude={LAT!r}, longitude={LON!r}) before",
            subject="datasets.land_mask",
        )
    lat, lon = xr.broadcast(*(places[name].reset_coords(drop=True).astype(float) for name in (LAT, LON)))
    if not (np.isfinite(lat) & np.isfinite(lon)).all():
        raise SchemaError(
            f"some of {LAT} and {LON} are not finite, expected degrees; fix: ds.sel(station=ds.lon.notnull() & ds.lat.notnull())",
            subject="datasets.land_mask",
        )
    land = ~coastline.at_sea(lon.values.ravel(), lat.values.ravel(), 0.0).reshape(lon.shape)
    attrs = {"standard_name": "land_binary_mask", "long_name": "on land, by the bundled coastline"}
    return xr.DataArray(land, lat.coords, lat.dims, "land", attrs)


def synthetic(
    n_stations: int = 40,
    *,
    days: int = 30,
    missing: float = 0.05,
    noise: float = 2.0,
    step: str = "1h",
    seed: int = 0,
) -> xr.Dataset:
    """Return a synthetic network that samples an analytic field of plumes.

    Parameters
    ----------
    n_stations : int
        Number of stations, half of them clustered around a city, in a box of 3 x 2 degrees.
    days : int
        Length of the record from 2020-01-01.
    missing : float
        Fraction of observations removed, half of it in runs.
    noise : float
        Standard deviation of the measurement error, ug m-3.
    step : {"1h", "3h", "1D", ...}
        Step of the record; values are those of the field at the start of each step.
    seed : int
        Seed of the field, the stations and the noise. The same seed gives the same field for any number of stations.

    Returns
    -------
    xarray.Dataset
        ``pm25(station, time)`` in ug m-3 with NaN where missing. In memory. :func:`synthetic_truth` has the true field.

    Raises
    ------
    SchemaError
        A number is out of range, or ``step`` neither divides a day nor is a whole number of days.

    Examples
    --------
    >>> import xaq
    >>> xaq.datasets.synthetic(n_stations=5, days=2).pm25.shape
    (5, 48)
    """
    n_stations, days, seed = check_count(n_stations, "n_stations", 40), check_count(days, "days", 30), check_seed(seed)
    missing = check_number(
        missing, "missing", "a fraction from 0 to below 1", fix="missing=0.05", valid=lambda f: 0 <= f < 1
    )
    noise = check_number(noise, "noise", "0 or more ug m-3", fix="noise=2.0", valid=lambda sd: 0 <= sd < np.inf)
    step = _check_step(step)
    n_steps = max(2, int(days * (pd.Timedelta(1, "D") / pd.Timedelta(step))))
    if n_stations * n_steps > _MOST_VALUES:
        raise SchemaError(
            f"{n_stations} stations with {n_steps} steps are more than {_MOST_VALUES:,} values, expected at most so many; "
            "fix: n_stations=40, days=30",
            subject="argument",
        )
    rng = np.random.default_rng([seed, 1])
    centre, reach = np.array([10.0, 50.0]), np.array([1.5, 1.0])
    city = centre + rng.normal(0.0, [0.35, 0.25], (n_stations // 2, 2))
    rural = centre + rng.uniform(-reach, reach, (n_stations - n_stations // 2, 2))
    lon, lat = np.clip(np.concatenate([city, rural]), centre - reach, centre + reach).T
    times = pd.date_range("2020-01-01", periods=n_steps, freq=step, unit="s")
    truth = _plume_field(lon, lat, times.values, seed)
    values = truth + rng.normal(0.0, noise, truth.shape)
    gone = rng.random(truth.shape) < missing / 2
    run = max(2, len(times) // 20)
    # Runs begin as a Poisson process; a step lies in no run with probability 1 - missing / (2 - missing).
    rate = -np.log1p(-missing / (2 - missing)) / run
    for station, start in np.argwhere(rng.random((n_stations, len(times) + run)) < rate):
        gone[station, max(0, start - run) : start] = True
    values[gone] = np.nan
    ids = [f"s{i:03d}" for i in range(n_stations)]
    ds = xr.Dataset(
        {"pm25": ((STATION, TIME), values.astype(np.float32), cf_attrs("pm25", MASS_UNITS))},
        coords={
            STATION: ids,
            TIME: times,
            LON: (STATION, lon),
            LAT: (STATION, lat),
            ELEVATION: (STATION, np.zeros(n_stations)),
        },
        attrs={"title": "Synthetic plume network", "seed": seed},
    )
    return schema.describe_as_cf(ds)


def synthetic_truth(grid: Grid, times: NDArray | pd.DatetimeIndex, *, seed: int = 0) -> xr.DataArray:
    """Return the field that :func:`synthetic` samples, without measurement error.

    Parameters
    ----------
    grid : Grid
        The cells.
    times : (n_time,) datetime64, UTC
        The times.
    seed : int
        The seed given to :func:`synthetic`.

    Returns
    -------
    xarray.DataArray
        ``pm25(time, lat, lon)`` in ug m-3. In memory.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> error = cube.pm25 - xaq.datasets.synthetic_truth(xaq.Grid.like(cube), cube.time.values)
    >>> error.dims
    ('time', 'lat', 'lon')
    """
    times, seed = _check_cells(grid, times), check_seed(seed)
    lon, lat = np.meshgrid(grid.lon, grid.lat)
    field = _plume_field(lon.ravel(), lat.ravel(), times, seed)
    values = field.T.reshape(len(times), *grid.shape)
    return xr.DataArray(values, coords={TIME: times, LAT: grid.lat, LON: grid.lon}, dims=(TIME, LAT, LON), name="pm25")


def synthetic_weather(grid: Grid, times: NDArray | pd.DatetimeIndex, *, seed: int = 0) -> xr.Dataset:
    """Return the weather that drives :func:`synthetic`, as an atmospheric reanalysis would have it.

    Parameters
    ----------
    grid : Grid
        The cells.
    times : (n_time,) datetime64, UTC
        The times.
    seed : int
        The seed given to :func:`synthetic`.

    Returns
    -------
    xarray.Dataset
        ``u10`` and ``v10(time, lat, lon)`` in m s-1, a wind of 5 m s-1 of changing direction, and ``blh(time, lat, lon)``
        in m, the depth of the layer in which plumes mix. The same in all cells. In memory.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=5, days=2)
    >>> grid = xaq.Grid.regular(1.0, bounds=(8.0, 48.5, 12.0, 51.5))
    >>> weather = xaq.datasets.synthetic_weather(grid, ds.time.values)
    >>> ds.aq.sample(weather, name="blh").blh.shape
    (5, 48)
    """
    times, seed = _check_cells(grid, times), check_seed(seed)
    _, _, phases, rates = _draw(seed)
    direction, mixing = _weather(_days(times), phases, rates)
    named = {
        "u10": (_WIND_SPEED * np.cos(direction), "eastward_wind", "m s-1"),
        "v10": (_WIND_SPEED * np.sin(direction), "northward_wind", "m s-1"),
        "blh": (_BOUNDARY_LAYER / mixing, "atmosphere_boundary_layer_thickness", "m"),
    }
    shape = (len(direction), *grid.shape)
    return xr.Dataset(
        {
            name: (
                (TIME, LAT, LON),
                np.broadcast_to(series[:, None, None], shape),
                {"standard_name": cf, "units": units},
            )
            for name, (series, cf, units) in named.items()
        },
        coords={TIME: times, LAT: grid.lat, LON: grid.lon},
        attrs={"title": "Weather of the synthetic plume network", "seed": seed},
    )


def _check_step(step: Any) -> str:
    """Return a step that pandas reads as a length of time, in which a day has whole steps or a step whole days."""
    try:
        length = pd.Timedelta(check_text(step, "step", "a length of time", fix="step='1h'")).to_timedelta64()
        if length <= np.timedelta64(0):
            raise ValueError(length)
        timesteps.steps_per_day(length)
    except (ValueError, OverflowError, ZeroDivisionError):
        raise SchemaError(
            f"step is {shown(step)}, expected a length of time that divides a day or is whole days; fix: step='1h'",
            subject="argument",
        ) from None
    return str(step)


def _check_cells(grid: Any, times: Any) -> NDArray[np.datetime64]:
    """Return times as an array, or raise: they are none, or the grid is no Grid."""
    if not isinstance(grid, Grid):
        raise GridError(f"grid is {shown(grid)}, expected a Grid; fix: xaq.Grid.regular(0.5, bounds=(9, 49, 11, 51))")
    try:
        found = np.asarray(times)
    except TypeError:  # a Dataset
        found = np.empty(0)
    if found.dtype.kind != "M" or found.ndim != 1 or np.isnat(found).any():
        raise SchemaError(f"times are {shown(times)}, expected times of one dimension; fix: ds.time.values")
    return found


def _days(times: NDArray) -> NDArray[np.float64]:
    """Return days since 2020-01-01."""
    return (times.astype("datetime64[s]") - np.datetime64("2020-01-01", "s")).astype(float) / 86400.0


def _weather(days: NDArray, phases: NDArray, rates: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the direction the wind blows to, in radians from east, and the mean boundary-layer depth divided by the current one."""
    wind = sum(np.sin(2 * np.pi * r * days + p) for r, p in zip(rates, phases, strict=True)) * np.pi / 2
    mixing = 1.0 + 0.5 * np.cos(2 * np.pi * (days % 1.0)) + 0.3 * np.sin(2 * np.pi * days / 11.0 + phases[0])
    return np.asarray(wind), mixing


def _draw(seed: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return positions and strengths of the sources, and phases and rates of the wind direction."""
    rng = np.random.default_rng([seed, 0])
    sources, strength = rng.uniform([9.0, 49.3], [11.0, 50.7], (6, 2)), rng.uniform(20.0, 60.0, 6)
    return sources, strength, rng.uniform(0, 2 * np.pi, 4), rng.uniform(0.15, 0.6, 4)


def _plume_field(lon: NDArray, lat: NDArray, times: NDArray, seed: int) -> NDArray[np.float64]:
    """Return plumes of six sources in a turning wind over a background with a daily cycle, ``(point, time)`` in ug m-3."""
    sources, strength, phases, rates = _draw(seed)
    days = _days(times)
    wind, mixing = _weather(days, phases, rates)
    east, north = np.cos(wind), np.sin(wind)
    field = 12.0 + 6.0 * mixing + 3.0 * np.sin(lon[:, None] * 2.0 + lat[:, None] + days * 0.7)
    for (source_lon, source_lat), q in zip(sources, strength, strict=True):
        x = (lon[:, None] - source_lon) * np.cos(np.radians(50.0))
        y = lat[:, None] - source_lat
        along, across = x * east + y * north, -x * north + y * east
        width = 0.12 + 0.25 * np.maximum(along, 0.0)
        decay = np.where(along > 0, np.exp(-along / 0.9), np.exp(-((along / 0.12) ** 2)))
        field = field + q * mixing * decay * np.exp(-0.5 * (across / width) ** 2) * 0.12 / width
    return np.maximum(field, 0.0)
