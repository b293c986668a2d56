"""Who may change what: the rights that a token gives, as full-match regular expressions.

Everybody with a token may do everything with names that begin with `user_<name>_` or `temp_<name>_`. Wider rights are
claims of the token: `b2cdb:admin` for tags (their state, description, content), `b2cdb:createiov` for adding rows to
tags, `b2cdb:createpayload` for payload names. Reading needs no right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from conditions.errors import RightMissing, TokenRefused

ADMIN: Final = "b2cdb:admin"
CREATE_IOV: Final = "b2cdb:createiov"
CREATE_PAYLOAD: Final = "b2cdb:createpayload"
CLAIMS: Final = (ADMIN, CREATE_IOV, CREATE_PAYLOAD)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and which names the three claims of the token match; an empty name is a caller without a token."""

    name: str = ""
    admin: tuple[str, ...] = ()
    create_iov: tuple[str, ...] = ()
    create_payload: tuple[str, ...] = ()


ANONYMOUS: Final = Caller()


def may_manage(caller: Caller, tag: str) -> bool:
    """Whether all of a tag may be changed: made, described, moved to another state, its rows taken away."""
    return _is_own(caller, tag) or _matches(caller.admin, tag)


def may_add_iovs(caller: Caller, tag: str) -> bool:
    """Whether rows may be added to a tag; who manages it may."""
    return may_manage(caller, tag) or (bool(caller.name) and _matches(caller.create_iov, tag))


def may_upload(caller: Caller, payload_name: str) -> bool:
    """Whether a new revision of a payload may be uploaded."""
    return _is_own(caller, payload_name) or (bool(caller.name) and _matches(caller.create_payload, payload_name))


def check_known(caller: Caller, action: str) -> None:
    """Refuse a caller without a token."""
    if not caller.name:
        raise TokenRefused(f"nobody may {action} without a token")


def check_manage(caller: Caller, tag: str, action: str = "change tag") -> None:
    """Refuse who may not change a tag."""
    check_known(caller, f"{action} {tag!r}")
    if not may_manage(caller, tag):
        raise RightMissing(caller.name, action, ADMIN, tag)


def check_add_iovs(caller: Caller, tag: str) -> None:
    """Refuse who may not add rows to a tag."""
    check_known(caller, f"add IoVs to tag {tag!r}")
    if not may_add_iovs(caller, tag):
        raise RightMissing(caller.name, "add IoVs to tag", CREATE_IOV, tag)


def check_upload(caller: Caller, payload_name: str) -> None:
    """Refuse who may not upload a payload of that name."""
    check_known(caller, f"upload payload {payload_name!r}")
    if not may_upload(caller, payload_name):
        raise RightMissing(caller.name, "upload payload", CREATE_PAYLOAD, payload_name)


def check_rename(caller: Caller, tag: str, new_name: str, *, is_own_clone: bool = False) -> None:
    """Refuse who may not give a tag that name.

    Args:
        caller: who asks.
        tag: the present name.
        new_name: the name it shall have.
        is_own_clone: the tag still has the name that a clone is born with, and this caller made it; whoever may
            read a tag may clone it, and must be able to give the clone a name of his own.
    """
    if not is_own_clone:
        check_manage(caller, tag)
    check_manage(caller, new_name, "name a tag")


def bad_regex(pattern: str) -> str | None:
    """Why a text is no regular expression, None when it is one."""
    try:
        _compiled(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return None


def _is_own(caller: Caller, name: str) -> bool:
    """Whether a name is in the part that everybody has for himself."""
    return bool(caller.name) and name.startswith((f"user_{caller.name}_", f"temp_{caller.name}_"))


def _matches(patterns: Iterable[str], name: str) -> bool:
    return any(_compiled(pattern).fullmatch(name) is not None for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
