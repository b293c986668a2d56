"""Trained files as scorers: the exported one, the checkpoint, and what is neither."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

import smartbkg.scorer as scorer_module
from smartbkg.errors import BadScore, ManifestMissing, ModelMismatch, NotAModel
from smartbkg.events import EventBatch
from smartbkg.features import GATGAP_SPEC, Features, FeatureSpec, build
from smartbkg.scorer import OnnxScorer, Scorer, open_scorer, sigmoid
from smartbkg.training.export import export_onnx
from support.events import Particle, decay_trees, event_batch
from support.networks import SMALL_CONFIG, manifest_of, random_network, write_model


def rewrite(path: Path, **properties: str) -> Path:
    """The same model with only these metadata properties."""
    model = onnx.load(path)
    del model.metadata_props[:]
    helper.set_model_props(model, properties)
    onnx.save(model, path)
    return path


def mixed_events() -> EventBatch:
    odd = event_batch([[], [Particle(pdg=987654)], [Particle(), Particle(mother=0)], []], first_event=100)
    return EventBatch.concat([decay_trees(40, seed=8), odd])


def test_export_and_checkpoint_give_the_same_scores(tmp_path: Path) -> None:
    checkpoint, export = write_model(tmp_path, random_network())
    features = build(mixed_events())
    by_export, by_checkpoint = (open_scorer(path).score(features) for path in (export, checkpoint))
    assert by_export.dtype == np.float64
    assert np.abs(by_export - by_checkpoint).max() < 1e-6
    assert np.all((by_export > 0) & (by_export < 1))


@pytest.mark.parametrize("kind", ["export", "checkpoint"])
def test_scores_do_not_depend_on_how_events_share_calls(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = dict(zip(("checkpoint", "export"), write_model(tmp_path, random_network()), strict=True))
    scorer, features = open_scorer(paths[kind]), build(mixed_events())
    together = scorer.score(features)
    order = np.random.default_rng(3).permutation(len(features))
    assert scorer.score(features.select(order)) == pytest.approx(together[order], abs=1e-6)
    for limit in (1, 50, 10**9):
        monkeypatch.setattr(scorer_module, "MAX_PARTICLES", limit)
        assert scorer.score(features) == pytest.approx(together, abs=1e-6)


def test_threads_change_no_score(tmp_path: Path) -> None:
    export, features = write_model(tmp_path, random_network())[1], build(decay_trees(200, seed=5))
    assert np.array_equal(open_scorer(export, threads=3).score(features), open_scorer(export).score(features))


def test_no_events_have_no_scores_and_empty_events_have_one(tmp_path: Path) -> None:
    scorer = open_scorer(write_model(tmp_path, random_network(SMALL_CONFIG))[1])
    assert scorer.score(build(EventBatch.empty())).shape == (0,)
    empty = scorer.score(build(event_batch([[]] * 3)))
    assert empty.shape == (3,)
    assert np.all(empty == empty[0])


class Counting(Scorer):
    """Scores everything 0.5 and remembers the size of each call: events, particles."""

    def __init__(self) -> None:
        super().__init__(Path("counting"), manifest_of(random_network(SMALL_CONFIG)))
        self.calls: list[tuple[int, int]] = []

    def _logits(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        self.calls.append((int(inputs["n_events"][0]), len(inputs["x"])))
        return np.zeros(inputs["n_events"][0], np.float32)


def test_calls_stay_within_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer_module, "MAX_PARTICLES", 6)
    monkeypatch.setattr(scorer_module, "MAX_EVENTS", 3)
    scorer = Counting()
    scorer.score(build(event_batch([[Particle()] * n for n in (3, 3, 3, 20, 0, 0, 1, 0)])))
    assert scorer.calls == [(2, 6), (1, 3), (1, 20), (3, 1), (1, 0)]


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    checkpoint, export = write_model(tmp_path, random_network(SMALL_CONFIG))
    checkpoint.rename(tmp_path / "aa"), export.rename(tmp_path / "bb")
    assert type(open_scorer(tmp_path / "aa")).__name__ == "TorchScorer"
    assert type(open_scorer(tmp_path / "bb")) is OnnxScorer


def test_both_files_tell_the_same_story(tmp_path: Path) -> None:
    checkpoint, export = (open_scorer(path) for path in write_model(tmp_path, random_network(SMALL_CONFIG)))
    assert checkpoint.manifest == export.manifest
    assert export.spec == GATGAP_SPEC


def test_an_export_is_scored_without_torch(tmp_path: Path) -> None:
    export = write_model(tmp_path, random_network(SMALL_CONFIG))[1]
    code = (
        "import sys; import numpy as np;"
        "from smartbkg.scorer import open_scorer; from smartbkg.features import Features;"
        f"s = open_scorer({str(export)!r}); none = np.zeros(0, np.int64);"
        "s.score(Features(np.zeros((0, 8), np.float32), none, none, np.zeros(3, np.int64)));"
        "print([m for m in ('torch', 'onnx', 'onnxscript') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_export_without_manifest_is_refused(tmp_path: Path) -> None:
    export = rewrite(write_model(tmp_path, random_network(SMALL_CONFIG))[1], other="x")
    with pytest.raises(ManifestMissing, match=r"GATGAPgen\.onnx carries no manifest"):
        open_scorer(export)


@pytest.mark.parametrize("text", ["{", '{"format": 1}'])
def test_an_export_with_a_broken_manifest_is_refused(text: str, tmp_path: Path) -> None:
    export = rewrite(write_model(tmp_path, random_network(SMALL_CONFIG))[1], smartbkg=text)
    with pytest.raises(NotAModel, match=r"GATGAPgen\.onnx.*manifest"):
        open_scorer(export)


def test_an_export_of_another_pdg_table_is_refused(tmp_path: Path) -> None:
    network = random_network(SMALL_CONFIG)
    export_onnx(tmp_path / "a.onnx", network, dataclasses.replace(manifest_of(network), token_digest="0" * 64))
    with pytest.raises(ModelMismatch, match="another PDG table"):
        open_scorer(tmp_path / "a.onnx")


def test_an_export_with_other_inputs_is_refused_and_told_which(tmp_path: Path) -> None:
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3])
    label = helper.make_tensor_value_info("label", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph([helper.make_node("Relu", ["picture"], ["label"])], "g", [picture], [label])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "a.onnx")
    with pytest.raises(ModelMismatch, match=r"inputs x tensor\(float\).*found inputs picture .* outputs label"):
        open_scorer(tmp_path / "a.onnx")


@pytest.mark.parametrize("keep", [3, 100, 0.5, 0.99])
def test_a_truncated_export_is_refused(keep: float, tmp_path: Path) -> None:
    export = write_model(tmp_path, random_network(SMALL_CONFIG))[1]
    content = export.read_bytes()
    export.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises((NotAModel, ModelMismatch), match=r"GATGAPgen\.onnx"):
        open_scorer(export)


def test_a_damaged_export_is_refused_without_other_words(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    export = write_model(tmp_path, random_network(SMALL_CONFIG))[1]
    content = export.read_bytes()
    for damaged in (content.replace(b'"kind"', b'"k\xffnd"'), content.replace(b"LeakyRelu", b"Leaky\xffelu"), b"text"):
        assert damaged != content
        export.write_bytes(damaged)
        with pytest.raises(NotAModel, match=r"GATGAPgen\.onnx"):
            open_scorer(export)
    assert capfd.readouterr() == ("", "")


def test_an_error_of_the_runtime_without_words_is_told_by_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InvalidGraph(Exception):
        """As the runtime raises it where its message cannot be decoded."""

    def refuse(*_: object, **__: object) -> None:
        raise InvalidGraph

    export = write_model(tmp_path, random_network(SMALL_CONFIG))[1]
    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
    with pytest.raises(NotAModel, match="ONNX Runtime refuses it: InvalidGraph"):
        open_scorer(export)


@pytest.mark.parametrize(("content", "error"), [(b"", NotAModel), (b"hello world", NotAModel)])
def test_something_else_is_refused(content: bytes, error: type[Exception], tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(error, match=r"a\.onnx"):
        open_scorer(tmp_path / "a.onnx")


@pytest.mark.parametrize("name", ["none.onnx", "."])
def test_a_missing_file_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_scorer(tmp_path / name)


@pytest.mark.parametrize("kind", [0, 1])
def test_features_of_another_spec_are_refused(kind: int, tmp_path: Path) -> None:
    scorer = open_scorer(write_model(tmp_path, random_network(SMALL_CONFIG))[kind])
    features = build(decay_trees(2), FeatureSpec(features=("px_gev",)))
    with pytest.raises(ModelMismatch, match="wants 8 features a particle, found 1"):
        scorer.score(features)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_score_that_is_no_number_is_refused(kind: int, tmp_path: Path) -> None:
    scorer, features = open_scorer(write_model(tmp_path, random_network(SMALL_CONFIG))[kind]), build(decay_trees(2))
    x = features.x.copy()
    x[0, 0] = np.nan
    with pytest.raises(BadScore, match=r"NaN for [12] of 2 events"):
        scorer.score(Features(x, features.token, features.mother, features.offsets))


def test_a_token_beyond_the_table_is_an_error_not_a_crash(tmp_path: Path) -> None:
    scorer, features = open_scorer(write_model(tmp_path, random_network(SMALL_CONFIG))[1]), build(decay_trees(2))
    with pytest.raises(ModelMismatch, match="does not fit its inputs"):
        scorer.score(Features(features.x, features.token + 600, features.mother, features.offsets))


def test_sigmoid_is_exact_at_both_ends() -> None:
    assert sigmoid(np.array([-800.0, -1.0, 0.0, 1.0, 800.0])) == pytest.approx([0, 0.268941421, 0.5, 0.731058579, 1])
