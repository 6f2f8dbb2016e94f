"""The order of day and month in files that are opened together: that of each file, never that of another one."""

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError

PLACES = pd.DataFrame({"station": ["a"], "lon": [10.0], "lat": [50.0]})


def written(path, days, how):
    times = pd.date_range(days, periods=24, freq="h")
    pd.DataFrame({"station": "a", "time": times.strftime(how), "pm25": np.arange(24.0)}).to_csv(path, index=False)
    return path


def opened(*paths):
    return xaq.open_stations(list(paths), stations=PLACES, tz="UTC")


@pytest.mark.parametrize(("first", "second"), [("13/01/2020", "01/14/2020"), ("01/13/2020", "14/01/2020")])
def test_each_file_has_its_own_order(tmp_path, first, second):
    orders = ["%d/%m/%Y %H:%M" if text[:2] > "12" else "%m/%d/%Y %H:%M" for text in (first, second)]
    one, two = (written(tmp_path / f"{i}.csv", f"2020-01-{13 + i}", how) for i, how in enumerate(orders))
    ds = opened(one, two)
    np.testing.assert_array_equal(ds.time, pd.date_range("2020-01-13", periods=48, freq="h"))


def test_a_file_that_does_not_show_its_order_is_refused_by_name(tmp_path):
    one = written(tmp_path / "one.csv", "2020-01-13", "%d/%m/%Y %H:%M")
    two = written(tmp_path / "two.csv", "2020-01-11", "%m/%d/%Y %H:%M")
    with pytest.raises(SchemaError, match=r"two\.csv.*'01/11/2020 00:00' may be day/month or month/day"):
        opened(one, two)


def test_files_of_days_first_and_of_iso_dates_and_24_hours(tmp_path):
    one = written(tmp_path / "one.csv", "2020-01-13", "%d.%m.%Y %H:%M")
    two = written(tmp_path / "two.csv", "2020-01-14", "%Y-%m-%d %H:%M")
    np.testing.assert_array_equal(opened(one, two).time, pd.date_range("2020-01-13", periods=48, freq="h"))


def test_the_format_of_the_fix_reads_the_dates(tmp_path):
    days = pd.DataFrame({"station": "a", "time": ["01/01/2020", "02/01/2020", "03/01/2020"], "pm25": [1.0, 2.0, 3.0]})
    with pytest.raises(SchemaError, match=r"'02/01/2020' may be.*fix: table\['time'\] = .*format='%d/%m/%Y'\)"):
        xaq.open_stations(days, stations=PLACES)
