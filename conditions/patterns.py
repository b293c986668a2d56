r"""Patterns of names that strangers may send: globs, and regular expressions that are searched in linear time.

`re` tries one way after the other, and a short expression can keep it busy for years; RE2 follows all ways at once.
The whole name has to match. References and look-around, which cannot be searched so, are refused.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from conditions.errors import BadInputError

MAX_CHARACTERS: Final = 200
MAX_MEMORY_BYTES: Final = 1 << 20  # of a compiled expression: a{1000}{1000} would be far more


def name_test(glob: str | None = None, regex: str | None = None) -> Callable[[str], bool]:
    """Whether a name fits what was given: a glob with `*` and `?`, an expression, both or nothing.

    Raises:
        BadInputError: the expression cannot be read, is too long, or uses what cannot be searched in linear time.

    >>> name_test(regex="GATGAP(gen)?[.](pth|onnx)")("GATGAPgen.pth")
    True
    """
    like = None if glob is None else re.compile(fnmatch.translate(glob.replace("[", "[[]")))
    wanted = None if regex is None else _compiled(regex)

    def fits(name: str) -> bool:
        return (like is None or like.fullmatch(name) is not None) and (
            wanted is None or wanted.fullmatch(name) is not None
        )

    return fits


@lru_cache(maxsize=256)
def _compiled(regex: str) -> Any:
    """An expression, ready to search with."""
    import re2  # of the server's extra: who only asks servers needs none

    if len(regex) > MAX_CHARACTERS:
        raise BadInputError(f"the regular expression has {len(regex)} characters, more than {MAX_CHARACTERS}")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY_BYTES
    try:
        return re2.compile(regex, options=options)
    except (re2.error, UnicodeEncodeError) as error:
        raise BadInputError(f"the regular expression {regex!r} is refused: {_said(error)}") from error


def _said(error: Exception) -> str:
    """What the library says, which may be bytes."""
    first = error.args[0] if error.args else error
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
