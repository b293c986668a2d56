"""`conditions iov copy`, `modify`, `delete`: changes of many IoVs of an OPEN tag."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from conditions.cli.options import Settings, Verb, as_interval, as_last, as_run
from conditions.cli.plans import base_revision_option, choice_words, dry_run_option, echo_plan, iov_filter
from conditions.errors import BadInputError, NoIovMatches
from conditions.iov import OPEN, IntervalOfValidity, Last, Run
from conditions.plans.edit import IovEdit, IovFilter
from conditions.plans.plan import Plan
from conditions.tags import near_names

if TYPE_CHECKING:
    from conditions.catalogue import Catalogue

all_option = click.option("--all", "take_all", is_flag=True, help="Every IoV of the tag.")


def as_new_last(text: str) -> Last:
    """A last run, or -1,-1 for ever."""
    return OPEN if text.replace(" ", "") == "-1,-1" else as_last(text)


@click.command(cls=Verb, example="conditions iov copy user_demo_first user_demo_second --name 'demo*' --dry-run")
@click.argument("source")
@click.argument("target")
@iov_filter
@click.option("--to", type=as_interval, metavar="IOV", help="The interval that every copy gets instead of its own.")
@base_revision_option
@dry_run_option
@click.pass_obj
def copy(
    settings: Settings,
    source: str,
    target: str,
    chosen: IovFilter,
    to: IntervalOfValidity | None,
    expected_revision: int | None,
    dry_run: bool,
) -> None:
    """Copy IoVs of a tag, all or those that the options choose, into an OPEN one.

    IoVs that TARGET has already stay, overlaps with them included; `conditions tag merge` fills gaps only. Exit code 3
    when options choose nothing.
    """
    with settings.open() as store:
        plan = store.copy_iovs(source, target, chosen, to=to, dry_run=dry_run, expected_revision=expected_revision)
        _check_matched(store, source, chosen, plan)
    echo_plan(plan, dry_run=dry_run, as_json=settings.as_json)


@click.command(cls=Verb, example="conditions iov modify user_demo_second --name 'demo*' --last 7,-1 --dry-run")
@click.argument("tag")
@iov_filter
@all_option
@click.option("--iov", type=as_interval, metavar="IOV", help="The new interval.")
@click.option("--first", type=as_run, metavar="EXP,RUN", help="The new first run; the end stays.")
@click.option("--last", type=as_new_last, metavar="EXP,RUN", help="The new last run; EXP,-1 or -1,-1 for open ends.")
@click.option("--to-revision", type=click.IntRange(min=1), metavar="N", help="The new revision of the payloads.")
@base_revision_option
@dry_run_option
@click.pass_obj
def modify(
    settings: Settings,
    tag: str,
    chosen: IovFilter,
    take_all: bool,
    iov: IntervalOfValidity | None,
    first: Run | None,
    last: Last | None,
    to_revision: int | None,
    expected_revision: int | None,
    dry_run: bool,
) -> None:
    """Give IoVs of an OPEN tag other runs, or another revision of their payload.

    The options say which IoVs; --all takes every one. With --within and --cut, only the runs inside get another
    revision. IoVs of one payload that become the same are one afterwards. Exit code 3 when the options choose nothing.
    """
    _check_choice(chosen, take_all=take_all)
    try:
        edit = IovEdit(iov, first, last, to_revision)
    except BadInputError as error:
        raise click.UsageError(str(error)) from error
    with settings.open() as store:
        plan = store.modify_iovs(tag, chosen, edit, dry_run=dry_run, expected_revision=expected_revision)
        _check_matched(store, tag, chosen, plan)
    echo_plan(plan, dry_run=dry_run, as_json=settings.as_json)


@click.command(
    cls=Verb, example="conditions iov delete user_demo_second --name 'demo*' --within 5,0,5,-1 --cut --dry-run"
)
@click.argument("tag")
@click.argument("more_numbers", nargs=-1, type=int, metavar="[ID]...")
@iov_filter
@all_option
@base_revision_option
@dry_run_option
@click.pass_obj
def delete(
    settings: Settings,
    tag: str,
    more_numbers: tuple[int, ...],
    chosen: IovFilter,
    take_all: bool,
    expected_revision: int | None,
    dry_run: bool,
) -> None:
    """Take IoVs out of an OPEN tag, by number or by what the options choose. The payloads stay in the store.

    With --within and --cut, only the runs inside are taken out: IoVs that reach further are cut or split. Exit code 3
    when the options choose nothing.
    """
    if more_numbers:
        parts = {name: getattr(chosen, name) for name in ("glob", "regex", "within", "contained", "cut", "revision")}
        chosen = IovFilter(**parts, ids=frozenset(more_numbers) | (chosen.ids or frozenset()))
    _check_choice(chosen, take_all=take_all)
    with settings.open() as store:
        plan = store.delete_iovs(tag, chosen, dry_run=dry_run, expected_revision=expected_revision)
        _check_matched(store, tag, chosen, plan)
    echo_plan(plan, dry_run=dry_run, as_json=settings.as_json)


def _check_matched(store: Catalogue, tag: str, chosen: IovFilter, plan: Plan) -> None:
    """Refuse a choice that nothing fits; where something does, a plan without steps has been done before."""
    if chosen.takes_all or not plan.is_empty:
        return
    rows = store.list_iovs(tag)
    if not chosen.choose(tag, rows):
        like = re.sub(r"[*?.]+", "", chosen.glob or chosen.regex or "")
        raise NoIovMatches(tag, choice_words(chosen), near_names(like, {row.payload.name for row in rows}))


def _check_choice(chosen: IovFilter, *, take_all: bool) -> None:
    """Every IoV of a tag is meant only where that was said."""
    if chosen.takes_all != take_all:
        both = "--all takes every IoV, so nothing else can choose"
        raise click.UsageError(both if take_all else "say which IoVs: by name, run range, revision or number, or --all")
