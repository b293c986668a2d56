"""`conditions tag merge`, `running-update`, `diff`, `check`: managers' work on whole tags."""

from __future__ import annotations

import sys
from functools import partial

import click

from conditions.cli.confirm import confirm_name, confirm_option
from conditions.cli.options import NameFilter, Settings, Verb, as_interval, as_run, name_filter
from conditions.cli.output import Record, echo_record, in_shell
from conditions.cli.plans import base_revision_option, dry_run_option, echo_lines, echo_plan
from conditions.cli.progress import progress
from conditions.diff import Difference, TagDiff
from conditions.errors import BadInputError
from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.plans.check import TagCheck
from conditions.plans.running import RunningMode
from conditions.wire_plans import check_json

FOUND_SOMETHING = 1


@click.command(
    cls=Verb, example="conditions tag merge user_demo_first user_demo_second --into user_demo_second --dry-run"
)
@click.argument("sources", nargs=-1, required=True, metavar="TAG...")
@click.option("--into", "-o", "target", required=True, metavar="TAG", help="The OPEN tag to fill.")
@click.option("--within", type=as_interval, metavar="IOV", help="Take from other tags for these runs only.")
@base_revision_option
@dry_run_option
@click.pass_obj
def merge(
    settings: Settings,
    sources: tuple[str, ...],
    target: str,
    within: IntervalOfValidity | None,
    expected_revision: int | None,
    dry_run: bool,
) -> None:
    """Fill an OPEN tag from several tags, the first of which counts most.

    What a later TAG has is taken only for runs that no earlier one fills for that payload name; its IoVs are cut or
    split. Overlaps inside a TAG are settled as for jobs: the highest revision wins. The payload files stay as they are.

    The tag to fill is empty, or one of the TAGs itself: its own IoVs then count in its place and are cut like those of
    others, so name it first to fill only its gaps, or last to prefer the others. With --within it stays as it is for
    all other runs.
    """
    with settings.open() as store:
        plan = store.merge_tags(target, sources, within=within, dry_run=dry_run, expected_revision=expected_revision)
    echo_plan(plan, dry_run=dry_run, as_json=settings.as_json)


@click.command(
    "running-update",
    cls=Verb,
    example="conditions tag running-update user_demo_online user_demo_staging --run 7,120 --dry-run",
)
@click.argument("running")
@click.argument("staging")
@click.option("--run", "first_run", type=as_run, required=True, metavar="EXP,RUN", help="First run that changes.")
@click.option("--allow-closed", is_flag=True, help="Let the last IoV of a payload in STAGING have an end.")
@click.option(
    "--full-replacement", is_flag=True, help="Close what STAGING does not have; its last IoVs may have ends, too."
)
@click.option("--fix-closed", is_flag=True, help="Open the last IoV of each payload where STAGING has an end.")
@click.option("--simple", is_flag=True, help="Refuse IoVs in STAGING other than 0,0,-1,-1.")
@base_revision_option
@dry_run_option
@confirm_option
@click.pass_obj
def running_update(
    settings: Settings,
    running: str,
    staging: str,
    first_run: Run,
    expected_revision: int | None,
    dry_run: bool,
    confirm: str | None,
    allow_closed: bool,
    full_replacement: bool,
    fix_closed: bool,
    simple: bool,
) -> None:
    """Let a RUNNING tag go on with what a VALIDATED staging tag holds; asks for the tag's name again.

    Every IoV of RUNNING must begin before the first run, and every closed one end before it: what jobs got for earlier
    runs never changes. For each of its payloads STAGING says, without gap or overlap, what is valid from then on; an
    IoV that begins at 0,0 begins with the first run, all others there or later, and the last one has no end.

    The open IoV of RUNNING is closed just before the first one of STAGING begins, and those of STAGING are added; one
    of the same revision is extended or cut instead. It cannot be taken back: the plan is shown before the name is
    asked for, and nothing is done when somebody else changed RUNNING meanwhile.
    """
    try:
        mode = RunningMode(allow_closed, full_replacement, fix_closed, simple)
    except BadInputError as error:
        raise click.UsageError(in_shell(error)) from error
    shown = False
    with settings.open() as store:
        update = partial(store.running_update, running, staging, first_run, mode=mode)
        plan = update(dry_run=True, expected_revision=expected_revision)
        if not (dry_run or plan.is_empty):
            if confirm is None and not settings.as_json:
                echo_lines(plan)
                shown = True
            confirm_name(running, f"updated from {first_run} on", confirm)
            plan = update(expected_revision=plan.base_revision)
    echo_plan(plan, dry_run=dry_run, as_json=settings.as_json, shown=shown)


@click.command(cls=Verb, example="conditions tag diff user_demo_first user_demo_second --format md")
@click.argument("left")
@click.argument("right")
@name_filter
@click.option("--within", type=as_interval, metavar="IOV", help="Only these runs.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "md", "json"]),
    default="text",
    show_default=True,
    help="Text like diff's, a Markdown table, or JSON.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 when the tags differ.")
@click.pass_obj
def diff(
    settings: Settings,
    left: str,
    right: str,
    wanted: NameFilter,
    within: IntervalOfValidity | None,
    form: str,
    exit_code: bool,
) -> None:
    """Show for which runs two tags give out other payloads, by checksum.

    Revisions, numbers and how runs are cut into IoVs do not matter, only the bytes that a job would get for each run.
    There is no difference exactly when `conditions tag digest` says the same of both.
    """
    with settings.open() as store:
        found = store.diff_tags(left, right, pattern=wanted.glob, within=within).only(wanted.matches)
    if settings.as_json or form == "json":
        echo_record(diff_record(found), as_json=True)
    elif form == "md":
        click.echo("\n".join(found.markdown()))
    else:
        if not found.is_empty:
            click.echo("\n".join(found.lines()))
        click.echo(found.summary(), err=True)
    if exit_code and not found.is_empty:
        sys.exit(FOUND_SOMETHING)


@click.command(cls=Verb, example="conditions tag check user_demo_first --allow-overlaps")
@click.argument("name")
@click.option("--no-bytes", is_flag=True, help="Do not read the payloads' files.")
@click.option("--allow-overlaps", is_flag=True, help="Show overlaps, and end with 0 all the same.")
@click.option("--allow-gaps", is_flag=True, help="Show gaps, and end with 0 all the same.")
@click.pass_obj
def check(settings: Settings, name: str, no_bytes: bool, allow_overlaps: bool, allow_gaps: bool) -> None:
    """Look for gaps and overlaps of a tag, and for payloads whose bytes are gone or damaged.

    A gap lies between two IoVs of a payload; what comes before its first or after its last one is none. In an overlap
    the highest revision wins; one of a revision with itself is a duplicate. Exit code 1 when anything was found; where
    gaps or overlaps are meant, --allow-gaps and --allow-overlaps say so.
    """
    with settings.open() as store, progress(f"reading payloads of {name}") as advance:
        found = store.check_tag(name, verify=not no_bytes, on_progress=advance)
    if settings.as_json:
        echo_record(check_json(found), as_json=True)
    else:
        for kind, findings in (("gap", found.gaps), ("overlap", found.overlaps), ("fault", found.faults)):
            for finding in findings:
                click.echo(f"{kind:<8} {finding}")
        click.echo(_check_summary(found), err=True)
    if found.faults or (found.gaps and not allow_gaps) or (found.overlaps and not allow_overlaps):
        sys.exit(FOUND_SOMETHING)


def diff_record(diff: TagDiff) -> Record:
    """How two tags differ."""
    return {
        "left": diff.left,
        "right": diff.right,
        "summary": diff.summary(),
        "same_names": list(diff.same_names),
        "differences": [_difference_record(each) for each in diff.differences],
    }


def _difference_record(difference: Difference) -> Record:
    return {
        "name": difference.name,
        "iov": str(difference.iov),
        "change": difference.word,
        "left": _payload_record(difference.left),
        "right": _payload_record(difference.right),
    }


def _payload_record(payload: Payload | None) -> Record | None:
    return None if payload is None else {"name": payload.name, "revision": payload.revision, "sha256": payload.sha256}


def _check_summary(found: TagCheck) -> str:
    """What was looked at, and how much was found."""
    counts = f"gaps: {len(found.gaps)}, overlaps: {len(found.overlaps)}, payload faults: {len(found.faults)}"
    read = f"{found.payload_count} payloads read" if found.payload_count else "no payload read"
    return f"{found.tag}: {found.iov_count} IoVs, {read}; {counts}"
