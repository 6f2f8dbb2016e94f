"""Run the notebooks in place, each in a fresh kernel, and keep what they show.

Usage: ``python docs/run_notebooks.py [notebook.ipynb ...]`` (``make notebooks``; all of them without arguments, some minutes).
"""

import logging
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parents[1] / "notebooks"


def main(paths: list[Path]) -> None:
    """Run the notebooks and say how long each took."""
    logging.basicConfig(format="%(message)s")
    said = logging.getLogger("notebooks")
    said.setLevel(logging.INFO)
    for path in paths:
        begun = time.perf_counter()
        run(path)
        said.info("%s: %.0f s, %d kB", path.name, time.perf_counter() - begun, path.stat().st_size / 1000)


def run(path: Path) -> None:
    """Run one notebook; leave out what differs from run to run or from machine to machine, so that a diff shows what changed."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False).execute()
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")))
