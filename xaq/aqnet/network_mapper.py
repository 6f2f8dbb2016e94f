"""A network as a mapper of ratios to the trend: station side, cell side, and the calibrated distribution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arrays import timesteps
from ..errors import ModelError
from ..interpolate.base import Estimate, Observations
from ..interpolate.explanation import Explanation
from ..nn.aqnet import Network
from ..nn.estimate import estimate_and_spread
from .cell_side import CellSide, Prepared, as_key
from .device import one_thread
from .explanation import explain
from .recipe import Recipe, untrained_network
from .station_side import StationGeometry, StationSideOfPeriod, run_station_side, station_days


class NetworkMapper:
    """AQ-Net as a mapper: ratios in, estimates of ratios out.

    Parameters
    ----------
    network : Network
        The weights, in evaluation mode.
    recipe : Recipe
        What was fitted before the network, and the interval.
    """

    name = "AQ-Net"

    def __init__(self, network: Network, recipe: Recipe) -> None:
        self.network = network
        self.recipe = recipe
        self.cells = CellSide(network, recipe, self.device)

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return self.network.knn.range_km.device

    @property
    def has_interval(self) -> bool:
        """Whether the model has been calibrated."""
        return self.recipe.interval is not None

    @property
    def margin_days(self) -> tuple[int, int]:
        """Days of record read before and after the days estimated."""
        return self.recipe.config.days_before, self.recipe.config.days_after

    # -- station side --------------------------------------------------------------------------------------------

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> Prepared:
        """Run the station side for the given times; of a forecast, within the horizon after the last observation."""
        config, step = self.recipe.config, np.timedelta64(self.recipe.step_seconds, "s")
        times = times.astype("datetime64[s]")
        if config.task == "forecast":
            starts = observations.times[-1:] + step
        else:
            starts = timesteps.day_starts(times[0], times[-1], step)
        targets = (starts[:, None] + np.arange(config.target_steps) * step).reshape(-1)
        with torch.inference_mode(), one_thread():
            made = self._station_side(observations, starts)
            table, advected = station_days(self.recipe, made, np.searchsorted(made.times, targets), self.device)
        position = {t: i for i, t in enumerate(targets.tolist())}
        select = np.array([position[t] for t in times.tolist()], np.intp)
        return Prepared(made.side, table, advected, select, observations.lon, observations.lat)

    def _station_side(self, observations: Observations, starts: NDArray[np.datetime64]) -> StationSideOfPeriod:
        geometry = None
        if self.recipe.config.task == "analysis":
            geometry = self._geometry(as_key(observations.lon), as_key(observations.lat))
        return run_station_side(self.network, self.recipe, observations, starts, geometry, self.device)

    @cached_property
    def _geometry(self) -> Callable[[bytes, bytes], StationGeometry]:
        """Return the geometry of stations, kept for the last ones: most blocks of a cube have the same stations."""
        return lru_cache(maxsize=1)(lambda *keys: StationGeometry.of(self.recipe, *(np.frombuffer(k) for k in keys)))

    def attention(self, observations: Observations, start: np.datetime64) -> NDArray[np.float32]:
        """Return the attention of target days to the days of the window, ``(station, target day, history day)``.

        Raises
        ------
        ModelError
            The model has no temporal module.
        """
        config = self.recipe.config
        if not config.has_temporal:
            raise ModelError(
                "the model has no temporal module, which makes the attention: an analysis has none by default; fix: "
                f"config = dataclasses.replace(xaq.AQNetConfig.default('analysis', {config.steps_per_day}), temporal=True, "
                f"days_before=3, days_after=3); ds.aq.train({self.recipe.target!r}, config=config), or task='forecast'"
            )
        with torch.inference_mode():
            made = self._station_side(observations, np.array([start]).astype("datetime64[s]"))
        attention = cast(Tensor, made.side.attention)[0]
        per_day = max(1, config.steps_per_day // config.patch)
        return attention.reshape(*attention.shape[:2], -1, per_day).sum(dim=-1).cpu().numpy()

    def station_series(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return the stations' series at the prepared times, gaps filled, or the forecast at stations."""
        steps, n_station = self.recipe.config.steps_per_day, len(prepared.lon)
        # The first columns of a table are values.
        values = prepared.table[:, :steps].cpu().numpy().reshape(-1, n_station, steps)
        return values.swapaxes(0, 1).reshape(n_station, -1)[:, prepared.select]

    # -- cell side -----------------------------------------------------------------------------------------------

    def estimate(self, prepared: Prepared, lon: NDArray, lat: NDArray) -> Estimate:
        """Estimate the prepared times at targets, with the calibrated distribution."""
        steps, days = self.recipe.config.steps_per_day, self.recipe.config.target_days
        need = np.unique(prepared.select // steps)
        slot = np.searchsorted(need, prepared.select // steps) * steps + prepared.select % steps
        with torch.inference_mode(), one_thread():
            # Times first, as a cube stores them; the estimate is a view of it. A GPU's is copied once, at the end.
            collected = torch.full((2, len(need) * steps, len(lon)), torch.nan, device=self.device)
            for position, cells, *made in self._estimates(prepared, lon, lat, need):
                for row, array in zip(collected, made, strict=True):
                    row[position * steps : (position + 1) * steps, cells] = array.T
            out = collected.cpu().numpy()
        value, spread = (out if len(slot) == out.shape[1] else out[:, slot]).swapaxes(1, 2)
        interval = self.recipe.interval
        if interval is None:
            return Estimate(value)
        return Estimate(value, spread, partial(interval.quantile, prepared.select // steps % days))

    def fill(
        self,
        fields: Sequence[NDArray] | NDArray,
        prepared: Prepared,
        lon: NDArray,
        lat: NDArray,
        probabilities: Sequence[float],
        factor: NDArray[np.float32] | None = None,
    ) -> None:
        """Write the value and its quantiles at the prepared times, negative ones as 0, into arrays ``(time, target)``."""
        steps, leads = self.recipe.config.steps_per_day, self.recipe.config.target_days
        need, first, count = np.unique(prepared.select // steps, return_index=True, return_counts=True)
        interval = self.recipe.interval
        quantiles = [interval.quantile(need % leads, p) for p in probabilities] if interval else []
        with torch.inference_mode(), one_thread():
            host = [torch.from_numpy(field) for field in fields]
            # What a GPU makes is collected there and copied once.
            out = host if self.device.type == "cpu" else [torch.empty_like(h, device=self.device) for h in host]
            for j, cells, value, spread in self._estimates(prepared, lon, lat, need, factor):
                at = slice(first[j], first[j] + count[j])
                made = [value, *(torch.add(value, spread, alpha=float(q[j])) for q in quantiles)]
                for field, array in zip(out, made, strict=True):
                    array = array.clamp_(min=0)
                    field[at, cells] = (array if count[j] == steps else array[:, prepared.select[at] % steps]).T
            if out is not host:
                for field, collected in zip(host, out, strict=True):
                    field.copy_(collected)

    def _estimates(
        self,
        prepared: Prepared,
        lon: NDArray,
        lat: NDArray,
        need: NDArray[np.intp],
        factor: NDArray[np.float32] | None = None,
    ) -> Iterator[tuple[int, slice, Tensor, Tensor]]:
        """Yield position, cells, estimate and spread of each needed window-day and batch of cells."""
        interval, offset = self.recipe.interval, self.recipe.scaler.offset
        coefficients = interval.coefficients if interval else (0.0, 0.0, 0.0)
        scale = None if factor is None else torch.as_tensor(factor, device=self.device)
        for b in self.cells.blocks(prepared, lon, lat, need):
            own = None if scale is None else self._of_day(scale[b.cells], prepared.select, int(need[b.position]))
            made = estimate_and_spread(b.weights, b.rows, b.table, offset, b.advected, coefficients, own)
            yield b.position, b.cells, *made

    def _of_day(self, factor: Tensor, select: NDArray[np.intp], day: int) -> Tensor:
        """Return the factor at the steps of a window-day, ``(cell, step or 1)``; 1 at steps that are not prepared."""
        if factor.shape[1] == 1:
            return factor
        steps = self.recipe.config.steps_per_day
        at = np.flatnonzero(select // steps == day)
        if len(at) == steps:
            return factor[:, int(at[0]) : int(at[0]) + steps]
        own = factor.new_ones(len(factor), steps)
        own[:, select[at] % steps] = factor[:, at]
        return own

    # -- explanation ---------------------------------------------------------------------------------------------

    def explain(self, prepared: Prepared, lon: float, lat: float) -> Explanation:
        """Say what the estimate of an analysis at a place was made of, at the one prepared time."""
        network = untrained_network(self.recipe).to(self.device).eval()
        with torch.inference_mode():
            side = prepared.side._replace(noise=network.knn.nugget.expand_as(prepared.side.noise).contiguous())
        # The table is the same, for it is made before any network.
        before = replace(prepared, side=side)
        return explain(self.cells, prepared, CellSide(network, self.recipe, self.device), before, lon, lat)
