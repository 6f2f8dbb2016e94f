"""CF bounds of time say of which interval a mean is: its label becomes the start of it, wherever the file puts the label."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fixes import fix_of

import xaq
from xaq.errors import SchemaError, XaqWarning

STARTS = pd.date_range("2020-01-01", periods=5, freq="D").to_numpy()
DAY, HOUR, HALF = np.timedelta64(24, "h"), np.timedelta64(1, "h"), np.timedelta64(30, "m")


def means(times, starts=STARTS, ends=None, method="time: mean"):
    """Return a field whose value is the number of its interval, with bounds of time."""
    ends = starts + (starts[1] - starts[0]) if ends is None else ends
    values = np.broadcast_to(np.arange(len(times), dtype="f4")[:, None, None], (len(times), 9, 9))
    attrs = {"units": "m", "cell_methods": method}
    return xr.Dataset(
        {"blh": (("time", "lat", "lon"), values, attrs), "time_bnds": (("time", "bnds"), np.stack([starts, ends], 1))},
        {
            "time": ("time", times, {"standard_name": "time", "bounds": "time_bnds"}),
            "lat": np.arange(36.0, 45.0),
            "lon": np.arange(112.0, 121.0),
        },
    )


HOURS = pd.date_range("2020-01-01", periods=48, freq="h").to_numpy()
MONTHS = pd.date_range("2020-01-01", periods=5, freq="MS").to_numpy()
#: How files label intervals: the times in the file, the starts and the ends.
LABELS = {
    "the middle of days": (STARTS + 12 * HOUR, STARTS, None),
    "the end of days": (STARTS + DAY, STARTS, None),
    "the start of days": (STARTS, STARTS, None),
    "the middle of hours": (HOURS + HALF, HOURS, None),
    "the last hour, as cdo does": (STARTS + 23 * HOUR, STARTS, STARTS + 23 * HOUR),
    "the middle of months": (MONTHS[:-1] + 15 * DAY, MONTHS[:-1], MONTHS[1:]),
    "rounded hours": (HOURS + HALF + np.timedelta64(13, "us"), HOURS, None),
}


@pytest.mark.parametrize("opened", [False, True], ids=["in memory", "file"])
@pytest.mark.parametrize("label", LABELS)
def test_a_mean_is_labelled_with_its_start(label, opened, tmp_path):
    times, starts, ends = LABELS[label]
    source = means(times, starts, ends)
    if opened:
        source.to_netcdf(tmp_path / "means.nc", encoding={"time": {"units": "hours since 2019-01-01", "dtype": "f8"}})
        source = tmp_path / "means.nc"
    made = xaq.open_field(source)
    np.testing.assert_array_equal(made.time.values, starts)
    assert ("start of the interval" in made.attrs.get("history", "")) == (label != "the start of days")
    np.testing.assert_array_equal(made[:, 0, 0], np.arange(len(starts)))


def test_a_day_is_sampled_at_its_own_stations(stations):
    noon = means(HOURS + HALF, HOURS)
    for field in (noon, xaq.open_field(noon)):
        made = stations.aq.sample(field, name="blh")
        np.testing.assert_allclose(made.blh.isel(station=0), np.arange(48), atol=1e-5)


@pytest.mark.parametrize(
    "ds",
    [
        means(STARTS + 12 * HOUR, method="time: point"),
        means(HOURS, HOURS - 7 * HOUR, HOURS + HOUR),  # running means of 8 hours
        means(STARTS + 36 * HOUR),  # beside their intervals
    ],
    ids=["instants", "running means", "beside"],
)
def test_times_whose_bounds_are_no_steps_stay(ds):
    made = xaq.open_field(ds)
    np.testing.assert_array_equal(made.time, ds.time)
    assert "bounds" not in made.time.attrs


def test_single_days_are_joined_at_their_starts():
    whole = means(STARTS + 12 * HOUR)
    parts = [whole.isel(time=[2]), whole.isel(time=1), whole.isel(time=[0])]
    np.testing.assert_array_equal(xaq.open_field(parts).time, STARTS[:3])


def test_leads_begin_as_much_earlier():
    ds = means(HOURS + HALF, HOURS)
    ds = ds.assign_coords(forecast_period=("time", np.arange(48) + 0.5, {"units": "hours"}))
    np.testing.assert_array_equal(xaq.open_field(ds).forecast_period, np.arange(48) * HOUR)


def test_sums_of_ecmwf_with_bounds_are_moved_once():
    ds = means(HOURS + HOUR, HOURS, method="time: sum").rename(blh="tp")
    ds.tp.attrs["units"] = "kg m**-2"
    np.testing.assert_array_equal(xaq.open_field(ds).time, HOURS)


def test_instants_beside_means_are_refused_with_both_calls():
    ds = means(STARTS + 12 * HOUR)
    ds["t2m"] = ds.blh.assign_attrs(cell_methods="time: point")
    with pytest.raises(SchemaError, match="blh is of the interval before each time and t2m of the instant") as error:
        xaq.open_field(ds)
    instants, averages = (eval(call, {"xaq": xaq, "ds": ds}) for call in fix_of(error.value).split(" and "))
    np.testing.assert_array_equal(instants.time, STARTS + 12 * HOUR)
    np.testing.assert_array_equal(averages.time, STARTS)


# -- without bounds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["1h", "1D"])
def test_times_between_those_of_the_stations_give_a_warning_whose_fix_works(unit):
    ds = xaq.datasets.synthetic(n_stations=6, days=4, step=unit)
    step = ds.time.values[1] - ds.time.values[0]
    times = np.append(ds.time.values[0] - step, ds.time.values) + step / 2
    axes = {"time": times, "lat": np.linspace(46, 54, 8), "lon": np.linspace(6, 14, 8)}
    values = np.broadcast_to(np.arange(len(times), dtype="f4")[:, None, None], (len(times), 8, 8))
    field = xr.DataArray(values, axes, tuple(axes), "blh")
    with pytest.warns(XaqWarning, match="after those of the stations, at the same step") as caught:
        ds.aq.sample(field)
    fix = str(caught[0].message).partition("fix: ")[2].partition(", if")[0]
    assert {"1h": "np.timedelta64(1800, 's')", "1D": "np.timedelta64(12, 'h')"}[unit] in fix
    with warnings.catch_warnings():
        warnings.simplefilter("error", XaqWarning)
        made = ds.aq.sample(eval(fix, {"field": field, "np": np}))
    np.testing.assert_allclose(made.blh.isel(station=0), np.arange(ds.sizes["time"]) + 1.0, atol=1e-5)


@pytest.mark.parametrize(
    ("hours", "attrs", "said"),
    [
        (3, {"cell_methods": "time: mean"}, True),
        (3, {"history": "xaq open_field: means labelled with the start of the interval"}, True),
        (3, {}, False),
        (24, {}, True),
        (24, {"cell_methods": "time: point"}, False),
    ],
)
def test_means_over_longer_steps_give_a_warning_whose_fix_centres_them(hours, attrs, said):
    ds = xaq.datasets.synthetic(n_stations=6, days=4)
    times = pd.date_range("2019-12-31", periods=6 * 24 // hours, freq=f"{hours}h")
    axes = {"time": times, "lat": np.linspace(46, 54, 8), "lon": np.linspace(6, 14, 8)}
    # Means over steps of a quantity that grows by one in an hour.
    means_of_steps = np.arange(len(times), dtype="f4") * hours + hours / 2
    values = np.broadcast_to(means_of_steps[:, None, None], (len(times), 8, 8))
    field = xr.DataArray(values, axes, tuple(axes), "blh", attrs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", XaqWarning)
        ds.aq.sample(field)
    assert [w.category for w in caught] == [XaqWarning] * said
    if said:
        fix = str(caught[0].message).partition("fix: ")[2].partition(", of")[0]
        with warnings.catch_warnings():
            warnings.simplefilter("error", XaqWarning)
            made = ds.aq.sample(eval(fix, {"field": field, "np": np}))
        hourly = (ds.time.values - times.to_numpy()[0]) / HOUR + 0.5
        np.testing.assert_allclose(made.blh.isel(station=0), hourly, rtol=1e-5)
