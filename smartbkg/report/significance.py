"""How likely a difference is by chance: p-values of χ², Kolmogorov–Smirnov and binomial tests, without scipy.

Letters: `K` bins.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Relative size of a term that no longer changes a p-value anybody reads, and terms after which we give up: a χ² of
# a million bins needs some thousand.
_SMALL, _MANY = 1e-12, 100_000
# Outcomes farther than this many standard deviations from the mean, and this many beside, add less than 1e-30.
_WIDE = 12.0


def chi2_p_value(chi2: float, freedom: float) -> float:
    """Probability of a larger χ² with so many degrees of freedom, not necessarily a whole number; NaN for none.

    >>> round(chi2_p_value(3.841459, 1), 6), round(chi2_p_value(18.307038, 10), 6)
    (0.05, 0.05)
    """
    if not freedom > 0 or math.isnan(chi2):
        return math.nan
    a, x = freedom / 2.0, chi2 / 2.0
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1.0 - front * _series(a, x) if x < a + 1.0 else front * _fraction(a, x)


def ks_p_value(distance: float, n: float) -> float:
    """Probability of a larger Kolmogorov–Smirnov distance with n effective events; for many events.

    >>> round(ks_p_value(1.358 / 10, 100), 3)
    0.05
    """
    if math.isnan(distance) or not n > 0:
        return math.nan
    size = distance * math.sqrt(n)
    if size < 0.2:  # the sum converges slowly there, to 1
        return 1.0
    total = math.fsum((-1.0) ** (k - 1) * math.exp(-2.0 * (k * size) ** 2) for k in range(1, 101))
    return min(max(2.0 * total, 0.0), 1.0)


def binomial_p_values(found: NDArray[Any], of: NDArray[Any], rate: float) -> Floats:
    """(K,) probability of an outcome that is at most as likely as the one found; NaN in bins without events.

    Args:
        found: (K,) events that were kept.
        of: (K,) events there were.
        rate: probability to keep one.

    >>> binomial_p_values(np.array([5, 0]), np.array([10, 10]), 0.5).round(6).tolist()
    [1.0, 0.001953]
    """
    found, of = np.asarray(found).astype(int), np.asarray(of).astype(int)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(of.max(initial=0)) + 1)))])
    return np.array([_binomial(int(k), int(n), rate, log_factorial) for k, n in zip(found, of, strict=True)])


def likely_largest(n: int) -> float:
    """The largest |pull| that half of all unbiased samples stay below, in n independent bins.

    >>> round(likely_largest(331), 1)
    3.1
    """
    return 0.0 if n < 1 else NormalDist().inv_cdf((1.0 + 0.5 ** (1.0 / n)) / 2.0)


def _series(a: float, x: float) -> float:
    """Σ x^k / (a (a+1) … (a+k)), the lower incomplete gamma function but for its front factor."""
    term = total = 1.0 / a
    for k in range(1, _MANY):
        term *= x / (a + k)
        total += term
        if term < total * _SMALL:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """The continued fraction of the upper incomplete gamma function, from its front by two recursions."""
    b = x + 1.0 - a
    c, d = math.inf, 1.0 / b
    total = d
    for k in range(1, _MANY):
        numerator = -k * (k - a)
        b += 2.0
        d = 1.0 / (numerator * d + b)
        c = b + numerator / c
        total *= c * d
        if abs(c * d - 1.0) < _SMALL:
            break
    return total


def _binomial(k: int, n: int, rate: float, log_factorial: Floats) -> float:
    if n == 0:
        return math.nan
    if not 0.0 < rate < 1.0:
        return 1.0 if k == round(n * rate) else 0.0
    mean, width = n * rate, _WIDE * math.sqrt(n * rate * (1.0 - rate)) + _WIDE
    outcome = np.arange(max(0, math.floor(mean - width)), min(n, math.ceil(mean + width)) + 1)

    def log_probability(j: NDArray[Any]) -> Floats:
        ways = log_factorial[n] - log_factorial[j] - log_factorial[n - j]
        return np.asarray(ways + j * math.log(rate) + (n - j) * math.log1p(-rate))

    own = log_probability(np.array([k]))[0]
    every = log_probability(outcome)
    # Outcomes as likely as this one count, also where their logarithms differ by rounding.
    return float(min(np.exp(every[every <= own + 1e-9]).sum(), 1.0))
