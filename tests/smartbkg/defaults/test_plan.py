"""The plan of the defaults: real commands with options that exist, unseen events that are unseen, files that meet."""

from __future__ import annotations

import itertools

import click
import pytest

import conditions.cli
import smartbkg.cli
from smartbkg.defaults.plan import (
    Plan,
    Training,
    evaluation_lanes,
    publication_steps,
    sample_lanes,
    snapshot_steps,
    training_lanes,
)
from smartbkg.events import EVENT_TYPES
from smartbkg.recipe import Step

LANES = [
    *sample_lanes(Plan()),
    *training_lanes(Training(), 1),
    *evaluation_lanes(),
    publication_steps(Plan()),
    snapshot_steps(),
]
STEPS = list(itertools.chain.from_iterable(LANES))


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.title)
def test_every_step_is_a_command_with_options_that_exist(step: Step) -> None:
    program, *arguments = step.command
    command: click.Command = {"smartbkg": smartbkg.cli.main, "conditions": conditions.cli.main}[program]
    context = click.Context(command, info_name=program)
    while isinstance(command, click.Group):
        found = command.get_command(context, arguments.pop(0))
        assert found is not None
        command = found
        context = click.Context(command, parent=context)
    flags = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    assert {a for a in arguments if a.startswith("-")} <= flags


def test_what_one_step_reads_an_earlier_one_has_written() -> None:
    written: set[str] = set()
    for step in STEPS:
        read = {word for word in step.command if word.endswith((".parquet", ".onnx", ".json"))} - {step.output}
        assert read <= written, step.line
        written |= {step.output} if step.output else set()


def test_every_type_has_events_to_train_on_and_unseen_ones_of_another_seed_and_run() -> None:
    generated = [lane[0].command for lane in sample_lanes(Plan(seed=7), "generate")]
    for sample, seed in (("train", "7"), ("new", "8")):
        mine = [c for c in generated if c[-1].startswith(sample)]
        assert sorted(c[2] for c in mine) == sorted(EVENT_TYPES)
        assert {c[c.index("--seed") + 1] for c in mine} == {seed}
    runs = [c[c.index("--run") + 1] for c in generated]
    assert len(set(runs)) == len(runs) == 14


def test_only_training_events_are_trained_on_and_only_unseen_ones_evaluated() -> None:
    for step in itertools.chain.from_iterable(training_lanes(Training(), 1)):
        assert not any(word.startswith("new/") for word in step.command)
    for step in itertools.chain.from_iterable(evaluation_lanes()):
        assert not any(word.startswith("train/") for word in step.command)


def test_reconstructed_events_are_kept_until_the_labels_are_there_only() -> None:
    for _, reco, labels in sample_lanes(Plan()):
        assert reco.needed_until == labels.output


def test_more_options_go_to_the_trainings() -> None:
    (gatgap,), (multiskim,) = training_lanes(Training(("--epochs", "3"), ("--threads", "2")), 5)
    assert "--epochs 3 --seed 5 --resume" in gatgap.line
    assert "--threads 2 --seed 5 --resume" in multiskim.line
