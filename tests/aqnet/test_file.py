"""Model files: what is damaged, edited, foreign or cannot be written is refused, and nothing is left behind."""

import errno
import hashlib
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

import xaq
from xaq.aqnet import file
from xaq.aqnet.recipe import FORMAT
from xaq.errors import ModelError
from xaq.nn.config import AQNetConfig


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=10, days=5, seed=1).aq.hide(fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def model(network):
    return network.aq.train("pm25", config=AQNetConfig(hidden=4, heads=2, k=4), max_epochs=0, progress=False)


@pytest.fixture(scope="module")
def forecast():
    ds = xaq.datasets.synthetic(n_stations=8, days=30, step="6h", seed=4)
    config = AQNetConfig(
        task="forecast", steps_per_day=4, patch=2, days_before=1, days_after=0, target_days=2, hidden=4, heads=2, k=4
    )
    return ds.aq.train("pm25", task="forecast", config=config, max_epochs=0, progress=False)


@pytest.fixture(scope="module")
def data(model, tmp_path_factory):
    return model.save(tmp_path_factory.mktemp("model") / "m.xaq").read_bytes()


def packed(data, recipe=None, tensors=None):
    """Pack a recipe and tensors as a model file with the digest that belongs to them, as an attacker or a newer xaq would."""
    length = int.from_bytes(data[:8], "little")
    found = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["xaq"])
    text = json.dumps({**(found if recipe is None else recipe), "sha256": "0" * 64}, sort_keys=True)
    made = save_tensors(load_tensors(data) if tensors is None else tensors, metadata={"xaq": text})
    return made.replace(b"0" * 64, hashlib.sha256(made).hexdigest().encode(), 1)


def recipe_in(data):
    length = int.from_bytes(data[:8], "little")
    found = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["xaq"])
    del found["sha256"]
    return found


def refused(data, tmp_path, match="fix:"):
    path = tmp_path / "changed.xaq"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=match) as error:
        xaq.load_model(path, device="cpu")
    assert str(error.value).count("fix:") == 1
    return str(error.value)


def leaves(tree, path=()):
    """Yield the path of every object, list and value in a JSON tree; of lists, the first entry."""
    if path:
        yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree[:1]) if isinstance(tree, list) else ()
    for key, value in items:
        yield from leaves(value, (*path, key))


def edited(tree, path, value):
    """Return a copy of a JSON tree with one value replaced."""
    copy = json.loads(json.dumps(tree))
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copy


# -- damage --------------------------------------------------------------------------------------------------------


def test_the_packed_model_is_the_saved_one(data):
    assert packed(data) == data


def test_any_damage_is_refused(data, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "changed.xaq"
    header = 8 + int.from_bytes(data[:8], "little")
    for trial in range(500):
        # Half of the places in the header, which is the smaller part.
        place = int(rng.integers(header if trial % 2 else len(data)))
        changed = bytearray(data)
        if trial % 5 == 4:
            changed = changed[:place] if trial % 2 else changed + rng.bytes(1 + place % 9)
        else:
            changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(ModelError, match="; fix: "):
            xaq.load_model(path, device="cpu")


#: Values of other types, not finite, negative and huge; and the fields that may have such a value all the same.
FREE_TEXT = {
    "target",
    "units",
    "xaq_version",
    "stations_hash",
    "visible",
    "hidden",
    "method",
    "stations",
    "precision",
    "of",
}
WRONG = {
    "text": ("xxx", FREE_TEXT),
    "true": (True, {"temporal", "advection", "cyclic"}),
    "null": (
        None,
        {"background", "interval", "site_effect", "error_covariance", "mae", "rmse", "bias", "r2", "crps", "coverage"}
        | {"width", "n"},
    ),
    "list": ([[[]]], set()),
    "object": ({"a": 1}, {"training"}),
    "NaN": (float("nan"), set()),
    "infinity": (float("-inf"), set()),
    "huger than single precision": (1e39, set()),
    "huger than any float": (10**400, set()),
    "fraction": (0.123, {"dropout"}),
    "negative": (-1, set()),
    "huge": (10**6 + 1, {"seed"}),
    "very huge": (10**30, set()),
}
#: Fields whose value is any number.
NUMBERS = {"mean", "std", "offset", "range_km", "nugget", "sill", "log_weight", "climatology", "centre"}
NUMBERS |= {"residual_variance", "coefficients", "probabilities", "quantiles", "training", "held_out_scores"}
NUMBERS |= {"site_effect", "pairs", "mean_scores"}


@pytest.mark.parametrize("kind", ["model", "forecast"])
@pytest.mark.parametrize("wrong", WRONG)
def test_every_field_of_the_header_is_checked(request, kind, wrong):
    model = request.getfixturevalue(kind)
    data = file.to_bytes(model.network, model.recipe)
    recipe, (value, allowed) = recipe_in(data), WRONG[wrong]
    if isinstance(value, (int, float)) and abs(value) < 1e38 and value is not True:
        allowed = allowed | NUMBERS
    for path in leaves(recipe):
        made = packed(data, edited(recipe, path, value))
        try:
            network, loaded = file.from_bytes(made)
        except ModelError:
            continue
        # What loads is what the file says.
        assert allowed & set(path), path
        assert file.to_bytes(network, loaded) == made


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lstm_layers", 10**6),
        ("hidden", 10**6),
        ("hidden", 10**9),
        ("steps_per_day", 10**9),
        ("days_before", 10**9),
        ("k", 0),
        ("heads", 3),
        ("dropout", 1.0),
        ("patch", 7),
        ("task", "nowcast"),
        ("n_covariates", 3),
        ("target_days", 2),
        ("cyclic", 1),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_before_anything_is_allocated(data, tmp_path, field, value):
    recipe = recipe_in(data)
    refused(packed(data, edited(recipe, ("config", field), value)), tmp_path, "damaged or was changed")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("times_hours",), []),
        (("times_hours", 0), 1.0),
        (("times_hours", 1), 0.0),
        (("ranges_km", 0), 1.0),
        (("ranges_km", 1), -2.5),
        (("weights",), [[1.0]]),
        (("weights",), []),
        (("weights", -1), []),
        (("weights", -1, -1), 0.5),
        (("weights", 0, 0), -0.1),
        (("pairs", -1, 0), -1.0),
        (("pairs", -1, 1), -1.0),
        (("pairs", -1, 2), float("nan")),
        (("pairs", -1, 4), 0),
        (("pairs", -1, 4), 2.5),
        (("pairs", -1), [0.0, 0.0, 1.0, 1.0]),
        (("stations", "range_km"), 0.0),
        (("stations", "nugget"), -0.1),
        (("stations", "sill"), -1.0),
    ],
)
def test_a_covariance_of_errors_that_no_fit_gives_is_refused(data, tmp_path, path, value):
    recipe = recipe_in(data)
    message = refused(
        packed(data, edited(recipe, ("error_covariance", *path), value)), tmp_path, "damaged or was changed"
    )
    assert f"error_covariance.{path[0]}" in message


@pytest.mark.parametrize("field", ["scaler", "interval", "error_covariance", "seed", "format"])
def test_a_missing_and_an_unknown_field_are_named(data, tmp_path, field):
    recipe = recipe_in(data)
    assert field in refused(packed(data, {k: v for k, v in recipe.items() if k != field}), tmp_path)
    assert "surplus" in refused(packed(data, {**recipe, "surplus": 1}), tmp_path)


@pytest.mark.parametrize("number", [FORMAT - 1, FORMAT + 1])
def test_another_format_is_named_with_what_to_do(data, tmp_path, number):
    expected = "train it again" if number < FORMAT else "upgrade xaq"
    refused(packed(data, {**recipe_in(data), "format": number}), tmp_path, f"format {number}.*fix: {expected}")


def test_weights_that_are_not_those_of_the_network_are_refused(data, tmp_path):
    tensors = load_tensors(data)
    name = next(n for n, t in tensors.items() if t.ndim == 2 and t.shape[0] != t.shape[1])
    changes = {
        "double": {**tensors, name: tensors[name].double()},
        "half": {**tensors, name: tensors[name].half()},
        "integers": {**tensors, name: tensors[name].int()},
        "missing": {n: t for n, t in tensors.items() if n != name},
        "surplus": {**tensors, "surplus": torch.zeros(3)},
        "renamed": {("other" if n == name else n): t for n, t in tensors.items()},
        "transposed": {**tensors, name: tensors[name].T.contiguous()},
        "NaN": {**tensors, name: torch.full_like(tensors[name], torch.nan)},
        "infinite": {**tensors, name: torch.full_like(tensors[name], torch.inf)},
    }
    for made in changes.values():
        refused(packed(data, tensors=made), tmp_path, "damaged or was changed")


def test_a_changed_name_is_found_by_the_digest(data, tmp_path):
    """The change that no check of a field can see."""
    changed = data.replace(b"ug m-3", b"mg m-3", 1)
    assert changed != data
    refused(changed, tmp_path, "SHA-256")


def test_names_that_look_like_the_digest_do_no_harm(network, tmp_path):
    name = '"sha256": "' + "a" * 64 + '"'
    trained = network.rename(pm25=name).aq.train(
        name, config=AQNetConfig(hidden=4, heads=2, k=4), max_epochs=0, progress=False
    )
    assert xaq.load_model(trained.save(tmp_path / "m.xaq"), device="cpu").target == name


def test_a_model_that_could_not_be_loaded_is_not_saved(model, tmp_path):
    broken = xaq.aqnet.model.Model(model.network, replace(model.recipe, log_weight=float("nan")))
    with pytest.raises(ModelError, match="log_weight is nan"):
        broken.save(tmp_path / "m.xaq")
    assert not list(tmp_path.iterdir())


def test_loading_changes_no_random_numbers(model, tmp_path):
    path = model.save(tmp_path / "m.xaq")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    xaq.load_model(path)
    assert torch.equal(torch.rand(2), expected)


# -- what is no model ------------------------------------------------------------------------------------------------


def test_what_is_no_model_file_is_refused_at_once(tmp_path):
    contents = {
        "empty": b"",
        "short": b"abc",
        "text": b"hello, world\n" * 100,
        "zeros": bytes(1000),
        "a list": (2).to_bytes(8, "little") + b"[]",
        "a number": (2).to_bytes(8, "little") + b"12",
        "no text": (8).to_bytes(8, "little") + b"\xff" * 8,
        "nested": (200_000).to_bytes(8, "little") + b"[" * 200_000,
        "long header": (10**15).to_bytes(8, "little") + b"{}",
    }
    for made in contents.values():
        refused(made, tmp_path, "no readable model file")
    for metadata in ({"xaq": "12"}, {"xaq": "[]"}, {"xaq": "{"}, {"xaq": '{"format": "x"}'}):
        refused(save_tensors({"a": torch.zeros(1)}, metadata=metadata), tmp_path)


def test_a_huge_file_is_not_read(data, tmp_path):
    path = tmp_path / "huge.xaq"
    for start in (data, b"", data[:8]):
        path.write_bytes(start)
        with path.open("r+b") as stream:
            stream.truncate(10**12)
        with pytest.raises(ModelError, match="fix:"):
            xaq.load_model(path)


@pytest.mark.parametrize("path", [None, 5, b"m.xaq", "m\0.xaq", "x" * 300, ["m.xaq"]])
def test_paths_that_are_none_are_refused(model, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    for use in (xaq.load_model, model.save):
        with pytest.raises(ModelError, match="fix:"):
            use(path)
    assert not list(tmp_path.iterdir())


def test_folders_pipes_and_devices_are_refused(model, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "pipe", tmp_path / "folder", Path("/dev/null"), tmp_path / "folder" / "."):
        before = os.lstat(place)
        with pytest.raises(ModelError, match=r"; fix: xaq\.load_model"):
            xaq.load_model(place)
        with pytest.raises(ModelError, match=r"; fix: model\.save"):
            model.save(place)
        assert stat.S_IFMT(os.lstat(place).st_mode) == stat.S_IFMT(before.st_mode)
    assert {p.name for p in tmp_path.rglob("*")} == {"pipe", "folder"}


# -- writing -------------------------------------------------------------------------------------------------------


def test_the_advice_for_a_folder_saves_into_it(model, tmp_path):
    with pytest.raises(ModelError) as error:
        model.save(tmp_path)
    eval(str(error.value).partition("fix: ")[2], {"model": model})
    assert xaq.load_model(tmp_path / "model.xaq", device="cpu").hash == model.hash
    assert [p.name for p in tmp_path.iterdir()] == ["model.xaq"]


def test_the_advice_for_a_missing_folder_makes_it(model, tmp_path):
    path = tmp_path / "a" / "b" / "m.xaq"
    with pytest.raises(ModelError, match="no such folder") as error:
        model.save(path)
    eval(str(error.value).partition("fix: ")[2], {"os": os})
    assert xaq.load_model(model.save(path), device="cpu").hash == model.hash


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(model, tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        path = model.save(tmp_path / "m.xaq")
        path.chmod(0o400)
        model.save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("stage", ["replace", "open"])
def test_a_save_that_fails_keeps_the_older_file_and_leaves_nothing(model, tmp_path, monkeypatch, stage):
    path = tmp_path / "m.xaq"
    path.write_bytes(b"older")

    def failing(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, stage, failing)
        with pytest.raises(ModelError, match=r"No space left on device\); fix: "):
            model.save(path)
    assert path.read_bytes() == b"older"
    assert [p.name for p in tmp_path.iterdir()] == ["m.xaq"]


def test_an_interrupted_save_leaves_nothing(model, tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.save(tmp_path / "m.xaq")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that even root cannot write to")
def test_a_folder_that_cannot_be_written_to_is_an_error(model):
    with pytest.raises(ModelError, match=r"cannot be written.*fix: "):
        model.save("/proc/m.xaq")


def test_a_link_is_followed(model, tmp_path):
    (tmp_path / "first.xaq").write_bytes(b"older")
    (tmp_path / "latest.xaq").symlink_to("first.xaq")
    model.save(tmp_path / "latest.xaq")
    assert (tmp_path / "latest.xaq").is_symlink()
    assert (tmp_path / "first.xaq").read_bytes() == file.to_bytes(model.network, model.recipe)
