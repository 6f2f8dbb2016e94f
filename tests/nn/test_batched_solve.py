"""Systems solved and inverted over the batch, against torch's own solver."""

import pytest
import torch

from xaq.nn.batched_solve import invert, solve

CUDA = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("k", [1, 2, 7])
def test_batched_solve_and_its_gradients(k, device):
    generator = torch.Generator().manual_seed(k)
    half = torch.randn(k, 20, 5, generator=generator, dtype=torch.float64)
    covariance = (torch.einsum("ixb,jxb->ijb", half, half) / 20).to(device)
    nugget, right = (
        torch.rand(*shape, 5, generator=generator, dtype=torch.float64).to(device) for shape in ([k], [k, 3])
    )
    inputs = [t.requires_grad_() for t in (covariance, nugget, right)]
    whole = (covariance + torch.diag_embed(nugget.T).permute(1, 2, 0)).permute(2, 0, 1)
    expected = torch.linalg.solve(whole, right.permute(2, 0, 1)).permute(1, 2, 0)
    torch.testing.assert_close(solve(*inputs), expected)
    weight = torch.randn(expected.shape, generator=generator, dtype=torch.float64).to(device)
    got, by_torch = (torch.autograd.grad((x * weight).sum(), inputs) for x in (solve(*inputs), expected))
    for a, b in zip(got, by_torch, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("k", [1, 2, 7])
def test_inverses_of_bordered_systems(k, device):
    generator = torch.Generator().manual_seed(k)
    half = torch.randn(5, k, 20, generator=generator, dtype=torch.float64).to(device)
    bordered = torch.ones(5, k + 1, k + 1, dtype=torch.float64, device=device)
    bordered[:, :k, :k] = half @ half.mT / 20
    bordered[:, k, k] = 0.0
    nugget = torch.rand(5, k + 1, generator=generator, dtype=torch.float64).to(device)
    nugget[:, k] = 0.0
    before = bordered.clone()
    got = invert(bordered.permute(1, 2, 0), nugget.T).permute(2, 0, 1)
    torch.testing.assert_close(got, torch.linalg.inv(bordered + torch.diag_embed(nugget)))
    assert torch.equal(bordered, before)
