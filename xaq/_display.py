"""How xaq shows itself: progress bars, and values as tables in a notebook."""

from __future__ import annotations

import html
import warnings
from collections.abc import Iterable

with warnings.catch_warnings():
    # In a kernel without ipywidgets tqdm warns when it is first imported, and shows a plain bar, which is no fault.
    warnings.filterwarnings("ignore", message="IProgress not found")
    from tqdm.auto import tqdm as progress_bar

__all__ = ["html_table", "progress_bar"]


def html_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return HTML of a title and a table of rows, (name, text) each."""
    cell = '<td style="text-align:left; vertical-align:top">{}</td>'
    body = "".join(
        f"<tr>{cell.format(f'<b>{html.escape(head)}</b>')}{cell.format(html.escape(text))}</tr>" for head, text in rows
    )
    return f"<p><b>xaq</b> {html.escape(title)}</p><table>{body}</table>"
