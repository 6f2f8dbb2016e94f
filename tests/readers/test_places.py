"""Coordinates as people write them, and stations with several places."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaq.errors import SchemaError, XaqWarning
from xaq.readers.dispatch import open_stations

TIMES = pd.date_range("2024-01-05", periods=4, freq="h")
TABLE = pd.DataFrame({"station": np.repeat(["a", "b"], 4), "time": [*TIMES, *TIMES], "pm25": np.arange(8.0)})


def places(lon=(10.5, 11.25), lat=(50.25, 50.5), **more) -> pd.DataFrame:
    return pd.DataFrame({"station": ["a", "b"], "lon": lon, "lat": lat, **more})


def read(stations, table=TABLE):
    return open_stations(table, stations=stations, tz="UTC")


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("10,5", 10.5), ("-10,5", -10.5), ("\u221210.5", -10.5), ("10.5E", 10.5), ("10,5 E", 10.5), ("10.5 W", -10.5), ("W10.5", -10.5),
        ("10.5°", 10.5), ("10.5 degrees_east", 10.5), ("10°30'0\"E", 10.5), ("10° 30′ 00″ W", -10.5), ("10º30'E", 10.5),  # noqa: RUF001
        ("10:30:00", 10.5), ("10 30 00 E", 10.5), ("10° 30.5'", 10 + 30.5 / 60), ("-0°30'", -0.5), ("10°30’36”E", 10.51),  # noqa: RUF001
        ("10.5 West", -10.5),
    ],
)  # fmt: skip
def test_a_coordinate_that_is_plain_text_is_read(text, degrees, tmp_path):
    listed = places(lon=[text, "11.25"])
    np.testing.assert_allclose(read(listed).lon, [degrees, 11.25], rtol=0, atol=1e-12)
    listed.to_csv(tmp_path / "list.csv", index=False)
    np.testing.assert_allclose(read(tmp_path / "list.csv").lon, [degrees, 11.25], rtol=0, atol=1e-12)
    inside = TABLE.merge(listed, on="station")
    np.testing.assert_allclose(read(None, inside).lon, [degrees, 11.25], rtol=0, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(-179, 179), st.integers(0, 59), st.integers(0, 59), st.sampled_from(["{d}°{m}'{s}\"{h}", "{h} {d} {m} {s}", "{d}:{m:02}:{s:02} {h}"])
)  # fmt: skip
def test_degrees_minutes_and_seconds(degrees, minutes, seconds, pattern):
    text = pattern.format(d=abs(degrees), m=minutes, s=seconds, h="W" if degrees < 0 else "E")
    expected = (abs(degrees) + minutes / 60 + seconds / 3600) * (-1 if degrees < 0 else 1)
    assert float(read(places(lon=[text, "1"])).lon[0]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "ten",
        "10.5N",
        "-10.5W",
        "10O",
        "10°75'E",
        "1.234,5",
        "50.1, 10.2",
        "10 30",
        "10;5",
        "--10",
        "10.5.3",
        "E10W",
        "10,5,5",
        "?",
    ],
)
def test_a_coordinate_that_is_not_certain_is_named(text):
    with pytest.raises(SchemaError, match="station list: lon is no number at a ") as error:
        read(places(lon=[text, "11.25"]))
    assert repr(text) in str(error.value)
    assert str(error.value).count("fix:") == 1
    with pytest.raises(SchemaError, match=r"^table: lon is no number at a ") as error:
        read(None, TABLE.merge(places(lon=[text, "11.25"]), on="station"))


@pytest.mark.parametrize(
    ("text", "metres"),
    [("120 m", 120), ("95m", 95), ("35", 35), ("-3,5 m", -3.5), ("120 m a.s.l.", 120), (None, np.nan)],
)
def test_elevations(text, metres):
    np.testing.assert_array_equal(read(places(elevation=[text, "10"])).elevation, [metres, 10])


@pytest.mark.parametrize("text", ["394 ft", "1.2 km", "high", "1,234 m"])
def test_an_elevation_in_other_units_is_named_and_may_be_left_empty(text):
    listed = places(altitude=[text, "10"])
    with pytest.raises(SchemaError, match=r"altitude is no number at a .*; fix: ") as error:
        read(listed)
    fix = str(error.value).split("fix: ")[1].split(", which")[0]
    exec(fix, {"places": listed, "pd": pd})
    np.testing.assert_array_equal(read(listed).elevation, [np.nan, 10])


def test_empty_coordinates_are_not_taken_for_a_station_that_is_not_listed():
    with pytest.raises(
        SchemaError,
        match=r"1 of 2 stations have no coordinates: a \(they are listed, with empty or impossible coordinates\)",
    ):
        read(places(lon=["NA", 11.25]))
    with pytest.raises(SchemaError, match=r"1 of 2 stations have no coordinates: a \(the list has b\)"):
        read(places().iloc[1:])


# -- several places ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [False, True], ids=["list", "table"])
@pytest.mark.parametrize("column", ["lon", "lat", "elevation"])
def test_several_places_of_one_station_are_refused(column, inside):
    listed = places(elevation=[100.0, 200.0])
    moved = listed.assign(**{column: listed[column] + 20})
    both = pd.concat([listed, moved])
    later = TABLE.assign(time=TABLE.time + pd.Timedelta("4h"))
    table = pd.concat([TABLE.merge(listed, on="station"), later.merge(moved, on="station")])
    options = (None, table) if inside else (both, TABLE)
    with pytest.raises(
        SchemaError, match=rf"2 station\(s\) have several places: a, b; {column} of a is .*; fix: stations="
    ) as error:
        read(*options)
    fix = str(error.value).split("fix: stations=")[1].split(", where")[0]
    ds = read(eval(fix, {"places": both, "table": options[1]}), options[1])
    np.testing.assert_array_equal(ds[column], listed[column])


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["in order", "reversed"])
def test_places_that_differ_by_rounding_are_one(order):
    listed = pd.concat([places(), places(lon=[10.5004, 11.25])]).iloc[order]
    with pytest.warns(
        XaqWarning,
        match=r"1 station\(s\) have several places that differ by rounding, at most 0.0004 degrees: a; their midpoint",
    ):
        ds = read(listed)
    np.testing.assert_allclose(ds.lon, [10.5002, 11.25], rtol=0, atol=1e-12)


def test_rows_without_coordinates_take_those_of_the_others(recwarn):
    listed = pd.concat([places(lon=[None, 11.25]), places(elevation=[5.0, None])])
    ds = read(listed)
    np.testing.assert_array_equal(ds.lon, [10.5, 11.25])
    np.testing.assert_array_equal(ds.elevation, [5, np.nan])
    assert not [w for w in recwarn if w.category is XaqWarning and "places" in str(w.message)]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(
    ("wrong", "says", "kept"),
    [
        ((38.7, -121.5), r"longitude and latitude of 1 station\(s\) look swapped: b ", ["a", "b"]),
        ((-999.0, -999.0), "1 of 2 stations have no coordinates: b ", ["a"]),
    ],
)
def test_a_latitude_beyond_a_pole_is_refused_with_a_fix_of_the_table(listed, wrong, says, kept):
    """Nothing is read yet, so that ``repair`` cannot be called."""
    table, places_ = TABLE, places(lon=(-121.4, wrong[0]), lat=(38.6, wrong[1]))
    if not listed:
        table, places_ = TABLE.merge(places_, on="station"), None
    with pytest.raises(SchemaError, match=says) as refused:
        read(places_, table)
    fix = str(refused.value).rpartition("fix: ")[2].rpartition("leave them out: ")[2]
    names = {"table": table, "places": places_}
    exec(fix, {}, names)
    ds = read(names["places"], names["table"])
    assert list(ds.station.values) == kept
    np.testing.assert_allclose(ds.lon, [-121.4, -121.5][: len(kept)])
    np.testing.assert_allclose(ds.lat, [38.6, 38.7][: len(kept)])


def test_impossible_coordinates_of_a_station_without_data_do_no_harm():
    listed = pd.concat([places(), pd.DataFrame({"station": ["c"], "lon": [-999.0], "lat": [-999.0]})])
    assert list(read(listed).station.values) == ["a", "b"]
