"""Models opened in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from smartbkg.errors import NotAModel
from smartbkg.sessions import metadata, open_session
from support.transformers import manifest_for, random_transformer, write_pair


@pytest.mark.parametrize("threads", [1, 2])
def test_a_session_has_the_threads_that_were_asked_and_they_sleep_while_they_wait(threads: int, tmp_path: Path) -> None:
    path = write_pair(tmp_path)[1]
    options = open_session(path, path.read_bytes(), threads).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_metadata_are_read_where_they_are(tmp_path: Path) -> None:
    path = write_pair(tmp_path)[0]
    session = open_session(path, path.read_bytes())
    assert metadata(path, session, "smartbkg") == manifest_for(random_transformer()).to_json()
    assert metadata(path, session, "nothing") is None


def test_what_is_no_model_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match=r"cannot use .*a\.onnx as a trained model: ONNX Runtime refuses it: "):
        open_session(tmp_path / "a.onnx", b"no model")
