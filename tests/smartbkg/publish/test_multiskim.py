from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from conditions import IntervalOfValidity, Run, TagState
from conditions.store import Store, open_store
from smartbkg.errors import ManifestMissing, ModelMismatch, NotAModel
from smartbkg.evaluation.summary import write_evaluation
from smartbkg.publish import PublishConfig, publish_multiskim, publish_trained, read_trained
from support.foreign import SKIMS, sha256, write_pair
from support.trained import write_trained
from support.trained_multiskim import publish_random, write_multiskim

WEIGHTS, CONFIG, BATCHED = (
    "SmartBackgroundWeights_default",
    "SmartBackgroundConfig_default",
    "SmartBackgroundWeights_default_batched",
)
FILES = (f"{WEIGHTS}.onnx", f"{CONFIG}.json", f"{BATCHED}.onnx", "metrics.json")
PUBLISHED = PublishConfig(state=TagState.PUBLISHED)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'conditions.db'}", tmp_path / "payloads", user="tester") as opened:
        yield opened


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    return write_multiskim(tmp_path / "trained")


def test_three_payloads_come_in_one_step_with_all_that_is_known_of_them(store: Store, trained: Path) -> None:
    done = publish_multiskim(trained, store, PUBLISHED)
    assert (done.n_added, done.hidden_by, done.tag.name, done.tag.state) == (
        *(3, None),
        *("SmartBackground", TagState.PUBLISHED),
    )
    assert [p.name for p in done.payloads] == [WEIGHTS, CONFIG, BATCHED]
    found = store.resolve(["SmartBackground"], Run(7, 120))
    assert {name: r.payload.sha256 for name, r in found.items()} == {p.name: p.sha256 for p in done.payloads}
    for payload, file in zip(done.payloads, FILES, strict=False):
        assert store.payload_path(payload).read_bytes() == (trained / file).read_bytes()
        metadata = payload.metadata
        assert metadata["kind"] == "multiskim"
        assert metadata["metrics"]["feiHadronic"] == {"auc": 0.5, "speed_up": 1.0}
        assert [(skim["code"], skim["name"]) for skim in metadata["skims"]] == [(c, n) for n, c in SKIMS.items()]
        assert metadata["data_digest"] == "data of seed 1"
        assert metadata["weights_sha256"] == done.payloads[0].sha256
        assert metadata["batched_sha256"] == done.payloads[2].sha256
        assert metadata["parent_revision"] is None
        assert metadata["provenance"]["training"]["config"] == {"seed": 1}
    assert sum(entry.after == {"state": "PUBLISHED"} for entry in store.tag_history("SmartBackground")) <= 1


def test_the_same_files_again_change_nothing(store: Store, trained: Path) -> None:
    first = publish_multiskim(trained, store, PUBLISHED)
    history = store.tag_history("SmartBackground")
    assert publish_multiskim(trained, store, PUBLISHED) == dataclasses.replace(first, n_added=0)
    assert store.tag_history("SmartBackground") == history
    assert len(store.list_payloads()) == 3


def test_a_new_training_takes_the_place_of_the_one_before(store: Store, trained: Path, tmp_path: Path) -> None:
    publish_multiskim(trained, store)
    second = publish_random(store, tmp_path / "second", seed=2, state=None)
    assert [p.revision for p in second.payloads] == [2, 2, 2]
    assert {p.metadata["parent_revision"] for p in second.payloads} == {1}
    assert publish_multiskim(trained, store).hidden_by == 2


def test_an_older_training_with_new_batches_is_not_mixed_with_another(
    store: Store, trained: Path, tmp_path: Path
) -> None:
    publish_multiskim(trained, store)
    publish_random(store, tmp_path / "second", seed=2, state=None)
    before = store.list_iovs("SmartBackground")
    model = onnx.load(str(trained / f"{BATCHED}.onnx"))
    model.producer_version = "of another release"
    onnx.save(model, str(trained / f"{BATCHED}.onnx"))
    values = json.loads((trained / f"{CONFIG}.json").read_text())
    digest = sha256(trained / f"{BATCHED}.onnx")
    (trained / f"{CONFIG}.json").write_text(json.dumps({**values, "batched_sha256": digest}))
    with pytest.raises(ModelMismatch, match=rf"{WEIGHTS} r2 and {CONFIG} r3 would win in .* another --tag"):
        publish_multiskim(trained, store)
    assert store.list_iovs("SmartBackground") == before


def replace_file(name: str) -> Callable[[Path, Path], None]:
    return lambda trained, other: (trained / name).write_bytes((other / name).read_bytes()) and None


def other_order(trained: Path, _other: Path) -> None:
    values = json.loads((trained / FILES[1]).read_text())
    first, second, *rest = values["skims"]
    skims = [{**second, "index": 0}, {**first, "index": 1}, *rest]
    (trained / FILES[1]).write_text(json.dumps({**values, "skims": skims}))


def without_digest(trained: Path, _other: Path) -> None:
    values = json.loads((trained / FILES[1]).read_text())
    del values["weights_sha256"]
    (trained / FILES[1]).write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (replace_file(FILES[0]), r"Weights_default\.onnx has the digest .* belongs to"),
        (replace_file(FILES[1]), r"Weights_default\.onnx has the digest .* belongs to"),
        (replace_file(FILES[2]), r"Weights_default_batched\.onnx has the digest .* belongs to"),
        (replace_file(FILES[3]), r"metrics\.json is of a training on other data"),
        (other_order, "was trained with other skims than .*Config_default"),
        (without_digest, r"Config_default\.json does not say which weights it belongs to"),
    ],
)
def test_files_of_two_trainings_are_refused(
    store: Store, trained: Path, tmp_path: Path, spoil: Callable[[Path, Path], None], said: str
) -> None:
    spoil(trained, write_multiskim(tmp_path / "other", seed=2))
    with pytest.raises(ModelMismatch, match=said):
        publish_trained(trained, store)
    assert store.list_tags() == []
    assert store.list_payloads() == []


@pytest.mark.parametrize("name", FILES)
def test_a_training_that_is_not_finished_is_refused(trained: Path, name: str) -> None:
    (trained / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"no file .*{name}"):
        read_trained(trained)


def test_damaged_files_are_named(trained: Path) -> None:
    for name in reversed(FILES):
        content = (trained / name).read_bytes()
        (trained / name).write_bytes(b"nonsense")
        with pytest.raises((NotAModel, ModelMismatch), match=name):
            read_trained(trained)
        (trained / name).write_bytes(content)
    read_trained(trained)


def test_weights_without_manifest_are_refused(trained: Path, tmp_path: Path) -> None:
    weights, _ = write_pair(tmp_path / "foreign")
    values = json.loads((trained / FILES[1]).read_text())
    digest = sha256(weights)
    (trained / FILES[0]).write_bytes(weights.read_bytes())
    (trained / FILES[1]).write_text(json.dumps({**values, "weights_sha256": digest}))
    with pytest.raises(ManifestMissing, match=r"Weights_default\.onnx"):
        read_trained(trained)


def test_a_folder_says_itself_what_it_holds(store: Store, trained: Path, tmp_path: Path) -> None:
    gatgap = write_trained(tmp_path / "gatgap")
    always = PublishConfig(iov=IntervalOfValidity.always())
    assert publish_trained(gatgap, store, always).tag.name == "SmartBKG_GATGAP"
    assert publish_trained(trained, store, always).tag.name == "SmartBackground"
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no training in .*GATGAPgen\.pth.* or SmartBackgroundWeights_default"):
        read_trained(tmp_path / "empty")
    (trained / "GATGAPgen.pth").write_bytes((gatgap / "GATGAPgen.pth").read_bytes())
    with pytest.raises(ModelMismatch, match="two kinds of trainings"):
        read_trained(trained)


def figures_of(*digests: str) -> dict[str, Any]:
    """The smallest that `smartbkg evaluate` can say."""
    return {
        "n_events": 10,
        "event_types": ["mixed"],
        "mixture": None,
        "network_ms": 0.5,
        "sampling": {"seed": 1},
        "skims": {"feiHadronic": {"auc": 0.912345678, "roc": [[0.0, 0.0]]}},
        "filter": {"sha256": dict(zip(("weights", "config"), digests, strict=True))},
    }


def test_what_was_evaluated_goes_with_the_payloads_when_it_is_of_these_files(
    store: Store, trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_evaluation(trained, figures_of(sha256(trained / FILES[0]), "0" * 64))
    assert "evaluation" not in read_trained(trained).metadata
    assert "is of other files and left out" in caplog.text
    write_evaluation(trained, figures_of(sha256(trained / FILES[0]), sha256(trained / FILES[1])))
    for payload in publish_multiskim(trained, store).payloads:
        assert payload.metadata["evaluation"]["skims"] == {"feiHadronic": {"auc": 0.912346}}
