"""Draw the figures of gallery.md: run its code blocks in order, and save what each returns to the picture below it.

Usage: ``python docs/make_gallery.py`` (some minutes: it trains two small models).
"""

import ast
import re
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

import xaq

HERE = Path(__file__).parent
BLOCK = re.compile(r"```python\n(?P<code>.*?)```(?:\n\n!\[[^]]*\]\((?P<picture>[^)]+)\))?", re.DOTALL)


def main() -> None:
    """Run the page."""
    mpl.use("Agg")
    warnings.simplefilter("ignore", xaq.errors.XaqWarning)
    names: dict[str, Any] = {}
    for block in BLOCK.finditer((HERE / "gallery.md").read_text(encoding="utf-8")):
        made = run(block["code"], names)
        if block["picture"]:
            save(made, HERE / block["picture"])


def run(code: str, names: dict[str, Any]) -> Any:
    """Run code as a notebook does: return the value of its last expression."""
    *body, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        body, last = [*body, last], None
    exec(compile(ast.Module(body, []), "gallery.md", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "gallery.md", "eval"), names)


def save(made: Any, path: Path) -> None:
    """Save a figure, or an animation, small: a page of pictures is read over slow lines too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(made, FuncAnimation):
        made.save(path, writer="pillow", dpi=40)
        return
    figure: Figure = np.asarray(made, object).flat[0].figure
    figure.savefig(path, dpi=68, bbox_inches="tight", pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
