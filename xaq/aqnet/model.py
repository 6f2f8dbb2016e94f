"""The model: a trained network and its recipe as a value, a mapper and a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dask.base import tokenize
from numpy.typing import NDArray

from .._display import html_table
from ..errors import ModelError
from ..interpolate.base import Estimate, Field, Observations
from ..interpolate.drift import FIELD, RASTER
from ..interpolate.error_covariance import ErrorCovariance
from ..interpolate.explanation import Explanation
from ..interpolate.trend import OverTrend, PreparedRatios, Trend, TrendRecord
from ..nn.aqnet import Network
from . import file
from .description import describe
from .device import pick_device
from .network_mapper import NetworkMapper
from .recipe import Recipe


class Model:
    """A trained AQ-Net: a mapper like any other, and a file.

    Models come from ``ds.aq.train(...)`` or :func:`load_model`. They are values: nothing done with a model changes it.

    Parameters
    ----------
    network : xaq.nn.aqnet.Network
        The weights.
    recipe : xaq.aqnet.recipe.Recipe
        What the model was trained on, how, and what it scored at hidden stations.
    trend : xaq.interpolate.trend.Trend, optional
        The trend, where it reads fields of the user's; verbs pass it with ``background=`` and ``rasters=``. By default
        what the recipe holds, which needs no field.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> model.name, model.task, model.target, model.step
    ('AQ-Net', 'analysis', 'pm25', np.timedelta64(3600,'s'))
    >>> model.has_interval, model.margin_days, model.fields, str(model.device), len(model.hash), model.error_covariance.times_hours
    (True, (1, 1), (), 'cpu', 64, (0.0, 3.0, 12.0, 48.0))
    """

    name = NetworkMapper.name

    def __init__(self, network: Network, recipe: Recipe, trend: Trend | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.recipe = recipe
        self.trend = Trend(site_effect=recipe.trend.site_effect) if trend is None else trend
        self._ratios = NetworkMapper(self.network, recipe)

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
        return self._ratios.has_interval

    @property
    def error_covariance(self) -> ErrorCovariance | None:
        """How errors hang together in space and time, for members; ``ds.aq.plot.error_covariance(model)`` draws it."""
        return self.recipe.error_covariance

    @property
    def margin_days(self) -> tuple[int, int]:
        """Days of record read before and after the days estimated."""
        return self._ratios.margin_days

    @property
    def fields(self) -> tuple[Field, ...]:
        """The background and rasters that estimates read, once the model has been given them."""
        return self.trend.fields

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return self._ratios.device

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the model's file; cubes name it as that of their model."""
        return hashlib.sha256(self._bytes).hexdigest()

    def __repr__(self) -> str:
        head, lines = describe(self.network, self.recipe, self.device)
        return f"<xaq.Model {self.hash[:12]}>  {head}\n" + "\n".join(f"  {name}: {text}" for name, text in lines)

    def _repr_html_(self) -> str:
        head, lines = describe(self.network, self.recipe, self.device)
        return html_table(f"model {self.hash[:12]}: {head}", lines)

    def with_trend(self, trend: Trend) -> Model:
        """Return the model with the fields that it was trained on; verbs do so with ``background=`` and ``rasters=``.

        Parameters
        ----------
        trend : xaq.interpolate.trend.Trend
            From ``xaq.fields.trend.trend_of_model``.

        Returns
        -------
        Model
            With the same weights.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
        >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
        >>> model.with_trend(model.trend).hash == model.hash
        True
        """
        return Model(self.network, self.recipe, trend)

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
        network, recipe = file.from_bytes(self._bytes)
        return Model(network.to(pick_device(str(device))), recipe, self.trend)

    def save(self, path: str | os.PathLike) -> Path:
        """Write the model as one safetensors file with its recipe as JSON in the header. Loading it executes nothing.

        Parameters
        ----------
        path : path
            Written to a temporary name first and renamed: an older file is replaced only by a whole one. Its permissions
            follow the umask.

        Returns
        -------
        pathlib.Path
            Where it was written.

        Raises
        ------
        ModelError
            There is no such folder, it cannot be written to, or the path is a folder or a device; nothing is left there then.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
        >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
        >>> model.save("pm25.xaq").name
        'pm25.xaq'
        """
        return file.write(path, self._bytes)

    @cached_property
    def _bytes(self) -> bytes:
        return file.to_bytes(self.network, self.recipe)

    def __reduce__(self) -> tuple:
        return _revive, (self.hash, self._bytes, self.trend)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return "xaq.Model", self.hash, tokenize(self.trend)

    # -- the mapper ----------------------------------------------------------------------------------------------

    @cached_property
    def _mapper(self) -> OverTrend:
        """The network over its trend, whose fields must be at hand."""
        _require_fields(self.recipe.trend, self.trend)
        return OverTrend(self._ratios, self.trend)

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> PreparedRatios:
        """Run the station side for the given times; a forecast's lie within the horizon after the last observation."""
        return self._mapper.prepare(observations, times)

    def estimate(self, prepared: PreparedRatios, lon: NDArray, lat: NDArray) -> Estimate:
        """Estimate the prepared times at targets, with the calibrated distribution."""
        return self._mapper.estimate(prepared, lon, lat)

    def fill(
        self,
        fields: Sequence[NDArray] | NDArray,
        prepared: PreparedRatios,
        lon: NDArray,
        lat: NDArray,
        probabilities: Sequence[float],
        factor: NDArray[np.float32] | None = None,
    ) -> None:
        """Write the value and its quantiles at the prepared times, negative ones as 0, into arrays ``(time, target)``."""
        self._mapper.fill(fields, prepared, lon, lat, probabilities, factor)

    def explain(self, prepared: PreparedRatios, lon: float, lat: float) -> Explanation:
        """Say what the estimate of an analysis at a place was made of, at the one prepared time."""
        return self._mapper.explain(prepared, lon, lat)

    def station_series(self, prepared: PreparedRatios) -> NDArray[np.float32]:
        """Return the stations' own series at the prepared times; of a forecast, the forecast at stations.

        Parameters
        ----------
        prepared : PreparedRatios
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
        return self._ratios.station_series(prepared.inner) * prepared.factor

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

        Raises
        ------
        ModelError
            The model has no temporal module, as an analysis by default.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
        >>> model = ds.aq.train("pm25", config=xaq.AQNetConfig(temporal=True), max_epochs=0, progress=False)
        >>> model.attention(xaq.stations.schema.observations(ds, "pm25"), ds.time.values[72]).shape
        (16, 1, 7)
        """
        return self._ratios.attention(self._mapper.trend.remove(observations), start)


def _require_fields(record: TrendRecord, trend: Trend) -> None:
    """Raise where a trend lacks fields that the model was trained on."""
    missing = {
        "background=field": record.background is not None and trend.background is None,
        **{
            argument: any(d["kind"] == kind for d in record.drift) and trend.drift is None
            for argument, kind in (("rasters={...}", RASTER), ("fields=[...]", FIELD))
        },
    }
    if any(missing.values()):
        wanted = ", ".join(argument for argument, lacks in missing.items() if lacks)
        raise ModelError(
            f"the model was trained on fields of the user's and cannot estimate without them; fix: ds.aq.estimate(model, {wanted}, ...)"
        )


def load_model(path: str | os.PathLike, *, device: str = "auto") -> Model:
    """Load a model file written by :meth:`Model.save`. Loading executes no code from the file.

    Its header is checked field by field before anything is allocated, and the whole file by its SHA-256.

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
        The file is missing, damaged, not a model, or of another format; the device cannot be used here.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> path = ds.aq.train("pm25", max_epochs=0, progress=False).save("pm25.xaq")
    >>> xaq.load_model(path).target
    'pm25'
    """
    network, recipe = file.read(path)
    return Model(network.to(pick_device(device)), recipe)


@lru_cache(maxsize=8)
def _of_bytes(_hash: str, data: bytes) -> Model:
    """Rebuild a model that came to another process, once per process."""
    return Model(*file.from_bytes(data))


def _revive(identifier: str, data: bytes, trend: Trend) -> Model:
    model = _of_bytes(identifier, data)
    return model if not trend.fields else model.with_trend(trend)
