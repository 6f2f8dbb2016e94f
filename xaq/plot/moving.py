"""A cube in motion: an animation of its steps, and a page with a time slider that needs nothing but a browser."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ..conventions import LAT, LON, STATION, TIME, label
from ..errors import SchemaError
from ..stations import schema
from . import basemap
from .basemap import Lines
from .maps import Unsupported, cube_bounds, draw_field, field_handles
from .places import draw_stations, station_handles
from .style import FIELD_COLOURS, colour_bar, legend_below, limits, title
from .subject import axis_label, cube_target, method_text, period_text, select_times, shared_units, supported_cells

#: Steps beyond which a film or a page is refused: minutes of drawing, and megabytes for a browser.
_MOST_STEPS = 400
#: Colours of a picture of a page, of the field and of lines and text: a byte for each point, a third of the file.
_FIELD_SHADES, _GREYS = 232, 24


def animation(
    ds: xr.Dataset,
    cube: xr.Dataset,
    *,
    time: schema.Period = None,
    target: str | None = None,
    interval: float = 200.0,
    ax: GeoAxes | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    stations: bool = True,
    unsupported: Unsupported = "hatched",
    lines: Lines = None,
) -> FuncAnimation:
    """Return an animation of a cube's steps, on the same colours throughout.

    Parameters
    ----------
    ds, cube : xarray.Dataset
        As for :func:`map`.
    time : slice, (start, end) or one time, optional
        Steps to show; all of the cube by default, 400 at most.
    target : str, optional
        Variable; the cube's by default.
    interval : float
        Milliseconds between steps.
    ax, vmin, vmax, cmap, stations, unsupported, lines : optional
        As for :func:`map`; the default limits are those of all steps.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        ``.save("hours.gif", writer="pillow")`` writes it, a picture for each step; keep it until then.

    Raises
    ------
    SchemaError
        As :func:`map`; or the steps are too many.

    Notes
    -----
    Computes the chosen steps of the cube, all at once.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> film = ds.aq.plot.animation(cube, time=("2020-01-01T06", "2020-01-01T07"))
    >>> film.save("hours.gif", writer="pillow")
    """
    film = _film(ds, cube, time, target, vmin, vmax, cmap, stations, unsupported)
    figure = film.frame(ax, lines).figure
    assert isinstance(figure, Figure)
    return FuncAnimation(figure, film.draw, frames=len(film.words), init_func=list, interval=interval, blit=False)


def explore(
    ds: xr.Dataset,
    cube: xr.Dataset,
    *,
    time: schema.Period = None,
    target: str | None = None,
    dpi: float = 90.0,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    stations: bool = True,
    unsupported: Unsupported = "hatched",
    lines: Lines = None,
) -> Explorer:
    """Return a small map with a time slider, for a notebook or as a page of its own.

    Parameters
    ----------
    ds, cube : xarray.Dataset
        As for :func:`map`.
    time : slice, (start, end) or one time, optional
        Steps to show; all of the cube by default, 400 at most.
    target : str, optional
        Variable; the cube's by default.
    dpi : float
        Of the pictures.
    vmin, vmax, cmap, stations, unsupported, lines : optional
        As for :func:`map`; the default limits are those of all steps.

    Returns
    -------
    Explorer
        Shown as it is by Jupyter; ``.save("cube.html")`` writes one file that needs neither Python nor a network.

    Raises
    ------
    SchemaError
        As :func:`map`; or the steps are too many.

    Notes
    -----
    Computes the chosen steps of the cube, and draws each: a tenth of a second or so, and some 30 kB of the page.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> page = ds.aq.plot.explore(cube, time=("2020-01-01T06", "2020-01-01T08"))
    >>> page.save("hours.html").name
    'hours.html'
    """
    film = _film(ds, cube, time, target, vmin, vmax, cmap, stations, unsupported)
    film.frame(None, lines)
    pictures = list(film.pictures(dpi))
    plt.close(film.axes.figure)
    return Explorer(", ".join(filter(None, [film.name, film.method])), tuple(film.words), tuple(pictures))


@dataclass(frozen=True)
class Explorer:
    """A map with a time slider: pictures of all steps in one page.

    Attributes
    ----------
    title : str
    words : tuple of str
        Of each step, what its picture shows.
    pictures : tuple of bytes
        PNG.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> explorer = ds.aq.plot.explore(cube, time="2020-01-01T06")
    >>> explorer.words
    ('2020-01-01 06:00 UTC',)
    >>> explorer.page.splitlines()[0]
    '<!DOCTYPE html>'
    """

    title: str
    words: tuple[str, ...]
    pictures: tuple[bytes, ...]

    def __repr__(self) -> str:
        size = sum(map(len, self.pictures)) / 1e6
        return f"<xaq.plot.Explorer> {self.title}: {len(self.words)} steps, {self.words[0]} to {self.words[-1]}, {size:.1f} MB"

    @cached_property
    def page(self) -> str:
        """The page, self-contained HTML."""
        template = (files("xaq") / "data" / "explorer.html").read_text(encoding="utf-8")
        steps = [
            {"words": words, "picture": base64.b64encode(picture).decode("ascii")}
            for words, picture in zip(self.words, self.pictures, strict=True)
        ]
        # "</" could end the script early.
        data = json.dumps(steps).replace("</", "<\\/")
        return template.replace("{{title}}", html.escape(self.title)).replace("{{steps}}", data)

    def save(self, path: str | Path) -> Path:
        """Write the page.

        Parameters
        ----------
        path : path
            Of the HTML file; one that is there is replaced.

        Returns
        -------
        pathlib.Path
            Where the page is: one file that needs neither Python nor a network.

        Raises
        ------
        OSError
            The folder is not there, or cannot be written.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
        >>> cube = ds.aq.reanalyze("idw", grid=0.2)
        >>> ds.aq.plot.explore(cube, time="2020-01-01T06").save("hour.html").name
        'hour.html'
        """
        path = Path(path)
        path.write_text(self.page, encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        width, height = Image.open(io.BytesIO(self.pictures[0])).size
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" width="{width + 30}" height="{height + 80}" '
            f'style="border:none; max-width:100%" title="{html.escape(self.title)}"></iframe>'
        )


@dataclass
class _Film:
    """The steps of a cube with what the stations observed, and the axes that they are drawn on one after the other."""

    ds: xr.Dataset
    cube: xr.Dataset
    name: str
    method: str
    words: list[str]
    fields: NDArray[np.float64]
    observed: NDArray[np.float64]
    norm: Normalize
    extend: str
    bar: str
    cmap: str | Colormap
    unsupported: Unsupported

    def frame(self, ax: GeoAxes | None, lines: Lines) -> GeoAxes:
        """Draw what all steps fraction, and the first of them."""
        self.axes = basemap.frame(ax, cube_bounds(self.cube), lines)
        self.mesh, *_ = draw_field(self.axes, self.cube, self.fields[0], self.norm, self.cmap, self.unsupported)
        colour_bar(self.axes, self.mesh, self.bar, self.extend)
        handles = []
        if self.observed.size:
            # Keys of all kinds that any step shows.
            some = np.where(np.isnan(self.observed).any(axis=0), np.nan, 0.0)
            handles = [*station_handles(self.ds, np.zeros_like(some)), *station_handles(self.ds, some)[-1:]]
        by_label = {h.get_label(): h for h in handles}
        legend_below(self.axes, [*by_label.values(), *field_handles(self.cube, self.unsupported)])
        self.marks: list[Artist] = []
        self.draw(0)
        if ax is None:
            # Lay the figure out once: doing so again for each step takes longer than drawing it.
            self.axes.figure.canvas.draw()
            self.axes.figure.set_layout_engine("none")
        return self.axes

    def draw(self, i: int) -> list[Artist]:
        """Draw a step in place of the one before it."""
        self.mesh.set_array(np.ma.masked_invalid(self.fields[i]))
        for mark in self.marks:
            mark.remove()
        self.marks = draw_stations(self.axes, self.ds, self.observed[i], self.mesh) if self.observed.size else []
        title(self.axes, f"{self.name}, {self.words[i]}", self.method)
        return [self.mesh, *self.marks]

    def pictures(self, dpi: float) -> Iterator[bytes]:
        """Yield the steps as PNG files of one size."""
        palette = _palette(self.mesh.cmap)
        for i in range(len(self.words)):
            self.draw(i)
            whole, small = io.BytesIO(), io.BytesIO()
            self.axes.figure.savefig(whole, format="png", dpi=dpi)
            picture = Image.open(whole).convert("RGB")
            picture.quantize(palette=palette, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
            yield small.getvalue()


def _palette(cmap: Colormap) -> Image.Image:
    """Return the colours of a page's pictures, the same in all: a palette fitted to each would bend the colour bar."""
    field = cmap(np.linspace(0.0, 1.0, _FIELD_SHADES))[:, :3]
    greys = np.repeat(np.linspace(0.0, 1.0, _GREYS)[:, None], 3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette((255 * np.concatenate([field, greys])).round().astype(np.uint8).ravel().tolist())
    return palette


def _film(
    ds: xr.Dataset,
    cube: xr.Dataset,
    time: schema.Period,
    target: str | None,
    vmin: float | None,
    vmax: float | None,
    cmap: str | Colormap | None,
    stations: bool,
    unsupported: Unsupported,
) -> _Film:
    ds, target = schema.conform(ds), cube_target(cube, target)
    picked, when = select_times(cube, time)
    n = picked.sizes[TIME]
    if n > _MOST_STEPS:
        raise SchemaError(
            f"{n} steps are too many for pictures of each, expected at most {_MOST_STEPS}; fix: time=..., or "
            f"cube.resample({{'time': '1D'}}).mean() where means of days do",
            subject="cube",
        )
    units = shared_units(ds, cube, target)
    fields = supported_cells(picked, picked[target]).transpose(TIME, LAT, LON).values.astype(float)
    observed = np.empty((0, 0))
    if stations:
        at = ds[target].transpose(TIME, STATION).reindex({TIME: picked[TIME].values})
        observed = at.where(np.isfinite(at)).values.astype(float)
    norm, extend = limits(
        fields, observed, vmin=vmin, vmax=vmax, silent=f"{target!r} has no value in the cube or at the stations, {when}"
    )
    words = [period_text(picked.isel({TIME: [i]}), of=picked) for i in range(n)]
    return _Film(
        ds, picked, label(target), method_text(cube), words, fields, observed, norm, extend, axis_label(target, units), cmap or FIELD_COLOURS,
        unsupported,
    )  # fmt: skip
