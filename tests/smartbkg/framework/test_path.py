from __future__ import annotations

import pytest

from smartbkg.errors import FrameworkError, UnknownName
from smartbkg.framework import AfterConditionPath, Module, Path, create_path


class Quiet(Module):
    def event(self) -> None:
        pass


def test_a_module_in_two_places_is_refused() -> None:
    module = create_path().add_module(Quiet())
    with pytest.raises(FrameworkError, match="Quiet is in a path already"):
        create_path().add_module(module)


def test_a_name_finds_its_module_and_takes_parameters() -> None:
    path = create_path()
    module = path.add_module("EventInput", input_files="a.parquet")
    assert path.modules() == [module]
    assert [str(p) for p in module.input_files] == ["a.parquet"]  # type: ignore[attr-defined]


def test_an_unknown_name_says_what_is_near() -> None:
    with pytest.raises(UnknownName, match=r"unknown module 'EventInptu'; near: EventInput"):
        create_path().add_module("EventInptu")


def test_parameters_for_a_made_module_are_refused() -> None:
    with pytest.raises(FrameworkError, match="give threshold when you make it"):
        create_path().add_module(Quiet(), threshold=0.5)


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(FrameworkError, match="a path holds modules, not int 3"):
        create_path().add_module(3)  # type: ignore[arg-type]


def test_modules_come_in_the_order_events_meet_them() -> None:
    path, branch, more = create_path(), create_path(), create_path()
    a, b, c, d = Quiet(), Quiet(), Quiet(), Quiet()
    path.add_module(a).if_false(branch)
    path.add_path(more)
    path.add_module(b)
    more.add_module(c)
    branch.add_module(d).if_true(more)
    assert path.modules() == [a, d, c, b]


def test_a_ring_is_refused_however_it_closes() -> None:
    path, branch = create_path(), create_path()
    module = path.add_module(Quiet())
    inner = branch.add_module(Quiet())
    with pytest.raises(FrameworkError, match="back to itself"):
        path.add_path(path)
    with pytest.raises(FrameworkError, match="back to itself"):
        module.if_false(path)
    module.if_false(branch)
    with pytest.raises(FrameworkError, match="back to itself"):
        inner.if_true(path)
    with pytest.raises(FrameworkError, match="back to itself"):
        branch.add_path(path)
    early = Quiet()
    early.if_false(path)
    with pytest.raises(FrameworkError, match="back to itself"):
        branch.add_module(early)


def test_a_path_prints_its_branches() -> None:
    path, branch, more = Path(), Path(), Path()
    path.add_module(Quiet()).if_value("< 3", branch, AfterConditionPath.CONTINUE)
    branch.add_module(Quiet()).set_name("aside")
    path.add_path(more)
    more.add_module(Quiet()).set_name("more")
    assert str(path).splitlines() == ["Quiet", "  if < 3, then continue:", "    aside", "path", "  more"]
    assert str(Path()) == "an empty path"
