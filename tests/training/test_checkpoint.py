"""Checkpoints come back as they were saved, without a pickle."""

import json
from collections import OrderedDict, namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import xaq
from xaq.errors import ModelError
from xaq.nn.config import AQNetConfig
from xaq.training.checkpoint import SafetensorsCheckpoint, _from_tree, _to_tree


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


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path):
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


def test_a_checkpoint_without_tensors_replaces_an_older_one(tmp_path):
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


def test_types_that_json_does_not_know_become_plain_ones():
    point = namedtuple("point", "x y")(1, torch.ones(2, requires_grad=True))
    tensors = {}
    tree = _to_tree({"at": point, "path": Path("a") / "b", "ordered": OrderedDict(z=1, a=2)}, tensors)
    expected = {"at": [1, torch.ones(2)], "path": str(Path("a") / "b"), "ordered": {"z": 1, "a": 2}}
    assert same(_from_tree(json.loads(json.dumps(tree)), tensors), expected)
    assert not any(t.requires_grad for t in tensors.values())


def test_saved_tensors_are_copies():
    weight, tensors = torch.zeros(3), {}
    tree = _to_tree([weight], tensors)
    weight += 1
    assert torch.equal(_from_tree(tree, tensors)[0], torch.zeros(3))


# -- damage --------------------------------------------------------------------------------------------------------


def train(folder, **options):
    ds = xaq.datasets.synthetic(n_stations=10, days=4, seed=2)
    config = AQNetConfig(hidden=4, heads=2, k=4)
    given = {"max_epochs": 1, "geography": False, "progress": False, **options}
    return ds.aq.train("pm25", config=config, checkpoint=folder, **given)


def test_any_damage_of_a_checkpoint_is_found(tmp_path):
    path, rng = tmp_path / "last.ckpt", np.random.default_rng(0)
    SafetensorsCheckpoint().save_checkpoint({"epoch": 3, "state": {"weight": torch.arange(40.0)}}, path)
    whole = path.read_bytes()
    for trial in range(200):
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged if trial % 4 else damaged[: int(rng.integers(len(whole)))])
        with pytest.raises((ValueError, OSError)):
            SafetensorsCheckpoint().load_checkpoint(path)


def test_a_damaged_run_is_refused_and_its_fix_begins_it_anew(tmp_path):
    expected = train(tmp_path / "run").hash
    last = tmp_path / "run" / "last.ckpt"
    damaged = bytearray(last.read_bytes())
    damaged[-100] ^= 1
    last.write_bytes(damaged)
    with pytest.raises(ModelError, match="is damaged") as error:
        train(tmp_path / "run")
    fix = str(error.value).partition("fix: ")[2].partition(" to begin")[0]
    assert fix == f"os.remove({str(last)!r})"
    last.unlink()
    assert train(tmp_path / "run").hash == expected


@pytest.mark.parametrize("inside", ["", "run"])
def test_a_checkpoint_that_is_no_folder_is_refused(tmp_path, inside):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ModelError, match="expected a folder; fix: checkpoint='run'"):
        train(tmp_path / "file" / inside if inside else tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
