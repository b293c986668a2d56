"""Recipes: steps in order, lanes side by side, nothing twice, and nothing kept that is only needed on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smartbkg.errors import OtherPlan, StepFailed
from smartbkg.recipe import LOGS, Recipe, Step, alone, open_recipe, remember


def python(code: str, output: str | None = None, needed_until: str | None = None) -> Step:
    return Step(code, ("python", "-c", code), output, needed_until)


def writing(name: str, text: str = "", needed_until: str | None = None) -> Step:
    return python(f"print('made'); open({name!r}, 'a').write({text!r})", name, needed_until)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def recipe(tmp_path: Path, said: list[str]) -> Recipe:
    return Recipe(tmp_path, os.environ, said.append, {})


def test_lanes_go_side_by_side_each_in_its_order(recipe: Recipe, tmp_path: Path, said: list[str]) -> None:
    # Each lane waits for a file of the other one: one after the other they would never end.
    wait = (
        "import pathlib, sys, time\nfor _ in range(600):\n time.sleep(.05)\n"
        " if pathlib.Path({!r}).exists(): sys.exit()\nsys.exit(3)"
    )
    lanes = [
        [writing("a"), python(wait.format("b")), writing("end-a")],
        [writing("b"), python(wait.format("a")), writing("end-b")],
    ]
    recipe.run_lanes(lanes, workers=2)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "end-a", "end-b", LOGS}
    assert len(recipe.times_s) == 6
    assert (tmp_path / LOGS / "end-a.log").read_text() == "made\n"
    assert said.index(lanes[0][0].line) < said.index(lanes[0][2].line)
    assert "made" not in said
    recipe.run_lanes([[writing("shown")]], workers=1, show=True)
    assert "made" in said


def test_what_is_done_is_not_done_again_and_what_was_on_the_way_is_removed(
    recipe: Recipe, tmp_path: Path, said: list[str]
) -> None:
    lane = [writing("events", "e"), writing("sub/reco", "r", needed_until="labels"), writing("labels", "l")]
    recipe.run_lanes([lane[:1]], workers=1)
    recipe.run_lanes([lane], workers=1)
    assert not (tmp_path / "sub" / "reco").exists()
    recipe.run_lanes([lane], workers=1)
    recipe.run(lane)
    assert [(tmp_path / name).read_text() for name in ("events", "labels")] == ["e", "l"]
    assert sum("done already" in text for text in said) == 1 + 3 + 3


def test_a_lane_that_fails_says_what_its_command_said_and_stops_the_others(
    recipe: Recipe, tmp_path: Path, said: list[str]
) -> None:
    failing = python("import sys; sys.exit('no such skim')")
    with pytest.raises(StepFailed, match="code 1: python -c"):
        recipe.run_lanes([[writing("a"), failing, writing("never")], [writing("b")], [writing("c")]], workers=1)
    assert "no such skim" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", LOGS]


def test_a_folder_is_gone_on_with_under_the_same_settings_only(tmp_path: Path) -> None:
    remember(tmp_path / "new" / "plan.json", {"seed": 1}, "recipe")
    remember(tmp_path / "new" / "plan.json", {"seed": 1}, "recipe")
    with pytest.raises(OtherPlan, match=r"holds a recipe with other settings \(seed: 1 there, 2 asked"):
        remember(tmp_path / "new" / "plan.json", {"seed": 2}, "recipe")
    with pytest.raises(OtherPlan, match="holds other things and no recipe"):
        remember(tmp_path / "plan.json", {"seed": 1}, "recipe")


def test_the_commands_of_a_recipe_see_no_tags_of_others_and_no_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDITIONS_TAGS", "elsewhere")
    said: list[str] = []
    environment = open_recipe(tmp_path, None, said.append).environment
    assert "CONDITIONS_TAGS" not in environment
    assert environment["SMARTBKG_DEFAULTS"] == "off"
    assert f"export CONDITIONS_URL=sqlite:///{tmp_path / 'conditions.sqlite'}" in said


def test_one_process_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    with alone(tmp_path, "recipe"):
        code = (
            "import pathlib, sys; from smartbkg.recipe import alone\nwith alone(pathlib.Path(sys.argv[1]), 'recipe'): 1"
        )
        other = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
        assert f"another process makes the recipe in {tmp_path}" in other.stderr
    with alone(tmp_path, "recipe"):
        pass
