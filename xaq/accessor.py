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

from ._display import html_table
from ._method import documented_by
from .conventions import LAT, LON
from .cube import reanalyze as reanalysis
from .cube.grid import Grid
from .cube.location import StoreLike
from .errors import SchemaError
from .evaluate.explain import explain
from .evaluate.verify import verify
from .fields import sample
from .fields.gridded import Method
from .interpolate.base import Explainer, Forecaster, Mapper
from .quality import check as audit
from .quality.repair import Places, repair
from .stations import holdout, schema
from .stations.units import PRESSURE, TEMPERATURE, convert_units

if TYPE_CHECKING:
    from .aqnet.model import Model
    from .nn.config import AQNetConfig, Task
    from .plot.accessor import PlotAccessor

_NEXT = "train({!r}) -> verify(model) -> reanalyze(model, grid={:g}, store='cube.zarr') -> plot.map(cube)"


@xr.register_dataset_accessor("aq")
class AqAccessor:
    """Air-quality verbs on a station dataset.

    ``ds.aq`` shows what xaq understood of the dataset, and what comes next. A method is the function of its name with
    the dataset as first argument: ``ds.aq.hide(...)`` is ``xaq.hide(ds, ...)``.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset: CF roles or the usual names of coordinates, one variable per pollutant with ``units``, timestamps
        in UTC on a regular step. Any Dataset has the accessor; its repr says what is missing.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=10, days=2).aq.hide(fraction=0.2)
    >>> ds.aq.visible.sizes["station"], ds.aq.hidden.sizes["station"]
    (8, 2)
    >>> ds.aq  # doctest: +ELLIPSIS
    <xaq> station dataset
      stations  10 (8 visible, 2 hidden)
      ...
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> ax = ds.aq.plot.map(cube, time="2020-01-01T08")
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    # -- stations ------------------------------------------------------------------------------------------------

    @documented_by(audit.check)
    def check(self, other: xr.Dataset | None = None) -> pd.DataFrame:
        return audit.check(self._ds, other)

    @documented_by(repair)
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
        return repair(
            self._ds, off_step=off_step, duplicate_times=duplicate_times, irregular=irregular, shift_hours=shift_hours,
            duplicate_stations=duplicate_stations, swapped=swapped, unplaced=unplaced, far=far, sea=sea, units=units,
            impossible=impossible, negative=negative, stuck=stuck, spikes=spikes, identical=identical,
            colocated=colocated, silent=silent,
        )  # fmt: skip

    @documented_by(convert_units)
    def convert_units(
        self,
        units: str | Mapping[str, str],
        *,
        temperature: float | xr.DataArray = TEMPERATURE,
        pressure: float | xr.DataArray = PRESSURE,
    ) -> xr.Dataset:
        return convert_units(self._ds, units, temperature=temperature, pressure=pressure)

    @documented_by(sample.sample)
    def sample(
        self, field: xr.DataArray | xr.Dataset, *, name: str | None = None, method: Method = "bilinear"
    ) -> xr.Dataset:
        return sample.sample(self._ds, field, name=name, method=method)

    @documented_by(holdout.hide)
    def hide(
        self,
        stations: Sequence[str] | None = None,
        *,
        fraction: float | None = None,
        blocks: int | None = None,
        seed: int = 0,
    ) -> xr.Dataset:
        return holdout.hide(self._ds, stations, fraction=fraction, blocks=blocks, seed=seed)

    @property
    def visible(self) -> xr.Dataset:
        """The stations that take part: all but the hidden ones, ``xarray.Dataset`` in xaq's form. Lazy."""
        ds = schema.conform(self._ds)
        return ds.isel(station=np.flatnonzero(~schema.hidden_mask(ds)))

    @property
    def hidden(self) -> xr.Dataset:
        """The stations kept for verification, ``xarray.Dataset`` in xaq's form; none before :meth:`hide`. Lazy."""
        ds = schema.conform(self._ds)
        return ds.isel(station=np.flatnonzero(schema.hidden_mask(ds)))

    # -- model ---------------------------------------------------------------------------------------------------

    def train(
        self,
        target: str | None = None,
        *,
        task: Task = "analysis",
        time: schema.Period = None,
        covariates: Sequence[str] = (),
        known: Sequence[str] = (),
        background: xr.DataArray | xr.Dataset | None = None,
        rasters: Mapping[str, xr.DataArray] | None = None,
        geography: bool = True,
        config: AQNetConfig | None = None,
        max_epochs: int = 20,
        patience: int = 5,
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
        checkpoint: str | Path | None = None,
        progress: bool = True,
    ) -> Model:
        """Train AQ-Net on the visible stations.

        Parameters
        ----------
        target : str, optional
            Variable to estimate; may be left out when there is one pollutant.
        task : {"analysis", "forecast"}
            An analysis sees observations before, at and after the hour; a forecast those up to its init time.
        time : slice or (start, end), optional
            Training period; everything by default.
        covariates : sequence of str
            Other station variables that the network reads.
        known : sequence of str
            Covariates whose values over a forecast's horizon may be read too, such as the weather of a reanalysis. They
            need not be repeated in ``covariates``. An analysis reads both sides of the hour anyway: there they are
            covariates like any other.
        background : xarray.DataArray or Dataset, optional
            A field of the target, ``(time, lat, lon)`` in the stations' units: CAMS, CMAQ. The network then learns the ratio of observation to
            background, and whoever uses the model passes the field again. An analysis only.
        rasters : mapping of str to xarray.DataArray, optional
            Static rasters by name, in any CRS: elevation, population, the fraction of a land use. The level of an estimate is
            corrected, within bounds, by how the place differs from its neighbours in them, where this helps at stations not learned from. A
            station at which a raster has no data takes its own coordinate of that name, if it has one. Whoever uses the
            model passes them again. An analysis only.
        geography : bool
            Read what a place is: the people around it and its altitude, from public data inside the package. The level of an
            estimate then differs between places as far as it does between stations. An analysis only; a forecast
            reads none.
        config : AQNetConfig, optional
            Hyper-parameters; ``AQNetConfig.default(task, steps_per_day)`` unless given.
        max_epochs, patience : int
            An epoch is 20 batches. Training stops after ``patience`` epochs without gain at stations not learned from;
            ``max_epochs=0`` returns the untrained network, which is the classical baseline.
        seed : int
            Of everything random; saved with the model.
        device : str
            ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        precision : str
            ``"auto"`` (bfloat16 on a GPU, float32 elsewhere) or any of Lightning's, such as ``"32-true"``.
        checkpoint : path, optional
            A folder: the run is saved there after each epoch, and resumed when called again with the same arguments.
        progress : bool
            Show a progress bar on stderr.

        Returns
        -------
        Model
            The mean of five members, each trained without a fifth of the stations, at the epoch - and with the fraction of what
            they learned - that is best at the stations each of them never learned from; the untrained network when that is
            better by less than 0.2 percent.

        Raises
        ------
        SchemaError
            The dataset, target, period or covariates are not usable, or there are too few visible stations.
        ModelError
            ``config`` does not fit the task or the step, or the checkpoint belongs to another run.

        Notes
        -----
        Computes the target and covariates of the visible stations. Kheder et al., SCIA 2025, arXiv 2502.11941, and
        ``docs/method.md`` for what differs here.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=20, days=8).aq.hide(fraction=0.2)
        >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
        >>> model.target, model.task
        ('pm25', 'analysis')
        """
        from .training.train import train

        return train(
            self._ds, target, task=task, time=time, covariates=covariates, known=known, background=background, rasters=rasters,
            geography=geography, config=config, max_epochs=max_epochs, patience=patience, seed=seed, device=device,
            precision=precision, checkpoint=checkpoint, progress=progress,
        )  # fmt: skip

    @documented_by(verify)
    def verify(
        self,
        model: Mapper | str,
        *,
        target: str | None = None,
        time: schema.Period = None,
        baselines: Sequence[str | Forecaster] | None = None,
        level: float = 0.9,
        by: str | None = None,
        background: xr.DataArray | xr.Dataset | None = None,
        rasters: Mapping[str, xr.DataArray] | None = None,
    ) -> pd.DataFrame:
        return verify(
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

    @documented_by(reanalysis.reanalyze)
    def reanalyze(
        self,
        mapper: Mapper | str,
        *,
        target: str | None = None,
        grid: Grid | float | xr.Dataset | xr.DataArray = 0.1,
        time: schema.Period = None,
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
        return reanalysis.reanalyze(
            self._ds, mapper, target=target, grid=grid, time=time, init=init, store=store, level=level,
            max_distance=max_distance, background=background, rasters=rasters, chunks=chunks, overwrite=overwrite, update=update, precision=precision,
            zarr_format=zarr_format, consolidated=consolidated, progress=progress,
        )  # fmt: skip

    @documented_by(reanalysis.estimate)
    def estimate(
        self,
        mapper: Mapper | str,
        *,
        lon: ArrayLike,
        lat: ArrayLike,
        target: str | None = None,
        time: schema.Period = None,
        init: str | np.datetime64 | pd.Timestamp | None = None,
        level: float = 0.9,
        max_distance: float | None = None,
        background: xr.DataArray | xr.Dataset | None = None,
        rasters: Mapping[str, xr.DataArray] | None = None,
    ) -> xr.Dataset:
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

    @documented_by(explain)
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
        return explain(
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
        from .plot.accessor import PlotAccessor

        return PlotAccessor(self._ds)

    # -- what it shows -------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        try:
            lines = schema.summary_lines(self._ds)
        except SchemaError as error:
            return f"<xaq> not a station dataset yet\n{error}"
        width = max(len(head) for head, _ in lines)
        body = "\n".join(f"  {head:<{width}}  {text}" for head, text in lines)
        return f"<xaq> station dataset\n{body}\n  {'next':<{width}}  {self._next()}"

    def _next(self) -> str:
        names = schema.pollutants(self._ds) or [str(n) for n in self._ds.data_vars] or ["pm25"]
        hide = "" if schema.hidden_mask(self._ds).any() else "hide(fraction=0.15) -> "
        return hide + _NEXT.format("pm25" if "pm25" in names else names[0], _spacing(schema.conform(self._ds)))

    def _repr_html_(self) -> str:
        try:
            lines = schema.summary_lines(self._ds)
        except SchemaError as error:
            problems = f'<pre style="white-space:pre-wrap">{html.escape(str(error))}</pre>'
            return f"<p><b>xaq</b>: not a station dataset yet</p>{problems}"
        return html_table("station dataset", [*lines, ("next", self._next())])


def _spacing(ds: xr.Dataset) -> float:
    """Return a grid spacing that shows a network, degrees: 0.1, or so little that a city has some 50 cells across."""
    wanted = max(float(np.ptp(ds[name].values)) for name in (LON, LAT)) / 50
    finer = [m * 10.0**-n for n in (2, 3, 4) for m in (5, 2, 1)]
    return next((s for s in (0.1, *finer) if s <= wanted), 0.1)
