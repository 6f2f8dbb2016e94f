import re
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made import assert_same
from synthetic import station_dataset

from xaq.errors import SchemaError, XaqWarning
from xaq.readers.dispatch import open_stations

PLACES = pd.DataFrame({"id": ["001", "002"], "lon": [116.3, 116.5], "lat": [39.9, 40.0], "altitude": [40.0, 55.0]})


def table(start="2020-01-01 08:00", periods=4, freq="h", **columns) -> pd.DataFrame:
    """Return a long table of two stations, station by station."""
    times = pd.date_range(start, periods=periods, freq=freq)
    frame = pd.DataFrame({"station_id": np.repeat(["001", "002"], periods), "time": [*times, *times]})
    frame["PM2.5"] = np.arange(2.0 * periods)
    return frame.assign(**columns)


def read(frame, stations=PLACES, tz="UTC", **options):
    return open_stations(frame, stations=stations, tz=tz, **options)


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("as_text", [str, lambda path: path], ids=["str", "path"])
def test_a_file_gives_the_same_dataset_as_its_frame(tmp_path, ending, as_text):
    frame, path, places = table(), tmp_path / f"obs.{ending}", tmp_path / "stations.csv"
    frame.to_parquet(path) if ending == "parquet" else frame.to_csv(path, index=False)
    PLACES.to_csv(places, index=False)
    assert_same(read(as_text(path), as_text(places)), read(frame))


def test_leading_zeros_survive_csv(tmp_path):
    table().rename(columns={"station_id": " Code "}).to_csv(tmp_path / "a.csv", index=False)
    table().rename(columns={"station_id": "who"}).to_csv(tmp_path / "b.csv", index=False)
    PLACES.to_csv(tmp_path / "s.csv", index=False)
    assert read(tmp_path / "a.csv", tmp_path / "s.csv").station.values.tolist() == ["001", "002"]
    named = read(tmp_path / "b.csv", tmp_path / "s.csv", columns={"station": "who"})
    assert named.station.values.tolist() == ["001", "002"]


def test_a_byte_order_mark_is_not_part_of_the_header(tmp_path):
    table().to_csv(tmp_path / "obs.csv", index=False, encoding="utf-8-sig")
    assert read(tmp_path / "obs.csv").sizes == {"station": 2, "time": 4}


def test_a_pattern_is_the_files_that_match_it_in_the_order_of_their_names(tmp_path):
    (tmp_path / "2020").mkdir()
    whole = table()
    for name, part in (("2020/b.csv", whole.iloc[1::2]), ("2020/a.csv", whole.iloc[::2])):
        part.to_csv(tmp_path / name, index=False)
    expected = read(whole)
    for pattern in ("2020/*.csv", "**/[ab].csv", "20?0/*"):
        np.testing.assert_array_equal(read(f"{tmp_path}/{pattern}").pm25, expected.pm25)
    np.testing.assert_array_equal(read([f"{tmp_path}/*/a.csv", tmp_path / "2020" / "b.csv"]).pm25, expected.pm25)
    whole.to_csv(tmp_path / "c[1].csv", index=False)
    np.testing.assert_array_equal(read(tmp_path / "c[1].csv").pm25, expected.pm25)
    with pytest.raises(
        SchemaError, match=r"\.parquet: no file matches the pattern; fix: a pattern such as 'folder/\*.csv'"
    ):
        read(f"{tmp_path}/*.parquet")


def test_unreadable_files(tmp_path):
    with pytest.raises(SchemaError, match="no such file"):
        read(tmp_path / "absent.csv")
    for name in ("broken.parquet", "empty.csv"):
        (tmp_path / name).write_text("")
        with pytest.raises(SchemaError, match="cannot be read"):
            read(tmp_path / name)


def test_the_frames_of_the_caller_do_not_change():
    frame, places = table(), PLACES.copy()
    before = frame.copy()
    read(frame, places)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(places, PLACES)


# -- shape -------------------------------------------------------------------------------------------------------------


def test_values_are_at_their_station_and_hour():
    ds = read(table().sample(frac=1, random_state=0))
    assert ds.pm25.dims == ("station", "time")
    assert ds.pm25.dtype == np.float32
    np.testing.assert_array_equal(ds.pm25, [[0, 1, 2, 3], [4, 5, 6, 7]])
    np.testing.assert_array_equal(ds.elevation, [40, 55])
    assert ds.station.attrs["cf_role"] == "timeseries_id"
    assert ds.attrs["featureType"] == "timeSeries"


def test_gaps_become_nan_on_a_regular_axis():
    frame = table(periods=6)
    frame = frame[~frame.time.isin(frame.time[[2, 3]])].drop(index=0)
    ds = read(frame)
    assert ds.sizes["time"] == 6
    np.testing.assert_array_equal(ds.pm25.isel(station=0), [np.nan, 1, np.nan, np.nan, 4, 5])


def test_coordinates_inside_the_table():
    frame = table().merge(PLACES, left_on="station_id", right_on="id").drop(columns="id")
    np.testing.assert_array_equal(open_stations(frame, tz="UTC").lat, [39.9, 40.0])


def test_coordinates_of_the_list_take_precedence():
    ds = read(table(lon=0.0, lat=0.0))
    np.testing.assert_array_equal(ds.lon, [116.3, 116.5])


def test_a_station_list_may_name_more_stations():
    extra = pd.concat([PLACES, pd.DataFrame({"id": ["003"], "lon": [0.0], "lat": [0.0]})])
    assert read(table(), extra).sizes["station"] == 2


# -- time --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tz", "first"),
    [
        ("Asia/Shanghai", "2020-01-01T00:00:00"),
        ("UTC", "2020-01-01T08:00:00"),
        ("America/New_York", "2020-01-01T13:00:00"),
    ],
)
def test_naive_timestamps_are_moved_to_utc(tz, first):
    assert str(read(table(), tz=tz).time.values[0]) == first


@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_timestamps_with_an_offset_need_no_tz(tz):
    frame = table()
    frame["time"] = frame.time.dt.tz_localize("Asia/Shanghai")
    text = frame.assign(time=frame.time.map(lambda t: t.isoformat()))
    for source in (frame, text):
        assert str(read(source, tz=tz).time.values[0]) == "2020-01-01T00:00:00"


def test_aware_text_across_a_change_of_clocks():
    timestamps = pd.date_range("2020-03-28 23:00", periods=4, freq="h", tz="UTC").tz_convert("Europe/Berlin")
    frame = table().assign(time=[t.isoformat() for t in timestamps] * 2)
    assert str(read(frame, tz=None).time.values[0]) == "2020-03-28T23:00:00"


def test_naive_hours_need_a_zone():
    with pytest.raises(SchemaError, match="tz='UTC'"):
        read(table(), tz=None)


@pytest.mark.parametrize("tz", [None, "Asia/Shanghai"])
def test_days_are_not_shifted(tz):
    ds = read(table("2020-01-01", freq="D"), tz=tz)
    assert ds.time.values.astype("datetime64[D]").astype(str).tolist()[:2] == ["2020-01-01", "2020-01-02"]


@pytest.mark.parametrize("tz", ["Mars/Olympus", "", "Asia/Bejing"])
def test_an_unknown_zone(tz):
    with pytest.raises(SchemaError, match="unknown time zone"):
        read(table(), tz=tz)


@pytest.mark.parametrize("start", ["2020-10-25 00:00", "2020-03-29 00:00"], ids=["ambiguous", "nonexistent"])
def test_timestamps_around_a_change_of_clocks_are_refused(start):
    with pytest.raises(SchemaError, match=r"tz='\+01:00' if the network keeps standard time"):
        read(table(start), tz="Europe/Berlin")
    assert read(table(start), tz="Etc/GMT-1").sizes["time"] == 4


@pytest.mark.parametrize(
    "time", [["x"] * 8, [20200101 + i for i in range(4)] * 2, [1577836800 + 3600 * i for i in range(4)] * 2]
)
def test_a_time_column_without_dates(time):
    with pytest.raises(SchemaError, match=": time "):
        read(table().assign(time=time))


# -- errors ------------------------------------------------------------------------------------------------------------


def stray(frame):
    frame.loc[2, "time"] += pd.Timedelta("7min")
    return frame


def hollow(column):
    def spoil(frame):
        frame.loc[1, column] = None
        return frame

    return spoil


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: pd.concat([f, f.iloc[:1]]), "1 duplicate rows, first: station 001"),
        (stray, "off the step of 1h"),
        (hollow("time"), "1 rows have no time"),
        (hollow("station_id"), "station"),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f[f.time == f.time[0]], "one time only"),
        (lambda f: f.drop(columns="station_id"), "no column for station"),
        (lambda f: f.drop(columns=["station_id", "time"]), "2 problems"),
        (lambda f: f.drop(columns="PM2.5"), "no column of numbers"),
        (lambda f: f.replace({"station_id": {"002": "009"}}), "1 of 2 stations have no coordinates: 009"),
        (lambda f: f.assign(pm25=1.0), "several columns have the same meaning"),
        (
            lambda f: f.assign(**{"PM2.5": ["12", "n/a?", "13", "14"] * 2}),
            "entries that are not numbers, such as 'n/a\\?'",
        ),
    ],
)
def test_errors_in_the_table(spoil, says):
    with pytest.raises(SchemaError, match=says):
        read(spoil(table()))


@pytest.mark.parametrize(
    ("places", "says"),
    [
        (None, "no column for lon"),
        (PLACES.drop(columns="lat"), "station list has no column for lat"),
        (PLACES.assign(lon=[np.nan, 1.0]), "no coordinates: 001"),
        (PLACES.assign(lat=["north", "40"]), "lat is no number at 001 'north', expected degrees"),
        (
            pd.concat([PLACES, PLACES.assign(lon=1.0)]),
            "2 station\\(s\\) have several places: 001, 002; lon of 001 is 1 and 116.3",
        ),
        (PLACES.rename(columns={"lon": "lat", "lat": "lon"}), "swapped"),
    ],
)
def test_errors_in_the_station_list(places, says):
    with pytest.raises(SchemaError, match=says):
        read(table(), places)


# -- columns and units -------------------------------------------------------------------------------------------------


def test_numbers_as_text_and_infinite_values():
    ds = read(table().assign(**{"PM2.5": ["1", "2.5", None, "4"] * 2}, PM10=[np.inf, -np.inf, 1e300, 3.0] * 2))
    np.testing.assert_array_equal(ds.pm25[0], np.float32([1, 2.5, np.nan, 4]))
    np.testing.assert_array_equal(ds.pm10[0], np.float32([np.nan, np.nan, np.nan, 3]))


def test_columns_without_numbers_are_left_out():
    when = pd.Timestamp("2020-02-02") + pd.to_timedelta(np.arange(8), "h")
    ds = read(table(wd=["NNW", "E"] * 4, ok=[True, False] * 4, uploaded=when, temp=np.arange(8.0)))
    assert set(ds.data_vars) == {"pm25", "temp"}


def test_columns_by_explicit_name():
    frame = table().rename(columns={"station_id": "who", "time": "begin", "PM2.5": "fine dust"})
    ds = read(frame, PLACES.rename(columns={"id": "who", "lon": "east"}),
              columns={"station": "who", "time": "begin", "pm25": "fine dust", "lon": "east"})  # fmt: skip
    xr.testing.assert_identical(ds, read(table()))


def test_an_explicit_column_that_does_not_exist_is_an_error():
    with pytest.raises(SchemaError, match="fine dust"):
        read(table(temp=1.0), columns={"pm10": "fine dust"})


def test_particles_get_default_units_with_a_note():
    ds = read(table())
    assert ds.pm25.attrs["units"] == "ug m-3"
    assert "assumed" in ds.pm25.attrs["units_note"]
    given = read(table(), units="µg/m³")
    assert given.pm25.attrs["units"] == "ug m-3"
    assert "units_note" not in given.pm25.attrs
    assert given.pm25.attrs["standard_name"] == "mass_concentration_of_pm2p5_ambient_aerosol_particles_in_air"


def test_gases_without_units_warn():
    with pytest.warns(XaqWarning, match="no units for no2, o3"):
        ds = read(table(O3=1.0, NO2=2.0))
    assert "units" not in ds.o3.attrs
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = read(table(O3=1.0), units={"O3": "ppb"})
    assert ds.o3.attrs["units"] == "1e-9"
    assert ds.o3.attrs["standard_name"] == "mole_fraction_of_ozone_in_air"


def test_units_of_unknown_variables():
    with pytest.raises(SchemaError, match="pm10, not in the table"):
        read(table(), units={"PM10": "ug/m3"})
    with pytest.raises(SchemaError, match="2 pollutants"):
        read(table(PM10=1.0), units="ug/m3")


# -- datasets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pm25", "PM2.5"])
def test_a_dataset_is_converted_and_does_not_change(name):
    ds = station_dataset().rename(lon="longitude", pm25=name).transpose("time", "station").drop_attrs()
    before = ds.copy(deep=True)
    got = open_stations(ds, units={name: "ug/m3"})
    xr.testing.assert_identical(ds, before)
    assert got[name if name in got else "pm25"].attrs["units"] == "ug m-3"
    assert got.lon.attrs["standard_name"] == "longitude"


def test_a_datasets_columns_by_explicit_name():
    ds = station_dataset().rename(pm25="dust", lon="east")
    assert open_stations(ds, columns={"pm25": "dust", "lon": "east"}).pm25.dims == ("station", "time")
    with pytest.raises(SchemaError, match="nowhere"):
        open_stations(ds, columns={"pm25": "nowhere", "lon": "east"})


# -- a real network -------------------------------------------------------------------------------------------------


def test_beijing(shared_data):
    folder = shared_data / "beijing12"
    gases = dict.fromkeys(("so2", "no2", "co", "o3"), "ug/m3")
    ds = read(folder / "obs.parquet", folder / "stations.csv", tz="Asia/Shanghai", units=gases)
    assert ds.pm25.shape == (12, 35064)
    assert str(ds.time.values[0]) == "2013-02-28T16:00:00"
    # 2013-03-01 00:00 and 01:00 in Beijing
    np.testing.assert_array_equal(ds.pm25.sel(station="dongsi")[:2], [9, 4])
    assert float(ds.temp.sel(station="dingling")[0]) == pytest.approx(-2.3)
    assert float(ds.pm25.isnull().mean()) == pytest.approx(0.0208, abs=1e-4)
    assert "wd" not in ds
    assert (float(ds.lon.sel(station="dongsi")), float(ds.lat.sel(station="dongsi"))) == (116.417, 39.929)


def test_headers_may_state_units():
    table = pd.DataFrame({
        "sensor": ["a", "a", "b", "b"],
        "when": pd.to_datetime(["2020-01-01 08:00", "2020-01-01 09:00"] * 2),
        "PM2.5 (mg/m3)": [0.01, 0.012, 0.02, 0.018],
        "O3 [ppb]": [30.0, 31.0, 28.0, 29.0],
    })  # fmt: skip
    places = pd.DataFrame({"sensor": ["a", "b"], "Longitude": [10.0, 10.1], "Latitude": [50.0, 50.1]})
    ds = open_stations(table, stations=places, tz="UTC")
    assert ds.pm25.attrs["units"] == "mg m-3"
    assert ds.o3.attrs["units"] == "1e-9"
    assert "mole_fraction" in ds.o3.attrs["standard_name"]


@pytest.mark.parametrize("units", ["bananas", "ppb", "m s-1"])
def test_units_other_than_of_concentration_are_refused(units):
    table = pd.DataFrame({"station": ["a", "a"], "time": ["2020-01-01", "2020-01-02"], "pm25": [1.0, 2.0]})
    places = pd.DataFrame({"station": ["a"], "lon": [1.0], "lat": [2.0]})
    with pytest.raises(SchemaError, match="are not units of concentration"):
        open_stations(table, stations=places, units=units)


def test_fixes_use_the_column_names_of_the_user():
    table = pd.DataFrame({"sensor": ["a", "a"], "when": ["2020-01-01", "2020-01-01"], "pm25": [1.0, 2.0]})
    places = pd.DataFrame({"sensor": ["a"], "x": [100.0], "y": [2.0]})
    columns = {"lon": "x", "lat": "y"}
    with pytest.raises(SchemaError, match=r"drop_duplicates\(\['sensor', 'when'\]\)"):
        open_stations(table, stations=places, columns=columns)
    with pytest.raises(SchemaError, match=r"columns=\{'lon': 'x', 'lat': 'y'\}"):
        open_stations(table, stations=places, columns={"lon": "y", "lat": "x"})


def test_a_role_may_have_another_name_in_the_station_list():
    table = pd.DataFrame({"sensor": ["a", "a"], "when": ["2020-01-01", "2020-01-02"], "pm25": [1.0, 2.0]})
    places = pd.DataFrame({"number": ["a"], "lon": [100.0], "lat": [2.0]})
    ds = open_stations(table, stations=places, columns={"station": ["sensor", "number"], "time": "when"})
    assert ds.pm25.values.tolist() == [[1.0, 2.0]]
    with pytest.raises(
        SchemaError, match=r"it has number, lon, lat; fix: columns=\{'station': \['column of the table'"
    ):
        open_stations(table, stations=places, columns={"station": "sensor", "time": "when"})
    with pytest.raises(SchemaError, match=r"columns= names 'nummer' \(for station\)"):
        open_stations(table, stations=places, columns={"station": ["sensor", "nummer"], "time": "when"})


def test_problems_show_columns_as_the_user_wrote_them():
    with pytest.raises(SchemaError, match=r"it has Data i godzina, PM2,5 \[µg/m³\];"):
        open_stations(pd.DataFrame({"Data i godzina": ["2020-01-01"], "PM2,5 [µg/m³]": [1.0]}), format="long")


def test_words_among_numbers_with_decimal_commas(tmp_path):
    path, places = tmp_path / "obs.csv", pd.DataFrame({"station": ["a"], "lon": [1.0], "lat": [2.0]})
    path.write_text("station;time;PM2,5 [µg/m³]\na;2020-01-01;10,5\na;2020-01-02;b.d.\n", encoding="utf-8")
    with pytest.raises(SchemaError, match=r"has 1 entries that are not numbers, such as 'b.d.'") as raised:
        open_stations(path, stations=places)
    assert f"table = pd.read_csv({str(path)!r}, sep=';', decimal=',', dtype={{'station': str}})" in str(raised.value)
    table = pd.read_csv(path, sep=";", decimal=",")
    with pytest.raises(SchemaError, match=re.escape("pd.read_csv(..., decimal=',', na_values=['b.d.'])")):
        open_stations(table, stations=places)
    table = pd.read_csv(path, sep=";", decimal=",", na_values=["b.d."])
    ds = open_stations(table, stations=places)
    assert ds.pm25.values[0, 0] == 10.5
    assert np.isnan(ds.pm25.values[0, 1])
    assert ds.pm25.units == "ug m-3"


def test_a_fix_of_a_table_has_the_call_that_reads_the_file(tmp_path):
    path = tmp_path / "obs.csv"
    path.write_text("station;time;pm25;lon;lat\na;2020-01-01;10,5;1;2\na;2020-01-01;10,5;1;2\na;2020-01-02;9,5;1;2\n")
    with pytest.raises(SchemaError) as raised:
        open_stations(path)
    call = re.search(r"table = (pd\.read_csv\(.*?\));", str(raised.value))[1]
    table = eval(call)
    assert open_stations(table.drop_duplicates(["station", "time"])).pm25.values.tolist() == [[10.5, 9.5]]
