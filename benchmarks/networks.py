"""The networks that benchmarks run on: the bundled ones, and others where the data folder holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import xaq
from xaq.arrays import sphere

_BUNDLED = ("germany", "germany-1998-2009")
#: Folder -> target and time zone of the timestamps; it holds ``obs.parquet`` and ``stations.csv``.
_LOCAL = {
    "beijing12": ("pm25", "Asia/Shanghai"),
    "beijing35_2014_2015": ("pm25", "Asia/Shanghai"),
    "aqi36_stmvl": ("pm25", "Asia/Shanghai"),
    "krakow_airly_2017": ("pm25", "UTC"),
    "cnemc_20170101": ("pm25", "Asia/Shanghai"),
}
_WINDS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")
#: Other pollutants, and weather, in networks that have them.
POLLUTANTS = ("pm10", "so2", "no2", "co", "o3")
WEATHER = ("temp", "pres", "dewp", "rain", "wspm", "u", "v")
_OZONE = "ozone_us_midwest_daily_1987"
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
    else:
        target, tz = _LOCAL[name]
        folder = data_folder() / name
        table = pd.read_parquet(folder / "obs.parquet", columns=None if covariates else ["time", "station_id", target])
        if covariates and "wd" in table:
            table = _with_wind_components(table)
        places = pd.read_csv(folder / "stations.csv", dtype={"id": str})[["id", "lon", "lat"]]
        ds = xaq.open_stations(table, stations=places, tz=tz)
    return join_renumbered(ds, target), target


def zone(name: str) -> str | None:
    """Return the time zone of a network's days; None of daily data."""
    return _LOCAL[name][1] if name in _LOCAL else None


def _load_ozone() -> xr.Dataset:
    folder = data_folder() / _OZONE
    return xaq.open_stations(
        folder / "observations.csv.gz", stations=folder / "stations.csv.gz", columns={"o3": "o3_8h"}, units="ppb"
    )


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
    """Yield the networks that can be loaded here: of the names, or of all."""
    for name in [*_BUNDLED, *_LOCAL, _OZONE]:
        if (names is None or name in names) and (name in _BUNDLED or (data_folder() / name).is_dir()):
            yield name
