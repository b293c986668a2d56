"""The configuration payload: what is deployed can be read, what does not fit is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from smartbkg.errors import BadEvent, BadScore, FrameworkError, ModelMismatch, NotAModel, UnknownName
from smartbkg.smartbackground import (
    SkimEntry,
    SmartBackgroundConfig,
    activation,
    activation_parameters,
    all_event_types,
    skim_code,
)

CONFIG = SmartBackgroundConfig(
    max_weight=100.0,
    event_types=all_event_types(),
    skims=(SkimEntry(0, 11180500, "feiHadronic", 0.46, 1.392), SkimEntry(1, 12160100, "BToXgamma", 0.463, 2.281)),
    pdg_codes=(0, -1, 1),
    weights_sha256="a" * 64,
    batched_sha256="b" * 64,
    provenance={"seed": 1},
)


def changed(**entries: Any) -> str:
    values = {**json.loads(CONFIG.to_json()), **entries}
    return json.dumps({name: value for name, value in values.items() if value is not ...})


def test_a_configuration_survives_its_json() -> None:
    assert SmartBackgroundConfig.from_json(CONFIG.to_json()) == CONFIG
    assert SmartBackgroundConfig.from_json(CONFIG.to_json().encode()).to_json() == CONFIG.to_json()


def test_a_deployed_configuration_without_our_entries_is_read_and_written_again() -> None:
    deployed = (
        '{"max_weight":100.0,"event_types":{"ccbar":0,"charged":1},"skims":[{"index":0,"code":11180500,'
        '"name":"feiHadronic","a":0.46,"b":1.392}],"pdg_codes":[0,-1,1]}'
    )
    config = SmartBackgroundConfig.from_json(deployed)
    assert (config.weights_sha256, config.batched_sha256, config.provenance) == (None, None, {})
    assert config.to_json().strip() == deployed


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"max_weight": ...}, "missing: max_weight"),
        ({"skims": ..., "pdg_codes": ...}, "missing: skims, pdg_codes"),
        ({"sigmoid": True}, "unknown: sigmoid"),
        ({"max_weight": 0.5}, "max_weight is 0.5"),
        ({"max_weight": math.nan}, "max_weight is nan"),
        ({"max_weight": True}, "max_weight is True"),
        ({"event_types": {}}, "event_types is {}"),
        ({"event_types": {"ccbar": 0, "charged": 2}}, "event_types is"),
        ({"event_types": ["ccbar"]}, "event_types is a list"),
        ({"skims": []}, "no list of at least one skim"),
        ({"skims": [{"index": 0, "code": 1, "name": "x", "a": 0.5}]}, "skim 0 has not just the entries"),
        ({"skims": [{"index": 1, "code": 1, "name": "x", "a": 0.5, "b": 0}]}, "skim 0 has a wrong index"),
        ({"skims": [{"index": 0, "code": 1, "name": "x", "a": math.inf, "b": 0}]}, "skim 0 has a wrong index"),
        ({"skims": [{"index": i, "code": 1, "name": f"x{i}", "a": 1, "b": 0} for i in (0, 1)]}, "code 1 stands for"),
        ({"skims": [{"index": i, "code": i, "name": "x", "a": 1, "b": 0} for i in (0, 1)]}, "name x stands for"),
        ({"pdg_codes": [0, 0]}, "no list of different PDG codes"),
        ({"max_weight": 10**400}, "max_weight is 1000"),
        ({"skims": [{"index": 0, "code": 1, "name": "x", "a": 0, "b": -(10**400)}]}, "skim 0 has a wrong index"),
        ({"pdg_codes": [0, 1 << 63]}, "no list of different PDG codes"),
        ({"pdg_codes": ["pi+"]}, "no list of different PDG codes"),
        ({"weights_sha256": 7}, "weights_sha256 is 7"),
        ({"provenance": []}, "provenance is a list"),
    ],
)
def test_what_is_no_configuration_is_refused_and_says_why(entries: dict[str, Any], said: str) -> None:
    with pytest.raises(NotAModel, match=f"cannot use payload.json as a trained model: .*{said}"):
        SmartBackgroundConfig.from_json(changed(**entries), "payload.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"a": ' * 100_000])
def test_text_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(NotAModel, match="JSON"):
        SmartBackgroundConfig.from_json(text)


def test_an_entry_that_is_there_twice_is_refused() -> None:
    twice = CONFIG.to_json().replace('"max_weight"', '"max_weight":1000.0,"max_weight"', 1)
    with pytest.raises(NotAModel, match="'max_weight' is there twice"):
        SmartBackgroundConfig.from_json(twice)


def test_skims_are_found_by_code_in_the_order_asked_for_and_called_as_the_user_does() -> None:
    second, first = CONFIG.select([12160100, 11180500], ["myGamma", "feiHadronic"])
    assert (second, first) == (dataclasses.replace(CONFIG.skims[1], name="myGamma"), CONFIG.skims[0])


@pytest.mark.parametrize(
    ("codes", "names", "error", "said"),
    [
        ([], [], FrameworkError, "no skim was named"),
        ([11180500], ["feiHadronic", "feiSL"], FrameworkError, r"1 skim codes \(11180500\) for 2 skim names"),
        ([11180500, 11180500], ["a", "b"], FrameworkError, "code 11180500 is given more than once"),
        ([11180500, 12160100], ["a", "a"], FrameworkError, "name a is given more than once"),
        ([11180501], ["x"], UnknownName, "unknown skim code '11180501'; near: 11180500; known: 11180500, 12160100"),
    ],
)
def test_wrong_lists_of_skims_are_refused(
    codes: list[int], names: list[str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        CONFIG.select(codes, names)


def test_event_types_have_the_deployed_numbers() -> None:
    assert [CONFIG.event_type(name) for name in ("ccbar", "charged", "mixed", "taupair", "uubar")] == [0, 1, 3, 5, 6]


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("mixd", UnknownName, "unknown event type 'mixd'; near: mixed"),
        (None, BadEvent, "do not say their type .* one of ccbar, charged"),
        ("", BadEvent, "do not say their type"),
    ],
)
def test_an_unknown_or_missing_event_type_is_refused(name: str | None, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        CONFIG.event_type(name)


def test_weights_with_another_number_of_outputs_are_refused() -> None:
    CONFIG.check_outputs(2, "w.onnx")
    with pytest.raises(ModelMismatch, match=r"w.onnx gives 51 outputs and its configuration names 2 skims"):
        CONFIG.check_outputs(51, "w.onnx")


def test_weights_of_another_training_are_refused_by_their_digest() -> None:
    CONFIG.check_weights("a" * 64, "w.onnx")
    CONFIG.check_weights("b" * 64, "w_batched.onnx", batched=True)
    for batched, digest in ((False, "b" * 64), (True, "a" * 64)):
        with pytest.raises(ModelMismatch, match=r"w\.onnx has the digest .* of two trainings"):
            CONFIG.check_weights(digest, "w.onnx", batched=batched)


def test_a_configuration_made_elsewhere_has_no_digest_to_check() -> None:
    dataclasses.replace(CONFIG, weights_sha256=None).check_weights("c" * 64, "w.onnx")


def test_the_activation_is_the_clipped_exponential() -> None:
    logit = np.array([[-1e9, 0.0, 1.0], [2.0, 5.0, math.inf]])
    a, b = np.array([0.5, 0.4, 0.46]), np.array([3.0, 1.0, 1.392])
    expected = np.clip(np.exp(np.minimum(a * (logit - b), 700)), 0.01, 1.0)
    assert activation(logit, a, b, 100.0) == pytest.approx(expected)
    assert activation(-math.inf, 0.5, 0.0, 20.0) == pytest.approx(0.05)


def test_a_logit_that_is_not_a_number_has_no_probability() -> None:
    with pytest.raises(BadScore, match="1 of 2 logits are NaN"):
        activation([0.0, math.nan], 0.5, 0.0)


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 0.0, 1.0], [0.5, math.nan], [0.5, "x"], [True, 0.0]])
def test_a_wrong_number_of_activation_parameters_is_refused(values: list[Any]) -> None:
    assert activation_parameters([0.5, 0]) == (0.5, 0.0)
    assert activation_parameters(np.array([0.25, -1], np.float32)) == (0.25, -1.0)  # type: ignore[arg-type]
    with pytest.raises(FrameworkError, match="two parameters"):
        activation_parameters(values)


def test_a_skim_without_a_code_gets_one_that_follows_from_its_name() -> None:
    assert skim_code("feiHadronic", 11180500) == 11180500
    assert skim_code("mySkim", None) != skim_code("yourSkim", None)
    assert 99_000_000 <= skim_code("mySkim", None) < 100_000_000
