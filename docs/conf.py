"""Sphinx configuration. Building runs every notebook from a fresh kernel: what the tutorials show is what happens."""

import re
from importlib.metadata import version as _version
from pathlib import Path
from typing import Any

from sphinx.util import logging

HERE = Path(__file__).parent

project = "xaq"
author = copyright = "The xaq developers"  # noqa: A001 - the name Sphinx reads
release = version = _version("xaq")
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # after sphinx.ext.mathjax: copies MathJax and its fonts beside the pages
    "numpydoc",
    "myst_nb",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"xaq {release}"

autosummary_generate = True
templates_path = ["_templates"]
numpydoc_show_class_members = False

# Functions and methods of xaq's that a text names must be there. Types in signatures have no page, those of other packages
# no inventory: the build needs no network.
nitpicky = True
nitpick_ignore_regex = [("py:(class|obj|exc|data|attr)", ".*"), ("py:.*", r"(?!xaq\.).*")]

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True


def _bring_notebooks(app: Any) -> None:
    """Copy the notebooks, which lie beside docs/, to where Sphinx looks; links from them to a page lead to the page there."""
    folder = HERE / "tutorials"
    folder.mkdir(exist_ok=True)
    for path in (HERE.parent / "notebooks").glob("*.ipynb"):
        text = path.read_text(encoding="utf-8").replace("](../docs/", "](../")
        (folder / path.name).write_text(text, encoding="utf-8")


def _refuse_the_network(app: Any, exception: Exception | None) -> None:
    """Warn of pages that load a script or a style from the network: they have to work without one."""
    if exception is not None:
        return
    loads = re.compile(r"""<(?:script|link)\b[^>]*\b(?:src|href)=["'](?:https?:)?//[^>]*\.(?:js|css)\b[^>]*>""")
    for page in Path(app.outdir).rglob("*.html"):
        for found in loads.findall(page.read_text(encoding="utf-8")):
            logging.getLogger(__name__).warning("%s loads from the network: %s", page.name, found)


def setup(app: Any) -> None:
    """Register what is above."""
    app.connect("builder-inited", _bring_notebooks)
    app.connect("build-finished", _refuse_the_network)
