from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smartbkg.errors import FrameworkError, ModuleFailed, UnknownName
from smartbkg.events import EventBatch, read_events, read_metadata
from smartbkg.framework import Module, create_path, process
from smartbkg.generate import GenerateConfig, generate
from smartbkg.modules.generator import EventInfoSetter, add_generator
from support.batches import numbers


def test_events_are_those_of_the_generator_whatever_the_batch_size(tmp_path: Path) -> None:
    expected = EventBatch.concat(generate(GenerateConfig("mixed", 520, seed=3, run=4)))
    contents = []
    for size in (17, 1024):
        path = create_path()
        add_generator(path, "mixed", 520, run=4)
        path.add_module("EventOutput", output_file=tmp_path / "out.parquet")
        assert process(path, seed=3, batch_size=size).n_events == 520
        contents.append(read_events(tmp_path / "out.parquet").to_table())
    assert contents[0] == contents[1] == expected.to_table()
    step = read_metadata(tmp_path / "out.parquet")["provenance"][0]
    assert (step["step"], step["config"]["seed"], step["config"]["event_type"]) == ("generate", 3, "mixed")


def test_several_runs_have_their_own_events(tmp_path: Path) -> None:
    path = create_path()
    path.add_module("EventInfoSetter", expList=[0, 0, 1], runList=[1, 2, 1], evtNumList=[3, 4, 2])
    add_generator(path, finalstate="taupair", seed=5)
    path.add_module("EventOutput", output_file=tmp_path / "out.parquet")
    assert process(path).n_runs == 3
    out = read_events(tmp_path / "out.parquet")
    assert [n[:2] for n in numbers(out)] == [(0, 1)] * 3 + [(0, 2)] * 4 + [(1, 1)] * 2
    assert out.event.tolist() == [1, 2, 3, 1, 2, 3, 4, 1, 2]
    assert len({float(out.select(np.array([i])).particles.px_gev.sum()) for i in range(9)}) == 9


def test_max_event_is_obeyed(tmp_path: Path) -> None:
    path = create_path()
    add_generator(path, "uubar", 50, first_event=11)
    path.add_module("EventOutput", output_file=tmp_path / "out.parquet")
    process(path, 7, seed=1)
    assert read_events(tmp_path / "out.parquet").event.tolist() == list(range(11, 18))


def test_no_events_are_a_valid_job(tmp_path: Path) -> None:
    path = create_path()
    add_generator(path, "mixed", 0)
    path.add_module("EventOutput", output_file=tmp_path / "out.parquet")
    assert process(path, seed=1).n_events == 0
    assert len(read_events(tmp_path / "out.parquet")) == 0


def test_a_generator_behind_a_filter_is_refused() -> None:
    class Odd(Module):
        def event(self) -> bool:
            return bool(self.store.event[0] % 2)

    path = create_path()
    path.add_module(EventInfoSetter([20]))
    path.add_module(Odd()).if_false(create_path())
    add_generator(path, "mixed")
    with pytest.raises(ModuleFailed, match="put it right behind their numbers"):
        process(path, seed=1)


def test_an_unknown_type_says_what_is_near() -> None:
    with pytest.raises(UnknownName, match="near: mixed"):
        add_generator(create_path(), "mixd", 5)


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"evtNumList": [1, 2]}, "one entry a run each"),
        ({"evtNumList": [-1]}, "not negative"),
        ({"evtNumList": [1], "runList": [-3]}, "not negative"),
    ],
)
def test_lists_that_do_not_fit_are_refused(lists: dict[str, list[int]], said: str) -> None:
    with pytest.raises(FrameworkError, match=said):
        EventInfoSetter(**lists)
