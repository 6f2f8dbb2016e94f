"""One training run: train or resume, keep the best epoch, and as much of what was learned as validates."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from torch import Tensor

from .._display import progress_bar
from ..aqnet.recipe import Recipe
from ..errors import ModelError
from ..interpolate.jackknife import scores_and_margins
from ..nn.aqnet import ForecastNetwork, Network
from .checkpoint import SafetensorsCheckpoint
from .data import TrainingData
from .members import SCORE, AQNetTraining, Schedule

#: An analysis is validated at every station, by members; a forecast by one network, in later windows.
SCHEDULES = {
    "analysis": Schedule(
        steps_per_epoch=20, windows=64, station_windows=1000, learning_rate=2e-3, clip=0.3, decay=0.97,
        fractions=(0.25, 0.5, 0.75, 1.0), min_gain=0.002,
    ),
    "forecast": Schedule(
        steps_per_epoch=40, windows=16, station_windows=100_000, learning_rate=1e-3, clip=1.0, decay=0.98,
        fractions=(1.0,), min_gain=0.005,
    ),
}  # fmt: skip
#: Weight of a forecast network's own forecast while it is validated; the weight per lead is fitted afterwards.
_OWN_FORECAST = 0.5


class TrainingRun(NamedTuple):
    """What a run leaves: a ``summary`` for the recipe, and the ``members``.

    A member is what the network would be without the stations that validate it.
    """

    summary: dict[str, Any]
    members: list[Network]


class KeptFraction(NamedTuple):
    """The ``fraction`` of what was learned that is kept, and the ``score`` with it, relative to the first guess."""

    fraction: float
    score: float


def run(
    network: Network,
    data: TrainingData,
    recipe: Recipe,
    *,
    folder: Path,
    max_epochs: int,
    patience: int,
    precision: str,
    progress: bool,
) -> TrainingRun:
    """Train, and leave the mean of the members in ``network``.

    Parameters
    ----------
    network : Network
        The first guess; changed in place.
    data : TrainingData
    recipe : Recipe
    folder : Path
        For checkpoints. A run that was saved there is resumed.
    max_epochs : int
    patience : int
        Epochs without gain after which training stops.
    precision : str
        Any of Lightning's.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    TrainingRun
    """
    module = AQNetTraining(network, data, recipe, SCHEDULES[recipe.config.task])
    first_guess = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    device = data.truth.device
    best = ModelCheckpoint(
        folder, filename="best", monitor=SCORE, mode="min", save_last=True, enable_version_counter=False
    )
    callbacks: list[Callback] = [
        EMAWeightAveraging(decay=module.schedule.decay, use_buffers=False),
        EarlyStopping(SCORE, patience=patience, min_delta=1e-4),
        best,
        _OwnSignals(),
        *([_Progress(max_epochs)] if progress else []),
    ]
    trainer = _make_trainer(
        callbacks, device, folder=folder, max_epochs=max_epochs, precision=precision, clip=module.schedule.clip
    )
    _train_or_resume(trainer, module, folder / "last.ckpt")
    saved = SafetensorsCheckpoint().load_checkpoint(best.best_model_path)["state_dict"]
    module.to(device).load_state_dict(saved)
    kept = choose_fraction(module, first_guess)
    errors, members = module.errors(), module.networks
    network.load_state_dict(mean_weights([m.state_dict() for m in members]) if kept.fraction else first_guess)
    network.to(device)
    summary = {
        "score": kept.score,
        "mae": float(errors[0]),
        "rmse": float(errors[len(errors) // 2]),
        "fraction": kept.fraction,
        "epochs": int(trainer.current_epoch),
        "precision": precision,
    }
    return TrainingRun(summary, members)


def _make_trainer(
    callbacks: list[Callback], device: torch.device, *, folder: Path, max_epochs: int, precision: str, clip: float
) -> lightning.Trainer:
    """Return a quiet trainer on one device that writes no pickle.

    Its environment is one process, whatever cluster it runs on: Lightning's own for Slurm would take over signals and
    requeue the job.
    """
    return lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=precision,
        max_epochs=max_epochs,
        gradient_clip_val=clip,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        plugins=[SafetensorsCheckpoint(), LightningEnvironment()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


def _require_readable(last: Path) -> None:
    """Raise where a checkpoint is damaged, as by a full disk."""
    try:
        SafetensorsCheckpoint().load_checkpoint(last)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{last} is damaged ({error}), expected the checkpoint of a run; fix: os.remove({str(last)!r}) to begin anew"
        ) from error


def _train_or_resume(trainer: lightning.Trainer, module: AQNetTraining, last: Path) -> None:
    """Train from the checkpoint if there is one; else score the first guess, which is the reference, and train."""
    try:
        if last.exists():
            _require_readable(last)
            trainer.fit(module, ckpt_path=str(last))
            return
        trainer.validate(module, verbose=False)
        for member in module.networks:
            if isinstance(member, ForecastNetwork):
                member.forecast_weight.fill_(_OWN_FORECAST)
        trainer.fit(module)
    except SystemExit as stop:
        # Lightning makes an exit with code 1 of Ctrl-C.
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise stop.__context__ from None
        raise


def choose_fraction(module: AQNetTraining, first_guess: dict[str, Tensor]) -> KeptFraction:
    """Leave in the members the fraction of what they learned that validates best, or none.

    A member's weights become ``(1 - fraction) * first_guess + fraction * learned``. In an analysis, the gain of a fraction is
    what it gains beyond the margin of the jackknife over places: what is learned from a few places must be sure. The fraction
    is 0 where the largest gain is too small.

    Parameters
    ----------
    module : AQNetTraining
        Changed in place.
    first_guess : dict of str to Tensor
        State of the network before training.

    Returns
    -------
    KeptFraction
    """
    learned = [{name: tensor.clone() for name, tensor in m.state_dict().items()} for m in module.networks]
    fractions = (0.0, *module.schedule.fractions)

    def blend(f: float) -> None:
        for member, weights in zip(module.networks, learned, strict=True):
            # Exact at both ends: the first guess must stay bit-identical where nothing is kept.
            member.load_state_dict({name: (1.0 - f) * first_guess[name].to(w) + f * w for name, w in weights.items()})

    def with_each(tried: Sequence[float], measure: Callable[[], Any]) -> Iterator[Any]:
        for fraction in tried:
            blend(fraction)
            yield measure()

    if module.recipe.config.task == "analysis":
        # Two errors make the score, each relative to that of the first guess: their mean is half of the sum.
        sums = np.stack(list(with_each(fractions, module.sums_by_place)))
        difference, margin = (part / 2 for part in scores_and_margins(sums))
    else:
        difference = np.array([1.0, *with_each(fractions[1:], module.score)]) - 1.0
        margin = np.zeros_like(difference)
    best = int(np.argmin(difference + margin))
    if (difference + margin)[best] >= -module.schedule.min_gain:
        blend(0.0)
        return KeptFraction(0.0, 1.0)
    blend(fractions[best])
    return KeptFraction(fractions[best], 1.0 + float(difference[best]))


def mean_weights(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of the members' weights: a few steps from the same first guess, they are close enough to be averaged."""
    return {name: torch.stack([s[name] for s in states]).mean(dim=0) for name in states[0]}


class _OwnSignals(Callback):
    """Put back the handler of SIGTERM that Lightning replaces when it starts: the signal would stop training, not the process."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._put_back()

    def on_validation_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._put_back()

    def _put_back(self) -> None:
        # A handler that was not set by Python is None, and cannot be.
        if self.handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


class _Progress(Callback):
    """One line on stderr: epochs, and the error at validation stations relative to the classical baseline."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.bar: Any = None

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.bar = progress_bar(total=self.total, initial=trainer.current_epoch, desc="training AQ-Net", unit="epoch")

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        # The first validation comes before training and its bar.
        if not trainer.sanity_checking and self.bar is not None:
            self.bar.set_postfix_str(f"error at validation stations {trainer.callback_metrics[SCORE]:.3f} x baseline")
            self.bar.update()

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.bar.close()
