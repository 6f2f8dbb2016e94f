"""EBAS: NASA-Ames files made in the form of the real ones."""

import numpy as np
import pandas as pd
import pytest
from made import ebas_header

from xaq.errors import SchemaError
from xaq.readers.dispatch import open_stations

EC = "elemental_carbon, ug C/m3, Detection limit=0.04 ug C/m3"


def write(folder, rows, *, station="XX0002R", resolution="1d", variables=(EC,), name=None, replace=()):
    text = ebas_header(station, 6.9, 46.8, resolution, variables)
    for old, new in replace:
        assert old in text
        text = text.replace(old, new)
    path = folder / f"{name or station}.nas"
    path.write_text(text + "\n".join(rows) + "\n")
    return path


def days(values, flags=None):
    flags = flags or ["0.000"] * len(values)
    return [f"{i} {i + 1} {v} {f}" for i, (v, f) in enumerate(zip(values, flags, strict=True))]


def test_values_place_units_and_names(tmp_path):
    ds = open_stations(write(tmp_path, days([0.15, 0.22, 0.69])))
    assert list(ds.data_vars) == ["elemental_carbon_pm25"]
    assert ds.elemental_carbon_pm25.attrs["units"] == "ug m-3"
    np.testing.assert_allclose(ds.elemental_carbon_pm25.values, [[0.15, 0.22, 0.69]], rtol=1e-6)
    assert ds.time.values.astype("datetime64[D]").astype(str).tolist() == ["2019-01-01", "2019-01-02", "2019-01-03"]
    assert [ds[c].item() for c in ("lon", "lat", "elevation")] == [6.9, 46.8, 489.0]
    assert [ds[c].item() for c in ("area", "instrument", "station_name")] == ["rural", "bam_XX0002R", "Town of XX0002R"]


@pytest.mark.parametrize(
    ("flag", "counts"),
    [("0.000", True), ("0.147780000", True), ("0.78", True), ("0.456", False), ("0.780999", False), ("0.459100", True), ("0.100999", False),
     ("0.389", False), ("0.388", True), ("0.123", False)],
)  # fmt: skip
def test_flags(tmp_path, flag, counts):
    ds = open_stations(write(tmp_path, days([1.0, 2.0, 3.0], ["0.000", flag, "0.000"])))
    assert ds.elemental_carbon_pm25.notnull().values[0].tolist() == [True, counts, True]
    assert ("1 value(s) of elemental_carbon with flags of invalid data" in ds.attrs.get("history", "")) != counts


def test_a_flag_column_belongs_to_the_variables_before_it(tmp_path):
    variables = ("ozone, ug/m3", "numflag ozone, no unit", "carbon_monoxide, nmol/mol", EC)
    rows = [f"{i} {i + 1} {50 + i} {flag} 120 0.5 0.000" for i, flag in enumerate(["0.000", "0.456", "0.000"])]
    ds = open_stations(write(tmp_path, rows, variables=variables))
    assert ds.o3.notnull().values[0].tolist() == [True, False, True]
    assert ds.co.notnull().all()
    assert ds.co.attrs["units"] == "1e-9"


def test_missing_codes_uncertainties_and_fractions(tmp_path):
    variables = (EC, "elemental_carbon, ug C/m3, Statistics=uncertainty", "organic_carbon, ug C/m3, Fraction=OC1")
    rows = [f"{i} {i + 1} {value} 0.01 3.5 0.000" for i, value in enumerate(["0.5", "9999.999", "0.7"])]
    ds = open_stations(write(tmp_path, rows, variables=variables))
    assert list(ds.data_vars) == ["elemental_carbon_pm25"]
    assert ds.elemental_carbon_pm25.notnull().values[0].tolist() == [True, False, True]
    assert "not read: elemental_carbon, Statistics=uncertainty, organic_carbon, Fraction=OC1" in ds.attrs["history"]


def test_gases_given_as_mass_of_nitrogen_or_sulfur(tmp_path):
    variables = ("nitrogen_dioxide, ug N/m3", "sulphur_dioxide, ug S/m3", "sulphate_total, ug S/m3")
    ds = open_stations(write(tmp_path, [f"{i} {i + 1} 1 1 1 0.000" for i in range(3)], variables=variables))
    assert ds.no2.values[0, 0] == pytest.approx(46.006 / 14.007)
    assert ds.so2.values[0, 0] == pytest.approx(64.064 / 32.06)
    assert ds.sulphate_total_pm25.attrs["units"] == "ug S/m3"
    assert ds.sulphate_total_pm25.values[0, 0] == 1


def test_a_clock_that_is_late_and_a_sample_cut_short(tmp_path):
    starts = 0.916969 + np.arange(5) * 4 / 24
    rows = [f"{s:.6f} {s + 0.1528:.6f} {v} 0.000" for s, v in zip(starts, [1, 2, 3, 4, 5], strict=True)]
    ds = open_stations(write(tmp_path, rows, resolution="4h"))
    assert str(ds.time.values[0]) == "2019-01-01T22:00:00"
    assert ds.elemental_carbon_pm25.values.tolist() == [[1, 2, 3, 4, 5]]
    rows[2] = f"{starts[2]:.6f} {starts[2] + 0.05:.6f} 3 0.000"
    with pytest.warns(UserWarning, match="less than 75% of their step of 4h"):
        ds = open_stations(write(tmp_path, rows, resolution="4h"))
    assert ds.elemental_carbon_pm25.isnull().values[0].tolist() == [False, False, True, False, False]


def test_several_resolutions_need_a_step_and_the_advice_works(tmp_path):
    write(tmp_path, days([1.0, 2.0, 3.0]))
    halves = [f"{0.75 + i / 2} {1.25 + i / 2} {v} 0.000" for i, v in enumerate([4, 8, 12, 16])]
    write(tmp_path, halves, station="YY0001R", resolution="12h")
    with pytest.raises(SchemaError, match=r"12h of YY0001R, 1D of XX0002R; expected one; fix: step='1D'"):
        open_stations(tmp_path)
    ds = open_stations(tmp_path, step="1D")
    assert ds.elemental_carbon_pm25.sel(station="XX0002R").values.tolist() == [1, 2, 3]
    # Of the second day: 6 hours of 4, 12 of 8 and 6 of 12; of the first a quarter, of the third three quarters.
    expected = [np.nan, (6 * 4 + 12 * 8 + 6 * 12) / 24, (6 * 12 + 12 * 16) / 18]
    np.testing.assert_allclose(ds.elemental_carbon_pm25.sel(station="YY0001R").values, expected)


def test_samples_one_day_in_four_stay_days(tmp_path):
    rows = [f"{4 * i} {4 * i + 1} {i} 0.000" for i in range(10)]
    for options in ({}, {"step": "1D"}):
        ds = open_stations(write(tmp_path, rows), **options)
        assert ds.sizes["time"] == 37
        assert ds.elemental_carbon_pm25.values[0, ::4].tolist() == list(range(10))


def test_two_instruments_of_one_station(tmp_path):
    write(tmp_path, days([1.0, 2.0]), name="a")
    write(tmp_path, days([5.0, 6.0]), name="b", replace=[("bam_XX0002R", "teom")])
    ds = open_stations(tmp_path)
    assert ds.station.values.tolist() == ["XX0002R", "XX0002R-teom"]
    assert ds.elemental_carbon_pm25.values.tolist() == [[1, 2], [5, 6]]


DAMAGES = {
    "no NASA-Ames": ([], lambda text: "station;time\n" + text, "is no NASA-Ames file"),
    "no data": ([], lambda text: text, "is no NASA-Ames file of EBAS with data"),
    "a header cut short": (days([1.0]), lambda text: text.replace("EMEP\n", ""), "header"),
    "a column too many": (["0 1 2 3 0.000"], lambda text: text, "4 columns beside the time, and a header of 3"),
    "no number": (["0 1 x 0.000"], lambda text: text, "is not numbers: '0 1 x 0.000'"),
    "local time": (days([1.0]), lambda text: text.replace("Timezone: UTC", "Timezone: CET"), "time zone 'CET', expected UTC"),
    "months": (days([1.0]), lambda text: text.replace("code: 1d", "code: 1mo"), "resolution '1mo', expected one of minutes to weeks"),
    "no mean": (days([1.0]), lambda text: text.replace("Detection limit=0.04 ug C/m3", "Statistics=median"), "no variable with means"),
    "a comma in a place": (days([1.0]), lambda text: text.replace("latitude: 46.8", "latitude: 46,8"), "'Station latitude: 46,8', expected a number"),
    "no place": (days([1.0]), lambda text: text.replace("longitude: 6.9", "longitude: n/a"), "'Station longitude: n/a', expected a number"),
    "no station": (days([1.0]), lambda text: text.replace("Station code: XX0002R", "Station code:"), "header has no Station code"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_wrong_with_a_file(tmp_path, name):
    rows, change, message = DAMAGES[name]
    path = write(tmp_path, rows)
    path.write_text(change(path.read_text()))
    with pytest.raises(SchemaError, match=message):
        open_stations(path)


def test_a_frame_is_no_file():
    with pytest.raises(SchemaError, match="is read from files"):
        open_stations(pd.DataFrame({"a": [1]}), format="ebas")


def test_files_of_one_station_in_two_units_or_at_two_places(tmp_path):
    ozone = ("ozone, nmol/mol",)
    write(tmp_path, days([30.0, 31.0]), variables=ozone, name="a")
    later = write(tmp_path, ["2 3 60 0.000", "3 4 61 0.000"], variables=("ozone, ug/m3",), name="b")
    with pytest.raises(SchemaError, match="o3 comes in several units"):
        open_stations(tmp_path)
    later.unlink()
    write(tmp_path, ["2 3 60 0.000"], variables=ozone, name="b", replace=[("latitude: 46.8", "latitude: 47.8")])
    with pytest.raises(
        SchemaError, match=r"1 station\(s\) have several places: XX0002R; lat of XX0002R is 46.8 and 47.8"
    ):
        open_stations(tmp_path)
    places = pd.DataFrame({"station": ["XX0002R"], "lon": [6.9], "lat": [46.8]})
    assert open_stations(tmp_path, stations=places).o3.values.tolist() == [[30, 31, 60]]


def test_columns_are_named_by_the_format(tmp_path):
    path = write(tmp_path, days([1.0, 2.0]))
    with pytest.raises(
        SchemaError,
        match=r"columns= names 'organic' \(for pm25\), which is not used: .*fix: leave pm25 out of columns=",
    ):
        open_stations(path, columns={"pm25": "organic"})
    places = pd.DataFrame({"code": ["XX0002R"], "lon": [6.9], "lat": [46.8]})
    assert open_stations(path, stations=places, columns={"station": "code"}).sizes["time"] == 2
