"""Exported files opened in ONNX Runtime, quietly; several threads share the calls, not the insides of one.

The operations of our networks are short. Threads inside a call mostly wait for each other there: with two, an event
took a fifth more CPU and no less time. Calls side by side share nothing, and the session is one for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from smartbkg.errors import NotAModel

# Imported without this, ONNX Runtime writes an identifier of the machine into the home and reports to its makers. It
# has to be set before the first import, so nobody else here imports the package; whoever wants reports sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

# Where a model would have its weights in files beside it: nowhere, or the same payload would be another network in
# another working directory.
_EXTERNAL = ("session.model_external_initializers_file_folder_path", os.devnull)

Part = TypeVar("Part")
Result = TypeVar("Result")


def open_session(path: Path, content: bytes) -> onnxruntime.InferenceSession:
    """A session of a model, whose calls take the thread they are made in and no other.

    Args:
        path: where the model is from, for messages.
        content: the model.

    Raises:
        NotAModel: damaged, no ONNX model, or one whose weights are in other files.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry(*_EXTERNAL)
    options.log_severity_level = 4  # what is wrong comes as an exception, and is said once
    try:
        # Without a second try, which would be announced on stdout among the data.
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # the runtime has no common base for its errors
        raise NotAModel(path, f"ONNX Runtime refuses it: {first_line(error)}") from error


def side_by_side(call: Callable[[Part], Result], parts: Sequence[Part], threads: int) -> Iterator[Result]:
    """The result of each part in their order, so many calls at once."""
    if threads == 1 or len(parts) == 1:
        yield from map(call, parts)
        return
    # Threads of this call alone: a process that forks later takes none along.
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(call, parts)


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
