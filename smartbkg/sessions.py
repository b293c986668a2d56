"""Exported files opened in ONNX Runtime, quietly, with as many threads as asked and no more."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from smartbkg.errors import NotAModel


def open_session(path: Path, content: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session of a model.

    Args:
        path: where the model is from, for messages.
        content: the model.
        threads: of one call. They sleep while they wait: a thread that spins would take a core from other work.

    Raises:
        NotAModel: damaged, or no ONNX model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong comes as an exception, and is said once
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # Without a second try, which would be announced on stdout among the data.
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # the runtime has no common base for its errors
        raise NotAModel(path, f"ONNX Runtime refuses it: {first_line(error)}") from error


def metadata(path: Path, session: onnxruntime.InferenceSession, name: str) -> str | None:
    """A metadata property of the model; None when there is none.

    Raises:
        NotAModel: the metadata are no text.
    """
    try:
        text: str | None = session.get_modelmeta().custom_metadata_map.get(name)
    except Exception as error:
        raise NotAModel(path, f"ONNX Runtime refuses its metadata: {first_line(error)}") from error
    return text


def first_line(error: Exception) -> str:
    """What the runtime says; some of its errors about damaged text say nothing but their kind."""
    return next(iter(str(error).splitlines()), type(error).__name__)
