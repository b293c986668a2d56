"""What travels inside a multi-skim file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smartbkg.errors import ModelMismatch, NotAModel
from smartbkg.events import EVENT_TYPES
from smartbkg.multiskim_manifest import MultiSkimManifest
from smartbkg.pdg import PdgTable

MANIFEST = MultiSkimManifest(
    skims=((11180500, "feiHadronic"), (11180600, "feiSL")),
    model_config={"d_model": 64},
    data_digest="d",
    checkpoint_sha256="c",
    single_sha256="s",
    metrics={"auc": [0.9, 0.8]},
    parent={"sha256": "p"},
)


def changed(**entries: Any) -> str:
    return json.dumps({**MANIFEST.as_dict(), **entries})


def test_a_manifest_survives_json() -> None:
    assert MultiSkimManifest.from_json(MANIFEST.to_json(), "a.onnx") == MANIFEST


def test_it_says_how_inputs_are_made_and_what_outputs_mean() -> None:
    values = json.loads(MANIFEST.to_json())
    assert values["kind"] == "multiskim"
    assert values["skims"][0] == {"code": 11180500, "name": "feiHadronic"}
    assert values["event_types"] == list(EVENT_TYPES)
    assert values["feature_spec"]["features"][:2] == ["time_since_first_ns", "x_since_first_cm"]
    assert values["token_digest"] == PdgTable.smartbackground().digest


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("{", NotAModel, "no JSON"),
        ("[]", NotAModel, "no JSON object"),
        (changed(kind="gatgap"), ModelMismatch, "is a 'gatgap' model; a 'multiskim' one was asked for"),
        (changed(format=2), NotAModel, "format 2"),
        (changed(more=1), NotAModel, "missing or unknown entries: more"),
        (changed(metrics=[]), NotAModel, "metrics of its manifest is a list"),
        (changed(skims=[{"code": "11180500", "name": "feiHadronic"}]), NotAModel, "codes and names, each once"),
        (changed(skims=[{"code": 1, "name": "a"}] * 2), NotAModel, "codes and names, each once"),
        (changed(skims=[1]), NotAModel, "codes and names, each once"),
        (changed(feature_spec={}), ModelMismatch, "another convention"),
    ],
)
def test_a_wrong_manifest_is_refused_and_told(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        MultiSkimManifest.from_json(text, "a.onnx")


def test_another_pdg_table_is_refused() -> None:
    MANIFEST.check_table(PdgTable.smartbackground(), "a.onnx")
    with pytest.raises(ModelMismatch, match=r"a\.onnx was trained with another PDG table"):
        MANIFEST.check_table(PdgTable.of_codes([0, 211]), "a.onnx")
