"""``ds.aq``: every method is one call downstairs. The accessor keeps no state but the dataset it was made from."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from . import audit, covariates, explain, reanalysis, repair, verify
from . import stations as border
from .covariates import Method
from .errors import SchemaError
from .forecasters import Forecaster
from .grid import Grid
from .mappers import Explainer, Mapper
from .plot_accessor import PlotAccessor
from .repair import Places
from .store import StoreLike
from .tables import html_table
from .units import PRESSURE, TEMPERATURE, convert_units

if TYPE_CHECKING:
    from .model import Model
    from .nn.aqnet import AQNetConfig, Task

_NEXT = "hide(fraction=0.15) -> train({!r}) -> verify(model) -> reanalyze(model, grid=0.1, store='cube.zarr') -> plot.map(cube)"


@xr.register_dataset_accessor("aq")
class AqAccessor:
    """Air-quality verbs on a station dataset.

    ``ds.aq`` shows what xaq understood of the dataset; each method is documented where it is implemented.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    # -- stations ------------------------------------------------------------------------------------------------

    def check(self, other: xr.Dataset | None = None) -> pd.DataFrame:
        """Report what is wrong, or worth a look, as a table; with another network, its clock too. See :func:`xaq.check`."""
        return audit.check(self._ds, other)

    def repair(
        self,
        *,
        off_step: Literal["nearest", "floor"] | None = None,
        duplicate_times: Literal["merge"] | None = None,
        irregular: Literal["fill"] | None = None,
        shift_hours: float | None = None,
        duplicate_stations: Literal["merge"] | None = None,
        swapped: Literal["swap"] | None = None,
        unplaced: Places | None = None,
        far: Places | None = None,
        sea: Places | None = None,
        units: Mapping[str, str | Mapping[str, str]] | None = None,
        impossible: Literal["missing"] | None = None,
        negative: Literal["missing", "zero"] | None = None,
        stuck: Literal["missing"] | None = None,
        spikes: Literal["missing"] | None = None,
        identical: Literal["missing"] | None = None,
        colocated: Literal["merge"] | None = None,
        silent: Literal["drop"] | None = None,
    ) -> xr.Dataset:
        """Mend what is asked, by the names of ``check``; each change is recorded in ``history``. See :func:`xaq.repair`."""
        return repair.repair(
            self._ds, off_step=off_step, duplicate_times=duplicate_times, irregular=irregular, shift_hours=shift_hours,
            duplicate_stations=duplicate_stations, swapped=swapped, unplaced=unplaced, far=far, sea=sea, units=units,
            impossible=impossible, negative=negative, stuck=stuck, spikes=spikes, identical=identical,
            colocated=colocated, silent=silent,
        )  # fmt: skip

    def convert_units(
        self,
        units: str | Mapping[str, str],
        *,
        temperature: float | xr.DataArray = TEMPERATURE,
        pressure: float | xr.DataArray = PRESSURE,
    ) -> xr.Dataset:
        """Convert concentrations to other units, by name. See :func:`xaq.convert_units`."""
        return convert_units(self._ds, units, temperature=temperature, pressure=pressure)

    def sample(
        self, field: xr.DataArray | xr.Dataset, *, name: str | None = None, method: Method = "bilinear"
    ) -> xr.Dataset:
        """Add a gridded field or a raster as a variable at the stations. See :func:`xaq.sample`."""
        return covariates.sample(self._ds, field, name=name, method=method)

    def hide(
        self,
        stations: Sequence[str] | None = None,
        *,
        fraction: float | None = None,
        blocks: int | None = None,
        seed: int = 0,
    ) -> xr.Dataset:
        """Hide stations for verification: a list, a random fraction, or blocks. See :func:`xaq.hide`."""
        return border.hide(self._ds, stations, fraction=fraction, blocks=blocks, seed=seed)

    @property
    def visible(self) -> xr.Dataset:
        """The visible stations (lazy)."""
        ds = border.conform(self._ds)
        return ds.isel(station=np.flatnonzero(~border.hidden_mask(ds)))

    @property
    def hidden(self) -> xr.Dataset:
        """The hidden stations (lazy)."""
        ds = border.conform(self._ds)
        return ds.isel(station=np.flatnonzero(border.hidden_mask(ds)))

    # -- model ---------------------------------------------------------------------------------------------------

    def train(
        self,
        target: str | None = None,
        *,
        task: Task = "analysis",
        time: border.Period = None,
        covariates: Sequence[str] = (),
        known: Sequence[str] = (),
        background: xr.DataArray | xr.Dataset | None = None,
        rasters: Mapping[str, xr.DataArray] | None = None,
        config: AQNetConfig | None = None,
        max_epochs: int = 20,
        patience: int = 5,
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
        checkpoint: str | Path | None = None,
        progress: bool = True,
    ) -> Model:
        """Train AQ-Net on the visible stations. See :func:`xaq.train`."""
        from .training import train

        return train(
            self._ds, target, task=task, time=time, covariates=covariates, known=known, background=background, rasters=rasters, config=config,
            max_epochs=max_epochs, patience=patience, seed=seed, device=device, precision=precision, checkpoint=checkpoint, progress=progress,
        )  # fmt: skip

    def verify(
        self,
        model: Mapper | str,
        *,
        target: str | None = None,
        time: border.Period = None,
        baselines: Sequence[str | Forecaster] | None = None,
        level: float = 0.9,
        by: str | None = None,
        background: xr.DataArray | xr.Dataset | None = None,
        rasters: Mapping[str, xr.DataArray] | None = None,
    ) -> pd.DataFrame:
        """Score a model at the hidden stations, beside classical methods. See :func:`xaq.verify`."""
        return verify.verify(
            self._ds,
            model,
            target=target,
            time=time,
            baselines=baselines,
            level=level,
            by=by,
            background=background,
            rasters=rasters,
        )

    # -- estimates -----------------------------------------------------------------------------------------------

    def reanalyze(
        self,
        mapper: Mapper | str,
        *,
        target: str | None = None,
        grid: Grid | float | xr.Dataset | xr.DataArray = 0.1,
        time: border.Period = None,
        init: str | np.datetime64 | pd.Timestamp | None = None,
        store: StoreLike | None = None,
        level: float = 0.9,
        max_distance: float | None = None,
        background: xr.DataArray | xr.Dataset | None = None,
        rasters: Mapping[str, xr.DataArray] | None = None,
        chunks: dict[str, int] | None = None,
        overwrite: bool = False,
        update: bool = False,
        precision: float | None = None,
        zarr_format: Literal[2, 3] = 3,
        consolidated: bool = True,
        progress: bool = True,
    ) -> xr.Dataset:
        """Estimate the target everywhere on a grid: a lazy cube, or a Zarr store. See :func:`xaq.reanalyze`."""
        return reanalysis.reanalyze(
            self._ds, mapper, target=target, grid=grid, time=time, init=init, store=store, level=level,
            max_distance=max_distance, background=background, rasters=rasters, chunks=chunks, overwrite=overwrite, update=update, precision=precision,
            zarr_format=zarr_format, consolidated=consolidated, progress=progress,
        )  # fmt: skip

    def estimate(
        self,
        mapper: Mapper | str,
        *,
        lon: ArrayLike,
        lat: ArrayLike,
        target: str | None = None,
        time: border.Period = None,
        init: str | np.datetime64 | pd.Timestamp | None = None,
        level: float = 0.9,
        max_distance: float | None = None,
        background: xr.DataArray | xr.Dataset | None = None,
        rasters: Mapping[str, xr.DataArray] | None = None,
    ) -> xr.Dataset:
        """Estimate the target at points. See :func:`xaq.estimate`."""
        return reanalysis.estimate(
            self._ds,
            mapper,
            lon=lon,
            lat=lat,
            target=target,
            time=time,
            init=init,
            level=level,
            max_distance=max_distance,
            background=background,
            rasters=rasters,
        )

    def explain(
        self,
        model: Explainer,
        *,
        lon: float,
        lat: float,
        time: str | np.datetime64 | pd.Timestamp,
        level: float = 0.9,
        max_distance: float | None = None,
        background: xr.DataArray | xr.Dataset | None = None,
        rasters: Mapping[str, xr.DataArray] | None = None,
    ) -> xr.Dataset:
        """Say why an estimate is what it is: neighbours, weights, kriging and what was learned. See :func:`xaq.explain`."""
        return explain.explain(
            self._ds,
            model,
            lon=lon,
            lat=lat,
            time=time,
            level=level,
            max_distance=max_distance,
            background=background,
            rasters=rasters,
        )

    @property
    def plot(self) -> PlotAccessor:
        """Figures: ``plot.map(cube)``, ``plot.stations()``, ``plot.errors(model)``, ``plot.explore(cube)`` and more."""
        return PlotAccessor(self._ds)

    # -- what it shows -------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        try:
            lines = border.summary_lines(self._ds)
        except SchemaError as error:
            return f"<xaq> not a station dataset yet\n{error}"
        width = max(len(head) for head, _ in lines)
        body = "\n".join(f"  {head:<{width}}  {text}" for head, text in lines)
        return f"<xaq> station dataset\n{body}\n  {'next':<{width}}  {self._next()}"

    def _next(self) -> str:
        names = border.pollutants(self._ds) or [str(n) for n in self._ds.data_vars] or ["pm25"]
        return _NEXT.format("pm25" if "pm25" in names else names[0])

    def _repr_html_(self) -> str:
        try:
            lines = border.summary_lines(self._ds)
        except SchemaError as error:
            return f"<p><b>xaq</b>: not a station dataset yet</p><pre>{html.escape(str(error))}</pre>"
        return html_table("station dataset", [*lines, ("next", self._next())])
