"""Advected neighbours on tensors."""

import pytest
import torch

from xaq.nn.advection import advect, advect_pairs

CUDA = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


@pytest.mark.parametrize("device", DEVICES)
def test_each_slot_is_advected_with_its_own_weights(device):
    generator = torch.Generator().manual_seed(0)
    series = torch.randn(3, 2, 6 + 2, generator=generator).to(device)
    weights = torch.rand(3, 4, 2, generator=generator).to(device)
    lags = torch.rand(5, 4, 3, generator=generator).to(device)
    got = advect(series, weights, lags)
    slot = torch.arange(6) // 3
    windows = series.unfold(2, 3, 1)
    torch.testing.assert_close(got, torch.einsum("nst,ksl,nctl->nkct", weights[:, :, slot], lags, windows))


@pytest.mark.parametrize("device", DEVICES)
def test_pairs_are_advected_as_a_table_of_knots_at_their_displacements(device):
    generator = torch.Generator().manual_seed(1)
    series = torch.randn(4, 3, 2, 6 + 2, generator=generator).to(device)
    weights = torch.rand(4, 3, 5, 2, generator=generator).to(device)
    lags = torch.rand(3, 5, 3, generator=generator).to(device)
    got = advect_pairs(series, weights, lags)
    expected = torch.stack([advect(series[:, p], weights[:, p], lags[p, None])[:, 0] for p in range(3)])
    torch.testing.assert_close(got, expected.flatten(2))
