"""Losses of an event filter on logits: binary cross-entropy, and the inverse speed-up.

Batches are balanced, so the natural proportion of the classes enters through the retention. Letters: `B` events.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from smartbkg.errors import UnknownName
from smartbkg.training.metrics import ReferenceTimes

LOSSES = ("bce", "speedup")
Loss = Callable[[Tensor, Tensor], Tensor]
# A first network can be sure and wrong, and 1/S then beyond any float: from here on it grows as its logarithm does.
_MAX_LOG = 20.0


def make_loss(name: str, retention: float, times: ReferenceTimes) -> Loss:
    """The loss of that name, a function of logits (B,) and labels (B,) bool.

    Raises:
        UnknownName
    """
    if name == "bce":
        return cross_entropy
    if name == "speedup":
        return lambda logit, passed: inverse_speed_up(logit, passed, retention, times)
    raise UnknownName("loss", name, LOSSES)


def cross_entropy(logit: Tensor, passed: Tensor) -> Tensor:
    """Mean binary cross-entropy."""
    return functional.binary_cross_entropy_with_logits(logit, passed.to(logit.dtype))


def inverse_speed_up(logit: Tensor, passed: Tensor, retention: float, times: ReferenceTimes) -> Tensor:
    """1/S of unbiased sampling with p = sigmoid(logit).

    A class that is not in the batch counts as perfectly known (all passing events kept, all failing ones dropped), so
    the value stays finite and the gradient is that of the other class.

    Args:
        logit: (B,).
        passed: (B,) bool.
        retention: fraction that passes in the natural sample.
        times: per event.
    """
    p = torch.sigmoid(logit)
    n_pass, n_fail = int(passed.sum()), int((~passed).sum())
    one = logit.new_ones(())
    log_weight = one * 0.0
    if n_pass:
        # 1/p = 1 + exp(-logit), its mean taken in logarithms: no overflow for a logit of -1000.
        log_weight = torch.logsumexp(functional.softplus(-logit[passed]), 0) - math.log(n_pass)
    kept_pass = p[passed].mean() if n_pass else one
    kept_fail = p[~passed].mean() if n_fail else one * 0.0
    kept = retention * kept_pass + (1.0 - retention) * kept_fail
    cost = (times.generate_ms + times.network_ms + times.simulate_ms * kept) / times.unfiltered_ms
    log_inverse = log_weight + torch.log(cost)
    bounded = torch.clamp(log_inverse, max=_MAX_LOG)
    return torch.exp(bounded) * (1.0 + log_inverse - bounded)
