"""Members: marginally the calibrated distribution, the same bytes in any block, and periods as aggregated by hand."""

import warnings

import numpy as np
import pytest
import torch
from direct_formula import made_covariance
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import norm
from synthetic import scatter

import xaq
from xaq.interpolate.base import Estimate
from xaq.interpolate.classical import classical
from xaq.nn.config import AQNetConfig
from xaq.simulation.field import ErrorField
from xaq.simulation.members import Distribution, Periods, member, of_cells, period_members, quantile_table
from xaq.stations import schema

HOUR = 3600
TERMS = {(0.0, 0.0): 0.2, (3.0, 10.0): 0.3, (48.0, 40.0): 0.3, (768.0, 0.0): 0.1, (np.inf, 0.0): 0.1}


def skewed(p):
    """Quantile of a standardised exponential error."""
    return -np.log(1 - p) - 1


def made_field(n_station=12, seed=0):
    return ErrorField(made_covariance(TERMS), HOUR, *scatter(n_station, seed=1), seed)


def made_estimate(n_place, n_time, seed=0, offset=None, missing=0.0):
    """Return estimates whose error has a skewed distribution that differs from step to step."""
    rng = np.random.default_rng(seed)
    value = rng.gamma(9, 3, (n_place, n_time)).astype("f4")
    value[rng.random(value.shape) < missing] = np.nan
    scale = rng.gamma(4, 0.5 if offset is None else 0.02, (n_place, n_time)).astype("f4")
    row = np.arange(n_time) // 24 % 3
    return Estimate(value, scale, lambda p: skewed(p) * np.array([1.0, 2.0, 0.5])[row], offset)


def hours(n, first="2021-03-01"):
    return np.datetime64(first, "s") + np.arange(n) * np.timedelta64(1, "h")


# -- marginal distributions ----------------------------------------------------------------------------------------


def small(task):
    ahead = (
        {"days_before": 1, "days_after": 0, "target_days": 2}
        if task == "forecast"
        else {"days_before": 1, "days_after": 1}
    )
    return AQNetConfig(task=task, steps_per_day=4, patch=2, hidden=4, heads=2, k=4, **ahead)


@pytest.fixture(scope="module")
def network():
    return schema.conform(xaq.datasets.synthetic(n_stations=8, days=30, step="6h", seed=4))


@pytest.mark.parametrize("method", ["analysis", "forecast", "kriging", "kriging-log"])
def test_distributions_have_the_quantiles_of_the_estimates(network, method):
    seen = schema.observations(network, "pm25")
    if method in ("analysis", "forecast"):
        mapper = network.aq.train("pm25", task=method, config=small(method), max_epochs=0, progress=False)
    else:
        mapper = classical(method, seen)
    times = seen.times[80:88]
    made = mapper.estimate(mapper.prepare(seen.until(80, 8) if method == "forecast" else seen, times), *scatter(5))
    distribution = Distribution.of(made, times, "cpu")
    if method == "forecast":
        assert len(distribution.table) == 2, "no case: all lead days have the same quantiles"
    scale = made.scale * (1.0 if made.offset is None else made.value + made.offset)
    for p in (0.01, 0.05, 0.5, 0.8, 0.95, 0.99):
        error = distribution.quantile(p) - np.maximum(made.quantile(p), 0).T
        assert np.abs(error / scale.T).max() < 0.02
    np.testing.assert_allclose(distribution.estimate(), np.maximum(made.value, 0).T, rtol=1e-4, atol=1e-4)


@given(st.integers(0, 10**6), st.sampled_from([None, 4.0, "by place"]), st.floats(0.005, 0.995))
def test_any_distribution_keeps_its_quantiles(seed, offset, p):
    rng = np.random.default_rng(seed)
    if offset == "by place":
        offset = np.broadcast_to(rng.gamma(4, 2, (7, 1)), (7, 72)).astype("f4")
    made = made_estimate(7, 72, seed, offset, missing=0.1)
    found, expected = Distribution.of(made, hours(72), "cpu").quantile(p), np.maximum(made.quantile(p), 0).T
    np.testing.assert_array_equal(np.isnan(found), np.isnan(made.value.T))
    np.testing.assert_allclose(found, expected, rtol=5e-3, atol=0.02)


def test_a_table_has_a_row_for_each_different_distribution():
    table, row = quantile_table(norm.ppf)
    assert table.shape[0] == 1
    assert row.tolist() == [[0]]
    np.testing.assert_allclose(table[0], np.linspace(-4, 4, table.shape[1]), atol=1e-4)
    table, row = quantile_table(lambda p: skewed(p) * np.array([1.0, 2.0, 1.0, 2.0]))
    assert table.shape[0] == 2
    assert row.shape == (4, 1)
    np.testing.assert_allclose(table[row[:, 0], 4096], skewed(0.5) * np.array([1.0, 2.0, 1.0, 2.0]), rtol=1e-4)


def test_members_have_the_marginal_distribution_and_the_mean_of_the_estimates():
    """Coverage of each hour as that of the cube, at points conditioned on stations."""
    field, (lon, lat) = made_field(), scatter(40, seed=5)
    places, made, times = field.places(lon, lat), made_estimate(40, 240, offset=6.0), hours(240)
    distribution = Distribution.of(made, times, "cpu")
    members = np.stack([member(field, places, distribution, m) for m in range(100)])
    for p in (0.05, 0.5, 0.95):
        assert np.mean(members <= distribution.quantile(p)) == pytest.approx(p, abs=0.02)
    scores = np.linspace(-3.9, 3.9, 157)
    expected = np.average([distribution.quantile(norm.cdf(g)) for g in scores], axis=0, weights=norm.pdf(scores))
    assert members.mean() == pytest.approx(expected.mean(), rel=0.02)
    assert members.min() >= 0


def test_a_member_is_missing_where_there_is_no_estimate():
    field, (lon, lat) = made_field(), scatter(9, seed=5)
    made = made_estimate(9, 48, missing=0.2)
    found = member(field, field.places(lon, lat), Distribution.of(made, hours(48), "cpu"), 0)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(made.value.T))


# -- the same bytes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [None, (0.1, 0.1)])
@pytest.mark.parametrize(
    ("some", "steps"),
    [
        (slice(0, 600), slice(0, 384)),
        (slice(0, 600), slice(384, 800)),
        (slice(256, 512), slice(100, 347)),
        (slice(1, 258), slice(399, 401)),
        (slice(37, 38), slice(0, 800)),
        (slice(599, 600), slice(799, 800)),
        (slice(0, 600), slice(700, 701)),
    ],
)
def test_any_block_of_a_member_is_the_same_bytes_alone(cell, some, steps):
    (lon, lat), times, made = scatter(600, seed=6), hours(800), made_estimate(600, 800, offset=5.0)
    field = made_field()
    places = field.places(lon, lat, cell)
    whole = member(field, places, Distribution.of(made, times, "cpu", places.ratio), 3)
    other = made_field()
    part = other.places(lon[some], lat[some], cell)
    row = np.arange(800)[steps] // 24 % 3
    estimate = Estimate(
        made.value[some, steps], made.scale[some, steps], lambda p: skewed(p) * np.array([1.0, 2.0, 0.5])[row], 5.0
    )
    found = member(other, part, Distribution.of(estimate, times[steps], "cpu", part.ratio), 3)
    np.testing.assert_array_equal(found, whole[steps, some])


def test_members_do_not_depend_on_threads():
    (lon, lat), times, made = scatter(300, seed=6), hours(400), made_estimate(300, 400)
    made_by = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            field = made_field()
            made_by.append(member(field, field.places(lon, lat), Distribution.of(made, times, "cpu"), 1))
    finally:
        torch.set_num_threads(before)
    for other in made_by[1:]:
        np.testing.assert_array_equal(other, made_by[0])


# -- periods -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statistic", ["mean", "max"])
@pytest.mark.parametrize("masked", [False, True])
def test_periods_are_those_of_members_aggregated_by_hand(statistic, masked):
    """In two parts, as a cube prepares its times; a period lies in both, and one place is never estimated."""
    field, (lon, lat), times = made_field(), scatter(300, seed=7), hours(500)
    places, index = field.places(lon, lat), np.minimum(np.arange(500) // 130, 3)
    parts = [made_estimate(300, n, seed, offset=6.0, missing=0.1) for seed, n in ((0, 200), (1, 300))]
    parts[0].value[5], parts[1].value[5] = np.nan, np.nan
    distributions = [Distribution.of(e, t, "cpu") for e, t in zip(parts, np.split(times, [200]), strict=True)]
    observed = np.random.default_rng(2).random((500, 300)) < 0.7 if masked else None
    found = period_members(field, places, distributions, Periods(index, 4, statistic), 2, observed)
    assert found.shape == (2, 4, 300)
    for m in range(2):
        values = np.concatenate([member(field, places, d, m) for d in distributions])
        if masked:
            values[~observed] = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            reduce = np.nanmean if statistic == "mean" else np.nanmax
            expected = np.stack([reduce(values[index == i], axis=0) for i in range(4)])
        np.testing.assert_allclose(found[m], expected, rtol=2e-5)
    assert np.isnan(found[:, :, 5]).all()
    assert np.isfinite(np.delete(found, 5, axis=2)).all()


def test_a_period_without_a_step_is_missing():
    field, (lon, lat) = made_field(), scatter(3)
    distribution = Distribution.of(made_estimate(3, 48), hours(48), "cpu")
    for statistic in ("mean", "max"):
        periods = Periods(np.repeat([0, 2], 24), 3, statistic)
        found = period_members(field, field.places(lon, lat), [distribution], periods, 2)
        assert np.isnan(found[:, 1]).all()
        assert np.isfinite(found[:, [0, 2]]).all()


def test_more_members_change_none_of_the_first():
    field, (lon, lat) = made_field(), scatter(20)
    distribution = Distribution.of(made_estimate(20, 48), hours(48), "cpu")
    few, many = (
        period_members(field, field.places(lon, lat), [distribution], Periods(np.arange(48) // 24, 2), n)
        for n in (2, 5)
    )
    np.testing.assert_array_equal(many[:2], few)
    assert len(np.unique(many[:, 0, 0])) == 5


# -- means of cells ------------------------------------------------------------------------------------------------


@given(st.floats(0.1, 1.5))
def test_the_distribution_of_a_cell_keeps_the_mean_and_narrows_with_the_ratio(shape):
    """The discrete Gaussian model: at a ratio of 1 a point's distribution, at 0 its mean."""
    scores = np.linspace(-4, 4, 8 * 1024 + 1)
    weight = norm.pdf(scores) / norm.pdf(scores).sum()
    point = (np.exp(shape * scores) - np.exp(shape**2 / 2)).astype("f4")
    rows = of_cells(point[None])
    mean, spread = rows @ weight, np.sqrt(np.square(rows - (rows @ weight)[:, None]) @ weight)
    np.testing.assert_allclose(mean, point @ weight, atol=0.02 * spread[-1])
    assert (np.diff(spread) > 0).all()
    np.testing.assert_allclose(rows[-1], point, rtol=1e-3, atol=1e-2)
    assert np.ptp(rows[0]) < 1e-3
    # Of a lognormal distribution the mean over a cell is lognormal, too.
    ratio = np.arange(len(rows)) / (len(rows) - 1)
    expected = np.exp(shape * ratio[:, None] * scores + shape**2 * (1 - ratio[:, None] ** 2) / 2) - np.exp(shape**2 / 2)
    inside = np.abs(scores) < 2.5
    np.testing.assert_allclose(rows[:, inside], expected[:, inside], rtol=0.01, atol=0.02 * spread[-1])


def test_cells_have_narrower_intervals_than_points_and_the_same_mean():
    field, (lon, lat) = made_field(), scatter(30, seed=5)
    cells, made = field.places(lon, lat, (0.1, 0.1)), made_estimate(30, 72)
    of_points, of_means = (Distribution.of(made, hours(72), "cpu", ratio) for ratio in (None, cells.ratio))
    width = [d.quantile(0.95) - d.quantile(0.05) for d in (of_points, of_means)]
    assert (width[1] < width[0]).all()
    scores = norm.cdf(np.linspace(-3.9, 3.9, 157))
    weight = norm.pdf(np.linspace(-3.9, 3.9, 157))
    mean = [np.tensordot(weight, [d.quantile(p) for p in scores], 1) / weight.sum() for d in (of_points, of_means)]
    unclipped = (of_points.quantile(0.001) > 0) & (of_means.quantile(0.001) > 0)
    assert unclipped.mean() > 0.8
    np.testing.assert_allclose(mean[1][unclipped], mean[0][unclipped], rtol=0.01)


def test_tails_go_on_beyond_the_probabilities_that_are_calibrated():
    """A calibrated distribution is known from 0.5 to 99.5 %; the maximum of a year of hours lies beyond."""
    known, values = np.linspace(0.005, 0.995, 100), np.linspace(-2.0, 3.0, 100)
    table, _ = quantile_table(lambda p: np.interp(p, known, values))
    scores = np.linspace(-4, 4, table.shape[1])
    assert (np.diff(table[0]) > 0)[np.abs(scores[1:]) > 2.6].all()
    inside = np.abs(scores) < 2.5
    np.testing.assert_allclose(table[0, inside], np.interp(ndtr(scores[inside]), known, values), atol=1e-3)
