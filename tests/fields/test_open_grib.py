"""GRIB files, written here by ecCodes and opened by cfgrib, where both are installed."""

import numpy as np
import pytest

import xaq

eccodes = pytest.importorskip("eccodes", reason="ecCodes is not installed: pip install cfgrib", exc_type=ImportError)
pytest.importorskip("cfgrib", reason="cfgrib is not installed: pip install cfgrib", exc_type=ImportError)
DAY, HOUR = np.datetime64("2020-01-01", "s"), np.timedelta64(3600, "s")


def write(path, messages):
    """Write messages on 3 x 4 points of half a degree, each with one value everywhere."""
    grid = {
        "Ni": 4, "Nj": 3, "latitudeOfFirstGridPointInDegrees": 51.0, "latitudeOfLastGridPointInDegrees": 50.0,
        "longitudeOfFirstGridPointInDegrees": 8.0, "longitudeOfLastGridPointInDegrees": 9.5,
        "iDirectionIncrementInDegrees": 0.5, "jDirectionIncrementInDegrees": 0.5,
    }  # fmt: skip
    with path.open("wb") as file:
        for value, keys in messages:
            message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
            for key, setting in (grid | keys).items():
                eccodes.codes_set(message, key, setting)
            eccodes.codes_set_values(message, np.full(12, float(value)))
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)


def hours_of(field):
    return (field.time.values.astype("datetime64[s]") - DAY) / HOUR


def test_two_variables_of_a_reanalysis(tmp_path):
    both = [(280 + h, 167) for h in range(3)] + [(h, 165) for h in range(3)]
    messages = [(v, {"dataDate": 20200101, "dataTime": 100 * (i % 3), "paramId": p}) for i, (v, p) in enumerate(both)]
    write(tmp_path / "era5.grib", messages)
    ds = xaq.open_field(tmp_path / "era5.grib", ["t2m", "u10"])
    assert ds.t2m.dims == ("time", "lat", "lon")
    np.testing.assert_array_equal(hours_of(ds), [0, 1, 2])
    np.testing.assert_allclose(ds.t2m[:, 0, 0], [280, 281, 282])
    np.testing.assert_allclose(ds.u10[:, 0, 0], [0, 1, 2])
    assert [p.name for p in tmp_path.iterdir()] == ["era5.grib"]


def test_one_time_is_still_a_time(tmp_path):
    write(tmp_path / "one.grib", [(280, {"dataDate": 20200101, "dataTime": 0, "paramId": 167})])
    assert xaq.open_field(tmp_path / "one.grib").dims == ("time", "lat", "lon")


def test_hourly_sums_begin_with_their_hour(tmp_path):
    keys = {"dataDate": 20200101, "dataTime": 600, "paramId": 228, "timeRangeIndicator": 4}
    write(tmp_path / "tp.grib", [(end, keys | {"P1": end - 1, "P2": end}) for end in (1, 2, 3)])
    field = xaq.open_field(tmp_path / "tp.grib")
    np.testing.assert_array_equal(hours_of(field), [6, 7, 8])
    np.testing.assert_allclose(field[:, 0, 0], [1, 2, 3])


def test_forecasts_overlap(tmp_path):
    runs = [
        (10 * day + step, {"dataDate": 20200101 + day, "dataTime": 0, "stepRange": step, "paramId": 210073})
        for day in (0, 1)
        for step in (0, 12, 24)
    ]
    write(tmp_path / "fc.grib", [(v * 1e-9, k) for v, k in runs])
    field = xaq.open_field(tmp_path / "fc.grib")
    assert (field.name, field.attrs["units"]) == ("pm25", "ug m-3")
    np.testing.assert_array_equal(hours_of(field), [0, 12, 24, 36, 48])
    np.testing.assert_allclose(field[:, 0, 0], [0, 12, 10, 22, 34], rtol=1e-5)
