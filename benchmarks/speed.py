"""Time of a year of hourly maps from a trained model to a finished store, and of other gridding tools, in one run.

``python -m benchmarks.speed [--days 365] [--stations 584] [--spacing 0.1] [--scaling] [--out speed.json]``
``python -m benchmarks.speed --rows training --stations 1600 --days 365 [--step D] [--network beijing35_2014_2015]``

Every row runs in a process of its own, so that its peak memory is its own. The practical limit is inverse distance as a
sparse product with a plain ``to_zarr`` of as many bytes. Slow peers grid a few hours, and their time is extrapolated; the
table says from how many hours. ``member`` is one member of the cube with its estimates, ``annual`` annual means from 50
members, ``fields`` the cube of a model over four hourly fields, and how many times the CPU seconds of one without them it
takes, ``gstools`` one conditional simulation for each hour; ``training``, which runs where it is asked for, is the whole of
:func:`xaq.train` with 15 % of the stations hidden. The network is synthetic: places of the Chinese national network
where its list is at hand, a smooth field, 13 % missing. Timings on shared machines vary: compare ratios within a run, and
rather of CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import made, networks

Row = Callable[[argparse.Namespace, Path], dict[str, float]]

_TRAIN_DAYS, _TRAIN_EPOCHS = 40, 2
_K = 16


def _grid(spacing: float) -> Any:
    import xaq

    return xaq.Grid.regular(spacing, bounds=made.BOUNDS)


# -- rows: each returns its seconds and other measurements ----------------------------------------------------------


def run_xaq(o: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Write the cube of value, lower and upper bound; reopen it and read one map and one series."""
    import dask

    import xaq

    ds = made.network(o.stations, 24 * o.days)
    model = xaq.load_model(folder / "model.xaq", device="cpu")
    store = folder / "xaq.zarr"
    start, cpu = time.perf_counter(), time.process_time()
    with dask.config.set(num_workers=o.threads):
        cube = ds.aq.reanalyze(model, grid=_grid(o.spacing), store=store, precision=o.precision, progress=False)
    measured = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    return {**measured, **_reads(cube, store)}


def run_fields(o: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Write the cube of a model over four hourly fields of 0.25 degrees, and before it that of one without them."""
    import dask

    import xaq

    fields = made.weather(24 * max(o.days, _TRAIN_DAYS))
    train = {"target": "pm25", "max_epochs": 0, "progress": False}
    model = made.follow(made.network(o.stations, 24 * _TRAIN_DAYS), fields).aq.train(fields=fields, **train)
    slopes = [term["slope"] for term in model.recipe.trend.drift]
    assert all(slopes), "a field without a slope is not read"
    ds = made.follow(made.network(o.stations, 24 * o.days), fields)
    grid, least = _grid(o.spacing), {}
    mappers = {"without": (xaq.load_model(folder / "model.xaq", device="cpu"), None), "with": (model.to("cpu"), fields)}
    # Twice, in turn: the first cube of a process also pays for what is loaded and kept.
    for name in (*mappers, *mappers):
        mapper, given = mappers[name]
        wall, cpu = time.perf_counter(), time.process_time()
        with dask.config.set(num_workers=o.threads):
            ds.aq.reanalyze(
                mapper, grid=grid, store=folder / "f.zarr", fields=given, precision=o.precision, overwrite=True, progress=False
            )  # fmt: skip
        took = time.process_time() - cpu, time.perf_counter() - wall
        least[name] = min(took, least.get(name, took))
    (cpu, seconds), (without, _) = least["with"], least["without"]
    return {"seconds": seconds, "cpu": cpu, "times_without": cpu / without}


def run_limit(o: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Write inverse distance, one sparse product per block, to a plain store of three variables."""
    import dask.array as da
    import xarray as xr
    from scipy.sparse import csr_array

    from xaq.arrays import sphere
    from xaq.interpolate import classical

    ds, grid = made.network(o.stations, 24 * o.days), _grid(o.spacing)
    start, cpu = time.perf_counter(), time.process_time()
    x, y = (a.ravel() for a in np.meshgrid(grid.lon, grid.lat))
    index, distance = sphere.nearest(ds.lon.values, ds.lat.values, x, y, _K)
    weights = classical.inverse_distance_weights(distance, 2.0).astype(np.float32)
    rows = np.repeat(np.arange(len(x)), _K)
    operator = csr_array(((weights / weights.sum(1, keepdims=True)).ravel(), (rows, index.ravel())))
    filled = ds.pm25.fillna(ds.pm25.mean("station")).values

    def block(steps: np.ndarray) -> np.ndarray:
        return (operator @ filled[:, steps]).T.reshape(len(steps), *grid.shape)

    steps = da.arange(24 * o.days, chunks=16 * 24)
    field = steps.map_blocks(block, dtype=np.float32, new_axis=(1, 2), chunks=(steps.chunks[0], *grid.shape))
    names = ("pm25", "pm25_lower", "pm25_upper")
    data = {n: (("time", "lat", "lon"), field * np.float32(f)) for n, f in zip(names, (1.0, 0.8, 1.2), strict=True)}
    xr.Dataset(data, {"time": ds.time, "lat": grid.lat, "lon": grid.lon}).to_zarr(folder / "limit.zarr")
    return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}


def _per_hour(o: argparse.Namespace, hours: int, grid_hour: Callable[..., Any]) -> dict[str, float]:
    ds, grid = made.network(o.stations, 24 * 10), _grid(o.spacing)
    lon, lat = np.meshgrid(grid.lon, grid.lat)
    start = time.perf_counter()
    for hour in range(hours):
        values = ds.pm25.values[:, hour]
        seen = np.isfinite(values)
        grid_hour(ds.lon.values[seen], ds.lat.values[seen], values[seen].astype(float), lon, lat)
    took = time.perf_counter() - start
    return {"seconds": took / hours * 24 * o.days, "measured_hours": hours}


def run_verde(o: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Average the 16 nearest stations with verde's ``KNeighbors``, in memory, the value only."""
    import verde

    return _per_hour(o, 24, lambda x, y, v, lon, lat: verde.KNeighbors(k=_K).fit((x, y), v).predict((lon, lat)))


def run_griddata(o: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Interpolate on SciPy's Delaunay triangles, in memory, the value only."""
    from scipy.interpolate import griddata

    return _per_hour(o, 24, lambda x, y, v, lon, lat: griddata((x, y), v, (lon, lat)))


def run_pykrige(o: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Krige from the 16 nearest stations with PyKrige's moving window in C, covariance given, in memory."""
    from pykrige.ok import OrdinaryKriging

    def krige(x: Any, y: Any, v: Any, lon: Any, lat: Any) -> Any:
        terms = {"psill": float(v.var()), "range": 10.0, "nugget": 0.1 * float(v.var())}
        return OrdinaryKriging(
            x, y, v, variogram_model="exponential", variogram_parameters=terms, coordinates_type="geographic"
        ).execute("points", lon.ravel(), lat.ravel(), backend="C", n_closest_points=_K)

    return _per_hour(o, 2, krige)


def run_member(o: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Compute one member of the cube of run_xaq with the estimates that it is drawn around, a block at a time; and two more."""
    import dask

    import xaq

    ds = made.network(o.stations, 24 * o.days)
    model = xaq.load_model(folder / "model.xaq", device="cpu")
    start = time.perf_counter()
    with dask.config.set(num_workers=o.threads):
        cube = ds.aq.reanalyze(model, grid=_grid(o.spacing), members=o.members)
        # Its mean, so that the member itself is forgotten block by block.
        cube.pm25_member.isel(member=0).mean("time").compute()
        one = time.perf_counter() - start
        start = time.perf_counter()
        cube.pm25_member.isel(member=slice(0, 3)).mean("time").compute()
    return {"seconds": one, "each_more": (time.perf_counter() - start - one) / 2}


def run_annual(o: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Write annual means with intervals made from members of every hour."""
    import dask

    import xaq

    ds = made.network(o.stations, 24 * o.days)
    model = xaq.load_model(folder / "model.xaq", device="cpu")
    start = time.perf_counter()
    with dask.config.set(num_workers=o.threads):
        ds.aq.reanalyze(
            model, grid=_grid(o.spacing), freq="YS", members=o.members, capture=0.01, store=folder / "year.zarr", progress=False
        )  # fmt: skip
    return {"seconds": time.perf_counter() - start}


def run_gstools(o: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Simulate with GSTools one field conditioned on the stations of one hour; a year of members is scaled from it."""
    import gstools

    ds, grid = made.network(o.stations, 24), _grid(o.spacing)
    values = ds.pm25.values[:, 0]
    seen = np.isfinite(values)
    model = gstools.Exponential(latlon=True, var=float(values[seen].var()), len_scale=500.0, geo_scale=gstools.KM_SCALE)
    kriged = gstools.krige.Ordinary(
        model, (ds.lat.values[seen], ds.lon.values[seen]), values[seen].astype(float), exact=True
    )
    start = time.perf_counter()
    gstools.CondSRF(kriged).structured((grid.lat, grid.lon), seed=1)
    one = time.perf_counter() - start
    return {"seconds": one * 24 * o.days, "measured_hours": 1, "one_field": one}


def run_training(o: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Train to the end with 15 % of the stations hidden; ``cpu_seconds`` are those of all threads."""
    if o.network:
        ds, target = networks.load(o.network)
    elif o.step == "D":
        ds, target = made.daily_network(o.stations, o.days), "pm25"
    else:
        ds, target = made.network(o.stations, 24 * o.days), "pm25"
    ds, start, begin = ds.aq.hide(fraction=0.15, seed=0), time.process_time(), time.perf_counter()
    model = ds.aq.train(target, progress=False)
    measured = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - start}
    return {**measured, "epochs": model.recipe.training["epochs"]}


ROWS: dict[str, Row] = {
    "xaq": run_xaq, "fields": run_fields, "member": run_member, "annual": run_annual, "gstools": run_gstools, "limit": run_limit,
    "verde": run_verde, "griddata": run_griddata, "pykrige": run_pykrige,
}  # fmt: skip
#: Rows that are run where they are asked for by name.
_ASKED: dict[str, Row] = {"training": run_training}


def _reads(cube: Any, store: Path) -> dict[str, float]:
    """Return seconds to read one map and one series from the store, as any tool reads it, and its size."""
    import xarray as xr

    opened = xr.open_zarr(store, chunks=None)
    start = time.perf_counter()
    opened.pm25.isel(time=opened.sizes["time"] // 2).load()
    a_map = time.perf_counter()
    opened.pm25.isel(lat=opened.sizes["lat"] // 2, lon=opened.sizes["lon"] // 2).load()
    series = time.perf_counter()
    size = sum(p.stat().st_size for p in store.rglob("*") if p.is_file())
    return {"map_read": a_map - start, "series_read": series - a_map, "store_mb": size / 1e6}


# -- running -------------------------------------------------------------------------------------------------------


def _child(row: Row, options: argparse.Namespace, folder: Path, answers: Any) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    measured = row(options, folder)
    answers.put({**measured, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20})


def measure(row: Row, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Run one row in a process of its own; spawned, as a forked process begins with the memory of its parent."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=_child, args=(row, options, folder, answers))
    process.start()
    process.join()
    if process.exitcode:
        return {"seconds": float("nan"), "exit_code": float(process.exitcode)}
    for store in folder.glob("*.zarr"):
        shutil.rmtree(store)
    return answers.get()


def train(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Train a small model on the synthetic network; return training speed."""
    ds = made.network(options.stations, 24 * _TRAIN_DAYS)
    start = time.perf_counter()
    model = ds.aq.train("pm25", max_epochs=_TRAIN_EPOCHS, progress=False)
    seconds = time.perf_counter() - start
    model.save(folder / "model.xaq")
    return {"seconds": seconds, "station_days_per_second": options.stations * _TRAIN_DAYS * _TRAIN_EPOCHS / seconds}


def scaling(options: argparse.Namespace, folder: Path) -> pd.DataFrame:
    """Return seconds of xaq's row as cells, days, stations and threads vary, one at a time."""
    rows = []
    base = {"days": 32, "spacing": 0.2, "stations": options.stations, "threads": os.cpu_count()}
    for key, values in {
        "spacing": (0.4, 0.2, 0.1, 0.05),
        "days": (16, 32, 64, 128),
        "stations": (584, 2500, 10_000),
        "threads": (1, 2),
    }.items():
        for value in values:
            # Threads work on blocks of 32 days: several are needed.
            more = {"days": 128} if key == "threads" else {}
            chosen = argparse.Namespace(**{**vars(options), **base, **more, key: value})
            measured = measure(run_xaq, chosen, folder)
            cells = int(np.prod(_grid(chosen.spacing).shape))
            rows.append(
                {
                    "varied": key,
                    "days": chosen.days,
                    "cells": cells,
                    "stations": chosen.stations,
                    "threads": chosen.threads,
                    **measured,
                }
            )
    return pd.DataFrame(rows)


def plot_scaling(table: pd.DataFrame, path: Path) -> None:
    """Plot seconds against cells, days and stations, each with a line of slope one through its second point."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for ax, (key, column, label) in zip(
        axes,
        [("spacing", "cells", "cells"), ("days", "days", "days of hourly maps"), ("stations", "stations", "stations")],
        strict=True,
    ):
        part = table[table.varied == key].sort_values(column)
        x, y = part[column].to_numpy(float), part.seconds.to_numpy()
        ax.loglog(x, y, "o-", color="#0072B2", label="xaq")
        ax.loglog(x, y[1] * x / x[1], "--", color="0.6", label="slope 1")
        ax.set_xlabel(label)
        ax.set_xticks(x, [f"{v:,.0f}" for v in x], fontsize=8)
        ax.minorticks_off()
    axes[0].set_ylabel("seconds to a finished store")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the table; write it as JSON to ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--stations", type=int, default=584)
    parser.add_argument("--spacing", type=float, default=0.1)
    parser.add_argument("--precision", type=float, help="rounding step of the values that xaq stores, ug m-3")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="blocks computed at once")
    parser.add_argument("--members", type=int, default=50, help="of the row annual")
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS | _ASKED)}")
    parser.add_argument("--step", default="h", choices=("h", "D"), help="of the row training: hours or days")
    parser.add_argument(
        "--network", help="of the row training: a network of benchmarks.networks in place of a made one"
    )
    parser.add_argument("--scaling", action="store_true", help="vary cells, days, stations and threads instead")
    parser.add_argument("--plot", type=Path, help="figure of the scaling")
    parser.add_argument("--out", type=Path, help="JSON to write")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        training = measure(train, options, folder)
        speed = training["station_days_per_second"]
        print(
            f"training, {_TRAIN_DAYS} days, {_TRAIN_EPOCHS} epochs: {training['seconds']:.0f} s, {speed:.0f} station-days per second",
            flush=True,
        )
        if options.scaling:
            table = scaling(options, folder)
            print(table.to_string(index=False, float_format="{:.2f}".format))
            if options.plot:
                plot_scaling(table, options.plot)
        else:
            rows = {}
            for name in options.rows.split(","):
                rows[name] = measure((ROWS | _ASKED)[name], options, folder)
                print(f"  {name}: {rows[name]['seconds']:.1f} s", flush=True)
            table = pd.DataFrame(rows).T.rename_axis("row")
            table["times_xaq"] = table.seconds / table.seconds.get("xaq", np.nan)
            if "cpu_seconds" in table and "xaq" in table.index:
                table["cpu_times_xaq"] = table.cpu_seconds / table.cpu_seconds["xaq"]
            cells = int(np.prod(_grid(options.spacing).shape))
            of = options.network or f"{options.stations} stations, {options.days} days"
            print(f"\n{of}; maps of {cells} cells, {os.cpu_count()} cores")
            print(table.to_string(float_format="{:.2f}".format, na_rep=""))
    if options.out:
        record = {
            "options": vars(options) | {"out": str(options.out)},
            "training": training,
            "rows": table.reset_index().to_dict("records"),
        }
        options.out.write_text(json.dumps(record, indent=1, default=str))


if __name__ == "__main__":
    main()
