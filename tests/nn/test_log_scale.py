"""The log scale and its inverse."""

import torch

from xaq.arrays.transforms import Scaler
from xaq.nn.log_scale import from_log, to_log


def test_the_log_scale_and_back():
    values = torch.tensor([0.0, 0.1, 3.0, 250.0, 1e4])
    torch.testing.assert_close(from_log(to_log(values, 1.7), 1.7), values)


def test_it_is_that_of_the_scaler():
    values, scaler = torch.tensor([-2.0, 0.0, 12.5]), Scaler(1.7, 0.3, 0.8)
    torch.testing.assert_close(to_log(values, 1.7), torch.as_tensor(scaler.log(values.numpy())))
    torch.testing.assert_close(from_log(to_log(values, 1.7), 1.7), values.clamp(min=0.0))


def test_huge_logs_stay_finite_and_nan_stays_nan():
    got = from_log(torch.tensor([1e3, torch.nan]), 2.0)
    assert torch.isfinite(got[0])
    assert torch.isnan(got[1])
    assert torch.isnan(to_log(torch.tensor([torch.nan]), 2.0))


def test_offsets_broadcast():
    logs, offsets = torch.tensor([[1.0, 2.0], [0.5, 0.0]]), torch.tensor([[1.0], [3.0]])
    torch.testing.assert_close(from_log(logs, offsets)[1], from_log(logs[1], 3.0))
