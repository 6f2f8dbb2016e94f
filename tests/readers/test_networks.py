"""Every format gives the same dataset; what is special to each."""

import gzip
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made import IDS, LAT, LON, MAKERS, PLACES, STARTS, VALUES, Made, assert_the_record

import xaq
from xaq.errors import SchemaError, XaqWarning
from xaq.readers.dispatch import FORMATS, open_stations

pytestmark = pytest.mark.filterwarnings("ignore::xaq.errors.XaqWarning")


@pytest.mark.parametrize("name", MAKERS)
def test_every_format_gives_the_same_dataset(name, tmp_path):
    made = MAKERS[name](tmp_path)
    ds = open_stations(made.source, **made.options)
    assert_the_record(ds, made)
    assert ds.attrs["featureType"] == "timeSeries"
    assert not (ds.aq.check().severity == "error").any()


@pytest.mark.parametrize("name", MAKERS)
def test_the_format_is_recognised(name, tmp_path):
    made = MAKERS[name](tmp_path)
    format_name = name if name in FORMATS else name.split("_")[0]
    options = {"format": format_name, **made.options}
    xr.testing.assert_identical(open_stations(made.source, **made.options), open_stations(made.source, **options))


@pytest.mark.parametrize("name", [n for n in MAKERS if n not in ("china_sites", "airnow_monitors", "ebas")])
def test_a_frame_reads_as_its_file(name, tmp_path):
    made = MAKERS[name](tmp_path)
    if made.source.is_dir():
        paths = sorted(p for p in made.source.rglob("*") if p.is_file())
    else:
        paths = [made.source]
    frames = [
        pd.read_parquet(p)
        if p.suffix == ".parquet"
        else pd.read_csv(p, sep=None, engine="python", dtype={"AQSID": str})
        for p in paths
    ]
    ds = open_stations(pd.concat(frames, ignore_index=True), **made.options)
    assert_the_record(ds, made)


def test_timestamps_at_the_end_move_to_the_start(tmp_path):
    made = MAKERS["long"](tmp_path)
    ended = open_stations(made.source, timestamps="end", **made.options)
    np.testing.assert_array_equal(ended.time, (STARTS - pd.Timedelta("1h")).values)
    np.testing.assert_array_equal(ended.pm25, VALUES)
    assert "start of each interval (-1h)" in ended.attrs["history"]
    as_start = open_stations(MAKERS["openaq_download"](tmp_path).source, timestamps="start")
    np.testing.assert_array_equal(as_start.time, (STARTS + pd.Timedelta("1h")).values)
    with pytest.raises(SchemaError, match="'start' or 'end'"):
        open_stations(made.source, timestamps="middle", **made.options)


def test_a_dataset_may_have_timestamps_at_the_end(tmp_path):
    made = MAKERS["long"](tmp_path)
    ds = open_stations(made.source, **made.options)
    moved = open_stations(ds, timestamps="end")
    np.testing.assert_array_equal(moved.time, (STARTS - pd.Timedelta("1h")).values)
    np.testing.assert_array_equal(ds.time, STARTS.values)


def test_units_of_each_format(tmp_path):
    expected = {
        "prsa": {"co": "ug m-3", "temp": "degC", "wspm": "m s-1"},
        "china_sites": {"co": "mg m-3", "pm25": "ug m-3"},
        "airnow_monitors": {"o3": "1e-9"},
        "airnow_sites": {"o3": "1e-9"},
        "openair": {"no2": "ug m-3", "co": "mg m-3", "ws": "m s-1"},
        "wide_pairs": {"no2": "1e-9"},
    }
    for name, units in expected.items():
        (folder := tmp_path / name).mkdir()
        made = MAKERS[name](folder)
        ds = open_stations(made.source, **made.options)
        assert {v: ds[v].attrs["units"] for v in units} == units


# -- detection ---------------------------------------------------------------------------------------------------------


def test_an_ambiguous_source_names_the_candidates(tmp_path):
    made = MAKERS["openair"](tmp_path)
    with pytest.raises(SchemaError, match=r"format='openair'.*format='long'"):
        open_stations(made.source)
    (tmp_path / "mixed").mkdir()
    MAKERS["prsa"](tmp_path / "mixed")
    MAKERS["china_sites"](tmp_path / "mixed")
    with pytest.raises(SchemaError, match=r"prsa.*china_sites.*fix: format="):
        open_stations(tmp_path / "mixed", stations=PLACES)
    with pytest.raises(SchemaError, match=r"format is 'naps', expected 'long', 'wide', 'cf'"):
        open_stations(made.source, format="naps")


def test_folders_without_a_known_format(tmp_path):
    with pytest.raises(
        SchemaError, match=r"no file that xaq reads; fix: a folder with tables, or with .*china_sites_\*"
    ):
        open_stations(tmp_path)
    made = MAKERS["long"](tmp_path)
    assert_the_record(open_stations(tmp_path, **made.options), made)
    pd.read_csv(made.source).assign(station="1003").to_csv(tmp_path / "more.csv", index=False)
    with pytest.raises(SchemaError, match=r"folder of 2 tables .*open_stations\(\['a.csv', 'b.csv'\]"):
        open_stations(tmp_path, **made.options)
    with pytest.raises(SchemaError, match="expected a path"):
        open_stations(42)


def test_a_list_of_files_is_one_table(tmp_path):
    made = MAKERS["long"](tmp_path)
    table = pd.read_csv(made.source)
    for i in range(3):
        table.iloc[i::3].to_csv(tmp_path / f"{i}.csv", index=False)
    parts = [tmp_path / f"{i}.csv" for i in range(3)]
    assert_the_record(open_stations(parts, **made.options), made)


# -- tables ------------------------------------------------------------------------------------------------------------


def test_wide_columns_by_station_and_pollutant_in_any_order():
    options = {"stations": PLACES, "tz": "UTC"}
    expected = open_stations(
        pd.DataFrame({"time": STARTS, **dict(zip(IDS, VALUES, strict=True))}), pollutant="PM2.5", **options
    )
    for header in ("{} PM2.5", "PM2.5_{}", "pm25:{}", "{}.PM25", "PM2.5 / {}"):
        table = pd.DataFrame({"time": STARTS, **{header.format(s): v for s, v in zip(IDS, VALUES, strict=True)}})
        xr.testing.assert_identical(open_stations(table, **options), expected)
    for pairs in ([(s, "PM2.5") for s in IDS], [("PM2.5", s) for s in IDS]):
        table = pd.DataFrame(VALUES.T, columns=pd.MultiIndex.from_tuples(pairs))
        table.insert(0, ("time", ""), STARTS)
        xr.testing.assert_identical(open_stations(table, **options), expected)


def test_a_long_table_with_a_column_that_ends_like_a_station_stays_long():
    table = pd.DataFrame({"station": "1", "time": STARTS, "pm25": 1.0, "pm25_1": 2.0})
    ds = open_stations(table, stations=PLACES.assign(station=["1", "2"]), tz="UTC")
    assert set(ds.data_vars) == {"pm25", "pm25_1"}


def test_a_wide_table_needs_its_pollutant():
    table = pd.DataFrame({"time": STARTS, **dict(zip(IDS, VALUES, strict=True))})
    with pytest.raises(SchemaError, match="pollutant='pm25'"):
        open_stations(table, stations=PLACES, tz="UTC")
    with pytest.raises(SchemaError, match="format='wide'"):
        open_stations(table, tz="UTC", pollutant="pm25")
    with pytest.raises(SchemaError, match=r"1 of 2 stations have no coordinates: 1002"):
        open_stations(table, stations=PLACES.iloc[:1], tz="UTC", pollutant="pm25")


def test_one_variable_in_two_units_is_refused():
    table = pd.DataFrame({
        "station": ["a", "a", "b", "b"], "time": [*STARTS[:2], *STARTS[:2]], "parameter": "o3", "value": [1.0, 2, 3, 4],
        "units": ["ppb", "ppb", "ug/m3", "ug/m3"], "lon": 1.0, "lat": 2.0,
    })  # fmt: skip
    with pytest.raises(SchemaError, match="o3 comes in several units: ppb, ug m-3"):
        open_stations(table, tz="UTC")


def test_excel(tmp_path):
    made = MAKERS["long"](tmp_path)
    table = pd.read_csv(made.source, dtype={"station": str})
    table.to_excel(tmp_path / "obs.xlsx", index=False)
    PLACES.to_excel(tmp_path / "stations.xlsx", index=False)
    opened = open_stations(tmp_path / "obs.xlsx", stations=tmp_path / "stations.xlsx", tz="Asia/Shanghai")
    assert_the_record(opened, made)
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        table.to_excel(book, sheet_name="2019", index=False)
        table.to_excel(book, sheet_name="2020", index=False)
    with pytest.raises(SchemaError, match=r"sheets 2019, 2020; fix: .*sheet_name='2019'"):
        open_stations(tmp_path / "two.xlsx", **made.options)


def test_frames_of_other_libraries(tmp_path):
    import pyarrow as pa

    made = MAKERS["long"](tmp_path)
    table = pd.read_csv(made.source, dtype={"station": str})
    assert_the_record(open_stations(pa.Table.from_pandas(table), **made.options), made)
    polars = pytest.importorskip("polars", reason="polars is not a dependency")
    assert_the_record(open_stations(polars.from_pandas(table), **made.options), made)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_and_encodings(separator, encoding, tmp_path):
    made = MAKERS["long"](tmp_path)
    table = pd.read_csv(made.source).assign(name="Münster, Nord")
    decimal = "." if separator == "," else ","
    table.to_csv(tmp_path / "obs.csv", sep=separator, decimal=decimal, encoding=encoding, index=False)
    assert_the_record(open_stations(tmp_path / "obs.csv", **made.options), made)


def test_other_encodings_are_given(tmp_path):
    made = MAKERS["long"](tmp_path)
    pd.read_csv(made.source).assign(name="北京").to_csv(tmp_path / "gb.csv", encoding="gb18030", index=False)
    with pytest.raises(SchemaError, match=r"is not utf-8 \(byte 0xb1.*encoding='cp1252'.*'gb18030'"):
        open_stations(tmp_path / "gb.csv", **made.options)
    assert_the_record(open_stations(tmp_path / "gb.csv", encoding="gb18030", **made.options), made)
    with pytest.raises(SchemaError, match="encoding is 'klingon', expected the name of an encoding; fix: "):
        open_stations(tmp_path / "gb.csv", encoding="klingon", **made.options)


def test_a_mixture_of_decimal_marks_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("station;time;pm25\na;2020-01-01 00:00;1,5\na;2020-01-01 01:00;2.5\n")
    with pytest.raises(SchemaError, match=r"decimal commas \(1,5\) and decimal points \(2.5\)"):
        open_stations(tmp_path / "a.csv", stations=PLACES, tz="UTC")


def test_the_order_of_day_and_month_is_never_guessed():
    def timestamped(pattern, start="2020-01-01"):
        times = pd.date_range(start, periods=48, freq="h").strftime(pattern)
        return pd.DataFrame({"station": "1001", "time": times, "pm25": 1.0})

    with pytest.raises(SchemaError, match=r"^[^;]*day/month or month/day[^;]*; fix: [^;]*$"):
        open_stations(timestamped("%d/%m/%Y %H:%M"), stations=PLACES, tz="UTC")
    for pattern in ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"):
        ds = open_stations(timestamped(pattern, "2020-01-12"), stations=PLACES, tz="UTC")
        assert str(ds.time.values[0]) == "2020-01-12T00:00:00"
    ds = open_stations(timestamped("%d.%m.%Y %H:%M", "2020-02-01"), stations=PLACES, tz="UTC")
    assert str(ds.time.values[0]) == "2020-02-01T00:00:00"


def test_a_stray_timestamp_is_an_error():
    times = [*pd.date_range("2020-01-01", periods=100, freq="h"), pd.Timestamp("1970-01-01")]
    with pytest.raises(SchemaError, match="a stray timestamp"):
        open_stations(pd.DataFrame({"station": "1001", "time": times, "pm25": 1.0}), stations=PLACES, tz="UTC")


def test_a_covariate_with_a_word_among_numbers_is_dropped_with_a_warning():
    table = pd.DataFrame({"station": "1001", "time": STARTS, "pm25": 1.0, "temp": ["1.5"] * 23 + ["#REF"]})
    with pytest.warns(XaqWarning, match=r"'temp' is left out: 1 entries are not numbers, such as '#REF'; fix:"):
        ds = open_stations(table, stations=PLACES, tz="UTC")
    assert list(ds.data_vars) == ["pm25"]


# -- networks ----------------------------------------------------------------------------------------------------------


def test_uci_coordinates_are_reported_and_not_used(tmp_path):
    made = MAKERS["prsa"](tmp_path)
    with pytest.warns(XaqWarning, match=r"the UCI files \(Dongsi: lat=23.5, long=121.0; Huairou.* are not used"):
        ds = open_stations(made.source, **made.options)
    np.testing.assert_allclose(ds.lon, LON)
    assert {"no", "lat_file"}.isdisjoint(ds.data_vars)
    with pytest.raises(SchemaError, match="no reliable coordinates"):
        open_stations(made.source)


def test_uci_files_without_coordinates_give_no_warning(tmp_path):
    made = MAKERS["prsa"](tmp_path)
    for path in tmp_path.glob("PRSA*"):
        pd.read_csv(path).drop(columns=["lat", "long"]).to_csv(path, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_stations(made.source, **made.options)


def test_china_sites_of_several_days_with_changing_stations(tmp_path):
    made = MAKERS["china_sites"](tmp_path)
    first = pd.read_csv(made.source)
    later = first.assign(date=20200103, **{"1003A": 7.0}).drop(columns="1002A")
    (tmp_path / "2020").mkdir()
    later.to_csv(tmp_path / "2020" / "china_sites_20200103.csv", index=False)
    listed = pd.DataFrame({"station": ["1001A", "1002A", "1003A"], "lon": [*LON, 1.0], "lat": [*LAT, 2.0]})
    ds = open_stations(tmp_path, stations=listed)
    assert_the_record(ds, made)
    assert ds.sizes == {"station": 3, "time": 72}
    assert ds.pm25.sel(station="1001A")[24:48].isnull().all()
    np.testing.assert_array_equal(ds.pm25.sel(station="1001A")[48:], VALUES[0])
    np.testing.assert_array_equal(ds.pm25.notnull().sum("time"), [48, 24, 24])
    with pytest.warns(XaqWarning, match="1 of 3 stations are not in the station list and are left out: 1003A"):
        assert open_stations(tmp_path, **made.options).sizes["station"] == 2


def spoil_day(change):
    def spoil(folder):
        made = MAKERS["china_sites"](folder)
        table = change(pd.read_csv(made.source, dtype=str))
        table.to_csv(made.source, index=False)
        return made

    return spoil


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.assign(date=["20200101"] * 95 + ["20200102"]), "1 rows are not an hour 0..23 of 2020-01-01"),
        (lambda t: t.assign(hour=["24", *t.hour[1:]]), "1 rows are not an hour"),
        (lambda t: pd.concat([t, t.iloc[:2]]), "several rows of one hour and type"),
        (lambda t: t.assign(date="January"), "its date is 'January'"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t.rename(columns={"type": "kind"}), "begins with the columns date, hour, kind"),
        (lambda t: t.assign(**{"1001A": "x"}), "column '1001A' has 96 entries that are not numbers"),
        (lambda t: t.drop(columns=["1001A", "1002A"]), "none of the 0 stations"),
    ],
)
def test_errors_in_a_china_sites_file(change, says, tmp_path):
    made = spoil_day(change)(tmp_path)
    with pytest.raises(SchemaError, match=says):
        open_stations(made.source, **made.options)


def test_two_files_of_one_day(tmp_path):
    made = MAKERS["china_sites"](tmp_path)
    (tmp_path / "china_sites_copy.csv").write_bytes(made.source.read_bytes())
    with pytest.raises(SchemaError, match=r"china_sites_copy.csv both hold pm25 of 2020-01-01; fix: keep one"):
        open_stations(tmp_path, **made.options)


def test_airnow_station_lists(tmp_path):
    made = MAKERS["airnow_monitors"](tmp_path)
    v2 = "StationID|AQSID|FullAQSID|Parameter|Latitude|Longitude|Elevation\n" + "".join(
        f"{s}|{s}|840{s}|{p}|{y}|{x}|5.0\n"
        for s, x, y in zip(made.ids, LON, LAT, strict=True)
        for p in ("PM2.5", "OZONE")
    )
    v1 = "".join(
        "|".join([s, p, "1001", "NAME", "Active", "CA1", "Agency", "R9", str(y), str(x), "5.0", "-8", "US", *[""] * 10])
        + "\n"
        for s, x, y in zip(made.ids, LON, LAT, strict=True)
        for p in ("PM2.5", "OZONE")
    )
    for name, text in (("v2.dat", v2), ("v1.dat", v1)):
        (tmp_path / name).write_text(text)
        ds = open_stations(tmp_path, stations=tmp_path / name)
        assert_the_record(ds, made)
        np.testing.assert_array_equal(ds.elevation, [5, 5])
    with pytest.warns(XaqWarning, match="1 of 2 stations are not in the station list"):
        ds = open_stations(tmp_path, stations=made.options["stations"].iloc[:1])
    assert ds.station.values.tolist() == ["060371001"]
    assert "co" not in ds


def test_eea_without_the_metadata_keeps_sampling_points(tmp_path):
    made = MAKERS["eea_parquet"](tmp_path)
    points = ("SPO.DE_1001_PM25", "SPO.DE_1002_PM25")
    ds = open_stations(tmp_path, stations=PLACES.assign(station=points))
    assert_the_record(ds, Made(made.source, {}, points))


def test_eea_days_are_not_shifted_and_do_not_mix_with_hours(tmp_path):
    made = MAKERS["eea_csv"](tmp_path)
    table = pd.read_csv(made.source)
    days = pd.date_range("2020-01-01", periods=24).strftime("%Y-%m-%d 00:00:00 +01:00")
    daily = table.assign(AveragingTime="day", DatetimeBegin=[*days, *days])
    ds = open_stations(daily, stations=PLACES)
    assert str(ds.time.values[0]) == "2020-01-01T00:00:00"
    np.testing.assert_array_equal(ds.pm25, VALUES)
    with pytest.raises(SchemaError, match="averages over day, hour"):
        open_stations(pd.concat([table, daily]), stations=PLACES)


def test_eea_carbon_monoxide_is_in_milligrams(tmp_path):
    MAKERS["eea_parquet"](tmp_path)
    table = pd.concat([pd.read_parquet(p) for p in tmp_path.glob("*.parquet")]).assign(Pollutant=10, Unit="mg.m-3")
    points = ["SPO.DE_1001_PM25", "SPO.DE_1002_PM25"]
    assert open_stations(table, stations=PLACES.assign(station=points)).co.attrs["units"] == "mg m-3"


def test_eea_names_pollutants_that_xaq_does_not_know(tmp_path):
    MAKERS["eea_parquet"](tmp_path)
    table = pd.concat([pd.read_parquet(p) for p in tmp_path.glob("*.parquet")]).assign(Pollutant=20)
    with pytest.raises(SchemaError, match=r"pollutant 20: xaq knows the codes 1 \(so2\)"):
        open_stations(table, stations=PLACES)


def test_openair_narrow_and_meta(tmp_path):
    made = MAKERS["openair"](tmp_path)
    table = pd.read_csv(made.source)
    meta = table[["site", "code", "latitude", "longitude"]].drop_duplicates()
    narrow = table[["date", "site", "code"]].assign(pollutant="pm2.5", value=table["pm2.5"])
    assert_the_record(open_stations(narrow, stations=meta, format="openair"), made)


def test_a_damaged_archive_file_is_named(tmp_path):
    made = MAKERS["openaq_archive"](tmp_path)
    path = sorted(tmp_path.rglob("*.gz"))[1]
    path.write_bytes(gzip.compress(b"location_id,sensors_id\n1,2\n"))
    with pytest.raises(SchemaError, match="no column datetime, parameter"):
        open_stations(made.source)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(SchemaError, match=path.name):
        open_stations(made.source)


def test_the_documentation_lists_every_format():
    page = (Path(xaq.__file__).parents[1] / "docs" / "readers.md").read_text()
    assert all(f'"{name}"' in page for name in FORMATS)
    assert all(f'"{name}"' in (open_stations.__doc__ or "") for name in FORMATS)


@pytest.mark.parametrize("name", ["airnow_monitors", "airnow_sites"])
def test_airnow_names_its_stations(name, tmp_path):
    made = MAKERS[name](tmp_path)
    for path in made.source.glob("*"):
        path.write_text(path.read_text().replace("|NAME|", "|Los Angeles|").replace('"x"', '"Los Angeles"'))
    ds = open_stations(made.source, **made.options)
    assert ds.station_name.values.tolist() == ["Los Angeles"] * 2


def test_eea_days_that_do_not_begin_at_midnight_are_said(tmp_path):
    made = MAKERS["eea_csv"](tmp_path)
    table = pd.read_csv(made.source).iloc[:3].assign(
        AveragingTime="day", DatetimeBegin=[f"2020-01-0{day} 23:00:00 +00:00" for day in (1, 2, 3)]
    )  # fmt: skip
    with pytest.warns(XaqWarning, match="3 values of days begin at 23:00, not at 00:00"):
        ds = open_stations(table, **made.options)
    assert str(ds.time.values[0])[:10] == "2020-01-01"
