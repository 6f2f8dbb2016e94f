"""Scores by brute force: pooled over batches, relative to a reference, of daily means."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xaq.training.scores import daily_means, error_sums, mae_and_rmse, pooled_mae_and_rmse, relative_score


def test_mae_and_rmse_of_each_candidate():
    error = np.random.default_rng(0).normal(1, 10, (3, 500))
    expected = np.abs(error).mean(axis=1), np.sqrt((error**2).mean(axis=1))
    np.testing.assert_allclose(mae_and_rmse(torch.as_tensor(error)), expected)
    one = mae_and_rmse(torch.as_tensor(error[1]))
    assert torch.equal(one, mae_and_rmse(torch.as_tensor(error))[:, 1])


@given(st.integers(0, 1000), st.integers(1, 4))
def test_errors_of_batches_are_pooled_where_observed(seed, n_batches):
    rng = np.random.default_rng(seed)
    error = rng.normal(1, 10, (3, n_batches, 5, 6))
    error[rng.random(error.shape) < 0.3] = np.nan
    # The second kind has no observations, as in an analysis.
    error[1] = np.nan
    total = torch.stack([sum(error_sums(torch.as_tensor(batch)) for batch in kind) for kind in error])
    seen = [kind[np.isfinite(kind)] for kind in error[[0, 2]]]
    expected = [np.abs(e).mean() for e in seen] + [np.sqrt((e**2).mean()) for e in seen]
    np.testing.assert_allclose(pooled_mae_and_rmse(total), expected)


def test_sums_without_observations_are_zero():
    assert torch.equal(error_sums(torch.full((4, 2), torch.nan)), torch.zeros(3))
    assert len(pooled_mae_and_rmse(torch.zeros(3, 3))) == 0


def test_a_score_is_the_mean_ratio_to_the_reference():
    errors, reference = torch.tensor([[2.0, 1.0], [9.0, 6.0]]), torch.tensor([[4.0], [6.0]])
    assert relative_score(errors, reference).tolist() == [1.0, 0.625]
    assert float(relative_score(reference[:, 0], reference[:, 0])) == 1.0


def test_a_daily_mean_counts_with_three_quarters_of_its_hours_observed():
    rng = np.random.default_rng(0)
    truth = rng.gamma(4.0, 10.0, (2, 3, 48))
    truth[0, 0, :6], truth[0, 1, :7], truth[1, 2, 24:] = np.nan, np.nan, np.nan
    forecast = rng.gamma(4.0, 10.0, (2, 3, 48))
    made, observed = daily_means(torch.as_tensor(forecast), torch.as_tensor(truth), 24)
    assert made.shape == observed.shape == (2, 3, 2)
    for place in np.ndindex(2, 3, 2):
        hours = (*place[:2], slice(24 * place[2], 24 * place[2] + 24))
        assert float(made[place]) == pytest.approx(forecast[hours].mean())
        few = np.isfinite(truth[hours]).sum() < 18
        expected = np.nan if few else np.nanmean(truth[hours])
        assert float(observed[place]) == pytest.approx(expected, nan_ok=True)
    assert torch.isnan(observed).nonzero().tolist() == [[0, 1, 0], [1, 2, 1]]
