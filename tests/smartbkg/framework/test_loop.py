from __future__ import annotations

import errno
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest

from smartbkg.draws import uniform
from smartbkg.errors import BadScore, FrameworkError, ModuleFailed
from smartbkg.events import EventBatch, read_events, read_metadata
from smartbkg.framework import AfterConditionPath, Module, Path, Source, Store, create_path, process
from smartbkg.modules.input import EventInput
from smartbkg.modules.output import EventOutput
from support.batches import numbers, some_events, write_events

BATCH_SIZES = [1, 7, 1024]


class Draw(Module):
    """A batch module: writes a draw, returns how many tenths it is."""

    def __init__(self, column: str = "draw") -> None:
        self.column = column
        self.extra_info = {column: np.nan}

    def event_batch(self, store: Store) -> Any:
        draw = uniform(self.job.seed_or(None), store.exp, store.run, store.event, stream=self.column)
        store.put(**{self.column: draw})
        return (draw * 10).astype(int)


class DrawOne(Draw):
    """The same for one event at a time."""

    def event_batch(self, store: Store) -> Any:
        raise AssertionError("not this one")

    sees_batches = False

    def event(self) -> Any:
        return super().event_batch(self.store)


class Journal(Module):
    """Writes down what happens to it."""

    def __init__(self, fail_in: str = "", at_event: int = 0) -> None:
        self.lines: list[str] = []
        self.fail_in, self.at_event = fail_in, at_event

    def _note(self, what: str) -> None:
        self.lines.append(what)
        if what.split(maxsplit=1)[0] == self.fail_in:
            raise BadScore("as asked")

    def initialize(self) -> None:
        self._note("initialize")

    def beginRun(self) -> None:
        self._note(f"beginRun {self.exp}:{self.run}")

    def event_batch(self, store: Store) -> None:
        if self.at_event in store.event:
            self._note(f"event {store.event[0]}-{store.event[-1]}")

    def endRun(self) -> None:
        self._note(f"endRun {self.exp}:{self.run}")

    def terminate(self) -> None:
        self._note("terminate failed" if self.failed else "terminate")


def branching(directory: FilePath, draw: type[Draw] = Draw) -> Path:
    """Three outputs; one is fed from two branches, another by what comes back."""
    shared, aside, back = create_path(), create_path(), create_path()
    shared.add_module(EventOutput(directory / "shared.parquet"))
    aside.add_module(EventOutput(directory / "aside.parquet"))
    back.add_module(draw("back"))
    path = create_path()
    path.add_module(EventInput(directory / "in.parquet"))
    first = path.add_module(draw("first"))
    first.if_value(">=8", shared)
    first.if_value("<2", back, AfterConditionPath.CONTINUE)
    second = path.add_module(draw("second"))
    second.if_value("=0", shared)
    second.if_value("==1", aside)
    path.add_module(EventOutput(directory / "rest.parquet"))
    return path


def two_runs(directory: FilePath) -> EventBatch:
    batch = EventBatch.concat([some_events(90, run=1), some_events(60, run=2), some_events(40, exp=1, run=0)])
    write_events(directory / "in.parquet", batch, metadata={"kind": "events", "times_ms": {"generate": 0.1}})
    return batch


@pytest.mark.parametrize("draw", [Draw, DrawOne])
def test_batches_and_single_events_give_the_same_files(tmp_path: FilePath, draw: type[Draw]) -> None:
    batch = two_runs(tmp_path)
    contents = []
    for size in BATCH_SIZES:
        process(branching(tmp_path, draw), seed=3, batch_size=size)
        contents.append([(tmp_path / f"{name}.parquet").read_bytes() for name in ("shared", "aside", "rest")])
    assert contents[0] == contents[1] == contents[2]
    written = [numbers(read_events(tmp_path / f"{n}.parquet")) for n in ("shared", "aside", "rest")]
    assert sorted(n for one in written for n in one) == sorted(numbers(batch))
    for one in written:
        assert one == [n for n in numbers(batch) if n in one]  # in the order of the input
        assert len(one) > 5


def test_events_that_never_saw_a_module_have_its_declared_value(tmp_path: FilePath) -> None:
    two_runs(tmp_path)
    process(branching(tmp_path), seed=3, batch_size=7)
    shared = read_events(tmp_path / "shared.parquet").extra
    assert np.array_equal(np.isnan(shared["second"]), shared["first"] >= 0.8)
    rest = read_events(tmp_path / "rest.parquet").extra
    assert np.array_equal(np.isnan(rest["back"]), rest["first"] >= 0.2)


def test_a_batch_holds_one_run_and_run_hooks_come_in_order(tmp_path: FilePath) -> None:
    two_runs(tmp_path)
    path, journal = create_path(), Journal(at_event=1)
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(journal)
    statistics = process(path, batch_size=1024)
    assert journal.lines == [
        "initialize",
        *("beginRun 0:1", "event 1-90", "endRun 0:1"),
        *("beginRun 0:2", "event 1-60", "endRun 0:2"),
        *("beginRun 1:0", "event 1-40", "endRun 1:0"),
        "terminate",
    ]
    assert (statistics.n_events, statistics.n_finished, statistics.n_runs) == (190, 190, 3)


def test_the_input_metadata_are_carried_to_the_output(tmp_path: FilePath) -> None:
    two_runs(tmp_path)
    process(branching(tmp_path), seed=3)
    assert read_metadata(tmp_path / "rest.parquet")["times_ms"] == {"generate": 0.1}


def test_a_path_processed_twice_gives_the_same_files(tmp_path: FilePath) -> None:
    two_runs(tmp_path)
    path = branching(tmp_path)
    first = process(path, seed=3)
    content = (tmp_path / "rest.parquet").read_bytes()
    (tmp_path / "rest.parquet").unlink()
    second = process(path, seed=3)
    assert (tmp_path / "rest.parquet").read_bytes() == content
    assert [m.n_events for m in first.modules] == [m.n_events for m in second.modules]


def test_max_event_stops_after_so_many(tmp_path: FilePath) -> None:
    batch = two_runs(tmp_path)
    path = create_path()
    path.add_module("EventInput", input_files=tmp_path / "in.parquet")
    path.add_module("EventOutput", output_file=tmp_path / "out.parquet")
    for size in BATCH_SIZES:
        assert process(path, 100, batch_size=size).n_events == 100
        assert numbers(read_events(tmp_path / "out.parquet")) == numbers(batch)[:100]


def test_a_file_without_events_gives_files_with_all_columns(tmp_path: FilePath) -> None:
    write_events(tmp_path / "in.parquet", some_events(3)[:0])
    process(branching(tmp_path), seed=3)
    rest = read_events(tmp_path / "rest.parquet")
    assert len(rest) == 0
    assert set(rest.extra) == {"first", "second", "back"}
    assert set(read_events(tmp_path / "shared.parquet").extra) == {"first", "second", "back"}


def test_an_output_that_no_event_reaches_has_all_columns(tmp_path: FilePath) -> None:
    write_events(tmp_path / "in.parquet", some_events(3))
    path, never = create_path(), create_path()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(Draw()).if_value(">100", never)
    never.add_module(Draw("more"))
    never.add_module(EventOutput(tmp_path / "never.parquet"))
    process(path, seed=1)
    assert set(read_events(tmp_path / "never.parquet").extra) == {"draw", "more"}


def test_the_first_condition_that_holds_decides(tmp_path: FilePath) -> None:
    write_events(tmp_path / "in.parquet", some_events(50))
    path, low, also_low = create_path(), create_path(), create_path()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    draw = path.add_module(Draw())
    draw.if_value("<5", low)
    draw.if_value("<8", also_low)
    for name, branch in {"low": low, "also_low": also_low, "rest": path}.items():
        branch.add_module(EventOutput(tmp_path / f"{name}.parquet"))
    process(path, seed=1)
    extra = {name: read_events(tmp_path / f"{name}.parquet").extra["draw"] for name in ("low", "also_low", "rest")}
    assert extra["low"].max() < 0.5 <= extra["also_low"].min()
    assert extra["also_low"].max() < 0.8 <= extra["rest"].min()


def test_if_true_and_if_false_split_at_one(tmp_path: FilePath) -> None:
    class IsOdd(Module):
        def event(self) -> bool:
            return bool(self.store.event[0] % 2)

    write_events(tmp_path / "in.parquet", some_events(9))
    for condition, left in (("if_true", [2, 4, 6, 8]), ("if_false", [1, 3, 5, 7, 9])):
        path = create_path()
        path.add_module(EventInput(tmp_path / "in.parquet"))
        getattr(path.add_module(IsOdd()), condition)(create_path())
        path.add_module(EventOutput(tmp_path / "out.parquet"))
        process(path)
        assert read_events(tmp_path / "out.parquet").event.tolist() == left


def test_an_event_without_return_value_meets_no_condition(tmp_path: FilePath) -> None:
    class Sometimes(Module):
        def event(self) -> None:
            assert not self.has_return_value
            if self.store.event[0] < 3:
                self.return_value(0)

    write_events(tmp_path / "in.parquet", some_events(5))
    path = create_path()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(Sometimes()).if_value("!=7", create_path())
    path.add_module(EventOutput(tmp_path / "out.parquet"))
    process(path)
    assert read_events(tmp_path / "out.parquet").event.tolist() == [3, 4, 5]


def test_end_in_a_branch_ends_the_event_also_when_the_branch_would_come_back(tmp_path: FilePath) -> None:
    write_events(tmp_path / "in.parquet", some_events(40))
    path, branch = create_path(), create_path()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(Draw("a")).if_value("<5", branch, AfterConditionPath.CONTINUE)
    branch.add_module(Draw("b")).if_value("<5", create_path())
    path.add_module(EventOutput(tmp_path / "out.parquet"))
    process(path, seed=2, batch_size=8)
    extra = read_events(tmp_path / "out.parquet").extra
    assert np.array_equal(np.isnan(extra["b"]), extra["a"] >= 0.5)
    assert np.nanmin(extra["b"]) >= 0.5


@pytest.mark.parametrize("step", ["initialize", "beginRun", "event", "endRun", "terminate"])
def test_an_error_names_the_module_and_leaves_no_file(tmp_path: FilePath, step: str) -> None:
    two_runs(tmp_path)
    path, journal, before = create_path(), Journal(fail_in=step, at_event=5), Journal()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(before)
    path.add_module(EventOutput(tmp_path / "out.parquet"))
    path.add_module(journal)
    with pytest.raises(ModuleFailed, match=f"module Journal failed in {step} at") as caught:
        process(path, batch_size=7)
    assert isinstance(caught.value.__cause__, BadScore)
    assert (caught.value.module, caught.value.step) == ("Journal", step)
    if step == "event":
        assert "run 0:1, events 1 to 7: as asked" in str(caught.value)
    assert before.lines[-1] == "terminate" + (" failed" if step != "terminate" else "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.parquet"]


def test_an_interrupt_goes_through_and_leaves_no_file(tmp_path: FilePath) -> None:
    class Interrupted(Module):
        def event_batch(self, store: Store) -> None:
            raise KeyboardInterrupt

    two_runs(tmp_path)
    path = create_path()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(EventOutput(tmp_path / "out.parquet"))
    path.add_module(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        process(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.parquet"]


def test_an_output_that_cannot_be_finished_leaves_no_other_file(tmp_path: FilePath) -> None:
    class DiskIsFull(EventOutput):
        def finish(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.output_file))

    two_runs(tmp_path)
    for order in ([EventOutput, DiskIsFull], [DiskIsFull, EventOutput]):
        path = create_path()
        path.add_module(EventInput(tmp_path / "in.parquet"))
        for i, output in enumerate(order):
            path.add_module(output(tmp_path / f"{i}.parquet"))
        with pytest.raises(ModuleFailed, match=r"DiskIsFull failed in finish at .*No space left"):
            process(path)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["in.parquet"]


def test_a_second_error_while_cleaning_up_is_noted_not_raised(tmp_path: FilePath) -> None:
    class Careless(Module):
        def event(self) -> None:
            raise BadScore("the first")

        def terminate(self) -> None:
            raise BadScore("the second")

    two_runs(tmp_path)
    path = create_path()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(Careless())
    with pytest.raises(ModuleFailed, match="the first") as caught:
        process(path)
    assert any("the second" in note for note in caught.value.__notes__)


def test_an_input_that_cannot_be_read_is_named_before_the_first_event(tmp_path: FilePath) -> None:
    path = create_path()
    path.add_module(EventInput(tmp_path / "nowhere.parquet"))
    with pytest.raises(ModuleFailed, match=r"EventInput failed in initialize.*nowhere\.parquet") as caught:
        process(path)
    assert isinstance(caught.value.error, FileNotFoundError)


def test_a_path_must_begin_with_events() -> None:
    path = create_path()
    with pytest.raises(FrameworkError, match="not with nothing"):
        process(path)
    path.add_module(Draw())
    with pytest.raises(FrameworkError, match="such as EventInput, not with Draw"):
        process(path)


def test_only_the_first_module_brings_events() -> None:
    path = create_path()
    path.add_module(EventInput("a.parquet"))
    path.add_module(EventInput("b.parquet"))
    with pytest.raises(FrameworkError, match="EventInput is not the first"):
        process(path)


def test_conditions_on_a_source_are_refused() -> None:
    path = create_path()
    path.add_module(EventInput("a.parquet")).if_false(create_path())
    with pytest.raises(FrameworkError, match="no conditions on it"):
        process(path)


def test_a_module_without_event_is_refused(tmp_path: FilePath) -> None:
    two_runs(tmp_path)
    path = create_path()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(Module())
    with pytest.raises(FrameworkError, match="neither event nor event_batch"):
        process(path)


@pytest.mark.parametrize("value", [0.5, [1, 2], "yes", np.zeros((5, 2), dtype=int)])
def test_return_values_that_are_no_integers_one_an_event_are_refused(tmp_path: FilePath, value: Any) -> None:
    class Odd(Module):
        def event_batch(self, store: Store) -> Any:
            return value

    write_events(tmp_path / "in.parquet", some_events(5))
    path = create_path()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(Odd())
    with pytest.raises(ModuleFailed, match="want one integer or boolean an event"):
        process(path)


def test_extra_info_for_some_events_only_must_be_declared(tmp_path: FilePath) -> None:
    class Undeclared(Module):
        def event_batch(self, store: Store) -> None:
            store.put(surprise=1.0)

    write_events(tmp_path / "in.parquet", some_events(50))
    path, branch = create_path(), create_path()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(Draw()).if_value("<5", branch, AfterConditionPath.CONTINUE)
    branch.add_module(Undeclared())
    path.add_module(EventOutput(tmp_path / "out.parquet"))
    for size in BATCH_SIZES:
        with pytest.raises(FrameworkError, match=r"'surprise' is .*extra_info"):
            process(path, seed=1, batch_size=size)


@pytest.mark.parametrize("size", BATCH_SIZES)
def test_extra_info_of_two_types_is_refused_at_any_batch_size(tmp_path: FilePath, size: int) -> None:
    class Mixed(Module):
        def event(self) -> None:
            self.store.put(count=1 if self.store.event[0] < 5000 else 1.5)

    write_events(tmp_path / "in.parquet", some_events(3, first_event=4998))
    path = create_path()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(Mixed())
    path.add_module(EventOutput(tmp_path / "out.parquet"))
    with pytest.raises(FrameworkError, match="'count'"):
        process(path, batch_size=size)
    assert not (tmp_path / "out.parquet").exists()


def test_a_job_without_seed_refuses_to_draw(tmp_path: FilePath) -> None:
    two_runs(tmp_path)
    path = create_path()
    path.add_module(EventInput(tmp_path / "in.parquet"))
    path.add_module(Draw())
    with pytest.raises(ModuleFailed, match=r"no seed: give one to process"):
        process(path)


def test_a_string_of_tags_is_not_taken_for_letters() -> None:
    path = create_path()
    path.add_module(EventInput("a.parquet"))
    with pytest.raises(FrameworkError, match="a list of tags, not the string 'mc16'"):
        process(path, global_tags="mc16")


def test_a_job_inside_a_job_does_not_disturb_it(tmp_path: FilePath) -> None:
    two_runs(tmp_path)

    class Nested(Module):
        def initialize(self) -> None:
            inner = create_path()
            inner.add_module(EventInput(tmp_path / "in.parquet"))
            inner.add_module(Draw())
            inner.add_module(EventOutput(tmp_path / "inner.parquet"))
            process(inner, 10, seed=99)

        def event(self) -> None:
            pass

    outer = create_path()
    outer.add_module(EventInput(tmp_path / "in.parquet"))
    outer.add_module(Nested())
    outer.add_module(Draw())
    outer.add_module(EventOutput(tmp_path / "outer.parquet"))
    process(outer, seed=1)
    assert len(read_events(tmp_path / "inner.parquet")) == 10
    expected = uniform(1, 0, 1, 1, stream="draw")
    assert read_events(tmp_path / "outer.parquet").extra["draw"][0] == expected


def test_a_source_written_by_a_user_is_closed_when_the_job_breaks_off(tmp_path: FilePath) -> None:
    closed = []

    class Mine(Source):
        def stores(self) -> Any:
            try:
                while True:
                    yield Store.from_events(some_events(3))
            finally:
                closed.append(True)

    path = create_path()
    path.add_module(Mine())
    assert process(path, 7).n_events == 7
    assert closed == [True]


def test_statistics_count_events_of_every_module(tmp_path: FilePath) -> None:
    two_runs(tmp_path)
    path = branching(tmp_path)
    statistics = process(path, seed=3, batch_size=50)
    assert statistics["EventInput"].n_events == statistics["Draw_1"].n_events == 190
    assert statistics["EventInput"].n_batches == 4
    assert statistics["EventOutput_1"].n_events == len(read_events(tmp_path / "shared.parquet"))
    assert statistics["EventOutput_3"].n_events == len(read_events(tmp_path / "rest.parquet")) == statistics.n_finished
    text = str(statistics)
    assert "190 events of 3 runs" in text
    assert all(module.name in text for module in statistics.modules)
    assert statistics.to_json()["modules"][0]["name"] == "EventInput"
    with pytest.raises(KeyError, match="no module 'nope'"):
        statistics["nope"]
