"""`smartbkg filter`: the events that are worth simulating."""

from __future__ import annotations

import json
import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

import conditions
from conditions.errors import ConditionsError
from smartbkg.cli.talk import log_to_stderr

EPILOG = "Example: smartbkg filter mixed.parquet --seed 1 -o kept.parquet"


@click.command("filter", epilog=EPILOG)
@click.argument("events", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Kept events.")
@click.option("--rejected", type=click.Path(path_type=Path, dir_okay=False), help="Write the other events here.")
@click.option("--seed", type=int, help="Of the draws; needed without --threshold.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Keep where score >= threshold. Biased; 0 keeps all.")
@click.option("--model-file", type=click.Path(path_type=Path), help="Use this trained file, not the database.")
@click.option("--tag", "tags", multiple=True, help="Stack of tags, the first wins; again for more.")
@click.option(
    "--store",
    help="Server's URL, snapshot file or store, or several with spaces between them: the next one goes on when one "
    "fails. Left out: CONDITIONS_METADATA, CONDITIONS_URL or your own store.",
)
@click.option("--allow-open", is_flag=True, help="Also use tags that can still change.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), help="Write which payloads were used here.")
@click.option(
    "--replay", type=click.Path(path_type=Path, dir_okay=False), help="Use the payloads of this record, and no other."
)
@click.option("--batch-size", type=click.IntRange(min=1), default=1024, show_default=True, help="Events at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def filter_events(  # every option is a parameter of click's
    events: tuple[Path, ...],
    output: Path,
    rejected: Path | None,
    seed: int | None,
    threshold: float | None,
    model_file: Path | None,
    tags: tuple[str, ...],
    store: str | None,
    batch_size: int,
    record: Path | None,
    replay: Path | None,
    *,
    allow_open: bool,
    as_json: bool,
) -> None:
    """Keep generated EVENTS by importance sampling with the network that the tags give for each run.

    Every event gets `NN_prediction` and `weight`; weighted distributions of what is kept are unbiased. The payload
    comes from the tags in --tag, else those of the environment, and at last from SmartBKG_GATGAP.
    """
    from smartbkg.errors import ModuleFailed, SmartBkgError
    from smartbkg.framework import create_path, process
    from smartbkg.modules.filter import NNFilterModule

    if seed is None and threshold is None:
        raise click.UsageError("give --seed (or --threshold): the same seed keeps the same events")
    if threshold is not None and math.isnan(threshold):
        raise click.UsageError("--threshold is between 0 and 1, not nan")
    path, empty_path = create_path(), create_path()
    path.add_module("EventInput", input_files=events)
    nn_filter = NNFilterModule(model_file, threshold=threshold, allow_open=allow_open)
    path.add_module(nn_filter).if_false(empty_path)
    path.add_module("EventOutput", output_file=output)
    if rejected is not None:
        empty_path.add_module("EventOutput", output_file=rejected)
    try:
        with log_to_stderr(), ExitStack() as held:
            where: Any = store
            if record is not None or replay is not None:
                client = conditions.open(
                    store, tags or None, allow_open=allow_open, record=record or False, replay=replay
                )
                where = held.enter_context(client)
            done = process(path, seed=seed, batch_size=batch_size, global_tags=tags or None, conditions=where)
    except ModuleFailed as failed:
        # What went wrong decides the exit code; the message names the file, run or payload.
        raise (
            failed.error if isinstance(failed.error, SmartBkgError | ConditionsError | OSError) else failed
        ) from None
    if as_json:
        click.echo(json.dumps({**nn_filter.summary(), "statistics": done.to_json()}, indent=2))
    else:
        click.echo(f"{done.n_finished} of {done.n_events} events in {output}")
