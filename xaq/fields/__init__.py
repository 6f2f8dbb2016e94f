"""Grids to points: gridded fields and rasters in any CRS, sampled where values are needed.

In: a user's xarray field. Out: values at stations or targets, lazily and never extrapolated.
"""
