"""What was done and by whom, and whether content is what it was: `conditions audit`, `tag history|digest|verify`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import click

from conditions.cli.changes import change_words
from conditions.cli.options import Settings, Verb, limit_option
from conditions.cli.output import echo_record, echo_records
from conditions.cli.records import audit_record, verification_record
from conditions.tags import AuditEntry

DAMAGED = 1
COLUMNS = ("at", "who", "action", "subject", "change")


def as_moment(text: str) -> datetime:
    """A moment from ISO 8601, in UTC where no zone was written; anything else is wrong usage."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no moment: write it as 2026-11-22, or 2026-11-22T14:30 with a zone such as +01:00"
        ) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@click.command(cls=Verb, example="conditions audit --subject 'user_demo_*' --action state")
@click.option("--subject", metavar="GLOB", help="Only of tags and payloads named like this then, with * and ?.")
@click.option("--who", metavar="GLOB", help="Only what users named like this did.")
@click.option("--action", help="Only this kind of change, such as 'add iovs'.")
@click.option("--since", type=as_moment, metavar="TIME", help="Only from this moment on; UTC by default.")
@click.option("--until", type=as_moment, metavar="TIME", help="Only before this moment.")
@limit_option
@click.pass_obj
def audit(
    settings: Settings,
    subject: str | None,
    who: str | None,
    action: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
) -> None:
    """Show who changed what and when, of all tags and payloads, oldest first; --json has all of each change."""
    with settings.open() as store:
        entries = store.audit(subject=subject, who=who, action=action, since=since, until=until, limit=limit)
    _echo(entries, as_json=settings.as_json)


@click.command(cls=Verb, example="conditions tag history user_demo_first")
@click.argument("name")
@click.option("--action", help="Only this kind of change, such as 'add iovs'.")
@click.option("--who", help="Only what this user did.")
@click.option("--since", type=as_moment, metavar="TIME", help="Only from this moment on; UTC by default.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the last so many.")
@click.pass_obj
def history(
    settings: Settings, name: str, action: str | None, who: str | None, since: datetime | None, limit: int | None
) -> None:
    """Show who changed what in a tag and when, oldest first; --json has all of each change."""
    with settings.open() as store:
        entries = store.tag_history(name)
    chosen = [
        entry
        for entry in entries
        if action in (None, entry.action) and who in (None, entry.who) and (since is None or entry.at >= since)
    ]
    _echo(chosen[-limit:] if limit else chosen, as_json=settings.as_json)


def _echo(entries: Iterable[AuditEntry], *, as_json: bool) -> None:
    """A line a change in words, or JSON with all that was before and after."""
    if as_json:
        echo_records(map(audit_record, entries), COLUMNS, as_json=True)
        return
    echo_records(
        (dict(audit_record(entry)) | {"change": change_words(entry)} for entry in entries), COLUMNS, as_json=False
    )


@click.command(cls=Verb, example="conditions tag digest user_demo_first")
@click.argument("name")
@click.option("--revision", type=click.IntRange(min=0), help="That of an earlier content revision.")
@click.pass_obj
def digest(settings: Settings, name: str, revision: int | None) -> None:
    """Print the digest of what a tag gives out.

    Two tags have the same digest exactly when every run gets the same bytes from both. Revision numbers, which every
    store gives by itself, are not in it.
    """
    with settings.open() as store:
        found = store.tag_digest(name, revision=revision)
    if settings.as_json:
        echo_record({"name": name, "content_revision": revision, "digest": found}, as_json=True)
    else:
        click.echo(found)


@click.command(cls=Verb, example="conditions tag verify user_demo_first")
@click.argument("name")
@click.pass_obj
def verify(settings: Settings, name: str) -> None:
    """Read all of a tag again, every payload's bytes too; exit code 1 when something is not as it was.

    What is published must still have the digest it was published with.
    """
    with settings.open() as store:
        found = store.verify_tag(name)
    echo_record(verification_record(found), as_json=settings.as_json)
    if not found.ok:
        sys.exit(DAMAGED)
