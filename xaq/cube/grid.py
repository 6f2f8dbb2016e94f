"""Grid: a regular lat/lon grid from spacing, bounds or another dataset's coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from .._arguments import check_array, check_number, check_sequence, shown
from .._display import html_table
from ..arrays import longitudes
from ..arrays.sphere import EARTH_RADIUS_KM
from ..conventions import LAT, LON, ROLE_CF
from ..errors import GridError, warn
from .grid_axes import axes_of, settle_axis, settle_edges

_MAX_CELLS = 200_000_000
#: Latitude south of which there are few stations.
_ANTARCTIC = -60.0
#: The fix of what cannot become a grid.
_FIX = "fix: xaq.Grid.regular(0.1, bounds=(5, 47, 16, 55)), or grid=0.1"


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of cell centres.

    Usually made by :meth:`regular`, :meth:`around` or :meth:`like`; ``grid=0.1`` of :func:`xaq.reanalyze` calls :meth:`around`.

    Attributes
    ----------
    lon, lat : (n,) float64 degrees
        Cell centres, ascending. Longitudes may be given wrapped, as 350 .. 360, 0 .. 10; they become -10 .. 10.
    spacing : float
        Degrees; the width of a cell where an axis has only one.

    Raises
    ------
    GridError
        An axis is empty, not ascending, not finite, beyond the poles or has a hole wider than twice the spacing, or there
        are more than 200 million cells.

    Examples
    --------
    >>> import xaq
    >>> grid = xaq.Grid([5.25, 5.75, 6.25], [47.25, 47.75])
    >>> grid.shape
    (2, 3)
    """

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    spacing: float = 1.0

    def __post_init__(self) -> None:
        for name in (LON, LAT):
            axis = _degrees(getattr(self, name), f"grid {name}")
            if axis.ndim != 1 or not len(axis):
                raise GridError(
                    f"grid {name} has shape {axis.shape}, expected one dimension with at least one cell; {_FIX}"
                )
            object.__setattr__(self, name, settle_axis(axis, name))
        object.__setattr__(self, "spacing", _check_spacing(self.spacing))
        if np.abs(self.lat).max() > 90:
            one_sided = self.lat.min() >= -90 or self.lat.max() <= 90
            swapped = one_sided and np.abs(self.lat).max() <= 360 and np.abs(self.lon).max() <= 90
            fix = "xaq.Grid(lat, lon), they look swapped" if swapped else "lat=lat[np.abs(lat) <= 90]"
            raise GridError(f"grid lat reaches {self.lat[np.argmax(np.abs(self.lat))]:g}, expected -90..90; fix: {fix}")
        if len(self.lon) * len(self.lat) > _MAX_CELLS:
            raise GridError(
                f"the grid has {len(self.lon) * len(self.lat):,} cells, expected at most {_MAX_CELLS:,}; fix: every tenth, "
                "xaq.Grid(lon[::10], lat[::10])"
            )

    @classmethod
    def regular(cls, spacing: float, *, bounds: tuple[float, float, float, float]) -> Grid:
        """Return the grid of a spacing inside bounds.

        Parameters
        ----------
        spacing : float
            Degrees.
        bounds : (west, south, east, north)
            Degrees; edges of the outermost cells, the eastern and northern one to the nearest whole cell. Where west is the
            larger number, as in (170, -20, -170, -10), the bounds reach eastwards across the date line or Greenwich.

        Returns
        -------
        Grid
            Centres lie half a spacing inside the western and the southern edge.

        Raises
        ------
        GridError
            Bounds that are not valid, a spacing that is not above 0, or more than 200 million cells.

        Examples
        --------
        >>> import xaq
        >>> xaq.Grid.regular(0.5, bounds=(5, 47, 7, 48)).lon
        array([5.25, 5.75, 6.25, 6.75])
        """
        west, south, east, north = check_bounds(bounds)
        spacing = _check_spacing(spacing)
        west, east = settle_edges(west, east, south, north)
        if max(-south, north) > 90.0:
            inside = f"bounds=({west:g}, {max(south, -90.0):g}, {east:g}, {min(north, 90.0):g})"
            if min(south, north) > 90.0 or max(south, north) < -90.0:
                inside = f"bounds=({south:g}, {west:g}, {north:g}, {east:g}), they look swapped"
            raise GridError(f"bounds reach from {south:g} to {north:g} N, expected -90..90; fix: {inside}")
        if not (west < east and south < north):
            in_order = west < east and north < south
            fix = f"({west:g}, {north:g}, {east:g}, {south:g})" if in_order else "(5, 47, 16, 55)"
            raise GridError(
                f"bounds are {shown(bounds)}, expected (west, south, east, north) with west < east and south < north; "
                f"fix: bounds={fix}"
            )
        # The box of a network of America, India or East Asia falls here, when longitudes and latitudes are exchanged.
        if north < _ANTARCTIC and east <= 90.0:
            warn(
                f"bounds=({west:g}, {south:g}, {east:g}, {north:g}) lie in Antarctica, expected (west, south, east, north); fix: "
                f"bounds=({south:g}, {west:g}, {north:g}, {east:g}), if longitudes and latitudes are exchanged"
            )
        return cls._inside(west, south, east, north, spacing)

    @classmethod
    def _inside(cls, west: float, south: float, east: float, north: float, spacing: float) -> Grid:
        """Return the grid of a spacing inside bounds whose order is right."""
        n_lon, n_lat = (max(1, round((b - a) / spacing)) for a, b in ((west, east), (south, north)))
        if n_lon * n_lat > _MAX_CELLS:
            least = 1.1 * spacing * (n_lon * n_lat / _MAX_CELLS) ** 0.5
            raise GridError(
                f"the grid would have {n_lon * n_lat:,} cells, expected at most {_MAX_CELLS:,}; fix: a spacing of {least:.2g} "
                "degrees or more"
            )
        return cls(_centres(west, spacing, n_lon), _centres(south, spacing, n_lat), spacing)

    @classmethod
    def around(cls, lon: ArrayLike, lat: ArrayLike, spacing: float) -> Grid:
        """Return the grid of a spacing that covers the stations with a margin of 5 % of their extent, on whole multiples.

        Parameters
        ----------
        lon, lat : array_like, (n_station,) degrees
            Of the stations, in any convention of longitude; a network may lie on both sides of Greenwich or of the date line.
        spacing : float
            Degrees.

        Returns
        -------
        Grid
            Edges are whole multiples of the spacing, so that grids of two networks fit together.

        Raises
        ------
        GridError
            A spacing that is not above 0, or more than 200 million cells.

        Examples
        --------
        >>> import xaq
        >>> ds = xaq.datasets.load("germany")
        >>> xaq.Grid.around(ds.lon, ds.lat, 0.1)
        Grid(81 lat x 95 lon, spacing 0.1, 5.85 .. 15.25 E, 47.35 .. 55.35 N)
        """
        lon, lat = _degrees(lon, LON), _degrees(lat, LAT)
        if not (lon.size and np.isfinite(lon).all() and np.isfinite(lat).all() and lon.shape == lat.shape):
            raise GridError(
                f"lon has shape {lon.shape}, lat {lat.shape}, expected the finite degrees of at least one station; "
                "fix: lon=[9.0, 11.0], lat=[49.0, 51.0]"
            )
        spacing = _check_spacing(spacing)
        # The same multiples of the spacing in each convention of longitude, and the turns of that of the stations after.
        arc = longitudes.unwrap(longitudes.canonical(lon))
        turns = 360.0 * round(float(longitudes.unwrap(lon).min() - arc.min()) / 360.0)
        extent = max(float(np.ptp(arc)), float(np.ptp(lat)))
        if 0 < extent < spacing or 2 <= spacing > extent / 10 > 0:
            warn(
                f"cells of {spacing:g} degrees are large for a network of {np.ptp(arc):.2g} x {np.ptp(lat):.2g} degrees; "
                f"fix: grid={np.degrees(spacing / EARTH_RADIUS_KM):.2g} for cells of {spacing:g} km"
            )
        margin = max(0.05 * extent, spacing)
        west, south = (np.floor((float(a.min()) - margin) / spacing + 1e-9) * spacing for a in (arc, lat))
        east, north = (np.ceil((float(a.max()) + margin) / spacing - 1e-9) * spacing for a in (arc, lat))
        if east - west > 360.0:
            west, turns = np.floor(-180.0 / spacing) * spacing, 0.0
            east = west + np.ceil(360.0 / spacing - 1e-9) * spacing
        return cls._inside(west + turns, max(south, -90.0), east + turns, min(north, 90.0), spacing)

    @classmethod
    def like(cls, ds: xr.Dataset | xr.DataArray) -> Grid:
        """Return the grid of another dataset's coordinates: a cube, a model's output, a raster in degrees.

        Parameters
        ----------
        ds : xarray.Dataset or DataArray
            With axes of longitude and latitude by CF attributes or usual names, or ``x`` and ``y``, degrees, in any
            order; longitudes may wrap, as 350 .. 360, 0 .. 10.

        Returns
        -------
        Grid
            Its cell centres, ascending. Loads coordinates.

        Raises
        ------
        GridError
            There are no such axes, or they are points, curvilinear, projected or with a hole wider than twice the spacing.

        Examples
        --------
        >>> import xaq
        >>> cube = xaq.datasets.synthetic(n_stations=8, days=2).aq.reanalyze("idw", grid=0.5)
        >>> xaq.Grid.like(cube).shape == (cube.sizes["lat"], cube.sizes["lon"])
        True
        """
        if not isinstance(ds, (xr.Dataset, xr.DataArray)):
            raise GridError(f"got {shown(ds)}, expected a dataset with lon and lat; {_FIX}")
        return cls(*axes_of(ds))

    @classmethod
    def of(cls, grid: Grid | float | xr.Dataset | xr.DataArray, lon: ArrayLike, lat: ArrayLike) -> Grid:
        """Return the grid that is meant: a Grid, a spacing around the stations, or another dataset's coordinates.

        Parameters
        ----------
        grid : float, Grid, xarray.Dataset or DataArray
            As ``grid`` of :func:`xaq.reanalyze`.
        lon, lat : array_like, (n_station,) degrees
            Of the stations, for a spacing.

        Returns
        -------
        Grid
            Of :meth:`around` or :meth:`like`, or the grid itself.

        Raises
        ------
        GridError
            It is none of these, or they raise it.

        Examples
        --------
        >>> import xaq
        >>> xaq.Grid.of(0.5, lon=[9.0, 11.0], lat=[49.0, 51.0]).shape
        (6, 6)
        """
        if isinstance(grid, Grid):
            return grid
        if isinstance(grid, (xr.Dataset, xr.DataArray)):
            return cls.like(grid)
        expected = "a spacing in degrees above 0, a Grid or a dataset with lon and lat"
        return cls.around(lon, lat, _check_spacing(grid, "grid", expected))

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, ``(n_lat, n_lon)``."""
        return len(self.lat), len(self.lon)

    def coords(self) -> dict[str, xr.Variable]:
        """Return coordinate variables with CF attributes, without bounds.

        Returns
        -------
        dict of str to xarray.Variable
            ``lat (lat,)`` and ``lon (lon,)``, degrees.

        Examples
        --------
        >>> import xarray as xr, xaq
        >>> xr.Dataset(coords=xaq.Grid.regular(0.5, bounds=(5, 47, 7, 48)).coords()).lon.units
        'degrees_east'
        """
        axis = {LON: "X", LAT: "Y"}
        return {
            name: xr.Variable(
                (name,), getattr(self, name), {**ROLE_CF[name], "axis": axis[name], "bounds": f"{name}_bnds"}
            )
            for name in (LAT, LON)
        }

    def bounds(self) -> dict[str, xr.Variable]:
        """Return cell bounds, half-way between centres.

        Returns
        -------
        dict of str to xarray.Variable
            ``lat_bnds (lat, bnds)`` and ``lon_bnds (lon, bnds)``, degrees.

        Examples
        --------
        >>> import xaq
        >>> xaq.Grid.regular(0.5, bounds=(5, 47, 7, 48)).bounds()["lat_bnds"].values.tolist()
        [[47.0, 47.5], [47.5, 48.0]]
        """
        limit = {LAT: 90.0, LON: np.inf}
        return {
            f"{name}_bnds": xr.Variable((name, "bnds"), _edges(getattr(self, name), self.spacing, limit[name]))
            for name in (LAT, LON)
        }

    def _repr_html_(self) -> str:
        n_lat, n_lon = self.shape
        lat, lon = (edges.values for edges in self.bounds().values())
        size = (f"{np.median(np.diff(edges)):g}" for edges in (lat, lon))
        return html_table(
            "grid",
            [
                ("cells", f"{n_lat} x {n_lon} (lat x lon), of {' x '.join(size)} degrees"),
                ("longitude", f"{lon[0, 0]:g} .. {lon[-1, 1]:g} degrees east, edges"),
                ("latitude", f"{lat[0, 0]:g} .. {lat[-1, 1]:g} degrees north, edges"),
            ],
        )

    def __repr__(self) -> str:
        n_lat, n_lon = self.shape
        spacing = f", spacing {np.median(np.diff(self.lon)):g}" if n_lon > 1 else ""
        return (
            f"Grid({n_lat} lat x {n_lon} lon{spacing}, "
            f"{self.lon[0]:g} .. {self.lon[-1]:g} E, {self.lat[0]:g} .. {self.lat[-1]:g} N)"
        )


def check_bounds(bounds: Any, name: str = "bounds") -> tuple[float, float, float, float]:
    """Return (west, south, east, north) as floats, or raise: they are no four finite numbers."""
    expected, fix = "(west, south, east, north) in degrees", f"{name}=(5, 47, 16, 55)"
    edges = check_sequence(bounds, name, expected, fix=fix, error=GridError)
    if len(edges) != 4:
        raise GridError(f"{name} are {shown(bounds)}, expected {expected}; fix: {fix}")
    west, south, east, north = (check_number(edge, name, expected, fix=fix, error=GridError) for edge in edges)
    return west, south, east, north


def _check_spacing(spacing: Any, name: str = "spacing", expected: str = "degrees above 0") -> float:
    return check_number(
        spacing, name, expected, fix="grid=0.1", valid=lambda degrees: 0 < degrees <= 360, error=GridError
    )


def _degrees(values: Any, name: str) -> NDArray[np.float64]:
    return check_array(
        values, name, "degrees as numbers", fix="xaq.Grid.regular(0.1, bounds=(5, 47, 16, 55))", error=GridError
    )


def _centres(start: float, spacing: float, n: int) -> NDArray[np.float64]:
    # Rounded to twelve digits, far below a millimetre, so that 0.1-degree coordinates are 7.15 and not 7.1499999.
    return np.round(start + spacing * (np.arange(n) + 0.5), 12)


def _edges(centres: NDArray[np.float64], alone: float, limit: float) -> NDArray[np.float64]:
    half = np.diff(centres) / 2
    if len(half):
        low, high = np.concatenate([half[:1], half]), np.concatenate([half, half[-1:]])
    else:
        low = high = np.array([alone / 2])
    return np.clip(np.round(np.stack([centres - low, centres + high], axis=1), 12), -limit, limit)
