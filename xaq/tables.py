"""How values show themselves in a notebook: a title and a table of names and texts."""

from __future__ import annotations

import html
from collections.abc import Iterable


def html_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return HTML of a title and a table of rows, (name, text) each."""
    cell = '<td style="text-align:left; vertical-align:top">{}</td>'
    body = "".join(
        f"<tr>{cell.format(f'<b>{html.escape(head)}</b>')}{cell.format(html.escape(text))}</tr>" for head, text in rows
    )
    return f"<p><b>xaq</b> {html.escape(title)}</p><table>{body}</table>"
