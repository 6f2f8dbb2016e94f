"""PM2.5 above PM10: exchanged columns and single stations are found, the noise of real networks is not."""

import numpy as np
import pytest

import xaq


@pytest.fixture
def network():
    ds = xaq.datasets.synthetic(n_stations=8, days=4)
    rng = np.random.default_rng(0)
    # As in Beijing: PM2.5 is above PM10 at 9 % of the steps.
    share = np.where(rng.random(ds.pm25.shape) < 0.09, 1.2, 0.6)
    return ds.assign(pm10=(ds.pm25 / share).assign_attrs(ds.pm25.attrs, long_name="PM10 concentration"))


def found(ds):
    report = ds.aq.check()
    return report[report.problem == "above_pm10"]


def test_noise_is_not_reported_and_exchanged_columns_are_with_a_fix_that_exchanges_them(network):
    assert found(network).empty
    wrong = network.assign(
        pm25=network.pm10.assign_attrs(network.pm25.attrs), pm10=network.pm25.assign_attrs(network.pm10.attrs)
    )
    (row,) = found(wrong).itertuples()
    assert (row.severity, row.variable, row.count, row.fraction) == ("warning", "pm25", 8, 1.0)
    call, _, words = row.fix.partition(", if")
    fixed = eval(call, {"ds": wrong})
    assert words
    assert found(fixed).empty
    np.testing.assert_array_equal(fixed.pm25, network.pm25)
    assert fixed.pm25.attrs == network.pm25.attrs


def test_single_stations_are_left_out_by_the_fix(network):
    wrong = network.copy(deep=True)
    wrong.pm25[2:4] = wrong.pm10[2:4] * 1.5
    (row,) = found(wrong).itertuples()
    assert (row.count, row.examples) == (2, "s002, s003")
    assert found(eval(row.fix, {"ds": wrong})).empty


def test_units_are_compared_and_few_steps_are_not(network):
    milli = network.assign(pm10=(network.pm10 / 1000).assign_attrs(units="mg m-3"))
    assert found(milli).empty
    wrong = network.assign(pm10=(network.pm25 * 0.5).assign_attrs(network.pm10.attrs))
    assert len(found(wrong)) == 1
    assert found(wrong.isel(time=slice(0, 20))).empty
    wrong.pm10.attrs.pop("units")
    assert found(wrong).empty


@pytest.mark.parametrize(
    ("folder", "options"),
    [("krakow_airly_2017", {"tz": "UTC"}), ("beijing12", {"tz": "Asia/Shanghai", "units": dict.fromkeys(("so2", "no2", "co", "o3"), "ug/m3")})],
)  # fmt: skip
def test_real_networks_are_told_from_exchanged_ones(folder, options, shared_data):
    ds = xaq.open_stations(
        shared_data / folder / "obs.parquet", stations=shared_data / folder / "stations.csv", **options
    )
    ds = ds[["pm25", "pm10"]].isel(time=slice(0, 24 * 60))
    assert found(ds).empty
    assert found(ds.rename(pm25="pm10", pm10="pm25"))["count"].item() >= 12
