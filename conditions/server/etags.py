"""Conditional requests: whether a client has the answer of an ETag already."""

from __future__ import annotations


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether the header `If-None-Match` names an ETag; None when there is no such header.

    >>> is_known('W/"a", "b"', '"a"')
    True
    """
    known = {each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")}
    return etag in known or "*" in known
