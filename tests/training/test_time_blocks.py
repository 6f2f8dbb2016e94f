"""Blocks of time: no step in two of them, and each predicted by most of the record."""

from types import SimpleNamespace

import torch
from hypothesis import given
from hypothesis import strategies as st

from xaq.nn.config import AQNetConfig
from xaq.training.time_blocks import TimeBlocks
from xaq.training.windows import embargo_steps

CONFIG = AQNetConfig(task="forecast", days_before=3, days_after=0, target_days=2, hidden=16, k=8)


@given(st.integers(1, 200), st.integers(30, 3000))
def test_blocks_of_time_share_no_steps_and_each_is_predicted_by_most_of_the_record(n_validation, n_learning):
    gap = embargo_steps(CONFIG)
    cut = n_learning + gap
    data = SimpleNamespace(
        train_starts=torch.arange(n_learning), validation_starts=torch.arange(cut, cut + n_validation)
    )
    blocks = TimeBlocks.of(data, CONFIG)
    kept = torch.nonzero(blocks.number >= 0)[:, 0]
    between = torch.diff(kept)[torch.diff(blocks.number[kept]) != 0]
    assert len(between) == blocks.folds[-1]
    assert (between > gap).all()
    assert (blocks.number[blocks.starts >= cut] == blocks.folds[-1]).all()
    for fold in blocks.folds[:-1]:
        assert (blocks.number == fold).sum() <= 0.5 * len(blocks.starts)


def test_windows_of_a_block_are_returned_by_their_starts():
    blocks = TimeBlocks(torch.arange(10, 18), torch.tensor([0, 0, 0, -1, -1, 1, 1, 1]), (0, 1))
    some = torch.tensor([0, 2, 3, 5, 7])
    assert [blocks.starts_in(b, some).tolist() for b in (-1, 0, 1)] == [[13], [10, 12], [15, 17]]
