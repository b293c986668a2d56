"""Real processes for tests: let go at the same moment, or killed with SIGKILL at a chosen step.

They are forked from a small server that has the store imported already, so one costs hundredths of a second. A step is
the moment before or after a call into the operating system, the SQLite library or the PostgreSQL connection: the only
moments between which a kill can make a difference to files and databases.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Barrier
from types import FrameType, ModuleType
from typing import Any

import psycopg

# How many times the random tests run is multiplied by this; 1 is what a quick check can afford.
STRESS = max(1, int(os.environ.get("CONDITIONS_STRESS", "1")))
DEADLINE_S = 120  # nothing here takes long; a process that hangs is a failure
PRELOADED = ["conditions.store.session", "psycopg", "sqlalchemy.dialects.postgresql.psycopg"]
IO_MODULES = frozenset({"posix", "fcntl", "_io", "sqlite3"})  # whose functions reach files or SQLite
NEVER = -1

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOADED)
_psycopg_folder = os.path.dirname(psycopg.__file__)  # noqa: PTH120 - compared with names of code


@dataclass(frozen=True)
class Outcome:
    """How a function ended in its process: with a value, or with an error's name and message."""

    value: Any = None
    error: str | None = None
    message: str = ""


def run_together(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Outcome]:
    """Call the function once with each of the arguments, each in a process of its own, all let go together."""
    barrier = _context.Barrier(len(arguments))
    started = [_start(_call_together, barrier, function, args) for args in arguments]
    outcomes = [_receive(pipe) for _, pipe in started]
    for process, _ in started:
        process.join(DEADLINE_S)
    assert all(outcome is not None for outcome in outcomes), "a process died without a word"
    return [outcome for outcome in outcomes if outcome is not None]


def count_steps(function: Callable[..., Any], *args: Any) -> int:
    """Call the function in a process of its own; returns how many steps it took."""
    process, pipe = _start(_call_stepwise, NEVER, function, args)
    outcome = _receive(pipe)
    process.join(DEADLINE_S)
    assert outcome is not None
    assert outcome.error is None, outcome
    return int(outcome.value)


def kill_at(step: int, function: Callable[..., Any], *args: Any) -> None:
    """Call the function in a process that is killed at that step."""
    process, pipe = _start(_call_stepwise, step, function, args)
    outcome = _receive(pipe)
    process.join(DEADLINE_S)
    assert process.exitcode == -signal.SIGKILL, f"step {step} was never reached: {outcome}"


def chosen_steps(steps: int, rounds: int, seed: int) -> list[int]:
    """Random steps, one from each of `rounds` equal parts of the way, so that no part is left out."""
    draw = random.Random(seed)  # noqa: S311
    rounds = min(rounds, steps)
    return [draw.randrange(steps * part // rounds, steps * (part + 1) // rounds) for part in range(rounds)]


@contextmanager
def running(function: Callable[..., Any], *args: Any) -> Iterator[ForkServerProcess]:
    """A process that calls the function while the block runs; killed at the end if it is still there."""
    process, pipe = _start(_call_alone, function, args)
    try:
        yield process
    finally:
        process.kill()
        process.join(DEADLINE_S)
        pipe.close()


def _start(target: Callable[..., None], *args: Any) -> tuple[ForkServerProcess, Connection]:
    ours, theirs = _context.Pipe(duplex=False)
    # The server that processes are forked from has the environment of whoever used it first.
    process = _context.Process(target=_in_environment, args=(dict(os.environ), target, theirs, *args), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _in_environment(environment: dict[str, str], target: Callable[..., None], *args: Any) -> None:
    os.environ.clear()
    os.environ.update(environment)
    target(*args)


def _receive(pipe: Connection) -> Outcome | None:
    """What the process sent; None when it died first."""
    assert pipe.poll(DEADLINE_S), f"a process said nothing for {DEADLINE_S} s"
    try:
        outcome: Outcome = pipe.recv()
    except EOFError:
        return None
    finally:
        pipe.close()
    return outcome


def _call_together(pipe: Connection, barrier: Barrier, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    barrier.wait(DEADLINE_S)
    _call_alone(pipe, function, args)


def _call_alone(pipe: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        outcome = Outcome(value=function(*args))
    except Exception as error:
        outcome = Outcome(error=type(error).__name__, message=str(error))
    pipe.send(outcome)


def _call_stepwise(pipe: Connection, last_step: int, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    steps = 0

    def watch(frame: FrameType, event: str, called: Any) -> None:
        nonlocal steps
        if _is_step(frame, event, called):
            if steps == last_step:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1

    sys.setprofile(watch)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
    pipe.send(Outcome(value=steps))


def _is_step(frame: FrameType, event: str, called: Any) -> bool:
    if event in ("call", "return"):  # the wait for the server's answer is a Python method of psycopg's connection
        return frame.f_code.co_name == "wait" and frame.f_code.co_filename.startswith(_psycopg_folder)
    owner = getattr(called, "__self__", None)
    module = owner.__name__ if isinstance(owner, ModuleType) else type(owner).__module__
    return module in IO_MODULES
