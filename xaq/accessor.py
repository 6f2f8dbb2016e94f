"""``ds.aq``: the verbs of a station dataset. The accessor keeps no state but the dataset that it was made from."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ._display import html_table
from ._method import method
from .conventions import LAT, LON, STATION, TIME
from .cube.reanalyze import estimate, reanalyze
from .errors import SchemaError
from .evaluate.explain import explain
from .evaluate.verify import verify
from .fields.sample import sample
from .quality.check import check
from .quality.repair import repair
from .stations import schema
from .stations.holdout import hide
from .stations.units import convert_units
from .training.train import train

if TYPE_CHECKING:
    from .plot.accessor import PlotAccessor

#: What the repr proposes, with the target and the spacing of a grid; of a single time, from which nothing can be learned.
_NEXT = "train({!r}) -> verify(model) -> reanalyze(model, grid={:g}, store='cube.zarr') -> plot.map(cube)"
_NEXT_OF_ONE_TIME = "verify('kriging') -> reanalyze('kriging', grid={1:g}, store='cube.zarr') -> plot.map(cube)"


@xr.register_dataset_accessor("aq")
class AqAccessor:
    """Air-quality verbs on a station dataset.

    ``ds.aq`` shows what xaq understood of the dataset, and the next step. Each method calls the function of the same
    name with the dataset as first argument: ``ds.aq.hide(...)`` is ``xaq.hide(ds, ...)``.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A station dataset: coordinates marked by CF attributes or by their usual names, one variable per pollutant
        with ``units``, timestamps in UTC on a regular step. Any Dataset has the accessor; its repr says what is missing.

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

    # -- stations -----------------------------------------------------------------------------------------------------

    check = method(check)
    repair = method(repair)
    convert_units = method(convert_units)
    sample = method(sample)
    hide = method(hide)

    @property
    def visible(self) -> xr.Dataset:
        """The stations used for training and estimation: all but the hidden ones, in xaq's form. Lazy."""
        ds = schema.conform(self._ds)
        return ds.isel({STATION: np.flatnonzero(~schema.hidden_mask(ds))})

    @property
    def hidden(self) -> xr.Dataset:
        """The stations held out for verification, in xaq's form; none before :meth:`hide`. Lazy."""
        ds = schema.conform(self._ds)
        return ds.isel({STATION: np.flatnonzero(schema.hidden_mask(ds))})

    # -- model --------------------------------------------------------------------------------------------------------

    train = method(train)
    verify = method(verify)
    explain = method(explain)

    # -- estimates ----------------------------------------------------------------------------------------------------

    reanalyze = method(reanalyze)
    estimate = method(estimate)

    @property
    def plot(self) -> PlotAccessor:
        """Figures: ``plot.map(cube)``, ``plot.stations()``, ``plot.errors(model)``, ``plot.explore(cube)`` and more."""
        from .plot.accessor import PlotAccessor

        return PlotAccessor(self._ds)

    # -- reprs --------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        try:
            lines = self._lines()
        except SchemaError as error:
            return f"<xaq> not a station dataset yet\n{error}"
        width = max(len(head) for head, _ in lines)
        return "\n".join(["<xaq> station dataset", *(f"  {head:<{width}}  {text}" for head, text in lines)])

    def _repr_html_(self) -> str:
        try:
            return html_table("station dataset", self._lines())
        except SchemaError as error:
            problems = f'<pre style="white-space:pre-wrap">{html.escape(str(error))}</pre>'
            return f"<p><b>xaq</b>: not a station dataset yet</p>{problems}"

    def _lines(self) -> list[tuple[str, str]]:
        """Return what xaq understood of the dataset, and the next step, as (heading, text) pairs. Metadata only."""
        ds = schema.conform(self._ds)
        return [*schema.summary_lines(ds), ("next", _next_step(ds))]


def _next_step(ds: xr.Dataset) -> str:
    """Return the calls that come next, as one line: those of a dataset in xaq's form."""
    names = schema.pollutants(ds) or [str(n) for n in ds.data_vars] or ["pm25"]
    hide_first = "" if schema.hidden_mask(ds).any() else "hide(fraction=0.15) -> "
    steps = _NEXT if ds.sizes[TIME] > 1 else _NEXT_OF_ONE_TIME
    return hide_first + steps.format("pm25" if "pm25" in names else names[0], _spacing(ds))


def _spacing(ds: xr.Dataset) -> float:
    """Return a grid spacing in degrees that resolves the network: 0.1, or finer where the extent is below 50 cells."""
    wanted = max(float(np.ptp(ds[name].values)) for name in (LON, LAT)) / 50
    finer = [m * 10.0**-n for n in (2, 3, 4) for m in (5, 2, 1)]
    return next((s for s in (0.1, *finer) if s <= wanted), 0.1)
