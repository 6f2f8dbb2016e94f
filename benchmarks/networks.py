"""The networks that measurements run on: bundled ones always, others where the data folder has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import xaq

_LOCAL = {
    "beijing12": ("pm25", "Asia/Shanghai"),
    "beijing35_2014_2015": ("pm25", "Asia/Shanghai"),
    "aqi36_stmvl": ("pm25", "Asia/Shanghai"),
    "krakow_airly_2017": ("pm25", "UTC"),
}


def data_folder() -> Path:
    """Return the folder of development data: ``$XAQ_DATA``, or ``../shared/data`` beside the project."""
    return Path(os.environ.get("XAQ_DATA", Path(__file__).parents[2] / "shared" / "data"))


_WINDS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")
#: Of the networks that have them: other pollutants, and weather.
POLLUTANTS = ("pm10", "so2", "no2", "co", "o3")
WEATHER = ("temp", "pres", "dewp", "rain", "wspm", "u", "v")


def load(name: str, *, covariates: bool = False) -> tuple[xr.Dataset, str]:
    """Return a network and its target; ``covariates`` adds what else the data folder has at its stations."""
    if name.startswith("germany"):
        return xaq.datasets.load(name), "pm10"
    target, tz = _LOCAL[name]
    folder = data_folder() / name
    table = pd.read_parquet(folder / "obs.parquet", columns=None if covariates else ["time", "station_id", target])
    if covariates and "wd" in table:
        table = _with_wind_components(table)
    return xaq.open_stations(table, stations=folder / "stations.csv", tz=tz), target


def _with_wind_components(table: pd.DataFrame) -> pd.DataFrame:
    """Replace the compass point the wind blows from by its eastward and northward components; calm is zero."""
    angle = np.deg2rad(table.wd.map({point: 22.5 * i for i, point in enumerate(_WINDS)}).astype(float))
    calm = table.wspm == 0
    u, v = (-table.wspm * f(angle) for f in (np.sin, np.cos))
    return table.drop(columns="wd").assign(u=u.mask(calm, 0.0), v=v.mask(calm, 0.0))


def found(names: list[str] | None = None) -> Iterator[str]:
    """Yield the names of the networks that can be loaded here."""
    for name in ["germany", *_LOCAL]:
        if (names is None or name in names) and (name.startswith("germany") or (data_folder() / name).is_dir()):
            yield name
