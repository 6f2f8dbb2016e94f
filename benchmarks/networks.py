"""The networks that measurements run on: bundled ones always, others where the data folder has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

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


def load(name: str) -> tuple[xr.Dataset, str]:
    """Return a network and its target."""
    if name.startswith("germany"):
        return xaq.datasets.load(name), "pm10"
    target, tz = _LOCAL[name]
    folder = data_folder() / name
    import pandas as pd

    table = pd.read_parquet(folder / "obs.parquet", columns=["time", "station_id", target])
    return xaq.open_stations(table, stations=folder / "stations.csv", tz=tz), target


def found(names: list[str] | None = None) -> Iterator[str]:
    """Yield the names of the networks that can be loaded here."""
    for name in ["germany", *_LOCAL]:
        if (names is None or name in names) and (name.startswith("germany") or (data_folder() / name).is_dir()):
            yield name
