"""Attention and pooling on the smallest trees, by hand."""

from __future__ import annotations

import pytest
import torch

from smartbkg.models.layers import AttentionPooling, GATConv, Trees, mean_pooling


def trees_of(mother: list[int], event: list[int], n_events: int) -> Trees:
    return Trees.of(torch.tensor(mother), torch.tensor(event), n_events)


def plain_conv() -> GATConv:
    """Projection 1, no attention vectors: every neighbour counts the same."""
    conv = GATConv(1, 1, 1)
    with torch.no_grad():
        conv.fc.weight.fill_(1.0)
        conv.attn_l.zero_()
        conv.attn_r.zero_()
    return conv


def test_without_attention_each_particle_is_the_mean_of_its_neighbourhood() -> None:
    h = torch.tensor([[1.0], [2.0], [6.0], [10.0]])
    out = plain_conv()(h, trees_of([-1, 0, 0, 2], [0, 0, 0, 0], 1))
    assert out[:, 0].tolist() == pytest.approx([3.0, 1.5, 17 / 3, 8.0])


def test_attention_slope_is_one_fifth() -> None:
    conv = plain_conv()
    with torch.no_grad():
        conv.attn_l.fill_(-1.0)
    out = conv(torch.tensor([[1.0], [2.0]]), trees_of([-1, 0], [0, 0], 1))
    own, other = torch.exp(torch.tensor([-0.2, -0.4]))
    assert out[0, 0].item() == pytest.approx(((own * 1 + other * 2) / (own + other)).item())


def test_the_left_vector_is_of_the_source_and_the_right_one_of_the_target() -> None:
    h = torch.tensor([[1.0], [2.0]])
    trees = trees_of([-1, 0], [0, 0], 1)
    left, right = plain_conv(), plain_conv()
    with torch.no_grad():
        left.attn_l.fill_(1.0)
        right.attn_r.fill_(1.0)
    assert left(h, trees)[0, 0].item() == pytest.approx((1 + 2 * 2.718281828) / 3.718281828)
    assert right(h, trees)[0, 0].item() == pytest.approx(1.5)  # the same for all sources of a target


def test_the_bias_is_added_once() -> None:
    conv = plain_conv()
    with torch.no_grad():
        conv.bias.fill_(7.0)
    assert conv(torch.tensor([[1.0]]), trees_of([-1], [0], 1))[0, 0].item() == 8.0


def test_an_empty_event_pools_to_zero() -> None:
    gate = torch.nn.Linear(1, 1)
    h, trees = torch.tensor([[3.0], [5.0]]), trees_of([-1, -1], [1, 1], 3)
    assert mean_pooling(h, trees)[:, 0].tolist() == [0.0, 4.0, 0.0]
    pooled = AttentionPooling(gate)(h, trees)[:, 0].tolist()
    assert pooled[0] == pooled[2] == 0.0
    assert 3.0 < pooled[1] < 5.0


def test_pooling_follows_the_gate() -> None:
    gate = torch.nn.Linear(1, 1)
    with torch.no_grad():
        gate.weight.fill_(100.0)
    pooled = AttentionPooling(gate)(torch.tensor([[3.0], [5.0], [-9.0]]), trees_of([-1] * 3, [0, 0, 1], 2))
    assert pooled[:, 0].tolist() == pytest.approx([5.0, -9.0])
