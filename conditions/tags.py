"""Tags: their states, what each state allows, and the rules that span rows.

    OPEN ⇄ TESTING → VALIDATED → PUBLISHED → INVALID        VALIDATED → OPEN as well
    OPEN → RUNNING → PUBLISHED or INVALID

The rules take values and raise; the store calls them under the lock of the tag's row, so that what they saw is
still true when the change is written.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from conditions.errors import BadInterval, BadName, ChangeRefused, TagNotUsable, TransitionRefused, UnknownWord
from conditions.iov import OPEN, IntervalOfValidity, Last, key_of

MAX_TAG_NAME: Final = 200
TAG_TYPES: Final = ("DEV", "RELEASE")  # labels only: no rule looks at them
NEAR_NAMES: Final = 3


class TagState(StrEnum):
    """The six states of a tag."""

    OPEN = "OPEN"
    TESTING = "TESTING"
    VALIDATED = "VALIDATED"
    PUBLISHED = "PUBLISHED"
    RUNNING = "RUNNING"
    INVALID = "INVALID"


TRANSITIONS: Final[Mapping[TagState, tuple[TagState, ...]]] = MappingProxyType(
    {
        TagState.OPEN: (TagState.TESTING, TagState.RUNNING),
        TagState.TESTING: (TagState.VALIDATED, TagState.OPEN),
        TagState.VALIDATED: (TagState.PUBLISHED, TagState.OPEN),
        TagState.PUBLISHED: (TagState.INVALID,),
        TagState.RUNNING: (TagState.PUBLISHED, TagState.INVALID),
        TagState.INVALID: (),
    }
)


@dataclass(frozen=True, slots=True)
class Tag:
    """A named set of payloads with intervals. `content_revision` grows with every change of that set."""

    name: str
    state: TagState
    type: str
    description: str
    payload_count: int
    created_at: datetime
    modified_at: datetime
    modified_by: str
    content_revision: int = 0
    id: int = 0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who changed what, when, from what to what."""

    at: datetime
    who: str
    action: str
    subject: str
    before: Mapping[str, Any] | None = field(hash=False)
    after: Mapping[str, Any] | None = field(hash=False)
    id: int = 0
    kind: str = "tag"  # of the subject, or "payload"


@dataclass(frozen=True, slots=True)
class TagVerification:
    """What reading all of a tag again has shown: its digest, the one kept when it was published, and all faults."""

    tag: Tag
    digest: str
    stored_digest: str | None
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every payload can be handed out, and what was published is what is there."""
        return not self.faults and self.stored_digest in (None, self.digest)


def check_tag_name(name: str) -> str:
    """The name itself, when it can name a tag.

    Raises:
        BadName: empty, too long, or other characters than letters, digits and `+ - _ :`.
    """
    if not isinstance(name, str) or not name:
        raise BadName("tag", name, "it is empty")
    if len(name) > MAX_TAG_NAME:
        raise BadName("tag", name[:32] + "…", f"it is longer than {MAX_TAG_NAME} characters")
    if _TAG_NAME.fullmatch(name) is None:
        raise BadName("tag", name, "only the letters A-Z and a-z, digits and + - _ : are allowed")
    return name


def check_tag_type(word: str) -> str:
    """The type itself, when it is one of the labels."""
    if word not in TAG_TYPES:
        raise UnknownWord("tag type", word, TAG_TYPES, near_names(word.upper(), TAG_TYPES))
    return word


def parse_state(word: str) -> TagState:
    """The state of that name, in any case.

    Raises:
        UnknownWord: there is no such state.
    """
    try:
        return TagState(word.upper())
    except ValueError as error:
        states = [state.value for state in TagState]
        raise UnknownWord("state", word, states, near_names(word.upper(), states)) from error


def near_names(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """The few names that look most like one that was not found, whatever their case."""
    written: dict[str, list[str]] = {}
    for each in names:
        written.setdefault(each.casefold(), []).append(each)
    close = difflib.get_close_matches(name.casefold(), written, n=NEAR_NAMES)
    return tuple(each for folded in close for each in written[folded])[:NEAR_NAMES]


def check_transition(tag: str, state: TagState, wanted: TagState) -> None:
    """Refuse a state that cannot follow the present one."""
    if wanted not in TRANSITIONS[state]:
        raise TransitionRefused(tag, state.value, wanted.value, [allowed.value for allowed in TRANSITIONS[state]])


def steps_to(state: TagState, wanted: TagState) -> tuple[TagState, ...]:
    """The states to go through to another one, that one last; a way that is no way is refused at its step.

    >>> [step.value for step in steps_to(TagState.OPEN, TagState.PUBLISHED)]
    ['TESTING', 'VALIDATED', 'PUBLISHED']
    """
    if state is wanted:
        return ()
    if state in _MAIN_WAY and wanted in _MAIN_WAY and _MAIN_WAY.index(state) < _MAIN_WAY.index(wanted):
        return _MAIN_WAY[_MAIN_WAY.index(state) + 1 : _MAIN_WAY.index(wanted) + 1]
    return (wanted,)


def check_usable(tag: str, state: TagState, *, allow_open: bool) -> None:
    """Refuse to resolve with an INVALID tag, and with an OPEN one unless it was asked for."""
    if state is TagState.INVALID:
        raise TagNotUsable(tag, state.value, "nothing can be resolved with it any more")
    if state is TagState.OPEN and not allow_open:
        raise TagNotUsable(
            tag, state.value, "it can still change, so it must be asked for explicitly (allow_open=True)"
        )


def check_edit(tag: str, state: TagState, action: str) -> None:
    """Refuse a free change (rename, describe, delete an IoV) of a tag that is not OPEN."""
    if state is not TagState.OPEN:
        raise ChangeRefused(tag, state.value, action, _ADVICE[state])


def check_add(tag: str, state: TagState, added: Iterable[tuple[str, IntervalOfValidity]], fixed: Fixed) -> None:
    """Refuse IoVs that the state does not allow.

    An OPEN tag takes everything, overlaps included. A RUNNING one takes what comes after all that it has given out,
    after every run that the payload's name has, and without overlaps.

    Args:
        tag: name of the tag, for the message.
        state: its state, read under its lock.
        added: (payload name, interval) of the new rows.
        fixed: what the tag holds already.
    """
    if state is TagState.OPEN:
        return
    if state is not TagState.RUNNING:
        raise ChangeRefused(tag, state.value, "add IoVs to", _ADVICE[state])
    of_name: dict[str, list[IntervalOfValidity]] = {}
    for name, iov in added:
        of_name.setdefault(name, []).append(iov)
    for name, iovs in of_name.items():
        iovs.sort(key=lambda iov: iov.first_key)
        if iovs[0].first_key <= max(fixed.key, fixed.last_key_of.get(name, -1)):
            advice = (
                f"{name!r} from {iovs[0].first} is not after what is fixed; close the open IoV first, add later ones"
            )
            raise ChangeRefused(tag, state.value, "add IoVs to", advice)
        for left, right in pairwise(iovs):
            if right.first_key <= left.final_key:
                advice = f"{name!r} {left} and {right} overlap"
                raise ChangeRefused(tag, state.value, "add IoVs to", advice)


def check_close(tag: str, state: TagState, iov: IntervalOfValidity, last: Last, fixed: Fixed) -> IntervalOfValidity:
    """The shortened interval.

    Raises:
        ChangeRefused: the state forbids it; in a RUNNING tag only IoVs without an end can be closed, and not before
            what the tag has given out.
        BadInterval: the new end is not inside the interval.
    """
    if state not in (TagState.OPEN, TagState.RUNNING):
        raise ChangeRefused(tag, state.value, "close IoVs of", _ADVICE[state])
    if state is TagState.RUNNING and not iov.is_open:
        raise ChangeRefused(tag, state.value, "close IoVs of", f"{iov} has its end already and is fixed")
    if last is OPEN or key_of(last) > iov.final_key:
        raise BadInterval(str(iov), "closing can only make it shorter")
    closed = IntervalOfValidity(iov.first, last)
    if state is TagState.RUNNING and closed.final_key < fixed.key:
        advice = f"{closed} would end before what the tag has given out, up to {fixed.shown}"
        raise ChangeRefused(tag, state.value, "close IoVs of", advice)
    return closed


def check_modify(tag: str, state: TagState, iov: IntervalOfValidity, wanted: IntervalOfValidity, fixed: Fixed) -> None:
    """Refuse another interval for a row: an OPEN tag takes any, a RUNNING one an earlier end of what has none.

    Raises:
        ChangeRefused: the state forbids it.
        BadInterval: the row of a RUNNING tag would get longer.
    """
    if state is TagState.OPEN or wanted == iov:
        return
    if state is TagState.RUNNING and wanted.first != iov.first:
        raise ChangeRefused(tag, state.value, "modify IoVs of", f"the first run of {iov} is fixed")
    check_close(tag, state, iov, wanted.last, fixed)


@dataclass(frozen=True, slots=True)
class Fixed:
    """What a RUNNING tag has given out already, as places on the line of runs (-1: nothing).

    `key` is the last place where an IoV begins or where one with an end ends: a running update comes after it.
    `last_key_of` says for some payload names where their last IoV ends.
    """

    key: int = -1
    last_key_of: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def shown(self) -> str:
        """The last run that was spoken of, as the edges write it."""
        return "nothing" if self.key < 0 else str(IntervalOfValidity.from_keys(0, self.key)).split(",", 2)[2]


_MAIN_WAY: Final = (TagState.OPEN, TagState.TESTING, TagState.VALIDATED, TagState.PUBLISHED)
_TAG_NAME: Final = re.compile(r"[A-Za-z0-9+\-_:]+")
_ADVICE: Final = MappingProxyType(
    {
        TagState.TESTING: "set it back to OPEN first",
        TagState.VALIDATED: "set it back to OPEN first",
        TagState.PUBLISHED: "what is published never changes; clone it and change the clone",
        TagState.RUNNING: "only a running update is allowed: close open IoVs, add later ones",
        TagState.INVALID: "nothing can be done with it; clone it and change the clone",
    }
)
