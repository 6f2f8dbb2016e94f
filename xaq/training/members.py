"""Members trained side by side: what a training step learns from, and how the members are scored."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..aqnet.recipe import Recipe
from ..aqnet.station_side import in_units
from ..nn.aqnet import Network
from .data import TrainingData
from .folds import Fold
from .hidden import HiddenEstimates, hidden_estimates, sums_by_place
from .scores import daily_means, error_sums, pooled_mae_and_rmse, relative_score

#: The name under which the score is logged.
SCORE = "score"
#: Samples of a member's training step, at most.
_SAMPLES = 160
#: Learning rate of the dozen numbers of the network-wide covariance, which are few enough to move fast.
_COVARIANCE_RATE = 2e-2


@dataclass(frozen=True)
class Schedule:
    """How a task is learned.

    Attributes
    ----------
    steps_per_epoch : int
    windows : int
        Windows per step and member.
    station_windows : int
        Windows times stations per step and member, at most: fewer windows for a large network.
    learning_rate : float
    clip : float
        Largest norm of each member's gradient.
    decay : float
        Of the moving average of the weights, which is validated and kept.
    fractions : tuple of float
        Fractions of what was learned that are tried at the end: a network of few stations does better with less of it.
    min_gain : float
        Least gain of the score for which anything learned is kept; a smaller one may be chance.
    """

    steps_per_epoch: int
    windows: int
    station_windows: int
    learning_rate: float
    clip: float
    decay: float
    fractions: tuple[float, ...]
    min_gain: float


class _Counter(Dataset):
    """The numbers of the batches: what is in them is drawn on the device."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> int:
        return index


@contextmanager
def _dropout_seeded(seed: int) -> Iterator[None]:
    """Seed the global state, which dropout draws from, for the length of a block."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


class AQNetTraining(lightning.LightningModule):
    """Members trained side by side from the same first guess, each validated at stations that are never its targets.

    The score pools all visible stations, so that no single fold decides when to stop.

    Parameters
    ----------
    first_guess : Network
        The classical method; every member begins as a copy.
    data : TrainingData
    recipe : Recipe
    schedule : Schedule
    """

    reference: Tensor

    def __init__(self, first_guess: Network, data: TrainingData, recipe: Recipe, schedule: Schedule) -> None:
        super().__init__()
        self.members = torch.nn.ModuleList([copy.deepcopy(first_guess) for _ in data.validation])
        self.data = data
        self.recipe = recipe
        self.schedule = schedule
        self.scale = float(data.truth[torch.isfinite(data.truth)].abs().mean())
        # MAEs and RMSEs of the first guess, which scores are relative to; ones until the first validation.
        self.register_buffer("reference", torch.ones(6))
        self._errors: list[Tensor] = []

    @property
    def networks(self) -> list[Network]:
        """The members, with their type."""
        return cast(list[Network], list(self.members))

    # -- learning --------------------------------------------------------------------------------------------------

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        """Return the sum of the members' losses.

        All randomness follows from the seed and the number of the step, so that a resumed run agrees.
        """
        generator = torch.Generator().manual_seed(1_000_003 * self.recipe.seed + self.global_step)
        return torch.stack([self._member_loss(m, generator) for m in range(len(self.members))]).sum()

    def _member_loss(self, member: int, generator: torch.Generator) -> Tensor:
        """Hide one of the member's folds in random windows and estimate it from the other stations."""
        data = self.data
        learned = data.learned_folds(member)
        fold = data.folds[learned[int(torch.randint(len(learned), (), generator=generator))]]
        chosen = self._draw_windows(fold, generator)
        batch = self._training_batch(self.networks[member], fold, chosen, generator)
        loss = self._loss(batch.estimate, batch.truth)
        if batch.z_hat is not None:
            loss = loss + self._station_loss(batch.z_hat, data.train_starts[chosen], fold)
        return loss

    def _draw_windows(self, fold: Fold, generator: torch.Generator) -> Tensor:
        """Return positions of random learning windows."""
        data, schedule = self.data, self.schedule
        n_windows = min(schedule.windows, max(8, schedule.station_windows // len(data.truth)))
        if data.base_forecasts is None:
            # An analysis needs no more windows than it has samples. A forecast learns mostly at the stations themselves,
            # where every window counts in full.
            per_target = max(4, _SAMPLES // (len(fold.targets) * self.recipe.config.target_days))
            n_windows = min(n_windows, per_target)
        starts = data.train_starts
        return torch.randint(len(starts), (n_windows,), generator=generator).to(starts.device)

    def _training_batch(
        self, network: Network, fold: Fold, chosen: Tensor, generator: torch.Generator
    ) -> HiddenEstimates:
        """Estimate samples of a fold in the chosen windows."""
        data = self.data
        seed = int(torch.randint(2**31, (), generator=generator))
        with _dropout_seeded(seed) if self.recipe.config.dropout else nullcontext():
            return hidden_estimates(
                network, data, fold, data.train_starts[chosen], self.recipe,
                generator=generator, max_samples=_SAMPLES,
                base_forecast=None if data.base_forecasts is None else data.base_forecasts[chosen],
            )  # fmt: skip

    def _loss(self, estimate: Tensor, truth: Tensor) -> Tensor:
        r"""Return the loss, in units of the network's mean :math:`\bar y`, where observed.

        .. math:: L = \frac{\text{MAE}}{\bar y} + \frac12 \frac{\text{RMSE}}{\bar y}
        """
        seen = torch.isfinite(truth)
        error = torch.where(seen, estimate - torch.nan_to_num(truth), 0.0) / self.scale
        count = seen.sum().clamp(min=1)
        return error.abs().sum() / count + 0.5 * (error.square().sum() / count + 1e-8).sqrt()

    def _station_loss(self, z_hat: Tensor, starts: Tensor, fold: Fold) -> Tensor:
        """Return the loss of the forecast at the stations outside the fold: in z, in units, of daily means."""
        z, truth = (
            self.data.at_targets(values[fold.visible], starts) for values in (self.data.record.z, self.data.truth)
        )
        z_hat = z_hat[:, fold.visible]
        seen = torch.isfinite(z)
        log_error = torch.where(seen, z_hat - torch.nan_to_num(z), 0.0).abs().sum() / seen.sum().clamp(min=1)
        estimate = in_units(z_hat, self.recipe.scaler)
        daily = daily_means(estimate, truth, self.recipe.config.steps_per_day)
        return 0.5 * log_error + self._loss(estimate, truth) + self._loss(*daily)

    def configure_gradient_clipping(self, optimizer: Any, gradient_clip_val: Any = None, **_: Any) -> None:
        """Clip the gradient of each member by itself: a large one does not slow the others."""
        for member in self.networks:
            torch.nn.utils.clip_grad_norm_(member.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW over all parameters; what was fitted is held in buffers and stays as it is."""
        few = [p for member in self.networks for p in member.knn.covariance_parameters()]
        chosen = {id(p) for p in few}
        rest = [p for p in self.parameters() if id(p) not in chosen]
        groups: list[dict[str, Any]] = [{"params": few, "lr": _COVARIANCE_RATE, "weight_decay": 0.0}, {"params": rest}]
        return torch.optim.AdamW(groups, lr=self.schedule.learning_rate, weight_decay=1e-2)

    # -- scoring ---------------------------------------------------------------------------------------------------

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        """Collect the errors of each member at the stations that it never learned from."""
        starts = self.data.validation_batches()[batch_index]
        self._errors.append(torch.stack([self._member_errors(m, starts) for m in range(len(self.members))]).sum(dim=0))

    def _member_errors(self, member: int, starts: Tensor) -> Tensor:
        """Return sums of errors ``(3, 3)``: at hidden stations; of a forecast also at stations, its first day and daily means."""
        total = torch.zeros(3, 3, device=starts.device)
        for number in self.data.validation[member]:
            fold = self.data.folds[number]
            batch = hidden_estimates(self.networks[member], self.data, fold, starts, self.recipe)
            total[0] += error_sums(batch.estimate.clamp(min=0.0) - batch.truth)
            if batch.z_hat is not None:
                total[1:] += self._station_errors(batch.z_hat, starts, fold)
        return total

    def _station_errors(self, z_hat: Tensor, starts: Tensor, fold: Fold) -> Tensor:
        """Return sums of errors ``(2, 3)`` of a forecast at the stations outside the fold: first day, daily means."""
        per_day = self.recipe.config.steps_per_day
        truth = self.data.at_targets(self.data.truth[fold.visible], starts)
        forecast = in_units(z_hat[:, fold.visible], self.recipe.scaler).clamp(min=0.0)
        daily, daily_truth = daily_means(forecast, truth, per_day)
        return torch.stack([error_sums((forecast - truth)[..., :per_day]), error_sums(daily - daily_truth)])

    def on_validation_epoch_end(self) -> None:
        """Log the score; the first validation, before training, sets its reference."""
        errors = pooled_mae_and_rmse(torch.stack(self._errors).sum(dim=0))
        self._errors.clear()
        if (self.reference == 1).all():
            self.reference[: len(errors)] = errors
        self.log(SCORE, self._relative(errors))

    def _relative(self, errors: Tensor) -> Tensor:
        """Return errors relative to those of the first guess: 1 before training."""
        return relative_score(errors, self.reference[: len(errors)].to(errors.device))

    @torch.no_grad()
    def errors(self) -> Tensor:
        """Return the MAEs, then the RMSEs of the members as they are, at the stations they never learned from."""
        self.eval()
        batches = self.data.validation_batches()
        sums = [self._member_errors(m, starts) for starts in batches for m in range(len(self.members))]
        return pooled_mae_and_rmse(torch.stack(sums).sum(dim=0))

    def sums_by_place(self) -> NDArray[np.float64]:
        """Return the number of errors at hidden stations, the sum of their sizes and of their squares, ``(3, place)``."""
        return sums_by_place(self.networks, self.data, self.recipe)

    def score(self) -> float:
        """Return the score of the members as they are."""
        return float(self._relative(self.errors()))

    # -- batches ---------------------------------------------------------------------------------------------------

    def train_dataloader(self) -> DataLoader:
        """Return the numbers of the training steps: batches are gathered on the device."""
        return DataLoader(_Counter(self.schedule.steps_per_epoch), batch_size=1)

    def val_dataloader(self) -> DataLoader:
        """Return the numbers of the validation batches."""
        return DataLoader(_Counter(len(self.data.validation_batches())), batch_size=1)
