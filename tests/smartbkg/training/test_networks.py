"""What a training knows about the kinds of networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smartbkg.features import CONVNET_SPEC, GATGAP_SPEC
from smartbkg.models.convnet import ConvNet
from smartbkg.models.kinds import DEFAULTS, SPECS, kind_of, make_network
from smartbkg.training import networks
from smartbkg.training.data import TrainingSet, prepare
from smartbkg.training.networks import KINDS, fit_scales, kind_for
from support.networks import SMALL_CONFIG, SMALL_CONVNET, random_network
from support.training import SKIM, write_toy_sample


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    folder = tmp_path_factory.mktemp("toy")
    sample = write_toy_sample(folder, n_events=60)
    return prepare([sample.events], [sample.labels], SKIM, folder / "data", spec=CONVNET_SPEC)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_whole(name: str) -> None:
    kind, network = KINDS[name], make_network(DEFAULTS[name])
    assert (kind_of(network.config), kind_for(network.config), kind.name) == (name, kind, name)
    assert network.config.features == len(kind.spec.features)
    assert set(KINDS) == set(SPECS) == set(DEFAULTS)


def test_the_published_names_are_those_of_gatgap() -> None:
    assert (KINDS["gatgap"].checkpoint, KINDS["gatgap"].export) == ("GATGAPgen.pth", "GATGAPgen.onnx")
    assert KINDS["gatgap"].spec == GATGAP_SPEC


@pytest.mark.parametrize("n_rows", [7, 10**6])
def test_scales_are_those_of_the_events_trained_on(
    n_rows: int, data: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "_ROWS", n_rows)
    rows = np.arange(0, 60, 3)
    network = ConvNet(SMALL_CONVNET)
    fit_scales(network, data, rows)
    x = data.features.select(rows).x[:, :-1]
    assert torch.equal(network.low, torch.from_numpy(x.min(axis=0)))
    same = x.max(axis=0) == x.min(axis=0)
    assert np.allclose(network.span.numpy()[~same], (x.max(axis=0) - x.min(axis=0))[~same])
    assert not torch.equal(network.low, torch.from_numpy(data.features.x[:, :-1].min(axis=0)))


def test_gatgap_has_no_scales(data: TrainingSet) -> None:
    network = random_network(SMALL_CONFIG)
    fit_scales(network, data, np.arange(3))
    assert network.state_dict().keys() == random_network(SMALL_CONFIG).state_dict().keys()


def test_events_without_particles_leave_the_scales(data: TrainingSet) -> None:
    network = ConvNet(SMALL_CONVNET)
    fit_scales(network, data, np.zeros(0, int))
    assert torch.equal(network.low, torch.zeros(9))
