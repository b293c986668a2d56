"""Losses: values, gradients, and what happens at the edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smartbkg.errors import UnknownName
from smartbkg.training.loss import LOSSES, cross_entropy, inverse_speed_up, make_loss
from smartbkg.training.metrics import REFERENCE_TIMES, speed_up

PASSED = torch.tensor([True, False, True, False, False])


def inverse(logit: torch.Tensor, passed: torch.Tensor = PASSED) -> torch.Tensor:
    return inverse_speed_up(logit, passed, 0.05, REFERENCE_TIMES)


def test_inverse_speed_up_is_one_over_the_figure_of_merit() -> None:
    logit = torch.randn(5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    figure = speed_up(torch.sigmoid(logit).numpy(), PASSED.numpy(), 0.05)
    assert inverse(logit).item() == pytest.approx(1 / figure)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    loss = make_loss(name, 0.05, REFERENCE_TIMES)
    logit = torch.linspace(-2, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: loss(values, PASSED), logit)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("labels", [[True] * 4, [False] * 4, [True], [False]])
def test_one_class_alone_gives_finite_values_and_gradients(name: str, labels: list[bool]) -> None:
    logit = torch.zeros(len(labels), requires_grad=True)
    loss = make_loss(name, 0.05, REFERENCE_TIMES)(logit, torch.tensor(labels))
    loss.backward()  # type: ignore[no-untyped-call]
    assert logit.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(logit.grad).all()
    wanted = -1.0 if labels[0] else 1.0  # passing events up, failing ones down
    assert (torch.sign(logit.grad) == wanted).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [50.0, 1000.0, 1e6])
def test_wild_logits_give_finite_values_and_a_way_back(name: str, size: float) -> None:
    logit = torch.tensor([-size, size, size, -size, 0.0], requires_grad=True)
    loss = make_loss(name, 0.05, REFERENCE_TIMES)(logit, PASSED)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logit.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(logit.grad).all()
    assert logit.grad[0] < 0  # a passing event with p = 0 is pushed up


def test_cross_entropy_of_no_knowledge_is_log_two() -> None:
    assert cross_entropy(torch.zeros(5), PASSED).item() == pytest.approx(np.log(2))


def test_an_unknown_loss_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="unknown loss 'speedupp'; near: speedup"):
        make_loss("speedupp", 0.05, REFERENCE_TIMES)
