"""Recipes: commands of this project in their order, printed as one types them, and not repeated when they are done.

A step names the file that proves it done. Files appear whole or not at all, so a recipe that was interrupted goes on
where it stopped. What a folder was begun with is kept in it: other settings are refused instead of mixed.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import filelock

from smartbkg.atomic import write_atomically
from smartbkg.errors import OtherPlan, QuickstartError, StepFailed

LOGS: Final = "logs"
LOCK: Final = ".recipe.lock"
# A stack in force outside must not lead a recipe to other tags, nor what came with the installation stand in for what
# the recipe publishes.
_HIDDEN: Final = frozenset({"CONDITIONS_TAGS", "BELLE2_CONDB_GLOBALTAG"})


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        title: what it does, in words.
        command: as one types it.
        output: the file that proves it done; None for what is quick and always run.
        needed_until: a later output; when that is there, this one is removed and not made again.
    """

    title: str
    command: tuple[str, ...]
    output: str | None = None
    needed_until: str | None = None

    @property
    def line(self) -> str:
        """As one types it."""
        return shlex.join(self.command)


@dataclass(frozen=True)
class Recipe:
    """Where steps are run, and who is told.

    Attributes:
        directory: the folder of all files.
        environment: of the commands.
        say: called with each text for people.
        times_s: wall time of each step that was run, by its line.
    """

    directory: Path
    environment: Mapping[str, str]
    say: Callable[[str], None]
    times_s: dict[str, float]

    def run(self, steps: Sequence[Step]) -> None:
        """Steps one after the other, with what they say.

        Raises:
            StepFailed: a command ended with an error; everything before it stays.
        """
        for step in steps:
            self.say(f"\n# {step.title}\n{step.line}")
            if self._is_done(step):
                self.say("(done already)")
            else:
                self.say(f"({self._run(step, None):.1f} s)")
            self._tidy(steps)

    def run_lanes(self, lanes: Sequence[Sequence[Step]], workers: int, *, show: bool = False) -> None:
        """Lanes of steps side by side, each lane in its order; what the commands say goes to files in `logs`.

        Args:
            lanes: the steps.
            workers: lanes at once.
            show: whether what a command said is told when it has ended.

        Raises:
            StepFailed: of the first lane that failed; the others end the step that they are at.
        """
        (self.directory / LOGS).mkdir(exist_ok=True)
        failed: list[StepFailed] = []
        with ThreadPoolExecutor(max_workers=workers) as pool:
            running = [pool.submit(self._run_lane, lane, failed, show) for lane in lanes]
            wait(running, return_when=FIRST_EXCEPTION)
        for lane in running:
            lane.result()

    def _run_lane(self, lane: Sequence[Step], failed: list[StepFailed], show: bool) -> None:
        for step in lane:
            if failed:
                return
            if self._is_done(step):
                self.say(f"{step.line}  # done already")
            else:
                self.say(step.line)
                log = self.directory / LOGS / f"{(step.output or step.title).replace('/', '.')}.log"
                try:
                    with log.open("w", encoding="utf-8") as stream:
                        seconds = self._run(step, stream)
                except StepFailed as error:
                    failed.append(error)
                    self.say(_text(log))
                    raise
                if show:
                    self.say(_text(log))
                self.say(f"# {step.output or step.title}: {seconds:.1f} s")
            self._tidy(lane)

    def _is_done(self, step: Step) -> bool:
        proofs = [name for name in (step.output, step.needed_until) if name is not None]
        return any((self.directory / name).exists() for name in proofs)

    def _tidy(self, steps: Sequence[Step]) -> None:
        """Remove what was needed for a later output only."""
        for step in steps:
            later = step.needed_until
            if step.output is not None and later is not None and (self.directory / later).exists():
                (self.directory / step.output).unlink(missing_ok=True)

    def _run(self, step: Step, log: TextIO | None) -> float:
        if step.output is not None:
            (self.directory / step.output).parent.mkdir(parents=True, exist_ok=True)
        # The commands that were installed together with this Python, whatever else PATH finds.
        program = Path(sys.executable).with_name(step.command[0])
        started = time.perf_counter()
        done = subprocess.run(
            [program, *step.command[1:]],
            cwd=self.directory,
            env=self.environment,
            stdout=log,
            stderr=None if log is None else subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            raise StepFailed(step.line, done.returncode)
        self.times_s[step.line] = time.perf_counter() - started
        return self.times_s[step.line]


def open_recipe(directory: Path, store: str | None, say: Callable[[str], None]) -> Recipe:
    """A recipe in a folder, with a conditions store of its own there unless another one is named."""
    environment = _environment(directory, store)
    say(f"cd {shlex.quote(str(directory))}")
    say(f"export CONDITIONS_URL={shlex.quote(environment['CONDITIONS_URL'])}")
    return Recipe(directory, environment, say, {})


def remember(path: Path, asked: Mapping[str, Any], what: str) -> None:
    """Keep the settings that a folder is begun with; a file in an empty folder, or in one that was begun.

    Raises:
        OtherPlan: the folder was begun with other settings, or holds other things.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != asked:
            raise OtherPlan(path.parent, found, asked, what)
    elif any(path.parent.iterdir()):
        raise OtherPlan(path.parent, {}, asked, what)
    write_atomically(path, json.dumps(asked, indent=1).encode())


@contextmanager
def alone(directory: Path, what: str) -> Iterator[None]:
    """Keep a recipe's folder for this process; the claim ends with the process, however it ends.

    Raises:
        QuickstartError: another process is at work there.
    """
    lock = filelock.FileLock(directory / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise QuickstartError(f"another process makes the {what} in {directory}: wait until it has ended") from error
    try:
        yield
    finally:
        lock.release()


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace").rstrip()


def _environment(directory: Path, store: str | None) -> dict[str, str]:
    hidden = set(_HIDDEN)
    if store is None:
        hidden.add("CONDITIONS_FILES")  # a site's payload folder is for the site's database, not for ours
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    url = store or f"sqlite:///{directory.resolve() / 'conditions.sqlite'}"
    return {**inherited, "CONDITIONS_URL": url, "SMARTBKG_DEFAULTS": "off", "PYTHONUNBUFFERED": "1"}
