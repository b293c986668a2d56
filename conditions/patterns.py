r"""Patterns of names that strangers may send: globs, and regular expressions that are searched in linear time.

`re` tries one way after the other, and a short expression can keep it busy for years. Here an expression becomes the
states that a text may be in, all followed at once, a step a character. Known are: characters, `.`, classes like
`[A-Za-z0-9_]` and `[^-]`, `\d \w \s \D \W \S`, groups, `|`, and `* + ? {m} {m,} {m,n}`, each also with `?` after.
The whole name has to match. References, look-around and flags are refused.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from conditions.errors import BadInputError

MAX_CHARACTERS: Final = 200
MAX_STATES: Final = 2_000  # a step costs at most so much; a{1000}{1000} would be a million
MAX_DEPTH: Final = 30
_Test: TypeAlias = Callable[[str], bool]
_CLASSES: Final = {"d": r"\d", "w": r"\w", "s": r"\s", "D": r"\D", "W": r"\W", "S": r"\S"}
_ESCAPED: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_REPEAT: Final = re.compile(r"\{([0-9]{0,4})(,?)([0-9]{0,4})\}")


def name_test(glob: str | None = None, regex: str | None = None) -> _Test:
    """Whether a name fits what was given: a glob with `*` and `?`, an expression, both or nothing.

    Raises:
        BadInputError: the expression cannot be read, is too long, or uses what cannot be searched in linear time.

    >>> name_test(regex="GATGAP(gen)?[.](pth|onnx)")("GATGAPgen.pth")
    True
    """
    like = None if glob is None else re.compile(fnmatch.translate(glob.replace("[", "[[]")))
    machine = None if regex is None else _machine(regex)

    def fits(name: str) -> bool:
        return (like is None or like.fullmatch(name) is not None) and (machine is None or machine.matches(name))

    return fits


@dataclass
class _Machine:
    """States: a test of the next character with the state after it, or None with states that are there for free."""

    tests: list[_Test | None] = field(default_factory=list)
    after: list[list[int]] = field(default_factory=list)
    start: int = 0
    end: int = 0

    def add(self, test: _Test | None = None) -> int:
        if len(self.tests) >= MAX_STATES:
            raise BadInputError(f"the regular expression is too large: it has more than {MAX_STATES} states")
        self.tests.append(test)
        self.after.append([])
        return len(self.tests) - 1

    def matches(self, text: str) -> bool:
        """Follow all ways at once."""
        there = self._reach([self.start])
        for character in text:
            moved = [
                following
                for state in there
                if (test := self.tests[state]) is not None and test(character)
                for following in self.after[state]
            ]
            if not moved:
                return False
            there = self._reach(moved)
        return self.end in there

    def _reach(self, states: list[int]) -> set[int]:
        """These states, and all that are there without another character."""
        found: set[int] = set()
        todo = list(states)
        while todo:
            state = todo.pop()
            if state not in found:
                found.add(state)
                if self.tests[state] is None:
                    todo.extend(self.after[state])
        return found


@lru_cache(maxsize=256)
def _machine(regex: str) -> _Machine:
    if len(regex) > MAX_CHARACTERS:
        raise BadInputError(f"the regular expression has {len(regex)} characters, {MAX_CHARACTERS} are the most")
    return _Reader(regex).read()


_Part: TypeAlias = tuple[int, int]  # first and last state of a piece of the machine


class _Reader:
    """Reads an expression from left to right and builds its machine."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0
        self.machine = _Machine()

    def read(self) -> _Machine:
        self.machine.start, self.machine.end = self._choice()
        if self.at < len(self.text):
            raise self._bad("a ) without its (")
        return self.machine

    def _choice(self) -> _Part:
        """Sequences with | between them."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._bad(f"more than {MAX_DEPTH} groups in each other")
        first, last = self.machine.add(), self.machine.add()
        while True:
            begin, end = self._sequence()
            self.machine.after[first].append(begin)
            self.machine.after[end].append(last)
            if self._next() != "|":
                self.depth -= 1
                return first, last
            self.at += 1

    def _sequence(self) -> _Part:
        first = last = self.machine.add()
        while (sign := self._next()) and sign not in "|)":
            begin = self.at
            part = self._repeated(begin, self._piece())
            self.machine.after[last].append(part[0])
            last = part[1]
        return first, last

    def _piece(self) -> _Part:
        """A character, a class or a group."""
        sign = self.text[self.at]
        self.at += 1
        if sign == "(":
            if self._next() == "?":
                if self.text[self.at : self.at + 2] != "?:":
                    raise self._bad("(?…) other than (?:…)")
                self.at += 2
            part = self._choice()
            if self._next() != ")":
                raise self._bad("a ( without its )")
            self.at += 1
            return part
        if sign in "*+?":
            raise self._bad(f"{sign} with nothing before it")
        if sign in "^$":
            raise self._bad(f"{sign} (the whole name is matched anyway; write \\{sign} for the sign)")
        return self._one(self._test(sign))

    def _test(self, sign: str) -> _Test:
        if sign == ".":
            return lambda _: True
        if sign == "[":
            return self._class()
        literal = self._escape() if sign == "\\" else sign
        return literal if callable(literal) else literal.__eq__

    def _escape(self) -> _Test | str:
        """What follows a backslash: a sign as itself, or a class."""
        sign = self._next()
        self.at += 1
        if sign in _CLASSES:
            found = re.compile(_CLASSES[sign])
            return lambda character: found.match(character) is not None
        if sign and not sign.isalnum():
            return sign
        if sign in _ESCAPED:
            return _ESCAPED[sign]
        raise self._bad(f"\\{sign}")

    def _class(self) -> _Test:
        """What stands between brackets."""
        negated = self._next() == "^"
        self.at += negated
        tests: list[_Test] = []
        begin = self.at
        while (sign := self._next()) != "]" or self.at == begin:
            if not sign:
                raise self._bad("a [ without its ]")
            self.at += 1
            low = self._escape() if sign == "\\" else sign
            if callable(low):
                tests.append(low)
            elif self._next() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 2
                sign = self.text[self.at - 1]
                high = self._escape() if sign == "\\" else sign
                if callable(high) or high < low:
                    raise self._bad("a range in [] that ends before it begins")
                tests.append(_between(low, high))
            else:
                tests.append(low.__eq__)
        self.at += 1
        return lambda character: any(test(character) for test in tests) != negated

    def _repeated(self, begin: int, part: _Part) -> _Part:
        """The piece as often as what follows it says; its text is read again for each time."""
        sign = self._next()
        bounds = _REPEAT.match(self.text, self.at) if sign == "{" else None
        if sign in ("*", "+", "?") and sign:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
            self.at += 1
        elif bounds is not None and (bounds[1] or bounds[2]):
            least, most = int(bounds[1] or 0), _most(bounds)
            self.at = bounds.end()
        elif sign == "{":
            raise self._bad("a { that is no number of times; write \\{ for the sign")
        else:
            return part
        if most is not None and most < least:
            raise self._bad("{m,n} with n before m")
        end = self.at + (self._next() == "?")  # lazy or not is the same for the whole name
        if self.text[end : end + 1] in ("*", "+", "?", "{") and self.text[end : end + 1]:
            raise self._bad("a repeat of a repeat")
        first = last = self.machine.add()
        for _ in range(least):
            part = self._again(begin)
            self.machine.after[last].append(part[0])
            last = part[1]
        last = self._optional(begin, last, None if most is None else most - least)
        self.at = end
        return first, last

    def _optional(self, begin: int, last: int, times: int | None) -> int:
        """More of a piece that may be left out; None: any number of times."""
        end = self.machine.add()
        self.machine.after[last].append(end)
        if times is None:
            part = self._again(begin)
            self.machine.after[last].append(part[0])
            self.machine.after[part[1]].append(part[0])
            self.machine.after[part[1]].append(end)
        for _ in range(times or 0):
            part = self._again(begin)
            self.machine.after[last].append(part[0])
            last = part[1]
            self.machine.after[last].append(end)
        return end

    def _again(self, begin: int) -> _Part:
        self.at = begin
        return self._piece()

    def _one(self, test: _Test) -> _Part:
        first, last = self.machine.add(test), self.machine.add()
        self.machine.after[first].append(last)
        return first, last

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _bad(self, what: str) -> BadInputError:
        return BadInputError(f"the regular expression {self.text!r} cannot be used here: {what}")


def _between(low: str, high: str) -> _Test:
    return lambda character: low <= character <= high


def _most(bounds: re.Match[str]) -> int | None:
    if bounds[3]:
        return int(bounds[3])
    return None if bounds[2] else int(bounds[1])
