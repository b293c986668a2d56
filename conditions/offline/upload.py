"""From payloads that were tried out to a tag: what a `database.txt` makes of it, as one batch.

Of lines about the same name and interval the last one wins. Files go in the order of their last line, so that, where
bytes are new, a later line gets a higher revision and wins in the tag as it does in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conditions.batch import Batch, NewIov, NewPayload
from conditions.errors import BadLines, PayloadFileError
from conditions.iov import IovSet, find_overlaps
from conditions.offline.testing import TestingLine, database_file, last_of_each, parse_lines, read_payload, said
from conditions.payload import Payload


@dataclass(frozen=True)
class Upload:
    """What a file of testing payloads would put into a tag.

    Args:
        path: the file.
        lines: those that count, in order.
        payload_of: the payload of each line's file, with the bytes' digests and no revision of any store.
        n_replaced: lines that a later one replaces.
    """

    path: Path
    lines: tuple[TestingLine, ...]
    payload_of: Mapping[Path, Payload]
    n_replaced: int

    def batch(self, tag: str, *, create: bool = False, description: str = "", type: str = "DEV") -> Batch:  # noqa: A002
        """All of it as one change of a tag."""
        last: dict[tuple[str, str], Path] = {}
        for line in self.lines:
            key = (line.name, self.payload_of[line.path].md5)
            last.pop(key, None)
            last[key] = line.path
        return Batch(
            tag,
            payloads=tuple(NewPayload(name, path, md5=md5) for (name, md5), path in last.items()),
            iovs=tuple(NewIov(line.name, line.iov, md5=self.payload_of[line.path].md5) for line in self.lines),
            create=create,
            description=description,
            type=type,
        )

    def overlaps(self) -> dict[str, IovSet]:
        """Payload names with runs that two lines are about: in a tag the higher revision wins there."""
        of_name: dict[str, list[TestingLine]] = {}
        for line in self.lines:
            of_name.setdefault(line.name, []).append(line)
        found = {name: find_overlaps(line.iov for line in lines) for name, lines in sorted(of_name.items())}
        return {name: runs for name, runs in found.items() if runs.pieces}


def read_upload(path: Path | str, tell: Callable[[int, int], None] | None = None) -> Upload:
    """Read a `database.txt` and all its payload files.

    Args:
        path: the file, or the folder where it lies.
        tell: called with the number of files that were read, and of all.

    Raises:
        BadLines: with every line that cannot be meant and every file that is not what its line says.
        BadSource: the file itself cannot be read.
    """
    database = database_file(path)
    lines, errors = parse_lines(database)
    payload_of: dict[Path, Payload] = {}
    n_files = len({line.path for line in lines})
    for line in lines:
        if line.path not in payload_of:
            try:
                payload_of[line.path] = read_payload(line)
            except PayloadFileError as error:
                errors[line.number] = said(database, line.number, error)
            if tell is not None:
                tell(len(payload_of), n_files)
    if not lines and not errors:
        errors[1] = said(database, 1, "there is no payload in the file")
    if errors:
        raise BadLines(database, [text for _, text in sorted(errors.items())])
    kept = last_of_each(lines)
    return Upload(database, tuple(kept), payload_of, len(lines) - len(kept))
