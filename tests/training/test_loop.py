"""As much of what was learned as validates, and the mean of the members."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from xaq.training.loop import SCHEDULES, choose_fraction, mean_weights


def learned_module(best, gain, n_members=2, fractions=(0.25, 0.5, 0.75, 1.0), by_place=(1.0,) * 100):
    """Return a module whose error is ``1 - gain`` of the first guess's where ``best`` is kept, and its weights before and after.

    ``by_place`` are the gains of the places relative to their mean.
    """
    torch.manual_seed(0)
    first_guess = torch.nn.Linear(3, 2).state_dict()
    members = [torch.nn.Linear(3, 2) for _ in range(n_members)]
    learned = [{k: v.clone() for k, v in m.state_dict().items()} for m in members]

    def sums():
        moved, whole = members[0].weight - first_guess["weight"], learned[0]["weight"] - first_guess["weight"]
        kept = float((moved / whole).mean().detach())
        gained = gain - abs(kept - best) if kept > 0.1 else 0.0
        error = 1.0 - gained * np.array(by_place)
        return np.stack([np.ones_like(error), error, error**2])

    plan = dataclasses.replace(SCHEDULES["analysis"], fractions=fractions, min_gain=0.002)
    recipe = SimpleNamespace(config=SimpleNamespace(task="analysis"))
    module = SimpleNamespace(networks=members, schedule=plan, sums_by_place=sums, recipe=recipe)
    return module, first_guess, learned


def test_all_that_was_learned_is_kept_bit_identical_where_it_is_best():
    module, first_guess, learned = learned_module(best=1.0, gain=0.1)
    kept, score = choose_fraction(module, first_guess)
    assert (kept, score) == (1.0, pytest.approx(0.9))
    for member, weights in zip(module.networks, learned, strict=True):
        assert all(torch.equal(tensor, weights[name]) for name, tensor in member.state_dict().items())


@pytest.mark.parametrize("gain", [-0.1, 0.0, 0.0019])
def test_the_first_guess_is_kept_bit_identical_where_training_gains_too_little(gain):
    module, first_guess, _ = learned_module(best=0.5, gain=gain)
    assert choose_fraction(module, first_guess) == (0.0, 1.0)
    for member in module.networks:
        assert all(torch.equal(tensor, first_guess[name]) for name, tensor in member.state_dict().items())


@pytest.mark.parametrize("best", [0.25, 0.5, 0.75])
def test_each_member_keeps_the_fraction_of_what_it_learned_that_validates_best(best):
    module, first_guess, learned = learned_module(best=best, gain=0.0021)
    kept, score = choose_fraction(module, first_guess)
    assert (kept, score) == (best, pytest.approx(1.0 - 0.0021))
    for member, weights in zip(module.networks, learned, strict=True):
        for name, tensor in member.state_dict().items():
            torch.testing.assert_close(tensor, (1.0 - best) * first_guess[name] + best * weights[name])


def test_a_gain_that_two_places_of_25_decide_is_not_kept_and_one_that_all_share_is():
    few = np.r_[[10.0] * 2, [5.0 / 23] * 23]
    for by_place, expected in ((few, 0.0), (np.ones(25), 1.0), (np.repeat(few, 20), 1.0)):
        module, first_guess, _ = learned_module(best=1.0, gain=0.08, by_place=by_place)
        assert choose_fraction(module, first_guess).fraction == expected


def test_the_network_is_the_mean_of_its_members():
    _, _, states = learned_module(best=1.0, gain=0.1, n_members=5)
    mean = mean_weights(states)
    assert list(mean) == list(states[0])
    for name, tensor in mean.items():
        np.testing.assert_allclose(tensor, np.mean([s[name].numpy() for s in states], axis=0), rtol=1e-5, atol=1e-7)
    alone = mean_weights(states[:1])
    assert all(torch.equal(tensor, states[0][name]) for name, tensor in alone.items())
