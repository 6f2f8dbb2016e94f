"""The log scale of the target and its inverse, on tensors."""

from __future__ import annotations

import torch
from torch import Tensor

#: Largest logarithm that is transformed back. No concentration comes near exp(20) offsets; float32 overflows at exp(89).
_MAX_LOG = 20.0


def to_log(values: Tensor, offset: float) -> Tensor:
    r"""Return values on the log scale, not standardised; negative values count as zero.

    .. math:: \log(1 + y^+ / o)

    Parameters
    ----------
    values : (...)
        In the target's units.
    offset : float
        The offset o, in the same units.
    """
    return torch.log1p(values.clamp(min=0) / offset)


def from_log(logs: Tensor, offset: float | Tensor) -> Tensor:
    r"""Return values from the log scale: the inverse of :func:`to_log`.

    .. math:: o \, (e^{\log(1 + y^+ / o)} - 1)

    Parameters
    ----------
    logs : (...)
        Not standardised.
    offset : float or Tensor
        The offset o; a tensor of offsets broadcasts.
    """
    return offset * torch.expm1(logs.clamp(max=_MAX_LOG))
