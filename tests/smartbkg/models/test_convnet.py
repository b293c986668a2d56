"""The convolutional baseline: what it sees, and what it must not see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smartbkg.errors import ModelMismatch
from smartbkg.events import EventBatch
from smartbkg.features import CONVNET_SPEC, Features, build
from smartbkg.models.convnet import ConvNet, ConvNetConfig
from smartbkg.models.scoring import network_logits
from support.events import Particle, decay_trees, event_batch
from support.networks import SMALL_CONVNET, random_convnet


def logits(network: ConvNet, features: Features) -> np.ndarray:  # type: ignore[type-arg]
    return network_logits(network, features.network_inputs())


@pytest.fixture(scope="module")
def features() -> Features:
    odd = event_batch([[], [Particle(pdg=987654)], [Particle(), Particle(mother=0)], []], first_event=100)
    return build(EventBatch.concat([decay_trees(20, seed=4), odd]), CONVNET_SPEC)


def test_the_usual_network_is_compact() -> None:
    n_parameters = sum(parameter.numel() for parameter in ConvNet().parameters())
    assert n_parameters < 60_000  # half of GATGAP's


def test_events_do_not_see_each_other_nor_the_padding(features: Features) -> None:
    network = random_convnet()
    together = logits(network, features)
    alone = np.concatenate([logits(network, features.between(i, i + 1)) for i in range(len(features))])
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.ptp(together) > 0.1


def test_events_without_particles_have_a_logit_of_their_own(features: Features) -> None:
    network = random_convnet()
    nothing = build(event_batch([[], []]), CONVNET_SPEC)
    assert np.isfinite(logits(network, nothing)).all()
    assert logits(network, nothing) == pytest.approx(logits(network, features)[[20, 23]], abs=1e-6)


def test_particles_after_the_last_place_are_not_seen(features: Features) -> None:
    network = random_convnet(ConvNetConfig(**{**vars(SMALL_CONVNET), "max_particles": 5}))
    longer = build(
        event_batch([[Particle(pdg=code) for code in (211, -211, 22, 321, 13, other)] for other in (11, -11)]),
        CONVNET_SPEC,
    )
    first, second = logits(network, longer)
    assert first == pytest.approx(second, abs=1e-6)
    five = longer.between(0, 1)
    cut = Features(five.x[:5], five.token[:5], five.mother[:5], np.array([0, 5]))
    assert logits(network, cut) == pytest.approx(first, abs=1e-5)


def test_every_input_matters() -> None:
    network = random_convnet()
    event = [Particle(pdg=511, charge=0.0), Particle(pdg=211, mother=0, px_gev=0.3), Particle(pdg=-211, mother=0)]
    changed = [
        [event[0], Particle(pdg=321, mother=0, px_gev=0.3), event[2]],
        [event[0], Particle(pdg=211, mother=-1, px_gev=0.3), event[2]],
        [event[0], Particle(pdg=211, mother=0, px_gev=0.4), event[2]],
        [event[0], Particle(pdg=211, mother=0, px_gev=0.3, charge=-1.0), event[2]],
        [event[0], Particle(pdg=211, mother=0, px_gev=0.3, charge=0.0), event[2]],
        [event[0], event[2], Particle(pdg=211, mother=0, px_gev=0.3)],  # another order
        [Particle(pdg=521, charge=0.0), event[1], event[2]],  # the mother's code
    ]
    values = logits(network, build(event_batch([event, *changed]), CONVNET_SPEC))
    assert len(np.unique(values.round(5))) == 1 + len(changed)


def test_numbers_outside_the_scales_are_taken_for_the_nearest() -> None:
    network = random_convnet()
    network.scale_to(torch.full((9,), -1.0), torch.full((9,), 1.0))
    momenta = (1.0, 5.0, -1.0, -7.0)
    values = logits(network, build(event_batch([[Particle(px_gev=p)] for p in momenta]), CONVNET_SPEC))
    assert values[0] == values[1] != values[2] == values[3]


def test_a_number_that_is_always_the_same_is_scaled_to_nothing() -> None:
    network = random_convnet()
    network.scale_to(torch.full((9,), 0.5), torch.full((9,), 0.5))
    assert torch.equal(network.span, torch.ones(9))


@pytest.mark.parametrize("wrong", [{"kernel": 2}, {"channels": 0}, {"features": 1}, {"blocks": -1}])
def test_sizes_that_make_no_network_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ModelMismatch, match="sizes are at least 1"):
        ConvNetConfig(**wrong)
