"""The reliability of means: coverage counted by hand, and what has none."""

import figures
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from xaq import datasets, plot
from xaq.errors import ModelError, SchemaError
from xaq.plot.means import draw_coverage

forecast, closed = figures.forecast, figures.closed
LEVELS = np.array([0.5, 0.8])


@pytest.fixture(scope="module")
def ds():
    return datasets.synthetic(n_stations=16, days=8).aq.hide(fraction=0.2, seed=1)


def ensemble(spread, n_station=400, seed=0):
    """Return members of unit spread and truths of another, ``(member, time, station)`` and ``(station, time)``."""
    rng = np.random.default_rng(seed)
    members = xr.DataArray(rng.normal(size=(200, 3, n_station)), dims=("member", "time", "station"))
    return members, xr.DataArray(spread * rng.normal(size=(n_station, 3)), dims=("station", "time"))


def drawn(found, levels=LEVELS):
    ax = plt.figure().add_subplot()
    draw_coverage(ax, found, levels)
    return {box.get_label(): box for box in ax.containers}


def test_members_like_the_truth_cover_as_often_as_they_say():
    lines = drawn({"D": ensemble(1.0), "MS": ensemble(2.0)})
    right, narrow = (box.lines[0].get_ydata() for box in lines.values())
    np.testing.assert_allclose(right, LEVELS, atol=0.04)
    # Of a truth twice as wide: the fraction within 0.674 and 1.28 standard deviations of half its spread.
    np.testing.assert_allclose(narrow, [0.264, 0.478], atol=0.04)
    assert list(lines) == ["1200 daily means", "1200 monthly means"]


def test_missing_means_do_not_count_and_bars_are_of_stations():
    members, truth = ensemble(1.0)
    inside = xr.where(np.arange(400) < 100, 0.0, 1e3)
    truth = (truth * 0 + xr.DataArray(inside, dims="station")).where(xr.DataArray(np.arange(3) < 2, dims="time"))
    (box,) = drawn({"YS": (members, truth)}).values()
    np.testing.assert_allclose(box.lines[0].get_ydata(), 0.25)
    assert box.get_label() == "800 annual means"
    bar = box.lines[2][0].get_segments()[0][:, 1]
    # 400 stations that are either always inside or never: binomial.
    np.testing.assert_allclose(np.ptp(bar) / 4, np.sqrt(0.25 * 0.75 / 400))
    with pytest.raises(SchemaError, match=r"fix: of=\['D'\]"):
        drawn({"YS": (members, truth * np.nan)})


def test_means_of_days_at_hidden_stations_are_covered(ds):
    ax = ds.aq.plot.reliability_of_means("kriging", of=["D", "MS"], levels=[0.5, 0.9])
    (box,) = ax.containers  # 8 days of a month are too few for its mean
    n = int((ds.aq.hidden.pm25.resample(time="1D").count() >= 18).sum())
    assert box.get_label() == f"{n} daily means"
    assert ax.get_title("left").splitlines()[0] == "Means of PM2.5 at 3 hidden stations"
    daily = ds.resample(time="1D").mean(keep_attrs=True)
    with pytest.raises(SchemaError, match="no hidden station has a mean"):
        plot.reliability_of_means(daily, "kriging", of=["D"])


def test_what_has_no_means_is_refused(ds, forecast):
    with pytest.raises(ModelError, match="no distribution of errors"):
        plot.reliability_of_means(ds, "nearest", of=["D"])
    with pytest.raises(ModelError, match="forecast"):
        plot.reliability_of_means(*forecast)
    with pytest.raises(SchemaError, match="no station is hidden"):
        plot.reliability_of_means(ds.drop_vars("hidden"), "kriging")
    with pytest.raises(SchemaError, match="freq"):
        plot.reliability_of_means(ds, "kriging", of=["W"])
    assert not plt.get_fignums()
