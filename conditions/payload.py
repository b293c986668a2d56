"""A payload: an immutable file with a name and a revision, and what may be said about it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from conditions.errors import BadInputError, BadMetadata, BadName, BadText

MAX_NAME_BYTES: Final = 200  # a payload is downloaded under its name, with room for a suffix inside 255 bytes
MAX_TEXT_CHARACTERS: Final = 65_536
MAX_METADATA_BYTES: Final = 4 * 1024 * 1024  # metrics and provenance, not data
MAX_METADATA_LEVELS: Final = 100  # readers of JSON stop at some depth; the shallowest at 250
SMALLEST_NUMBER: Final = -(2**63)
LARGEST_NUMBER: Final = 2**64 - 1
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MD5: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Payload:
    """One revision of a named file. `id` is the store's own number of it, other fields hold everywhere.

    Where a source knows the md5 only, as a snapshot does, `sha256` is empty and `size_bytes` -1.
    """

    name: str
    revision: int
    sha256: str
    md5: str
    size_bytes: int
    metadata: Mapping[str, Any] = field(hash=False)
    created_at: datetime
    created_by: str
    id: int = 0

    def __str__(self) -> str:
        return f"{self.name} r{self.revision}"


def check_payload(payload: Payload) -> Payload:
    """The payload itself, when files may be named by it: what a server or a file says of one is not to be trusted.

    Raises:
        BadName: its name cannot be a file's.
        BadInputError: a digest that is none, no digest at all, or a revision or size that is no number.
    """
    check_payload_name(payload.name)
    for word, digest, form in (("sha256", payload.sha256, _SHA256), ("md5", payload.md5, _MD5)):
        if not isinstance(digest, str) or (digest and form.fullmatch(digest) is None):
            raise BadInputError(f"payload {payload.name!r} has the {word} {str(digest)[:80]!r}, which is none")
    if not (payload.sha256 or payload.md5):
        raise BadInputError(f"payload {payload.name!r} has neither sha256 nor md5")
    for word, number, least in (("revision", payload.revision, 0), ("size", payload.size_bytes, -1)):
        if type(number) is not int or number < least:
            raise BadInputError(f"payload {payload.name!r} has the {word} {str(number)[:80]!r}")
    return payload


def check_payload_name(name: str) -> str:
    """The name itself, when it can name a payload and be a file name everywhere.

    Raises:
        BadName: it is empty, too long, or holds a path separator, `..` or a control character.
    """
    if not isinstance(name, str) or not name:
        raise BadName("payload", name, "it is empty")
    if any(character in name for character in "/\\"):
        raise BadName("payload", name, "a path separator is not allowed")
    if ".." in name or name == ".":
        raise BadName("payload", name, "'.' and '..' are folders, not files")
    if any(_is_control(character) for character in name):
        raise BadName("payload", name, "control characters are not allowed")
    if name != name.strip():
        raise BadName("payload", name, "it begins or ends with a space")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise BadName("payload", name[:32] + "…", f"it is longer than {MAX_NAME_BYTES} bytes")
    return name


def check_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata as plain JSON values, the way it will be read back.

    Raises:
        BadMetadata: not an object, a value JSON has no word for (NaN, bytes, …) or not every reader of JSON can take
            (a whole number of more than 64 bits, half of a character, too many levels), a NUL, or too large.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise BadMetadata(f"it must be an object with names, not a {type(metadata).__name__}")
    if any(not isinstance(key, str) for key in metadata):
        raise BadMetadata("its names must be strings")
    try:
        text = json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadMetadata(f"JSON cannot hold it ({error})") from error
    if len(text) > MAX_METADATA_BYTES:
        raise BadMetadata(f"it takes {len(text)} bytes, more than {MAX_METADATA_BYTES}; upload it as a payload")
    if "\\u0000" in text.replace("\\\\", ""):
        raise BadMetadata("a text in it holds a NUL character")
    plain: dict[str, Any] = json.loads(text)
    _check_readable(plain)
    return plain


def _check_readable(metadata: dict[str, Any]) -> None:
    """Refuse what readers of JSON in other languages, and faster ones in this, cannot read."""
    level: list[Any] = [metadata]
    for _ in range(MAX_METADATA_LEVELS + 1):
        if not level:
            return
        for value in level:
            if isinstance(value, int) and not SMALLEST_NUMBER <= value <= LARGEST_NUMBER:
                raise BadMetadata("a whole number in it has more than 64 bits; write it as a text")
            if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
                raise BadMetadata("a text in it holds half of a character")
        inner = [value for value in level if isinstance(value, dict | list)]
        level = [each for value in inner for each in (value if isinstance(value, list) else [*value, *value.values()])]
    raise BadMetadata(f"it has more than {MAX_METADATA_LEVELS} levels")


def check_text(field_name: str, text: str) -> str:
    """The text itself, when every database can keep it.

    Raises:
        BadText: control characters (tabs and line ends may stay) or too long.
    """
    if not isinstance(text, str):
        raise BadText(field_name, f"it must be text, not a {type(text).__name__}")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise BadText(field_name, f"it is longer than {MAX_TEXT_CHARACTERS} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\r\n" for character in text):
        raise BadText(field_name, "it holds control characters")
    return text


def _is_control(character: str) -> bool:
    """Control, format, surrogate and unassigned characters, and the two line separators of Unicode."""
    category = unicodedata.category(character)
    return category.startswith("C") or category in ("Zl", "Zp")
