"""What the commands for managers share: which rows are meant, and how a plan is shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from conditions.cli.options import as_interval
from conditions.cli.output import Record, echo_record
from conditions.cli.records import iov_record
from conditions.errors import BadInputError
from conditions.plans.edit import IovFilter
from conditions.plans.plan import Plan

dry_run_option = click.option("--dry-run", is_flag=True, help="Only show what would change.")
base_revision_option = click.option(
    "--base-revision",
    "expected_revision",
    type=click.IntRange(min=0),
    metavar="N",
    help="Refuse when the tag's content revision is another one, for example than at an earlier --dry-run.",
)


def iov_filter(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose rows to a command, which gets them as one `IovFilter` called `chosen`."""

    @wraps(command)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        parts = {name: kwargs.pop(name) for name in ("glob", "regex", "within", "contained", "cut", "revision")}
        numbers = kwargs.pop("numbers")
        if parts["glob"] is not None and parts["regex"] is not None:
            raise click.UsageError("--name and --regex exclude each other")
        if (parts["contained"] or parts["cut"]) and parts["within"] is None:
            raise click.UsageError("--contained and --cut say how to take a range of runs: give --within IOV, too")
        if parts["contained"] and parts["cut"]:
            raise click.UsageError("--contained takes whole IoVs and --cut takes parts: give one of them")
        try:
            chosen = IovFilter(**parts, ids=frozenset(numbers) if numbers else None)
        except BadInputError as error:
            raise click.UsageError(str(error)) from error
        return command(*args, chosen=chosen, **kwargs)

    options = (
        click.option("--name", "glob", metavar="GLOB", help="Only payload names like this, with * and ?."),
        click.option("--regex", metavar="REGEX", help="Only payload names that this matches as a whole."),
        click.option("--within", type=as_interval, metavar="IOV", help="Only what touches this interval of runs."),
        click.option("--contained", is_flag=True, help="With --within: only what lies inside as a whole."),
        click.option(
            "--cut", is_flag=True, help="With --within: of each IoV only the runs inside; it is cut or split."
        ),
        click.option("--revision", type=click.IntRange(min=1), metavar="N", help="Only this revision of a payload."),
        click.option(
            "--id", "numbers", type=int, multiple=True, metavar="ID", help="Only the IoV of this number; repeatable."
        ),
    )
    for option in reversed(options):
        filtered = option(filtered)
    return filtered


def choice_words(chosen: IovFilter) -> str:
    """The options that made a filter."""
    words = [
        ("--name", chosen.glob),
        ("--regex", chosen.regex),
        ("--within", chosen.within),
        ("--revision", chosen.revision),
        *(("--id", number) for number in sorted(chosen.ids or ())),
    ]
    said = [f"{option} {value}" for option, value in words if value is not None]
    said += [f"--{flag}" for flag in ("contained", "cut") if getattr(chosen, flag)]
    return " ".join(said)


def echo_plan(plan: Plan, *, dry_run: bool, as_json: bool, shown: bool = False) -> None:
    """Print a plan, a line a row, unless that was done before; what became of it goes to stderr."""
    if as_json:
        echo_record(plan_record(plan), as_json=True)
        return
    if not shown:
        echo_lines(plan)
    done = "nothing was changed, this is a dry run" if dry_run else "done"
    click.echo(plan.summary() + ("" if plan.is_empty else f" ({done})"), err=True)


def echo_lines(plan: Plan) -> None:
    """Print the rows of a plan."""
    if not plan.is_empty:
        click.echo("\n".join(plan.lines()))


def plan_record(plan: Plan) -> Record:
    """A plan: what is made, changed and taken away. `base_revision` is the content revision that it was made for."""
    return {
        "tag": plan.tag,
        "base_revision": plan.base_revision,
        "summary": plan.summary(),
        "creates": [
            {"name": payload.name, "revision": payload.revision, "iov": str(iov), "sha256": payload.sha256}
            for payload, iov in plan.creates
        ],
        "changes": [dict(iov_record(entry)) | {"new_iov": str(iov)} for entry, iov in plan.changes],
        "deletes": [dict(iov_record(entry)) for entry in plan.deletes],
    }
