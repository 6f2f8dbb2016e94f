"""The networks that benchmarks run on: the bundled ones, and others where the data folder holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import xaq
from xaq.arrays import sphere

_BUNDLED = ("germany", "germany-1998-2009")


@dataclass(frozen=True)
class Source:
    """Where the data folder holds a network, and which part of it is read.

    Attributes
    ----------
    folder : str
        It holds the observations and ``stations.csv``.
    target : str
    tz : str, optional
        Time zone of the timestamps; None of daily data.
    box : tuple of float, optional
        West, south, east and north of the part that is read.
    period : (str, str)
        First and last day; the whole record by default.
    complete : float
        Least fraction of the period's hours that a station reports.
    file : str
        Of observations.
    raw : bool
        It holds values that the audit names, which a user would make missing.
    """

    folder: str
    target: str
    tz: str | None
    box: tuple[float, float, float, float] | None = None
    period: tuple[str | None, str | None] = (None, None)
    complete: float = 0.0
    file: str = "obs.parquet"
    raw: bool = False


_USAIR, _YEAR = "usair_pm25_2008_2011", ("2011-01-01", "2011-12-31")
_FVG, _EMILIA, _PO = "fvg_obs_and_ctm_forecast_2016_2017", "emilia_romagna_pesco_2014_2015", "povalley_airbase_omi_2009"
_LOCAL = {
    "beijing12": Source("beijing12", "pm25", "Asia/Shanghai"),
    "beijing35_2014_2015": Source("beijing35_2014_2015", "pm25", "Asia/Shanghai"),
    # The same monitors, later: no year in common with beijing35_2014_2015.
    "beijing35_2016_2017": Source(
        "beijing35_2013_2018", "pm25", "Asia/Shanghai", period=("2016-06-01", "2017-05-31"), raw=True
    ),
    "aqi36_stmvl": Source("aqi36_stmvl", "pm25", "Asia/Shanghai"),
    "krakow_airly_2017": Source("krakow_airly_2017", "pm25", "UTC"),
    "cnemc_20170101": Source("cnemc_20170101", "pm25", "Asia/Shanghai"),
    "usair_california_2011": Source(_USAIR, "pm25", "UTC", (-125.0, 32.0, -114.0, 42.5), _YEAR, 0.75),
    "usair_pennsylvania_2011": Source(_USAIR, "pm25", "UTC", (-82.0, 38.0, -72.0, 42.7), _YEAR, 0.75),
    "usair_ohio_valley_2011": Source(_USAIR, "pm25", "UTC", (-96.0, 35.0, -83.0, 43.0), _YEAR, 0.75),
}
#: Basins of at most some thirty stations, where a choice made at the visible ones may be wrong at the hidden ones.
GUARD = {
    "piedmont_no2_2009": Source(_PO, "no2", None, (6.6, 44.0, 8.6, 46.5)),
    "emilia_no2_2014": Source(_EMILIA, "no2", "Etc/GMT-1", file="obs_no2_hourly_2014.parquet"),
    "fvg_no2_2016": Source(_FVG, "no2", "UTC"),
    "fvg_o3_2016": Source(_FVG, "o3", "UTC"),
}
_WINDS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")
#: Other pollutants, and weather, in networks that have them.
POLLUTANTS = ("pm10", "so2", "no2", "co", "o3")
WEATHER = ("temp", "pres", "dewp", "rain", "wspm", "u", "v")
_OZONE = "ozone_us_midwest_daily_1987"
_FRIULI = "fvg_obs_and_ctm_forecast_2016_2017"
#: Networks with a model's forecast at the stations: target, and name of its forecast. It is a known covariate, ``CTM``.
CTM = "ctm"
WITH_CTM = {"fvg-o3": ("o3", "c_O3"), "fvg-no2": ("no2", "c_NO2")}
#: Days after the init time for which the forecast is known: each value was issued two days before its hour.
CTM_DAYS = 2
_PATEL = "patel_beijing_march2015"


def data_folder() -> Path:
    """Return the folder of development data: ``$XAQ_DATA``, or ``../shared/data`` beside the project."""
    return Path(os.environ.get("XAQ_DATA", Path(__file__).parents[2] / "shared" / "data"))


def load(name: str, *, covariates: bool = False) -> tuple[xr.Dataset, str]:
    """Return a network with renumbered stations joined, and its target; ``covariates`` keeps the other variables."""
    if name in _BUNDLED:
        ds, target = xaq.datasets.load(name), "pm10"
    elif name == _OZONE:
        ds, target = _load_ozone(), "o3"
    elif name in WITH_CTM:
        ds, target = _load_friuli(*WITH_CTM[name]), WITH_CTM[name][0]
    else:
        source = (_LOCAL | GUARD)[name]
        return join_renumbered(_read(source, covariates=covariates), source.target), source.target
    return join_renumbered(ds, target), target


def _read(source: Source, *, covariates: bool) -> xr.Dataset:
    """Read a network of the data folder."""
    folder, target = data_folder() / source.folder, source.target
    table = pd.read_parquet(folder / source.file, columns=None if covariates else ["time", "station_id", target])
    if covariates and "wd" in table:
        table = _with_wind_components(table)
    places = pd.read_csv(folder / "stations.csv", dtype={"id": str})[["id", "lon", "lat"]]
    if source.box is not None:
        west, south, east, north = source.box
        places = places[places.lon.between(west, east) & places.lat.between(south, north)]
    table = table[table.station_id.isin(places.id)]
    ds = xaq.open_stations(table, stations=places, tz=source.tz, units={target: "ug m-3"}).sel(
        time=slice(*source.period)
    )
    ds = ds.isel(station=ds[target].notnull().mean("time").values > source.complete)
    return ds.aq.repair(impossible="missing", spikes="missing") if source.raw else ds


def zone(name: str) -> str | None:
    """Return the time zone of a network's days; None of daily data."""
    return _LOCAL[name].tz if name in _LOCAL else None


def _load_ozone() -> xr.Dataset:
    folder = data_folder() / _OZONE
    return xaq.open_stations(
        folder / "observations.csv.gz", stations=folder / "stations.csv.gz", columns={"o3": "o3_8h"}, units="ppb"
    )


def _load_friuli(target: str, forecast: str) -> xr.Dataset:
    """Return hourly O3 or NO2 with the forecast of a chemical transport model, over the period of the forecast.

    Observations are at the start of their hour. Forecasts are at its end: shifted to the start, their daily course correlates
    best with the observed one, in summer and in winter time alike.
    """
    folder = data_folder() / _FRIULI
    seen = pd.read_parquet(folder / "obs.parquet", columns=["time", "station_id", target]).dropna()
    made = pd.read_parquet(folder / "forecast.parquet", columns=["time", "var", "station_id", "value"])
    made = made[(made["var"] == forecast) & made.station_id.isin(seen.station_id)].drop(columns="var")
    made = made.assign(time=made.time - pd.Timedelta("1h")).rename(columns={"value": CTM})
    table = made.merge(seen, how="left", on=["time", "station_id"])
    places = pd.read_csv(folder / "stations.csv")[["id", "lon", "lat"]]
    return xaq.open_stations(table, stations=places, tz="UTC", units={target: "ug m-3", CTM: "ug m-3"})


def load_patel(fold: int, *, observed_only: bool = True) -> tuple[xr.Dataset, list[str]]:
    """Return the network of a published fold and the stations that it hides.

    Parameters
    ----------
    fold : {0, 1, 2}
    observed_only : bool
        Leave out the 3 % of rows that were imputed before publication (``filled``). The published scores include them.
    """
    folder = data_folder() / _PATEL
    columns = ["time", "station_id", "longitude", "latitude", "PM25_Concentration", "filled"]
    parts = [pd.read_csv(folder / f"pz_{fold}_{part}_mar.csv.gz", usecols=columns) for part in ("train", "test")]
    table = pd.concat(parts).rename(columns={"PM25_Concentration": "pm25"})
    table = table[~table.filled] if observed_only else table
    hidden = sorted(parts[1].station_id.astype(str).unique())
    return xaq.open_stations(table.drop(columns="filled"), tz="Asia/Shanghai"), hidden


def join_renumbered(ds: xr.Dataset, target: str) -> xr.Dataset:
    """Join co-located stations that never report at the same step: one site under several numbers."""
    group = sphere.colocated_groups(ds.lon.values, ds.lat.values)
    values = ds[target].transpose("station", "time").values.copy()
    keep = np.ones(len(group), bool)
    for label in np.flatnonzero(np.bincount(group) > 1):
        members = np.flatnonzero(group == label)
        if np.isfinite(values[members]).sum(axis=0).max() <= 1:
            first = members[0]
            values[first] = np.where(
                np.isfinite(values[members]).any(axis=0), np.nansum(values[members], axis=0), np.nan
            )
            keep[members[1:]] = False
    joined = ds.assign({target: (("station", "time"), values, ds[target].attrs)})
    return joined.isel(station=np.flatnonzero(keep))


def _with_wind_components(table: pd.DataFrame) -> pd.DataFrame:
    """Replace the compass point that the wind blows from by eastward and northward components; calm is zero."""
    angle = np.deg2rad(table.wd.map({point: 22.5 * i for i, point in enumerate(_WINDS)}).astype(float))
    calm = table.wspm == 0
    u, v = (-table.wspm * f(angle) for f in (np.sin, np.cos))
    return table.drop(columns="wd").assign(u=u.mask(calm, 0.0), v=v.mask(calm, 0.0))


def found(names: list[str] | None = None) -> Iterator[str]:
    """Yield the networks that can be loaded here: of the names, or all but the guard networks."""
    for name in [*_BUNDLED, *_LOCAL, _OZONE] if names is None else [*_BUNDLED, *_LOCAL, _OZONE, *GUARD]:
        folder = (_LOCAL | GUARD)[name].folder if name in _LOCAL | GUARD else name
        if (names is None or name in names) and (name in _BUNDLED or (data_folder() / folder).is_dir()):
            yield name
