"""The covariance of errors: the points and the lines that are drawn, and the parts of the variance in words."""

import figures
import matplotlib.pyplot as plt
import numpy as np
import pytest

from xaq import datasets, plot
from xaq.cube.ensemble import Ensemble, Joint
from xaq.cube.request import RequestOptions, make_request
from xaq.errors import ModelError, SchemaError
from xaq.interpolate.error_covariance import ErrorCovariance

closed = figures.closed

#: Rows: white noise, 3 hours, 48 hours, 768 hours, lasting; columns: own part, 10 km, 40 km.
WEIGHTS = ((0.1, 0.0, 0.0), (0.0, 0.05, 0.0), (0.0, 0.2, 0.0), (0.0, 0.0, 0.25), (0.3, 0.0, 0.1))
PAIRS = tuple(
    (lag, distance, 0.9**i - 0.01 * distance, 0.8**i - 0.01 * distance, 500)
    for i, lag in enumerate((0.0, 1.0, 24.0, 160.0, 900.0))
    for distance in (0.0, 40.0, 20.0)
)  # fmt: skip
BY_HAND = ErrorCovariance((0.0, 3.0, 48.0, 768.0), (0.0, 10.0, 40.0), WEIGHTS, None, PAIRS)


@pytest.fixture(scope="module")
def ds():
    return datasets.synthetic(n_stations=16, days=8)


def test_points_are_what_was_found_and_lines_what_was_fitted(ds):
    by_lag, by_distance = plot.error_covariance(ds, BY_HAND)
    fitted, found = by_lag.lines[:2]
    np.testing.assert_array_equal(fitted.get_xdata(), [1.0, 24.0, 160.0, 900.0])
    np.testing.assert_allclose(fitted.get_ydata(), 0.8 ** np.arange(1, 5))
    np.testing.assert_allclose(found.get_ydata(), 0.9 ** np.arange(1, 5))
    assert by_lag.get_xscale() == "log"
    assert [t.get_text() for t in by_lag.get_xticklabels()] == ["1 hour", "3", "12", "1 day", "3", "7", "30"]
    lines = by_distance.lines
    for (line, points), i in zip((lines[:2], lines[2:4]), (0, 3), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [20.0, 40.0])
        np.testing.assert_allclose(line.get_ydata(), 0.8**i - np.array([0.2, 0.4]))
        np.testing.assert_array_equal(points.get_xdata(), [0.0, 20.0, 40.0])
        np.testing.assert_allclose(points.get_ydata(), 0.9**i - np.array([0.0, 0.2, 0.4]))
    assert [t.get_text() for t in by_distance.get_legend().get_texts()] == ["at once", "6.7 days apart"]


def test_the_parts_of_the_variance_are_given_in_words(ds):
    by_lag, by_distance = plot.error_covariance(ds, BY_HAND)
    assert [t.get_text() for t in by_lag.texts] == [
        "variance: white noise 10 %, hours 5 %, days 20 %, months 25 %, lasting 40 %"
    ]
    assert [t.get_text() for t in by_distance.texts] == [
        "variance: the site's own 40 %, within 10 km 25 %, beyond 10 km 35 %"
    ]


def test_a_method_by_name_is_fitted_and_drawn(ds):
    by_lag, _ = ds.aq.plot.error_covariance("kriging", time=slice(None, "2020-01-06"))
    expected = Joint(make_request(ds, "kriging", RequestOptions(time=slice(None, "2020-01-06"))), Ensemble()).covariance
    own = np.array([pair for pair in expected.pairs if pair[1] == 0 and pair[0] > 0])
    np.testing.assert_allclose(by_lag.lines[1].get_ydata(), own[:, 2])
    assert by_lag.get_title("left") == "Errors of PM2.5, kriging"
    with pytest.raises(ModelError, match="no distribution of errors"):
        plot.error_covariance(ds, "nearest")


def test_a_model_draws_its_own(ds):
    model = ds.aq.train("pm25", max_epochs=0, progress=False)
    figure, axes = plt.subplots(1, 2)
    by_lag, _ = plot.error_covariance(ds, model, axes=axes)
    assert by_lag is axes[0]
    assert plt.get_fignums() == [figure.number]
    own = np.array([pair for pair in model.error_covariance.pairs if pair[1] == 0 and pair[0] > 0])
    np.testing.assert_allclose(by_lag.lines[1].get_ydata(), own[:, 2])
    with pytest.raises(SchemaError, match="1 axes, expected one by lag and one by distance"):
        plot.error_covariance(ds, model, axes=axes[:1])


def test_a_covariance_without_pairs_is_refused(ds):
    with pytest.raises(ModelError, match="no pairs"):
        plot.error_covariance(ds, ErrorCovariance((0.0,), (0.0,), ((1.0,), (0.0,)), None))
