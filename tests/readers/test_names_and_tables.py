"""Tables as people have them: identifiers that look missing, names in other characters, rows of units, indexes, types of Arrow."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr
from fixes import applied
from hypothesis import given, settings
from hypothesis import strategies as st
from made import IDS, MAKERS, PLACES, STARTS, VALUES, assert_same, assert_the_record

import xaq
from xaq.conventions import canonical_name, canonical_units, split_header
from xaq.errors import SchemaError
from xaq.readers.binary import MISSING
from xaq.readers.dispatch import open_stations

TABLE = pd.DataFrame({"station": np.repeat(IDS, 24), "time": [*STARTS, *STARTS], "pm25": VALUES.ravel()})


def read(table, stations=PLACES, **options):
    return open_stations(table, stations=stations, **{"tz": "UTC", **options})


EXPECTED = read(TABLE)

# -- identifiers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "xlsx", "parquet", "feather"])
@pytest.mark.parametrize("words", [("NA", "null"), ("nan", "None"), ("N/A", "NaN"), ("<NA>", "#N/A"), ("NULL", "-nan")])
def test_words_for_missing_values_are_identifiers_in_a_column_of_identifiers(words, ending, tmp_path):
    names = dict(zip(IDS, words, strict=True))

    def write(frame, name):
        path = tmp_path / f"{name}.{ending}"
        frame = frame.assign(station=frame.station.map(names))
        how = {"xlsx": "to_excel", "parquet": "to_parquet", "feather": "to_feather"}.get(ending, "to_csv")
        options = {"sep": "\t"} if ending == "tsv" else {}
        getattr(frame, how)(path, **({} if ending in ("parquet", "feather") else {"index": False}), **options)
        return path

    ds = read(write(TABLE, "obs"), write(PLACES, "list"))
    xr.testing.assert_equal(ds.sel(station=list(words)).drop_vars("station"), EXPECTED.drop_vars("station"))


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_in_a_column_of_values_they_are_missing(ending, tmp_path):
    words = [w for w in MISSING if w]
    frame = TABLE.assign(pm25=[*words, *TABLE.pm25[len(words) :]])
    frame.to_csv(tmp_path / "obs.csv", index=False) if ending == "csv" else frame.to_excel(
        tmp_path / "obs.xlsx", index=False
    )
    ds = read(tmp_path / f"obs.{ending}")
    assert int(ds.pm25.isnull().sum()) == len(words)
    np.testing.assert_array_equal(ds.pm25.values.ravel()[len(words) :], VALUES.ravel()[len(words) :])


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_an_empty_identifier_is_missing(ending, tmp_path):
    frame = TABLE.assign(station=[None, *TABLE.station[1:]])
    frame.to_csv(tmp_path / "obs.csv", index=False) if ending == "csv" else frame.to_excel(
        tmp_path / "obs.xlsx", index=False
    )
    with pytest.raises(SchemaError, match=r"1 rows have no station; fix: table = table.dropna\(subset=\['station'\]\)"):
        read(tmp_path / f"obs.{ending}")


def test_identifiers_that_are_numbers_in_excel(tmp_path):
    TABLE.assign(station=TABLE.station.astype(float)).to_excel(tmp_path / "obs.xlsx", index=False)
    assert_same(read(tmp_path / "obs.xlsx"), EXPECTED)


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "PM₂.₅ (µg/m³)",
        "PM₂.₅ (μg/m³)",
        "ＰＭ２．５ （㎍/㎥）",  # noqa: RUF001
        "PM2.5 [µg·m⁻³]",
        "\u200bPM2.5\u00a0(µg m⁻³)",
        "pm₂,₅ (µg/m3)",
    ],
)
def test_headers_in_compatibility_characters(header, tmp_path):
    table = TABLE.rename(columns={"pm25": header, "station": "ｓtation"}).assign(**{"NO₂ (ppb)": 9.0})  # noqa: RUF001
    table.to_csv(tmp_path / "obs.csv", index=False)
    for source in (table, tmp_path / "obs.csv"):
        ds = read(source)
        np.testing.assert_array_equal(ds.pm25, VALUES)
        assert ds.pm25.attrs["units"] == "ug m-3"
        assert "units_note" not in ds.pm25.attrs
        assert ds.no2.attrs["units"] == "1e-9"
    written = header.replace("µ", "μ") if "µ" in header else header.replace("μ", "µ")
    ds = read(table.rename(columns={header: "dust ₂ µ"}), columns={"pm25": "dust 2 μ"}, units={"PM₂.₅": "µg/m³"})
    assert ds.pm25.attrs["units"] == "ug m-3"
    assert split_header(written)[0] == "pm25"


def test_names_in_compatibility_characters_elsewhere():
    narrow = TABLE.rename(columns={"pm25": "value"}).assign(parameter="PM₂.₅", units="µg m⁻³")
    np.testing.assert_array_equal(read(narrow).pm25, VALUES)
    wide = pd.DataFrame({"time": STARTS, **{f"{s}_PM₂.₅": v for s, v in zip(IDS, VALUES, strict=True)}})
    np.testing.assert_array_equal(read(wide).pm25, VALUES)
    np.testing.assert_array_equal(open_stations(EXPECTED.rename(pm25="PM₂.₅", lon="ｌon")).pm25, VALUES)  # noqa: RUF001


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_a_name_does_not_change_when_it_is_normalised_again(text):
    assert canonical_name(canonical_name(text)) == canonical_name(text)
    assert canonical_units(canonical_units(text)) == canonical_units(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("written", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_stronger_than_the_encoding_given(written, encoding, tmp_path):
    made = MAKERS["long"](tmp_path)
    pd.read_csv(made.source).assign(name="Münster").to_csv(tmp_path / "bom.csv", index=False, encoding=written)
    places = tmp_path / "list.csv"
    PLACES.to_csv(places, index=False, encoding=written)
    ds = open_stations(tmp_path / "bom.csv", **{**made.options, "stations": places}, encoding=encoding)
    assert_the_record(ds, made)


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_header_of_over_131072_characters(separator, tmp_path):
    ids = [f"{i}A of a network; with a long name {i}{'.' * 120}" for i in range(1000)]
    header = separator.join(['"time"', *(f'"{i}"' for i in ids)])
    value = "1.5" if separator == "," else "1,5"
    rows = [separator.join([f"2020-01-01 0{h}:00", *[value] * len(ids)]) for h in range(3)]
    (tmp_path / "wide.csv").write_text("\n".join([header, *rows]) + "\n")
    assert len(header) > 131_072
    places = pd.DataFrame({"station": ids, "lon": np.linspace(5, 15, 1000), "lat": np.linspace(45, 55, 1000)})
    ds = read(tmp_path / "wide.csv", places, pollutant="pm25")
    assert ds.sizes == {"station": 1000, "time": 3}
    assert (ds.pm25 == 1.5).all()


# -- units rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "expected"), [("mg/m3", "mg m-3"), ("µg/m³", "ug m-3"), ("[ug m-3]", "ug m-3")])
@pytest.mark.parametrize("station", ["", "code"])
def test_a_row_of_units_under_the_header(unit, expected, station, tmp_path):
    text = TABLE.assign(time=TABLE.time.astype(str), temp=2.5).astype(str).astype(object)
    table = pd.concat([pd.DataFrame([{"station": station, "time": "UTC", "pm25": unit, "temp": "°C"}]), text])
    table.to_csv(tmp_path / "obs.csv", index=False)
    for source in (table, tmp_path / "obs.csv"):
        ds = read(source)
        np.testing.assert_array_equal(ds.pm25, VALUES)
        assert ds.pm25.attrs["units"] == expected
        assert ds.temp.attrs["units"] == "°C"


def test_a_row_of_units_in_wide_and_narrow_tables_and_in_a_list():
    wide = pd.DataFrame({"time": STARTS.astype(str), **dict(zip(IDS, VALUES.astype(str), strict=True))}).astype(object)
    wide = pd.concat([pd.DataFrame([{"time": "UTC", **dict.fromkeys(IDS, "mg/m3")}]), wide])
    listed = pd.concat([pd.DataFrame([{"station": "-", "lon": "degrees", "lat": "degrees"}]), PLACES.astype(object)])
    ds = read(wide, listed, pollutant="pm25")
    np.testing.assert_array_equal(ds.pm25, VALUES)
    assert ds.pm25.attrs["units"] == "mg m-3"
    narrow = TABLE.rename(columns={"pm25": "value"}).assign(parameter="pm25").astype(object)
    first = pd.DataFrame([{"station": "-", "time": "UTC", "value": "mg/m3", "parameter": "-"}])
    ds = read(pd.concat([first, narrow.assign(time=narrow.time.astype(str))]))
    assert ds.pm25.attrs["units"] == "mg m-3"


def test_a_row_of_units_that_are_not_known_is_refused_with_a_fix_that_works(tmp_path):
    text = TABLE.assign(time=TABLE.time.astype(str)).astype(str).astype(object)
    pd.concat([pd.DataFrame([{"station": "-", "time": "UTC", "pm25": "counts"}]), text]).to_csv(
        tmp_path / "o.csv", index=False
    )
    with pytest.raises(SchemaError, match="1 times are no dates, such as 'UTC'; fix: table = table") as error:
        read(tmp_path / "o.csv")
    table = pd.read_csv(tmp_path / "o.csv")
    table = eval(re.search(r"fix: table = (.*?); the file", str(error.value))[1], {"table": table, "pd": pd})
    np.testing.assert_array_equal(read(table).pm25, VALUES)


# -- frames ------------------------------------------------------------------------------------------------------------

FRAMES = {
    "index of station and time": TABLE.set_index(["station", "time"]),
    "index of time": TABLE.set_index("time"),
    "index of station beside the column": TABLE.set_index("station", drop=False),
    "index of dates without a name": TABLE.set_index("time").rename_axis(index=None),
    "levels with units": TABLE.set_axis(
        pd.MultiIndex.from_tuples([("station", ""), ("time", ""), ("pm25", "ug/m3")]), axis=1
    ),
    "levels that are empty": TABLE.set_axis(pd.MultiIndex.from_product([TABLE.columns, [""]]), axis=1),
    "types of Arrow": TABLE.convert_dtypes(dtype_backend="pyarrow"),
    "dates of Arrow": TABLE.astype(
        {"time": pd.ArrowDtype(pa.timestamp("us")), "station": pd.ArrowDtype(pa.large_string())}
    ),
    "dates with a zone of Arrow": TABLE.assign(
        time=TABLE.time.dt.tz_localize("UTC").astype(pd.ArrowDtype(pa.timestamp("s", "UTC")))
    ),
    "text of Arrow": TABLE.assign(time=TABLE.time.astype(str)).astype({"time": pd.ArrowDtype(pa.string())}),
    "decimals of Arrow": TABLE.assign(pm25=TABLE.pm25.astype(pd.ArrowDtype(pa.decimal128(10, 3)))),
    "nullable types": TABLE.convert_dtypes(),
    "categories": TABLE.astype({"station": "category"}).assign(time=TABLE.time.astype(str).astype("category")),
    "Arrow's dictionaries": pa.Table.from_pandas(TABLE.astype({"station": "category"})),
    "numbers as identifiers": TABLE.assign(station=TABLE.station.astype(int).astype(pd.ArrowDtype(pa.int64()))),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_of_any_form_is_the_same_table(name):
    ds = read(FRAMES[name])
    ds.pm25.attrs.pop("units_note", None)
    expected = EXPECTED.copy()
    expected["pm25"].attrs = {k: v for k, v in EXPECTED.pm25.attrs.items() if k != "units_note"}
    xr.testing.assert_identical(ds, expected)


@pytest.mark.parametrize("form", ["index", "tuples"])
def test_a_pivoted_table_is_wide(form):
    wide = TABLE.pivot(index="time", columns="station", values="pm25" if form == "index" else ["pm25"])
    np.testing.assert_array_equal(read(wide, pollutant="pm25").pm25, VALUES)


def test_a_parquet_file_with_an_index(tmp_path):
    TABLE.set_index(["station", "time"]).to_parquet(tmp_path / "o.parquet")
    assert_same(read(tmp_path / "o.parquet"), EXPECTED)


@pytest.mark.parametrize("ending", ["feather", "parquet", "xlsx", "csv"])
def test_a_wide_file_is_recognised(ending, tmp_path):
    wide, path = pd.DataFrame({"time": STARTS, **dict(zip(IDS, VALUES, strict=True))}), tmp_path / f"w.{ending}"
    writer = {"feather": wide.to_feather, "parquet": wide.to_parquet, "xlsx": wide.to_excel, "csv": wide.to_csv}[ending]
    writer(path, **({"index": False} if ending in ("xlsx", "csv") else {}))
    np.testing.assert_array_equal(read(path, pollutant="pm25").pm25, VALUES)


def test_days_of_arrow():
    days = TABLE.groupby("station").head(3).assign(time=[*pd.date_range("2020-01-01", periods=3)] * 2)
    table = days.assign(time=days.time.astype(pd.ArrowDtype(pa.date32())))
    assert read(table, tz=None).time.values.astype("datetime64[D]").astype(str).tolist() == [
        "2020-01-01",
        "2020-01-02",
        "2020-01-03",
    ]


def test_an_index_that_contradicts_a_column():
    table = TABLE.assign(other=TABLE.station.to_numpy()[::-1]).set_index("other").rename_axis(index="station")
    with pytest.raises(
        SchemaError, match=r"^table: 'station' is a level of the index and a column, with other values"
    ) as error:
        read(table)
    fix = str(error.value).split("fix: table = ")[1].split(", or")[0]
    np.testing.assert_array_equal(read(eval(fix, {"table": table})).pm25, VALUES[::-1])


@pytest.mark.parametrize("ending", ["csv", "xlsx", None])
def test_the_same_header_twice(ending, tmp_path):
    twice = pd.concat([TABLE, TABLE.pm25 + 1], axis=1)
    path = tmp_path / f"twice.{ending}"
    if ending:
        twice.to_csv(path, index=False) if ending == "csv" else twice.to_excel(path, index=False)
    with pytest.raises(SchemaError, match="has several columns 'pm25'; fix: table = ") as error:
        read(path if ending else twice)
    assert str(error.value).count("fix:") == 1
    table = eval(re.search(r"fix: table = (.*?), where", str(error.value))[1], {"table": twice, "pd": pd})
    np.testing.assert_array_equal(read(table.astype({"station": str})).pm25, VALUES)


@pytest.mark.parametrize("offset", ["+01", "+0100", "+01:00", " +01", "Z", "-03"])
def test_offsets_of_whole_hours(offset):
    table = TABLE.assign(time=TABLE.time.astype(str) + offset)
    hours = {"Z": 0, "-03": -3}.get(offset, 1)
    expected = EXPECTED.assign_coords(time=EXPECTED.time - np.timedelta64(hours, "h"))
    xr.testing.assert_equal(read(table, tz=None), expected)


def test_offsets_do_not_settle_the_order_of_day_and_month():
    table = TABLE.assign(
        time=[f"{t:%d/%m/%Y %H:%M}+01" for t in [*pd.date_range("2020-02-01", periods=24, freq="h")] * 2]
    )
    with pytest.raises(SchemaError, match="day/month or month/day"):
        read(table, tz=None)


ONE_PLACE = pd.DataFrame({"station": ["a"], "lon": [10.0], "lat": [50.0]})
STATIONS_UNKNOWN = pd.DataFrame({"time": pd.date_range("2020-01-01", periods=4, freq="h"), "X1": 1.0, "X2": 2.0})


@pytest.mark.parametrize("options", [{}, {"pollutant": "pm25"}])
def test_a_wide_table_of_other_stations_is_not_taken_for_variables_of_the_only_one(options):
    with pytest.raises(
        SchemaError, match=r"the table has no column for station .* it has time, X1, X2; fix: .*format='wide'"
    ):
        open_stations(STATIONS_UNKNOWN, stations=ONE_PLACE, tz="UTC", **options)


def test_variables_of_the_only_station():
    options = {"stations": ONE_PLACE, "tz": "UTC"}
    table = STATIONS_UNKNOWN.rename(columns={"X1": "PM2.5 (ug/m3)"})
    assert open_stations(table, **options)["pm25"].values.tolist() == [[1.0] * 4]
    with pytest.raises(SchemaError, match="no column for station"):
        open_stations(table, pollutant="pm25", **options)
    ds = open_stations(STATIONS_UNKNOWN, columns={"soot": "X1"}, **options)
    assert ds["soot"].values.tolist() == [[1.0] * 4]


TWO = pd.DataFrame({
    "station": ["a", "a", "b", "b"], "time": ["2020-01-01", "2020-01-02"] * 2, "pm25": [1.0, 2, 3, 4], "pm10": [5.0, 6, 7, 8], "PM2.5": 9.0,
})  # fmt: skip
WHERE = pd.DataFrame({"station": ["a", "b"], "lon": [10.0, 10.5], "lat": [50.0, 50.2]})


@pytest.mark.parametrize(("columns", "kept"), [({"pm25": "pm10"}, [5, 6]), ({"pm25": "PM2.5"}, [9, 9]), (None, [1, 2])])
def test_both_fixes_of_two_columns_of_one_meaning_work(columns, kept, tmp_path):
    TWO.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(SchemaError, match=r"several columns have the same meaning: \{'pm25'") as raised:
        xaq.open_stations(tmp_path / "t.csv", stations=WHERE, columns=columns)
    named, dropped = re.search(r"fix: columns=({.*?}), or (table = .*?);", str(raised.value)).groups()
    assert f"table = pd.read_csv({str(tmp_path / 't.csv')!r}" in str(raised.value)
    made = {"table": TWO.copy()}
    exec(dropped, made)
    for ds in (
        xaq.open_stations(tmp_path / "t.csv", stations=WHERE, columns=eval(named)),
        xaq.open_stations(made["table"], stations=WHERE, columns=columns),
    ):
        assert ds.pm25[0].values.tolist() == kept


def test_two_variables_of_one_meaning_and_two_that_are_exchanged():
    ds = xaq.open_stations(TWO.drop(columns="PM2.5"), stations=WHERE)
    with pytest.raises(SchemaError, match=r"same meaning: pm25; fix: ds\.drop_vars\(\['pm25'\]\)") as raised:
        xaq.open_stations(ds, columns={"pm25": "pm10"})
    got = xaq.open_stations(applied(raised.value, ds=ds), columns={"pm25": "pm10"})
    assert got.pm25[0].values.tolist() == [5, 6]
    got = xaq.open_stations(ds, columns={"pm25": "pm10", "pm10": "pm25"})
    assert (got.pm25[0].values.tolist(), got.pm10[0].values.tolist()) == ([5, 6], [1, 2])


@pytest.mark.parametrize("files", [["1", "2"], ["1", "2", "3"]])
def test_the_fix_of_files_that_overlap_joins_them(files, tmp_path):
    for name, days in {"1": [1, 2, 3], "2": [3, 4, 5], "3": [5, 6, 7]}.items():
        frame = pd.DataFrame({"station": "a", "time": [f"2020-01-0{d}" for d in days], "pm25": 1.0 * int(name)})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(
        SchemaError, match=r"duplicate rows, first: station a, 2020-01-03.*values of the first count"
    ) as raised:
        xaq.open_stations([tmp_path / f"{name}.csv" for name in files], stations=WHERE)
    call = re.search(r"fix: (.*?\)\))[:,]", str(raised.value))[1].replace("...", "stations=WHERE")
    ds = eval(call, {"xaq": xaq, "WHERE": WHERE})
    assert ds.pm25[0].values.tolist() == [1, 1, 1, 2, 2]
    assert ds.pm25.attrs["units"] == "ug m-3"


def test_history_says_what_was_read_also_where_nothing_changed(tmp_path):
    table = TWO[["station", "time", "pm25"]]
    for name in ("1", "2", "3", "4"):
        table.assign(time=[f"2020-0{name}-01", f"2020-0{name}-02"] * 2).to_csv(tmp_path / f"{name}.csv", index=False)
    one = xaq.open_stations(tmp_path / "1.csv", stations=WHERE)
    assert one.attrs["history"] == f"xaq open_stations: read 1.csv as 'long' (xaq {xaq.__version__})"
    several = xaq.open_stations(tmp_path / "*.csv", stations=WHERE)
    assert "read 1.csv, 2.csv, 3.csv, ... (4 in all) as 'long'" in several.attrs["history"]
    assert "read a table as 'long'" in xaq.open_stations(table, stations=WHERE).attrs["history"]
    assert xaq.open_stations(one).attrs["history"] == one.attrs["history"]
