"""Networks with gridded fields, for ``benchmarks.fields``: real ones where the data folder holds them, and a made one.

Where predictors are known at the stations only, :func:`lattice` makes a field of them that has values around stations, hidden
ones too, and nowhere else. Benchmarks estimate at stations only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr

import xaq
from xaq.conventions import LAT, LON, TIME

from .networks import data_folder, join_renumbered

_ATLANTA = "atlanta_aqs_cmaq_modis_2003_2005"
_PO_VALLEY = "povalley_airbase_omi_2009"
_EMILIA = "emilia_romagna_pesco_2014_2015"
#: Fractions and numbers of draws of hidden stations; folds of Atlanta, where every station is hidden once.
_HIDDEN, _DRAWS, _FOLDS = 0.15, 3, 6
#: Spacing of fields that are made of values at stations, degrees.
_SPACING = 0.03
#: Of the made network: waves of the field, their wavelengths in degrees, and the standard deviation of its effect on the log scale.
_WAVES, _WAVELENGTHS, _EFFECT = 40, (0.3, 1.0), 0.35
#: Clouds hide the field where their waves are above this: at a third of all places and hours.
_CLEAR = 0.43


@dataclass(frozen=True)
class FieldNetwork:
    """A network, what is known between its stations, and the stations that are hidden in each split.

    Attributes
    ----------
    ds : xarray.Dataset
        Stations, none of them hidden.
    target : str
    hidden : list of list of str
        Stations to hide, for each split.
    background : xarray.DataArray, optional
        A field of the target.
    fields, rasters : dict of str to xarray.DataArray
        Predictors in time, and static ones.
    """

    ds: xr.Dataset
    target: str
    hidden: list[list[str]]
    background: xr.DataArray | None = None
    fields: dict[str, xr.DataArray] = field(default_factory=dict)
    rasters: dict[str, xr.DataArray] = field(default_factory=dict)


def lattice(values: np.ndarray, ds: xr.Dataset, name: str, units: str) -> xr.DataArray:
    """Return values at stations, ``(station,)`` or ``(station, time)``, as a field ``([time,] lat, lon)``; NaN in other cells.

    A station's values are in the four cells around it, so that interpolation between these returns them. Stations that share
    such a cell are so close that it does not matter which of them has it.
    """
    lon, lat = (
        _SPACING * np.arange(np.floor(c.min() / _SPACING), np.ceil(c.max() / _SPACING) + 1) for c in _places(ds)
    )
    column, row = (
        np.floor((c - axis[0]) / _SPACING).astype(int) for c, axis in zip(_places(ds), (lon, lat), strict=True)
    )
    cells = np.full((*values.shape[1:], len(lat), len(lon)), np.nan, np.float32)
    for north, east in ((0, 0), (0, 1), (1, 0), (1, 1)):
        for station, r, c in zip(values, row + north, column + east, strict=True):
            cells[..., r, c] = np.where(np.isfinite(station), station, cells[..., r, c])
    dims = (LAT, LON) if values.ndim == 1 else (TIME, LAT, LON)
    coords = {LAT: lat, LON: lon} | ({} if values.ndim == 1 else {TIME: ds.time.values})
    return xr.DataArray(cells, coords, dims, name=name, attrs={"units": units})


def _places(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    return ds.lon.values.astype(float), ds.lat.values.astype(float)


def found(names: list[str] | None = None) -> Iterator[str]:
    """Yield the networks that can be loaded here: of the names, or of all."""
    for name, (folder, _) in _LOADERS.items():
        if (names is None or name in names) and (folder is None or (data_folder() / folder).is_dir()):
            yield name


def load(name: str) -> FieldNetwork:
    """Return a network by its name."""
    return _LOADERS[name][1]()


def draws(ds: xr.Dataset, fraction: float = _HIDDEN, n: int = _DRAWS) -> list[list[str]]:
    """Return the stations that each of some seeded draws hides."""
    hidden = [ds.aq.hide(fraction=fraction, seed=seed) for seed in range(n)]
    return [[str(s) for s in h.station.values[h.hidden.values]] for h in hidden]


# -- real networks -------------------------------------------------------------------------------------------------


def _atlanta() -> FieldNetwork:
    """Daily PM2.5 with CMAQ, weather, satellite AOD (43 % missing) and land use, all known at the stations only."""
    folder = data_folder() / _ATLANTA
    table, places = pd.read_parquet(folder / "obs.parquet"), pd.read_csv(folder / "stations.csv")
    ds = xaq.open_stations(table[["time", "station_id", "pm25"]], stations=places[["id", "lon", "lat"]], units="ug m-3")
    wide = table.pivot(index="station_id", columns="time").reindex(ds.station.values.astype(str))
    gridded = {
        name: lattice(wide[column].reindex(columns=ds.time.values).to_numpy(), ds, name, units)
        for column, name, units in (
            ("cmaq_pm25", "pm25", "ug m-3"), ("tmp_k", "t2m", "K"), ("wind_ms", "wind", "m s-1"), ("aod", "aod", "1"),
        )
    }  # fmt: skip
    static = places.set_index("id").reindex(ds.station.values.astype(str)).drop(columns=["lon", "lat", "x", "y"])
    rasters = {str(name): lattice(column.to_numpy(float), ds, str(name), "") for name, column in static.items()}
    fold = np.random.default_rng(0).permutation(ds.sizes["station"]) % _FOLDS
    hidden = [[str(s) for s in ds.station.values[fold == f]] for f in range(_FOLDS)]
    return FieldNetwork(ds, "pm25", hidden, gridded.pop("pm25"), gridded, rasters)


def _po_valley(target: str) -> FieldNetwork:
    """Daily NO2 or PM2.5 with wind at the stations, satellite columns of NO2 and AOD (44 % and 89 % missing) and elevation."""
    folder = data_folder() / _PO_VALLEY
    table, places = pd.read_parquet(folder / "obs.parquet"), pd.read_csv(folder / "stations.csv")
    table = table[table.station_id.isin(places.id[places.pollutant == target])]
    ds = xaq.open_stations(table[["time", "station_id", target]], stations=places[["id", "lon", "lat"]], units="ug m-3")
    ds = join_renumbered(ds, target)
    wind = table.pivot(index="station_id", columns="time", values="wind_speed").reindex(ds.station.values.astype(str))
    satellite = xr.open_dataset(folder / "satellite_025deg_2009.nc").load()
    fields = {
        "wind": lattice(wide_times(wind, ds), ds, "wind", "m s-1"),
        "omi_no2": satellite.omi_no2,
        "aod": satellite.aod,
    }
    elevation = xr.open_dataset(folder / "elevation_005deg.nc").elevation.load()
    return FieldNetwork(ds, target, draws(ds), None, fields, {"elevation": elevation})


def _emilia(target: str, file: str, tz: str | None, emissions: tuple[str, ...]) -> FieldNetwork:
    """NO2 or PM10 with emissions, population and elevation on 1 km; its CHIMERE forecast is of one day only and is left out."""
    folder = data_folder() / _EMILIA
    table, places = pd.read_parquet(folder / file), pd.read_csv(folder / "stations.csv", dtype={"id": str})
    table = table.assign(station_id=table.station_id.astype(str))
    ds = xaq.open_stations(table, stations=places[["id", "lon", "lat"]], tz=tz, units="ug m-3")
    static = xr.open_dataset(folder / "static_1km.nc").load().drop_vars(["lon", "lat"]).rio.write_crs("EPSG:32632")
    rasters = {name: static[name] for name in (*emissions, "elevation", "population")}
    return FieldNetwork(join_renumbered(ds, target), target, draws(ds), rasters=rasters)


def wide_times(table: pd.DataFrame, ds: xr.Dataset) -> np.ndarray:
    """Return a table of stations by times at the times of a dataset; NaN where it has none."""
    return table.reindex(columns=ds.time.values).to_numpy(float)


# -- a made network ------------------------------------------------------------------------------------------------


def made(*, n_stations: int = 40, days: int = 60, seed: int = 0) -> FieldNetwork:
    """Return the synthetic network multiplied by the effect of a fine field that is known, with holes, between the stations.

    The field moves and has waves of 0.3 to 1 degrees, so that no neighbour tells what it is elsewhere. A third of it is
    missing, as of a satellite column under clouds. The background is the plume field at 0.25 degrees, 30 % too low, with half
    of its contrast.
    """
    ds = xaq.datasets.synthetic(n_stations=n_stations, days=days, seed=seed)
    times, hours = ds.time.values, np.arange(ds.sizes[TIME])
    column, clouds = _waves(hours, [seed, 12]), _waves(hours, [seed, 13])
    effect = np.exp(_EFFECT * column(ds.lon.values, ds.lat.values)).T
    ds = ds.assign(pm25=(ds.pm25.dims, (ds.pm25.values * effect).astype(np.float32), ds.pm25.attrs))
    fine = xaq.Grid.regular(0.05, bounds=(8.2, 48.7, 11.8, 51.3))
    cells = fine.lon[None, :], fine.lat[:, None]
    seen = np.where(clouds(*cells) < _CLEAR, column(*cells), np.nan)
    known = xr.DataArray(seen, {TIME: times, LAT: fine.lat, LON: fine.lon}, (TIME, LAT, LON), name="column")
    coarse = xaq.Grid.regular(0.25, bounds=(8.0, 48.5, 12.0, 51.5))
    truth = xaq.datasets.synthetic_truth(coarse, times, seed=seed)
    background = (
        (0.35 * (truth + truth.mean((LAT, LON)))).astype(np.float32).rename("pm25").assign_attrs(units="ug m-3")
    )
    return FieldNetwork(ds, "pm25", draws(ds), background, {"column": known})


def _waves(hours: np.ndarray, seed: list[int]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return a function of places whose values, ``(hour, ...)`` float32, have mean 0 and variance 1: a sum of moving waves."""
    rng = np.random.default_rng(seed)
    length, angle = rng.uniform(*_WAVELENGTHS, _WAVES), rng.uniform(0, 2 * np.pi, _WAVES)
    east, north = (2 * np.pi / length * f(angle) for f in (np.cos, np.sin))
    speed, phase = rng.normal(0, 0.5, _WAVES), rng.uniform(0, 2 * np.pi, _WAVES)

    def field(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        total = np.zeros((len(hours), *np.broadcast_shapes(lon.shape, lat.shape)), np.float32)
        for x, y, v, p in zip(east, north, speed, phase, strict=True):
            place = x * lon + y * lat + p
            total += np.cos(place + (v * hours).reshape(-1, *[1] * place.ndim)).astype(np.float32)
        return total * np.float32((2 / _WAVES) ** 0.5)

    return field


_LOADERS: dict[str, tuple[str | None, Callable[[], FieldNetwork]]] = {
    "atlanta": (_ATLANTA, _atlanta),
    "povalley-no2": (_PO_VALLEY, lambda: _po_valley("no2")),
    "povalley-pm25": (_PO_VALLEY, lambda: _po_valley("pm25")),
    "emilia-no2": (
        _EMILIA,
        lambda: _emilia(
            "no2", "obs_no2_hourly_2014.parquet", "Etc/GMT-1", ("emis_nox_ann", "emis_nox_est", "emis_nox_inv")
        ),
    ),
    "emilia-pm10": (
        _EMILIA,
        lambda: _emilia(
            "pm10", "obs_pm10_daily_2015.parquet", None, ("emis_pm10_ann", "emis_pm10_est", "emis_pm10_inv")
        ),
    ),
    "made": (None, made),
}
