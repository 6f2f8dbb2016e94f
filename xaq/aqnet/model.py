"""The trained thing: a network, and the recipe that says what it was trained on. Saved as safetensors + JSON."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from dask.base import tokenize
from einops import rearrange
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from .._display import html_table
from ..arrays import sphere, timesteps
from ..errors import ModelError
from ..fields.gridded import Gridded
from ..fields.rasters import RasterPredictors
from ..interpolate import advection, leave_one_out
from ..interpolate.base import Estimate, Explanation, Observations
from ..interpolate.site_predictors import FEATURES
from ..nn.advection import Advected
from ..nn.aqnet import AQNet, StationSide
from ..nn.estimate import attribute, estimate_and_spread, predictor_difference, station_table
from ..nn.neural_knn import SharedGeometry, Weights
from ..nn.window import Record
from .recipe import Recipe
from .station_side import (
    AdvectedDays,
    StationGeometry,
    StationSeries,
    advected_days,
    displacements,
    in_units,
    knot_lags,
    make_record,
    station_series,
)

_METADATA_KEY = "xaq"


#: Cells whose weights are made at once: enough to hide the cost of a call, few enough for a cache that cores share.
_CELLS = 4096
#: Cells whose distinct sets of neighbours are looked for together: what is kept of them (4 kB a set) must not be much.
_SHARING_CELLS = 16_384
#: Such lots of cells whose neighbours are remembered, 15 to 40 MB each: those of a map that is not cut into tiles.
_REMEMBERED = 4


class Neighbourhoods(NamedTuple):
    """The neighbours of targets: distinct ``sets (set, k)``, those of each target ``near (target, k)``, distances.

    Where neighbours are advected, ``stations (n,)`` are all of those in the sets, and ``rows, advection_weights (target, 4 k)`` say what of
    their :meth:`AdvectedDays.table` is read. ``level (target,)`` is that of the places, relative to the network's.
    """

    sets: Tensor
    near: Tensor
    geometry: SharedGeometry
    stations: Tensor
    rows: Tensor
    advection_weights: Tensor
    level: Tensor


@dataclass(frozen=True)
class Prepared:
    """The station side of a period, ready for any number of targets.

    ``table`` holds what weights are applied to, rows ordered (window-day, station), and ``advecting`` what is read in its
    place where neighbours are advected; ``select`` maps each asked time to a window-day and a step.
    """

    side: StationSide
    table: Tensor
    advecting: AdvectedDays | None
    select: NDArray[np.intp]
    lon: NDArray
    lat: NDArray


class Model:
    """A trained AQ-Net: a mapper like any other, and a file.

    Models come from ``ds.aq.train(...)`` or :func:`load_model`. They are values: nothing done with a model changes it.

    Parameters
    ----------
    network : xaq.nn.aqnet.AQNet
        The weights.
    recipe : xaq.aqnet.recipe.Recipe
        What it was trained on, how, and what it scored at hidden stations.
    predictors : xaq.fields.rasters.RasterPredictors, optional
        The rasters that it reads, where it reads any.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> model.name, model.task, model.target, model.step
    ('AQ-Net', 'analysis', 'pm25', np.timedelta64(3600,'s'))
    >>> model.has_interval, model.margin_days, model.fields, str(model.device)
    (True, (3, 3), (), 'cpu')
    >>> len(model.hash)
    64
    """

    name = "AQ-Net"

    def __init__(self, network: AQNet, recipe: Recipe, predictors: RasterPredictors | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.recipe = recipe
        self.predictors = predictors

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def task(self) -> str:
        """``"analysis"`` or ``"forecast"``."""
        return self.recipe.config.task

    @property
    def target(self) -> str:
        """The variable that the model estimates."""
        return self.recipe.target

    @property
    def step(self) -> np.timedelta64:
        """The step of the data the model was trained on, ``numpy.timedelta64``."""
        return np.timedelta64(self.recipe.step_seconds, "s")

    @property
    def has_interval(self) -> bool:
        """Whether the model has been calibrated."""
        return self.recipe.interval is not None

    @property
    def fields(self) -> tuple[Gridded, ...]:
        """The rasters that estimates are made of beside the stations, once the model has been given them."""
        return () if self.predictors is None else self.predictors.rasters

    def with_predictors(self, predictors: RasterPredictors) -> Model:
        """Return the model with the rasters it was trained on at hand; verbs do so with ``rasters=``.

        Parameters
        ----------
        predictors : xaq.fields.rasters.RasterPredictors
            The rasters, standardised as in training.

        Returns
        -------
        Model
            With the same weights.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
        >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
        >>> model.with_predictors(xaq.fields.rasters.RasterPredictors((), (), None, None)).hash == model.hash
        True
        """
        return Model(self.network, self.recipe, predictors)

    @property
    def margin_days(self) -> tuple[int, int]:
        """Days of record read before and after the days estimated."""
        return self.recipe.config.days_before, self.recipe.config.days_after

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return self.network.knn.range_km.device

    def to(self, device: str | torch.device) -> Model:
        """Return the model with its weights on another device.

        Parameters
        ----------
        device : str or torch.device
            ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``.

        Returns
        -------
        Model
            A copy.

        Raises
        ------
        ModelError
            The device cannot be used here.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
        >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
        >>> model.to("cpu").hash == model.hash
        True
        """
        return Model(
            _rebuild(self.recipe, self.network.state_dict()).to(pick_device(str(device))), self.recipe, self.predictors
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the model's file, which cubes name as that of their model."""
        return hashlib.sha256(self._serialised).hexdigest()

    def __repr__(self) -> str:
        body = "\n".join(f"  {head}: {text}" for head, text in self._facts())
        return f"<xaq.Model {self.hash[:12]}>  {self._kind()}\n{body}"

    def _repr_html_(self) -> str:
        return html_table(f"model {self.hash[:12]}: {self._kind()}", self._facts())

    def _kind(self) -> str:
        r = self.recipe
        return f"{self.name}, {r.config.task} of {r.target} [{r.units}], step {timesteps.step_name(self.step)}"

    def _facts(self) -> list[tuple[str, str]]:
        """Return what a model says of itself, as names and texts."""
        r = self.recipe
        size = sum(p.numel() for p in self.network.parameters())
        facts = [
            ("trained on", f"{len(r.visible)} stations, {r.period[0]} .. {r.period[1]}, seed {r.seed}"),
            ("network", f"{size:,} parameters on {self.device}"),
            (
                "covariance",
                f"range {r.covariance.range_km:.3g} km, nugget {r.covariance.nugget:.2g} of the sill"
                + ("; neighbours are advected" if r.config.advects else ""),
            ),
        ]
        score = r.training.get("score")
        if score is not None:
            gain = (
                f"{100 * (1 - score):.1f} % less error than its classical start"
                if score < 1
                else "no gain: kept its classical start"
            )
            facts.append(("training", f"{gain}, at validation stations"))
        if r.covariates:
            facts.append(("covariates", ", ".join(r.covariates)))
        if r.known:
            facts.append(("known over the horizon", ", ".join(r.known)))
        if r.rasters:
            facts.append(("rasters", ", ".join(raster["name"] for raster in r.rasters)))
        if r.geography:
            told = ", ".join(f"{name} {slope:+.3f}" for name, slope in zip(FEATURES, r.geography.slopes, strict=True))
            facts.append(("geography", f"log level per standard deviation of {told}"))
        if r.background:
            facts.append(
                ("background", f"{r.background['name']} [{r.background['units']}], slope {r.background['slope']:g}")
            )
        facts += [
            (row["method"], f"MAE {row['mae']:.3g}, RMSE {row['rmse']:.3g} ({row['stations']})")
            for row in r.held_out_scores
            if "mae" in row
        ]
        return facts

    # -- the file ------------------------------------------------------------------------------------------------

    @cached_property
    def _serialised(self) -> bytes:
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.network.state_dict().items()}
        return save_tensors(tensors, metadata={_METADATA_KEY: self.recipe.to_json()})

    def save(self, path: str | os.PathLike) -> Path:
        """Write the model as one safetensors file with its recipe as JSON in the header. Executes nothing on loading.

        Parameters
        ----------
        path : path
            Written to a temporary name first and renamed, so that it is whole or absent.

        Returns
        -------
        pathlib.Path
            Where it was written.

        Raises
        ------
        ModelError
            There is no such folder.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
        >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
        >>> model.save("pm25.xaq").name
        'pm25.xaq'
        """
        path = Path(path)
        if not path.parent.is_dir():
            raise ModelError(f"no such folder: {path.parent.absolute()}; fix: create it first")
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
            part.write(self._serialised)
        Path(part.name).replace(path)
        return path

    def __reduce__(self) -> tuple:
        return _revive_over, (self.hash, self._serialised, self.predictors)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return "xaq.Model", self.hash, tokenize(self.predictors)

    # -- the mapper ----------------------------------------------------------------------------------------------

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> Prepared:
        """Run the station side for the given times.

        Parameters
        ----------
        observations : Observations
            Visible stations over the days of ``times`` and ``margin_days`` around them; a forecast sees only those up
            to the init time, which is their last, and what is known after it.
        times : (n_time,) datetime64
            Times to estimate; for a forecast, within the horizon after the init time.

        Returns
        -------
        Prepared
            For :meth:`estimate`, :meth:`explain` and :meth:`station_series`.
        """
        config, step = self.recipe.config, self.step
        times = times.astype("datetime64[s]")
        observations = self._over_level(observations)
        if config.task == "forecast":
            starts = observations.times[-1:] + step
        else:
            starts = timesteps.day_starts(times[0], times[-1], step)
        targets = starts[:, None] + np.arange(config.target_steps) * step
        with torch.inference_mode(), _one_thread():
            side, series, series_times = self._station_side(observations, starts)
            at = np.searchsorted(series_times, targets.reshape(-1))
            table = self._table(side, series, at)
            advecting = None if series is None or series.slowness_weights is None else self._advected(series, at)
        position = {t: i for i, t in enumerate(targets.reshape(-1).tolist())}
        select = np.array([position[t] for t in times.tolist()], np.intp)
        return Prepared(side, table, advecting, select, observations.lon, observations.lat)

    def attention(self, observations: Observations, start: np.datetime64) -> NDArray[np.float32]:
        """Return the attention that target days pay to the days of a window.

        Parameters
        ----------
        observations : Observations
            Visible stations over the window.
        start : datetime64, UTC
            The first target step.

        Returns
        -------
        numpy.ndarray, (station, target day, history day) float32
            Rows sum to one.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
        >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
        >>> observations = xaq.stations.schema.observations(ds, "pm25")
        >>> model.attention(observations, ds.time.values[72]).shape
        (16, 1, 7)
        """
        with torch.inference_mode():
            side, _, _ = self._station_side(self._over_level(observations), np.array([start]).astype("datetime64[s]"))
        attention = side.attention[0]
        config = self.recipe.config
        per_day = max(1, config.steps_per_day // config.patch)
        days = attention.reshape(*attention.shape[:2], -1, per_day).sum(dim=-1)
        return days.cpu().numpy()

    def _over_level(self, observations: Observations) -> Observations:
        """Return observations over the level of their places: what everything that follows is made of."""
        if self.recipe.geography is None:
            return observations
        level = self._level(_bytes(observations.lon), _bytes(observations.lat))
        return replace(observations, values=(observations.values / level[:, None]).astype(np.float32))

    @cached_property
    def _level(self) -> Callable[[bytes, bytes], NDArray[np.float32]]:
        """The level of places from their coordinates' bytes, relative to the network's; remembered for the stations."""
        return lru_cache(maxsize=2)(lambda *place: self._level_of(*(np.frombuffer(degrees) for degrees in place)))

    def _level_of(self, lon: NDArray, lat: NDArray) -> NDArray[np.float32]:
        geography = self.recipe.geography
        return np.ones(len(lon), np.float32) if geography is None else geography.factor(lon, lat)

    def _station_side(
        self, observations: Observations, starts: NDArray[np.datetime64]
    ) -> tuple[StationSide, StationSeries | None, NDArray[np.datetime64]]:
        """Return the station side of windows, and of an analysis the series it was made from, with their times."""
        record, first, times = make_record(self.recipe, observations, starts)
        record = record.to(self.device)
        series, residual = None, None
        own: tuple[Tensor, ...] = ()
        if self.task == "analysis":
            geometry = self._stations(*(_bytes(a) for a in (observations.lon, observations.lat)))
            series = station_series(self.recipe, observations.at(times), geometry)
            residual = torch.as_tensor(series.residual, device=self.device)
            said = (self._residual_variance(observations), series.redundancy, series.log_weight)
            own = tuple(torch.as_tensor(v, device=self.device) for v in said)
        visible = torch.ones(len(observations.lon), dtype=torch.bool, device=self.device)
        parts = []
        # A few windows at a time: a national network and a year of windows would not fit at once.
        per_batch = max(1, 20_000 // max(1, len(observations.lon)))
        patches = None if residual is None else self._patches(record, residual, per_batch)
        for i in range(0, len(starts), per_batch):
            start = torch.as_tensor(first[i : i + per_batch], device=self.device)
            read = None if patches is None else self._read_by(start, patches)
            parts.append(self.network.station_side(record.window(start, visible, residual, *own), patches=read))
        z_hats = [p.z_hat for p in parts if p.z_hat is not None]
        joined = [torch.cat(tensors) for tensors in zip(*(p[:-1] for p in parts), strict=True)]
        return StationSide._make([*joined, torch.cat(z_hats) if z_hats else None]), series, times

    def _patches(self, record: Record, residual: Tensor, days: int) -> Tensor:
        """Return the patches of an analysis' record, ``(station, patch, hidden)``: each belongs to many windows."""
        size = days * self.recipe.config.steps_per_day
        series = (record.z, record.covariates, residual, record.cyclic[None])
        lots = zip(*(tensor.split(size, dim=1) for tensor in series), strict=True)
        return torch.cat([self.network.patches(*lot) for lot in lots], dim=1)

    def _read_by(self, start: Tensor, patches: Tensor) -> Tensor:
        """Return the patches of windows, ``(window, station, patch, hidden)``; windows begin with days, as the record does."""
        config = self.recipe.config
        begin = torch.div(start + config.input_offset, config.patch, rounding_mode="floor")
        return patches[
            :, begin[:, None] + torch.arange(config.input_steps // config.patch, device=start.device)
        ].swapaxes(0, 1)

    def _residual_variance(self, observations: Observations) -> NDArray[np.float32]:
        """Return each station's usual residual, by its place; a place unknown in training has that of the network."""
        lon, lat, residual_variance = np.array(self.recipe.residual_variance, np.float32).reshape(-1, 3).T
        index, distance = sphere.nearest(lon, lat, observations.lon, observations.lat, 1)
        known = distance[:, 0] < sphere.COLOCATED_KM
        return np.where(known, residual_variance[index[:, 0]], np.median(residual_variance)).astype(np.float32)

    def _table(self, side: StationSide, series: StationSeries | None, at: NDArray[np.intp]) -> Tensor:
        """Return the station-days without gaps, wherever the network says anything at all."""
        config, recipe = self.recipe.config, self.recipe
        if series is None:
            values = in_units(side.z_hat.swapaxes(0, 1).flatten(1), recipe.scaler)  # type: ignore[union-attr]
            variance = torch.zeros_like(values)
        else:
            values, variance = (torch.as_tensor(a[:, at], device=self.device) for a in (series.values, series.variance))
        values, variance = (rearrange(a, "n (d h) -> (d n) h", h=config.steps_per_day) for a in (values, variance))
        return station_table(values, variance, recipe.scaler.offset, recipe.covariance.sill, advects=config.advects)

    def _advected(self, series: StationSeries, at: NDArray[np.intp]) -> AdvectedDays:
        """Return what is advected on the days whose steps are ``at`` in the series."""
        steps = self.recipe.config.steps_per_day
        days = at.reshape(-1, steps)
        advecting, advection_weights = advected_days(series, days[:, 0], self.recipe)
        silent = torch.as_tensor(~np.isfinite(series.values[:, at]).any(axis=0).reshape(-1, steps))
        return AdvectedDays(advecting.to(self.device), advection_weights.to(self.device), silent.to(self.device))

    def estimate(self, prepared: Prepared, lon: NDArray, lat: NDArray) -> Estimate:
        """Estimate the prepared times at targets, with the calibrated distribution."""
        steps, days = self.recipe.config.steps_per_day, self.recipe.config.target_days
        need = np.unique(prepared.select // steps)
        slot = np.searchsorted(need, prepared.select // steps) * steps + prepared.select % steps
        # Times first, as a cube wants them; the estimate is a view of it.
        out = np.full((2, len(need) * steps, len(lon)), np.nan, np.float32)
        with torch.inference_mode(), _one_thread():
            for j, cells, made in self._blocks(prepared, lon, lat, need):
                for row, array in zip(out, made, strict=True):
                    row[j * steps : (j + 1) * steps, cells] = array.T.cpu().numpy()
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
    ) -> None:
        """Write the value and its quantiles at the prepared times, none below 0, into arrays ``(time, target)``.

        Parameters
        ----------
        fields : sequence of numpy.ndarray, (n_time, n_target) float32
            To write to: the value, and a quantile for each probability.
        prepared : Prepared
            Of ascending times.
        lon, lat : (n_target,) degrees
            Of the targets.
        probabilities : sequence of float
            Above 0 and below 1.

        Examples
        --------
        >>> import numpy as np, xaq
        >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
        >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
        >>> prepared = model.prepare(xaq.stations.schema.observations(ds, "pm25"), ds.time.values[72:96])
        >>> fields = np.empty((2, 24, 1), "f4")
        >>> model.fill(fields, prepared, np.array([10.0]), np.array([50.0]), [0.95])
        >>> bool((fields[1] > fields[0]).all())
        True
        """
        steps, leads = self.recipe.config.steps_per_day, self.recipe.config.target_days
        need, first, count = np.unique(prepared.select // steps, return_index=True, return_counts=True)
        interval = self.recipe.interval
        quantiles = [interval.quantile(need % leads, p) for p in probabilities] if interval else []
        with torch.inference_mode(), _one_thread():
            out = [torch.from_numpy(field) for field in fields]
            for j, cells, (value, spread) in self._blocks(prepared, lon, lat, need):
                at = slice(first[j], first[j] + count[j])
                made = [value, *(torch.add(value, spread, alpha=float(q[j])) for q in quantiles)]
                for field, array in zip(out, made, strict=True):
                    array = array.clamp_(min=0)
                    field[at, cells] = (array if count[j] == steps else array[:, prepared.select[at] % steps]).T

    def forecast(self, past: Observations, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Return the forecast at the stations themselves; forecast models only.

        Parameters
        ----------
        past : Observations
            Up to the init time, which is their last.
        times : (n_time,) datetime64, UTC
            Within the horizon.

        Returns
        -------
        numpy.ndarray, (n_station, n_time) float32
            In the target's units.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=16, days=60, step="6h")
        >>> model = ds.aq.train("pm25", task="forecast", max_epochs=0, progress=False)
        >>> past = xaq.stations.schema.observations(ds.isel(time=slice(0, 80)), "pm25")
        >>> model.forecast(past, ds.time.values[80:84]).shape
        (16, 4)
        """
        return self.station_series(self.prepare(past, times))

    def explain(self, prepared: Prepared, lon: float, lat: float) -> Explanation:
        """Say what the estimate of an analysis at a place was made of, at the one prepared time."""
        (select,), steps = prepared.select, self.recipe.config.steps_per_day
        place = np.array([lon]), np.array([lat])
        with torch.inference_mode():
            ((_, _, weights, rows, table, neighbours, _),) = self._weights(prepared, *place, prepared.select // steps)
            parts = attribute(weights, rows, table, self.recipe.scaler.offset, neighbours)
            value, advected, contribution = (a[0, :, select % steps].cpu().numpy() for a in parts)
            weight, variance, log_weight, correction = (w[0].cpu().numpy() for w in weights)
        index = rows[0].cpu().numpy()
        here, there = self._level_of(*place), self._level_of(prepared.lon[index], prepared.lat[index])
        value, advected, contribution = value * there, advected * there, contribution * here
        # The level of the place beside that of its neighbours.
        correction = np.exp(correction) * here[0] / np.average(there, weights=weight)
        distance = sphere.distance_km(prepared.lon[index], prepared.lat[index], *place)
        order = np.argsort(distance, kind="stable")
        weight, value, advected, contribution = (a[order] for a in (weight, value, advected, contribution))
        return Explanation(
            index[order], distance[order], weight, value, advected, contribution, self._start(prepared, *place), float(correction),
            float(log_weight), float(variance),
        )  # fmt: skip

    def _start(self, prepared: Prepared, lon: NDArray, lat: NDArray) -> float:
        """Return what the model said before training; its table is the same, for it is made before any network."""
        network = untrained_network(self.recipe).to(self.device)
        start = Model(network, self.recipe)
        with torch.inference_mode():
            side = prepared.side._replace(noise=network.knn.nugget.expand_as(prepared.side.noise).contiguous())
        return float(start.estimate(replace(prepared, side=side), lon, lat).value[0, 0])

    def station_series(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return the station side's own series at the prepared times: of a forecast, the forecast at stations.

        Parameters
        ----------
        prepared : Prepared
            As :meth:`prepare` returned it.

        Returns
        -------
        numpy.ndarray, (n_station, n_time) float32
            In the target's units; gaps are filled.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
        >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
        >>> prepared = model.prepare(xaq.stations.schema.observations(ds, "pm25"), ds.time.values[72:96])
        >>> model.station_series(prepared).shape
        (16, 24)
        """
        steps = self.recipe.config.steps_per_day
        # Values are the first columns of a table.
        values = prepared.table[:, :steps].cpu().numpy().reshape(-1, len(prepared.lon), steps)
        values = values * self._level(_bytes(prepared.lon), _bytes(prepared.lat))[:, None]
        return values.swapaxes(0, 1).reshape(len(prepared.lon), -1)[:, prepared.select]

    def _blocks(
        self, prepared: Prepared, lon: NDArray, lat: NDArray, need: NDArray[np.intp]
    ) -> Iterator[tuple[int, slice, tuple[Tensor, Tensor]]]:
        """Yield (position, cells, (value, spread)) of each needed window-day and batch of cells."""
        interval = self.recipe.interval
        scale = interval.coefficients if interval else (0.0, 0.0, 0.0)
        for j, cells, weights, rows, table, advected, level in self._weights(prepared, lon, lat, need):
            yield j, cells, estimate_and_spread(weights, rows, table, self.recipe.scaler.offset, advected, scale, level)

    def _weights(
        self, prepared: Prepared, lon: NDArray, lat: NDArray, need: NDArray[np.intp]
    ) -> Iterator[tuple[int, slice, Weights, Tensor, Tensor, Advected | None, Tensor]]:
        """Yield what the estimates of window-days and batches of cells are made of.

        Position, cells, weights, the neighbours' rows, their table, how they are advected, the level of the cells.
        """
        device = self.device
        tables = prepared.table.unflatten(0, (-1, len(prepared.lon)))
        for first in range(0, len(lon), _SHARING_CELLS):
            part = slice(first, first + _SHARING_CELLS)
            places = (_bytes(a) for a in (prepared.lon, prepared.lat, lon[part], lat[part]))
            sets, near, geometry, stations, rows, advection_weights, level = self._neighbourhoods(*places)
            predictors = None
            if self.predictors is not None:
                here, there = (
                    torch.as_tensor(v, device=device)
                    for v in (
                        self.predictors.at(lon[part], lat[part]),
                        self.predictors.at_stations(prepared.lon, prepared.lat),
                    )
                )
                predictors = predictor_difference(here, there[near])
            room = torch.empty(len(sets), (sets.shape[1] + 1) ** 2, device=device)
            for j, flat in enumerate(need.tolist()):
                made = self.network.cells_of_day(prepared.side, flat, sets, near, geometry, predictors, _CELLS, room)
                advecting = None if prepared.advecting is None else prepared.advecting.table(flat, stations, self._lags)
                for cells, weights in made:
                    advected = None if advecting is None else Advected(advecting, rows[cells], advection_weights[cells])
                    at = slice(first + cells.start, first + cells.stop)
                    yield j, at, weights, near[cells], tables[flat], advected, level[cells]

    @cached_property
    def _stations(self) -> Callable[..., StationGeometry]:
        """:class:`StationGeometry` from the coordinates' bytes, remembered: most blocks have the same stations."""
        return lru_cache(maxsize=1)(
            lambda *places: StationGeometry.of(self.recipe, *(np.frombuffer(place) for place in places))
        )

    @cached_property
    def _neighbourhoods(self) -> Callable[..., Neighbourhoods]:
        """:meth:`_find_neighbours`, remembered: the blocks of a tile, one after another in time, have the same."""
        return lru_cache(maxsize=_REMEMBERED)(self._find_neighbours)

    def _find_neighbours(self, *places: bytes) -> Neighbourhoods:
        """Return the neighbours of targets from the coordinates' bytes."""
        station_lon, station_lat, lon, lat = (np.frombuffer(place) for place in places)
        index, _ = sphere.nearest(station_lon, station_lat, lon, lat, self.recipe.config.k)
        distinct = leave_one_out.distinct_rows(np.sort(index, axis=1))
        sets, _, which = (torch.as_tensor(a, device=self.device) for a in distinct)
        near, stations = sets[which], self._on_sphere(station_lon, station_lat)
        targets = self._on_sphere(lon, lat)
        geometry = self.network.knn.shared_geometry(targets, stations[near], stations[sets], which)
        level = torch.as_tensor(self._level_of(lon, lat), device=self.device)
        if not self.recipe.config.advects:
            nothing = near.new_empty(0)
            return Neighbourhoods(sets, near, geometry, nothing, nothing, nothing, level)
        some = torch.unique(sets)
        displacement = displacements(self.recipe, (station_lon, station_lat), (lon, lat), near.cpu().numpy())
        knot, weight = (torch.as_tensor(a, device=self.device).flatten(1) for a in advection.corners(displacement))
        position = torch.searchsorted(some, near).repeat_interleave(knot.shape[1] // near.shape[1], dim=1)
        return Neighbourhoods(sets, near, geometry, some, position * len(advection.knots()) + knot, weight, level)

    @cached_property
    def _lags(self) -> Tensor:
        return knot_lags(self.recipe).to(self.device)

    def _on_sphere(self, lon: NDArray, lat: NDArray) -> Tensor:
        return torch.as_tensor(sphere.unit_vectors(lon, lat), dtype=torch.float32, device=self.device)


def _bytes(degrees: NDArray) -> bytes:
    """Return coordinates as a key to what is remembered of them."""
    return np.ascontiguousarray(degrees, float).tobytes()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to the calling thread: blocks are what runs side by side, and no sum depends on how many do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def untrained_network(recipe: Recipe) -> AQNet:
    """Return the network of a recipe before any training: its classical baseline."""
    r = recipe
    return AQNet(
        r.config, range_km=r.covariance.range_km, nugget=r.covariance.nugget,
        log_weight=r.log_weight, centre=r.centre, log_mean=r.scaler.mean, log_std=r.scaler.std,
    )  # fmt: skip


def _rebuild(recipe: Recipe, tensors: dict[str, Tensor]) -> AQNet:
    network = untrained_network(recipe)
    network.load_state_dict(tensors)
    return network


def load_model(path: str | os.PathLike, *, device: str = "auto") -> Model:
    """Load a model file written by :meth:`Model.save`. Loading executes no code from the file.

    Parameters
    ----------
    path : path
        Of the file.
    device : str
        ``"auto"`` takes a CUDA device where there is one.

    Returns
    -------
    Model
        With the weights, scores and history that it was saved with.

    Raises
    ------
    ModelError
        The file is missing, damaged, not a model, or of a later format; the device cannot be used here.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> path = ds.aq.train("pm25", max_epochs=0, progress=False).save("pm25.xaq")
    >>> xaq.load_model(path).target
    'pm25'
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"no model file at {path.absolute()}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is no readable model file ({error})") from error
    if _METADATA_KEY not in metadata:
        raise ModelError(f"{path} is a safetensors file, but not one of xaq's")
    return _from_bytes(path.read_bytes(), metadata[_METADATA_KEY]).to(device)


def _from_bytes(data: bytes, recipe: str) -> Model:
    try:
        parsed = Recipe.from_json(recipe)
        return Model(_rebuild(parsed, load_tensors(data)), parsed)
    except (RuntimeError, SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"the model file is damaged: its recipe or its weights do not fit ({error})") from error


@lru_cache(maxsize=8)
def _revive(_hash: str, data: bytes) -> Model:
    """Rebuild a model that travelled to another process, once per process."""
    length = int.from_bytes(data[:8], "little")
    recipe = json.loads(data[8 : 8 + length])["__metadata__"][_METADATA_KEY]
    return _from_bytes(data, recipe)


def _revive_over(identifier: str, data: bytes, predictors: RasterPredictors | None) -> Model:
    model = _revive(identifier, data)
    return model if predictors is None else model.with_predictors(predictors)


def pick_device(device: str) -> str:
    """Return the device meant by ``"auto"``: CUDA where there is one, else the CPU."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {device!r} cannot be used here ({error}); fix: device='auto'") from error
    if torch.device(device).type not in ("cpu", "cuda"):
        raise ModelError(f"device {device!r} is not supported, expected 'cpu' or 'cuda'; fix: device='auto'")
    return device
