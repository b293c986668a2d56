from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import onnx
import pytest

from conditions import IntervalOfValidity, Run, TagState
from conditions.errors import ChangeRefused, TransitionRefused
from conditions.store import Store, open_store
from conditions.store.schema import upgrade
from smartbkg.errors import ManifestMissing, ModelMismatch, NotAModel
from smartbkg.publish import PublishConfig, publish_gatgap, read_trained
from support.postgres import create_database, drop_database, session_cluster, session_template
from support.trained import publish_trained, write_trained

TAG = "SmartBKG_GATGAP"
PUBLISHED = PublishConfig(state=TagState.PUBLISHED)


@pytest.fixture
def postgres_url(pytestconfig: pytest.Config) -> Iterator[str]:
    url = create_database(session_cluster(pytestconfig), session_template(pytestconfig, upgrade))
    yield url
    drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A fresh store; a test that asks for it runs once on each database."""
    url = f"sqlite:///{tmp_path / 'conditions.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    with open_store(url, tmp_path / "payloads", user="tester") as opened:
        yield opened


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    return write_trained(tmp_path / "trained")


def tags(store: Store) -> list[str]:
    return [tag.name for tag in store.list_tags()]


def test_both_payloads_come_with_all_that_is_known_of_them(store: Store, trained: Path) -> None:
    done = publish_gatgap(trained, store, PUBLISHED)
    assert (done.n_added, done.hidden_by, done.tag.state) == (2, None, TagState.PUBLISHED)
    found = store.resolve([TAG], Run(7, 120))
    assert {name: r.payload.sha256 for name, r in found.items()} == {p.name: p.sha256 for p in done.payloads}
    for payload in done.payloads:
        assert store.payload_path(payload).read_bytes() == (trained / payload.name).read_bytes()
        metadata = payload.metadata
        assert metadata["metrics"] == {"auc": 0.5, "speed_up": 1.0}
        assert metadata["data_digest"] == "data of seed 1"
        assert metadata["checkpoint_sha256"] == done.payloads[0].sha256
        assert metadata["parent_revision"] is None
        assert metadata["provenance"]["training"]["config"] == {"seed": 1}


def test_every_step_to_published_is_in_the_history(store: Store, trained: Path) -> None:
    publish_gatgap(trained, store, PUBLISHED)
    states = [entry.after["state"] for entry in store.tag_history(TAG) if entry.after and "state" in entry.after]
    assert [state for i, state in enumerate(states) if states[i - 1 : i] != [state]] == [
        "OPEN",
        "TESTING",
        "VALIDATED",
        "PUBLISHED",
    ]


def test_the_same_files_again_change_nothing(store: Store, trained: Path) -> None:
    first = publish_gatgap(trained, store, PUBLISHED)
    history = store.tag_history(TAG)
    again = publish_gatgap(trained, store, PUBLISHED)
    assert again == dataclasses.replace(first, n_added=0)
    assert store.tag_history(TAG) == history
    assert len(store.list_payloads()) == 2


def test_a_tag_that_another_makes_at_the_same_moment_is_used(store: Store, trained: Path) -> None:
    made = Event()

    def make_slowly() -> None:
        with store.transaction():
            store.create_tag(TAG)
            made.set()
            time.sleep(0.5)  # long enough for the publication to look for the tag, which nobody else sees yet

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(make_slowly)
        assert made.wait(30)
        assert publish_gatgap(trained, store).n_added == 2
        other.result()


def test_the_same_files_again_can_move_the_tag_on(store: Store, trained: Path) -> None:
    publish_gatgap(trained, store)
    publish_gatgap(trained, store, PublishConfig(state=TagState.TESTING))
    done = publish_gatgap(trained, store, PUBLISHED)
    assert (done.n_added, done.tag.state) == (0, TagState.PUBLISHED)


def test_a_new_training_takes_the_place_of_the_one_before(store: Store, trained: Path, tmp_path: Path) -> None:
    publish_gatgap(trained, store)
    second = publish_trained(store, tmp_path / "second", seed=2, state=None)
    assert [p.revision for p in second.payloads] == [2, 2]
    assert [p.metadata["parent_revision"] for p in second.payloads] == [1, 1]
    found = store.resolve([TAG], Run(0, 0), allow_open=True)
    assert {r.payload.revision for r in found.values()} == {2}


def test_an_older_training_published_again_is_said_to_be_hidden(store: Store, trained: Path, tmp_path: Path) -> None:
    publish_gatgap(trained, store)
    publish_trained(store, tmp_path / "second", seed=2, state=None)
    assert publish_gatgap(trained, store).hidden_by == 2


def test_revisions_are_compared_with_those_of_the_same_payload(store: Store, trained: Path, tmp_path: Path) -> None:
    for number in range(3):  # exports that were uploaded alone, so that revisions of the two do not go together
        store.upload("GATGAPgen.onnx", io.BytesIO(b"export %d" % number))
    publish_gatgap(trained, store)
    second = publish_trained(store, tmp_path / "second", seed=2, state=None)
    assert [p.revision for p in second.payloads] == [2, 5]
    assert second.hidden_by is None


def test_an_older_checkpoint_with_a_new_export_is_not_mixed_with_another_training(
    store: Store, trained: Path, tmp_path: Path
) -> None:
    publish_gatgap(trained, store)
    publish_trained(store, tmp_path / "second", seed=2, state=None)
    before = store.list_iovs(TAG)
    model = onnx.load(str(trained / "GATGAPgen.onnx"))
    model.producer_version = "of another release"
    onnx.save(model, str(trained / "GATGAPgen.onnx"))
    with pytest.raises(ModelMismatch, match=r"GATGAPgen\.pth r2 and GATGAPgen\.onnx r3 would win in .* another --tag"):
        publish_gatgap(trained, store)
    assert store.list_iovs(TAG) == before


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        (TagState.TESTING, "conditions tag state SmartBKG_GATGAP OPEN"),
        (TagState.VALIDATED, "conditions tag state SmartBKG_GATGAP OPEN"),
        (TagState.PUBLISHED, "another --tag, or clone it .* RUNNING instead of PUBLISHED"),
    ],
)
def test_a_tag_that_takes_nothing_is_refused_with_a_way_out(
    store: Store, trained: Path, tmp_path: Path, state: TagState, advice: str
) -> None:
    publish_gatgap(trained, store, PublishConfig(state=state))
    history = store.tag_history(TAG)
    with pytest.raises(ChangeRefused, match=f"which is {state}.*{advice}"):
        publish_trained(store, tmp_path / "second", seed=2)
    assert store.tag_history(TAG) == history
    assert [p.revision for p in store.list_payloads()] == [1, 1]  # the upload is undone too


def test_an_invalid_tag_is_refused(store: Store, trained: Path) -> None:
    publish_gatgap(trained, store, PUBLISHED)
    store.set_state(TAG, TagState.INVALID)
    with pytest.raises((ChangeRefused, TransitionRefused), match="INVALID"):
        publish_gatgap(trained, store, PublishConfig(iov=IntervalOfValidity.parse("5,0,-1,-1")))


def test_a_running_tag_grows_run_by_run(store: Store, trained: Path, tmp_path: Path) -> None:
    closed = PublishConfig(iov=IntervalOfValidity.parse("0,0,5,-1"), state=TagState.RUNNING)
    publish_gatgap(trained, store, closed)
    done = publish_trained(store, tmp_path / "second", seed=2, iov="6,0,-1,-1", state=None)
    assert (done.n_added, done.tag.state) == (2, TagState.RUNNING)
    assert store.resolve([TAG], Run(7, 0))["GATGAPgen.onnx"].payload.revision == 2
    with pytest.raises(ChangeRefused):
        publish_trained(store, tmp_path / "third", seed=3, iov="0,0,5,-1", state=None)


def test_a_move_that_is_refused_undoes_everything(store: Store, trained: Path) -> None:
    with pytest.raises(TransitionRefused):
        publish_gatgap(trained, store, PublishConfig(state=TagState.INVALID))
    assert tags(store) == []
    assert store.list_payloads() == []


def test_files_of_two_trainings_are_refused(store: Store, trained: Path, tmp_path: Path) -> None:
    other = write_trained(tmp_path / "other", seed=2)
    (trained / "GATGAPgen.pth").write_bytes((other / "GATGAPgen.pth").read_bytes())
    with pytest.raises(ModelMismatch, match=r"GATGAPgen\.onnx was made of a checkpoint with sha256"):
        publish_gatgap(trained, store)
    assert tags(store) == []


def test_metrics_of_another_training_are_refused(trained: Path, tmp_path: Path) -> None:
    other = write_trained(tmp_path / "other", seed=2)
    (trained / "metrics.json").write_bytes((other / "metrics.json").read_bytes())
    with pytest.raises(ModelMismatch, match="of a training on other data"):
        read_trained(trained)


@pytest.mark.parametrize("name", ["GATGAPgen.pth", "GATGAPgen.onnx", "metrics.json"])
def test_a_training_that_is_not_finished_is_refused(trained: Path, name: str) -> None:
    (trained / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"no file .*{name}"):
        read_trained(trained)


def test_damaged_files_are_named(trained: Path) -> None:
    metrics = trained / "metrics.json"
    for content in ("{", json.dumps([1])):
        metrics.write_text(content)
        with pytest.raises(NotAModel, match=r"metrics\.json"):
            read_trained(trained)
    (trained / "GATGAPgen.onnx").write_bytes(b"nonsense")
    with pytest.raises(NotAModel, match=r"GATGAPgen\.onnx"):
        read_trained(trained)


def test_an_export_without_manifest_is_refused(trained: Path) -> None:
    model = onnx.load(str(trained / "GATGAPgen.onnx"))
    del model.metadata_props[:]
    onnx.save(model, str(trained / "GATGAPgen.onnx"))
    with pytest.raises(ManifestMissing):
        read_trained(trained)


PUBLISH_FOR_EVER = """
import itertools, sys
from pathlib import Path
from conditions import TagState
from conditions.store import open_store
from smartbkg.publish import PublishConfig, publish_gatgap
url, folder, begin = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
trainings = sorted(folder.iterdir())
with open_store(url, user="tester") as store:
    for i in itertools.count(begin):
        config = PublishConfig(f"tag_{i}", state=TagState.PUBLISHED)
        publish_gatgap(trainings[i % len(trainings)], store, config)
        print(i, flush=True)
"""


def test_a_kill_in_the_middle_publishes_all_or_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store' / 'conditions.db'}"
    for seed in range(1, 9):
        write_trained(tmp_path / "trainings" / str(seed), seed)
    begin = 0
    for n_done in range(1, 6):
        words = [sys.executable, "-c", PUBLISH_FOR_EVER, url, str(tmp_path / "trainings"), str(begin)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(n_done):
                begin = int(process.stdout.readline()) + 1
            process.stdout.read(1)  # the next line begins: the one after it is being published
            process.kill()
        with open_store(url) as store:
            for tag in store.list_tags():
                assert tag.state is TagState.PUBLISHED
                assert len(store.list_iovs(tag.name)) == 2
            assert {f"tag_{i}" for i in range(begin)} <= set(tags(store))
            report = store.check(repair=True)
            assert not report.missing
            assert not report.corrupt
            begin = len(tags(store))
    with open_store(url) as store:
        assert publish_gatgap(tmp_path / "trainings" / "1", store, PUBLISHED).tag.state is TagState.PUBLISHED
