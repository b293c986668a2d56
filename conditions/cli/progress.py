"""A progress bar on stderr, where a person watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Tell nobody."""


@contextmanager
def progress(title: str) -> Iterator[Tell]:
    """What to call with the number of things done and of all; it does nothing in a pipe or a log."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
