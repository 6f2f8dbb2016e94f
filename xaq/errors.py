"""The errors and the warning of xaq: one class for each thing that can be wrong, under one root.

Every message says what is wrong, with names and numbers, what was expected and, after ``fix:``, the call that fixes it.
Each error is also the built-in exception that fits it, so that ``except ValueError`` works too.
"""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

__all__ = ["GridError", "ModelError", "SchemaError", "StoreError", "XaqError", "XaqWarning"]


class XaqError(Exception):
    """Base class of all errors that xaq raises.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=5, days=2)
    >>> try:
    ...     ds.aq.reanalyze("kriging", grid=-1)
    ... except xaq.errors.XaqError as error:
    ...     print(error)
    grid is -1, expected a spacing in degrees above 0, a Grid or a dataset with lon and lat; fix: grid=0.1
    """


class SchemaError(XaqError, ValueError):
    """A station dataset, a table or an argument cannot be used; lists all problems at once. Also a ``ValueError``.

    Parameters
    ----------
    problems : str or list of str
        What is wrong and what fixes it. The attribute of this name is always a list.
    subject : str
        What has the problems; the message begins with it.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=5, days=2)
    >>> try:
    ...     ds.aq.hide(["s003", "s9"])
    ... except xaq.errors.SchemaError as error:
    ...     print(error.problems[0])
    unknown station(s) s9; fix: ids of the dataset, such as s000, s001, s002, s003, s004
    """

    def __init__(self, problems: list[str] | str, *, subject: str = "station dataset") -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        if len(self.problems) == 1:
            message = f"{subject}: {self.problems[0]}"
        else:
            lines = "\n".join(f"  {i}. {text}" for i, text in enumerate(self.problems, 1))
            message = f"{subject}: {len(self.problems)} problems\n{lines}"
        super().__init__(message)


class GridError(XaqError, ValueError):
    """A grid or a point is invalid, or lies where no estimate is possible. Also a ``ValueError``.

    Examples
    --------
    >>> import xaq
    >>> try:
    ...     xaq.Grid.regular(0.1, bounds=(10, 50, 9, 51))
    ... except xaq.errors.GridError as error:
    ...     print(str(error).split(";")[0])
    bounds are (10, 50, 9, 51), expected (west, south, east, north) with west < east and south < north
    """


class ModelError(XaqError, ValueError):
    """A model or method is unknown, does not fit the data, or cannot be read from its file. Also a ``ValueError``.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=5, days=2)
    >>> try:
    ...     ds.aq.reanalyze("krigging")
    ... except xaq.errors.ModelError as error:
    ...     print(str(error).split(";")[0])
    no method 'krigging'
    """


class StoreError(XaqError, OSError):
    """A cube store cannot be written, resumed or opened. Also an ``OSError``.

    Examples
    --------
    >>> import xaq
    >>> try:
    ...     xaq.open_cube("nothing-here.zarr")
    ... except xaq.errors.StoreError as error:
    ...     print(type(error).__name__)
    StoreError
    """


class XaqWarning(UserWarning):
    """Something was changed or left out, and xaq continues.

    Examples
    --------
    In scripts, where warnings may go unread, they can be made errors:

    >>> import warnings, xaq
    >>> ds = xaq.datasets.synthetic(n_stations=5, days=2)
    >>> ds.pm25[3] = float("nan")
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", xaq.errors.XaqWarning)
    ...     ds.aq.reanalyze("idw")
    Traceback (most recent call last):
    xaq.errors.XaqWarning: 1 station(s) never report 'pm25' in the period and are left out: s003
    """


class _Said:
    """What the calls of :func:`each_once` that are under way have warned of, in any thread: Dask's tasks run in its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0
        self.texts: set[str] = set()

    def is_new(self, text: str) -> bool:
        """Return whether a text is to be said, and take note of it."""
        with self.lock:
            new = text not in self.texts
            if self.calls:
                self.texts.add(text)
        return new


_SAID = _Said()


@contextmanager
def each_once() -> Iterator[None]:
    """Say each warning once in a call that does the same for several methods."""
    with _SAID.lock:
        _SAID.calls += 1
    try:
        yield
    finally:
        with _SAID.lock:
            _SAID.calls -= 1
            if not _SAID.calls:
                _SAID.texts.clear()


def warn(text: str) -> None:
    """Warn with an :class:`XaqWarning` that names the line which called xaq, however deep inside it the cause is found."""
    if not _SAID.is_new(text):
        return
    package, level = str(Path(__file__).parent), 2
    frame = sys._getframe(1)
    while frame.f_back is not None and Path(frame.f_code.co_filename).is_relative_to(package):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, XaqWarning, stacklevel=level)


def or_netcdf4() -> str:
    """Return what a file that cannot be opened may need where the package for netCDF 4 is not installed, else nothing."""
    return "" if find_spec("netCDF4") else ", or for netCDF 4 pip install netCDF4"
