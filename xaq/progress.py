"""Progress bars, in notebooks and terminals."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # In a kernel without ipywidgets tqdm warns when it is first imported, and shows a plain bar, which is no fault.
    warnings.filterwarnings("ignore", message="IProgress not found")
    from tqdm.auto import tqdm as progress_bar

__all__ = ["progress_bar"]
