"""PurpleAir: histories of sensors as the API writes them."""

import numpy as np
import pandas as pd
import pytest

from xaq.errors import SchemaError
from xaq.readers.dispatch import open_stations

PLACES = pd.DataFrame({"id": ["87173"], "lon": [-73.7], "lat": [42.7]})
START = 1656716400


def history(a, b, *, every=600, **more):
    times = START + every * np.arange(len(a))
    return pd.DataFrame({
        "id": 87173, "time_stamp": times, "pm2.5_atm_a": 1.0, "pm2.5_cf_1_a": a, "pm2.5_cf_1_b": b, "temperature": 98.8,
        "humidity": 24.4, "pressure": 1009.5, **more,
    }).sample(frac=1, random_state=1)  # fmt: skip


def test_the_mean_of_two_channels_where_they_agree():
    # Apart by 2, by 5.1 and 100 %, by 5 and 100 %, by 100 and 67 %; one channel is missing.
    ds = open_stations(history([10.0, 2.55, 2.5, 200.0, 5.0], [12.0, 7.65, 7.5, 100.0, np.nan]), stations=PLACES)
    np.testing.assert_allclose(ds.pm25.values[0], [11, np.nan, 5, 150, np.nan])
    assert ds.time.values.astype("datetime64[s]").astype("int64").tolist() == (START + 600 * np.arange(5)).tolist()
    assert "1 reading(s) whose two channels disagree are left out" in ds.attrs["history"]
    assert "1 reading(s) with a value of one channel only are left out" in ds.attrs["history"]
    assert {n: ds[n].attrs["units"] for n in ds.data_vars} == {
        "pm25": "ug m-3", "temperature": "degF", "humidity": "%", "pressure": "hPa",
    }  # fmt: skip


def test_another_column_where_it_is_named_or_the_only_one():
    table = history([10.0, 20.0], [12.0, 22.0])
    assert open_stations(table, stations=PLACES, columns={"pm25": "pm2.5_atm_a"}).pm25.values.tolist() == [[1.0, 1.0]]
    only = table.drop(columns=["pm2.5_cf_1_b", "pm2.5_atm_a"])
    assert open_stations(only, stations=PLACES).pm25.values.tolist() == [[10.0, 20.0]]
    with pytest.raises(
        SchemaError, match=r"several columns may be pm25: pm2.5_atm_a, pm2.5_cf_1_a, .*fix: columns="
    ) as caught:
        open_stations(table.drop(columns="pm2.5_cf_1_b"), stations=PLACES)
    columns = eval(str(caught.value).split("fix: columns=")[1])
    assert open_stations(table, stations=PLACES, columns=columns).sizes["time"] == 2


def test_the_places_of_sensors_must_be_given():
    with pytest.raises(SchemaError, match=r"no coordinates of the sensors \['87173'\]; fix: stations=") as caught:
        open_stations(history([10.0, 20.0], [12.0, 22.0]))
    fix = (
        str(caught.value)
        .split("fix: stations=")[1]
        .replace("'lon': [...]", "'lon': [-73.7]")
        .replace("'lat': [...]", "'lat': [42.7]")
    )
    ds = open_stations(history([10.0, 20.0], [12.0, 22.0]), stations=eval(fix))
    assert ds.station.values.tolist() == ["87173"]


def test_two_minute_readings_that_are_irregular_and_hours_of_them():
    minutes = np.array(
        [0, 2, 4, 7, 9, 11, 13, 15, 18, 20, 22, 24, 26, 29, 31, 33, 35, 37, 40, 42, 44, 46, 48, 51, 53, 55, 57, 59]
    )
    table = history(np.full(28, 10.0), np.full(28, 10.0)).sort_values("time_stamp")
    table["time_stamp"] = START - START % 3600 + 60 * minutes
    with pytest.raises(SchemaError, match="expected one regular step; fix: step='1h'"):
        open_stations(table, stations=PLACES)
    more = pd.concat(
        [table, table.assign(time_stamp=table.time_stamp + 3600, **{"pm2.5_cf_1_a": 20.0, "pm2.5_cf_1_b": 20.0})]
    )
    ds = open_stations(more, stations=PLACES, step="1h")
    np.testing.assert_allclose(ds.pm25.values[0, :2], [10, 20], rtol=0.01)


def test_times_of_the_download_tool_and_overlapping_downloads():
    table = history([10.0, 20.0, 30.0], [12.0, 22.0, 32.0])
    text = table.assign(time_stamp=pd.to_datetime(table.time_stamp, unit="s").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    text = text.rename(columns={"id": "sensor_index"})
    assert open_stations(text, stations=PLACES).equals(open_stations(table, stations=PLACES))
    assert open_stations(pd.concat([table, table.iloc[:2]]), stations=PLACES).pm25.values.tolist() == [
        [11.0, 21.0, 31.0]
    ]


def test_text_without_a_zone_is_not_taken_for_utc():
    table = history([10.0, 20.0, 30.0], [12.0, 22.0, 32.0])
    text = table.assign(time_stamp=pd.to_datetime(table.time_stamp, unit="s").dt.strftime("%Y-%m-%dT%H:%M:%S"))
    with pytest.raises(SchemaError, match=r"no time zone.*fix: tz='UTC'"):
        open_stations(text, stations=PLACES)
    assert open_stations(text, stations=PLACES, tz="UTC").pm25.equals(open_stations(table, stations=PLACES).pm25)


def test_a_history_without_a_sensor_or_particles_says_what_is_missing():
    table = history([10.0, 20.0], [12.0, 22.0])
    with pytest.raises(SchemaError, match="no column of the sensor"):
        open_stations(table.drop(columns="id"), stations=PLACES)
    assert (
        open_stations(
            table.rename(columns={"id": "device"}), stations=PLACES, columns={"station": ["device", "id"]}
        ).sizes["time"]
        == 2
    )


def test_a_column_that_is_not_there():
    with pytest.raises(
        SchemaError, match=r"columns= names 'pm2.5_atm_x' \(for pm25\), which does not exist; fix: one of id, "
    ):
        open_stations(history([10.0, 20.0], [12.0, 22.0]), stations=PLACES, columns={"pm25": "pm2.5_atm_x"})


def test_a_channel_without_values():
    table = history([10.0, 20.0], [np.nan, np.nan])
    for lacking in (table, table.drop(columns=["humidity", "temperature", "pressure"])):
        with pytest.raises(
            SchemaError, match=r"column 'pm2.5_cf_1_b' has no values at 1 sensor\(s\): 87173, .*fix: "
        ) as raised:
            open_stations(lacking, stations=PLACES)
        columns = eval(str(raised.value).split("fix: columns=")[1])
        ds = open_stations(lacking, stations=PLACES, columns=columns)
        assert ds.pm25.values.tolist() == [[10.0, 20.0]]
    places = pd.DataFrame({"id": ["87173", "2"], "lon": [-73.7, -74.0], "lat": [42.7, 42.0]})
    both = history([1.0, 2.0], [1.0, 2.0], id=2)
    with pytest.warns(
        UserWarning,
        match=r"'pm2.5_cf_1_b' has no values at 1 sensor\(s\): 87173; these readings of pm25 are left out; fix",
    ):
        ds = open_stations(pd.concat([table, both]), stations=places)
    assert ds.pm25.sel(station="2").values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("factor", [1000, 10**6])
def test_times_in_milliseconds_are_refused_and_the_advice_works(factor):
    table = history([10.0, 20.0], [12.0, 22.0])
    made = {"table": table.assign(time_stamp=table.time_stamp * factor)}
    with pytest.raises(SchemaError, match=r"time_stamp reaches \d+, expected seconds since 1970.*fix: ") as raised:
        open_stations(made["table"], stations=PLACES)
    exec(str(raised.value).split("fix: ")[1].split(", if")[0], made)
    assert open_stations(made["table"], stations=PLACES).equals(open_stations(table, stations=PLACES))


def test_one_reading_does_not_say_how_long_it_stands():
    with pytest.raises(SchemaError, match=r"one time only, expected at least 2 .*; fix: open more of the record"):
        open_stations(history([10.0], [10.0]), stations=PLACES, step="1h")


def clean_air(n, seed=0):
    return np.round(np.random.default_rng(seed).uniform(1.0, 4.5, n), 2)


@pytest.mark.parametrize(("stuck", "dead", "alive"), [(0.0, "a", "b"), (0.0, "b", "a"), (2.5, "b", "a")])
def test_a_channel_that_is_stuck_for_a_day_does_not_agree_in_clean_air(stuck, dead, alive):
    places = pd.DataFrame({"id": ["87173", "2"], "lon": [-73.7, -74.0], "lat": [42.7, 42.0]})
    values = clean_air(3 * 24)
    # The channel works on the first day.
    channels = {alive: values, dead: np.where(np.arange(len(values)) < 24, values + 0.2, stuck)}
    tables = [history(**channels, every=3600), history(values, values, every=3600, id=2)]
    table = pd.concat(tables, ignore_index=True)
    with pytest.warns(
        UserWarning,
        match=rf"column 'pm2.5_cf_1_{dead}' is constant for a day or longer, .* at 1 sensor\(s\): 87173; .*; fix: ",
    ) as caught:
        ds = open_stations(table, stations=places)
    np.testing.assert_allclose(ds.pm25.sel(station="87173")[:24], values[:24] + 0.1, rtol=1e-5)
    assert ds.pm25.sel(station="87173")[24:].isnull().all()
    np.testing.assert_allclose(ds.pm25.sel(station="2"), values, rtol=1e-5)
    assert "48 reading(s) of which one channel is constant for a day or longer are left out" in ds.attrs["history"]
    columns = eval(str(caught[0].message).split("fix: columns=")[1].split(" to read")[0])
    ds = open_stations(table, stations=places, columns=columns)
    np.testing.assert_allclose(ds.pm25, np.broadcast_to(values, (2, len(values))), rtol=1e-5)


def test_a_sensor_alone_with_a_dead_channel_is_refused():
    a = clean_air(24)
    table = history(a, np.zeros(24), every=3600)
    with pytest.raises(
        SchemaError, match=r"column 'pm2.5_cf_1_b' is constant .* at 1 sensor\(s\): 87173.*fix: "
    ) as raised:
        open_stations(table, stations=PLACES)
    columns = eval(str(raised.value).split("fix: columns=")[1])
    np.testing.assert_allclose(open_stations(table, stations=PLACES, columns=columns).pm25[0], a, rtol=1e-5)


def test_channels_that_are_constant_for_hours_or_both_at_zero_are_not_stuck():
    hours = np.arange(48)
    for a, b in (
        (clean_air(48), np.where(hours < 20, 2.5, clean_air(48, seed=1))),
        # The sensors count whole ug m-3: in clean air one is at 0 and the other hardly above.
        (np.zeros(48), np.where(hours % 5 == 0, 0.9, 0.0)),
    ):
        ds = open_stations(history(a, b, every=3600), stations=PLACES)
        np.testing.assert_allclose(ds.pm25[0], (a + b) / 2, atol=1e-6)
    places = pd.DataFrame({"id": ["1", "2"], "lon": [-73.7, -74.0], "lat": [42.7, 42.0]})
    ends = np.where(hours < 28, clean_air(48), 2.5), np.where(hours < 20, 2.5, clean_air(48))
    tables = [history(clean_air(48, seed=1), b, every=3600, id=i + 1) for i, b in enumerate(ends)]
    assert open_stations(pd.concat(tables), stations=places).pm25.notnull().all()
    # Two equal means of a day are chance.
    daily = history([1.0, 4.0, 2.0, 3.0], [2.0, 2.0, 4.0, 4.0], every=86400)
    assert open_stations(daily, stations=PLACES).pm25.notnull().all()


SENSORS = pd.DataFrame({
    "sensor_index": [87173, 2, 3], "name": ["Porch", "Kitchen", "Roof"], "location_type": [0, 1, 0],
    "longitude": [-73.7, -74.0, -74.1], "latitude": [42.7, 42.0, 42.1],
})  # fmt: skip


def of_sensors(*ids):
    return pd.concat([history([1.0 + i, 2.0], [1.0 + i, 2.0], id=n) for i, n in enumerate(ids)], ignore_index=True)


def fix_of(message):
    return str(message).split("fix: ")[1].split(", to keep")[0].split(", to read")[0]


@pytest.mark.parametrize("column", ["location_type", "DEVICE_LOCATIONTYPE"])
def test_indoor_sensors_of_the_list_are_left_out(column, tmp_path):
    listed = SENSORS.rename(columns={"location_type": column})
    if column.isupper():
        listed[column] = listed[column].map({0: "outside", 1: "Indoor"})
    listed.to_csv(tmp_path / "list.csv", index=False)
    for places in (listed, tmp_path / "list.csv"):
        with pytest.warns(
            UserWarning, match=rf"1 of 3 sensor\(s\) are indoors \({column}\) and are left out: 2; fix: stations="
        ) as caught:
            ds = open_stations(of_sensors(87173, 2, 3), stations=places)
        assert ds.station.values.tolist() == ["3", "87173"]
        assert "1 indoor sensor(s) are left out: 2" in ds.attrs["history"]
        kept = eval(f"dict({fix_of(caught[0].message)})", {"pd": pd, "places": places})
        assert open_stations(of_sensors(87173, 2, 3), **kept).station.values.tolist() == ["2", "3", "87173"]


def test_the_files_of_a_folder_whose_sensors_are_indoors_are_left_out(tmp_path):
    for i in SENSORS.sensor_index:
        of_sensors(i).to_csv(tmp_path / f"{i}.csv", index=False)
    with pytest.warns(UserWarning, match=r"1 of 3 sensor\(s\) are indoors"):
        ds = open_stations(tmp_path, stations=SENSORS)
    assert ds.station.values.tolist() == ["3", "87173"]
    assert ds.pm25.dtype == np.float32


def test_indoor_sensors_of_the_tables_are_left_out(tmp_path):
    table = of_sensors(87173, 2, 3).assign(location_type=lambda t: (t.id == 2).astype(float))
    table.to_csv(tmp_path / "a.csv", index=False)
    places = SENSORS.drop(columns="location_type")
    for source in (table, tmp_path / "a.csv"):
        with pytest.warns(
            UserWarning, match=r"1 of 3 sensor\(s\) are indoors \(location_type\) .*: 2; fix: "
        ) as caught:
            ds = open_stations(source, stations=places)
        assert ds.station.values.tolist() == ["3", "87173"]
        call = fix_of(caught[0].message).replace("...", "stations=places")
        names = {"pd": pd, "places": places, "table": table, "open_stations": open_stations}
        assert eval(call, names).station.values.tolist() == ["2", "3", "87173"]
    # Where table and list say so, the fix is of both.
    with pytest.warns(UserWarning, match=r"\(location_type\) .*: 2; fix: ") as caught:
        open_stations(table, stations=SENSORS)
    assert eval(fix_of(caught[0].message), {**names, "places": SENSORS}).sizes["station"] == 3


def test_a_network_of_indoor_sensors_is_refused_with_what_reads_it():
    with pytest.raises(SchemaError, match=r"all 1 sensor\(s\) are indoors \(location_type\): 2, .*; fix: ") as raised:
        open_stations(of_sensors(2), stations=SENSORS)
    kept = eval(f"dict({fix_of(raised.value)})", {"places": SENSORS})
    assert open_stations(of_sensors(2), **kept).station.values.tolist() == ["2"]
