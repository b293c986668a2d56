"""`conditions iov`: say for which runs a tag gives out which payload."""

from __future__ import annotations

import click

from conditions.cli.iov_plans import copy, delete, modify
from conditions.cli.options import NameFilter, Noun, Settings, as_interval, as_last, as_run, limit_option, name_filter
from conditions.cli.output import echo_record, echo_records
from conditions.cli.records import iov_record
from conditions.iov import IntervalOfValidity, Last, Run

COLUMNS = ("id", "name", "revision", "iov", "sha256")


@click.group(cls=Noun, example="conditions iov list user_demo_first")
def iov() -> None:
    """Say for which runs a tag gives out which payload.

    An interval is FIRST_EXP,FIRST_RUN,LAST_EXP,LAST_RUN with both ends inside. A last run of -1 means all further runs
    of that experiment, -1,-1 for ever; 'always' is 0,0,-1,-1.
    """


@iov.command(example="conditions iov add user_demo_first demo_gain.txt 0,0,-1,-1")
@click.argument("tag")
@click.argument("name")
@click.argument("interval", type=as_interval, metavar="IOV")
@click.option("--revision", type=click.IntRange(min=1), help="Which revision; the latest when not given.")
@click.pass_obj
def add(settings: Settings, tag: str, name: str, interval: IntervalOfValidity, revision: int | None) -> None:
    """Make a payload valid for an interval of runs in a tag."""
    with settings.open() as store:
        added = store.add_iov(tag, name, revision, interval)
    echo_record(iov_record(added), as_json=settings.as_json)


@iov.command("list", example="conditions iov list user_demo_first --run 7,120")
@click.argument("tag")
@name_filter
@click.option("--run", type=as_run, metavar="EXP,RUN", help="Only what covers this run.")
@click.option("--within", type=as_interval, metavar="IOV", help="Only what touches this interval of runs.")
@limit_option
@click.pass_obj
def list_iovs(
    settings: Settings,
    tag: str,
    wanted: NameFilter,
    run: Run | None,
    within: IntervalOfValidity | None,
    limit: int | None,
) -> None:
    """List the IoVs of a tag, in order of payload name and first run."""
    with settings.open() as store:
        found = store.list_iovs(tag, run=run, within=within, pattern=wanted.glob, regex=wanted.words, limit=limit)
    echo_records(map(iov_record, found), COLUMNS, as_json=settings.as_json)


@iov.command(example="conditions iov close user_demo_first 1 --last 7,-1")
@click.argument("tag")
@click.argument("iov_id", type=int, metavar="ID")
@click.option(
    "--last",
    type=as_last,
    metavar="EXP,RUN",
    required=True,
    help="The last run inside; EXP,-1 for the end of an experiment.",
)
@click.pass_obj
def close(settings: Settings, tag: str, iov_id: int, last: Last) -> None:
    """Give an IoV an earlier end. `conditions iov list` shows the numbers."""
    with settings.open() as store:
        closed = store.close_iov(tag, iov_id, last)
    echo_record(iov_record(closed), as_json=settings.as_json)


for verb in (copy, modify, delete):
    iov.add_command(verb)
