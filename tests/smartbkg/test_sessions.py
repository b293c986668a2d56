"""Models opened in ONNX Runtime."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from smartbkg.errors import NotAModel
from smartbkg.sessions import metadata, open_session, side_by_side
from support.foreign import write_weights
from support.transformers import manifest_for, random_transformer, write_pair


def test_a_call_takes_the_thread_it_is_made_in_and_no_other(tmp_path: Path) -> None:
    path = write_pair(tmp_path)[1]
    options = open_session(path, path.read_bytes()).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_their_parts(threads: int) -> None:
    delays = [0.03, 0.0, 0.02, 0.01, 0.0]

    def call(delay: float) -> float:
        time.sleep(delay)
        return delay

    assert list(side_by_side(call, delays, threads)) == delays


def test_as_many_calls_as_threads_are_made_at_once() -> None:
    together = threading.Barrier(3, timeout=20)  # passed only if three calls wait at it
    assert sorted(side_by_side(lambda _: together.wait(), range(6), 3)) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_of_a_call_is_the_error_of_all(threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda part: 1 / part, [3, 0, 2], threads))


def test_metadata_are_read_where_they_are(tmp_path: Path) -> None:
    path = write_pair(tmp_path)[0]
    session = open_session(path, path.read_bytes())
    assert metadata(path, session, "smartbkg") == manifest_for(random_transformer()).to_json()
    assert metadata(path, session, "nothing") is None


def test_what_is_no_model_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match=r"cannot use .*a\.onnx as a trained model: ONNX Runtime refuses it: "):
        open_session(tmp_path / "a.onnx", b"no model")


def test_weights_in_other_files_are_refused_wherever_those_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = onnx.load(str(write_weights(tmp_path / "whole.onnx")))
    (dense,) = (tensor for tensor in model.graph.initializer if tensor.name == "dense")
    (tmp_path / "dense.bin").write_bytes(dense.raw_data)
    dense.ClearField("raw_data")
    dense.data_location = TensorProto.EXTERNAL
    location = dense.external_data.add()
    location.key = "location"
    for place in ("dense.bin", "../dense.bin", str(tmp_path / "dense.bin")):
        location.value = place
        with pytest.raises(NotAModel, match=r"[Ee]xternal data"):
            open_session(tmp_path / "part.onnx", model.SerializeToString())


def test_nothing_is_written_into_the_home_of_who_opens_a_model(tmp_path: Path) -> None:
    home, model = tmp_path / "home", write_weights(tmp_path / "a.onnx")
    home.mkdir()
    surroundings = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY",)}
    for module, opener in (("smartbkg.multiskim_scorer", "open_multiskim"), ("smartbkg.scorer", "open_scorer")):
        opening = (
            f"import {module}; from smartbkg.multiskim_scorer import open_multiskim; open_multiskim({str(model)!r})"
        )
        done = subprocess.run(
            [sys.executable, "-c", f"{opening}; print({module}.{opener}.__name__)"],
            env={**surroundings, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout.strip() == opener
    assert list(home.iterdir()) == []
