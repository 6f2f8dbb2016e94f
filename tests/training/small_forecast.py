"""A small forecast, untrained, and the data of a random record to fit it to."""

import numpy as np
import torch

from xaq.arrays.transforms import cyclic_encoding
from xaq.nn.aqnet import build_network
from xaq.nn.config import AQNetConfig
from xaq.nn.window import Record
from xaq.training.data import TrainingData
from xaq.training.folds import Fold
from xaq.training.windows import split_windows

CONFIG = AQNetConfig(
    task="forecast", steps_per_day=4, days_before=2, days_after=0, target_days=2, patch=2, hidden=8, heads=2
)


def made_data(config=CONFIG, n_station=6, n_step=400, seed=0, change=None):
    """Return training data of a small random record; the last two stations belong to the fold that validates."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1, (n_station, n_step)).cumsum(axis=1)
    z = (z - z.mean()) / z.std() + rng.normal(0, 0.3, z.shape)
    z[rng.random(z.shape) < 0.1] = np.nan
    if change is not None:
        z = change(z)
    times = np.datetime64("2020-01-01", "s") + np.arange(n_step) * np.timedelta64(86400 // config.steps_per_day, "s")
    record = Record(
        config,
        z=torch.as_tensor(z.astype("float32")),
        covariates=torch.zeros(n_station, n_step, 0),
        cyclic=torch.as_tensor(cyclic_encoding(times)),
        climatology=torch.zeros(n_step),
    )
    starts = np.arange(-config.input_offset, n_step - config.target_steps + 1)
    split = split_windows(starts, config)
    learned, later = (torch.as_tensor(s) for s in (split.learning, split.validation))
    targets = torch.tensor([n_station - 2, n_station - 1])
    fold = Fold(targets, targets[:, None], torch.arange(n_station) < n_station - 2, torch.ones(n_station))
    return TrainingData(
        record=record, truth=record.z, steps=torch.arange(record.z.shape[1]), begin=times[0],
        unit=torch.zeros(n_station, 3),
        place=torch.arange(n_station), folds=(fold,), validation=((0,),), train_starts=learned, validation_starts=later,
    )  # fmt: skip


def made_network(config=CONFIG):
    torch.manual_seed(0)
    return build_network(config, range_km=50.0, nugget=0.1, log_mean=1.0, log_std=0.5)
