"""The Lightning side of training: module, checkpoints without pickle, progress bar, early stopping."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .._display import progress_bar
from ..aqnet.recipe import Recipe
from ..aqnet.station_side import in_units
from ..nn.aqnet import AQNet
from .checkpoint import SafetensorsCheckpoint
from .folds import Fold, TrainingData
from .hidden import daily_means, hidden_estimates


@dataclass(frozen=True)
class Schedule:
    """How a task is learned.

    ``windows`` are read per step and member, fewer of a national network: at most ``station_windows`` in all.
    ``decay`` is that of the moving average of the weights that is validated and kept. ``fractions`` of what was learned are
    tried at the end, as few stations are better served by less of it; ``min_gain`` is what training must gain where it
    did not learn: less is luck.
    """

    steps_per_epoch: int
    windows: int
    station_windows: int
    learning_rate: float
    clip: float
    decay: float
    fractions: tuple[float, ...]
    min_gain: float


#: An analysis is validated at every station, by members; a forecast by one network, in later windows.
SCHEDULES = {
    "analysis": Schedule(20, 64, 1000, 2e-3, 0.3, 0.97, (0.25, 0.5, 0.75, 1.0), 0.002),
    "forecast": Schedule(40, 16, 100_000, 1e-3, 1.0, 0.98, (1.0,), 0.005),
}
_SAMPLES = 160
#: Of the dozen numbers of the network-wide covariance, which are few enough to move fast.
_COVARIANCE_RATE = 2e-2
#: Share of a forecast network's own forecast while it is validated; what it is worth per lead is fitted afterwards.
_OWN_FORECAST = 0.5
_SCORE = "score"


class _Counter(Dataset):
    """Batches by number: what is in them is drawn on the device."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> int:
        return index


class AQNetTraining(lightning.LightningModule):
    """Members trained side by side from one start; each is validated at stations that are never its targets.

    The score pools all visible stations, so that no single fold decides when to stop.
    """

    reference: Tensor

    def __init__(self, start: AQNet, data: TrainingData, recipe: Recipe) -> None:
        super().__init__()
        self.members = torch.nn.ModuleList([copy.deepcopy(start) for _ in data.validation])
        self.data = data
        self.recipe = recipe
        self.schedule = SCHEDULES[recipe.config.task]
        self.scale = float(data.truth[torch.isfinite(data.truth)].abs().mean())
        # MAE and RMSE of the untrained network: scores are relative to the classical baseline.
        self.register_buffer("reference", torch.ones(6))
        self._errors: list[Tensor] = []

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        """Return the members' losses. All randomness follows from (seed, step), so that a resumed run agrees."""
        generator = torch.Generator().manual_seed(1_000_003 * self.recipe.seed + self.global_step)
        return torch.stack([self._member_loss(m, generator) for m in range(len(self.members))]).sum()

    @property
    def networks(self) -> list[AQNet]:
        """The members, as what they are."""
        return cast(list[AQNet], list(self.members))

    def _member_loss(self, member: int, generator: torch.Generator) -> Tensor:
        """Hide one of the member's folds at random days and estimate it from the rest."""
        data, starts, network = self.data, self.data.train_starts, self.networks[member]
        learned = data.learned_folds(member)
        fold = data.folds[learned[int(torch.randint(len(learned), (), generator=generator))]]
        per_target = max(4, _SAMPLES // (len(fold.targets) * network.config.target_days))
        plan = self.schedule
        n_windows = min(plan.windows, max(8, plan.station_windows // len(data.truth)))
        if data.base_forecasts is None:
            # A forecast learns most of what it learns at the stations themselves, where every window counts in full.
            n_windows = min(n_windows, per_target)
        chosen = torch.randint(len(starts), (n_windows,), generator=generator).to(starts.device)
        with torch.random.fork_rng():
            # Dropout draws from the global state.
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            start = None if data.base_forecasts is None else data.base_forecasts[chosen]
            estimate, side = hidden_estimates(
                network, data, fold, starts[chosen], self.recipe,
                generator=generator, max_samples=_SAMPLES, start=start,
            )  # fmt: skip
        loss = self._loss(estimate.estimate, estimate.truth)
        if side.z_hat is not None:
            loss = loss + self._temporal_loss(side.z_hat, starts[chosen], fold)
        return loss

    def _loss(self, estimate: Tensor, truth: Tensor) -> Tensor:
        """Mean absolute error in units of the network's mean, with a light root-mean-square term against large misses."""
        seen = torch.isfinite(truth)
        error = torch.where(seen, estimate - torch.nan_to_num(truth), 0.0) / self.scale
        count = seen.sum().clamp(min=1)
        return error.abs().sum() / count + 0.5 * (error.square().sum() / count + 1e-8).sqrt()

    def _temporal_loss(self, z_hat: Tensor, starts: Tensor, fold: Fold) -> Tensor:
        """Error of the forecast at the stations that may be learned from: on the log scale, in units, of daily means."""
        config = self.recipe.config
        steps = self.data.targets(starts, config.target_steps)
        z, truth = (values[fold.visible][:, steps].transpose(0, 1) for values in (self.data.record.z, self.data.truth))
        z_hat = z_hat[:, fold.visible]
        seen = torch.isfinite(z)
        log_error = torch.where(seen, z_hat - torch.nan_to_num(z), 0.0).abs().sum() / seen.sum().clamp(min=1)
        estimate = in_units(z_hat, self.recipe.scaler)
        daily = daily_means(estimate, truth, config.steps_per_day)
        return 0.5 * log_error + self._loss(estimate, truth) + self._loss(*daily)

    def configure_gradient_clipping(self, optimizer: Any, gradient_clip_val: Any = None, **_: Any) -> None:
        """Clip each member's gradient by itself: one that struggles does not slow the others."""
        for member in self.networks:
            torch.nn.utils.clip_grad_norm_(member.parameters(), gradient_clip_val)

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        """Collect errors of each member at the stations that it never learned from."""
        starts = self.data.validation_batches()[batch_index]
        self._errors.append(torch.stack([self._member_errors(m, starts) for m in range(len(self.members))]).sum(dim=0))

    def _member_errors(self, member: int, starts: Tensor) -> Tensor:
        """Return sums of absolute and squared errors and their count; of a forecast also of the first day and of daily means."""
        data, total = self.data, torch.zeros(3, 3, device=starts.device)
        for number in data.validation[member]:
            fold = data.folds[number]
            estimate, side = hidden_estimates(self.networks[member], data, fold, starts, self.recipe)
            total[0] += _sums(estimate.estimate.clamp(min=0.0) - estimate.truth)
            if side.z_hat is not None:
                config, learned = self.recipe.config, fold.visible
                truth = data.truth[learned][:, data.targets(starts, config.target_steps)].transpose(0, 1)
                forecast = in_units(side.z_hat[:, learned], self.recipe.scaler).clamp(min=0.0)
                daily, daily_truth = daily_means(forecast, truth, config.steps_per_day)
                total[1] += _sums((forecast - truth)[..., : config.steps_per_day])
                total[2] += _sums(daily - daily_truth)
        return total

    def on_validation_epoch_end(self) -> None:
        """Log the score: errors relative to the classical baseline, 1 before training."""
        errors = _mae_and_rmse(torch.stack(self._errors).sum(dim=0))
        self._errors.clear()
        if (self.reference == 1).all():
            self.reference.copy_(torch.nn.functional.pad(errors, (0, len(self.reference) - len(errors)), value=1.0))
        self.log(_SCORE, (errors / self.reference[: len(errors)]).mean())

    @torch.no_grad()
    def errors(self) -> Tensor:
        """Return MAEs, then RMSEs, of the members as they are, at the stations they never learned from."""
        self.eval()
        batches = self.data.validation_batches()
        sums = [self._member_errors(m, starts) for starts in batches for m in range(len(self.members))]
        return _mae_and_rmse(torch.stack(sums).sum(dim=0))

    def score(self) -> float:
        """Return the score of the members as they are."""
        errors = self.errors()
        return float((errors / self.reference[: len(errors)].to(errors.device)).mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; the fitted range and nugget and the regression are buffers and stay as fitted."""
        few = [p for member in self.networks for p in member.knn.covariance_parameters()]
        chosen = {id(p) for p in few}
        rest = [p for p in self.parameters() if id(p) not in chosen]
        groups: list[dict[str, Any]] = [{"params": few, "lr": _COVARIANCE_RATE, "weight_decay": 0.0}, {"params": rest}]
        return torch.optim.AdamW(groups, lr=self.schedule.learning_rate, weight_decay=1e-2)

    def train_dataloader(self) -> DataLoader:
        """Return a counter: batches are index gathers on the device."""
        return DataLoader(_Counter(self.schedule.steps_per_epoch), batch_size=1)

    def val_dataloader(self) -> DataLoader:
        """Return a counter of validation batches."""
        return DataLoader(_Counter(len(self.data.validation_batches())), batch_size=1)


def _mae_and_rmse(total: Tensor) -> Tensor:
    """Return MAEs, then RMSEs, of the rows that counted anything."""
    total = total[total[:, 2] > 0]
    return torch.cat([total[:, 0] / total[:, 2], (total[:, 1] / total[:, 2]).sqrt()])


def _sums(error: Tensor) -> Tensor:
    seen = torch.isfinite(error)
    error = torch.where(seen, error, 0.0)
    return torch.stack([error.abs().sum(), error.square().sum(), seen.sum().to(error.dtype)])


class _Progress(Callback):
    """One line on stderr: epochs, and the score at hidden stations relative to the classical baseline."""

    def __init__(self, total: int) -> None:
        self.total = total

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.bar = progress_bar(total=self.total, initial=trainer.current_epoch, desc="training AQ-Net", unit="epoch")

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if not trainer.sanity_checking and hasattr(self, "bar"):
            self.bar.set_postfix_str(f"error at validation stations {trainer.callback_metrics[_SCORE]:.3f} x baseline")
            self.bar.update()

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.bar.close()


def run(
    network: AQNet,
    data: TrainingData,
    recipe: Recipe,
    *,
    folder: Path,
    max_epochs: int,
    patience: int,
    precision: str,
    progress: bool,
) -> tuple[dict[str, Any], list[AQNet]]:
    """Train, resume if the folder holds a checkpoint, and leave the members' mean in ``network``.

    Returns what happened, and the members: each says what the network would be without some of the stations.
    """
    module = AQNetTraining(network, data, recipe)
    start = {k: v.clone() for k, v in network.state_dict().items()}
    best = ModelCheckpoint(
        folder, filename="best", monitor=_SCORE, mode="min", save_last=True, enable_version_counter=False
    )
    device = data.truth.device
    trainer = lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=precision,
        max_epochs=max_epochs,
        gradient_clip_val=module.schedule.clip,
        num_sanity_val_steps=0,
        callbacks=[
            EMAWeightAveraging(decay=module.schedule.decay, use_buffers=False),
            EarlyStopping(_SCORE, patience=patience, min_delta=1e-4),
            best,
            *([_Progress(max_epochs)] if progress else []),
        ],
        plugins=[SafetensorsCheckpoint()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    last = folder / "last.ckpt"
    resuming = last.exists()
    if not resuming:
        trainer.validate(module, verbose=False)
        if network.config.task == "forecast":
            for member in module.networks:
                member.forecast_weight.fill_(_OWN_FORECAST)
    trainer.fit(module, ckpt_path=str(last) if resuming else None)
    saved = SafetensorsCheckpoint().load_checkpoint(best.best_model_path)["state_dict"]
    module.to(device).load_state_dict(saved)
    fraction, score = _choose_fraction(module, start)
    errors = module.errors()
    members = module.networks
    network.load_state_dict(_mean([m.state_dict() for m in members]) if fraction else start)
    network.to(device)
    summary = {
        "score": score,
        "mae": float(errors[0]),
        "rmse": float(errors[len(errors) // 2]),
        "fraction": fraction,
        "epochs": int(trainer.current_epoch),
        "precision": precision,
    }
    return summary, members


def _choose_fraction(module: AQNetTraining, start: dict[str, Tensor]) -> tuple[float, float]:
    """Leave in the members the fraction of what they learned that validates best, or none; return fraction and score."""
    learned = [{k: v.clone() for k, v in m.state_dict().items()} for m in module.networks]

    def blend(fraction: float) -> None:
        for member, weights in zip(module.networks, learned, strict=True):
            # Both ends exactly: the start must stay bit-identical where nothing is kept.
            member.load_state_dict({k: (1.0 - fraction) * start[k].to(v) + fraction * v for k, v in weights.items()})

    scores = {}
    for fraction in module.schedule.fractions:
        blend(fraction)
        scores[fraction] = module.score()
    fraction = min(scores, key=scores.__getitem__)
    if scores[fraction] >= 1.0 - module.schedule.min_gain:
        blend(0.0)
        return 0.0, 1.0
    blend(fraction)
    return fraction, scores[fraction]


def _mean(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of the members' weights: from one start, in few steps, they stay close enough to be averaged."""
    return {name: torch.stack([s[name] for s in states]).mean(dim=0) for name in states[0]}
