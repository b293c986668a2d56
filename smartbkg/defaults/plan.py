"""The way from seeds to the defaults that are shipped, as steps: samples, labels, trainings, evaluations, publication.

Two samples of every event type, with seeds and runs of their own: `train` for the networks, `new` for what is said
about them. Everything follows from the plan's seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from smartbkg.defaults import GATGAP_TAG, MULTISKIM_TAG, PAYLOADS, SNAPSHOT
from smartbkg.recipe import Step

B_PAIRS: Final = ("mixed", "charged")
OTHERS: Final = ("uubar", "ddbar", "ssbar", "ccbar", "taupair")
STAGES: Final = ("generate", "simulate", "label", "train", "evaluate", "publish", "snapshot")
TRAIN, NEW = "train", "new"
GATGAP, MULTISKIM = "gatgap", "multiskim"  # folders of the trainings
EVALUATION: Final = "evaluation.json"  # where publication finds it in the folder of a training
# An event is known by experiment, run and number: every file has a run of its own.
FIRST_RUN: Final = {TRAIN: 1, NEW: 101}
GATGAP_SKIM: Final = "feiHadronic"  # the skim that the one-skim filter was made for


@dataclass(frozen=True)
class Plan:
    """Which events are made. The same plan gives the same events and labels.

    Attributes:
        n_b_pairs: training events of mixed and of charged.
        n_others: training events of each other type.
        n_new: events of every type that no network sees.
        decays: decay table of the generator.
        seed: of everything; unseen events have the seed after it.
    """

    n_b_pairs: int = 500_000
    n_others: int = 200_000
    n_new: int = 100_000
    decays: str = "pythia"
    seed: int = 1

    @property
    def command(self) -> str:
        """What makes these events, as one types it."""
        numbers = f"--b-pairs {self.n_b_pairs} --others {self.n_others} --new {self.n_new}"
        return f"tools/defaults {numbers} --decays {self.decays} --seed {self.seed}"


@dataclass(frozen=True)
class Training:
    """More options of the two training commands, as one types them."""

    gatgap: tuple[str, ...] = ("--epochs", "12", "--schedule", "cosine")
    # Validation loss is best after 13 of these epochs; the shipped network was trained with them.
    multiskim: tuple[str, ...] = (
        *("--processes", "2", "--epochs", "22"),
        *("--batch-size", "256", "--learning-rate", "0.0015"),
    )


def sample_lanes(plan: Plan, until: str = "label") -> list[list[Step]]:
    """For every sample and type: events, reconstructed events (until the labels are there), labels.

    Args:
        plan: which events.
        until: the last of these three stages.
    """
    n_steps = STAGES.index(until) + 1
    sizes = {**dict.fromkeys(B_PAIRS, plan.n_b_pairs), **dict.fromkeys(OTHERS, plan.n_others)}
    # An event is found by experiment, run and number: types that are read together have runs of their own.
    wanted = [
        (TRAIN, kind, count, plan.seed, FIRST_RUN[TRAIN] + place) for place, (kind, count) in enumerate(sizes.items())
    ]
    wanted += [(NEW, kind, plan.n_new, plan.seed + 1, FIRST_RUN[NEW] + place) for place, kind in enumerate(sizes)]
    return [_lane(plan, *each)[:n_steps] for each in wanted]


def training_lanes(training: Training, seed: int) -> list[list[Step]]:
    """The two networks; each training goes on where it stopped."""
    common = ("--seed", str(seed), "--resume")
    gatgap = ("smartbkg", "train", "gatgap", *_inputs(TRAIN, B_PAIRS), "--skim", GATGAP_SKIM, *training.gatgap)
    multiskim = ("smartbkg", "train", "multiskim", *_inputs(TRAIN, (*B_PAIRS, *OTHERS)), *training.multiskim)
    return [
        [Step("train GATGAP", (*gatgap, *common, "-o", GATGAP), f"{GATGAP}/metrics.json")],
        [Step("train the multi-skim network", (*multiskim, *common, "-o", MULTISKIM), f"{MULTISKIM}/metrics.json")],
    ]


def evaluation_lanes() -> list[list[Step]]:
    """What the networks are worth on events that neither of them saw."""
    inputs = {
        GATGAP: (*_inputs(NEW, B_PAIRS), "--skim", GATGAP_SKIM),
        MULTISKIM: _inputs(NEW, (*B_PAIRS, *OTHERS)),
    }
    return [
        [
            Step(
                f"evaluate {name} on unseen events",
                ("smartbkg", "evaluate", name, *words, "--report", f"evaluation/{name}", "--store-in", name),
                f"{name}/{EVALUATION}",
            )
        ]
        for name, words in inputs.items()
    ]


def publication_steps(plan: Plan) -> list[Step]:
    """Both into their tags, with what was measured and how they can be made again; the same again changes nothing."""
    recipe = ("--meta", f"recipe={plan.command}")
    return [
        Step(
            f"publish {name} in {tag}",
            ("smartbkg", "publish", name, "--tag", tag, "--state", "PUBLISHED", *recipe),
        )
        for name, tag in {GATGAP: GATGAP_TAG, MULTISKIM: MULTISKIM_TAG}.items()
    ]


def snapshot_steps() -> list[Step]:
    """Both tags in one file, the payload files beside it, and every byte compared."""
    snapshot, payloads = f"snapshot/{SNAPSHOT}", f"snapshot/{PAYLOADS}"
    download = ("conditions", "download", GATGAP_TAG, MULTISKIM_TAG, "-o", snapshot, "--payloads", payloads)
    return [
        Step("take both tags along", (*download, "--details"), snapshot),
        Step("compare all bytes", ("smartbkg", "defaults", "verify", "--evaluated", "--snapshot", snapshot)),
    ]


def _lane(plan: Plan, sample: str, kind: str, count: int, seed: int, run: int) -> list[Step]:
    events, reco, labels = (f"{sample}/{kind}{suffix}" for suffix in (".parquet", ".reco.parquet", ".skim.parquet"))
    numbers = ("--seed", str(seed))
    generate = ("smartbkg", "generate", kind, "-n", str(count), *numbers, "--run", str(run), "--decays", plan.decays)
    simulate = ("smartbkg", "simulate", events, *numbers)
    return [
        Step(f"generate {count} {kind} events", (*generate, "-o", events), events),
        Step(f"simulate {events}", (*simulate, "-o", reco), reco, needed_until=labels),
        Step(f"which of {events} pass each skim", ("smartbkg", "skim", "all", reco, "-o", labels), labels),
    ]


def _inputs(sample: str, kinds: tuple[str, ...]) -> tuple[str, ...]:
    labels = [word for kind in kinds for word in ("--labels", f"{sample}/{kind}.skim.parquet")]
    return (*(f"{sample}/{kind}.parquet" for kind in kinds), *labels)
