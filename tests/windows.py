"""Random windows over all stations, for networks that are given tensors."""

import torch

from xaq.nn.window import Window


def make_window(config, n_window=2, n_station=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n_window, n_station, config.input_steps, generator=generator)
    z[torch.rand(z.shape, generator=generator) < 0.2] = torch.nan
    return Window(
        z=z,
        residual=0.3 * z,
        residual_variance=torch.full((n_station,), 0.09),
        redundancy=torch.ones(n_station),
        log_weight=torch.zeros(n_window, n_station, config.target_days),
        covariates=torch.zeros(n_window, n_station, config.input_steps, config.n_covariates),
        cyclic=torch.randn(n_window, config.input_steps, 6, generator=generator),
        cyclic_target=torch.randn(n_window, config.target_days, 6, generator=generator),
        climatology=torch.zeros(n_window, config.input_steps),
        climatology_target=torch.zeros(n_window, config.target_steps),
        visible=torch.ones(n_station, dtype=torch.bool),
        cyclic_horizon=torch.randn(n_window, config.target_steps, 6, generator=generator),
        known=torch.randn(n_window, n_station, config.target_steps, config.n_known, generator=generator),
    )
