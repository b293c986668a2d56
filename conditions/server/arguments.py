"""What a request gives: names, numbers and intervals from its path, its query or its JSON body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import orjson
from starlette.requests import Request

from conditions.errors import BadInputError
from conditions.iov import IntervalOfValidity, Last, Run

_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")


def tag_name(text: str) -> str:
    """A tag's name, which clients quote once or twice; none holds a percent sign or a space.

    >>> tag_name("t%3Ax")
    't:x'
    """
    name = unquote(text) if "%" in text else text
    return plain(name, "the tag").replace(" ", "+")  # a plus in a query is a space to those who decode it as a form


def plain(text: str, what: str) -> str:
    """The text itself, unless it holds what not every database can be asked for."""
    if "\0" in text:
        raise BadInputError(f"the name of {what} holds a control character")
    return text


def payload_names(text: str) -> tuple[str, ...]:
    """The names that a text from a path may mean, the likelier first: as it is, and unquoted once more."""
    return (text, plain(unquote(text), "the payload")) if _ESCAPE.search(text) is not None else (text,)


def query(request: Request) -> dict[str, str]:
    """The values of a query by name, each unquoted once; of several the last counts, a plus stays one."""
    pairs = (pair.partition("=") for pair in request.scope["query_string"].decode("latin-1").split("&"))
    return {unquote(name): unquote(value) for name, _, value in pairs if name}


def asked(values: Mapping[str, str], name: str) -> str:
    """A value that must be there."""
    if not values.get(name):
        raise BadInputError(f"{name} is missing in the query")
    return values[name]


def number(text: str, what: str) -> int:
    """A whole number, perhaps negative."""
    if _NUMBER.fullmatch(text) is None:
        raise BadInputError(f"{what} is {text[:40]!r}, not a number")
    return int(text)


def numbers(text: str, what: str, count: int) -> list[int]:
    """So many whole numbers with commas between them."""
    parts = text.split(",")
    if len(parts) != count:
        raise BadInputError(f"{what} is {text[:80]!r}, not {count} numbers with commas between them")
    return [number(part, what) for part in parts]


def run(values: Mapping[str, str], exp: str, run_: str) -> Run:
    """The run that two values of a query name."""
    return Run(number(asked(values, exp), exp), number(asked(values, run_), run_))


def interval(given: list[Any] | tuple[Any, ...]) -> IntervalOfValidity:
    """The interval of four numbers, -1 for open ends."""
    first_exp, first_run, final_exp, final_run = given
    return IntervalOfValidity.from_tuple(first_exp, first_run, final_exp, final_run)


def last_run(exp: int, run_: int) -> Last:
    """The end of an interval from its two numbers."""
    return IntervalOfValidity.from_tuple(0, 0, exp, run_).last


async def json_body(request: Request) -> Any:
    """The JSON of a request's body.

    Raises:
        BadInputError: it is none.
    """
    body = await request.body()
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInputError(f"the body is no JSON: {error}") from error


async def json_object(request: Request) -> dict[str, Any]:
    """The JSON object of a request's body."""
    found = await json_body(request)
    if not isinstance(found, dict):
        raise BadInputError(f"the body is a JSON {type(found).__name__}, not an object with names")
    return found


async def json_list(request: Request, longest: int) -> list[Any]:
    """The JSON list of a request's body."""
    found = await json_body(request)
    if not isinstance(found, list):
        raise BadInputError(f"the body is a JSON {type(found).__name__}, not a list")
    if len(found) > longest:
        raise BadInputError(f"the list has {len(found)} entries, {longest} are the most that are taken")
    return found


def text_of(given: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text of a JSON object; what is absent or null is the default, if there is one."""
    found = given.get(name)
    if found is None and default is not None:
        return default
    if not isinstance(found, str):
        raise BadInputError(f"{name} is {found!r:.60}, not a text")
    return found


def int_of(given: object, what: str) -> int:
    """A whole number of JSON."""
    if type(given) is not int:
        raise BadInputError(f"{what} is {given!r:.60}, not a number")
    return given
