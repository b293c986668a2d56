"""The whole way through, on one machine: events, labels, training, payload, tag, filter by default, comparison.

Every step is one command of this project, run as a user would type it, in a folder of its own. A step whose output
is there already is not repeated, so a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from smartbkg.recipe import Step, alone, open_recipe, remember

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
    remember(directory / PLAN_FILE, asdict(plan), "quickstart")
    with alone(directory, "quickstart"):
        open_recipe(directory, plan.store, say).run(steps(plan, workers))


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
