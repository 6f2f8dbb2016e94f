"""Many small symmetric systems at once, by elimination over the batch: faster on a CPU than a solve for each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def solve(covariance: Tensor, nugget: Tensor, right: Tensor) -> Tensor:
    """Solve ``(covariance + diag(nugget)) x = right``.

    The batch comes last, so that each step of the elimination runs over all of it.

    Parameters
    ----------
    covariance : (k, k, batch)
        Symmetric; positive definite once the nugget is added.
    nugget : (k, batch)
    right : (k, n, batch)

    Returns
    -------
    Tensor, (k, n, batch)
        The solutions, differentiable in all arguments.
    """
    return _Solve.apply(covariance, nugget, right)


class _Solve(torch.autograd.Function):
    """The solution, and its derivative by the implicit function theorem, which solves the same system once more."""

    @staticmethod
    def forward(context: Any, covariance: Tensor, nugget: Tensor, right: Tensor) -> Tensor:
        solution = _eliminate(covariance, nugget, right)
        context.save_for_backward(covariance, nugget, solution)
        return solution

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        covariance, nugget, solution = context.saved_tensors
        to_right = _eliminate(covariance, nugget, gradient)
        # Products one right-hand side at a time: with the batch last, einsum would copy it all.
        to_system = -sum(to_right[:, None, n] * solution[:, n] for n in range(solution.shape[1]))
        return to_system, to_system.diagonal().T, to_right


def _eliminate(covariance: Tensor, nugget: Tensor, right: Tensor) -> Tensor:
    """Gaussian elimination without pivoting, which positive definite systems do not need (Golub and Van Loan 2013, 4.2)."""
    k = len(covariance)
    both = torch.cat([covariance, right], dim=1)
    both[:, :k].diagonal().add_(nugget.T)
    inverse = torch.empty_like(nugget)
    for j in range(k):
        torch.reciprocal(both[j, j], out=inverse[j])
        factor = both[j, j + 1 : k] * inverse[j]
        both[j + 1 :, j + 1 :].addcmul_(factor[:, None], both[j, None, j + 1 :], value=-1)
    solution = both[:, k:]
    for j in range(k - 1, -1, -1):
        solution[j] *= inverse[j]
        solution[:j].addcmul_(both[:j, j, None], solution[j, None], value=-1)
    return solution


def invert(systems: Tensor, nugget: Tensor) -> Tensor:
    """Return the inverses of ``systems + diag(nugget)``, for systems with many right-hand sides.

    Gauss-Jordan elimination without pivoting (Golub and Van Loan 2013, 3.2). It needs non-zero leading minors, which positive
    definite systems have, also when they are bordered by ones.

    Parameters
    ----------
    systems : (k, k, batch)
        The batch comes last, so that each step of the elimination runs over all of it.
    nugget : (k, batch)
    """
    out = systems.clone()
    out.diagonal().T.add_(nugget)
    for j in range(len(out)):
        inverse = out[j, j].reciprocal()
        row = out[j] * inverse
        row[j] = inverse
        factor = out[:, j].clone()
        factor[j] = 0.0
        out[:, j] = 0.0
        out.addcmul_(factor[:, None], row, value=-1)
        out[j] = row
    return out
