"""Neighbours are advected where this gains at stations hidden in turn, and only there."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import scatter

import xaq
from xaq.training.advection_choice import choose_advection
from xaq.training.fit_classical import fit_classical
from xaq.training.select import remove_trend, select_observations


def network(*, moving):
    """Return a wave over 30 stations that moves by 20 km/h, or fields that are new in each hour."""
    lon, lat = scatter(30, seed=5)
    hours = np.arange(6 * 24)
    if moving:
        phase = (hours - 111 * (lon - lon.min())[:, None] * np.cos(np.deg2rad(50)) / 20) / 3
        values = 30 + 15 * np.sin(phase) * np.cos(phase / 7.3)
    else:
        slope = np.random.default_rng(0).normal(0.0, 3.0, (2, len(hours)))
        values = 30 + (lon - lon.mean())[:, None] * slope[0] + (lat - lat.mean())[:, None] * slope[1]
    ds = xaq.datasets.synthetic(n_stations=30, days=6, missing=0.0)
    ds = ds.assign_coords(lon=ds.lon.copy(data=lon), lat=ds.lat.copy(data=lat))
    return ds.assign(pm25=ds.pm25.copy(data=values.T if ds.pm25.dims[0] == "time" else values))


@pytest.mark.parametrize("moving", [True, False])
def test_neighbours_are_advected_only_where_this_gains_at_hidden_stations(moving):
    selection, trend = remove_trend(select_observations(network(moving=moving), "pm25"), geography=False)
    recipe = fit_classical(selection, trend)
    chosen = choose_advection(selection.observations, recipe)
    assert recipe.config.advects
    assert chosen == (recipe if moving else replace(recipe, config=replace(recipe.config, advection=False)))
