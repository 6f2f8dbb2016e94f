"""Columns that the caller names for formats with columns of their own: used, or refused, never ignored."""

import pytest

import xaq
from tests.made import MAKERS
from xaq.errors import SchemaError

#: A column that files of each format have, for a role that its reader takes from another column.
OWN = {
    "china_sites": {"time": "date"},
    "airnow_monitors": {"station": "sitename"},
    "airnow_sites": {"pm25": "PM25"},
    "eea_parquet": {"time": "End"},
    "eea_csv": {"station": "AirQualityStationEoICode"},
    "openaq_archive": {"station": "location"},
    "sensor_community": {"pm25": "P1"},
    "aqs_hourly": {"time": "Date Local"},
    "purpleair": {"time": "time_stamp"},
    "ebas": {"pm25": "pm25"},
}


@pytest.mark.parametrize("name", OWN)
def test_a_column_that_is_not_used_is_refused(name, tmp_path):
    made, (role, column) = MAKERS[name](tmp_path), *OWN[name].items()
    with pytest.raises(
        SchemaError, match=rf"columns= names '{column}' \(for {role}\), which is not used: .*; fix: leave {role} out"
    ):
        xaq.open_stations(made.source, columns=OWN[name], **made.options)


def test_a_column_of_the_station_list_is_used(tmp_path):
    made = MAKERS["china_sites"](tmp_path)
    places = made.options["stations"].rename(columns={"lon": "x", "lat": "y"})
    ds = xaq.open_stations(made.source, stations=places, columns={"lon": "x", "lat": ["north", "y"]})
    assert ds.identical(xaq.open_stations(made.source, **made.options))
