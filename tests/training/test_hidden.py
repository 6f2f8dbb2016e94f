"""Estimates at hidden stations: which neighbours are kept, and no influence of what is hidden."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from xaq.aqnet.network_mapper import NetworkMapper
from xaq.nn.config import AQNetConfig
from xaq.stations import schema
from xaq.training.data import prepare_data
from xaq.training.hidden import draw_samples, hidden_estimates, kept_neighbours


def test_the_nearest_neighbours_are_kept_where_none_are_dropped():
    neighbours = torch.arange(40).reshape(5, 8)
    np.testing.assert_array_equal(kept_neighbours(neighbours, 6, None), np.tile(np.arange(6), (5, 1)))
    assert kept_neighbours(neighbours, 20, None).shape == (5, 8)


def test_in_training_a_tenth_of_the_neighbours_is_dropped_and_the_next_nearest_replace_them():
    neighbours = torch.zeros(20_000, 9, dtype=torch.int64)
    kept = kept_neighbours(neighbours, 6, torch.Generator().manual_seed(0))
    assert kept.shape == (20_000, 6)
    assert (torch.diff(kept, dim=1) > 0).all()
    present = torch.stack([(kept == i).any(dim=1) for i in range(9)]).double().mean(dim=1)
    # The seventh is needed where one of six is dropped; dropped ones return where more are dropped than there are spare ones.
    np.testing.assert_allclose(present[:6], 0.9, atol=0.01)
    assert present[6] == pytest.approx(0.9 * (1 - 0.9**6), abs=0.01)
    again = kept_neighbours(neighbours, 6, torch.Generator().manual_seed(0))
    assert torch.equal(kept, again)


def test_every_day_of_every_target_is_sampled_once_and_a_draw_takes_some_of_them(small_ds, small_model):
    config = AQNetConfig(task="forecast", days_before=3, days_after=0, target_days=2, hidden=8, heads=2, k=6)
    data = prepare_data(schema.observations(schema.conform(small_ds), "pm25"), small_model.recipe)
    fold = data.folds[0]
    n_target = len(fold.targets)

    def keys(samples):
        return list(zip(samples.window.tolist(), samples.day.tolist(), samples.target.tolist(), strict=True))

    everything = draw_samples(config, fold, 5)
    assert sorted(keys(everything)) == [(w, d, t) for w in range(5) for d in range(2) for t in range(n_target)]
    assert torch.equal(everything.neighbours(fold), fold.neighbours[everything.target][:, :6])
    drawn = draw_samples(config, fold, 5, generator=torch.Generator().manual_seed(0), max_samples=7)
    assert len(set(keys(drawn))) == 7
    assert set(keys(drawn)) <= set(keys(everything))
    assert torch.equal(drawn.neighbours(fold), fold.neighbours[drawn.target[:, None], drawn.kept])


def moved_by_learning(network):
    """Return a copy of a network with every parameter away from its first guess."""
    network = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network


def test_training_estimates_hidden_stations_as_the_model_does_from_the_others(small_ds, small_model):
    """What training makes once for all windows, and pairs of stations, gives what a map gives at the hidden stations."""
    seen = schema.observations(schema.conform(small_ds), "pm25")
    data = prepare_data(seen, small_model.recipe)
    network = moved_by_learning(small_model.network)
    fold, starts = data.folds[0], data.train_starts[2:5]
    with torch.no_grad():
        batch = hidden_estimates(network, data, fold, starts, small_model.recipe)
    others = fold.visible.numpy()
    rest = replace(seen, values=seen.values[others], lon=seen.lon[others], lat=seen.lat[others])
    targets, variance = fold.targets.numpy(), fold.series.residual_variance.numpy()
    # The model takes the climatological residual variance from its recipe, training from the stations outside the fold.
    known = tuple(zip(rest.lon.tolist(), rest.lat.tolist(), variance[others].tolist(), strict=True))
    mapper = NetworkMapper(network, replace(small_model.recipe, residual_variance=known))
    prepared = mapper.prepare(rest, seen.times)
    expected = mapper.estimate(prepared, seen.lon[targets], seen.lat[targets]).value[:, 2 * 24 : 5 * 24]
    got = np.empty((len(targets), 3, 24), np.float32)
    got[batch.samples.target, batch.samples.window] = batch.estimate
    np.testing.assert_allclose(got.reshape(len(targets), -1), expected, rtol=2e-4)


def test_evidence_at_hand_gives_what_the_windows_give(small_ds, small_model):
    data = prepare_data(schema.observations(schema.conform(small_ds), "pm25"), small_model.recipe)
    network, starts = moved_by_learning(small_model.network), data.train_starts[[1, 4]]
    for fold in data.folds[:2]:
        bare = replace(fold, series=replace(fold.series, days=None))
        one, two = (hidden_estimates(network, data, f, starts, small_model.recipe) for f in (fold, bare))
        torch.testing.assert_close(one.estimate, two.estimate)


def test_observations_of_hidden_targets_have_no_influence_on_their_estimates(small_ds, small_model):
    honest = schema.observations(schema.conform(small_ds), "pm25")
    data = prepare_data(honest, small_model.recipe)
    fold = data.folds[0]
    poisoned = honest.values.copy()
    poisoned[fold.targets.numpy()] = 1e9
    changed = small_ds.assign(pm25=(small_ds.pm25.dims, poisoned, small_ds.pm25.attrs))
    other = prepare_data(
        schema.observations(schema.conform(changed), "pm25"),
        small_model.recipe,
    )
    with torch.no_grad():
        one, two = (
            hidden_estimates(small_model.network, d, d.folds[0], d.train_starts, small_model.recipe)
            for d in (data, other)
        )
    assert torch.equal(one.estimate, two.estimate)
    assert all(torch.equal(a, b) for a, b in zip(one.parts, two.parts, strict=True))
    assert (two.truth[torch.isfinite(two.truth)] == 1e9).all()


def test_an_hour_at_which_only_the_hidden_stations_report_is_not_scored(small_ds, small_model):
    data = prepare_data(schema.observations(schema.conform(small_ds), "pm25"), small_model.recipe)
    targets = data.folds[0].targets.numpy()
    silent = small_ds.copy(deep=True)
    silent.pm25[:, 24 * 4 + 5] = np.nan
    silent.pm25[targets, 24 * 4 + 5] = 40.0
    data = prepare_data(schema.observations(schema.conform(silent), "pm25"), small_model.recipe)
    with torch.no_grad():
        batch = hidden_estimates(small_model.network, data, data.folds[0], data.train_starts[4:5], small_model.recipe)
    assert torch.isnan(batch.truth[:, 5]).all()
    assert torch.isfinite(batch.truth[:, [4, 6]]).any()
    assert torch.isfinite(batch.estimate).all()
