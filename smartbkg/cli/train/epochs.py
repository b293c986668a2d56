"""What a training says about its epochs, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from smartbkg.training.loop import Epoch


@contextmanager
def epoch_bar(total: int) -> Iterator[Callable[[Epoch], None]]:
    """A bar where a person watches, else one line an epoch."""
    if not sys.stderr.isatty():
        yield lambda epoch: click.echo(epoch_line(epoch, total), err=True)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("train", total=total)
        yield lambda epoch: bar.update(task, completed=epoch.number, description=epoch_line(epoch, total))


def epoch_line(epoch: Epoch, total: int) -> str:
    """One line; the time left is what as many more epochs like this one take."""
    left_s = (total - epoch.number) * epoch.seconds
    return (
        f"epoch {epoch.number}/{total}  loss {epoch.train_loss:.4f}  validation {epoch.loss:.4f}  "
        f"AUC {epoch.auc:.4f}  rate {epoch.learning_rate:.1e}  {epoch.seconds:.1f} s  "
        f"{left_s / 60:.0f} min left"
    )
