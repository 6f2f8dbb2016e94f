"""Draw the figures of gallery.md and of README.md, or those of paper.md.

The code blocks of a page are run in order, and what each returns is saved to the picture below it.

Usage: ``python docs/make_gallery.py`` (some minutes: it trains three small models). ``python docs/make_gallery.py paper.md``
draws that page, on networks in the folder ``$XAQ_DATA``.
"""

import ast
import contextlib
import io
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure
from PIL import Image

import xaq

HERE = Path(__file__).parent
#: Of the pictures: text of 8 points is legible at 100 %.
DPI = 90
#: More than other pictures need, because fewer show as steps in colour bars.
COLOURS = 256
BLOCK = re.compile(r"```python\n(?P<code>.*?)```(?:\n\n!\[[^]]*\]\((?P<picture>[^)]+)\))?", re.DOTALL)


def draw_page(page: str) -> None:
    """Run a page."""
    names: dict[str, Any] = {}
    for block in BLOCK.finditer((HERE / page).read_text(encoding="utf-8")):
        made = run(block["code"], names)
        if block["picture"]:
            save(made, HERE / block["picture"])


def run(code: str, names: dict[str, Any]) -> Any:
    """Run code as a notebook does: return the value of its last expression."""
    *body, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        body, last = [*body, last], None
    exec(compile(ast.Module(body, []), "page", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "page", "eval"), names)


def save(made: Any, path: Path) -> None:
    """Save a figure, or an animation, small: a page of pictures is read over slow lines too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(made, FuncAnimation):
        made.save(path, writer="pillow", dpi=54)
        return
    figure: Figure = np.asarray(made, object).flat[0].figure
    whole = io.BytesIO()
    figure.savefig(whole, dpi=DPI, bbox_inches="tight")
    shrink(whole, path)


def shrink(source: io.BytesIO | Path, target: Path) -> None:
    """Write a picture with few colours, at a third of its size."""
    whole = Image.open(source).convert("RGB")
    # By the range of colours, not by their area: the few pixels of the highest values keep their colour.
    few = whole.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    few.save(target, optimize=True)


def draw_readme() -> None:
    """Run the example of README.md, whose last line draws its picture."""
    (example,) = re.findall(r"```python\n(.*?)```", (HERE.parent / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run(example, {})
        shrink(Path("map.png"), HERE / "images" / "demo.png")


if __name__ == "__main__":
    mpl.use("Agg")
    warnings.simplefilter("ignore", xaq.errors.XaqWarning)
    if sys.argv[1:] == ["paper.md"]:
        sys.path.insert(0, str(HERE.parent))  # Its networks are read as the benchmarks read them.
        draw_page("paper.md")
    else:
        draw_page("gallery.md")
        draw_readme()
