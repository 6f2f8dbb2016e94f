"""Blocks of time, for cross-validation of a base forecast."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from ..nn.config import AQNetConfig
from .data import TrainingData
from .windows import embargo_steps

#: Blocks of time at most, beside that of the validation windows, and how many embargoes each must span.
_BLOCKS, _LEAST_SPANS = 4, 2
#: The number of windows in the gaps between blocks.
GAP = -1


@dataclass(frozen=True)
class TimeBlocks:
    """All windows of a period, learning and validation, in blocks of time.

    Attributes
    ----------
    starts : (window,) int
        Steps of the record at which the targets of the windows begin.
    number : (window,) int
        Block of each window, -1 in the gaps.
    folds : tuple of int
        Blocks that are predicted by the others; the last is that of the validation windows.
    """

    starts: Tensor
    number: Tensor
    folds: tuple[int, ...]

    @classmethod
    def of(cls, data: TrainingData, config: AQNetConfig) -> TimeBlocks:
        """Cut the period of the learning windows into blocks, with a gap of window and horizon after each."""
        gap = embargo_steps(config)
        first, cut = int(data.train_starts[0]), int(data.validation_starts[0])
        starts = torch.arange(first, int(data.validation_starts[-1]) + 1, device=data.train_starts.device)
        learned = int(data.train_starts[-1]) + 1 - first
        n_blocks = min(max(learned // (_LEAST_SPANS * gap), 1), _BLOCKS)
        number = torch.full_like(starts, GAP)
        edges = torch.linspace(0, learned, n_blocks + 1).round().long().tolist()
        for i, (begin, end) in enumerate(itertools.pairwise(edges)):
            # The last block is followed by the embargo before the validation windows.
            number[begin : end if i == n_blocks - 1 else end - gap] = i
        number[cut - first :] = n_blocks
        # A block that is most of the record is not predicted: the rest would be too little to learn from.
        small = (b for b in range(n_blocks) if 2 * int((number == b).sum()) <= len(number))
        return cls(starts, number, (*small, n_blocks))

    def starts_in(self, block: int, positions: Tensor) -> Tensor:
        """Return the starts of those windows among ``positions`` that are in a block."""
        return self.starts[positions[self.number[positions] == block]]
