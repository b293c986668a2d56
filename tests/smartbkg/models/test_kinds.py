"""Kinds of networks: by their configuration, and by their name in a manifest."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from smartbkg.errors import ModelMismatch, NotAModel
from smartbkg.models.checkpoint import load_checkpoint, save_checkpoint
from smartbkg.models.convnet import ConvNet, ConvNetConfig
from smartbkg.models.gat import Gat
from smartbkg.models.kinds import kind_of, make_network, read_config
from support.networks import SMALL_CONFIG, SMALL_CONVNET, manifest_of, random_convnet

SIZES: dict[str, Any] = dataclasses.asdict(SMALL_CONVNET)


def test_a_configuration_makes_its_network() -> None:
    assert isinstance(make_network(SMALL_CONFIG), Gat)
    assert isinstance(make_network(SMALL_CONVNET), ConvNet)
    assert (kind_of(SMALL_CONFIG), kind_of(SMALL_CONVNET)) == ("gatgap", "convnet")


def test_a_size_is_read_as_it_was_written() -> None:
    assert read_config(SIZES, "here") == SMALL_CONVNET


@pytest.mark.parametrize("harm", [{"channels": "8"}, {"channels": True}, {"channels": 8.0}, {"channels": None}])
def test_a_size_that_is_no_number_is_refused(harm: dict[str, Any]) -> None:
    with pytest.raises(NotAModel, match="wrong entries: channels"):
        read_config({**SIZES, **harm}, "here")


def test_missing_and_unknown_sizes_are_named() -> None:
    values = {name: size for name, size in SIZES.items() if name != "units"}
    with pytest.raises(NotAModel, match="wrong entries: heads, units"):
        read_config({**values, "heads": 4}, "here")


def test_a_size_of_no_network_is_refused() -> None:
    with pytest.raises(ModelMismatch, match="the kernel odd"):
        read_config({**SIZES, "kernel": 4}, "here")


def test_a_baseline_comes_back_from_its_checkpoint_with_its_scales(tmp_path: Path) -> None:
    network = random_convnet()
    save_checkpoint(tmp_path / "a.pth", network, manifest_of(network))
    opened = load_checkpoint(tmp_path / "a.pth")
    assert isinstance(opened.network, ConvNet)
    state = network.state_dict()
    assert {"low", "span"} < set(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in opened.network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"channels": 16}, r"stem\.weight has the shape"),
        ({"blocks": 3}, "missing: blocks.2"),
        ({"n_tokens": 9}, "shape"),
    ],
)
def test_weights_of_another_size_than_the_manifest_says_are_refused(
    change: dict[str, int], said: str, tmp_path: Path
) -> None:
    network = random_convnet()
    manifest = dataclasses.replace(manifest_of(network), model_config={**SIZES, **change})
    save_checkpoint(tmp_path / "a.pth", network, manifest)
    with pytest.raises(NotAModel, match=said):
        load_checkpoint(tmp_path / "a.pth")


def test_a_baseline_of_another_pdg_table_or_other_features_is_refused(tmp_path: Path) -> None:
    for change, said in (({"n_tokens": 9}, "embeds 9 tokens"), ({"features": 5}, "takes 5 features")):
        network = ConvNet(ConvNetConfig(**{**SIZES, **change}))
        save_checkpoint(tmp_path / "a.pth", network, manifest_of(network))
        with pytest.raises(ModelMismatch, match=said):
            load_checkpoint(tmp_path / "a.pth")


def test_a_checkpoint_of_another_kind_of_filter_is_refused_by_name(tmp_path: Path) -> None:
    network = random_convnet()
    save_checkpoint(tmp_path / "a.pth", network, dataclasses.replace(manifest_of(network), kind="multiskim"))
    with pytest.raises(ModelMismatch, match="is a 'multiskim' model; 'gatgap' or 'convnet' was asked for"):
        load_checkpoint(tmp_path / "a.pth")
