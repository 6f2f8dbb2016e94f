"""Members: equally likely truths, whose errors hang together in space and time as held-out errors do. Torch and NumPy."""

from __future__ import annotations
