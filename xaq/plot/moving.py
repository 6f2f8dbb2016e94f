"""A cube over time: an animation of its steps, and a self-contained HTML page with a time slider."""

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
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import Image

from .._arguments import check_number, check_path
from ..conventions import LAT, LON, TIME, label
from ..errors import SchemaError
from ..stations import schema
from . import arguments, basemap
from .arguments import check_colours, check_map
from .basemap import Lines
from .field import Unsupported, cube_bounds, draw_field, field_handles, no_value_text, step_text
from .markers import draw_stations, station_handles
from .observed import check_comparable, observed_over
from .scale_bar import draw_scale_bar
from .seen import as_made
from .style import FIELD_COLOURS, colour_bar, legend_below, limits, title
from .subject import conformed, cube_label, cube_target, method_text, shared_units, supported_cells
from .times import period_text, select_times

#: Most steps of an animation or a page: more would take minutes to draw, and megabytes in a browser.
_MOST_STEPS = 400
#: Colours of the field, and greys of lines and text, in the pictures of a page: one byte per pixel, a third of the size.
_FIELD_SHADES, _GREYS = 232, 24


def animation(
    ds: xr.Dataset | None,
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
    """Return an animation of a cube's steps, with the same colour limits for all.

    Parameters
    ----------
    ds, cube : xarray.Dataset
        As for :func:`map`.
    time : slice, (start, end) or one time, optional
        Steps to show, at most 400; all of the cube by default.
    target : str, optional
        Variable; the cube's by default.
    interval : float
        Milliseconds between steps.
    ax, vmin, vmax, cmap, stations, unsupported, lines : optional
        As for :func:`map`; the default limits are taken over all steps.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        ``.save("hours.gif", writer="pillow")`` writes it, one picture per step. Keep a reference to it until then.

    Raises
    ------
    SchemaError
        As for :func:`map`; or there are too many steps.

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
    interval = check_number(
        interval, "interval", "milliseconds from 1 to 60,000", fix="interval=200", valid=lambda ms: 1 <= ms <= 60_000,
        error=arguments.error,
    )  # fmt: skip
    film = _film(ds, cube, time, target, vmin, vmax, cmap, stations, unsupported)
    figure = film.frame(ax, lines).figure
    assert isinstance(figure, Figure)
    return FuncAnimation(figure, film.draw, frames=len(film.captions), init_func=list, interval=interval, blit=False)


def explore(
    ds: xr.Dataset | None,
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
    """Return a small map with a time slider, for a notebook or as an HTML page.

    Parameters
    ----------
    ds, cube : xarray.Dataset
        As for :func:`map`.
    time : slice, (start, end) or one time, optional
        Steps to show, at most 400; all of the cube by default.
    target : str, optional
        Variable; the cube's by default.
    dpi : float
        Resolution of the pictures.
    vmin, vmax, cmap, stations, unsupported, lines : optional
        As for :func:`map`; the default limits are taken over all steps.

    Returns
    -------
    Explorer
        Jupyter displays it; ``.save("cube.html")`` writes one file that needs neither Python nor a network.

    Raises
    ------
    SchemaError
        As for :func:`map`; or there are too many steps.

    Notes
    -----
    Computes the chosen steps of the cube and draws each, which takes about 0.1 s and 30 kB of the page per step.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> page = ds.aq.plot.explore(cube, time=("2020-01-01T06", "2020-01-01T08"))
    >>> page.save("hours.html").name
    'hours.html'
    """
    dpi = check_number(
        dpi,
        "dpi",
        "dots per inch from 10 to 600",
        fix="dpi=90",
        valid=lambda dots: 10 <= dots <= 600,
        error=arguments.error,
    )
    film = _film(ds, cube, time, target, vmin, vmax, cmap, stations, unsupported)
    film.frame(None, lines)
    pictures = list(film.pictures(dpi))
    plt.close(film.axes.figure)
    return Explorer(", ".join(filter(None, [film.name, film.method])), tuple(film.captions), tuple(pictures))


@dataclass(frozen=True)
class Explorer:
    """A map with a time slider: the pictures of all steps in one HTML page.

    Attributes
    ----------
    title : str
        Title of the page.
    captions : tuple of str
        Caption of each step.
    pictures : tuple of bytes
        PNG file of each step.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("kriging", grid=0.2)
    >>> explorer = ds.aq.plot.explore(cube, time="2020-01-01T06")
    >>> explorer.captions
    ('2020-01-01 06:00 UTC',)
    >>> explorer.page.splitlines()[0]
    '<!DOCTYPE html>'
    """

    title: str
    captions: tuple[str, ...]
    pictures: tuple[bytes, ...]

    def __repr__(self) -> str:
        size = sum(map(len, self.pictures)) / 1e6
        return f"<xaq.plot.Explorer> {self.title}: {len(self.captions)} steps, {self.captions[0]} to {self.captions[-1]}, {size:.1f} MB"

    @cached_property
    def page(self) -> str:
        """The page as self-contained HTML."""
        template = (files("xaq") / "data" / "explorer.html").read_text(encoding="utf-8")
        steps = [
            {"caption": caption, "picture": base64.b64encode(picture).decode("ascii")}
            for caption, picture in zip(self.captions, self.pictures, strict=True)
        ]
        # "</" could end the script early.
        data = json.dumps(steps).replace("</", "<\\/")
        return template.replace("{{title}}", html.escape(self.title)).replace("{{steps}}", data)

    def save(self, path: str | Path) -> Path:
        """Write the page.

        Parameters
        ----------
        path : path
            HTML file to write; an existing one is replaced.

        Returns
        -------
        pathlib.Path
            The file written, which needs neither Python nor a network.

        Raises
        ------
        SchemaError
            It is no path, or a folder.
        OSError
            The folder does not exist or cannot be written.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
        >>> cube = ds.aq.reanalyze("idw", grid=0.2)
        >>> ds.aq.plot.explore(cube, time="2020-01-01T06").save("hour.html").name
        'hour.html'
        """
        check_path(path, "path", fix="path='page.html'", error=arguments.error)
        path = Path(path)
        if path.is_dir():
            raise arguments.error(f"{path} is a folder, expected the name of a file; fix: path='page.html'")
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
    """The steps of a cube with the stations' observations, and the axes on which they are drawn one after another.

    ``fields`` are ``(time, lat, lon)``, ``observed`` ``(time, station)`` or empty, both in the target's units.
    """

    ds: xr.Dataset
    cube: xr.Dataset
    name: str
    method: str
    captions: list[str]
    fields: NDArray[np.float64]
    observed: NDArray[np.float64]
    norm: Normalize
    extend: str
    bar: str
    cmap: str | Colormap
    unsupported: Unsupported

    def frame(self, ax: GeoAxes | None, lines: Lines) -> GeoAxes:
        """Draw what all steps share, and the first step."""
        self.axes = basemap.frame(ax, cube_bounds(self.cube), lines)
        draw_scale_bar(self.axes, self.ds)
        self.mesh, *_ = draw_field(self.axes, self.cube, self.fields[0], self.norm, self.cmap, self.unsupported)
        colour_bar(self.axes, self.mesh, self.bar, self.extend)
        handles: list[Line2D] = []
        if self.observed.size:
            handles = station_handles(self.ds, self.observed)
        legend_below(self.axes, [*handles, *field_handles(self.cube, self.unsupported)])
        self.marks: list[Artist] = []
        self.draw(0)
        if ax is None:
            # The layout is solved once: solving it for each step takes longer than drawing the step.
            self.axes.figure.canvas.draw()
            self.axes.figure.set_layout_engine("none")
        return self.axes

    def draw(self, i: int) -> list[Artist]:
        """Draw a step in place of the previous one."""
        self.mesh.set_array(np.ma.masked_invalid(self.fields[i]))
        for mark in self.marks:
            mark.remove()
        self.marks = draw_stations(self.axes, self.ds, self.observed[i], self.mesh) if self.observed.size else []
        title(self.axes, f"{self.name}, {self.captions[i]}", self.method)
        return [self.mesh, *self.marks]

    def pictures(self, dpi: float) -> Iterator[bytes]:
        """Yield the steps as PNG files of one size."""
        palette = _palette(self.mesh.cmap)
        for i in range(len(self.captions)):
            self.draw(i)
            whole, small = io.BytesIO(), io.BytesIO()
            self.axes.figure.savefig(whole, format="png", dpi=dpi)
            picture = Image.open(whole).convert("RGB")
            picture.quantize(palette=palette, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
            yield small.getvalue()


def _palette(cmap: Colormap) -> Image.Image:
    """Return one palette for all pictures of a page; a palette fitted to each would distort the colour bar."""
    field = cmap(np.linspace(0.0, 1.0, _FIELD_SHADES))[:, :3]
    greys = np.repeat(np.linspace(0.0, 1.0, _GREYS)[:, None], 3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette((255 * np.concatenate([field, greys])).round().astype(np.uint8).ravel().tolist())
    return palette


def _film(
    ds: xr.Dataset | None,
    cube: xr.Dataset,
    time: schema.Period,
    target: str | None,
    vmin: float | None,
    vmax: float | None,
    cmap: str | Colormap | None,
    stations: bool,
    unsupported: Unsupported,
) -> _Film:
    """Return the chosen steps with their colour limits. Computes."""
    cmap, unsupported = check_colours(cmap, FIELD_COLOURS), check_map(stations, unsupported)
    target = cube_target(cube, target)
    ds = as_made(conformed(ds, cube, target, stations), cube)
    picked, _ = select_times(cube, time)
    n = picked.sizes[TIME]
    if n > _MOST_STEPS:
        raise SchemaError(
            f"{n} steps are too many to draw, expected at most {_MOST_STEPS}; fix: a shorter time=..., or daily means, "
            "ds.aq.reanalyze(..., freq='D')",
            subject="cube",
        )
    units = shared_units(ds, cube, target)
    fields = supported_cells(picked, picked[target]).transpose(TIME, LAT, LON).values.astype(float)
    observed = np.empty((0, 0))
    if stations:
        check_comparable(ds, cube)
        observed = observed_over(ds, picked, target).values
    norm, extend = limits(fields, observed, vmin=vmin, vmax=vmax, no_value=no_value_text(target, period_text(picked)))
    captions = [step_text(period_text(picked.isel({TIME: [i]}), of=picked), fields[i]) for i in range(n)]
    return _Film(
        ds, picked, label(target), method_text(cube), captions, fields, observed, norm, extend, cube_label(picked, target, units), cmap,
        unsupported,
    )  # fmt: skip
