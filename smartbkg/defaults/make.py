"""Makes the defaults that are shipped, stage by stage, in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from smartbkg.atomic import write_atomically
from smartbkg.defaults import FOLDER, MAX_BYTES, PAYLOADS, SNAPSHOT, size_bytes
from smartbkg.defaults.plan import (
    EVALUATION,
    GATGAP,
    MULTISKIM,
    STAGES,
    Plan,
    Training,
    evaluation_lanes,
    publication_steps,
    sample_lanes,
    snapshot_steps,
    training_lanes,
)
from smartbkg.errors import DefaultsDamaged
from smartbkg.recipe import Recipe, alone, open_recipe, remember

PLAN_FILE: Final = "defaults.json"
# What two stages leave behind. SQLite may leave files beside its own.
_EVALUATION: Final = ("evaluation", f"{GATGAP}/{EVALUATION}", f"{MULTISKIM}/{EVALUATION}")
_PUBLICATION: Final = ("conditions.sqlite*", "payloads", "snapshot")


@dataclass(frozen=True)
class Making:
    """How far to go, and what to do again.

    Attributes:
        until: the last stage.
        again: whether what was evaluated is evaluated again.
        workers: commands side by side.
        install: whether the result goes into this copy of the program.
    """

    until: str = STAGES[-1]
    again: bool = False
    workers: int = 2
    install: bool = False


def make(directory: Path, plan: Plan, training: Training, making: Making, say: Callable[[str], None]) -> None:
    """From seeds to published tags and a snapshot of them; up to the evaluation, what is done is not repeated.

    Raises:
        OtherPlan: the folder was made with other settings.
        QuickstartError: another process is at work there.
        StepFailed: a command ended with an error; everything before it stays.
        DefaultsDamaged: the result is too large.
    """
    remember(directory / PLAN_FILE, asdict(plan), "defaults")
    with alone(directory, "defaults"):
        if making.again:
            _forget(directory, _EVALUATION)
        recipe = open_recipe(directory, None, say)
        for stage in STAGES[: STAGES.index(making.until) + 1]:
            say(f"\n## {stage}")
            _run_stage(recipe, stage, plan, training, making)
        if making.until == STAGES[-1] and making.install:
            install(directory / "snapshot", FOLDER)
            say(f"\n{size_bytes(FOLDER) / 1e6:.1f} MB in {FOLDER}")
    for line, seconds in recipe.times_s.items():
        say(f"{seconds:9.1f} s  {line}")


def install(snapshot: Path, folder: Path) -> None:
    """Put a snapshot and its payload files in the place of those that are shipped.

    Raises:
        DefaultsDamaged: it is larger than what is shipped may be.
    """
    size = size_bytes(snapshot)
    if size > MAX_BYTES:
        raise DefaultsDamaged(snapshot, f"{size} bytes, at most {MAX_BYTES} are shipped")
    # New payloads first and old ones last: the snapshot that jobs find has its files at any moment.
    payloads = sorted(path.relative_to(snapshot) for path in (snapshot / PAYLOADS).rglob("*") if not path.is_dir())
    for name in (*payloads, Path(SNAPSHOT)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, (snapshot / name).read_bytes())
    for path in (folder / PAYLOADS).rglob("*"):
        if path.is_file() and path.relative_to(folder) not in payloads:
            path.unlink()


def _run_stage(recipe: Recipe, stage: str, plan: Plan, training: Training, making: Making) -> None:
    if stage in ("generate", "simulate", "label"):
        recipe.run_lanes(sample_lanes(plan, stage), making.workers)
    elif stage == "train":
        recipe.run_lanes(training_lanes(training, plan.seed), making.workers)
    elif stage == "evaluate":
        recipe.run_lanes(evaluation_lanes(), making.workers, show=True)
    elif stage == "publish":
        # In a store of its own: a published tag takes nothing more, and the networks may be others by now.
        _forget(recipe.directory, _PUBLICATION)
        recipe.run(publication_steps(plan))
    else:
        recipe.run(snapshot_steps())


def _forget(directory: Path, products: Sequence[str]) -> None:
    """Remove what a stage has left."""
    for path in [path for pattern in products for path in directory.glob(pattern)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
