"""Options that the networks for one skim share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_INSIDE = click.FloatRange(0, 1, min_open=True, max_open=True)
_RATE = click.FloatRange(min=0, min_open=True)

_FILES = (
    click.argument("events", type=_FILE, nargs=-1, required=True),
    click.option("--labels", type=_FILE, multiple=True, required=True, help="Skimmed file; again for more."),
    click.option("--skim", required=True, help="Column of the labels."),
    click.option("-o", "--output", type=_FOLDER, required=True, help="Folder."),
)
_LOOP = (
    click.option("--epochs", type=click.IntRange(min=1), help="At most so many; 200 by default."),
    click.option("--loss", help="bce or speedup: cross-entropy, or the inverse speed-up."),
    click.option("--schedule", help="plateau: halve the rate when validation stands still; cosine: fall all along."),
    click.option("--learning-rate", type=_RATE, help="First rate; 0.001 by default, 0.0003 when fine-tuning."),
    click.option("--batch-size", type=click.IntRange(min=2), help="Events of a step, half of them passing; 128."),
    click.option("--augment/--no-augment", default=None, help="Show events turned, reflected, charge conjugated."),
    click.option("--retention", type=_INSIDE, help="Natural fraction that passes; that of the events by default."),
    click.option("--seed", type=int, help="Same seed and threads, same file; 1 by default."),
    click.option("--threads", type=click.IntRange(min=1), help="Of torch; 1 by default."),
)
_START = (
    click.option("--start-from", type=_FILE, help="Fine-tune this checkpoint file."),
    click.option("--fresh-head", is_flag=True, help="Begin anew with the last layer of what is fine-tuned."),
    click.option("--tag", "tags", multiple=True, help="For --from: stack of tags, the first wins; again for more."),
    click.option("--store", help="For --from: server's URL, snapshot file or store; the environment's if left out."),
    click.option("--run", default="0,0", show_default=True, help="For --from: the run that it has to hold for."),
)
_ENDING = (
    click.option("--resume", is_flag=True, help="Go on with the training in the folder, if there is one."),
    click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON."),
)


def network_options(example: str) -> Callable[[Command], Command]:
    """All of them; `example` is the name of a checkpoint payload of this network."""
    payload = click.option(
        "--from",
        "payload",
        metavar="NAME[@REVISION]",
        help=f"Fine-tune this payload, as {example}: the one that the tags give, or a revision of it.",
    )

    def decorate(command: Command) -> Command:
        for option in reversed((*_FILES, *_LOOP, payload, *_START, *_ENDING)):
            command = option(command)
        return command

    return decorate
