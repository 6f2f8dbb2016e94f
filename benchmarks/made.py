"""A synthetic national network for timings: real or random places, a smooth field, gaps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

import xaq
from xaq.fields.sample import sample_points

from .networks import data_folder

#: West, south, east, north of eastern China: 106-124 E, 29-43 N.
BOUNDS = (106.0, 29.0, 124.0, 43.0)
_WAVES = 24


def places(n_station: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, str]:
    """Return lon, lat and their origin: the Chinese national network where its list is at hand, else random clusters."""
    rng = np.random.default_rng([seed, 10])
    west, south, east, north = BOUNDS
    path = data_folder() / "cnemc_stations" / "stations.csv"
    if path.is_file():
        table = pd.read_csv(path)
        table = table[table.trusted & table.lon.between(west, east) & table.lat.between(south, north)]
        if len(table) >= n_station:
            table = table.drop_duplicates(["lon", "lat"]).sample(n_station, random_state=seed)
            return table.lon.to_numpy(), table.lat.to_numpy(), "places of the Chinese national network"
    towns = rng.uniform([west, south], [east, north], (max(1, n_station // 5), 2))
    lon, lat = (towns[rng.integers(len(towns), size=n_station)] + rng.normal(0, 0.15, (n_station, 2))).T
    return np.clip(lon, west, east), np.clip(lat, south, north), "random places, five to a town"


def network(n_station: int, n_hour: int, *, missing: float = 0.13, seed: int = 0) -> xr.Dataset:
    """Return hourly PM2.5 at places in eastern China: waves in space and time, noise, and gaps of 1 to 48 hours."""
    rng = np.random.default_rng([seed, 11])
    lon, lat, origin = places(n_station, seed=seed)
    hours = np.arange(n_hour, dtype=np.float32)
    waves = rng.normal(0, 1, (_WAVES, 2)) * 0.4
    periods = rng.uniform(18, 400, _WAVES)
    phase = (np.stack([lon, lat], 1) @ waves.T + rng.uniform(0, 2 * np.pi, _WAVES)).astype(np.float32)
    field = np.zeros((n_station, n_hour), np.float32)
    for p, period in zip(phase.T, periods, strict=True):
        field += np.cos(p[:, None] + (2 * np.pi / period) * hours)
    values = np.exp(3.5 + 0.15 * field + np.float32(0.15) * rng.standard_normal(field.shape, np.float32))
    values[_gaps(rng, values.shape, missing)] = np.nan
    ds = xr.Dataset(
        {"pm25": (("station", "time"), values, {"units": "ug m-3"})},
        coords={
            "station": [f"m{i:05d}" for i in range(n_station)],
            "time": pd.date_range("2015-01-01", periods=n_hour, freq="h", unit="s"),
            "lon": ("station", lon),
            "lat": ("station", lat),
        },
        attrs={"title": f"synthetic network, {origin}"},
    )
    return xaq.open_stations(ds)


def daily_network(n_station: int, n_day: int, *, seed: int = 0) -> xr.Dataset:
    """Return the values of :func:`network` as daily ones: waves of 18 to 400 days, and gaps of 1 to 48 days."""
    ds = network(n_station, n_day, seed=seed)
    return xaq.open_stations(ds.assign_coords(time=pd.date_range("2015-01-01", periods=n_day, freq="D", unit="s")))


def weather(n_hour: int, *, seed: int = 0) -> list[xr.DataArray]:
    """Return four hourly fields of 0.25 degrees around these places, each cell with a cycle of its own."""
    rng = np.random.default_rng([seed, 12])
    west, south, east, north = BOUNDS
    axes = {
        "time": pd.date_range("2015-01-01", periods=n_hour, freq="h", unit="s"),
        "lat": np.arange(south - 0.5, north + 0.5, 0.25),
        "lon": np.arange(west - 0.5, east + 0.5, 0.25),
    }
    hours = np.arange(n_hour, dtype=np.float32)[:, None, None]
    phases = rng.uniform(0, 2 * np.pi, (4, len(axes["lat"]), len(axes["lon"]))).astype(np.float32)
    return [
        xr.DataArray(np.cos(phase + hours / np.float32(6 + i)), axes, tuple(axes), f"field{i}", {"units": "1"})
        for i, phase in enumerate(phases)
    ]


def follow(ds: xr.Dataset, fields: Sequence[xr.DataArray]) -> xr.Dataset:
    """Return a network whose values also follow fields: each raises them by up to 20 %, so that it has a slope."""
    values = ds.pm25
    for field in fields:
        there = sample_points(field, ds.lon, ds.lat, time=ds.time).transpose("point", "time").values
        values = values * np.exp(0.2 * there)
    return ds.assign(pm25=values.astype("float32").assign_attrs(ds.pm25.attrs))


def _gaps(rng: np.random.Generator, shape: tuple[int, int], missing: float) -> np.ndarray:
    """Return where values are missing: half of them single hours, half in runs of 2 to 48 hours."""
    gone = rng.random(shape, np.float32) < missing / 2
    n_run = int(missing / 2 * gone.size / 25)
    station, start = rng.integers(shape[0], size=n_run), rng.integers(shape[1], size=n_run)
    for s, i, length in zip(station, start, rng.integers(2, 49, n_run), strict=True):
        gone[s, i : i + length] = True
    return gone
