"""Training data: which folds validate which member, and which steps of a record windows estimate."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from xaq.interpolate.held_out import FOLDS
from xaq.nn.config import AQNetConfig
from xaq.stations import schema
from xaq.training.data import prepare_data, validation_folds
from xaq.training.folds import MEMBERS

SMALL = AQNetConfig(hidden=8, heads=2, days_before=1, days_after=1, k=6)
FORECAST = AQNetConfig(task="forecast", days_before=3, days_after=0, target_days=2, hidden=8, heads=2, k=6)


@given(st.integers(2, FOLDS))
def test_every_fold_validates_one_member_and_a_forecast_has_one(n_folds):
    own = validation_folds(n_folds, SMALL)
    assert len(own) == min(MEMBERS, n_folds)
    assert sorted(f for member in own for f in member) == list(range(n_folds))
    assert max(map(len, own)) - min(map(len, own)) <= 1
    assert validation_folds(n_folds, FORECAST) == ((0,),)


def test_windows_estimate_the_observations_of_their_target_days(small_ds, small_model):
    data = prepare_data(schema.observations(schema.conform(small_ds), "pm25"), small_model.recipe)
    truth = data.at_targets(data.truth, data.train_starts)
    days = small_ds.pm25.values.reshape(14, 8, 24).swapaxes(0, 1)
    np.testing.assert_array_equal(truth, days)
    assert torch.equal(torch.cat(data.validation_batches()), data.validation_starts)


def test_a_forecast_is_learned_at_the_stations_outside_the_fold_that_validates_it():
    import xaq

    ds = xaq.datasets.synthetic(n_stations=14, days=20, seed=3)
    model = ds.aq.train("pm25", task="forecast", config=FORECAST, max_epochs=0, progress=False)
    data = prepare_data(schema.observations(schema.conform(ds), "pm25"), model.recipe)
    (own,) = data.validation
    hidden = torch.cat([data.folds[f].targets for f in own])
    assert not data.learning_stations[hidden].any()
    assert int(data.learning_stations.sum()) == 14 - len(hidden)
    assert all(fold.series is None for fold in data.folds)
