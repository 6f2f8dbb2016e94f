"""Arithmetic that several folders use: distances on the sphere, time as steps, scales and encodings.

In: NumPy arrays. Out: NumPy arrays. No labels, no tensors, no files.
"""
