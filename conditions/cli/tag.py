"""`conditions tag`: make tags, describe them, walk them through their states, and do managers' work on them."""

from __future__ import annotations

import click

from conditions.cli.confirm import confirm_name, confirm_option
from conditions.cli.history import digest, history, verify
from conditions.cli.options import NameFilter, Noun, Settings, limit_option, name_filter
from conditions.cli.output import echo_record, echo_records
from conditions.cli.records import tag_record
from conditions.cli.tag_plans import check, diff, merge, running_update
from conditions.tags import TAG_TYPES, TagState

STATES = click.Choice([state.value for state in TagState], case_sensitive=False)
TYPES = click.Choice(TAG_TYPES)
FINAL = (TagState.PUBLISHED, TagState.INVALID)  # there is no way back from these, so the name is asked for again
COLUMNS = ("name", "state", "type", "payloads", "modified_at", "modified_by", "description")


@click.group(cls=Noun, example="conditions tag list")
def tag() -> None:
    """Make tags, describe them, and walk them through their states.

    OPEN -> TESTING -> VALIDATED -> PUBLISHED -> INVALID; TESTING and VALIDATED may go back to OPEN. A tag that grows
    while it is used goes OPEN -> RUNNING -> PUBLISHED. Only an OPEN tag may change freely.
    """


@tag.command(example='conditions tag create user_demo_first --description "My first tag"')
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@click.option("--type", "tag_type", type=TYPES, default="DEV", show_default=True)
@click.pass_obj
def create(settings: Settings, name: str, description: str, tag_type: str) -> None:
    """Make an empty OPEN tag."""
    with settings.open() as store:
        made = store.create_tag(name, description=description, type=tag_type)
    echo_record(tag_record(made), as_json=settings.as_json)


@tag.command("list", example="conditions tag list --name 'user_*' --state OPEN")
@name_filter
@click.option("--state", type=STATES, help="Only tags in this state.")
@click.option("--all", "include_invalid", is_flag=True, help="Show INVALID tags too.")
@limit_option
@click.pass_obj
def list_tags(
    settings: Settings, wanted: NameFilter, state: str | None, include_invalid: bool, limit: int | None
) -> None:
    """List tags; INVALID ones only with --all or --state INVALID."""
    in_state = None if state is None else TagState(state)
    with settings.open() as store:
        found = store.list_tags(
            pattern=wanted.glob,
            regex=wanted.words,
            state=in_state,
            include_invalid=include_invalid or in_state is TagState.INVALID,
            limit=limit,
        )
    echo_records(map(tag_record, found), COLUMNS, as_json=settings.as_json)


@tag.command(example="conditions tag show user_demo_first")
@click.argument("name")
@click.pass_obj
def show(settings: Settings, name: str) -> None:
    """Show one tag."""
    with settings.open() as store:
        echo_record(tag_record(store.get_tag(name)), as_json=settings.as_json)


@tag.command(example='conditions tag modify user_demo_first --description "Weights of the first training"')
@click.argument("name")
@click.option("--rename", "new_name", help="The new name.")
@click.option("--description", help="The new description.")
@click.option("--type", "tag_type", type=TYPES, help="The new type, which is a label only.")
@click.pass_obj
def modify(settings: Settings, name: str, new_name: str | None, description: str | None, tag_type: str | None) -> None:
    """Rename, describe or relabel an OPEN tag."""
    if new_name is None and description is None and tag_type is None:
        raise click.UsageError("nothing to change: give --rename, --description or --type")
    with settings.open() as store:
        changed = store.modify_tag(name, new_name=new_name, description=description, type=tag_type)
    echo_record(tag_record(changed), as_json=settings.as_json)


@tag.command(example="conditions tag clone user_demo_first user_demo_second")
@click.argument("name")
@click.argument("new_name")
@click.option("--description", help="What it is for; that of the other one when not given.")
@click.pass_obj
def clone(settings: Settings, name: str, new_name: str, description: str | None) -> None:
    """Make an OPEN tag with the contents of another one."""
    with settings.open() as store:
        made = store.clone_tag(name, new_name)
        if description is not None:
            made = store.modify_tag(new_name, description=description)
    echo_record(tag_record(made), as_json=settings.as_json)


@tag.command("state", example="conditions tag state user_demo_second TESTING")
@click.argument("name")
@click.argument("state", type=STATES)
@confirm_option
@click.pass_obj
def set_state(settings: Settings, name: str, state: str, confirm: str | None) -> None:
    """Take one step to another state; PUBLISHED and INVALID ask for the tag's name again."""
    wanted = TagState(state)
    with settings.open() as store:
        if wanted in FINAL:
            store.get_tag(name)
            confirm_name(name, f"set to {wanted.value}", confirm)
        changed = store.set_state(name, wanted)
    echo_record(tag_record(changed), as_json=settings.as_json)


@tag.command(example="conditions tag publish user_demo_first --confirm user_demo_first")
@click.argument("name")
@confirm_option
@click.pass_obj
def publish(settings: Settings, name: str, confirm: str | None) -> None:
    """Walk a tag to PUBLISHED, after which it never changes; asks for the tag's name again.

    Takes every step that is left, OPEN -> TESTING -> VALIDATED -> PUBLISHED or RUNNING -> PUBLISHED: all of them or
    none, each with its own line in the history.
    """
    with settings.open() as store:
        store.get_tag(name)
        confirm_name(name, "published", confirm)
        changed = store.publish_tag(name)
    echo_record(tag_record(changed), as_json=settings.as_json)


for verb in (merge, running_update, diff, check, history, digest, verify):
    tag.add_command(verb)
