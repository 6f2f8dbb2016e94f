"""A clean network, every defect that ``check`` knows put into it, and what a full repair should give back."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

import xaq

HOUR = np.timedelta64(3600, "s")
#: Values are changed from this step on, after the steps at which timestamps are, so that no run is cut.
LATE = 30


def clean_network() -> xr.Dataset:
    ds = xaq.datasets.synthetic(n_stations=26, days=8, missing=0.0, noise=1.0, seed=3)
    return ds.assign(pm25=ds.pm25.clip(0.5).astype("float32").assign_attrs(ds.pm25.attrs))


CLEAN = clean_network()


@dataclass
class Defective:
    """A dataset with defects, and what a full repair should give back."""

    ds: xr.Dataset
    expected: xr.Dataset
    rng: np.random.Generator
    free: list[str]
    options: dict = field(default_factory=dict)
    #: Stations without data after their series are made missing.
    emptied: list[str] = field(default_factory=list)

    def station(self) -> str:
        return self.free.pop()

    def step(self, n: int = 1) -> int:
        return int(self.rng.integers(LATE, CLEAN.sizes["time"] - n - 1))

    def row(self, station: str) -> np.ndarray:
        return self.ds.pm25.values[self.ds.get_index("station").get_loc(station)]

    def make_missing(self, station: str, steps) -> None:
        self.expected.pm25.values[self.expected.get_index("station").get_loc(station), steps] = np.nan

    def put(self, station: str, value, steps) -> None:
        self.row(station)[steps] = value
        self.make_missing(station, steps)

    def place(self, station: str, lon: float, lat: float) -> None:
        at = self.ds.get_index("station").get_loc(station)
        places = {name: self.ds[name].values.copy() for name in ("lon", "lat")}
        places["lon"][at], places["lat"][at] = lon, lat
        self.ds = self.ds.assign_coords({n: ("station", v, self.ds[n].attrs) for n, v in places.items()})

    def where(self, station: str) -> tuple[float, float]:
        there = CLEAN.sel(station=station)
        return float(there.lon), float(there.lat)

    def append(self, station: str, like: str, values: np.ndarray) -> None:
        new = self.ds.sel(station=[like]).copy(deep=True).assign_coords(station=[station])
        new.pm25.values[0] = values
        self.ds = xr.concat([self.ds, new], "station", combine_attrs="override")


def impossible(s):
    for code in (-999.0, 9999.0, np.inf):
        s.put(s.station(), code, s.step())
    s.options["impossible"] = "missing"


def negative(s):
    station, steps = s.station(), s.step() + np.arange(3)
    s.put(station, -4.0, steps[steps < CLEAN.sizes["time"]])
    s.options["negative"] = "missing"


def stuck(s):
    station, start = s.station(), s.step(32)
    s.put(station, s.row(station)[start], start + np.arange(30))
    s.options["stuck"] = "missing"


def level(s):
    station = s.station()
    s.put(station, s.row(station) * 30, slice(None))
    s.emptied.append(station)
    s.options["level"] = "missing"


def spikes(s):
    station, at = s.station(), s.step()
    s.put(station, 900.0 + s.rng.uniform(0, 100), at)
    s.options["spikes"] = "missing"


def identical(s):
    original, copy = sorted([s.station(), s.station()])
    s.emptied.append(copy)
    s.put(copy, s.row(original), slice(None))
    s.options["identical"] = "missing"


def colocated(s):
    station = s.station()
    row = s.row(station).copy()
    s.append(station + "b", station, np.where(np.arange(len(row)) < 90, np.nan, row))
    s.row(station)[90:] = np.nan
    s.options["colocated"] = "merge"


def silent(s):
    s.append("mute", s.station(), np.nan)
    s.place("mute", 10.11, 50.17)
    s.options["silent"] = "drop"


def swapped(s):
    station = s.station()
    s.place(station, *s.where(station)[::-1])
    s.options["swapped"] = "swap"


def unplaced(s):
    places = [(0.0, 0.0), (np.nan, np.nan), (999.0, 12.0)]
    stations = [s.station() for _ in places]
    for station, place in zip(stations, places, strict=True):
        s.place(station, *place)
    s.options["unplaced"] = {station: s.where(station) for station in stations}


def far(s):
    station = s.station()
    s.place(station, 120.98, 23.9)
    s.options["far"] = {station: s.where(station)}


def sea(s):
    station = s.station()
    s.place(station, -30.0, 40.0)
    s.options["sea"] = {station: s.where(station)}


def units(s):
    s.ds = s.ds.assign(pm25=s.ds.pm25.assign_attrs(units="mg m-3"))
    s.options["units"] = {"pm25": "ug m-3"}


def duplicate_stations(s):
    station = s.station()
    s.append(station, station, s.row(station))
    s.options["duplicate_stations"] = "merge"


def off_step(s):
    timestamps = s.ds.time.values.copy()
    timestamps[7] += np.timedelta64(7 * 60, "s")
    s.ds = s.ds.assign_coords(time=("time", timestamps, s.ds.time.attrs))
    s.options["off_step"] = "nearest"


def duplicate_times(s):
    s.ds = s.ds.isel(time=[*range(12), 11, *range(12, s.ds.sizes["time"])])
    s.options["duplicate_times"] = "merge"


def irregular(s):
    keep = [i for i in range(s.ds.sizes["time"]) if s.ds.time.values[i] != CLEAN.time.values[18]]
    keep[2], keep[3] = keep[3], keep[2]
    s.ds = s.ds.isel(time=keep)
    s.expected.pm25.values[:, 18] = np.nan
    s.options["irregular"] = "fill"


def shift_hours(s):
    s.ds = s.ds.assign_coords(time=("time", s.ds.time.values + HOUR, s.ds.time.attrs))
    s.options["shift_hours"] = -1


#: In an order in which no defect hides another.
DEFECTS = [
    impossible, negative, stuck, level, spikes, identical, colocated, silent, swapped, unplaced, far, sea, units,
    duplicate_stations, off_step, duplicate_times, irregular, shift_hours,
]  # fmt: skip


def spoil(kinds, seed: int) -> Defective:
    rng = np.random.default_rng(seed)
    free = rng.permutation(CLEAN.station.values).tolist()
    s = Defective(CLEAN.copy(deep=True), CLEAN.copy(deep=True), rng, free)
    for defect in DEFECTS:
        if defect in kinds:
            defect(s)
    if s.emptied and silent in kinds:
        s.expected = s.expected.drop_sel(station=s.emptied)
    return s


def assert_same_bits(got: xr.Dataset, expected: xr.Dataset):
    np.testing.assert_array_equal(got.station.astype(str), expected.station.astype(str))
    np.testing.assert_array_equal(got.time, expected.time)
    np.testing.assert_array_equal(got.lon, expected.lon)
    np.testing.assert_array_equal(got.lat, expected.lat)
    assert got.pm25.dtype == expected.pm25.dtype
    np.testing.assert_array_equal(got.pm25, expected.pm25)
    assert got.pm25.attrs == expected.pm25.attrs


def problems(report, *severities):
    chosen = report[report.severity.isin(severities)] if severities else report[report.problem != "coverage"]
    return set(chosen.problem)


def report_count(ds, kind) -> int:
    return int(ds.aq.check().set_index("problem")["count"][kind.__name__])


def gas(name, values, unit):
    return CLEAN.assign({name: CLEAN.pm25.copy(data=values).assign_attrs(units=unit, standard_name="")})[[name]]


def beijing(shared_data, name, **kwargs):
    folder = shared_data / name
    table = pd.read_parquet(folder / "obs.parquet", columns=["time", "station_id", *kwargs.pop("columns")])
    return xaq.open_stations(table, stations=folder / "stations.csv", tz="Asia/Shanghai", **kwargs)
