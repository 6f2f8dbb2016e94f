"""Local clocks over both changes of the hour, and offsets of half and whole hours."""

import warnings

import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError, XaqWarning

PLACES = pd.DataFrame({"station": ["a", "b"], "lon": [10.0, 11.0], "lat": [50.0, 51.0]})
#: The hours of the night in which the clocks of Berlin are set back, in UTC and as they show it.
UTC = pd.date_range("2020-10-24 23:00", periods=5, freq="h")
CLOCK = [str(t)[:16] for t in UTC.tz_localize("UTC").tz_convert("Europe/Berlin").tz_localize(None)]


def table(times=CLOCK, station="a"):
    return pd.DataFrame({"station": station, "time": list(times), "pm25": [float(i) for i in range(len(times))]})


def opened(rows, **options):
    return xaq.open_stations(rows, stations=PLACES, **{"tz": "Europe/Berlin", **options})


def test_the_hour_that_occurs_twice_is_told_apart_by_the_order_of_rows():
    assert [f"2020-10-25 {h}:00" for h in ("01", "02", "02", "03", "04")] == CLOCK
    rows = pd.concat([table(), table(station="b")])
    ds = opened(rows, ambiguous="infer")
    assert (ds.time.values == UTC.values).all()
    assert ds.pm25.values.tolist() == [[0, 1, 2, 3, 4]] * 2
    # Rows of other stations between them do not matter.
    assert opened(rows.sort_values("time", kind="stable"), ambiguous="infer").equals(ds)


@pytest.mark.parametrize(("rule", "at"), [("first", "2020-10-25T00:00"), ("second", "2020-10-25T01:00")])
def test_one_of_the_two_hours(rule, at):
    rows = table([CLOCK[0], CLOCK[1], *CLOCK[3:]])
    ds = opened(rows, ambiguous=rule)
    assert float(ds.pm25.sel(time=at)[0]) == 1.0


def test_without_a_rule_the_error_names_the_hour_and_the_rules():
    with pytest.raises(
        SchemaError, match=r"2 timestamps occur twice in 'Europe/Berlin', first: 2020-10-25 02:00.*ambiguous='infer'"
    ):
        opened(table())


def test_the_rule_has_no_effect_elsewhere():
    rows = table(["2020-07-01 00:00", "2020-07-01 01:00", "2020-07-01 02:00"])
    assert opened(rows, ambiguous="second").equals(opened(rows))


def test_of_a_narrow_table_each_variable_is_a_series():
    rows = pd.concat([table().rename(columns={"pm25": "value"}).assign(parameter=p) for p in ("pm25", "pm10")])
    ds = opened(rows, ambiguous="infer")
    assert ds.pm10.values.tolist() == ds.pm25.values.tolist() == [[0, 1, 2, 3, 4]]


def test_an_hour_that_the_clock_skips_is_named_with_a_call_that_leaves_it_out():
    rows = table(["2020-03-29 01:00", "2020-03-29 02:00", "2020-03-29 03:00"])
    with pytest.raises(
        SchemaError, match="1 timestamps do not exist in 'Europe/Berlin', first: 2020-03-29 02:00"
    ) as raised:
        opened(rows, ambiguous="infer")
    made = {"pd": pd, "table": rows}
    exec(str(raised.value).split("out: ")[1], made)
    ds = opened(made["table"])
    assert ds.time.values.astype("datetime64[h]").astype(str).tolist() == ["2020-03-29T00", "2020-03-29T01"]
    assert opened(rows, tz="Etc/GMT-1").sizes["time"] == 3


@pytest.mark.parametrize(
    ("times", "tz", "first"),
    [
        (["2020-01-01 00:30", "2020-01-01 01:30"], "Asia/Kolkata", "2019-12-31T19:00"),
        (["2020-01-01 00:00", "2020-01-01 01:00"], "+05:30", "2019-12-31T18:30"),
        (["2020-01-01 00:00+05:30", "2020-01-01 01:00+05:30"], None, "2019-12-31T18:30"),
        (["2020-01-01T00:00:00+0545", "2020-01-01T01:00:00+0545"], None, "2019-12-31T18:15"),
        (["2020-01-01 00:00+01", "2020-01-01 01:00+01"], None, "2019-12-31T23:00"),
        (["2020-01-01 00:00 -03", "2020-01-01 01:00 -03"], None, "2020-01-01T03:00"),
    ],
)
def test_half_hours_and_offsets_without_minutes(times, tz, first):
    assert str(opened(table(times), tz=tz).time.values[0])[:16] == first


def test_a_station_that_lacks_one_of_the_two_hours_does_not_stop_the_others():
    alone = table([CLOCK[0], CLOCK[1], *CLOCK[3:]], station="b")
    with pytest.warns(UserWarning, match="1 timestamps that the clock shows twice occur once.*the first is taken"):
        ds = opened(pd.concat([table(), alone]), ambiguous="infer")
    assert ds.pm25.fillna(-1).values.tolist() == [[0, 1, 2, 3, 4], [0, 1, -1, 2, 3]]


@pytest.mark.parametrize("missing", range(6))
def test_neighbours_tell_the_hour_of_half_hours(missing):
    halves = pd.date_range("2020-10-24 23:30", periods=6, freq="30min")
    clock = halves.tz_localize("UTC").tz_convert("Europe/Berlin").tz_localize(None).astype(str).tolist()
    rows = table(clock).drop(index=missing)
    for each in (rows, rows[::-1]):
        with warnings.catch_warnings():
            warnings.simplefilter("error", XaqWarning)
            ds = opened(each, ambiguous="infer")
        kept = halves.delete(missing)
        assert (
            ds.pm25.dropna("time").time.values.astype("datetime64[s]").tolist()
            == kept.values.astype("datetime64[s]").tolist()
        )
        assert ds.pm25.dropna("time").values[0].tolist() == rows.pm25.tolist()


def test_newest_rows_first():
    ds = opened(table(CLOCK[::-1]), ambiguous="infer")
    assert (ds.time.values == UTC.values).all()
    assert ds.pm25.values[0].tolist() == [4, 3, 2, 1, 0]
