"""Ridge regression of many leads that share most of their regressors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Regressors and targets of a batch of windows and stations.

    Attributes
    ----------
    common : (row, input)
        Regressors that all leads share.
    own : (lead, row, own input)
        Those of each lead.
    targets : (lead, row, scale)
        Anomalies on the linear and on the log scale.
    """

    common: Tensor
    own: Tensor
    targets: Tensor


@dataclass(frozen=True)
class NormalEquations:
    r"""Sums over rows of the products of regressors and targets, in double precision.

    With the regressors :math:`\chi_\ell = (\chi_\text{common}, \chi_{\text{own}, \ell})` of lead :math:`\ell` and its anomalies
    :math:`T_\ell`, they are the blocks of :math:`\sum \chi_\ell \chi_\ell^\top` and :math:`\sum \chi_\ell T_\ell^\top`.

    Attributes
    ----------
    common : (input, input)
    cross : (lead, input, own input)
    own : (lead, own input, own input)
    moment : (lead, input + own input, scale)
    """

    common: Tensor
    cross: Tensor
    own: Tensor
    moment: Tensor

    @classmethod
    def zeros(cls, n_lead: int, n_common: int, n_own: int, device: torch.device) -> NormalEquations:
        """Return the equations of no rows, of two scales."""
        shapes = (
            (n_common, n_common),
            (n_lead, n_common, n_own),
            (n_lead, n_own, n_own),
            (n_lead, n_common + n_own, 2),
        )
        return cls(*(torch.zeros(shape, dtype=torch.float64, device=device) for shape in shapes))

    @classmethod
    def sum(cls, equations: Iterable[NormalEquations]) -> NormalEquations:
        """Return the equations of the rows of all."""
        parts = [(e.common, e.cross, e.own, e.moment) for e in equations]
        return cls(*(torch.stack(terms).sum(dim=0) for terms in zip(*parts, strict=True)))

    def add(self, rows: Rows) -> None:
        """Add rows in place; their products are made in single precision."""
        n_common = rows.common.shape[1]
        self.common.add_(rows.common.T @ rows.common)
        self.cross.add_(rows.common.T @ rows.own)
        self.own.add_(rows.own.mT @ rows.own)
        self.moment[:, :n_common] += rows.common.T @ rows.targets
        self.moment[:, n_common:] += rows.own.mT @ rows.targets

    def solve(self, ridge: float) -> Tensor:
        r"""Return the coefficients of ridge regression.

        .. math:: (D_\ell, A_\ell) = \big(G_\ell + \text{ridge} \operatorname{diag} G_\ell\big)^{-1} \sum \chi_\ell T_\ell^\top,
            \qquad G_\ell = \sum \chi_\ell \chi_\ell^\top

        The block of the common regressors is factored once for all leads; their own regressors remain as Schur complements
        (Golub and Van Loan 2013, section 3.2.11).

        Parameters
        ----------
        ridge : float
            Strength, relative to the variance of each regressor.

        Returns
        -------
        Tensor, (scale, lead, input + own input)
        """
        n_lead, n_common, n_own = self.cross.shape
        floor = 1e-6 * self.common.diagonal().mean()
        factor = torch.linalg.cholesky(self.common + torch.diag(ridge * self.common.diagonal() + floor))
        right = torch.cat([self.moment[:, :n_common], self.cross], dim=2).transpose(0, 1).flatten(1)
        solved = torch.cholesky_solve(right, factor).unflatten(1, (n_lead, -1)).transpose(0, 1)
        alone, across = solved.split([2, n_own], dim=2)
        penalty = torch.diag_embed(ridge * self.own.diagonal(dim1=1, dim2=2) + floor)
        left = torch.linalg.cholesky(self.own + penalty - self.cross.mT @ across)
        own = torch.cholesky_solve(self.moment[:, n_common:] - self.cross.mT @ alone, left)
        return torch.cat([alone - across @ own, own], dim=1).permute(2, 0, 1).float()
