"""Arithmetic that everything shares: distances on the sphere, time as steps, scales and encodings.

In: NumPy arrays. Out: NumPy arrays. No labels, no tensors, no files.
"""
