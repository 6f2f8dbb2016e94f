"""Sphinx configuration."""

from importlib.metadata import version as _version

project = "xaq"
author = "The xaq developers"
release = version = _version("xaq")
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc", "myst_parser"]
myst_enable_extensions = ["dollarmath"]
html_theme = "furo"
autosummary_generate = True
templates_path = ["_templates"]
numpydoc_show_class_members = False
exclude_patterns = ["_build"]
