"""Files to station datasets: a module for each format, and what they share (``files``, ``times``, ``assembly``).

In: tables, network files, CF netCDF and Zarr. Out: a station dataset. A new format is a module here and a line in ``dispatch``.
"""

from .dispatch import FORMATS, open_stations

__all__ = ["FORMATS", "open_stations"]
