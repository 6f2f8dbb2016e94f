"""Grids to points: gridded fields and rasters in any CRS, sampled where values are needed.

In: files of fields, or a user's xarray field. Out: settled fields, and their values at stations or targets, lazily and never extrapolated.
"""
