"""The report of ``check``: findings, and the table that shows them in full as text and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import pandas as pd

#: In the order of the report.
SEVERITIES = ("error", "warning", "note")
#: Style of a cell of the report in a notebook.
_LEFT = 'style="text-align:left; vertical-align:top"'


@dataclass(frozen=True)
class Finding:
    """One row of the report; the fields are its columns, described at ``check``."""

    severity: str
    problem: str
    variable: str
    finding: str
    count: int
    fraction: float
    examples: str
    fix: str


class Report(pd.DataFrame):
    """A table of findings whose text shows every finding in full; a selection from it is a plain DataFrame."""

    @classmethod
    def of(cls, found: Sequence[Finding]) -> Report:
        """Return the findings as a report, the most severe first."""
        rows = [astuple(f) for f in sorted(found, key=lambda f: SEVERITIES.index(f.severity))]
        return cls(rows, columns=[f.name for f in fields(Finding)])

    def _findings(self) -> list[Finding] | None:
        """Return the rows, or None where the columns are not those of findings."""
        if list(self.columns) != [f.name for f in fields(Finding)]:
            return None
        return [Finding(*row) for row in self.itertuples(index=False, name=None)]

    def __repr__(self) -> str:
        found = self._findings()
        if found is None:
            return super().__repr__()
        if not found:
            return "<xaq> nothing found"
        counts = {severity: sum(f.severity == severity for f in found) for severity in SEVERITIES}
        lines = ["<xaq> " + ", ".join(f"{n} {severity}{'s' * (n > 1)}" for severity, n in counts.items() if n)]
        widths = [max(len(getattr(f, column)) for f in found) for column in ("severity", "problem", "variable")]
        for f in found:
            head = "  ".join(f"{t:<{w}}" for t, w in zip((f.severity, f.problem, f.variable), widths, strict=True))
            lines.append(f"  {head}  {_text(f)}")
            if f.fix:
                before = f"\n  {'':<{sum(widths) + 4}}  "
                lines.append(f"{before}fix: {f.fix.replace(chr(10), before)}"[1:])
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        found = self._findings()
        if found is None:
            return self.to_html()
        if not found:
            return "<p><b>xaq</b>: nothing found</p>"
        head = "".join(f"<th {_LEFT}>{name}</th>" for name in ("severity", "problem", "variable", "finding"))
        return f"<table><tr>{head}</tr>{''.join(map(_html_row, found))}</table>"


def _text(found: Finding) -> str:
    """Return a finding with its count, fraction and examples."""
    fraction = f" ({100 * found.fraction:.3g} %)" if np.isfinite(found.fraction) else ""
    return f"{found.finding}: {found.count}{fraction}" + (f"; {found.examples}" if found.examples else "")


def _html_row(found: Finding) -> str:
    text = html.escape(_text(found))
    if found.fix:
        text += f"<br>fix: <code>{html.escape(found.fix)}</code>"
    cells = (*(html.escape(t) for t in (found.severity, found.problem, found.variable)), text)
    return f"<tr>{''.join(f'<td {_LEFT}>{cell}</td>' for cell in cells)}</tr>"
