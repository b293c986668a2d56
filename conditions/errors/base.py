"""What all errors share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class ConditionsError(Exception):
    """Base of everything this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """The message and the attributes, so that an error comes back whole from another process."""
        return _restored, (type(self), self.args, self.__dict__)


def near_words(names: Iterable[str]) -> str:
    """A hint at what might have been meant, or nothing."""
    quoted = [repr(name) for name in names]
    return f" (did you mean {' or '.join(quoted)}?)" if quoted else ""


def _restored(kind: type[ConditionsError], args: tuple[Any, ...], state: dict[str, Any]) -> ConditionsError:
    """An error from its parts, without saying its message again."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error
