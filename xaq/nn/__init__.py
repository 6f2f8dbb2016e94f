"""AQ-Net as tensors: configuration, windows, the temporal module, neural kNN, and how weights become estimates.

In: tensors on one device. Out: tensors on the same device. No labels, no files, no units.
"""
