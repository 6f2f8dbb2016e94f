"""Error fields: their covariance is the formula's, and any part of a member is the same bytes alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from direct_formula import correlation, in_space, made_covariance
from synthetic import scatter

from xaq.interpolate.error_covariance import SUB_POINTS, in_time
from xaq.simulation.field import ErrorField

HOUR, DAY = 3600, 86400
NOWHERE = np.empty(0)
#: Some of everything, as a fit gives it.
MIXED = {
    (0.0, 0.0): 0.1,
    (3.0, 10.0): 0.2,
    (48.0, 40.0): 0.3,
    (768.0, 160.0): 0.2,
    (np.inf, 0.0): 0.1,
    (np.inf, 40.0): 0.1,
}
#: Without what lasts: a year of a member says much.
PASSING = {(0.0, 0.0): 0.2, (3.0, 10.0): 0.3, (3.0, 40.0): 0.3, (48.0, 160.0): 0.2}


def free(weights, **options):
    return made_covariance(weights, stations=None, **options)


def of_members(field, places, n):
    """Return the covariance of errors at places over all times of n members, ``(place, place)``."""
    total = 0.0
    for member in range(n):
        columns = field.coefficients(member, places).double()
        # Over a long time cosines and sines are orthogonal, with a mean square of one half each.
        columns[:, :-1] *= 0.5**0.5
        total = total + columns @ columns.T
    return (total / n).numpy()


@pytest.mark.parametrize("step", [HOUR, 6 * HOUR, DAY])
@pytest.mark.parametrize("time", [0.0, 3.0, 48.0, 768.0, 3072.0, np.inf])
def test_correlation_in_time_is_that_of_the_term(step, time):
    """Sites of their own part only are independent: each is a sample."""
    times = (0.0, 3.0, 48.0, 768.0, 3072.0)
    errors = free({(time, 0.0): 1.0}, times=times, ranges=(0.0,))
    lon, lat = np.meshgrid(np.linspace(0, 40, 30), np.linspace(30, 60, 20))
    field = ErrorField(errors, step, NOWHERE, NOWHERE, seed=3)
    places = field.places(lon.ravel(), lat.ravel())
    lags = np.array([0, 1, 2, 5, 24, 100, 24 * 90])
    starts = np.array([0, 10**4, 10**5])
    at = (starts[:, None] + lags).ravel() * np.timedelta64(step, "s") + np.datetime64("2021-03-01", "s")
    found = []
    for member in range(40):
        values = (field.coefficients(member, places) @ field.basis(member, at).T).reshape(-1, 3, len(lags)).numpy()
        found.append((values * values[..., :1]).mean(axis=(0, 1)))
    expected = in_time(errors.times_hours, lags * step / HOUR)[(*times, np.inf).index(time)]
    np.testing.assert_allclose(np.mean(found, axis=0), expected, atol=0.06)


@pytest.mark.parametrize("range_km", [10.0, 40.0, 160.0])
def test_unconditioned_errors_correlate_by_distance_as_the_term(range_km):
    errors = free({(0.0, range_km): 0.8, (0.0, 0.0): 0.2})
    field = ErrorField(errors, HOUR, NOWHERE, NOWHERE, seed=1)
    lon, lat = 10.0 + np.array([0.0, 0.03, 0.1, 0.3, 1.0, 3.0]), np.full(6, 50.0)
    found = of_members(field, field.places(lon, lat), 60)
    np.testing.assert_allclose(
        found, in_space(errors, lon, lat)[[0, errors.ranges_km.index(range_km)]].T @ [0.2, 0.8], atol=0.06
    )


def test_conditioned_errors_correlate_as_the_formula_says():
    """Near a station two cells on both sides of it correlate too, and the error beside it is that of its noise."""
    errors = made_covariance(PASSING)
    station_lon, station_lat = scatter(14, seed=5)
    field = ErrorField(errors, HOUR, station_lon, station_lat, seed=2)
    lon = station_lon[0] + np.array([-0.05, 0.05, 0.0, 0.3, 0.35, 3.0, 3.1])
    lat = np.full(7, station_lat[0])
    found = of_members(field, field.places(lon, lat), 120)
    expected = correlation(errors, in_space(errors, lon, lat, station_lon, station_lat))
    assert abs(expected[0, 1] - np.exp(-7.0 / 10)) > 0.15, "no case: conditioning changes nothing"
    np.testing.assert_allclose(found, expected, atol=0.06)


def test_conditioned_errors_last_as_the_formula_says():
    """Kriging removes what stations share, which lasts: errors near them decay sooner than those far away."""
    errors = made_covariance({(0.0, 0.0): 0.1, (3.0, 10.0): 0.4, (48.0, 160.0): 0.5})
    station_lon, station_lat = scatter(14, seed=5)
    field = ErrorField(errors, HOUR, station_lon, station_lat, seed=4)
    lon, lat = station_lon[0] + np.array([0.02, 0.2, 6.0]), np.full(3, station_lat[0])
    places, lags = field.places(lon, lat), np.array([0, 1, 6, 24, 200])
    starts = np.arange(400)[:, None] * 1000
    at = (starts + lags).ravel() * np.timedelta64(HOUR, "s") + np.datetime64("2021-03-01", "s")
    found = 0.0
    for member in range(60):
        values = (field.coefficients(member, places) @ field.basis(member, at).T).reshape(3, -1, len(lags))
        found = found + (values * values[..., :1]).mean(dim=1).numpy() / 60
    variances = np.einsum("lii->li", in_space(errors, lon, lat, station_lon, station_lat))
    by_time = np.array(errors.weights) @ variances
    expected = (by_time / by_time.sum(axis=0)).T @ in_time(errors.times_hours, lags)
    assert expected[0, 3] < 0.5 * expected[2, 3], "no case: errors last alike"
    np.testing.assert_allclose(found, expected, atol=0.06)


def test_errors_have_unit_variance_at_every_place():
    """Every hour keeps the calibrated distribution, near stations and far, at points and in cells."""
    errors = made_covariance(MIXED)
    station_lon, station_lat = scatter(20, seed=1)
    # Two instruments at one place have their own parts each.
    station_lon[1], station_lat[1] = station_lon[0], station_lat[0]
    field = ErrorField(errors, HOUR, station_lon, station_lat)
    lon, lat = (
        np.append(a, b[:3]) for a, b in zip(scatter(60, seed=2, width=4.0), (station_lon, station_lat), strict=True)
    )
    for cell in (None, (0.1, 0.1)):
        places = field.places(lon, lat, cell)
        variance = np.diag(of_members(field, places, 100))
        np.testing.assert_allclose(variance, 1.0, atol=0.35)
        assert variance.mean() == pytest.approx(1.0, abs=0.04)


def test_members_are_independent():
    field = ErrorField(free(PASSING), HOUR, NOWHERE, NOWHERE)
    places = field.places(*scatter(400, seed=3, width=20.0))
    times = np.datetime64("2021-01-01", "s") + np.arange(0, 400) * np.timedelta64(5 * DAY, "s")
    made = [(field.coefficients(m, places) @ field.basis(m, times).T).flatten() for m in (0, 1, 2)]
    other = replace(field, seed=1)
    made.append((other.coefficients(0, places) @ other.basis(0, times).T).flatten())
    np.testing.assert_allclose(np.corrcoef(torch.stack(made).numpy()), np.eye(4), atol=0.05)


@pytest.mark.parametrize("cell", [None, (0.25, 0.1)])
@pytest.mark.parametrize("stations", [0, 5, 300])
def test_any_part_of_a_member_is_the_same_bytes_alone(cell, stations):
    errors = made_covariance(MIXED) if stations else free(MIXED)
    station_lon, station_lat = scatter(stations, seed=4) if stations else (NOWHERE, NOWHERE)
    field = ErrorField(errors, HOUR, station_lon, station_lat, seed=9)
    lon, lat = scatter(600, seed=6)
    places = field.places(lon, lat, cell)
    whole = field.coefficients(3, places)
    again = ErrorField(errors, HOUR, station_lon, station_lat, seed=9)
    for some in (np.arange(599, -1, -1), np.arange(257, 513), np.arange(300, 337), np.array([123]), np.array([599])):
        part = again.places(lon[some], lat[some], cell)
        again.coefficients(2, part)
        np.testing.assert_array_equal(part.std, places.std[some])
        assert torch.equal(again.coefficients(3, part), whole[some])


@pytest.mark.parametrize(("cell", "tolerance"), [((0.1, 0.1), 0.002), ((0.5, 0.25), 0.05), ((2.0, 2.0), 0.2)])
def test_the_error_of_a_cell_is_the_mean_of_those_of_its_points(cell, tolerance):
    """Without a site's own part, which averages out in a cell; a cell is taken as flat, which a large one is not."""
    errors = made_covariance({(3.0, 10.0): 0.4, (48.0, 40.0): 0.3, (np.inf, 160.0): 0.3})
    field = ErrorField(errors, HOUR, *scatter(12, seed=5))
    lon, lat = scatter(9, seed=8)
    cells = field.places(lon, lat, cell)
    offset = (np.arange(SUB_POINTS) + 0.5) / SUB_POINTS - 0.5
    expected = 0.0
    for x in offset * cell[0]:
        for y in offset * cell[1]:
            # Conditioned on the stations as the centre is: the kriging weights are the cell's.
            points = field.places(lon + x, lat + y)._replace(near=cells.near, std=cells.std)
            expected = expected + field.coefficients(0, points) / SUB_POINTS**2
    found = field.coefficients(0, cells)
    assert float((found - expected).norm() / expected.norm()) < tolerance


def test_errors_of_cells_vary_less_than_those_of_points_and_correlate_as_the_formula_says():
    errors = made_covariance(PASSING)
    station_lon, station_lat = scatter(14, seed=5)
    field = ErrorField(errors, HOUR, station_lon, station_lat, seed=2)
    lon, lat, cell = station_lon[0] + np.array([0.2, 0.3, 0.6, 3.0]), np.full(4, station_lat[0]), (0.1, 0.1)
    places = field.places(lon, lat, cell)
    assert ((places.ratio > 0) & (places.ratio < 1)).all()
    np.testing.assert_allclose(places.ratio, places.std / field.places(lon, lat).std)
    expected = correlation(errors, in_space(errors, lon, lat, station_lon, station_lat, cell))
    np.testing.assert_allclose(of_members(field, places, 120), expected, atol=0.06)


@pytest.mark.parametrize("turn", [360.0, -360.0])
def test_a_place_has_the_same_errors_in_all_conventions_of_longitude(turn):
    field = ErrorField(made_covariance(MIXED), HOUR, *scatter(14, seed=5))
    lon, lat = scatter(50, seed=6)
    here, there = (field.coefficients(0, field.places(x, lat)) for x in (lon, lon + turn))
    np.testing.assert_allclose(here, there, atol=1e-4)


def test_stations_that_report_nothing_at_a_place_do_not_matter():
    """Errors depend on the stations that a place is conditioned on, not on their number or order."""
    errors, (lon, lat) = made_covariance(MIXED), scatter(10, seed=6)
    station_lon, station_lat = scatter(30, seed=4)
    far_lon, far_lat = scatter(20, seed=7)
    order = np.random.default_rng(0).permutation(50)
    more_lon, more_lat = np.append(station_lon, far_lon - 90.0)[order], np.append(station_lat, far_lat)[order]
    few, many = ErrorField(errors, HOUR, station_lon, station_lat), ErrorField(errors, HOUR, more_lon, more_lat)
    assert torch.allclose(
        few.coefficients(1, few.places(lon, lat)), many.coefficients(1, many.places(lon, lat)), atol=1e-4
    )
