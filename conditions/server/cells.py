"""Texts of one width for arrays of numbers, digests and times: what a form of answers is filled with.

A cell is a void of numpy, a number of bytes that are copied as they are. `fill` pads: a space where JSON allows
it, else a NUL that is taken out of the finished answer. Numbers stand to the right, all other texts to the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DIGITS: Final = 4  # of one piece of a number: a table of 10^4 texts stays in the nearest memory
_PIECE: Final = 10**DIGITS
_SECOND_US: Final = 1_000_000
_DAY_US: Final = 86_400 * _SECOND_US
_ZONE: Final = b"+00:00"


@dataclass(frozen=True, slots=True)
class MomentStyle:
    """How times are written: with so many digits of the second, 3 or 6; `short` leaves them out of whole seconds."""

    digits: int = 6
    short: bool = True


def pieces_for(largest: int) -> int:
    """How many pieces of four digits a number needs."""
    return -(-len(str(largest)) // DIGITS)


def numbers(values: NDArray[np.int64], n_pieces: int, fill: bytes) -> NDArray[np.void]:
    """Cells of `4 * n_pieces` digits, padded at the left.

    Args:
        values: (n,) none negative.
        n_pieces: enough for the largest of them.
        fill: what stands before the first digit.
    """
    first, middle, last = _digit_tables(fill)
    texts = np.empty((len(values), n_pieces), dtype=np.uint32)
    left = values
    for place in range(n_pieces - 1, 0, -1):  # from the right
        above = left // _PIECE
        piece = left - above * _PIECE
        piece += _PIECE * (above == 0)
        texts[:, place] = (last if place == n_pieces - 1 else middle).take(piece)
        left = above
    texts[:, 0] = (first if n_pieces > 1 else last[_PIECE:]).take(left)
    return texts.view(f"V{DIGITS * n_pieces}")[:, 0]


def right_part(texts: NDArray[np.void], width: int) -> NDArray[np.void]:
    """The last bytes of cells."""
    return texts.view(np.uint8).reshape(len(texts), -1)[:, -width:].copy().view(f"V{width}")[:, 0]


def hexadecimals(digests: NDArray[np.void]) -> NDArray[np.void]:
    """Cells of two digits for every byte."""
    pairs = np.ascontiguousarray(digests).view("<u2").reshape(len(digests), -1)
    return _hex_table().take(pairs).view(f"V{2 * digests.dtype.itemsize}")[:, 0]


def moments(times: NDArray[np.int64], style: MomentStyle, suffix: bytes, fill: bytes) -> NDArray[np.void]:
    """Cells of times in ISO 8601 with the offset of UTC, then `suffix` at once.

    Args:
        times: (n,) microseconds since 1970.
        style: how fractions of a second are written.
        suffix: follows each at once.
        fill: fills the width of the longest.
    """
    days = times // _DAY_US
    seconds, fractions = np.divmod(times - days * _DAY_US, _SECOND_US)
    thousandths = fractions // 1000
    micro, end = [("micro", "V3")] * (style.digits == 6), _ZONE + suffix
    parts = [("day", "V11"), ("second", "V8"), ("dot", "V1"), ("milli", "V3"), *micro, ("end", f"V{len(end)}")]
    texts = np.empty(len(times), dtype=parts)
    different, which = np.unique(days, return_inverse=True)
    texts["day"] = texts_of([f"{day}T".encode() for day in different.astype("datetime64[D]")], 11, fill).take(which)
    texts["second"] = _second_table().take(seconds)
    texts["dot"] = np.void(b".")
    texts["milli"] = _thousandth_table().take(thousandths)
    if micro:
        texts["micro"] = _thousandth_table().take(fractions - thousandths * 1000)
    texts["end"] = np.void(end)
    if style.short:
        width = 1 + style.digits + len(end)
        ends = texts.view([("begin", "V19"), ("end", f"V{width}")])["end"]
        ends[fractions == 0] = np.void(end.ljust(width, fill))
    return texts.view(f"V{texts.dtype.itemsize}")


def texts_of(texts: Sequence[bytes], width: int, fill: bytes) -> NDArray[np.void]:
    """A cell for each text, padded at the right."""
    return np.frombuffer(b"".join(text.ljust(width, fill) for text in texts), dtype=f"V{width}")


@lru_cache
def _digit_tables(fill: bytes) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Texts of the pieces of a number: of the first, of one in the middle, of the last.

    After the numbers with leading zeros come, 10^4 further on, those of a piece that has only zeros before it.
    """
    zeros = b"".join(b"%04d" % number for number in range(_PIECE))
    padded = b"".join((b"%d" % number).rjust(DIGITS, fill) for number in range(_PIECE))
    nothing = fill * DIGITS + padded[DIGITS:]
    first, middle, last = nothing, zeros + nothing, zeros + padded
    return tuple(np.frombuffer(table, dtype=np.uint32) for table in (first, middle, last))  # type: ignore[return-value]


@lru_cache
def _hex_table() -> NDArray[np.uint32]:
    """The four digits of two bytes."""
    return np.frombuffer(b"".join(number.to_bytes(2, "little").hex().encode() for number in range(1 << 16)), np.uint32)


@lru_cache
def _second_table() -> NDArray[np.void]:
    """The time of each second of a day."""
    return texts_of([b"%02d:%02d:%02d" % (s // 3600, s // 60 % 60, s % 60) for s in range(86_400)], 8, b" ")


@lru_cache
def _thousandth_table() -> NDArray[np.void]:
    """Three digits."""
    return texts_of([b"%03d" % number for number in range(1000)], 3, b" ")
