"""The multi-skim network: shapes, padding, relations, and that it can learn from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from smartbkg.errors import ModelMismatch
from smartbkg.models.transformer import RELATIONS, Transformer, TransformerConfig, relations, scaled
from support.transformers import SMALL_TRANSFORMER, padded, random_transformer

CHAIN = torch.tensor([[-1, 0, 0, 1, 3, -1, -1]])  # 0 -> 1, 2; 1 -> 3 -> 4; 5 alone; 6 is padding
REAL = torch.tensor([[1.0] * 6 + [0.0]]).unsqueeze(-1)


def pairs(plane: Tensor) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in plane.nonzero()}


def test_relations_are_those_of_the_tree() -> None:
    planes = dict(zip((*RELATIONS, "padding"), relations(CHAIN, REAL, doublings=3)[:, 0], strict=True))
    assert pairs(planes["self"]) == {(i, i) for i in range(7)}
    assert pairs(planes["mother"]) == {(1, 0), (2, 0), (3, 1), (4, 3)}
    assert pairs(planes["child"]) == {(0, 1), (0, 2), (1, 3), (3, 4)}
    assert pairs(planes["sibling"]) == {(i, i) for i in range(1, 5)} | {(1, 2), (2, 1)}
    assert pairs(planes["ancestor"]) == {(1, 0), (2, 0), (3, 1), (4, 3), (3, 0), (4, 1), (4, 0)}
    assert pairs(planes["descendant"]) == {(j, i) for i, j in pairs(planes["ancestor"])}
    assert pairs(planes["padding"]) == {(i, 6) for i in range(7)}


@pytest.mark.parametrize("doublings", [1, 2, 3, 4])
def test_ancestors_count_as_far_up_as_asked(doublings: int) -> None:
    chain = torch.arange(-1, 29).unsqueeze(0)
    planes = relations(chain, torch.ones(1, 30, 1), doublings)
    far = 2**doublings
    assert pairs(planes[RELATIONS.index("ancestor")][0]) == {
        (i, i - k) for i in range(30) for k in range(1, far + 1) if k <= i
    }
    assert planes.unique().tolist() == [0.0, 1.0]


def test_numbers_come_to_a_common_scale() -> None:
    x = torch.zeros(1, 3, 8)
    x[0, 1] = torch.tensor([3.0, 9.9, -500.0, 9.9, 7.0, 4.0, -4.0, 4.0])  # as large as generated events have it
    x[0, 2] = torch.tensor([1e-4, 1e-3, -1e-3, 1e-3, 0.01, 0.001, 0.001, -0.01])
    numbers = scaled(x)
    assert numbers.shape == (1, 3, 16)
    assert torch.isfinite(numbers).all()
    assert numbers.abs().max() < 8
    assert numbers[0, 2, :5].abs().min() > 0.02  # a tenth of a typical flight is still seen


def test_there_is_one_logit_a_skim() -> None:
    network, inputs = random_transformer(), padded(n_events=5)
    assert network(*inputs).shape == (5, SMALL_TRANSFORMER.n_skims)
    assert Transformer()(*inputs).shape == (5, 51)


@pytest.mark.parametrize("more", [1, 7, 60])
def test_padding_changes_nothing(more: int) -> None:
    network, (x, pdg, mother, c) = random_transformer(), padded(n_events=6)
    b = len(c)
    longer = (
        torch.cat([x, torch.zeros(b, more, 8)], dim=1),
        torch.cat([pdg, torch.full((b, more), -1)], dim=1),
        torch.cat([mother, torch.full((b, more), -1)], dim=1),
        c,
    )
    assert torch.allclose(network(*longer), network(x, pdg, mother, c), atol=2e-6)


def test_events_do_not_see_each_other() -> None:
    network, (x, pdg, mother, c) = random_transformer(), padded(n_events=6)
    together = network(x, pdg, mother, c)
    apart = torch.cat([network(x[i : i + 1], pdg[i : i + 1], mother[i : i + 1], c[i : i + 1]) for i in range(6)])
    assert torch.allclose(together, apart, atol=2e-6)


def test_the_order_of_particles_does_not_matter() -> None:
    network, (x, pdg, mother, c) = random_transformer(), padded(n_events=4)
    order = torch.from_numpy(np.random.default_rng(2).permutation(x.shape[1]))
    place = torch.argsort(order)
    moved = torch.where(mother >= 0, place[mother.clamp(min=0)], mother)[:, order]
    assert torch.allclose(network(x[:, order], pdg[:, order], moved, c), network(x, pdg, mother, c), atol=2e-6)


@pytest.mark.parametrize("what", ["x", "pdg", "mother", "c"])
def test_every_input_matters(what: str) -> None:
    network, inputs = random_transformer(), padded(n_events=4)
    changed = dict(zip(("x", "pdg", "mother", "c"), inputs, strict=True))
    before = network(*inputs)
    changed |= {
        "x": {"x": changed["x"] * 1.3},
        "pdg": {"pdg": torch.where(changed["pdg"] >= 0, (changed["pdg"] + 1) % 562, changed["pdg"])},
        "mother": {"mother": torch.full_like(changed["mother"], -1)},
        "c": {"c": (changed["c"] + 1) % 7},
    }[what]
    assert (network(**changed) - before).abs().max(dim=1).values.min() > 1e-3


def test_an_event_without_particles_has_finite_logits_of_its_type_alone() -> None:
    network = random_transformer()

    def empty(length: int) -> Tensor:
        none = torch.full((2, length), -1)
        logits: Tensor = network(torch.zeros(2, length, 8), none, none, torch.tensor([1, 4]))
        return logits

    assert torch.isfinite(empty(3)).all()
    assert torch.allclose(empty(3), empty(40), atol=1e-6)
    assert not torch.allclose(empty(3)[0], empty(3)[1])


def test_it_learns_what_only_relations_tell() -> None:
    """Are there two kaons of one mother? All events have the same particles; only the links differ."""
    rng = np.random.default_rng(5)
    mother = np.full((256, 6), -1)
    mother[:, 2:] = rng.permuted(np.tile([0, 0, 1, 1], (256, 1)), axis=1)
    label = torch.from_numpy(mother[:, 2] == mother[:, 3]).float()
    pdg = torch.tensor([5, 5, 9, 9, 3, 3]).expand(256, -1)
    inputs = (torch.zeros(256, 6, 8), pdg, torch.from_numpy(mother), torch.zeros(256, dtype=torch.int64))
    torch.manual_seed(1)
    network = Transformer(TransformerConfig(n_skims=1, d_model=16, heads=4, layers=2, d_hidden=16, d_head=16))
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(*inputs)[:, 0], label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


@pytest.mark.parametrize("change", [{"layers": 0}, {"d_model": 30, "heads": 4}, {"n_skims": -1}])
def test_impossible_sizes_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ModelMismatch, match="sizes are at least 1 and d_model is a multiple of heads"):
        TransformerConfig(**change)
