"""The audit and its repairs: every defect reported, fixed when asked, nothing else touched; real networks judged."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xaq
from xaq.arrays import sphere
from xaq.errors import SchemaError
from xaq.quality import detectors
from xaq.stations import schema

HOUR = np.timedelta64(3600, "s")
#: Steps that timestamp defects may touch; values are spoilt later, so that no run is cut by an absent hour.
EARLY, LATE = 24, 30


def clean_network() -> xr.Dataset:
    ds = xaq.datasets.synthetic(n_stations=26, days=8, missing=0.0, noise=1.0, seed=3)
    return ds.assign(pm25=ds.pm25.clip(0.5).astype("float32").assign_attrs(ds.pm25.attrs))


CLEAN = clean_network()


def problems(report, *levels):
    chosen = report[report.severity.isin(levels)] if levels else report[report.problem != "coverage"]
    return set(chosen.problem)


# -- one defect of every kind ------------------------------------------------------------------------------------------


@dataclass
class Spoilt:
    """A dataset on its way to ruin, and what a full repair should give back."""

    ds: xr.Dataset
    expected: xr.Dataset
    rng: np.random.Generator
    free: list[str]
    options: dict = field(default_factory=dict)
    #: The station that has no data left once its series is known to be a copy.
    emptied: str | None = None

    def station(self) -> str:
        return self.free.pop()

    def step(self, n: int = 1) -> int:
        return int(self.rng.integers(LATE, CLEAN.sizes["time"] - n - 1))

    def row(self, station: str) -> np.ndarray:
        return self.ds.pm25.values[self.ds.get_index("station").get_loc(station)]

    def lose(self, station: str, steps) -> None:
        self.expected.pm25.values[self.expected.get_index("station").get_loc(station), steps] = np.nan

    def put(self, station: str, value, steps) -> None:
        self.row(station)[steps] = value
        self.lose(station, steps)

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


def spikes(s):
    station, at = s.station(), s.step()
    s.put(station, 900.0 + s.rng.uniform(0, 100), at)
    s.options["spikes"] = "missing"


def identical(s):
    original, copy = sorted([s.station(), s.station()])
    s.emptied = copy
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


#: In an order in which each can still find what it spoils.
DEFECTS = [
    impossible, negative, stuck, spikes, identical, colocated, silent, swapped, unplaced, far, sea, units,
    duplicate_stations, off_step, duplicate_times, irregular, shift_hours,
]  # fmt: skip


def spoil(kinds, seed: int) -> Spoilt:
    rng = np.random.default_rng(seed)
    free = rng.permutation(CLEAN.station.values).tolist()
    s = Spoilt(CLEAN.copy(deep=True), CLEAN.copy(deep=True), rng, free)
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


def test_the_network_to_be_spoilt_is_clean():
    assert problems(CLEAN.aq.check(CLEAN)) == {"shift_hours"}
    assert "agree" in CLEAN.aq.check(CLEAN).set_index("problem").finding["shift_hours"]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: d.__name__)
def test_each_defect_alone_is_reported_and_fixed(defect):
    s = spoil([defect], seed=1)
    report = s.ds.aq.check(CLEAN if defect is shift_hours else None)
    named = report[report.problem == defect.__name__]
    assert len(named) == 1
    assert f"{defect.__name__}=" in named.fix.iloc[0]
    assert problems(report, "error", "warning") | {defect.__name__} == {defect.__name__}
    assert_same_bits(s.ds.aq.repair(**s.options), s.expected)


@given(st.sets(st.sampled_from(DEFECTS), min_size=1), st.integers(0, 2**16))
def test_any_mixture_is_reported_and_fixed_and_nothing_else_changes(kinds, seed):
    s = spoil(kinds, seed)
    names = {kind.__name__ for kind in kinds}
    before = s.ds.copy(deep=True)
    report = s.ds.aq.check(CLEAN)
    assert names - {"shift_hours"} == problems(report) - {"shift_hours"}
    clock = report.set_index("problem").loc["shift_hours"]
    assert (clock.severity == "warning") == (shift_hours in kinds)

    fixed = s.ds.aq.repair(**s.options)
    assert_same_bits(fixed, s.expected)
    assert problems(fixed.aq.check(CLEAN), "error", "warning") <= ({"silent"} if identical in kinds else set())
    assert {line.split(": ")[1] for line in fixed.history.splitlines()} == names
    xr.testing.assert_identical(s.ds, before)


@given(st.sets(st.sampled_from(DEFECTS[:4]), min_size=1), st.sets(st.sampled_from(DEFECTS[:4])), st.integers(0, 2**16))
def test_only_what_is_asked_is_fixed(kinds, asked, seed):
    s = spoil(kinds, seed)
    options = {kind.__name__: "missing" for kind in asked}
    fixed = s.ds.aq.repair(**options)
    changed = ~((fixed.pm25 == s.ds.pm25) | (fixed.pm25.isnull() & s.ds.pm25.isnull()))
    assert fixed.pm25.values[changed.values].size == sum(report_count(s.ds, kind) for kind in kinds & asked)
    assert np.isnan(fixed.pm25.values[changed.values]).all()
    assert problems(fixed.aq.check(), "warning") == {kind.__name__ for kind in kinds - asked}


def report_count(ds, kind) -> int:
    return int(ds.aq.check().set_index("problem")["count"][kind.__name__])


def test_nothing_asked_nothing_done():
    s = spoil(DEFECTS, seed=5)
    fixed = s.ds.aq.repair()
    xr.testing.assert_identical(fixed, s.ds)
    assert "history" not in fixed.attrs


def test_dropping_stations_instead_of_placing_them():
    s = spoil([unplaced, far, sea], seed=2)
    fixed = s.ds.aq.repair(unplaced="drop", far="drop", sea="drop")
    gone = {*s.options["unplaced"], *s.options["far"], *s.options["sea"]}
    assert set(fixed.station.values) == set(CLEAN.station.values) - gone
    assert_same_bits(fixed, s.expected.sel(station=fixed.station))
    assert all(station in fixed.history for station in gone)


def test_negative_values_can_be_zero():
    s = spoil([negative], seed=4)
    fixed = s.ds.aq.repair(negative="zero")
    lost = s.expected.pm25.isnull()
    assert (fixed.pm25.values[lost.values] == 0).all()
    np.testing.assert_array_equal(fixed.pm25.where(~lost), s.expected.pm25)


def test_a_merge_keeps_the_first_value_that_is_there():
    ds = CLEAN.isel(station=[0, 1, 2, 3]).copy(deep=True)
    ds = ds.assign_coords(station=["a", "b", "a", "c"])
    ds.pm25[0, :5] = np.nan
    fixed = ds.aq.repair(duplicate_stations="merge")
    assert fixed.station.values.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(fixed.pm25[0, :5], ds.pm25[2, :5])
    np.testing.assert_array_equal(fixed.pm25[0, 5:], ds.pm25[0, 5:])


def test_history_is_added_to_not_replaced():
    s = spoil([negative], seed=4)
    fixed = s.ds.assign_attrs(history="read from a file").aq.repair(negative="missing")
    first, second = fixed.history.splitlines()
    assert first == "read from a file"
    assert second.startswith("xaq repair: negative: 3 values of pm25 made missing at s0")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"negative": "drop"}, "expected 'missing' or 'zero'"),
        ({"far": "swap"}, "expected 'drop'"),
        ({"units": {"o3": "ppb"}}, "no pollutant of the dataset"),
        ({"units": {"pm25": "ppb"}}, "no concentration of pm25"),
        ({"units": {"pm25": {"nowhere": "mg m-3"}}}, "unknown station"),
        ({"unplaced": {"nowhere": (1.0, 2.0)}}, "unknown station"),
        ({"sea": {"s001": (50.0, 100.0)}}, "expected \\(lon, lat\\)"),
        ({"shift_hours": float("nan")}, "number of hours"),
    ],
)
def test_repair_refuses(options, says):
    with pytest.raises(SchemaError, match=says):
        CLEAN.aq.repair(**options)


def test_values_are_not_judged_on_irregular_timestamps():
    s = spoil([irregular, spikes], seed=1)
    with pytest.raises(SchemaError, match="in the same call"):
        s.ds.aq.repair(spikes="missing")
    with pytest.raises(SchemaError, match="off_step"):
        spoil([off_step], seed=1).ds.aq.repair(irregular="fill")


def test_what_conform_refuses_names_a_repair_that_fixes_it():
    for defect in (duplicate_stations, off_step, duplicate_times, irregular):
        s = spoil([defect], seed=1)
        with pytest.raises(SchemaError, match=r"fix: ds\.aq\.repair\("):
            schema.conform(s.ds)
        schema.conform(s.ds.aq.repair(**s.options))


@pytest.mark.parametrize(
    ("ruin", "says"),
    [
        (lambda ds: ds.drop_vars("lon"), "no lon"),
        (lambda ds: ds.drop_vars("station"), "no identifiers"),
        (lambda ds: ds.isel(time=[0]), "at least 2"),
        (lambda ds: ds.isel(station=[]), "no stations"),
        (lambda ds: ds.assign_coords(lon=("station", ["x"] * 26)), "expected degrees as numbers"),
        (lambda ds: ds.assign_coords(time=np.arange(ds.sizes["time"])), "expected datetime64"),
        (
            lambda ds: ds.assign_coords(time=[np.datetime64("1970-01-01", "s"), *ds.time.values[1:]]),
            "some must be wrong",
        ),
    ],
)
def test_what_cannot_be_looked_at_is_an_error_in_the_report(ruin, says):
    report = ruin(CLEAN).aq.check()
    assert report.severity.tolist() == ["error"] * len(report)
    assert report.finding.str.contains(says).any()


# -- Dask, types, words ------------------------------------------------------------------------------------------------


def test_dask_backed_data_give_the_same_report_and_stay_lazy():
    s = spoil([kind for kind in DEFECTS if kind is not units], seed=9)
    lazy = s.ds.chunk(station=7, time=50)
    pd.testing.assert_frame_equal(pd.DataFrame(lazy.aq.check()), pd.DataFrame(s.ds.aq.check()))
    fixed = lazy.aq.repair(**s.options)
    assert fixed.pm25.chunks is not None
    assert_same_bits(fixed.compute(), s.expected)


def test_repairs_of_timestamps_and_places_compute_nothing(no_compute):
    kinds = [swapped, unplaced, far, sea, units, duplicate_stations, off_step, duplicate_times, irregular, shift_hours]
    s = spoil(kinds, seed=9)
    lazy = s.ds.copy(data={"pm25": s.ds.pm25.chunk(time=50).data})
    assert lazy.aq.repair(**s.options).pm25.chunks is not None


def test_integers_and_transposed_variables():
    ds = CLEAN.assign(pm25=CLEAN.pm25.round().astype("int32").assign_attrs(units="ug m-3").transpose("time", "station"))
    ds.pm25[40:43, 2] = -5
    fixed = ds.aq.repair(negative="missing")
    assert int(fixed.pm25.isnull().sum()) == 3
    np.testing.assert_array_equal(fixed.pm25.fillna(-5), ds.pm25)


def test_the_report_prints_every_finding_in_full():
    s = spoil(DEFECTS, seed=5)
    report = s.ds.aq.check()
    text = repr(report)
    assert all(finding in text for finding in report.finding)
    assert all(fix in text for fix in report.fix)
    assert all(fix.replace("'", "&#x27;") in report._repr_html_() for fix in report.fix)
    assert type(report[report.severity == "error"]) is pd.DataFrame
    assert repr(report.drop(columns="fix")).count("\n") > 1


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_small_networks(n):
    ds = xaq.datasets.synthetic(n_stations=n, days=2)
    assert problems(ds.aq.check(ds), "error", "warning") == set()
    options = dict.fromkeys(["impossible", "negative", "stuck", "spikes", "identical"], "missing")
    xr.testing.assert_identical(ds.aq.repair(**options, far="drop", colocated="merge", silent="drop"), ds)


def test_a_network_without_values_or_places():
    empty = CLEAN.assign(pm25=CLEAN.pm25.where(False).assign_attrs(CLEAN.pm25.attrs))
    assert problems(empty.aq.check(empty), "error", "warning") == {"silent"}
    with pytest.raises(SchemaError, match="no station"):
        empty.aq.repair(silent="drop")
    nowhere = CLEAN.assign_coords(lon=CLEAN.lon * np.nan)
    assert problems(nowhere.aq.check(CLEAN), "error", "warning") == {"unplaced"}
    with pytest.raises(SchemaError, match="no station"):
        nowhere.aq.repair(unplaced="drop")


def test_no_pollutants_no_alarm():
    ds = CLEAN.rename(pm25="wind").aq.check()
    assert problems(ds) == set()


# -- units -------------------------------------------------------------------------------------------------------------


def gas(name, values, unit):
    return CLEAN.assign({name: CLEAN.pm25.copy(data=values).assign_attrs(units=unit, standard_name="")})[[name]]


@pytest.mark.parametrize(
    ("name", "scale", "stated", "instead"),
    [
        ("co", 0.03, "ug m-3", "mg m-3"),
        ("co", 30.0, "mg m-3", "ug m-3"),
        ("o3", 0.001, "1e-9", "1e-6"),
        ("pm10", 0.001, "ug m-3", "mg m-3"),
    ],
)
def test_a_factor_of_thousand_is_noticed(name, scale, stated, instead):
    ds = gas(name, CLEAN.pm25.values * np.float32(scale), stated)
    row = ds.aq.check().set_index("problem").loc["units"]
    assert f"'{instead}'" in row.fix or instead in row.finding
    fixed = ds.aq.repair(units={name: instead})
    np.testing.assert_array_equal(fixed[name], ds[name])
    assert fixed[name].units == instead
    assert "units" not in problems(fixed.aq.check())


def test_co_in_right_units_is_no_alarm():
    assert problems(gas("co", CLEAN.pm25.values * np.float32(0.03), "mg m-3").aq.check()) == set()
    assert problems(gas("co", CLEAN.pm25.values * np.float32(30), "ug m-3").aq.check()) == set()


def test_a_station_in_other_units_is_noticed_and_converted():
    values = CLEAN.pm25.values * np.float32(0.03)
    values[4] *= 1000
    ds = gas("co", values, "mg m-3")
    row = ds.aq.check().set_index("problem").loc["units"]
    assert row.examples == "s004"
    assert row.fix == "ds.aq.repair(units={'co': {'s004': 'ug m-3'}})"
    fixed = ds.aq.repair(units={"co": {"s004": "ug m-3"}})
    np.testing.assert_allclose(fixed.co, CLEAN.pm25 * 0.03, rtol=1e-5)
    np.testing.assert_array_equal(fixed.co.drop_sel(station="s004"), ds.co.drop_sel(station="s004"))
    assert fixed.co.dtype == np.float32
    assert problems(fixed.aq.check()) == set()


def test_ppb_taken_for_mass_is_told_by_another_network():
    right = gas("o3", CLEAN.pm25.values, "ug m-3")
    wrong = right.aq.convert_units({"o3": "ppb"})
    wrong.o3.attrs["units"] = "ug m-3"
    assert problems(wrong.aq.check()) == set(), "one network cannot tell"
    row = wrong.aq.check(right).set_index("problem").loc["units"]
    assert row.fix.startswith("ds.aq.repair(units={'o3': '1e-9'})")
    assert problems(wrong.aq.repair(units={"o3": "ppb"}).aq.check(right), "warning") == set()


def test_units_that_are_none():
    assert (CLEAN.drop_attrs().aq.check().severity == "error").sum() == 1
    assert "no concentration" in gas("o3", CLEAN.pm25.values, "m s-1").aq.check().set_index("problem").finding["units"]


# -- clocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-8, -1, 1, 5])
def test_two_networks_tell_the_time(hours):
    late = CLEAN.assign_coords(time=CLEAN.time + hours * HOUR)
    row = late.aq.check(CLEAN).set_index("problem").loc["shift_hours"]
    assert row.fix.startswith(f"ds.aq.repair(shift_hours={-hours})")
    assert row.fraction == 1
    assert ("end and the start" in row.finding) == (abs(hours) == 1)


def test_networks_without_a_station_in_common_tell_it_by_their_means():
    here, there = CLEAN.isel(station=slice(0, None, 2)), CLEAN.isel(station=slice(1, None, 2))
    row = here.assign_coords(time=here.time + HOUR).aq.check(there).set_index("problem").loc["shift_hours"]
    assert row.fix.startswith("ds.aq.repair(shift_hours=-1)")
    assert "means of the networks" in row.finding


def test_nothing_to_compare_is_said():
    later = CLEAN.assign_coords(time=CLEAN.time + np.timedelta64(400, "D"))
    assert "nothing to compare" in " ".join(CLEAN.aq.check(later).finding)
    daily = xaq.datasets.load("germany")
    assert "nothing to compare" in " ".join(CLEAN.aq.check(daily).finding)
    with pytest.raises(SchemaError, match="other"):
        CLEAN.aq.check(CLEAN.drop_vars("lon"))


def test_timestamps_past_the_hour_are_noted():
    ds = CLEAN.assign_coords(time=CLEAN.time + np.timedelta64(1800, "s"))
    row = ds.aq.check().set_index("problem").loc["shift_hours"]
    assert row.severity == "note"
    assert "shift_hours=-0.5" in row.fix
    np.testing.assert_array_equal(ds.aq.repair(shift_hours=-0.5).time, CLEAN.time)


@pytest.mark.parametrize(("zone", "found"), [(0, None), (8, -8), (-5, 5)])
def test_ozone_tells_local_time_taken_for_utc(zone, found):
    times = pd.date_range("2020-06-01", periods=24 * 20, freq="h", unit="s")
    lon = 15.0 * (zone or 1)
    solar = (times.hour.values + lon / 15) % 24
    rng = np.random.default_rng(0)
    values = 60 + 40 * np.cos(2 * np.pi * (solar - 15) / 24) + rng.normal(0, 10, (5, len(times)))
    ds = xr.Dataset(
        {"o3": (("station", "time"), values, {"units": "ug m-3"})},
        {"station": list("abcde"), "time": times, "lon": ("station", lon + np.arange(5) / 10), "lat": ("station", np.full(5, 40.0))},
    )  # fmt: skip
    assert "shift_hours" not in problems(ds.aq.check())
    if found:
        row = ds.assign_coords(time=times + zone * HOUR).aq.check().set_index("problem").loc["shift_hours"]
        assert row.fix.startswith(f"ds.aq.repair(shift_hours={found})")


# -- places ------------------------------------------------------------------------------------------------------------


def test_a_whole_network_swapped():
    ds = CLEAN.assign_coords(lon=CLEAN.lon + 100)
    swapped_ds = ds.assign_coords(lon=("station", ds.lat.values), lat=("station", ds.lon.values))
    assert problems(swapped_ds.aq.check(), "error") == {"swapped"}
    fixed = swapped_ds.aq.repair(swapped="swap")
    np.testing.assert_array_equal(fixed.lon, ds.lon)
    np.testing.assert_array_equal(fixed.lat, ds.lat)


def test_remote_stations_of_a_wide_network_are_no_alarm():
    rng = np.random.default_rng(0)
    lon, lat = np.concatenate([rng.normal([110, 32], 3, (200, 2)), [[95, 36], [87.6, 43.8], [79.9, 37.1]]]).T
    assert not detectors.judge_places(lon, lat).far.any()


@pytest.mark.parametrize(
    ("lon", "lat", "sea"),
    [
        (116.4, 39.9, False), (476.4, 39.9, False), (10.0, 50.0, False), (5.0, 0.0, True), (-30.0, 40.0, True),
        (0.0, -89.0, False), (180.0, 68.0, False), (121.1147, 34.4524, True), (123.0, 25.0, True), (-157.86, 21.31, False),
        (4.0, 53.5, True), (8.65, 50.11, False),
    ],
)  # fmt: skip
def test_land_and_sea(lon, lat, sea):
    assert detectors.at_sea(np.array([lon]), np.array([lat]), 10.0)[0] == sea


# -- arrays ------------------------------------------------------------------------------------------------------------


def test_a_detection_limit_is_not_stuck_and_a_frozen_hour_is():
    rng = np.random.default_rng(1)
    values = np.maximum(2.0, np.round(rng.gamma(1.0, 4.0, (12, 600)) - 2))
    for row in values:
        row[200:260] = 2.0
    assert not detectors.stuck(values).any()
    values[3, 400:440] = 7.0
    marked = detectors.stuck(values)
    assert marked[3, 400:440].all()
    assert marked.sum() == 40


def test_a_plume_that_neighbours_see_is_no_spike():
    values = np.random.default_rng(2).normal(30, 2, (8, 100))
    lon, lat = np.linspace(10, 11, 8), np.full(8, 50.0)
    values[:, 50] += 500
    assert not detectors.spikes(values, lon, lat).any()
    values[2, 20] += 500
    assert np.argwhere(detectors.spikes(values, lon, lat)).tolist() == [[2, 20]]
    values[2, 19] = np.nan
    assert not detectors.spikes(values, lon, lat).any(), "half a neighbourhood in time is no evidence"


def test_a_copy_is_found_whatever_it_lacks():
    rng = np.random.default_rng(3)
    values = np.round(rng.gamma(4, 10, (6, 500)), 1)
    values[4] = values[1]
    values[rng.random(values.shape) < 0.2] = np.nan
    assert detectors.identical(values) == [(1, 4)]
    values[:] = 5.0
    assert detectors.identical(values) == [], "constants are no copies"


# -- real networks -----------------------------------------------------------------------------------------------------


def beijing(shared_data, name, **kwargs):
    folder = shared_data / name
    table = pd.read_parquet(folder / "obs.parquet", columns=["time", "station_id", *kwargs.pop("columns")])
    return xaq.open_stations(table, stations=folder / "stations.csv", tz="Asia/Shanghai", **kwargs)


def test_two_beijing_networks_align_on_the_word_of_the_audit(shared_data):
    a = beijing(shared_data, "aqi36_stmvl", columns=["pm25"])
    b = beijing(shared_data, "beijing12", columns=["pm25"])
    row = a.aq.check(b).set_index("problem").loc["shift_hours"]
    assert "1 h later" in row.finding
    assert "end and the start" in row.finding
    assert row.fraction == 1
    moved = a.aq.repair(shift_hours=-1)
    assert "agree" in moved.aq.check(b).set_index("problem").finding["shift_hours"]
    # The same monitors under other names: after the repair both files hold the same air.
    nearest, km = sphere.nearest(b.lon, b.lat, moved.lon, moved.lat, 1)
    same = np.flatnonzero(km[:, 0] < 0.1)
    ours, theirs = xr.align(moved.pm25, b.pm25, join="inner", exclude="station")
    left, right = ours.values[same], theirs.values[nearest[same, 0]]
    both = np.isfinite(left) & np.isfinite(right)
    assert len(same) >= 10
    # One file keeps the decimals that the other cuts off.
    assert (np.abs(left - right) < 2)[both].mean() > 0.95
    both = both[:, 1:] & both[:, :-1]
    assert (np.abs(left[:, 1:] - right[:, :-1]) < 2)[both].mean() < 0.5


def test_beijing_opened_in_the_wrong_zone_is_noticed(shared_data):
    ds = beijing(shared_data, "beijing12", columns=["o3"], units="ug m-3")
    assert "shift_hours" not in problems(ds.aq.check())
    wrong = ds.assign_coords(time=ds.time + 8 * HOUR)
    assert "shift_hours=-8" in wrong.aq.check().set_index("problem").fix["shift_hours"]


def test_garbage_coordinates_of_the_uci_files_are_noticed(shared_data):
    """The files that travel under UCI's name carry coordinates of Taiwan, zeros, or none."""
    ds = beijing(shared_data, "beijing12", columns=["pm25"]).isel(time=slice(0, 500))
    lon, lat = ds.lon.values.copy(), ds.lat.values.copy()
    found = {}
    for file in sorted((shared_data / "raw_uci_prsa").glob("*.csv")):
        row = pd.read_csv(file, nrows=1)
        found[row.station[0].lower()] = (row.long[0], row.lat[0])
    found |= {"gucheng": (0.0, 0.0), "tiantan": (121.0, 23.9)}
    for name, place in found.items():
        i = ds.get_index("station").get_loc(name)
        lon[i], lat[i] = place
    bad = ds.assign_coords(lon=("station", lon), lat=("station", lat))
    report = bad.aq.check().set_index("problem")
    assert report.loc["unplaced", "count"] == 2
    assert report.loc["far", "count"] == 2
    for name in found:
        assert report.examples[["unplaced", "far"]].str.contains(name).any()
    right = {name: (float(ds.lon.sel(station=name)), float(ds.lat.sel(station=name))) for name in found}
    xr.testing.assert_equal(bad.aq.repair(unplaced=right), ds)


def test_the_national_network_has_two_stations_in_the_sea(shared_data):
    """Two of its coordinates disagree with the other public list by more than 100 km, and are wrong."""
    places = pd.read_csv(shared_data / "cnemc_stations" / "stations.csv").dropna(subset=["lon", "lat"])
    wet = detectors.at_sea(places.lon.values, places.lat.values, 10.0)
    assert set(places.id[wet]) == {"1770A", "1995A"}
    assert (places.km_between_sources[wet] > 100).all()
