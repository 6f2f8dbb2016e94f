"""What a model says that it gains over kriging: trend and network together, in the target's units."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import xaq
from xaq.interpolate.site_effect import fit_with_folds
from xaq.stations import schema
from xaq.training.data import prepare_data
from xaq.training.gain import errors_beside_kriging
from xaq.training.hidden import hidden_estimates
from xaq.training.select import remove_trend, select_observations


@pytest.fixture(scope="module")
def germany():
    return schema.conform(xaq.datasets.load("germany").isel(time=slice(0, 120)).aq.hide(fraction=0.15, seed=7))


@pytest.fixture(scope="module")
def model(germany):
    return germany.aq.train("pm10", max_epochs=0, progress=False)


def test_the_errors_are_those_in_units_of_estimates_with_the_trend_of_the_other_stations(germany, model):
    """The trend is taken from the site effects themselves here, not from what observations are divided by."""
    raw = select_observations(germany, "pm10").observations
    _, without, _ = fit_with_folds(raw)
    selection, _ = remove_trend(select_observations(germany, "pm10"))
    data = prepare_data(selection.observations, model.recipe, selection.fold_ratios)
    kriging, residuals, kriged = xaq.OrdinaryKriging.fit(raw), [], []
    with torch.no_grad():
        for fold, effect in zip(data.folds, without, strict=True):
            targets, others = fold.targets.numpy(), fold.visible.numpy()
            batch = hidden_estimates(model.network, data, fold, data.validation_starts, model.recipe)
            times = raw.times[
                data.validation_starts.numpy() - (raw.times[0] - data.begin).astype("timedelta64[D]").astype(int)
            ]
            made = batch.estimate.numpy().reshape(len(times), len(targets)).T
            truth = raw.at(times)[targets]
            residuals.append(truth - made * effect.factor(raw.lon, raw.lat)[targets, None])
            seen = replace(raw, values=raw.values[others], lon=raw.lon[others], lat=raw.lat[others])
            estimate = kriging.estimate(kriging.prepare(seen, times), raw.lon[targets], raw.lat[targets])
            kriged.append(truth - estimate.value)
    for name, found in (("analysis", residuals), ("kriging", kriged)):
        error = np.concatenate([r.ravel() for r in found])
        assert model.recipe.training[f"{name}_mae"] == pytest.approx(np.nanmean(np.abs(error)), rel=1e-4)
        assert model.recipe.training[f"{name}_rmse"] == pytest.approx(np.nanmean(error**2) ** 0.5, rel=1e-4)


def test_a_model_tells_the_gain_of_the_whole_from_that_of_its_network(germany, model):
    """The site effect gains, and nothing was trained."""
    found = model.recipe.training
    gain = 100 * (1 - found["analysis_mae"] / found["kriging_mae"])
    assert gain > 3
    assert f"gain: MAE {gain:.1f} % lower and RMSE" in repr(model)
    assert "the network" not in repr(model)


def test_a_model_that_loses_against_kriging_says_so(model):
    worse = {**model.recipe.training, "score": 1.0, "analysis_mae": 1.03 * model.recipe.training["kriging_mae"]}
    text = repr(type(model)(model.network, replace(model.recipe, training=worse)))
    assert "gain: MAE 3.0 % higher and RMSE" in text
    assert "training: the network adds nothing: the classical first guess is kept" in text


def test_observations_of_zero_are_left_out_of_both(germany, model):
    """A zero divided by a trend says nothing of it."""
    selection = select_observations(germany, "pm10")
    raw = selection.observations
    values = raw.values.copy()
    values[:, ::3] = 0.0
    zeros = replace(raw, values=values)
    data = prepare_data(zeros, model.recipe)
    found = errors_beside_kriging([model.network] * len(data.validation), data, model.recipe, zeros)
    assert all(np.isfinite(value) for value in found.values())
    empty = replace(raw, values=np.zeros_like(values))
    data = prepare_data(empty, model.recipe)
    assert errors_beside_kriging([model.network] * len(data.validation), data, model.recipe, empty) == {}
