"""Multi-skim weights as scorers: batches, single events, files of other programs, and what is neither."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from smartbkg.bridging import build_bridged
from smartbkg.errors import BadEvent, BadScore, ModelMismatch, NotAModel, UnknownName
from smartbkg.events import EventBatch
from smartbkg.features import Features
from smartbkg.models.transformer import TransformerConfig
from smartbkg.multiskim_scorer import MultiSkimScorer, open_multiskim
from smartbkg.training.multiskim_export import export_batched
from support.events import Particle, decay_trees, event_batch
from support.generated import generated
from support.networks import random_network, write_model
from support.transformers import manifest_for, pad, random_transformer, write_pair


def mixed_events() -> tuple[Features, NDArray[np.int8]]:
    odd = event_batch([[], [Particle(pdg=987654)], [Particle(), Particle(mother=0)], []], first_event=1000)
    real = [generated(kind, 500)[:25] for kind in ("mixed", "taupair", "uubar")]
    batch = EventBatch.concat([*real, decay_trees(20, seed=8), odd])
    return build_bridged(batch), batch.event_type


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_pair(tmp_path_factory.mktemp("pair"), random_transformer(TransformerConfig(), seed=3))


def test_both_forms_give_the_logits_of_the_trained_network(tmp_path: Path) -> None:
    network = random_transformer()
    features, kinds = mixed_events()
    reference = network(*pad(features, torch.from_numpy(kinds.astype(np.int64)))).numpy()
    seen = features.counts > 0
    for path in write_pair(tmp_path, network):
        scorer = open_multiskim(path)
        logits = scorer.logits(features, kinds)
        assert logits.dtype == np.float64
        assert np.abs(logits - reference)[seen].max() < 1e-5
        assert np.all(logits[~seen] == 0.0)
        assert scorer.n_skims == 3
        assert scorer.manifest is not None
        assert [name for _, name in scorer.manifest.skims] == ["skim0", "skim1", "skim2"]


@pytest.mark.parametrize("threads", [1, 2])
def test_logits_are_the_same_to_the_last_bit_whatever_shares_the_batch(threads: int, pair: tuple[Path, Path]) -> None:
    scorer, (features, kinds) = open_multiskim(pair[1], threads), mixed_events()
    together = scorer.logits(features, kinds)
    rng = np.random.default_rng(1)
    samples: list[Sequence[int]] = [[row] for row in range(len(features))]
    samples += [rng.permutation(len(features))[: rng.integers(2, len(features))].tolist() for _ in range(20)]
    samples.append([5] * 300)
    for sample in samples:
        rows = np.array(sample)
        assert np.array_equal(scorer.logits(features.select(rows), kinds[rows]), together[rows])


@pytest.mark.parametrize("n_skims", [1, 2, 51])
@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.integers(0, 98), min_size=1, max_size=60), limit=st.sampled_from([1, 64, 100, 2000]))
def test_that_holds_for_any_batch_and_size_of_a_call(n_skims: int, rows: list[int], limit: int) -> None:
    scorer, features, kinds, together = opened_once(n_skims)
    scorer._max_rows = limit
    apart = scorer.logits(features.select(np.array(rows)), kinds[rows])
    assert np.array_equal(apart, together[rows])


_OPENED: dict[int, tuple[MultiSkimScorer, Features, NDArray[np.int8], NDArray[np.float64]]] = {}


def opened_once(n_skims: int) -> tuple[MultiSkimScorer, Features, NDArray[np.int8], NDArray[np.float64]]:
    if n_skims not in _OPENED:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            network = random_transformer(TransformerConfig(n_skims=n_skims), seed=5)
            export_batched(Path(folder) / "b.onnx", network, manifest_for(network))
            scorer = open_multiskim(Path(folder) / "b.onnx")
        features, kinds = mixed_events()
        _OPENED[n_skims] = (scorer, features, kinds, scorer.logits(features, kinds))
    return _OPENED[n_skims]


def test_both_forms_agree(pair: tuple[Path, Path]) -> None:
    features, kinds = mixed_events()
    single, batched = (open_multiskim(path).logits(features, kinds) for path in pair)
    assert np.abs(single - batched).max() < 1e-5


@pytest.mark.parametrize("form", [0, 1])
def test_no_events_have_no_logits_and_empty_ones_have_zeros(form: int, pair: tuple[Path, Path]) -> None:
    scorer = open_multiskim(pair[form])
    assert scorer.logits(build_bridged(EventBatch.empty()), []).shape == (0, 51)
    assert not scorer.logits(build_bridged(event_batch([[]] * 3)), [0, 1, 2]).any()


@pytest.mark.parametrize("form", [0, 1])
def test_one_particle_is_enough(form: int, pair: tuple[Path, Path]) -> None:
    logits = open_multiskim(pair[form]).logits(build_bridged(event_batch([[Particle()]])), [2])
    assert logits.shape == (1, 51)
    assert logits.any()


@pytest.mark.parametrize("form", [0, 1])
def test_the_type_of_the_event_matters(form: int, pair: tuple[Path, Path]) -> None:
    scorer, features = open_multiskim(pair[form]), build_bridged(decay_trees(3))
    assert (scorer.logits(features, [0, 0, 0]) != scorer.logits(features, [1, 2, 6])).any(axis=1).all()


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize(("kinds", "said"), [([0, -1, 3], "1 of 3 events are of no type"), ([7, 0, 9], "2 of 3")])
def test_an_event_of_no_known_type_is_refused(form: int, kinds: list[int], said: str, pair: tuple[Path, Path]) -> None:
    with pytest.raises(BadEvent, match=said):
        open_multiskim(pair[form]).logits(build_bridged(decay_trees(3)), kinds)


def test_as_many_types_as_events_are_needed(pair: tuple[Path, Path]) -> None:
    with pytest.raises(ModelMismatch, match="3 events need as many types, found"):
        open_multiskim(pair[1]).logits(build_bridged(decay_trees(3)), [0, 1])


@pytest.mark.parametrize("form", [0, 1])
def test_features_of_another_width_are_refused(form: int, pair: tuple[Path, Path]) -> None:
    f = build_bridged(decay_trees(2))
    with pytest.raises(ModelMismatch, match="wants 8 features a particle"):
        open_multiskim(pair[form]).logits(Features(f.x[:, :4], f.token, f.mother, f.offsets), [0, 0])


@pytest.mark.parametrize("form", [0, 1])
def test_a_logit_that_is_no_number_is_refused(form: int, pair: tuple[Path, Path]) -> None:
    f = build_bridged(decay_trees(3))
    x = f.x.copy()
    x[0, 4] = np.nan
    with pytest.raises(BadScore, match="no finite logits for 1 of 3 events"):
        open_multiskim(pair[form]).logits(Features(x, f.token, f.mother, f.offsets), [0, 0, 0])


@pytest.mark.parametrize("form", [0, 1])
def test_a_token_beyond_the_table_is_an_error_not_a_crash(form: int, pair: tuple[Path, Path]) -> None:
    f = build_bridged(decay_trees(2))
    with pytest.raises(ModelMismatch, match="does not fit its inputs"):
        open_multiskim(pair[form]).logits(Features(f.x, f.token + 600, f.mother, f.offsets), [0, 0])


def foreign(path: Path, *, shape: Sequence[int | str] = (2,), in_front: bool = False, **other: int) -> Path:
    """Weights of another program, from the interface alone: output = (number of particles, type), no metadata."""
    kinds = {"x": TensorProto.FLOAT, "pdg": TensorProto.INT32, "mother": TensorProto.INT32, "c": TensorProto.INT32}
    dimensions: dict[str, list[int | str]] = {"x": ["n", 8], "pdg": ["n"], "mother": ["n"], "c": []}
    inputs = [helper.make_tensor_value_info(n, k, dimensions[n]) for n, k in {**kinds, **other}.items()]
    nodes = [
        helper.make_node("Shape", ["pdg"], ["count"]),
        helper.make_node("Reshape", ["c", "one"], ["kind"]),
        helper.make_node("Cast", ["count"], ["count_f"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["kind"], ["kind_f"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["count_f", "kind_f"], ["flat"], axis=0),
        helper.make_node("Reshape", ["flat", "shape"], ["logits"]),
    ]
    constants = {"one": np.array([1]), "shape": np.array([1, 2] if in_front else [2])}
    graph = helper.make_graph(
        nodes,
        "other",
        inputs,
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, list(shape))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)
    return path


@pytest.mark.parametrize(("shape", "in_front"), [((2,), False), ((1, 2), True), (("skims",), False), ((1, "s"), True)])
def test_weights_of_another_program_work_without_a_manifest(
    shape: Sequence[int | str], in_front: bool, tmp_path: Path
) -> None:
    scorer = open_multiskim(foreign(tmp_path / "a.onnx", shape=shape, in_front=in_front))
    features = build_bridged(event_batch([[Particle()] * 3, [], [Particle()]]))
    assert (scorer.manifest, scorer.n_skims) == (None, 2)
    assert scorer.logits(features, [6, 1, 12]).tolist() == [[3, 6], [0, 0], [1, 12]]


@pytest.mark.parametrize("other", [{"pdg": TensorProto.INT64}, {"x": TensorProto.DOUBLE}, {"more": TensorProto.FLOAT}])
def test_other_inputs_are_refused_and_told(other: dict[str, int], tmp_path: Path) -> None:
    kinds = {"x": TensorProto.FLOAT, "pdg": TensorProto.INT32, "mother": TensorProto.INT32, "c": TensorProto.INT32}
    inputs = [helper.make_tensor_value_info(n, k, [2]) for n, k in {**kinds, **other}.items()]
    output = helper.make_tensor_value_info("output", TensorProto.INT32, [2])
    graph = helper.make_graph([helper.make_node("Abs", ["c"], ["output"])], "g", inputs, [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "a.onnx")
    with pytest.raises(ModelMismatch, match=r"is no multi-skim filter: .* were expected.* found inputs x tensor"):
        open_multiskim(tmp_path / "a.onnx")


def test_the_other_filter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match="is no multi-skim filter"):
        open_multiskim(write_model(tmp_path, random_network())[1])


def test_a_manifest_of_another_number_of_skims_is_refused(tmp_path: Path) -> None:
    network, other = random_transformer(), random_transformer(TransformerConfig(n_skims=4))
    export_batched(tmp_path / "a.onnx", network, manifest_for(other))
    with pytest.raises(ModelMismatch, match="has 3 outputs; its manifest names 4 skims"):
        open_multiskim(tmp_path / "a.onnx")


@pytest.mark.parametrize("content", [b"", b"hello world", b"PK\x03\x04"])
def test_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(NotAModel, match=r"a\.onnx"):
        open_multiskim(tmp_path / "a.onnx")


@pytest.mark.parametrize("keep", [3, 0.5, 0.99])
def test_truncated_weights_are_refused_in_silence(
    keep: float, pair: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = pair[1].read_bytes()
    (tmp_path / "a.onnx").write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises((NotAModel, ModelMismatch), match=r"a\.onnx"):
        open_multiskim(tmp_path / "a.onnx")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("old", "new"), [(b'"kind"', b'"k\xffnd"'), (b"mother", b"m\xffther"), (b"Gemm", b"G\xffmm")])
def test_damaged_weights_are_refused_in_silence(
    old: bytes, new: bytes, pair: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.onnx").write_bytes(pair[1].read_bytes().replace(old, new))
    with pytest.raises(NotAModel, match=r"a\.onnx"):
        open_multiskim(tmp_path / "a.onnx")
    assert capfd.readouterr() == ("", "")


def test_missing_weights_are_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_multiskim(tmp_path / "a.onnx")


def test_an_unknown_precision_names_the_known_ones(pair: tuple[Path, Path]) -> None:
    with pytest.raises(UnknownName, match="precision 'fp31'; near: fp32"):
        open_multiskim(pair[0], precision="fp31")


@pytest.mark.parametrize("form", [0, 1])
def test_integers_say_how_much_they_change(
    form: int, pair: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    features, kinds = mixed_events()
    exact, rough = (open_multiskim(pair[form], precision=precision) for precision in ("fp32", "int8"))
    reference, logits = exact.logits(features, kinds), rough.logits(features, kinds)
    change = np.abs(logits - reference)[features.counts > 0]
    assert 1e-4 < change.mean() < 0.1 * reference.std()
    assert exact.change is None
    assert rough.change is not None
    assert (rough.change.n_events, rough.change.largest) == (97, pytest.approx(change.max()))
    rough.logits(features, kinds)
    said = f"logits of 97 events changed by {change.mean():.4f} on average, by {change.max():.4f} at most"
    assert [record.message for record in caplog.records] == [f"{pair[form]} in integers: {said}"]


def test_integers_do_not_depend_on_the_batch(pair: tuple[Path, Path]) -> None:
    scorer, (features, kinds) = open_multiskim(pair[1], precision="int8"), mixed_events()
    together = scorer.logits(features, kinds)
    order = np.random.default_rng(1).permutation(len(features))[:40]
    assert np.array_equal(scorer.logits(features.select(order), kinds[order]), together[order])


def test_a_network_too_small_for_integers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match="no dense layer of 64 by 64 or more"):
        open_multiskim(write_pair(tmp_path)[1], precision="int8")


def test_a_worker_needs_no_torch(pair: tuple[Path, Path]) -> None:
    code = (
        "import sys; from smartbkg.multiskim_scorer import open_multiskim; "
        f"print(open_multiskim({str(pair[1])!r}).n_skims, 'torch' in sys.modules, 'onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["51", "False", "False"]
