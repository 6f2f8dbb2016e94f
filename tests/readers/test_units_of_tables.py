"""Units of tables that are opened together, or that stand in the headers of wide tables."""

import re

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError, XaqWarning

PLACES = pd.DataFrame({"station": ["a", "b"], "lon": [10.0, 10.5], "lat": [50.0, 50.2]})
HOURS = pd.date_range("2020-01-13", periods=24, freq="h")
OPTIONS = {"stations": PLACES, "tz": "UTC"}


def written(path, name, times, unit=None):
    rows = pd.DataFrame({"station": np.repeat(["a", "b"], 24), "time": [*times, *times], name: 1.0}).to_csv(index=False)
    header, body = rows.split("\n", 1)
    path.write_text(header + "\n" + (f",,{unit}\n" if unit else "") + body)
    return path


@pytest.mark.parametrize(("names", "unit"), [(("PM10 (mg/m3)", "pm10"), None), (("pm10", "pm10"), "mg/m3")])
@pytest.mark.parametrize("order", [1, -1])
def test_units_in_one_file_only_are_said_to_be_those_of_the_others(tmp_path, names, unit, order):
    one = written(tmp_path / "one.csv", names[0], HOURS, unit)
    two = written(tmp_path / "two.csv", names[1], HOURS + pd.Timedelta("1D"))
    with pytest.warns(XaqWarning, match="1 of 2 files state no units of pm10; they are taken for mg m-3"):
        ds = xaq.open_stations([one, two][::order], **OPTIONS)
    assert ds.pm10.attrs["units"] == "mg m-3"


def test_no_warning_where_no_file_or_every_file_states_them(tmp_path, recwarn):
    for name in ("pm10", "PM10 (ug/m3)"):
        one = written(tmp_path / "one.csv", name, HOURS)
        two = written(tmp_path / "two.csv", name, HOURS + pd.Timedelta("1D"))
        xaq.open_stations([one, two], **OPTIONS)
    assert not len(recwarn)


@pytest.mark.parametrize("form", ["{} ({})", "{}[{}]"])
def test_units_in_the_headers_of_a_wide_table(form):
    names = [form.format(f"{s}_{p}", u) for s in "ab" for p, u in (("NO2", "ppb"), ("PM2.5", "µg/m³"))]
    ds = xaq.open_stations(pd.DataFrame({"time": HOURS, **{n: float(i) for i, n in enumerate(names)}}), **OPTIONS)
    assert ds.no2.attrs["units"] == "1e-9"
    assert ds.pm25.attrs["units"] == "ug m-3"
    assert ds.no2.values[:, 0].tolist() == [0, 2]


def after_advice(table, **options):
    with pytest.raises(SchemaError) as raised:
        xaq.open_stations(table, **OPTIONS, **options)
    made = {"table": table.copy()}
    exec(re.search(r"(table = .*)$", str(raised.value))[1], made)
    return xaq.open_stations(made["table"], **OPTIONS, **options)


def test_the_fix_for_several_units_has_the_names_and_entries_of_the_table():
    table = pd.DataFrame({
        "site": np.repeat(["a", "b"], 24), "time": [*HOURS, *HOURS], "species": "NO2", "value": 1.0, "unit": ["ppb"] * 24 + ["ppm"] * 24,
    })  # fmt: skip
    more = table.assign(species="CO", unit="ppm")
    ds = after_advice(pd.concat([table, more], ignore_index=True))
    assert ds.no2.attrs["units"] == "1e-9"
    assert ds.co.attrs["units"] == "1e-6"
    assert ds.no2.notnull().sum() == 24
    assert ds.co.notnull().sum() == 48


def test_the_fix_for_a_station_without_a_place_in_a_wide_table():
    table = pd.DataFrame({"time": HOURS, "a_NO2 (ppb)": 1.0, "c_NO2 (ppb)": 2.0})
    assert after_advice(table).station.values.tolist() == ["a"]


def no2_in_header(values=40.0):
    return pd.DataFrame({
        "station": np.repeat(["a", "b"], 24), "time": [*HOURS, *HOURS], "NO2 (ug/m3)": values,
    })  # fmt: skip


def test_units_that_contradict_the_stated_ones_are_said_and_recorded():
    with pytest.warns(
        XaqWarning,
        match=r"states ug m-3 of no2, and units= says 'ppb', .*not converted; fix: leave units= out and, .*; nothing where",
    ) as caught:
        ds = xaq.open_stations(no2_in_header(), units={"no2": "ppb"}, **OPTIONS)
    assert len(caught) == 1
    assert (ds.no2.attrs["units"], float(ds.no2[0, 0])) == ("1e-9", 40)
    assert "xaq open_stations: no2 is in 1e-9 by units=, values not converted (stated: ug m-3)" in ds.attrs["history"]
    call = re.search(r"call (ds\.aq\.convert_units\(.*?\))", str(caught[0].message))[1]
    meant = eval(call, {"ds": xaq.open_stations(no2_in_header(), **OPTIONS)})
    assert meant.no2.attrs["units"] == "1e-9"
    assert float(meant.no2[0, 0]) == pytest.approx(20.9, abs=0.1)


def test_units_in_another_spelling_or_that_were_assumed_contradict_nothing(recwarn):
    xaq.open_stations(no2_in_header(), units={"no2": "µg/m³"}, **OPTIONS)
    table = no2_in_header().rename(columns={"NO2 (ug/m3)": "pm10"})
    assumed = xaq.open_stations(table, **OPTIONS)
    ds = xaq.open_stations(assumed, units={"pm10": "mg m-3"})
    assert ds.pm10.attrs["units"] == "mg m-3"
    assert "units_note" not in ds.pm10.attrs
    assert not len(recwarn)


def test_the_standard_name_follows_the_units_of_the_caller():
    stated = xaq.open_stations(no2_in_header(), **OPTIONS)
    with pytest.warns(XaqWarning, match="states ug m-3 of no2"):
        ds = xaq.open_stations(stated, units="ppb")
    assert ds.no2.attrs["standard_name"] == "mole_fraction_of_nitrogen_dioxide_in_air"
