"""SIGTERM as an exception: what a call holds is released, and its temporary files are deleted, before the process ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What a shell reports of a process that SIGTERM ended.
EXIT_CODE = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """SIGTERM arrived. Where nothing catches it, the process ends with the exit code of that signal."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise :class:`Terminated` on SIGTERM, which else would end the process without a cleanup.

    Nothing is done where the user handles or ignores SIGTERM, and outside the main thread, which alone receives signals.
    """
    default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not default or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def cleaned_up_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process as it would have, after the cleanup of what runs inside."""
    own = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    try:
        with sigterm_raises():
            yield
    except Terminated:
        if own:
            signal.raise_signal(signal.SIGTERM)
        raise


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
