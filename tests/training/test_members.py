"""Members: losses, what is learned at which rate, and no influence of one member on another."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from xaq.nn.aqnet import build_network
from xaq.nn.config import AQNetConfig
from xaq.training.loop import SCHEDULES
from xaq.training.members import AQNetTraining

SMALL = AQNetConfig(hidden=8, heads=2, days_before=1, days_after=1, k=6)


def test_the_loss_is_mae_plus_half_the_rmse_relative_to_the_mean_where_observed():
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
    first_guess = build_network(SMALL, range_km=50.0, nugget=0.1)
    recipe = SimpleNamespace(config=SMALL, seed=0)
    return AQNetTraining(first_guess, data, recipe, SCHEDULES["analysis"]), first_guess


def test_members_begin_as_copies_of_the_first_guess_and_change_by_themselves():
    module, first_guess = made_module()
    assert module.scale == 2.0
    with torch.no_grad():
        module.networks[0].knn.theta_range.fill_(1.0)
    assert first_guess.knn.theta_range == module.networks[1].knn.theta_range == 0.0
    for name, tensor in first_guess.state_dict().items():
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


def test_a_large_gradient_of_one_member_does_not_slow_the_others():
    module, _ = made_module()
    for size, member in zip((100.0, 1e-4), module.networks, strict=True):
        for parameter in member.parameters():
            parameter.grad = torch.full_like(parameter, size)
    module.configure_gradient_clipping(None, gradient_clip_val=0.3)
    norms = [torch.cat([p.grad.flatten() for p in m.parameters()]).norm() for m in module.networks]
    assert float(norms[0]) == pytest.approx(0.3, rel=1e-3)
    assert all((p.grad == 1e-4).all() for p in module.networks[1].parameters())


def test_scores_are_relative_to_the_first_validation(monkeypatch):
    module, _ = made_module()
    logged = []
    monkeypatch.setattr(module, "log", lambda name, value: logged.append((name, float(value))))
    for errors in ([3.0, 5.0, 1.0], [1.5, 5.0, 1.0]):
        # Of an analysis: one kind of error only.
        module._errors.append(torch.tensor([errors, [0.0] * 3, [0.0] * 3]))
        module.on_validation_epoch_end()
    np.testing.assert_allclose(module.reference, [3.0, 5.0**0.5, 1.0, 1.0, 1.0, 1.0])
    assert logged == [("score", 1.0), ("score", 0.75)]
