"""What travels inside a trained file."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from smartbkg.errors import ModelMismatch, NotAModel
from smartbkg.features import GATGAP_SPEC, FeatureSpec
from smartbkg.manifest import Manifest

MANIFEST = Manifest(
    kind="gatgap",
    feature_spec=replace(GATGAP_SPEC, max_vertex_cm=8.0),
    token_digest=GATGAP_SPEC.token_digest,
    model_config={"units": 32, "gap": True},
    skim="feiHadronic",
    data_digest="d" * 64,
    checkpoint_sha256="c" * 64,
    metrics={"auc": 0.9, "activation": {"scale": 0.5}},
)


def test_a_manifest_survives_json() -> None:
    assert Manifest.from_json(MANIFEST.to_json(), "here") == MANIFEST


def test_the_parent_of_a_fine_tuning_is_there_only_when_there_is_one() -> None:
    assert "parent" not in MANIFEST.as_dict()  # files of trainings from nothing are what they were
    refined = replace(MANIFEST, parent={"sha256": "e" * 64, "skim": "feiSL", "name": "GATGAPgen.pth", "revision": 2})
    assert Manifest.from_json(refined.to_json(), "here") == refined
    with pytest.raises(NotAModel, match="parent of its manifest is a int"):
        Manifest.from_json(json.dumps({**MANIFEST.as_dict(), "parent": 5}), "model.onnx")


def test_equal_manifests_give_equal_text() -> None:
    other = replace(MANIFEST, metrics={"activation": {"scale": 0.5}, "auc": 0.9})
    assert other.to_json() == MANIFEST.to_json()


def test_another_pdg_table_is_refused_with_both_digests() -> None:
    text = replace(MANIFEST, token_digest="f" * 64).to_json()
    with pytest.raises(ModelMismatch, match=f"model.onnx .*{'f' * 12}.*{GATGAP_SPEC.token_digest[:12]}"):
        Manifest.from_json(text, "model.onnx")


@pytest.mark.parametrize("text", ["{", "[]", "null", '"text"', "{}", "[" * 100_000], ids=lambda text: text[:6])
def test_text_that_is_no_manifest_is_refused_by_file(text: str) -> None:
    with pytest.raises(NotAModel, match=r"model\.onnx"):
        Manifest.from_json(text, "model.onnx")


def test_a_missing_or_unknown_entry_is_named() -> None:
    values = MANIFEST.as_dict()
    del values["skim"]
    with pytest.raises(NotAModel, match="colour, skim"):
        Manifest.from_json(json.dumps({**values, "colour": 1}), "model.onnx")


def test_another_format_is_refused() -> None:
    with pytest.raises(NotAModel, match="another release"):
        Manifest.from_json(json.dumps({**MANIFEST.as_dict(), "format": 2}), "model.onnx")


@pytest.mark.parametrize("entry", [name for name in MANIFEST.as_dict() if name != "format"])
def test_an_entry_of_the_wrong_kind_is_refused(entry: str) -> None:
    with pytest.raises(NotAModel, match=f"{entry} of its manifest is a int"):
        Manifest.from_json(json.dumps({**MANIFEST.as_dict(), entry: 5}), "model.onnx")


@pytest.mark.parametrize("entry", ["token_digest", "kind", "metrics"])
def test_an_entry_that_must_be_there_is_not_null(entry: str) -> None:
    with pytest.raises(NotAModel, match=f"{entry} of its manifest is a NoneType"):
        Manifest.from_json(json.dumps({**MANIFEST.as_dict(), entry: None}), "model.onnx")


def test_an_unknown_feature_is_refused() -> None:
    spec = {**FeatureSpec().as_dict(), "features": ["flavour"]}
    with pytest.raises(ModelMismatch, match="flavour"):
        Manifest.from_json(json.dumps({**MANIFEST.as_dict(), "feature_spec": spec}), "model.onnx")
