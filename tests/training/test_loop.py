"""The Lightning side: checkpoints as they were, scores by brute force, and as much of what was learned as validates."""

import dataclasses
import json
from collections import OrderedDict, namedtuple
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xaq.nn.aqnet import AQNet
from xaq.nn.config import AQNetConfig
from xaq.training.checkpoint import SafetensorsCheckpoint, _from_tree, _to_tree
from xaq.training.loop import SCHEDULES, AQNetTraining, _choose_fraction, _mae_and_rmse, _mean, _sums

SMALL = AQNetConfig(hidden=8, heads=2, days_before=1, days_after=1, k=6, n_rasters=1)

# -- checkpoints ----------------------------------------------------------------------------------------------------


def same(one, other):
    """Say whether two nested structures are equal, types and bits of tensors included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        # The order of keys is that of parameter groups and callbacks.
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    checkpoint = {
        "epoch": 3,
        "score": 0.1 + 0.2,
        "precision": "32-true",
        "done": False,
        "nothing": None,
        "state_dict": {"weight": whole, "transposed": whole.T, "part": whole[1:, 2], "same": whole},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(7.0)}, 1: {}}, "param_groups": [{"betas": (0.9, 0.999)}]}],
        "kinds": [torch.tensor(True), torch.tensor([1, 2]), torch.zeros(0, 3), torch.ones(2, dtype=torch.bfloat16)],
        "nested": ((), [], {}, [[("a", [1])]]),
        (1, "a"): "keys need not be text",
    }  # fmt: skip
    path = tmp_path / "new" / "run.ckpt"
    SafetensorsCheckpoint().save_checkpoint(checkpoint, path)
    assert same(SafetensorsCheckpoint().load_checkpoint(path), checkpoint)
    assert [p.name for p in path.parent.iterdir()] == ["run.ckpt"]


def test_a_checkpoint_without_tensors_and_an_older_one_in_its_place(tmp_path):
    path = tmp_path / "last.ckpt"
    for checkpoint in ({"weight": torch.ones(3)}, {"epoch": 1}):
        SafetensorsCheckpoint().save_checkpoint(checkpoint, path)
        assert same(SafetensorsCheckpoint().load_checkpoint(path), checkpoint)
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
    for _ in range(2):
        SafetensorsCheckpoint().remove_checkpoint(path)
        assert not path.exists()


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
keys = st.integers() | st.text(max_size=5) | st.tuples(st.integers(), st.text(max_size=2))
trees = st.recursive(
    leaves | st.lists(st.floats(width=32, allow_nan=False), max_size=3).map(torch.tensor),
    lambda t: st.lists(t, max_size=3) | st.lists(t, max_size=3).map(tuple) | st.dictionaries(keys, t, max_size=3),
    max_leaves=12,
)


@given(trees)
def test_any_nested_structure_survives_json(value):
    tensors = {}
    tree = json.loads(json.dumps(_to_tree(value, tensors)))
    assert same(_from_tree(tree, tensors), value)


def test_what_json_does_not_know_becomes_its_plain_kind():
    point = namedtuple("point", "x y")(1, torch.ones(2, requires_grad=True))
    tensors = {}
    tree = _to_tree({"at": point, "path": Path("a") / "b", "ordered": OrderedDict(z=1, a=2)}, tensors)
    expected = {"at": [1, torch.ones(2)], "path": str(Path("a") / "b"), "ordered": {"z": 1, "a": 2}}
    assert same(_from_tree(json.loads(json.dumps(tree)), tensors), expected)
    assert not any(t.requires_grad for t in tensors.values())


def test_saved_tensors_do_not_change_with_the_ones_that_are_trained_on():
    weight, tensors = torch.zeros(3), {}
    tree = _to_tree([weight], tensors)
    weight += 1
    assert torch.equal(_from_tree(tree, tensors)[0], torch.zeros(3))


# -- how much of what was learned is kept ---------------------------------------------------------------------------


def learned_module(best, gain, n_members=2, fractions=(0.25, 0.5, 0.75, 1.0)):
    """Return a module whose score is ``1 - gain`` where ``best`` of what was learned is kept, and its start and end."""
    torch.manual_seed(0)
    start = torch.nn.Linear(3, 2).state_dict()
    members = [torch.nn.Linear(3, 2) for _ in range(n_members)]
    learned = [{k: v.clone() for k, v in m.state_dict().items()} for m in members]

    def kept():
        moved, whole = members[0].weight - start["weight"], learned[0]["weight"] - start["weight"]
        return float((moved / whole).mean().detach())

    plan = dataclasses.replace(SCHEDULES["analysis"], fractions=fractions, min_gain=0.002)
    module = SimpleNamespace(networks=members, schedule=plan, score=lambda: 1.0 - gain + abs(kept() - best))
    return module, start, learned


def test_all_that_was_learned_is_kept_bit_by_bit_where_it_is_best():
    module, start, learned = learned_module(best=1.0, gain=0.1)
    kept, score = _choose_fraction(module, start)
    assert (kept, score) == (1.0, pytest.approx(0.9))
    for member, weights in zip(module.networks, learned, strict=True):
        assert all(torch.equal(tensor, weights[name]) for name, tensor in member.state_dict().items())


@pytest.mark.parametrize("gain", [-0.1, 0.0, 0.0019])
def test_the_start_is_kept_bit_by_bit_where_training_gains_too_little(gain):
    module, start, _ = learned_module(best=0.5, gain=gain)
    assert _choose_fraction(module, start) == (0.0, 1.0)
    for member in module.networks:
        assert all(torch.equal(tensor, start[name]) for name, tensor in member.state_dict().items())


@pytest.mark.parametrize("best", [0.25, 0.5, 0.75])
def test_each_member_keeps_the_fraction_of_what_it_learned_that_validates_best(best):
    module, start, learned = learned_module(best=best, gain=0.0021)
    kept, score = _choose_fraction(module, start)
    assert (kept, score) == (best, pytest.approx(1.0 - 0.0021))
    for member, weights in zip(module.networks, learned, strict=True):
        for name, tensor in member.state_dict().items():
            torch.testing.assert_close(tensor, (1.0 - best) * start[name] + best * weights[name])


def test_the_network_is_the_mean_of_its_members():
    _, _, states = learned_module(best=1.0, gain=0.1, n_members=5)
    mean = _mean(states)
    assert list(mean) == list(states[0])
    for name, tensor in mean.items():
        np.testing.assert_allclose(tensor, np.mean([s[name].numpy() for s in states], axis=0), rtol=1e-5, atol=1e-7)
    alone = _mean(states[:1])
    assert all(torch.equal(tensor, states[0][name]) for name, tensor in alone.items())


# -- scores, losses, steps ------------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.integers(1, 4))
def test_errors_of_batches_are_pooled_over_what_is_observed(seed, n_batches):
    rng = np.random.default_rng(seed)
    error = rng.normal(1, 10, (3, n_batches, 5, 6))
    error[rng.random(error.shape) < 0.3] = np.nan
    # Nobody is told of the second kind, as in an analysis.
    error[1] = np.nan
    total = torch.stack([sum(_sums(torch.as_tensor(batch)) for batch in kind) for kind in error])
    seen = [kind[np.isfinite(kind)] for kind in error[[0, 2]]]
    expected = [np.abs(e).mean() for e in seen] + [np.sqrt((e**2).mean()) for e in seen]
    np.testing.assert_allclose(_mae_and_rmse(total), expected)


def test_sums_of_nothing_are_zero():
    assert torch.equal(_sums(torch.full((4, 2), torch.nan)), torch.zeros(3))
    assert len(_mae_and_rmse(torch.zeros(3, 3))) == 0


def test_the_loss_is_mae_plus_half_the_rmse_relative_to_the_mean_and_knows_no_gaps():
    rng = np.random.default_rng(0)
    made, truth = rng.gamma(4.0, 10.0, (2, 7, 6))
    truth[rng.random(truth.shape) < 0.4] = np.nan
    estimate = torch.tensor(made, requires_grad=True)
    loss = AQNetTraining._loss(SimpleNamespace(scale=25.0), estimate, torch.as_tensor(truth))
    error = (made - truth)[np.isfinite(truth)] / 25.0
    assert float(loss.detach()) == pytest.approx(np.abs(error).mean() + 0.5 * np.sqrt((error**2).mean()), rel=1e-6)
    loss.backward()
    np.testing.assert_array_equal(estimate.grad != 0, np.isfinite(truth))
    silent = AQNetTraining._loss(SimpleNamespace(scale=25.0), estimate, torch.full((7, 6), torch.nan))
    assert torch.isfinite(torch.autograd.grad(silent, estimate)[0]).all()


def made_module(n_members=2):
    torch.manual_seed(0)
    data = SimpleNamespace(validation=((0,),) * n_members, truth=torch.tensor([[1.0, -3.0, torch.nan]]))
    start = AQNet(SMALL, range_km=50.0, nugget=0.1)
    return AQNetTraining(start, data, SimpleNamespace(config=SMALL, seed=0)), start


def test_members_begin_as_copies_of_one_start_and_move_by_themselves():
    module, start = made_module()
    assert module.scale == 2.0
    with torch.no_grad():
        module.networks[0].knn.log_range.fill_(1.0)
    assert start.knn.log_range == module.networks[1].knn.log_range == 0.0
    for name, tensor in start.state_dict().items():
        assert torch.equal(tensor, module.networks[1].state_dict()[name]), name


def test_every_parameter_is_learned_once_and_the_covariance_fast_and_without_decay():
    module, _ = made_module()
    few, rest = module.configure_optimizers().param_groups
    ids = [id(p) for group in (few, rest) for p in group["params"]]
    assert len(ids) == len(set(ids)) == len(list(module.parameters()))
    covariance = [p for member in module.networks for p in member.knn.covariance_parameters()]
    assert {id(p) for p in few["params"]} == {id(p) for p in covariance}
    assert few["lr"] > rest["lr"]
    assert (few["weight_decay"], rest["weight_decay"] > 0) == (0.0, True)


def test_a_member_that_struggles_does_not_slow_the_others():
    module, _ = made_module()
    for size, member in zip((100.0, 1e-4), module.networks, strict=True):
        for parameter in member.parameters():
            parameter.grad = torch.full_like(parameter, size)
    module.configure_gradient_clipping(None, gradient_clip_val=0.3)
    norms = [torch.cat([p.grad.flatten() for p in m.parameters()]).norm() for m in module.networks]
    assert float(norms[0]) == pytest.approx(0.3, rel=1e-3)
    assert all((p.grad == 1e-4).all() for p in module.networks[1].parameters())
