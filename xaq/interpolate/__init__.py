"""From stations to any place: the contract of a mapper, the classical mappers, and the statistics that AQ-Net starts from.

In: observations, as arrays. Out: estimates with their distribution, as arrays. No labels, no tensors.
"""
