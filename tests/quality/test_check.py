"""``check``: every defect is reported under its name, with the call that fixes it; the report prints in full."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from defects import CLEAN, DEFECTS, HOUR, assert_same_bits, beijing, negative, problems, shift_hours, spoil, units

import xaq
from xaq.errors import SchemaError


def test_the_network_without_defects_has_no_findings():
    assert problems(CLEAN.aq.check(CLEAN)) == {"shift_hours"}
    assert "agree" in CLEAN.aq.check(CLEAN).set_index("problem").finding["shift_hours"]


@pytest.mark.parametrize("defect", [d for d in DEFECTS if d is not negative], ids=lambda d: d.__name__)
def test_each_defect_alone_is_reported_and_fixed(defect):
    s = spoil([defect], seed=1)
    report = s.ds.aq.check(CLEAN if defect is shift_hours else None)
    named = report[report.problem == defect.__name__]
    assert len(named) == 1
    assert f"{defect.__name__}=" in named.fix.iloc[0]
    assert problems(report, "error", "warning") | {defect.__name__} == {defect.__name__}
    assert_same_bits(s.ds.aq.repair(**s.options), s.expected)


def test_negative_values_within_noise_are_a_note_without_a_fix_and_those_below_it_are_impossible():
    ds = spoil([negative], seed=1).ds
    assert problems(ds.aq.check(), "error", "warning") == set()
    row = ds.aq.check().set_index("problem").loc["negative"]
    assert (row.severity, row["count"], row.fix) == ("note", 3, "")
    assert "means are unbiased with them" in row.finding
    # The least of 3.5 million hourly values of the US is -10 ug m-3.
    for value, found in ((-10.0, set()), (-20.0, {"impossible"})):
        below = ds.assign(pm25=ds.pm25.where(ds.pm25 >= 0, value).assign_attrs(ds.pm25.attrs))
        assert problems(below.aq.check(), "error", "warning") == found


def test_a_station_with_mostly_negative_values_has_an_offset():
    ds = CLEAN.copy(deep=True)
    ds.pm25[3] = np.minimum(ds.pm25[3] / 100 - 4, -0.5)
    row = ds.aq.check().set_index("problem").loc["negative"]
    assert (row.severity, row["count"], row.examples) == ("warning", 1, str(ds.station.values[3]))
    assert "negative" not in problems(eval(row.fix).aq.check())


@pytest.mark.parametrize(
    ("change", "says"),
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
def test_a_dataset_that_cannot_be_examined_is_an_error_in_the_report(change, says):
    report = change(CLEAN).aq.check()
    assert report.severity.tolist() == ["error"] * len(report)
    assert report.finding.str.contains(says).any()
    assert (report.fix != "").all()


def test_dask_backed_data_give_the_same_report_and_stay_lazy():
    s = spoil([kind for kind in DEFECTS if kind is not units], seed=9)
    lazy = s.ds.chunk(station=7, time=50)
    pd.testing.assert_frame_equal(pd.DataFrame(lazy.aq.check()), pd.DataFrame(s.ds.aq.check()))
    fixed = lazy.aq.repair(**s.options)
    assert fixed.pm25.chunks is not None
    assert_same_bits(fixed.compute(), s.expected)


def test_the_report_prints_every_finding_in_full():
    s = spoil(DEFECTS, seed=5)
    report = s.ds.aq.check()
    text = repr(report)
    assert all(finding in text for finding in report.finding)
    assert all(fix in text for fix in report.fix)
    assert all(fix.replace("'", "&#x27;") in report._repr_html_() for fix in report.fix)
    assert type(report[report.severity == "error"]) is pd.DataFrame
    assert repr(report.drop(columns="fix")).count("\n") > 1


@pytest.mark.parametrize(("factor", "says"), [(30.0, "43"), (1 / 30, "0.047"), (0.0, "0")])
def test_a_wrong_level_is_reported_with_its_ratio_and_the_fix_works(factor, says):
    ds = CLEAN.copy(deep=True)
    # Without an error it is 1.4 times its neighbours.
    # Zeros at every other step are not stuck.
    ds.pm25[7] *= factor if factor else np.where(np.arange(ds.sizes["time"]) % 2, 0.0, 1e-6)
    row = ds.aq.check().set_index("problem").loc["level"]
    assert (row.severity, row.variable, row["count"], row.fix) == (
        "warning",
        "pm25",
        1,
        "ds.aq.repair(level='missing')",
    )
    assert row.examples == f"s007: {says} times its neighbours"
    fixed = ds.aq.repair(level="missing", silent="drop")
    assert problems(fixed.aq.check()) == set()
    xr.testing.assert_equal(fixed, CLEAN.drop_sel(station="s007"))
    assert "level: 192 values of pm25 made missing at s007" in fixed.history


def test_spikes_of_a_station_of_wrong_level_are_not_counted_twice():
    ds = CLEAN.copy(deep=True)
    ds.pm25[7] *= 10
    ds.pm25[7, 100] *= 10
    assert problems(ds.aq.check()) == {"level"}


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_small_networks(n):
    ds = xaq.datasets.synthetic(n_stations=n, days=2)
    assert problems(ds.aq.check(ds), "error", "warning") == set()
    options = dict.fromkeys(["impossible", "negative", "stuck", "level", "spikes", "identical"], "missing")
    xr.testing.assert_identical(ds.aq.repair(**options, far="drop", colocated="merge", silent="drop"), ds)


def test_a_network_without_values_or_coordinates():
    empty = CLEAN.assign(pm25=CLEAN.pm25.where(False).assign_attrs(CLEAN.pm25.attrs))
    assert problems(empty.aq.check(empty), "error", "warning") == {"silent"}
    with pytest.raises(SchemaError, match="no station"):
        empty.aq.repair(silent="drop")
    nowhere = CLEAN.assign_coords(lon=CLEAN.lon * np.nan)
    assert problems(nowhere.aq.check(CLEAN), "error", "warning") == {"unplaced"}
    with pytest.raises(SchemaError, match="no station"):
        nowhere.aq.repair(unplaced="drop")


def test_a_network_without_pollutants_has_no_findings():
    ds = CLEAN.rename(pm25="wind").aq.check()
    assert problems(ds) == set()


def test_timestamps_past_the_hour_are_noted():
    ds = CLEAN.assign_coords(time=CLEAN.time + np.timedelta64(1800, "s"))
    row = ds.aq.check().set_index("problem").loc["shift_hours"]
    assert row.severity == "note"
    assert "shift_hours=-0.5" in row.fix
    np.testing.assert_array_equal(ds.aq.repair(shift_hours=-0.5).time, CLEAN.time)


@pytest.mark.parametrize(("zone", "found"), [(0, None), (8, -8), (-5, 5)])
def test_ozone_reveals_local_time_labelled_utc(zone, found):
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


def test_a_wrong_time_zone_of_beijing_is_reported(shared_data):
    ds = beijing(shared_data, "beijing12", columns=["o3"], units="ug m-3")
    assert "shift_hours" not in problems(ds.aq.check())
    wrong = ds.assign_coords(time=ds.time + 8 * HOUR)
    assert "shift_hours=-8" in wrong.aq.check().set_index("problem").fix["shift_hours"]
