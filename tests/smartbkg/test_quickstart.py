"""The quickstart's plan: real commands, in order, never repeated, never mixed with another plan."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

import conditions.cli
import smartbkg.cli
from smartbkg.errors import OtherPlan, StepFailed
from smartbkg.quickstart import PLAN_FILE, Plan, Step, run, steps


@pytest.mark.parametrize("step", steps(Plan(), workers=2), ids=lambda s: s.title)
def test_every_step_is_a_command_with_options_that_exist(step: Step) -> None:
    program, *arguments = step.command
    command: click.Command = {"smartbkg": smartbkg.cli.main, "conditions": conditions.cli.main}[program]
    context = click.Context(command, info_name=program)
    while isinstance(command, click.Group):
        found = command.get_command(context, arguments.pop(0))
        assert found is not None
        command = found
        context = click.Context(command, parent=context)
    flags = {flag for option in command.params for flag in option.opts}
    assert {a for a in arguments if a.startswith("-")} <= flags


def test_what_one_step_writes_the_later_ones_read() -> None:
    written: set[str] = set()
    for step in steps(Plan(), workers=1):
        read = {word for word in step.command if word.endswith((".parquet", ".onnx"))} - {step.output}
        assert read <= written | {"gatgap/GATGAPgen.onnx"}, step.line
        written |= {step.output} if step.output else set()


def test_the_events_that_are_filtered_are_not_those_of_the_training() -> None:
    generated = [step.command for step in steps(Plan(), workers=1) if step.command[1] == "generate"]
    runs = [command[command.index("--run") + 1] for command in generated]
    assert len(set(runs)) == len(runs) == 2


def test_a_line_can_be_typed_as_it_is_printed() -> None:
    step = steps(Plan(skim="my skim"), workers=1)[2]
    assert tuple(shlex.split(step.line)) == step.command


def test_a_folder_with_another_plan_is_refused_with_the_difference(tmp_path: Path) -> None:
    (tmp_path / PLAN_FILE).write_text(json.dumps({"seed": 7}))
    with pytest.raises(OtherPlan, match="seed: 7 there, 1 asked"):
        run(tmp_path, Plan(), 1, lambda _: None)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OtherPlan, match="holds other things and no quickstart"):
        run(tmp_path, Plan(), 1, lambda _: None)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_step_that_fails_names_its_command_and_keeps_what_was_made(tmp_path: Path) -> None:
    plan = Plan(n_train=20, skim="noSuchSkim")
    with pytest.raises(StepFailed, match="smartbkg skim noSuchSkim"):
        run(tmp_path, plan, 1, lambda _: None)
    made = (tmp_path / "train.parquet").stat().st_mtime_ns
    said: list[str] = []
    with pytest.raises(StepFailed):
        run(tmp_path, plan, 1, said.append)
    assert (tmp_path / "train.parquet").stat().st_mtime_ns == made
    assert said.count("(done already)") == 2


@pytest.mark.parametrize(("store", "files"), [(None, None), ("postgresql://site/conditions", "/site/payloads")])
def test_a_sites_payload_folder_is_for_its_own_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str | None, files: str | None
) -> None:
    monkeypatch.setenv("CONDITIONS_FILES", "/site/payloads")
    seen: dict[str, str] = {}

    def refuse(command: object, **options: Any) -> subprocess.CompletedProcess[str]:
        seen.update(options["env"])
        return subprocess.CompletedProcess([], 1)

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(StepFailed):
        run(tmp_path, Plan(store=store), 1, lambda _: None)
    assert seen.get("CONDITIONS_FILES") == files
