"""`conditions resolve`: which payloads a run gets, with a record of it that can be replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

import conditions
from conditions.cli.options import Settings, Verb, as_run
from conditions.cli.output import Record, echo_records
from conditions.cli.records import resolved_record
from conditions.client import Client
from conditions.client.client import ClientConfig
from conditions.client.record import JobRecord
from conditions.client.stack import STACK_VARIABLES, stack_in_force
from conditions.errors import BadRecord, NoPayloadForRun, ReplayDiffers, StoreError
from conditions.iov import Run
from conditions.resolve import Resolved, require
from conditions.tags import near_names

COLUMNS = ("run", "name", "revision", "tag", "iov", "sha256", "md5")
MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S%z"]


@click.command(cls=Verb, example="conditions resolve --tag user_demo_first --run 7,120 --allow-open demo_gain.txt")
@click.argument("names", nargs=-1)
@click.option(
    "--tag", "tags", multiple=True, help=f"A tag of the stack, or NAME@REVISION; first wins; else {STACK_VARIABLES[0]}."
)
@click.option(
    "--run", "runs", type=as_run, metavar="EXP,RUN", multiple=True, help="For this run; may be given many times."
)
@click.option("--allow-open", is_flag=True, help="Use OPEN tags too, which may still change.")
@click.option("--as-of", type=click.DateTime(MOMENTS), metavar="TIME", help="As the tags were then; UTC by default.")
@click.option(
    "--record", type=click.Path(path_type=Path, dir_okay=False), help="Write what is answered into this file."
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Check that the job of this record gets the same again.",
)
@click.pass_obj
def resolve(
    settings: Settings,
    names: tuple[str, ...],
    tags: tuple[str, ...],
    runs: tuple[Run, ...],
    allow_open: bool,
    as_of: datetime | None,
    record: Path | None,
    replay: Path | None,
) -> None:
    """Show which payloads a run gets from a stack of tags.

    All payloads, or those that are named. The first tag that has the payload for the run wins, and in it the highest
    revision. A named payload that no tag has for one of the runs is an error (exit code 3). Without --tag the stack
    comes from CONDITIONS_TAGS or BELLE2_CONDB_GLOBALTAG. The answer comes from where a job has it from: --store, which
    may name several places with spaces between them, else CONDITIONS_METADATA, else CONDITIONS_URL.

    --replay FILE shows what is in a record (of --record, or of a job), reads every payload's file again, and asks
    whether the tags still say the same; if not, that is an error (exit code 1). Where nobody can be asked about the
    tags, that is said, and the exit code is 0: all recorded files are there with the recorded digests. A record without
    any answer is an error (exit code 2), and of a job that failed it is said.
    """
    if replay is not None:
        if names or tags or runs or record or as_of:
            raise click.UsageError("--replay says all that was asked: give no names, --tag, --run, --record or --as-of")
        echo_records(_replayed(settings, JobRecord.read(replay)), COLUMNS, as_json=settings.as_json)
        return
    stack = tags or stack_in_force()
    if not stack:
        raise click.UsageError(f"no tag to look in: give --tag or set {' or '.join(STACK_VARIABLES)}")
    if not runs:
        raise click.UsageError("no run to look for: give --run EXP,RUN")
    if as_of is not None and record is not None:
        raise click.UsageError("--record keeps content revisions: give --tag NAME@REVISION instead of --as-of")
    if as_of is not None:
        with settings.open() as store:
            found = store.resolve_many(stack, runs, names or None, allow_open=allow_open, as_of=_aware(as_of))
            _require(found, runs, names, stack)
    else:
        try:
            with _client(settings, stack, record, allow_open=allow_open) as client:
                found = client.resolve_many(runs, names or None)
                _require(found, runs, names, stack)  # here, so that the record says it
        except NoPayloadForRun as error:
            with _client(settings, stack, None, allow_open=allow_open) as client:
                there = {name for of_run in client.resolve_many(runs).values() for name in of_run}
            raise NoPayloadForRun(
                error.names, error.run, stack, near_names(error.name, there - {error.name})
            ) from error
    records = [resolved_record(run, name, one) for run in runs for name, one in found[run].items()]
    echo_records(records, COLUMNS, as_json=settings.as_json)


def _client(settings: Settings, stack: tuple[str, ...], record: Path | None, *, allow_open: bool) -> Client:
    """The client a job would have, unless a payload folder was named for a store."""
    if settings.files is not None:
        return Client(settings.open(), stack, allow_open=allow_open, config=ClientConfig(record_to=record))
    return conditions.open(settings.store, stack, settings.user, allow_open=allow_open, record=record or False)


def _replayed(settings: Settings, record: JobRecord) -> list[Record]:
    """What the record says, once every file was read and the tags were asked again."""
    if not record.lookups:
        raise BadRecord(record.origin, "nothing was asked, so that nothing can be replayed")
    if record.failure is not None:
        click.echo(f"the recorded job failed after what is shown here: {record.failure}", err=True)
    with conditions.open(settings.store, user=settings.user, replay=record) as client:
        for payload in {won.payload: None for found in record.lookups.values() for won in found}:
            client.path(payload)
        try:
            said = client.differences()
        except StoreError as error:
            click.echo(f"what the tags say now is not known: {error}", err=True)
        else:
            if said:
                raise ReplayDiffers(", ".join(client.providers), said)
    return [
        resolved_record(lookup.run, won.payload.name, won) for lookup, found in record.lookups.items() for won in found
    ]


def _require(
    found: Mapping[Run, Mapping[str, Resolved]], runs: Sequence[Run], names: Sequence[str], stack: Sequence[str]
) -> None:
    """Every named payload for each run."""
    for run in runs:
        require(found[run], names, run, stack)


def _aware(moment: datetime) -> datetime:
    """A moment with its offset; UTC where none was written."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
