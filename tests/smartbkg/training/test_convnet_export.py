"""The exported baseline is the trained one, whatever the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smartbkg.events import EventBatch
from smartbkg.features import CONVNET_SPEC, build
from smartbkg.models.convnet import ConvNetConfig
from smartbkg.scorer import OnnxScorer, open_scorer
from smartbkg.training.convnet_export import convnet_bytes
from support.events import Particle, decay_trees, event_batch
from support.generated import generated
from support.networks import SMALL_CONVNET, manifest_of, random_convnet, write_model

CONFIGS = [
    ConvNetConfig(),
    SMALL_CONVNET,
    ConvNetConfig(channels=4, blocks=1, kernel=5, embedding=2, units=3, max_particles=7),
]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(("n_events", "depth"), [(1, 2), (7, 2), (7, 5), (60, 4)])
def test_the_export_gives_the_logits_of_torch(config: ConvNetConfig, n_events: int, depth: int, tmp_path: Path) -> None:
    checkpoint, export = write_model(tmp_path, random_convnet(config))
    features = build(decay_trees(n_events, seed=depth, depth=depth), CONVNET_SPEC)
    exported, trained = (open_scorer(path).logits(features) for path in (export, checkpoint))
    assert np.abs(exported - trained).max() < 1e-4
    assert type(open_scorer(export)) is OnnxScorer


def test_unknown_codes_single_particles_and_empty_events_are_the_same_in_both(tmp_path: Path) -> None:
    checkpoint, export = write_model(tmp_path, random_convnet())
    odd = event_batch([[], [Particle(pdg=987654)], [Particle(), Particle(mother=0)], []], first_event=100)
    for batch in (odd, event_batch([[]]), EventBatch.empty(), EventBatch.concat([decay_trees(3), odd])):
        features = build(batch, CONVNET_SPEC)
        exported, trained = (open_scorer(path).logits(features) for path in (export, checkpoint))
        assert exported == pytest.approx(trained, abs=1e-4)


@pytest.mark.parametrize("kind", ["mixed", "uubar", "taupair"])
def test_generated_events_of_all_kinds_are_the_same_in_both(kind: str, tmp_path: Path) -> None:
    checkpoint, export = write_model(tmp_path, random_convnet(ConvNetConfig(max_particles=30)))
    features = build(generated(kind, 40), CONVNET_SPEC)
    exported, trained = (open_scorer(path).logits(features) for path in (export, checkpoint))
    assert np.abs(exported - trained).max() < 1e-4


def test_the_same_network_gives_the_same_bytes() -> None:
    network = random_convnet()
    assert convnet_bytes(network, manifest_of(network)) == convnet_bytes(network, manifest_of(network))
