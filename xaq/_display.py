"""Progress bars, and tables for the HTML reprs of notebooks."""

from __future__ import annotations

import html
import warnings
from collections.abc import Iterable

with warnings.catch_warnings():
    # Without ipywidgets, tqdm warns at its import in a notebook and falls back to a text bar, which is fine.
    warnings.filterwarnings("ignore", message="IProgress not found")
    from tqdm.auto import tqdm as progress_bar

__all__ = ["html_table", "progress_bar"]


def html_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return HTML: a title, and a table with a row per (name, text) pair."""
    cell = '<td style="text-align:left; vertical-align:top">{}</td>'
    body = "".join(
        f"<tr>{cell.format(f'<b>{html.escape(head)}</b>')}{cell.format(html.escape(text))}</tr>" for head, text in rows
    )
    return f"<p><b>xaq</b> {html.escape(title)}</p><table>{body}</table>"
