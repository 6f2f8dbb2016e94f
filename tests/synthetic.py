"""Small random networks, made without xaq."""

import numpy as np
import pandas as pd
import xarray as xr


def scatter(n: int, seed: int = 0, width: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return lon, lat of n stations in a box of ``width`` degrees around Beijing."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(-width / 2, width / 2, (2, n))
    return lon + 116.4, lat + 39.9


def station_dataset(n: int = 10, steps: int = 48, seed: int = 0, freq: str = "1h") -> xr.Dataset:
    """Return a station dataset in xaq's form, built without xaq."""
    lon, lat = scatter(n, seed)
    values = np.random.default_rng(seed).gamma(4.0, 10.0, (n, steps)).astype("float32")
    return xr.Dataset(
        {"pm25": (("station", "time"), values, {"units": "ug m-3"})},
        coords={
            "station": [f"s{i:02d}" for i in range(n)],
            "time": pd.date_range("2020-01-01", periods=steps, freq=freq, unit="s"),
            "lon": ("station", lon),
            "lat": ("station", lat),
        },
    )
