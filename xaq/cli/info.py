"""``xaq info``: what a stored cube is, and whether it is damaged."""

from __future__ import annotations

import argparse
import shlex

from ..errors import StoreError
from .verb import Verb


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cube", help="Zarr store")
    parser.add_argument("--verify", action="store_true", help="read every block and compare its checksum")
    parser.add_argument(
        "--forget",
        action="store_true",
        help="mark damaged blocks as not written, so that the command that wrote the cube rewrites them",
    )


def _run(a: argparse.Namespace) -> None:
    from ..cube.info import cube_info

    info = cube_info(a.cube, verify=a.verify or a.forget, forget=a.forget)
    print(info)
    damage = [*(info.damaged or []), *(info.damaged_files or [])]
    if damage and not a.forget:
        raise StoreError(
            f"{len(damage)} blocks or files are damaged; fix: xaq info {shlex.quote(a.cube)} --forget\n"
            "  then the command that wrote the cube, which writes them again"
        )


VERB = Verb(
    "info",
    "describe a cube: contents, progress, model and accuracy",
    "xaq info pm25.zarr --verify",
    _add,
    _run,
)
