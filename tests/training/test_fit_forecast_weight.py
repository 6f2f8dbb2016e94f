"""The weight of the network's own forecast: the best one per group of leads, none without observations."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from small_forecast import CONFIG, made_data, made_network

from xaq.training.fit_forecast_weight import fit_forecast_weight


@pytest.mark.parametrize("unobserved", [slice(0), slice(2, 4)])
def test_the_weight_of_the_own_forecast_is_the_best_one_lead_by_lead(unobserved):
    """The own forecast is perfect at first, half of it is right on the second half day, none on day 2 or where unobserved."""
    data = made_data()
    # Windows that do not overlap, so that a lead can be missing in all of them.
    starts = data.validation_starts[:: CONFIG.target_steps]
    for lead in range(CONFIG.target_steps)[unobserved]:
        data.record.z[:, starts + lead] = torch.nan
    wrong = torch.tensor([0.2, 0.1, 0.5, 0.5, 0.4, 0.3, 0.4, 0.3])
    best = torch.tensor([1.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0])
    weight = torch.zeros(CONFIG.target_steps)
    record = SimpleNamespace(config=CONFIG, z=data.record.z, window=lambda part, visible: part)
    data = dataclasses.replace(data, record=record, validation_starts=starts)
    truth = data.at_targets(record.z, starts)
    position = {int(s): i for i, s in enumerate(starts)}

    def station_side(window):
        at = [position[int(s)] for s in window]
        return SimpleNamespace(z_hat=torch.nan_to_num(truth[at]) + wrong * (weight - best))

    network = SimpleNamespace(
        config=CONFIG,
        base_forecast=made_network().base_forecast,
        forecast_weight=weight,
        eval=lambda: None,
        station_side=station_side,
    )
    fit_forecast_weight(network, data)
    best[unobserved] = 0.0
    torch.testing.assert_close(weight, best)
