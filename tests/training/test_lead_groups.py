"""Groups of leads: how they are scored, and the choices made by their scores."""

import numpy as np
import pytest
import torch

from xaq.nn.base_forecast import LINEAR, PERSISTENCE
from xaq.training.lead_groups import _mae_plus_rmse, as_scored, best_mixture_weights, best_ridge, lead_groups


def test_leads_are_fitted_together_by_quarter_half_day_and_day():
    assert lead_groups(24, 72) == [slice(0, 6), slice(6, 12), slice(12, 24), slice(24, 48), slice(48, 72)]
    assert lead_groups(8, 16) == [slice(0, 2), slice(2, 4), slice(4, 8), slice(8, 16)]
    assert lead_groups(2, 4) == [slice(0, 1), slice(1, 2), slice(2, 4)]
    assert lead_groups(1, 3) == [slice(0, 1), slice(1, 2), slice(2, 3)]


@pytest.mark.parametrize("per_day", [1, 2, 3, 4, 8, 24, 96])
@pytest.mark.parametrize("days", [1, 2, 7])
def test_every_lead_belongs_to_one_group(per_day, days):
    leads = [lead for group in lead_groups(per_day, per_day * days) for lead in range(per_day * days)[group]]
    assert leads == list(range(per_day * days))


def test_a_whole_day_is_scored_by_its_mean_where_three_quarters_are_observed():
    rng = np.random.default_rng(0)
    truth = torch.as_tensor(rng.gamma(4.0, 10.0, (2, 3, 24)))
    truth[0, 0, :6], truth[0, 1, :7], truth[1, 2] = torch.nan, torch.nan, torch.nan
    parts = torch.as_tensor(rng.gamma(4.0, 10.0, (3, 2, 3, 24)))
    made, seen = as_scored(parts, truth, 24)
    places = [(0, 0), (0, 2), (1, 0), (1, 1)]
    np.testing.assert_allclose(seen, [np.nanmean(truth[place]) for place in places])
    np.testing.assert_allclose(made, [[part[place].mean() for place in places] for part in parts])


@pytest.mark.parametrize(("per_day", "n_lead"), [(24, 6), (24, 12), (1, 1)])
def test_other_leads_are_scored_step_by_step_where_they_are_observed(per_day, n_lead):
    rng = np.random.default_rng(0)
    truth = rng.gamma(4.0, 10.0, (5, 3, n_lead))
    truth[rng.random(truth.shape) < 0.5] = np.nan
    parts = rng.gamma(4.0, 10.0, (2, *truth.shape))
    made, seen = as_scored(torch.as_tensor(parts), torch.as_tensor(truth), per_day)
    np.testing.assert_array_equal(seen, truth[np.isfinite(truth)])
    np.testing.assert_array_equal(made, parts[:, np.isfinite(truth)])


def test_the_error_is_mae_plus_rmse_of_what_is_scored():
    rng = np.random.default_rng(1)
    truth, made = rng.gamma(4.0, 10.0, (2, 5, 3, 24))
    truth[0, 0, :12] = np.nan
    error = (made - truth)[..., :6]
    expected = np.nanmean(np.abs(error)) + np.sqrt(np.nanmean(error**2))
    assert _mae_plus_rmse(torch.as_tensor(made[..., :6]), torch.as_tensor(truth[..., :6]), 24) == pytest.approx(
        expected
    )
    daily = (made.mean(axis=-1) - truth.mean(axis=-1))[np.isfinite(truth).all(axis=-1)]
    expected = np.abs(daily).mean() + np.sqrt((daily**2).mean())
    assert _mae_plus_rmse(torch.as_tensor(made), torch.as_tensor(truth), 24) == pytest.approx(expected)
    assert _mae_plus_rmse(torch.ones(2, 3, 6), torch.full((2, 3, 6), torch.nan), 24) == np.inf


def test_the_ridge_strength_with_the_least_error_is_taken_and_the_strongest_without_observations():
    truth = torch.full((4, 2, 6), 20.0)
    truth[0] = torch.nan
    estimates = torch.stack([truth + 3, truth - 1, truth + 2]).nan_to_num(1e6)
    assert best_ridge(estimates, truth, 24) == 1
    assert best_ridge(estimates, torch.full_like(truth, torch.nan), 24) == 2


@pytest.mark.parametrize("weights", [(0.0, 0.0, 1.0), (0.3, 0.5, 0.2), (0.9, 0.1, 0.0), (0.1, 0.0, 0.9)])
@pytest.mark.parametrize("n_lead", [6, 24])
def test_a_mixture_that_is_the_truth_is_found(weights, n_lead):
    parts = torch.as_tensor(np.random.default_rng(2).gamma(4.0, 10.0, (3, 20, 4, n_lead)).astype("float32"))
    truth = torch.einsum("m,mwsl->wsl", torch.tensor(weights), parts)
    truth[0] = torch.nan
    best = best_mixture_weights(parts, truth, 24)
    torch.testing.assert_close(best, torch.tensor(weights))
    assert float(best.sum()) == pytest.approx(1.0)


def test_the_best_part_has_all_the_weight_also_where_it_is_persistence():
    truth = torch.rand(20, 5, 6, generator=torch.Generator().manual_seed(0)) * 50
    parts = torch.stack([truth + 1, truth + 20, truth + 30])
    assert best_mixture_weights(parts, truth, 24)[PERSISTENCE] == 1
    parts = torch.stack([truth + 30, truth, truth + 20])
    assert best_mixture_weights(parts, truth, 24)[LINEAR] == 1


def test_leads_without_an_observation_take_the_linear_regression():
    best = best_mixture_weights(torch.rand(3, 4, 2, 6), torch.full((4, 2, 6), torch.nan), 24)
    assert best.tolist() == [float(part == LINEAR) for part in range(3)]
