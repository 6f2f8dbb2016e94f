"""Daily files of Chinese networks: particles and gases of a day in two files, error pages among downloads."""

import gzip

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError

PLACES = pd.DataFrame({"station": ["东四", "天坛"], "lon": [116.4, 116.5], "lat": [39.9, 39.8]})


def day(kinds, date="20160102", first=0):
    rows = [f"{date},{h},{kind},{first + h},{2 * h}" for h in range(24) for kind in kinds]
    return "\n".join(["date,hour,type,东四,天坛", *rows]) + "\n"


def test_particles_and_gases_of_a_day_in_two_files(tmp_path):
    (tmp_path / "beijing_all_20160102.csv").write_text(day(["PM2.5", "PM2.5_24h", "AQI"]))
    (tmp_path / "beijing_extra_20160102.csv").write_text(day(["O3", "CO", "O3_8h"], first=100))
    ds = xaq.open_stations(tmp_path, stations=PLACES)
    assert set(ds.data_vars) == {"pm25", "o3", "co"}
    assert ds.pm25.sel(station="东四").values.tolist() == list(range(24))
    assert ds.o3.sel(station="东四").values.tolist() == list(range(100, 124))
    assert str(ds.time.values[0]) == "2016-01-01T16:00:00"
    assert (ds.o3.attrs["units"], ds.co.attrs["units"]) == ("ug m-3", "mg m-3")


def test_one_pollutant_of_a_day_in_two_files_is_refused(tmp_path):
    (tmp_path / "beijing_all_20160102.csv").write_text(day(["PM2.5", "PM10"]))
    (tmp_path / "beijing_extra_20160102.csv").write_text(day(["O3", "PM2.5"]))
    text = "beijing_all_20160102.csv and beijing_extra_20160102.csv both hold pm25 of 2016-01-02; fix: keep one"
    with pytest.raises(SchemaError, match=text):
        xaq.open_stations(tmp_path, stations=PLACES)


def test_error_pages_are_named_and_a_gzip_of_another_name_is_read(tmp_path):
    names = [f"beijing_all_2016010{i}.csv" for i in range(1, 5)]
    (tmp_path / names[0]).write_text(day(["PM2.5"], "20160101"))
    (tmp_path / names[1]).write_bytes(gzip.compress(day(["PM2.5"]).encode()))
    for name in names[2:]:
        (tmp_path / name).write_text("<html><h1>Not Found</h1></html>")
    with pytest.raises(
        SchemaError,
        match=r"2 of 4 files cannot be read: beijing_all_20160103.csv cannot be .* a web page; beijing_all_2016",
    ) as raised:
        xaq.open_stations(tmp_path, stations=PLACES)
    assert str(names[2:]) in str(raised.value)
    ds = xaq.open_stations([tmp_path / name for name in names[:2]], stations=PLACES)
    assert ds.sizes["time"] == 48
    assert np.isfinite(ds.pm25.values).all()


def test_sentinels_and_limits_of_detection(tmp_path):
    text = day(["PM2.5"]).replace("PM2.5,3,6", "PM2.5,-999,6").replace("PM2.5,4,8", "PM2.5,<5,8")
    (tmp_path / "beijing_all_20160102.csv").write_text(text)
    ds = xaq.open_stations(tmp_path, stations=PLACES, na_values=-999, censored="half")
    found = ds.pm25.sel(station="东四").values
    assert np.isnan(found[3])
    assert found[4] == 2.5
    assert "1 values are missing" in ds.attrs["history"]
