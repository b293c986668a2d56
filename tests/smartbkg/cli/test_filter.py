from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conditions.store import open_store
from smartbkg.cli import main
from smartbkg.events import EventBatch, read_events, read_metadata
from support.batches import numbers, some_events, write_events
from support.foreign import write_pair
from support.trained import publish_trained
from support.trained_multiskim import publish_random

N_EVENTS = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events, a network, and a store in which it is published."""
    folder = tmp_path_factory.mktemp("filter")
    write_events(folder / "events.parquet", some_events(N_EVENTS))
    with open_store(f"sqlite:///{folder / 'store.db'}") as store:
        publish_trained(store, folder / "network")
        publish_trained(store, folder / "other", seed=2, tag="other")
        publish_random(store, folder / "multiskim")
    return folder


def call(folder: Path, *words: object) -> Result:
    command = ["filter", str(folder / "events.parquet"), "--store", str(folder / "store.db"), *map(str, words)]
    return CliRunner().invoke(main, command)


def test_kept_and_rejected_are_all_events(folder: Path, tmp_path: Path) -> None:
    kept, rejected = tmp_path / "kept.parquet", tmp_path / "rejected.parquet"
    result = call(folder, "--seed", 1, "-o", kept, "--rejected", rejected)
    assert result.exit_code == 0, result.stderr
    n_kept = len(read_events(kept))
    assert result.stdout == f"{n_kept} of {N_EVENTS} events in {kept}\n"
    assert "from run 0:1: GATGAPgen.pth r1 of SmartBKG_GATGAP" in result.stderr
    both = EventBatch.concat([read_events(kept), read_events(rejected)])
    assert sorted(numbers(both)) == numbers(read_events(folder / "events.parquet"))


def test_json_is_the_result_alone(folder: Path, tmp_path: Path) -> None:
    result = call(folder, "--seed", 1, "--tag", "other", "-o", tmp_path / "kept.parquet", "--json")
    values = json.loads(result.stdout)
    assert values["n_events"] == N_EVENTS
    assert values["models"][0]["tag"] == "other"
    assert values["n_kept"] == len(read_events(tmp_path / "kept.parquet"))


def test_a_threshold_of_zero_is_a_threshold(folder: Path, tmp_path: Path) -> None:
    result = call(folder, "--threshold", 0, "-o", tmp_path / "kept.parquet")
    assert result.stdout.startswith(f"{N_EVENTS} of {N_EVENTS} events")


def test_a_model_file_needs_no_store(folder: Path, tmp_path: Path) -> None:
    words = ["filter", folder / "events.parquet", "--seed", 1, "--model-file", folder / "network" / "GATGAPgen.onnx"]
    words += ["--store", tmp_path / "none" / "store.db", "-o", tmp_path / "kept.parquet"]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0, result.stderr
    assert not (tmp_path / "none").exists()


def test_several_files_are_one_job(folder: Path, tmp_path: Path) -> None:
    more = write_events(tmp_path / "more.parquet", some_events(50, run=2))
    result = call(folder, more, "--seed", 1, "-o", tmp_path / "kept.parquet")
    assert f"of {N_EVENTS + 50} events" in result.stdout


@pytest.mark.parametrize("extra", [[], ["--threshold", "1.5"], ["--threshold", "nan"], ["--seed", "x"]])
def test_wrong_usage_is_told_apart(folder: Path, tmp_path: Path, extra: list[str]) -> None:
    result = call(folder, "-o", tmp_path / "kept.parquet", *extra)
    assert (result.exit_code, result.stdout) == (2, "")


def test_two_outputs_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.parquet"
    result = call(folder, "--seed", 1, "-o", kept, "--rejected", kept)
    assert result.exit_code == 1
    assert "two modules write" in result.stderr


@pytest.mark.parametrize(
    ("extra", "code", "said"),
    [
        (["--tag", "SmartBKG_GATGPA"], 3, "SmartBKG_GATGPA"),
        (["--model-file", "no_such_file.onnx"], 3, "no_such_file.onnx"),
        (["no_such_events.parquet"], 3, "no_such_events.parquet"),
        (["--model-file", __file__], 1, "test_filter.py"),
        ([__file__], 1, "test_filter.py"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    folder: Path, tmp_path: Path, extra: list[str], code: int, said: str
) -> None:
    result = call(folder, "--seed", 1, "-o", tmp_path / "kept.parquet", *extra)
    assert (result.exit_code, result.stdout) == (code, "")
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert list(tmp_path.iterdir()) == []


def filtering(folder: Path, kept: Path) -> subprocess.Popen[bytes]:
    """The command in a process of its own, long enough to be killed in the middle."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = [sys.executable, "-c", "from smartbkg.cli import main; main()"]
    command = [*start, "filter", str(folder / "long.parquet"), "--seed", "1"]
    options = ["--store", str(folder / "store.db"), "--batch-size", "64", "-o", str(kept)]
    return subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL, env=environment)


@pytest.fixture(scope="module")
def long_events(folder: Path) -> Path:
    return write_events(folder / "long.parquet", EventBatch.concat([some_events(500)] * 200))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_filter_leaves_no_half_file_and_can_be_run_again(
    folder: Path, long_events: Path, tmp_path: Path, how: signal.Signals
) -> None:
    kept = tmp_path / "kept.parquet"
    process = filtering(folder, kept)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 0 for path in tmp_path.glob(".kept.parquet.*.part")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        os.sched_yield()
    process.send_signal(how)
    assert process.wait(60) != 0
    assert not kept.exists()
    if how is signal.SIGINT:
        assert list(tmp_path.iterdir()) == []
    result = call(folder, "--seed", 1, "-o", kept)
    assert result.exit_code == 0, result.stderr
    assert 0 < len(read_events(kept)) < N_EVENTS


def test_a_disk_that_takes_no_more_is_named_by_its_file_and_nothing_is_left(
    folder: Path, long_events: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.parquet"
    command = ["prlimit", "--fsize=200000", sys.executable, "-c", "from smartbkg.cli import main; main()", "filter"]
    words = [long_events, "--threshold", "0", "--store", folder / "store.db", "-o", kept]
    done = subprocess.run([*command, *map(str, words)], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert str(kept) in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_the_help_ends_with_an_example() -> None:
    result = CliRunner().invoke(main, ["filter", "--help"])
    assert "Example: smartbkg filter mixed.parquet --seed 1 -o kept.parquet" in " ".join(result.stdout.split())


def test_a_result_never_replaces_what_it_is_made_of(folder: Path, tmp_path: Path) -> None:
    events = folder / "events.parquet"
    before = events.read_bytes()
    result = call(folder, "--seed", 1, "-o", tmp_path / ".." / tmp_path.name / ".." / ".." / events)
    assert result.exit_code == 1
    assert f"{events} is an input of this step: give the result another name" in result.stderr
    assert events.read_bytes() == before


def test_a_file_given_twice_is_refused(folder: Path, tmp_path: Path) -> None:
    result = call(folder, folder / "events.parquet", "--seed", 1, "-o", tmp_path / "kept.parquet")
    assert result.exit_code == 1
    assert "is given twice: its events would count double" in result.stderr


def test_a_filtered_file_remembers_the_steps_of_all_its_inputs(folder: Path, tmp_path: Path) -> None:
    more = some_events(N_EVENTS // 3)
    write_events(
        tmp_path / "more.parquet", replace(more, run=more.run + 1), metadata={"provenance": [{"step": "import"}]}
    )
    kept = tmp_path / "kept.parquet"
    result = call(folder, tmp_path / "more.parquet", "--seed", 1, "-o", kept)
    assert result.exit_code == 0, result.stderr
    steps = [step["step"] for step in read_metadata(kept)["provenance"]]
    assert steps[-2:] == ["import", "filter"]


def test_skims_choose_the_multi_skim_filter(folder: Path, tmp_path: Path) -> None:
    kept, rejected = tmp_path / "kept.parquet", tmp_path / "rejected.parquet"
    result = call(folder, "--skims", "feiHadronic, 18570600", "--seed", 1, "-o", kept, "--rejected", rejected)
    assert result.exit_code == 0, result.stderr
    extra = read_events(kept).extra
    assert list(extra) == ["weight_feiHadronic", "weight_TauGeneric"]
    lines = [f"{len(read_events(kept))} of {N_EVENTS} events in {kept}"]
    for name in ("feiHadronic", "TauGeneric"):
        weight = extra[f"weight_{name}"]
        lines.append(f"{name}: {(weight > 0).sum()} events, sum of weights {weight.sum():.1f}")
    assert result.stdout.splitlines() == lines
    assert (
        "from run 0:1: SmartBackgroundWeights_default r1, SmartBackgroundConfig_default r1, "
        "SmartBackgroundWeights_default_batched r1 of SmartBackground\n"
    ) in result.stderr
    assert len(read_events(kept)) + len(read_events(rejected)) == N_EVENTS


def test_debug_keeps_all_events_and_needs_no_seed(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "all.parquet"
    result = call(folder, "--skims", "feiSL", "--debug", "--event-type", "charged", "-o", kept, "--json")
    values = json.loads(result.stdout)
    assert (values["n_kept"], values["debug"], values["event_type"], values["seed"]) == (
        N_EVENTS,
        True,
        "charged",
        None,
    )
    assert [model["tag"] for model in values["models"]] == ["SmartBackground"] * 3
    assert list(read_events(kept).extra) == ["SmartBKG_Prediction_feiSL"]


def test_draws_and_activation_can_be_chosen(folder: Path, tmp_path: Path) -> None:
    found = []
    for words in ((), ("--independent-draws",), ("--activation", 0.1, 0)):
        result = call(
            folder, "--skims", "feiHadronic,feiSL", "--seed", 1, *words, "-o", tmp_path / "k.parquet", "--json"
        )
        values = json.loads(result.stdout)
        found.append((values["draws"], values["activations"][0]["a"]))
    assert found == [("shared", [0.5, 0.5]), ("independent", [0.5, 0.5]), ("shared", [0.1, 0.1])]


@pytest.mark.parametrize("words", [[], ["--skims", "feiHadronic"]])
def test_threads_change_no_event(folder: Path, tmp_path: Path, words: list[str]) -> None:
    kept = []
    for threads in (1, 2):
        assert call(folder, "--seed", 1, "--threads", threads, *words, "-o", tmp_path / "k.parquet").exit_code == 0
        kept.append(numbers(read_events(tmp_path / "k.parquet")))
    assert kept[0] == kept[1]


def test_local_weights_need_no_store(folder: Path, tmp_path: Path) -> None:
    weights, config = write_pair(tmp_path / "pair")
    words = [
        "filter",
        folder / "events.parquet",
        "--skims",
        "feiHadronic",
        "--seed",
        1,
        "-o",
        tmp_path / "kept.parquet",
    ]
    words += ["--weights-file", weights, "--config-file", config, "--store", tmp_path / "none" / "store.db"]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0, result.stderr
    assert not (tmp_path / "none").exists()


def test_a_skim_of_ones_own_is_named_by_its_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def many_tracks(reco):\n    return reco.tracks.counts >= 9\n")
    result = call(folder, "--skims", f"{file}:many_tracks", "--seed", 1, "-o", tmp_path / "kept.parquet")
    assert result.exit_code == 1
    assert (
        "'many_tracks' is a skim of your own, without a code, and the network in force was not trained" in result.stderr
    )


@pytest.mark.parametrize(
    ("extra", "code", "said"),
    [
        (["--skims", "feiHadronik"], 3, "unknown skim 'feiHadronik'; near: feiHadronic"),
        (["--skims", "BToXgamma"], 3, "unknown skim code of BToXgamma '12160100'"),
        (["--skims", ","], 1, "no skim was named"),
        (["--skims", "feiHadronic", "--event-type", "charmed"], 3, "unknown event type 'charmed'; near: charged"),
        (["--skims", "feiHadronic", "--weights-file", "w.onnx"], 1, "weights_file and config_file belong together"),
        (["--skims", "feiHadronic", "--threshold", "0.5"], 2, "--threshold does not go with --skims"),
        (["--skims", "feiHadronic", "--model-file", "g.onnx"], 2, "--model-file does not go with --skims"),
        (["--debug"], 2, "--debug needs --skims"),
        (["--independent-draws"], 2, "--independent-draws needs --skims"),
        (["--activation", "0.5", "0"], 2, "--activation needs --skims"),
        (["--event-type", "mixed"], 2, "--event-type needs --skims"),
        (["--precision", "int8"], 2, "--precision needs --skims"),
        (["--skims", "feiHadronic", "--precision", "fp64"], 3, "unknown precision 'fp64'"),
    ],
)
def test_wrong_choices_of_skims_are_said(folder: Path, tmp_path: Path, extra: list[str], code: int, said: str) -> None:
    result = call(folder, "--seed", 1, "-o", tmp_path / "kept.parquet", *extra)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []
