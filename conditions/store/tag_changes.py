"""Changes of tags. Each locks the tag's row first, asks the rules of `conditions.tags`, then writes and records."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Label, cast, func, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from conditions.errors import TagExists
from conditions.payload import check_text
from conditions.store.audit import Change, Subject, record
from conditions.store.contents import content_digest
from conditions.store.queries import LockedTag, get_tag, lock_tag
from conditions.store.tables import IovRow, TagRow
from conditions.tags import Tag, TagState, check_edit, check_tag_name, check_tag_type, check_transition, steps_to


def create_tag(change: Change, name: str, description: str, type_: str) -> Tag:
    """A new, empty, OPEN tag.

    Raises:
        TagExists: the name is taken.
    """
    values = {"name": name, "state": TagState.OPEN.value, "type": type_, "description": description}
    subject = _insert_tag(change, values)
    record(change, "create", subject, None, values)
    return get_tag(change.connection, name)


def modify_tag(
    change: Change, name: str, new_name: str | None, description: str | None, type_: str | None = None
) -> Tag:
    """Rename, describe or relabel an OPEN tag.

    Raises:
        ChangeRefused: the tag is not OPEN.
        TagExists: the new name is taken.
    """
    tag = lock_tag(change.connection, name)
    check_edit(tag.name, tag.state, "modify")
    before = {"name": tag.name, "description": tag.description, "type": tag.type}
    after = {
        "name": tag.name if new_name is None else check_tag_name(new_name),
        "description": tag.description if description is None else check_text("description", description),
        "type": tag.type if type_ is None else check_tag_type(type_),
    }
    if after != before:
        try:
            with change.connection.begin_nested():
                touch(change, tag, after)
        except IntegrityError as error:
            raise TagExists(after["name"]) from error
        changed = {key for key in after if after[key] != before[key]}
        record(change, "modify", subject_of(tag), *({key: side[key] for key in changed} for side in (before, after)))
    return get_tag(change.connection, after["name"])


def clone_tag(change: Change, name: str, new_name: str) -> Tag:
    """A new OPEN tag with the same content. Any tag may be cloned, also an INVALID one.

    Raises:
        TagExists: the new name is taken.
    """
    connection = change.connection
    source = lock_tag(connection, name)
    values = {
        "name": check_tag_name(new_name),
        "state": TagState.OPEN.value,
        "type": source.type,
        "description": source.description,
    }
    subject = _insert_tag(change, values)
    content = select(IovRow.payload_id, IovRow.first_key, IovRow.final_key, IovRow.fork)
    is_sqlite = connection.dialect.name == "sqlite"
    stamps = (change.at, change.at, change.who, 1)
    columns = ["tag_id", "payload_id", "first_key", "final_key", "fork"]
    columns += ["created_at", "modified_at", "modified_by", "added_in"]
    constants = (_constant(*each, is_sqlite=is_sqlite) for each in zip(columns[5:], stamps, strict=True))
    copied = content.add_columns(*constants)
    copied = copied.with_only_columns(_constant("tag_id", subject.id, is_sqlite=is_sqlite), *copied.selected_columns)
    connection.execute(
        insert(IovRow).from_select(columns, copied.where(IovRow.tag_id == source.id).order_by(IovRow.id))
    )
    count = connection.execute(select(func.count()).where(IovRow.tag_id == subject.id)).scalar_one()
    if count:
        connection.execute(update(TagRow).where(TagRow.id == subject.id).values(content_revision=1))
    revision = select(TagRow.content_revision).where(TagRow.id == source.id)
    origin = {"of": source.name, "of_content_revision": connection.execute(revision).scalar_one(), "iovs": count}
    record(change, "clone", subject, None, origin | values)
    return get_tag(connection, new_name)


def set_state(change: Change, name: str, state: TagState) -> Tag:
    """Move a tag to another state.

    Raises:
        TransitionRefused: that state cannot follow the present one.
    """
    tag = lock_tag(change.connection, name)
    check_transition(tag.name, tag.state, state)
    before, after = {"state": tag.state.value}, {"state": state.value}
    kept: dict[str, Any] = {}
    if state is TagState.PUBLISHED:
        kept["published_digest"] = after["digest"] = content_digest(change.connection, tag.id)
    touch(change, tag, {"state": state.value, **kept})
    record(change, "state", subject_of(tag), before, after)
    return get_tag(change.connection, name)


def publish_tag(change: Change, name: str) -> Tag:
    """Walk a tag to PUBLISHED, each step with its own line in the trail.

    Raises:
        TransitionRefused: it is PUBLISHED or INVALID already.
    """
    steps = steps_to(lock_tag(change.connection, name).state, TagState.PUBLISHED)
    for step in steps or (TagState.PUBLISHED,):
        tag = set_state(change, name, step)
    return tag


def ensure_tag(change: Change, name: str, description: str, type_: str) -> None:
    """Make a tag unless there is one of that name, also when somebody else makes it at the same moment."""
    try:
        with change.connection.begin_nested():
            create_tag(change, name, description, type_)
    except TagExists:
        return


def touch(change: Change, tag: LockedTag, values: dict[str, Any], *, content: bool = False) -> None:
    """Write a tag's columns and who did it; a change of content makes its revision grow."""
    stamped = values | {"modified_at": change.at, "modified_by": change.who}
    if content:
        stamped["content_revision"] = TagRow.content_revision + 1
    change.connection.execute(update(TagRow).where(TagRow.id == tag.id).values(stamped))


def subject_of(tag: LockedTag) -> Subject:
    """The tag as the audit trail names it."""
    return Subject("tag", tag.id, tag.name)


def check_new_tag(name: str, description: str, type_: str) -> None:
    """Refuse what no tag can have, before any transaction begins."""
    check_tag_name(name)
    check_text("description", description)
    check_tag_type(type_)


def _insert_tag(change: Change, values: dict[str, str]) -> Subject:
    """A row for a new tag; of two that want one name at once, the second finds it taken."""
    insert_into = sqlite.insert if change.connection.dialect.name == "sqlite" else postgresql.insert
    stamps = {"content_revision": 0, "created_at": change.at, "modified_at": change.at, "modified_by": change.who}
    statement = insert_into(TagRow).values(values | stamps).on_conflict_do_nothing(index_elements=["name"])
    number = change.connection.execute(statement.returning(TagRow.id)).scalar_one_or_none()
    if number is None:
        raise TagExists(values["name"])
    return Subject("tag", number, values["name"])


def _constant(column: str, value: object, *, is_sqlite: bool) -> Label[Any]:
    """A value in a SELECT, with the type of the column it goes to. SQLite would make a number of a moment."""
    type_ = IovRow.__table__.c[column].type
    given = literal(value, type_)
    return (given if is_sqlite else cast(given, type_)).label(column)
