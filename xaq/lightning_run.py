"""The Lightning side of training: module, checkpoints without pickle, progress bar, early stopping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io import CheckpointIO
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from .folds import Fold, TrainingData, daily_means, hidden_estimates, in_units
from .model import Recipe
from .nn.aqnet import AQNet

_STEPS_PER_EPOCH = 40
#: A step sees at most this many days and (target, day) samples: on two cores it takes 40 ms, most of it the LSTM.
_WINDOWS, _SAMPLES = 16, 160
_LEARNING_RATE = 1e-3
#: Weights are validated and kept as their moving average over about 1 / (1 - decay) steps: less noise to overfit.
_DECAY = 0.98
#: What training must gain at the validation stations to be kept: with few of them, less than this is luck.
_MIN_GAIN = 0.005
#: Share of a forecast network's own forecast while it is validated; what it is worth per lead is fitted afterwards.
_SHARE = 0.5
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
    """One training step hides a fold at random days; one validation hides the stations never trained on."""

    reference: Tensor

    def __init__(self, network: AQNet, data: TrainingData, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.data = data
        self.recipe = recipe
        self.scale = float(data.truth[torch.isfinite(data.truth)].abs().mean())
        # MAE and RMSE of the untrained network: scores are relative to the classical baseline.
        self.register_buffer("reference", torch.ones(6))
        self._errors: list[Tensor] = []

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        """Return the loss of one hidden fold. All randomness follows from (seed, step), so that a resumed run agrees."""
        generator = torch.Generator().manual_seed(1_000_003 * self.recipe.seed + self.global_step)
        folds, starts = self.data.folds[1:], self.data.train_starts
        fold = folds[int(torch.randint(len(folds), (), generator=generator))]
        per_target = max(4, _SAMPLES // (len(fold.targets) * self.network.config.target_days))
        # A forecast learns most of what it learns at the stations themselves, where every window counts in full.
        n_windows = min(_WINDOWS, per_target) if self.data.starts is None else _WINDOWS
        chosen = torch.randint(len(starts), (n_windows,), generator=generator).to(starts.device)
        with torch.random.fork_rng():
            # Dropout draws from the global state.
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            start = None if self.data.starts is None else self.data.starts[chosen]
            estimate, side = hidden_estimates(
                self.network, self.data, fold, starts[chosen], self.recipe,
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
        config = self.network.config
        steps = self.data.targets(starts, config.target_steps)
        z, truth = (values[fold.visible][:, steps].transpose(0, 1) for values in (self.data.record.z, self.data.truth))
        z_hat = z_hat[:, fold.visible]
        seen = torch.isfinite(z)
        log_error = torch.where(seen, z_hat - torch.nan_to_num(z), 0.0).abs().sum() / seen.sum().clamp(min=1)
        estimate = in_units(z_hat, self.recipe.scaler)
        daily = daily_means(estimate, truth, config.steps_per_day)
        return 0.5 * log_error + self._loss(estimate, truth) + self._loss(*daily)

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        """Collect errors at the validation stations (and, for a forecast, of the first day and of daily means at the others)."""
        data = self.data
        starts = data.validation_starts[batch_index * 16 : (batch_index + 1) * 16]
        estimate, side = hidden_estimates(self.network, data, data.folds[0], starts, self.recipe)
        sums = [_sums(estimate.estimate.clamp(min=0.0) - estimate.truth)]
        if side.z_hat is not None:
            config, learned = self.network.config, data.folds[0].visible
            truth = data.truth[learned][:, data.targets(starts, config.target_steps)].transpose(0, 1)
            forecast = in_units(side.z_hat[:, learned], self.recipe.scaler).clamp(min=0.0)
            daily, daily_truth = daily_means(forecast, truth, config.steps_per_day)
            first = slice(0, config.steps_per_day)
            sums += [_sums((forecast - truth)[..., first]), _sums(daily - daily_truth)]
        self._errors.append(torch.stack(sums))

    def on_validation_epoch_end(self) -> None:
        """Log the score: errors relative to the classical baseline, 1 before training."""
        total = torch.stack(self._errors).sum(dim=0)
        self._errors.clear()
        mae, rmse = total[:, 0] / total[:, 2], (total[:, 1] / total[:, 2]).sqrt()
        errors = torch.cat([mae, rmse])
        if (self.reference == 1).all():
            self.reference.copy_(torch.nn.functional.pad(errors, (0, len(self.reference) - len(errors))))
        self.log(_SCORE, (errors / self.reference[: len(errors)]).mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; the range, nugget and regression are buffers and stay as fitted."""
        return torch.optim.AdamW(self.network.parameters(), lr=_LEARNING_RATE, weight_decay=1e-2)

    def train_dataloader(self) -> DataLoader:
        """Return a counter: batches are index gathers on the device."""
        return DataLoader(_Counter(_STEPS_PER_EPOCH), batch_size=1)

    def val_dataloader(self) -> DataLoader:
        """Return a counter of validation batches."""
        return DataLoader(_Counter(-(-len(self.data.validation_starts) // 16)), batch_size=1)


def _sums(error: Tensor) -> Tensor:
    seen = torch.isfinite(error)
    error = torch.where(seen, error, 0.0)
    return torch.stack([error.abs().sum(), error.square().sum(), seen.sum().to(error.dtype)])


class SafetensorsCheckpoint(CheckpointIO):
    """Lightning checkpoints as safetensors + JSON: nothing is pickled, and loading one executes nothing."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write tensors by position and everything else as JSON."""
        tensors: dict[str, Tensor] = {}
        tree = json.dumps(_to_tree(checkpoint, tensors))
        part = Path(path).with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors or {"0": torch.zeros(1)}, part, metadata={"tree": tree})
        part.replace(path)

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Rebuild the checkpoint on the CPU."""
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return _from_tree(json.loads(file.metadata()["tree"]), tensors)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete one checkpoint."""
        Path(path).unlink(missing_ok=True)


def _to_tree(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a JSON tree of a nested checkpoint; tensors are moved to ``tensors``."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_to_tree(k, tensors), _to_tree(v, tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__ if type(value) in (list, tuple) else "list": [_to_tree(v, tensors) for v in value]}
    return {"value": str(value) if isinstance(value, Path) else value}


def _from_tree(tree: Any, tensors: dict[str, Tensor]) -> Any:
    ((kind, content),) = tree.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_from_tree(k, tensors): _from_tree(v, tensors) for k, v in content}
    if kind in ("list", "tuple"):
        items = [_from_tree(v, tensors) for v in content]
        return tuple(items) if kind == "tuple" else items
    return content


class _Progress(Callback):
    """One line on stderr: epochs, and the score at hidden stations relative to the classical baseline."""

    def __init__(self, total: int) -> None:
        self.total = total

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.bar = tqdm(total=self.total, initial=trainer.current_epoch, desc="training AQ-Net", unit="epoch")

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
) -> dict[str, Any]:
    """Train, resume if the folder holds a checkpoint, and leave the best weights in ``network``."""
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
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        callbacks=[
            EMAWeightAveraging(decay=_DECAY, use_buffers=False),
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
            network.share.fill_(_SHARE)
    trainer.fit(module, ckpt_path=str(last) if resuming else None)
    score = float(best.best_model_score) if best.best_model_score is not None else 1.0
    if score < 1.0 - _MIN_GAIN:
        saved = SafetensorsCheckpoint().load_checkpoint(best.best_model_path)["state_dict"]
        prefix = "network."
        network.load_state_dict({k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)})
    else:
        score = 1.0
        network.load_state_dict(start)
    network.to(device)
    return {"score": score, "epochs": int(trainer.current_epoch), "precision": precision}
