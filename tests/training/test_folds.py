"""Folds: every place in one of them, and nothing inside a fold known outside it."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from xaq.aqnet.station_side import make_record
from xaq.interpolate.held_out import FOLDS, deal_stations
from xaq.stations import schema
from xaq.training.folds import make_folds


@given(st.integers(2, 40), st.integers(0, 1000))
def test_folds_are_of_nearly_equal_size_and_co_located_stations_share_one(n_place, seed):
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(0, 10, (2, n_place))
    fold_of = deal_stations(np.append(lon, lon[0]), np.append(lat, lat[0]), seed)
    assert fold_of[-1] == fold_of[0]
    count = np.bincount(fold_of[:-1])
    assert len(count) == min(FOLDS, n_place)
    assert count.max() - count.min() <= 1
    np.testing.assert_array_equal(fold_of, deal_stations(np.append(lon, lon[0]), np.append(lat, lat[0]), seed))


def test_each_fold_knows_the_stations_outside_it_only(small_ds, small_model):
    observations, recipe = schema.observations(schema.conform(small_ds), "pm25"), small_model.recipe
    days = observations.times[::24]
    record, starts, times = make_record(recipe, observations, days)
    folds = make_folds(observations, recipe, times, starts)
    assert sorted(torch.cat([fold.targets for fold in folds]).tolist()) == list(range(14))
    for fold in folds:
        hidden = set(fold.targets.tolist())
        assert set(torch.nonzero(~fold.visible)[:, 0].tolist()) == hidden
        assert not hidden & set(fold.neighbours.flatten().tolist())
        assert torch.isnan(fold.series.values[fold.targets]).all()
        assert torch.isnan(fold.series.residual[fold.targets]).all()
        observed = torch.as_tensor(observations.at(times))[fold.visible]
        seen = torch.isfinite(observed)
        assert torch.equal(fold.series.values[fold.visible][seen], observed[seen])
        assert fold.series.advected.shape == (*fold.neighbours.shape, len(days), 48)
        window = fold.window(record, torch.as_tensor(starts))
        assert torch.isnan(window.residual[:, fold.targets]).all()
        assert torch.equal(window.visible, fold.visible)
