"""What entries of a table count as: missing values, values below a detection limit, statuses."""

from time import perf_counter

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError, XaqWarning
from xaq.readers.entries import named_statuses, statuses_beside

HOURS = ["2020-01-01 00:00", "2020-01-01 01:00", "2020-01-01 02:00"]
PLACES = pd.DataFrame({"station": ["a", "b"], "lon": [10.0, 11.0], "lat": [50.0, 51.0]})


def table(values, name="pm25", **more):
    return pd.DataFrame({"station": list("aaabbb"), "time": HOURS * 2, name: values, **more})


def opened(source, **options):
    options = {"stations": PLACES, "tz": "UTC", **options}
    return xaq.open_stations(source, **options)


def values_of(ds, name="pm25"):
    return np.where(np.isfinite(ds[name].values), ds[name].values, -1).ravel().tolist()


# -- missing values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("na_values", [-999, [-999], "-999", ["x", -999.0]])
def test_a_number_that_stands_for_missing_values(na_values):
    ds = opened(table([1, -999, 3, 4, 5, -999]), na_values=na_values)
    assert values_of(ds) == [1, -1, 3, 4, 5, -1]
    assert "2 values are missing where the source has" in ds.attrs["history"]


def test_words_in_a_file_beside_numbers(tmp_path):
    path = tmp_path / "a.csv"
    table(["1.5", "offline", "-999", "-999.0", "5", " offline"]).to_csv(path, index=False)
    assert values_of(opened(path, na_values=["offline", -999])) == [1.5, -1, -1, -1, 5, -1]


def test_by_column_and_never_among_ids():
    rows = table([1, 0, 3, 4, 5, 0], rain=[0, 0, 1, 1, 2, 3]).replace({"station": {"a": "NA"}})
    ds = opened(rows, na_values={"pm25": 0}, stations=PLACES.assign(station=["NA", "b"]), units={"pm25": "ug m-3"})
    assert values_of(ds, "rain") == [0, 0, 1, 1, 2, 3]
    assert values_of(ds) == [1, -1, 3, 4, 5, -1]
    ds = opened(rows, na_values="NA", stations=PLACES.assign(station=["NA", "b"]))
    assert ds.station.values.tolist() == ["NA", "b"]


def test_a_column_that_does_not_exist():
    with pytest.raises(SchemaError, match=r"na_values names 'pm10'.*fix: one of station, time, pm25"):
        opened(table([1, 2, 3, 4, 5, 6]), na_values={"pm10": 0})


def test_below_a_row_of_units(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("station,time,o3\n,UTC,ppb\n" + table([1, -999, 3, 4, 5, "<6"]).to_csv(index=False, header=False))
    ds = opened(path, na_values=-999, censored="half")
    assert ds.o3.attrs["units"] == "1e-9"
    assert values_of(ds, "o3") == [1, -1, 3, 4, 5, 3]


# -- values below a detection limit ------------------------------------------------------------------------------------

CENSORED = ["1.0", "<0.5", "< 3", "<=0.2", "5", "6"]


@pytest.mark.parametrize(
    ("rule", "expected"), [("half", [0.25, 1.5, 0.1]), ("zero", [0, 0, 0]), ("missing", [-1, -1, -1])]
)
def test_the_three_rules(rule, expected):
    ds = opened(table(CENSORED), censored=rule)
    np.testing.assert_allclose(values_of(ds), [1, *expected, 5, 6], rtol=1e-6)
    assert "3 values below their detection limit are" in ds.attrs["history"]
    assert f"censored={rule!r}" in ds.attrs["history"]


def test_without_a_rule_the_error_names_the_values_and_the_rules():
    with pytest.raises(
        SchemaError, match=r"3 values below a detection limit, such as '<0.5', '< 3'.*censored='half', 'zero'"
    ):
        opened(table(CENSORED))


@pytest.mark.parametrize("word", ["ND", "<LOD", "< LOD", "LOD", "n.d.", "BDL", "<DL"])
def test_words_state_no_limit(word):
    rows = table(["1", "2", word, "4", "5", "6"])
    with pytest.raises(SchemaError, match=r"such as .*fix: censored='zero' or 'missing'"):
        opened(rows)
    with pytest.raises(SchemaError, match=r"half of the limit.*na_values="):
        opened(rows, censored="half")
    assert values_of(opened(rows, censored="zero")) == [1, 2, 0, 4, 5, 6]
    assert values_of(opened(rows, na_values=[word])) == [1, 2, -1, 4, 5, 6]


def test_a_column_of_words_is_left_as_it_is():
    rows = table([1, 2, 3, 4, 5, 6], state=["ND"] * 6)
    ds = opened(rows, censored="zero")
    assert "state" not in ds
    assert "detection limit" not in ds.attrs["history"]


def test_decimal_commas_and_other_columns(tmp_path):
    path = tmp_path / "a.csv"
    rows = table(["1,5", "<0,5", "3", "4", "5", "6"])
    path.write_text(rows.to_csv(index=False, sep=";"))
    assert values_of(opened(path, censored="half"))[:2] == [1.5, 0.25]


@pytest.mark.parametrize("entry", ["<1,000", "< 12,500", "<=1,250"])
def test_a_comma_that_may_be_of_thousands_is_refused(entry):
    rows = table(["1", entry, "3", "4", "5", "6"])
    fixed = entry.replace(",", "")
    with pytest.raises(SchemaError, match=f"limits such as '{entry}', .*fix: write '{fixed}' or .*censored='zero'"):
        opened(rows, censored="half")
    assert values_of(opened(rows, censored="zero")) == [1, 0, 3, 4, 5, 6]
    assert values_of(opened(rows.replace(entry, fixed), censored="half"))[1] == float(fixed.strip("<= ")) / 2


@pytest.mark.parametrize("options", [{}, {"censored": "half"}])
def test_words_beside_values_below_a_limit_are_named_with_them(options):
    rows = table(["1", "<0.5", "-", "4", "5", "6"])
    with pytest.raises(
        SchemaError, match=r"no numbers, such as '-'.*fix: na_values=\['-'\].*together with censored='half'"
    ):
        opened(rows, **options)
    assert values_of(opened(rows, censored="half", na_values=["-"])) == [1, 0.25, -1, 4, 5, 6]


def test_values_above_a_range_are_no_values_below_a_limit():
    with pytest.raises(SchemaError, match="entries that are not numbers, such as '>500'"):
        opened(table(["1", ">500", "3", "4", "5", "6"]), censored="half")


# -- statuses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pm25_flag", "pm25_status", "flag_pm25", "PM25 QC"])
def test_a_status_beside_a_column_of_values(name):
    rows = table([1, 2, 3, 4, 5, 6], **{name: ["V", "S", "R", "V", None, "V"]})
    ds = opened(rows.assign(no2=7.0), valid=["V", "R"], units={"no2": "ppb"})
    assert values_of(ds) == [1, -1, 3, 4, -1, 6]
    assert values_of(ds, "no2") == [7] * 6
    assert set(ds.data_vars) == {"pm25", "no2"}
    assert f"2 values of pm25 are missing whose {name} is none of V, R" in ds.attrs["history"]


@pytest.mark.parametrize(
    ("values", "status", "options"),
    [
        ("PM2.5 (ug/m3)", "PM2.5_flag", {}),
        ("PM2.5", "pm25_flag", {}),
        ("PM2.5 ug/m3", "PM2.5 Status", {}),
        ("PM (fine)", "pm25_flag", {"columns": {"pm25": "PM (fine)"}}),
    ],
)
@pytest.mark.parametrize("by_column", [False, True])
def test_a_status_is_found_by_the_name_that_xaq_gives_to_its_values(values, status, options, by_column):
    rows = table([1, 2, 3, 4, 5, 6], values, no2=7.0, **{status: list("VSVVVV")})
    valid = {status: ["V"]} if by_column else ["V"]
    ds = opened(rows, valid=valid, units={"no2": "ppb"}, **options)
    assert values_of(ds) == [1, -1, 3, 4, 5, 6]
    assert values_of(ds, "no2") == [7] * 6


def test_a_status_without_values_is_an_error_that_names_it():
    rows = table([1, 2, 3, 4, 5, 6], "fine dust", no2=7.0, no2_flag="V", pm25_flag=list("VSVVVV"))
    fix = r"no column of values for the columns of statuses 'pm25_flag'.*fix: columns=\{'pm25'"
    for valid in (["V"], {"pm25_flag": ["V"]}):
        with pytest.raises(SchemaError, match=fix):
            opened(rows, valid=valid, units={"no2": "ppb"})
    ds = opened(rows, valid=["V"], units={"no2": "ppb"}, columns={"pm25": "fine dust"})
    assert values_of(ds) == [1, -1, 3, 4, 5, 6]
    rows = table([1, 2, 3, 4, 5, 6], pm25_flag=list("VSVVVV"), holiday_flag="no")
    with pytest.raises(SchemaError, match="statuses 'holiday_flag'"):
        opened(rows, valid=["V"])
    assert values_of(opened(rows, valid={"pm25_flag": ["V"]})) == [1, -1, 3, 4, 5, 6]
    with pytest.raises(SchemaError, match=r"statuses 'flag\.1'"):
        opened(table([1, 2, 3, 4, 5, 6], **{"flag": "V", "no2": 1.0, "flag.1": "S"}), valid=["V"])


def test_many_columns_of_statuses_take_little_time():
    rows = pd.DataFrame({f"x{i}{end}": [1.0] for i in range(600) for end in ("", "_flag")})
    start = perf_counter()
    beside = statuses_beside(list(rows.columns), {})
    assert perf_counter() - start < 5
    assert beside == {f"x{i}_flag": f"x{i}" for i in range(600)}


OTHER_NAMES = [("pm25_state", "o3_state"), ("state_pm25", "state_o3"), ("state 1", "state 2")]


@pytest.mark.parametrize("names", OTHER_NAMES)
def test_statuses_under_other_names_are_about_one_variable(names):
    rows = table([1, 2, 3, 4, 5, 6], **{names[0]: list("VSVVVV"), "o3": 7.0, names[1]: list("VVVVVS")})
    ds = opened(rows, valid={name: ["V"] for name in names}, units={"o3": "ppb"})
    assert values_of(ds) == [1, -1, 3, 4, 5, 6]
    assert values_of(ds, "o3") == [7, 7, 7, 7, 7, -1]


def test_a_status_named_for_the_station_is_that_of_the_row():
    rows = table([1, 2, 3, 4, 5, 6], no2=7.0, station_state=list("VSVVVV"))
    ds = opened(rows, valid={"station_state": ["V"]}, units={"no2": "ppb"})
    assert values_of(ds, "no2") == [7, -1, 7, 7, 7, 7]


def test_numbers_as_statuses_also_where_pandas_made_them_float():
    rows = table([1, 2, 3, 4, 5, 6], pm25_flag=[0, 1, 0, None, 2, 0])
    for valid in ([0], ["0"], {"pm25_flag": [0]}):
        assert values_of(opened(rows, valid=valid)) == [1, -1, 3, -1, -1, 6]


def test_a_status_of_the_row():
    rows = pd.concat([table([1, 2, 3, 4, 5, 6], status="V"), table([9, 9, 9, 9, 9, 9], status="S")])
    ds = opened(rows, valid=["V"])
    assert values_of(ds) == [1, 2, 3, 4, 5, 6]
    assert "6 rows are left out whose status is none of V" in ds.attrs["history"]


def test_a_status_under_another_name():
    rows = table([1, 2, 3, 4, 5, 6], zustand=["ok", "ok", "x", "ok", "ok", "ok"])
    assert values_of(opened(rows, valid={"zustand": ["ok"]})) == [1, 2, -1, 4, 5, 6]


def test_repeated_columns_of_statuses_are_those_of_the_column_before(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "station,time,PM2.5,Status,PM10,Status\n"
        + "".join(f"{s},2020-01-01 0{h}:00,{h},{'VS'[h == 1]},{h},{'VS'[h == 2]}\n" for s in "ab" for h in range(3))
    )
    ds = opened(path, valid=["V"])
    assert values_of(ds) == [0, -1, 2] * 2
    assert values_of(ds, "pm10") == [0, 1, -1] * 2


@pytest.mark.parametrize(
    "header",
    [
        "station,time,temp,flag,pm25,flag,o3",
        "time,station,flag,pm25,flag,o3",
        "station,time,flag,pm25,flag,o3,remark",
        "Stationscode,Messzeit,flag,pm25,flag,o3",
        "flag,pm25,flag,o3,station,time",
    ],
)
def test_repeated_columns_of_statuses_that_may_stand_before_their_values(tmp_path, header):
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n" + ",".join("1" for _ in header.split(",")) + "\n")
    with pytest.raises(SchemaError, match=r"a.csv: has several columns 'flag'.*not certain.*fix: .*'pm25_flag'"):
        opened(path, valid=["V"])


def test_repeated_columns_of_statuses_before_what_has_none(tmp_path):
    header = ["station", "time", "o3", "status", "unit", "no2", "status", "unit", "lat", "station_name", ""]
    assert named_statuses(header, "a.csv")[3:7] == ["o3_status", "unit", "no2", "no2_status"]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"status": "V"}, "'status' ('V')"),
        ({"pm25_flag": [0, 1, 0, 2, 0, 0]}, "'pm25_flag' (0, 1, 2)"),
        ({"pm25_flag": list("VSVVVV"), "flag": "P"}, "'pm25_flag' ('V', 'S'), 'flag' ('P')"),
    ],
)
def test_without_a_rule_columns_of_statuses_are_named_once(tmp_path, more, text):
    rows = table([1, 2, 3, 4, 5, 6], **more)
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path, station in zip(paths, "ab", strict=True):
        rows[rows.station == station].to_csv(path, index=False)
    for source in (rows, paths):
        with pytest.warns(XaqWarning) as caught:
            assert values_of(opened(source)) == [1, 2, 3, 4, 5, 6]
        about = [str(w.message) for w in caught if "valid=" in str(w.message)]
        assert len(about) == 1
        assert "every value counts" in about[0]
        assert text in about[0] or source is paths
    name = next(iter(more))
    assert "fix: valid={" + repr(name) in about[0]


def test_statuses_that_the_caller_judges_give_no_warning(recwarn):
    opened(table([1, 2, 3, 4, 5, 6], status="V"), valid=["V"])
    opened(table([1, 2, 3, 4, 5, 6], quality_index=7.0))
    assert not len(recwarn)


@pytest.mark.filterwarnings("ignore:.*every value counts")
@pytest.mark.parametrize("flag", ["0", "V"])
def test_without_a_rule_every_value_of_a_wide_table_counts(flag):
    rows = pd.DataFrame(
        {"time": HOURS, "a_pm25": [1, 2, 3], "a_pm25_flag": flag, "b_pm25": [4, 5, 6], "b_pm25_flag": flag}
    )
    assert values_of(opened(rows)) == [1, 2, 3, 4, 5, 6]
    rows = rows.rename(columns=lambda name: name.replace("_pm25", ""))
    assert values_of(opened(rows, pollutant="pm25")) == [1, 2, 3, 4, 5, 6]


def test_statuses_of_a_wide_table():
    rows = pd.DataFrame({"time": HOURS, "a": [1, 2, 3], "a_flag": [0, 1, 0], "b": [4, 5, 6], "b_flag": [0, 0, 1]})
    assert values_of(opened(rows, valid=[0], pollutant="pm25")) == [1, -1, 3, 4, 5, -1]


@pytest.mark.parametrize(
    ("valid", "text"),
    [
        (["V"], r"no column of statuses .*the table has station, time, pm25; fix: valid=\{'your column"),
        ({"state": ["V"]}, r"valid names 'state', which does not exist"),
    ],
)
def test_no_column_of_statuses(valid, text):
    with pytest.raises(SchemaError, match=text):
        opened(table([1, 2, 3, 4, 5, 6]), valid=valid)


def test_no_value_that_counts_names_the_statuses_there():
    rows = table([1, 2, 3, 4, 5, 6], status="P")
    with pytest.raises(
        SchemaError, match=r"valid has 'V' and column 'status' has 'P'; fix: valid=\{'status': \['P'\]\}"
    ):
        opened(rows, valid=["V"])
    assert values_of(opened(rows, valid={"status": ["P"]})) == [1, 2, 3, 4, 5, 6]


def test_formats_with_statuses_of_their_own_take_no_rule():
    rows = pd.DataFrame({"location_id": ["a"], "parameter": "pm25", "value": 1.0, "datetime": "2020-01-01T00:00Z"})
    with pytest.raises(SchemaError, match=r"format 'openaq' has its own; fix: leave valid= out"):
        xaq.open_stations(rows, valid=["V"])
