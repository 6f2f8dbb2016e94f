"""``xaq estimate``: estimates at the points of a table, as a table."""

from __future__ import annotations

import argparse

import pandas as pd
import xarray as xr

from ..conventions import LAT, LON, MEMBER, TIME
from . import estimates, output, stations, tables, text
from .verb import Verb


def _add(parser: argparse.ArgumentParser) -> None:
    estimates.add(parser)
    group = parser.add_argument_group("points")
    group.add_argument(
        "--points", required=True, metavar="FILE", help="table with lon, lat and an id per point: CSV, Parquet or Excel"
    )
    group.add_argument(
        "--id", metavar="COLUMN", help="column of the ids (default: station, id, site, code or point, else a count)"
    )
    group.add_argument(
        "--point-columns", metavar="ROLE=COLUMN,...", help="columns of the coordinates, such as lon=x,lat=y"
    )
    group.add_argument("--point-encoding", metavar="NAME", help="encoding of the points, if it is not UTF-8")
    estimates.add_means(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE",
        help="table to write, a row per point and time: .parquet or .csv",
    )  # fmt: skip


def _run(a: argparse.Namespace) -> None:
    from ..cube.reanalyze import estimate

    output.require_suffix(a.output, tables.TABLES, "estimates.csv")
    columns = text.columns(a.point_columns, "--point-columns", "lon=x,lat=y")
    lon, lat = tables.read_points(a.points, a.id, columns, a.point_encoding)
    model = stations.load_or_name(a.model)
    found = estimate(stations.open_data(a, model), model, lon=lon, lat=lat, **estimates.options(a))
    frame = rows(found, str(lon.index.name))
    tables.write_table(frame, a.output)
    print(f"{a.output}: {found.attrs['title']} ({lon.size} points, {found.sizes[TIME]} times)")


def rows(found: xr.Dataset, point: str) -> pd.DataFrame:
    """Return one row per point and time, in the order of the points; times in UTC, a column per member."""
    found = found.compute()
    for name in [n for n in found.data_vars if MEMBER in found[n].dims]:
        for number in found[MEMBER].values:
            found[f"{name}_{number}"] = found[name].sel({MEMBER: number}, drop=True)
    found = found.drop_dims(MEMBER, errors="ignore")
    # Ids may repeat, as where a participant moves: rows go by position.
    (dim,) = (str(d) for d in found.dims if d != TIME)
    frame = found.to_dataframe(dim_order=[dim, TIME]).reset_index()
    for name in frame.select_dtypes("datetime"):
        frame[name] = frame[name].dt.tz_localize("UTC")
    first = [name for name in (point, LON, LAT, TIME, "period_end") if name in frame]
    return frame[[*first, *(name for name in frame if name not in first)]]


VERB = Verb(
    "estimate",
    "estimate at the points of a table: addresses, a cohort",
    "xaq estimate pm25.xaq obs.parquet --stations stations.csv --tz Asia/Shanghai --points cohort.csv --id person --freq MS -o cohort-pm25.parquet",
    _add,
    _run,
)
