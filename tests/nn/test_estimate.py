"""Weights applied to station-days: estimates, their spread, and what each neighbour contributes."""

import numpy as np
import torch

from xaq.nn.advection import Advected
from xaq.nn.estimate import apply_weights, attribute, estimate_and_spread, station_table
from xaq.nn.neural_knn import Weights


def half(**changes):
    equal = torch.tensor([[0.5, 0.5]])
    return Weights(equal, torch.ones(1), torch.zeros(1))._replace(**changes)


def test_filled_neighbours_widen_the_interval_and_leave_the_estimate():
    values, rows = torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1]])
    tables = [station_table(values, torch.tensor(v), 1.0, 4.0, advects=False) for v in ([[0.0], [0.0]], [[0.0], [1.0]])]
    observed, filled = (apply_weights(half(), rows, t, 1.0) for t in tables)
    assert torch.equal(observed.estimate, filled.estimate)
    assert all((after > before).all() for after, before in zip(filled.spread_terms, observed.spread_terms, strict=True))


def test_deviations_of_filled_neighbours_add_up_before_they_widen_the_variance():
    """By brute force, target by target and step by step: sqrt(v + (sum of w * sd) ** 2)."""
    rng = np.random.default_rng(0)
    values, filled = rng.gamma(4.0, 10.0, (9, 4)), rng.gamma(2.0, 0.3, (9, 4)) * (rng.random((9, 4)) < 0.5)
    kriging_weights, variance = rng.normal(0.25, 0.3, (5, 4)), rng.gamma(2.0, 0.2, 5)
    rows = rng.integers(0, 9, (5, 4))
    table = station_table(torch.as_tensor(values), torch.as_tensor(filled), 1.0, 4.0, advects=False)
    weights = Weights(torch.as_tensor(kriging_weights), torch.as_tensor(variance), torch.zeros(5).double())
    applied = apply_weights(weights, torch.as_tensor(rows), table, 1.0)
    expected = np.empty((5, 4))
    for target, step in np.ndindex(5, 4):
        deviation = sum(
            w * np.sqrt(filled[row, step]) for w, row in zip(kriging_weights[target], rows[target], strict=True)
        )
        expected[target, step] = np.sqrt(variance[target] + deviation**2)
    constant, proportional, _ = applied.spread_terms
    np.testing.assert_allclose(constant, expected)
    np.testing.assert_allclose(proportional, applied.estimate.clamp(min=0.0).numpy() * expected)


def test_apply_weights_mixes_scales_and_reports_disagreement():
    values = torch.tensor([[1.0, 2.0], [3.0, 2.0]])
    rows = torch.tensor([[0, 1]])
    table = station_table(values, torch.zeros_like(values), 1.0, 1.0, advects=False)
    mean = apply_weights(half(), rows, table, 1.0)
    torch.testing.assert_close(mean.estimate, torch.tensor([[2.0, 2.0]]))
    torch.testing.assert_close(mean.disagreement, torch.tensor([[1.0, 0.0]]), atol=1e-3, rtol=0)
    log = apply_weights(half(log_weight=torch.ones(1)), rows, table, 1.0)
    torch.testing.assert_close(log.estimate[0, 0], torch.tensor(8.0).sqrt() - 1.0)


def test_advected_neighbours_make_the_estimate_and_their_reports_the_disagreement():
    values, rows = torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1]])
    table = station_table(values, torch.zeros_like(values), 1.0, 1.0, advects=True)
    table_around = torch.tensor([[5.0, 2.0], [9.0, 3.0], [7.0, 2.5]])
    # The first neighbour lies between two rows, the second at one.
    advected = Advected(table_around, torch.tensor([[0, 1, 2, 2]]), torch.tensor([[0.5, 0.5, 1.0, 0.0]]))
    applied = apply_weights(half(), rows, table, 1.0, advected)
    torch.testing.assert_close(applied.estimate, torch.tensor([[(7.0 + 7.0) / 2]]))
    torch.testing.assert_close(applied.disagreement, torch.tensor([[1.0]]))
    for log_weight in (torch.zeros(1), torch.full((1,), 0.4)):
        applied = apply_weights(half(log_weight=log_weight), rows, table, 1.0, advected)
        made = attribute(half(log_weight=log_weight), rows, table, 1.0, advected)
        torch.testing.assert_close(made.contribution.sum(dim=1), applied.estimate)
        torch.testing.assert_close(made.value[0], values)
        torch.testing.assert_close(made.advected[0], torch.tensor([[7.0], [7.0]]))


def test_contributions_on_the_log_scale_add_up_without_advection_too():
    values, rows = torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[0, 1]])
    table = station_table(values, torch.zeros_like(values), 2.0, 1.0, advects=False)
    weights = half(log_weight=torch.ones(1))
    made = attribute(weights, rows, table, 2.0)
    torch.testing.assert_close(made.contribution.sum(dim=1), apply_weights(weights, rows, table, 2.0).estimate)
    assert torch.equal(made.value, made.advected)


def test_the_spread_is_the_sum_of_its_terms_and_the_trend_factor_multiplies_both():
    values, rows = torch.tensor([[1.0, 5.0], [3.0, 2.0]]), torch.tensor([[0, 1]])
    table = station_table(values, torch.full_like(values, 0.1), 1.0, 1.0, advects=False)
    applied = apply_weights(half(), rows, table, 1.0)
    estimate, spread = estimate_and_spread(half(), rows, table, 1.0, None, (0.5, 0.2, 0.3), torch.tensor([[2.0, 3.0]]))
    terms = zip((0.5, 0.2, 0.3), applied.spread_terms, strict=True)
    factor = torch.tensor([[2.0, 3.0]])
    torch.testing.assert_close(estimate, factor * applied.estimate)
    torch.testing.assert_close(spread, factor * sum(a * term for a, term in terms))
