"""Grids to points: gridded fields and rasters in any CRS, sampled where something is asked of them.

In: a user's xarray field. Out: values at stations or targets, lazily; never beyond what the field covers.
"""
