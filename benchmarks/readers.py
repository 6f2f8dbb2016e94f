"""Time and memory to turn a folder of the Chinese national network's daily files into a store.

``python -m benchmarks.readers [--days 365] [--stations 1600] [--folder PATH]``

It writes synthetic ``china_sites_YYYYMMDD.csv`` files in the published form (15 types an hour, a tenth of the values
missing), reads them with a station list, writes them as Zarr, and reopens the store for one estimate.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import xaq

_TYPES = (
    "AQI", "PM2.5", "PM2.5_24h", "PM10", "PM10_24h", "SO2", "SO2_24h", "NO2", "NO2_24h", "O3", "O3_24h", "O3_8h",
    "O3_8h_24h", "CO", "CO_24h",
)  # fmt: skip


def write(folder: Path, days: int, stations: int) -> Path:
    """Write synthetic daily files and a station list; return the path of the list."""
    rng = np.random.default_rng(0)
    ids = [f"{1001 + i}A" for i in range(stations)]
    folder.mkdir(parents=True, exist_ok=True)
    for day in pd.date_range("2019-01-01", periods=days):
        values = rng.gamma(3.0, 20.0, (24 * len(_TYPES), stations)).round().astype(int)
        gone = rng.random(values.shape) < 0.1
        lines = [f"date,hour,type,{','.join(ids)}"]
        for i, (row, absent) in enumerate(zip(values, gone, strict=True)):
            fields = ",".join("" if a else str(v) for v, a in zip(row.tolist(), absent.tolist(), strict=True))
            lines.append(f"{day:%Y%m%d},{i // len(_TYPES)},{_TYPES[i % len(_TYPES)]},{fields}")
        (folder / f"china_sites_{day:%Y%m%d}.csv").write_text("\n".join(lines) + "\n")
    places = pd.DataFrame({"station": ids, "lon": rng.uniform(80, 130, stations), "lat": rng.uniform(20, 50, stations)})
    places.to_csv(folder.parent / "stations.csv", index=False)
    return folder.parent / "stations.csv"


def read(folder: Path, places: Path, store: Path) -> None:
    """Read, write as Zarr and reopen; print seconds and the peak of this process's memory after each."""

    def report(what: str, start: float) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{what:<44}{time.perf_counter() - start:8.1f} s   peak {peak:.2f} GiB", flush=True)

    start = time.perf_counter()
    ds = xaq.open_stations(folder, stations=places)
    n = ds.sizes
    report(f"read {n['station']} stations x {n['time']} h x {len(ds.data_vars)}", start)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Zarr warns of text identifiers and of consolidated metadata
        ds.chunk(station=200, time=24 * 61).to_zarr(store, mode="w")
    report("write as Zarr", start)
    del ds
    start = time.perf_counter()
    lazy = xr.open_zarr(store).aq.hide(fraction=0.1, seed=0)
    lazy.aq.estimate("idw", target="pm25", lon=[116.4], lat=[39.9], time="2019-01-01").compute()
    report("reopen, hide, estimate a day at a point", start)


def main() -> None:
    """Write the files, then read them in a process of its own, so that its peak memory is that of reading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--stations", type=int, default=1600)
    parser.add_argument("--folder", type=Path, help="where to keep the files; a temporary folder by default")
    parser.add_argument(
        "--read", nargs=3, metavar=("FOLDER", "LIST", "STORE"), help="read the files of an earlier call"
    )
    a = parser.parse_args()
    if a.read:
        read(*map(Path, a.read))
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = a.folder or Path(scratch)
        start = time.perf_counter()
        places = write(root / "china_sites", a.days, a.stations)
        size = sum(p.stat().st_size for p in (root / "china_sites").iterdir()) / 2**30
        print(f"wrote {a.days} days, {size:.2f} GiB, in {time.perf_counter() - start:.1f} s", flush=True)
        paths = [str(root / "china_sites"), str(places), str(root / "network.zarr")]
        subprocess.run([sys.executable, "-m", "benchmarks.readers", "--read", *paths], check=True)


if __name__ == "__main__":
    main()
