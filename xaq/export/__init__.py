"""From a cube, or estimates at points, to files of other formats and to catalogues.

In: a lazy CF dataset of ``cube``, or its store. Out: netCDF that follows CF and ACDD to the letter, pyramids for web maps,
STAC Collections.
"""
