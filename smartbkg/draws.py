"""Random numbers by counter: the same (seed, exp, run, event, stream, index) gives the same number, always.

A draw belongs to its event, not to the order of processing, so a job can be split, filtered or repeated
without changing any number. The generator is Philox4x32-10 (J. Salmon et al., "Parallel random numbers: as
easy as 1, 2, 3", SC11), computed over whole arrays.

The counter's four 32-bit words are (index, event, run, exp); the two words of the key are the halves of a
64-bit hash of seed and stream.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartbkg.errors import BadEvent, BadSeed

# The multipliers and Weyl constants of Philox4x32, from the paper.
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_ROUNDS = 10
_WORD = 1 << 32


def uniform(
    seed: int, exp: ArrayLike, run: ArrayLike, event: ArrayLike, *, stream: str, index: ArrayLike = 0
) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), with 53 random bits.

    Args:
        seed: any integer in [-2^63, 2^64).
        exp, run, event: of each event; broadcast against each other and `index`. 0 to 2^32 - 1.
        stream: what the number is for; two streams are independent.
        index: which number of the event and stream.

    Raises:
        BadEvent: a number does not fit its 32-bit word.
        BadSeed: the seed does not fit 64 bits.
    """
    a, b, _, _ = _words(seed, stream, exp, run, event, index)
    bits = ((a >> np.uint64(5)) << np.uint64(26)) | (b >> np.uint64(6))  # 27 + 26 bits
    return bits.astype(np.float64) * 2.0**-53


def event_draw(
    seed: int, exp: ArrayLike, run: ArrayLike, event: ArrayLike, event_type: ArrayLike, *, stream: str
) -> NDArray[np.float64]:
    """The number in [0, 1) by which a filter keeps an event.

    Jobs of several event types often have the same seed, run and numbers. Their events must not be kept together: the
    errors of a sum over all types would be larger than its weights say. So the type belongs to an event's name here.

    Args:
        seed, exp, run, event, stream: as for `uniform`.
        event_type: codes, -1 for events that do not say their type.
    """
    return uniform(seed, exp, run, event, stream=stream, index=np.asarray(event_type, np.int64) + 1)


def normal(
    seed: int, exp: ArrayLike, run: ArrayLike, event: ArrayLike, *, stream: str, index: ArrayLike = 0
) -> NDArray[np.float64]:
    """Standard normal numbers (Box and Muller 1958); arguments as for `uniform`."""
    a, b, c, d = _words(seed, stream, exp, run, event, index)
    radius = ((a << np.uint64(21)) ^ (b >> np.uint64(11))).astype(np.float64) + 0.5  # 53 bits, never 0
    angle = (c << np.uint64(21)) ^ (d >> np.uint64(11))
    return np.sqrt(-2.0 * np.log(radius * 2.0**-53)) * np.cos(angle.astype(np.float64) * (2.0 * np.pi * 2.0**-53))


def block_seed(seed: int, *words: int | str) -> int:
    """A 63-bit seed for another generator, fixed by `seed` and the words that name what it is for."""
    text = "\x1f".join([str(seed), *map(str, words)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


@lru_cache(maxsize=256)
def _key(seed: int, stream: str) -> tuple[int, int]:
    if not -(1 << 63) <= seed < (1 << 64):
        raise BadSeed(seed)
    digest = hashlib.sha256(f"{seed % (1 << 64)}\x1f{stream}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def _words(
    seed: int, stream: str, exp: ArrayLike, run: ArrayLike, event: ArrayLike, index: ArrayLike
) -> tuple[NDArray[np.uint64], ...]:
    counter = [_word("index", index), _word("event", event), _word("run", run), _word("exp", exp)]
    return philox(tuple(np.broadcast_arrays(*counter)), _key(seed, stream))


def _word(what: str, value: ArrayLike) -> NDArray[np.uint64]:
    array = np.asarray(value)
    if array.size and (array.min() < 0 or array.max() >= _WORD):
        raise BadEvent(f"the {what} number must be 0 to {_WORD - 1}, found {array.min()} to {array.max()}")
    return array.astype(np.uint64)


def philox(counter: tuple[NDArray[np.uint64], ...], key: tuple[int, int]) -> tuple[NDArray[np.uint64], ...]:
    """Ten rounds of Philox4x32 on arrays of 32-bit words held in uint64."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (
            (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0),
            p1 & _MASK,
            (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1),
            p0 & _MASK,
        )
        k0, k1 = (k0 + _W0) % _WORD, (k1 + _W1) % _WORD
    return c0, c1, c2, c3
