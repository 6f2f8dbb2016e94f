"""Progress bars, in notebooks and terminals."""

from __future__ import annotations

import warnings
from typing import Any


def progress_bar(**options: Any) -> Any:
    """Return tqdm's bar for where the code runs, a plain one in a notebook without widgets."""
    with warnings.catch_warnings():
        # tqdm warns when it is imported by a kernel without ipywidgets, which is no fault and shows a plain bar.
        warnings.filterwarnings("ignore", message="IProgress not found")
        from tqdm.auto import tqdm
    return tqdm(**options)
