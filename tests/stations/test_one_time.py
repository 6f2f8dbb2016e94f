"""A time means the same in every form in which users have one: text, a coordinate's entry, with a time zone."""

import datetime
import re

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError
from xaq.stations import schema

FORMS = {
    "entry of a coordinate": lambda ds: ds.time[5],
    "its value": lambda ds: ds.time.values[5],
    "array without dimensions": lambda ds: np.array(ds.time.values[5]),
    "text": lambda ds: "2020-01-01T05:00",
    "text in UTC": lambda ds: "2020-01-01T05:00Z",
    "text with an offset": lambda ds: "2020-01-01T13:00+08:00",
    "Timestamp": lambda ds: pd.Timestamp("2020-01-01T05"),
    "Timestamp with a time zone": lambda ds: pd.Timestamp("2020-01-01T06", tz="Europe/Berlin"),
    "datetime": lambda ds: datetime.datetime(2020, 1, 1, 5),
    "datetime with a time zone": lambda ds: datetime.datetime(2020, 1, 1, 5, tzinfo=datetime.UTC),
}


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=5, days=2)


@pytest.mark.parametrize("form", FORMS)
def test_one_time_in_any_form_is_that_step(network, form):
    time, step = FORMS[form](network), np.datetime64("2020-01-01T05", "ns")
    assert (schema.select_period(network, time).time.values == [step]).all()
    later = schema.select_period(network, slice(time, "2020-01-01T07")).time.values
    assert (later[0], len(later)) == (step, 3)
    assert network.aq.reanalyze("idw", grid=1.0, time=time).sizes["time"] == 1


def test_text_that_names_a_day_still_is_the_day(network):
    assert schema.select_period(network, "2020-01-02").sizes["time"] == 24


@pytest.mark.parametrize("wrong", [object(), "no time", 5, np.datetime64("NaT")])
def test_what_is_no_time_is_refused_in_few_words(network, wrong):
    with pytest.raises(SchemaError, match=r"fix: time=") as caught:
        schema.select_period(network, wrong)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("written", ["08.01.2020", "8/1/2020 06:00", "08-01-2020"])
def test_a_date_with_its_year_last_is_refused_with_the_day_that_it_may_be(written):
    """pandas takes it for the first of August."""
    ds = xaq.datasets.synthetic(n_stations=4, days=12)
    with pytest.raises(SchemaError, match="year last") as caught:
        ds.aq.estimate("idw", lon=[10.0], lat=[50.0], time=written)
    advice = re.search(r"fix: '([^']*)'", str(caught.value)).group(1)
    made = ds.aq.estimate("idw", lon=[10.0], lat=[50.0], time=advice)
    assert str(made.time.values[0])[:10] == "2020-01-08"
