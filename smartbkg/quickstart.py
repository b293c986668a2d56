"""The whole way through, on one machine: events, labels, training, payload, tag, filter by default, comparison.

Every step is one command of this project, run as a user would type it, in a folder of its own. A step whose output
is there already is not repeated, so a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from smartbkg.atomic import write_atomically
from smartbkg.errors import OtherPlan, StepFailed

PLAN_FILE = "quickstart.json"
TAG = "SmartBKG_GATGAP"


@dataclass(frozen=True)
class Plan:
    """What is generated, trained and compared. The same plan gives the same files."""

    event_type: str = "mixed"
    skim: str = "feiHadronic"
    n_train: int = 200_000
    n_new: int = 100_000
    epochs: int = 12
    seed: int = 1
    store: str | None = None


@dataclass(frozen=True)
class Step:
    """One command; `output` is the file that proves it done, None for what is quick and always run."""

    title: str
    command: tuple[str, ...]
    output: str | None = None

    @property
    def line(self) -> str:
        """As one types it."""
        return shlex.join(self.command)


def steps(plan: Plan, workers: int) -> list[Step]:
    """The commands in their order."""
    kind, skim, seed = plan.event_type, plan.skim, str(plan.seed)
    many = ("--workers", str(workers))
    return [
        *_sample("train", kind, skim, plan.n_train, ("--seed", seed, "--run", "1"), many),
        Step(
            "train a GATGAP network on them",
            (
                *("smartbkg", "train", "gatgap", "train.parquet", "--labels", "train.skim.parquet", "--skim", skim),
                *("--epochs", str(plan.epochs), "--schedule", "cosine", "--seed", seed, "--resume", "-o", "gatgap"),
            ),
            "gatgap/metrics.json",
        ),
        Step("publish it with its metrics", ("smartbkg", "publish", "gatgap", "--tag", TAG, "--state", "PUBLISHED")),
        Step("look at the tag", ("conditions", "tag", "show", TAG)),
        Step("what a job of run 2 of experiment 0 gets", ("conditions", "resolve", "--tag", TAG, "--run", "0,2")),
        _generate("new", kind, plan.n_new, ("--seed", seed, "--run", "2"), many),
        Step(
            "filter them with the payload resolved by default",
            ("smartbkg", "filter", "new.parquet", "--seed", seed, "-o", "kept.parquet"),
            "kept.parquet",
        ),
        *_simulate("kept", skim, seed, many),
        *_simulate("new", skim, seed, many),
        Step(
            "compare with the unfiltered truth",
            (
                *("smartbkg", "evaluate", "gatgap/GATGAPgen.onnx", "new.parquet", "--labels", "new.skim.parquet"),
                *("--skim", skim, "--kept", "kept.skim.parquet", "--report", "report"),
            ),
        ),
    ]


def run(directory: Path, plan: Plan, workers: int, say: Callable[[str], None]) -> None:
    """Run all steps in the folder, skipping those that are done.

    Raises:
        OtherPlan: the folder was made with other settings.
        StepFailed: a command ended with an error; everything before it stays.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _remember(directory, plan)
    environment = _environment(directory, plan)
    say(f"cd {shlex.quote(str(directory))}")
    say(f"export CONDITIONS_URL={shlex.quote(environment['CONDITIONS_URL'])}")
    for step in steps(plan, workers):
        say(f"\n# {step.title}\n{step.line}")
        if step.output is not None and (directory / step.output).exists():
            say("(done already)")
            continue
        started = time.perf_counter()
        _run_command(step.command, directory, environment)
        say(f"({time.perf_counter() - started:.1f} s)")


def _sample(
    name: str, kind: str, skim: str, count: int, numbers: Sequence[str], many: Sequence[str]
) -> tuple[Step, ...]:
    return (_generate(name, kind, count, numbers, many), *_simulate(name, skim, numbers[1], many))


def _generate(name: str, kind: str, count: int, numbers: Sequence[str], many: Sequence[str]) -> Step:
    output = f"{name}.parquet"
    command = ("smartbkg", "generate", kind, "-n", str(count), *numbers, *many, "-o", output)
    return Step(f"generate {count} {kind} events", command, output)


def _simulate(name: str, skim: str, seed: str, many: Sequence[str]) -> tuple[Step, Step]:
    events, reco, skimmed = f"{name}.parquet", f"{name}.reco.parquet", f"{name}.skim.parquet"
    return (
        Step(f"simulate {events}", ("smartbkg", "simulate", events, "--seed", seed, *many, "-o", reco), reco),
        Step(f"skim {events}: which events pass", ("smartbkg", "skim", skim, reco, "-o", skimmed), skimmed),
    )


def _remember(directory: Path, plan: Plan) -> None:
    path, asked = directory / PLAN_FILE, asdict(plan)
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != asked:
            raise OtherPlan(directory, found, asked)
    elif any(directory.iterdir()):
        raise OtherPlan(directory, {}, asked)
    write_atomically(path, json.dumps(asked, indent=1).encode())


def _environment(directory: Path, plan: Plan) -> dict[str, str]:
    store = plan.store or f"sqlite:///{directory.resolve() / 'conditions.sqlite'}"
    # The tag is found by default: a stack in force outside must not lead the quickstart elsewhere.
    hidden = {"CONDITIONS_TAGS", "BELLE2_CONDB_GLOBALTAG"}
    if plan.store is None:
        hidden.add("CONDITIONS_FILES")  # a site's payload folder is for the site's database, not for ours
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**inherited, "CONDITIONS_URL": store, "PYTHONUNBUFFERED": "1"}


def _run_command(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
    # The commands that were installed together with this Python, whatever else PATH finds.
    program = Path(sys.executable).with_name(command[0])
    code = subprocess.run([program, *command[1:]], cwd=directory, env=environment, check=False).returncode
    if code:
        raise StepFailed(shlex.join(command), code)
