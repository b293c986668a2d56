"""A training goes on from a state of its own, and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from smartbkg.errors import NotAModel, TrainingError
from smartbkg.training.states import identity_of, read_state

OWN = json.dumps({"seed": 1, "data": "abc"})


def _saved(path: Path, **values: object) -> Path:
    torch.save(values, path)
    return path


def test_a_state_of_the_same_training_is_read(tmp_path: Path) -> None:
    path = _saved(tmp_path / "state.pt", identity=OWN, weights=torch.ones(2))
    values = read_state(path, ("weights",), OWN)
    assert values["weights"].tolist() == [1.0, 1.0]
    assert identity_of(values, path) == {"seed": 1, "data": "abc"}


def test_another_training_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = _saved(tmp_path / "state.pt", identity=json.dumps({"seed": 2, "data": "abc"}))
    with pytest.raises(TrainingError, match="seed 2 instead of 1") as caught:
        read_state(path, (), OWN)
    assert "data" not in str(caught.value)


def test_a_torch_file_of_something_else_is_no_state(tmp_path: Path) -> None:
    path = _saved(tmp_path / "state.pt", model_state_dict={})
    with pytest.raises(NotAModel, match="lacks identity, weights; found model_state_dict"):
        read_state(path, ("weights",), OWN)


@pytest.mark.parametrize("identity", ["no JSON", "[1]", 7])
def test_an_identity_that_is_none_is_no_state(tmp_path: Path, identity: object) -> None:
    path = _saved(tmp_path / "state.pt", identity=identity)
    with pytest.raises(NotAModel, match="identity of its training"):
        read_state(path, (), OWN)
