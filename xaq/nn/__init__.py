"""AQ-Net as tensors: temporal module, neural kNN, the network. Tensors in, tensors out; no labels, no files."""
