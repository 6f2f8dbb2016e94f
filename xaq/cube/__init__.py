"""From a request to a cube: the grid, what is asked for, the graph of blocks, the labels, and the store.

In: a station dataset, a mapper and a grid. Out: a lazy CF dataset, or a Zarr store that resumes and grows. No model is known here.
"""
