"""`conditions resolve`: which payloads a run gets."""

from __future__ import annotations

import click

from conditions.cli.options import Settings, Verb, as_run
from conditions.cli.output import echo_records
from conditions.cli.records import resolved_record
from conditions.client.stack import STACK_VARIABLES, stack_in_force
from conditions.iov import Run
from conditions.resolve import require

COLUMNS = ("run", "name", "revision", "tag", "iov", "sha256")


@click.command(cls=Verb, example="conditions resolve --tag user_demo_first --run 7,120 --allow-open demo_gain.txt")
@click.argument("names", nargs=-1)
@click.option("--tag", "tags", multiple=True, help=f"A tag of the stack, first one wins; else {STACK_VARIABLES[0]}.")
@click.option(
    "--run",
    "runs",
    type=as_run,
    metavar="EXP,RUN",
    multiple=True,
    required=True,
    help="For this run; may be given many times.",
)
@click.option("--allow-open", is_flag=True, help="Use OPEN tags too, which may still change.")
@click.pass_obj
def resolve(
    settings: Settings, names: tuple[str, ...], tags: tuple[str, ...], runs: tuple[Run, ...], allow_open: bool
) -> None:
    """Show which payloads a run gets from a stack of tags.

    All payloads, or those that are named. The first tag that has the payload for the run wins, and in it the highest
    revision. A named payload that no tag has for one of the runs is an error (exit code 3). Without --tag the stack
    comes from CONDITIONS_TAGS or BELLE2_CONDB_GLOBALTAG.
    """
    stack = tags or stack_in_force()
    if not stack:
        raise click.UsageError(f"no tag to look in: give --tag or set {' or '.join(STACK_VARIABLES)}")
    with settings.open() as store:
        found = store.resolve_many(stack, runs, names or None, allow_open=allow_open)
    for run in runs:
        require(found[run], names, run, stack)
    records = [resolved_record(run, name, one) for run in runs for name, one in found[run].items()]
    echo_records(records, COLUMNS, as_json=settings.as_json)
