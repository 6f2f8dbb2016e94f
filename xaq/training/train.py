"""``train``: select observations, remove the trend, fit what is classical, learn, calibrate, score.

Importing this module loads no torch: the verb's signature and text are there before it runs.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from .._arguments import check_choice, check_count, check_flag, check_path, check_seed, shown
from ..errors import ModelError, each_once
from ..evaluate.verify import score_held_out, score_held_out_means
from ..fields.predictor_field import Fields
from ..nn.config import AQNetConfig, Task
from ..stations import limits, schema

if TYPE_CHECKING:
    from ..aqnet.model import Model
    from .select import Selection


#: The precisions of Lightning, and the choice by device.
_PRECISIONS = (
    "auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true", "32", "16", "bf16", "64",
    "transformer-engine", "transformer-engine-float16",
)  # fmt: skip


def train(
    ds: xr.Dataset,
    target: str | None = None,
    *,
    task: Task = "analysis",
    time: schema.Period = None,
    covariates: Sequence[str] = (),
    known: Sequence[str] = (),
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    fields: Fields | None = None,
    geography: bool = True,
    config: AQNetConfig | None = None,
    max_epochs: int = 20,
    patience: int = 5,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    checkpoint: str | os.PathLike | None = None,
    progress: bool = True,
) -> Model:
    """Train AQ-Net on the visible stations.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset; hidden stations are not touched.
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
        A field of the target, ``(time, lat, lon)`` in the stations' units: CAMS, CMAQ. The network then learns the
        ratio of observation to background; pass the field again when you use the model. An analysis only.
    rasters : mapping of str to xarray.DataArray, optional
        Static rasters by name, in any CRS: elevation, population, the fraction of a land use. They are predictors of an
        external drift: a factor, within bounds, by how the place differs from its neighbours in them, as far as this helps
        at stations that are left out.
        Where a raster has no data at a station, the station's own coordinate of that name stands in. Pass them again when
        you use the model. An analysis only.
    fields : sequence of xarray.DataArray or Dataset, or mapping of str to xarray.DataArray, optional
        Gridded predictors, in time or static, in any units: weather, satellite columns with holes, another pollutant.
        Every variable of a Dataset is one. They are predictors of the external drift as rasters are. Pass them again when you
        use the model. An analysis only.
    geography : bool
        Fit a site effect: by what factor places differ lastingly, from the population density around them and their
        altitude, which the package holds. An analysis only; a forecast has none.
    config : AQNetConfig, optional
        Hyper-parameters; ``AQNetConfig.default(task, steps_per_day)`` unless given.
    max_epochs, patience : int
        An epoch is 20 batches. Training stops after ``patience`` epochs without gain at stations not learned from;
        ``max_epochs=0`` returns the untrained network, which is the classical baseline.
    seed : int
        Seed of all random numbers; saved with the model.
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
        The mean of five members, each trained without a fifth of the stations, at the epoch, and with the fraction of what
        they learned, that is best at the stations that each never learned from; the untrained network where the gain
        there is below 0.2 percent.

    Raises
    ------
    SchemaError
        The dataset, target, period or covariates are not usable, or there are too few visible stations.
    ModelError
        ``config`` does not fit the task or the step, the device cannot be used, or the checkpoint belongs to another run.

    Notes
    -----
    Computes the target and covariates of the visible stations. On a CPU, training uses one thread: torch's threads wait
    actively for each other, so that two trainings on one machine would stop each other; what torch is set to is restored
    afterwards. Kheder et al., SCIA 2025, arXiv 2502.11941, and
    ``docs/method.md`` for what differs here.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=20, days=8).aq.hide(fraction=0.2)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> model.target, model.task
    ('pm25', 'analysis')
    """
    max_epochs, patience = (
        check_count(n, name, default, least=0, error=ModelError)
        for name, n, default in (("max_epochs", max_epochs, 20), ("patience", patience, 5))
    )
    seed = check_seed(seed, error=ModelError)
    precision = check_choice(precision, "precision", _PRECISIONS, error=ModelError)
    geography, progress = check_flag(geography, "geography"), check_flag(progress, "progress")
    if not (config is None or isinstance(config, AQNetConfig)):
        raise ModelError(
            f"config is {shown(config)}, expected an AQNetConfig or None; fix: config=xaq.AQNetConfig.default('analysis', 24)"
        )
    if checkpoint is not None:
        checkpoint = Path(check_path(checkpoint, "checkpoint", fix="checkpoint='run'", error=ModelError))
    from ..aqnet.device import one_thread, pick_device
    from ..aqnet.model import Model
    from .advection_choice import choose_advection
    from .calibrate import calibrate, fit_errors
    from .fit_classical import fit_classical
    from .gain import errors_beside_kriging
    from .learn import learn
    from .select import remove_trend, select_observations

    with each_once():  # held-out scores read the same observations and fields again
        # Before any fit: a device that cannot be used must not cost minutes first.
        device = pick_device(device)
        selection = select_observations(
            schema.conform(ds), target, task=task, time=time, covariates=covariates, known=known
        )
        _check_values(selection)
        selection, trend = remove_trend(
            selection, background=background, rasters=rasters, fields=fields, geography=geography, seed=seed
        )
        seen = selection.observations
        # Threads of torch wait actively for each other: two trainings at once would hardly get on.
        with one_thread():
            recipe = fit_classical(selection, trend, config=config, seed=seed)
            recipe = choose_advection(seen, recipe, selection.fold_ratios)
            learned = learn(
                seen, recipe, fold_ratios=selection.fold_ratios, max_epochs=max_epochs,
                patience=patience, device=device, precision=precision, checkpoint=checkpoint, progress=progress,
            )  # fmt: skip
            interval = calibrate(learned.members, learned.data, recipe)
            errors = fit_errors(learned.members, learned.data, recipe, interval, seen.lon, seen.lat)
            summary = dict(learned.summary)
            if task == "analysis":
                before = selection.observations_with_trend
                summary |= errors_beside_kriging(learned.members, learned.data, recipe, before)
        learned.use_whole_period()
        recipe = replace(recipe, interval=interval, error_covariance=errors, training=summary)
        model = Model(learned.network, recipe)
        if task != "analysis":
            return model
        # What was learned from takes most of the memory, and is not read any more.
        del learned
        if max_epochs:
            # Lightning's trainer and module refer to each other, so that only the collector frees them.
            gc.collect()
        read: dict[str, Any] = {"background": background, "rasters": rasters, "fields": fields}
        scores, means = (score(selection.ds, model, **read) for score in (score_held_out, score_held_out_means))
        return Model(model.network, replace(model.recipe, held_out_scores=scores, mean_scores=means))


def _check_values(selection: Selection) -> None:
    """Refuse values that cannot be computed with, and warn of impossible ones."""
    names, computed = selection.computed()
    limits.require_computable(computed)
    limits.warn_if_impossible(selection.ds, names, computed)
