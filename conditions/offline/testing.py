"""Payloads that are being tried out: a file `database.txt`, and the payload files beside it.

    # a comment; blank lines count for nothing
    dbstore/{name} {revision} {first_exp},{first_run},{final_exp},{final_run}

The revision is a number, or six or more of the first hexadecimal digits of the file's md5; either way it stands in the
name of the file, `dbstore_{name}_rev_{revision}.root`. In one file the last line that holds for a run wins. A file
with lines that cannot be meant is refused as a whole, with all of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from conditions.errors import BadInputError, BadLines, BadSource, PayloadCorrupt, PayloadLost
from conditions.iov import IntervalOfValidity, Run
from conditions.offline.locations import fault_of, flat_name
from conditions.payload import Payload, check_payload_name
from conditions.resolve import Resolved

DATABASE: Final = "database.txt"
PREFIX: Final = "dbstore/"
MAX_BYTES: Final = 256 * 1024 * 1024  # two million lines; what is larger is no list of payloads
_COMMENT: Final = re.compile(r"(^|\s)#.*")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_DIGITS: Final = re.compile(r"[0-9a-fA-F]{6,32}")


@dataclass(frozen=True, slots=True)
class TestingLine:
    """One line: a payload file that is to be valid for an interval of runs."""

    __test__ = False  # the name is about payloads; this is no test
    number: int
    name: str
    revision: str
    iov: IntervalOfValidity
    path: Path

    @property
    def digits(self) -> str | None:
        """The first digits of the file's md5, None where the revision is a number."""
        return None if _NUMBER.fullmatch(self.revision) else self.revision.lower()


class TestingPayloads:
    """The payloads of one `database.txt`; they go before all tags.

    Args:
        path: the file, or the folder where it lies.

    Raises:
        BadLines: with every line that cannot be meant, and every file that is not there.
        BadSource: the file cannot be read.
    """

    __test__ = False

    def __init__(self, path: Path | str) -> None:
        self.path = database_file(path)
        self.lines = read_lines(self.path)
        self._of_name: dict[str, list[TestingLine]] = {}
        for line in self.lines:
            self._of_name.setdefault(line.name, []).append(line)
        self._payloads: dict[Path, Payload] = {}
        self._paths: dict[tuple[str, str], Path] = {}

    @property
    def names(self) -> frozenset[str]:
        """The payload names that some line is about."""
        return frozenset(self._of_name)

    def resolve(self, run: Run, names: Iterable[str] | None = None) -> dict[str, Resolved]:
        """The winners for a run by payload name; their tag is the name of the file.

        Raises:
            PayloadCorrupt: a file is not the one that its line speaks of, or cannot be read.
        """
        return self.resolve_held(run, names)[0]

    def resolve_held(
        self, run: Run, names: Iterable[str] | None = None
    ) -> tuple[dict[str, Resolved], IntervalOfValidity]:
        """The winners for a run, and runs around it that certainly have the same ones."""
        chosen = sorted(self._of_name) if names is None else [names] if isinstance(names, str) else sorted(set(names))
        holds = IntervalOfValidity.always()
        answer: dict[str, Resolved] = {}
        for name in chosen:
            for line in reversed(self._of_name.get(name, ())):
                if line.iov.contains(run):
                    holds = holds & line.iov or holds
                    answer[name] = Resolved(self._payload(line), line.iov, str(self.path))
                    break
                holds = next(piece for piece in holds - line.iov if run in piece)
        return answer, holds

    def holds(self, payload: Payload) -> bool:
        """Whether the payload is one of these."""
        return (payload.name, payload.sha256) in self._paths

    def payload_path(self, payload: Payload) -> Path:
        """The payload's file, as long as it holds the bytes that were resolved."""
        path = self._paths[payload.name, payload.sha256]
        try:
            fault = fault_of(path, payload)
        except OSError as error:
            raise PayloadLost(payload.name, payload.revision, path) from error
        if fault is not None:
            raise PayloadCorrupt(payload.name, payload.revision, path, f"{fault}: it changed while it was used")
        return path

    def _payload(self, line: TestingLine) -> Payload:
        found = self._payloads.get(line.path)
        if found is None:
            found = self._payloads[line.path] = read_payload(line)
            self._paths[found.name, found.sha256] = line.path
        return found


def database_file(path: Path | str) -> Path:
    """The file itself, also when its folder is named."""
    given = Path(path).expanduser()
    return given / DATABASE if given.is_dir() else given


def read_lines(path: Path) -> list[TestingLine]:
    """All lines of a `database.txt`.

    Raises:
        BadLines: with every line that cannot be meant, and every file that is not there.
        BadSource: the file cannot be read.
    """
    lines, errors = parse_lines(path)
    if errors:
        raise BadLines(path, list(errors.values()))
    return lines


def parse_lines(path: Path) -> tuple[list[TestingLine], dict[int, str]]:
    """The lines of a `database.txt` that can be meant, and by number, what is wrong with the others."""
    lines: list[TestingLine] = []
    errors: dict[int, str] = {}
    for number, raw in enumerate(_read(path).split(b"\n"), 1):
        try:
            text = _COMMENT.sub("", raw.decode("utf-8-sig" if number == 1 else "utf-8")).strip()
            if text:
                lines.append(_line(path.parent, number, text))
        except (BadInputError, UnicodeDecodeError) as error:
            errors[number] = said(path, number, error)
    return lines, errors


def said(path: Path, number: int, error: object) -> str:
    """An error of a line, as a compiler would say it."""
    return f"{path}:{number} error: {' '.join(str(error).split())}"


def read_payload(line: TestingLine) -> Payload:
    """The payload of a line, its file read; one named by digits of its md5 has the revision 0.

    Raises:
        PayloadCorrupt: the file's md5 begins with other digits, or it cannot be read.
    """
    revision = int(line.revision) if line.digits is None else 0
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    size_bytes = 0
    try:
        with line.path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                md5.update(chunk)
                sha256.update(chunk)
                size_bytes += len(chunk)
        changed_at = datetime.fromtimestamp(line.path.stat().st_mtime, UTC)
    except OSError as error:
        raise PayloadCorrupt(line.name, revision, line.path, f"cannot be read: {error.strerror or error}") from error
    found = md5.hexdigest()
    if line.digits is not None and not found.startswith(line.digits):
        raise PayloadCorrupt(line.name, revision, line.path, f"has md5 {found}, which does not begin {line.digits}")
    return Payload(line.name, revision, sha256.hexdigest(), found, size_bytes, {}, changed_at, "")


def last_of_each(lines: Sequence[TestingLine]) -> list[TestingLine]:
    """The lines in order without those that a later line of the same name and interval replaces."""
    last = {(line.name, line.iov): line for line in lines}
    return sorted(last.values(), key=lambda line: line.number)


def _line(folder: Path, number: int, text: str) -> TestingLine:
    """One line, its file looked for."""
    fields = text.rsplit(maxsplit=2)
    if len(fields) != 3 or not fields[0].startswith(PREFIX):
        raise BadInputError(f"{text[:200]!r} is not {PREFIX}NAME REVISION FIRST_EXP,FIRST_RUN,LAST_EXP,LAST_RUN")
    name, revision = check_payload_name(fields[0].removeprefix(PREFIX)), fields[1]
    if _NUMBER.fullmatch(revision) is None and _DIGITS.fullmatch(revision) is None:
        raise BadInputError(f"{revision[:200]!r} is no revision: a number, or 6 or more of the md5's digits")
    if fields[2].count(",") != 3:
        raise BadInputError(f"{fields[2][:200]!r} is no interval: FIRST_EXP,FIRST_RUN,LAST_EXP,LAST_RUN without spaces")
    iov = IntervalOfValidity.parse(fields[2])
    path = folder / flat_name(name, revision)
    try:
        is_there = path.is_file()
    except OSError as error:  # a name too long for the file system
        raise BadInputError(f"{path.name} cannot be looked for: {error.strerror or error}") from error
    if not is_there:
        raise BadInputError(f"there is no file {path}")
    return TestingLine(number, name, revision, iov, path)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadSource(path, error.strerror or str(error)) from error
    if len(content) > MAX_BYTES:
        raise BadSource(path, f"it is larger than {MAX_BYTES} bytes, too large for a list of payloads")
    return content
