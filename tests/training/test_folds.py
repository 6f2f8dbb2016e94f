"""Folds: every place in one of them, and nothing inside a fold known outside it."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from xaq.aqnet.station_side import make_record
from xaq.interpolate.held_out import FOLDS, deal_stations
from xaq.stations import schema
from xaq.training.data import prepare_data
from xaq.training.folds import make_folds
from xaq.training.hidden import hidden_estimates


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
    recipe = replace(recipe, config=replace(recipe.config, advection=True))
    days = observations.times[::24]
    record, starts, times = make_record(recipe, observations, days)
    folds = make_folds(observations, recipe, times, starts)
    assert sorted(torch.cat([fold.targets for fold in folds]).tolist()) == list(range(14))
    for fold in folds:
        hidden = set(fold.targets.tolist())
        assert set(torch.nonzero(~fold.visible)[:, 0].tolist()) == hidden
        assert not hidden & set(fold.neighbours.flatten().tolist())
        assert (fold.series.table[:, fold.targets] == 0).all()
        assert torch.isnan(fold.series.residual[fold.targets]).all()
        observed = torch.as_tensor(observations.at(times))[fold.visible, starts[0] : starts[-1] + 24]
        seen = torch.isfinite(observed)
        filled = fold.series.table[:, fold.visible, :24].transpose(0, 1).flatten(1)
        assert torch.equal(filled[seen], observed[seen])
        assert (filled > 0).all()
        assert fold.series.advected.shape == (*fold.neighbours.shape, len(days), 48)
        window = fold.window(record, torch.as_tensor(starts))
        assert torch.isnan(window.residual[:, fold.targets]).all()
        assert torch.equal(window.visible, fold.visible)


def test_a_fold_reads_and_is_compared_with_its_own_ratios(small_ds, small_model):
    observations = schema.observations(schema.conform(small_ds), "pm25")
    fold_of = deal_stations(observations.lon, observations.lat, small_model.recipe.seed)
    ratios = np.ones((fold_of.max() + 1, 14), np.float32)
    ratios[1] = 2.0
    plain, other = (prepare_data(observations, small_model.recipe, fold_ratios=r) for r in (None, ratios))
    starts = plain.train_starts[:2]
    for number in (0, 1):
        expected, made = (
            hidden_estimates(small_model.network, d, d.folds[number], starts, small_model.recipe)
            for d in (plain, other)
        )
        torch.testing.assert_close(made.truth, ratios[number, 0] * expected.truth, equal_nan=True)
        if number == 0:
            torch.testing.assert_close(made.estimate, expected.estimate)
        else:
            assert 1.9 < (made.estimate / expected.estimate).median() < 2.1
