"""Any tree of branches leads batches where an interpreter of single events, written from the rules, leads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartbkg.framework import AfterConditionPath, Module, Output, Path, Source, Store, process
from support.batches import some_events

EVENTS = some_events(23)
END, CONTINUE = AfterConditionPath.END, AfterConditionPath.CONTINUE


@dataclass
class Step:
    """A module that returns (event · salt) modulo 4 and writes it down, and where that leads."""

    salt: int
    one_by_one: bool
    conditions: list[tuple[str, AfterConditionPath, Plan]]

    def value(self, event: int) -> int:
        return event * (self.salt + 3) % 7 % 4


@dataclass
class Plan:
    """A path: steps, then one output."""

    steps: list[Step] = field(default_factory=list)


def plans(depth: int) -> st.SearchStrategy[Plan]:
    if depth == 0:
        return st.builds(Plan)
    expression = st.sampled_from(["=0", "==1", "!=2", "<1", "<2", ">2", ">=1", "<=0"])
    condition = st.tuples(expression, st.sampled_from(AfterConditionPath), plans(depth - 1))
    step = st.builds(Step, st.integers(0, 9), st.booleans(), st.lists(condition, max_size=2))
    return st.builds(Plan, st.lists(step, max_size=2))


class Events(Source):
    def stores(self) -> Iterator[Store]:
        for first in range(0, len(EVENTS), self.job.batch_size):
            yield Store.from_events(EVENTS[first : first + self.job.batch_size])


class Number(Module):
    def __init__(self, step: Step, name: str) -> None:
        self.step, self.column = step, name
        self.extra_info = {name: np.nan}

    @property
    def sees_batches(self) -> bool:
        return not self.step.one_by_one

    def event(self) -> Any:
        return self.event_batch(self.store)

    def event_batch(self, store: Store) -> Any:
        values = np.array([self.step.value(int(event)) for event in store.event])
        store.put(**{self.column: values.astype(float)})
        return values


class Collect(Output):
    def __init__(self, name: str, found: dict[str, list[Any]]) -> None:
        super().__init__(name)
        self.found = found[name] = []

    def write(self, store: Store) -> None:
        for row, event in enumerate(store.event.tolist()):
            extra = {name: float(column[row]) for name, column in store.extra.items()}
            self.found.append((event, {name: value for name, value in extra.items() if not np.isnan(value)}))


def build(plan: Plan, found: dict[str, list[Any]], name: str = "p") -> Path:
    path = Path()
    if name == "p":
        path.add_module(Events())
    for i, step in enumerate(plan.steps):
        module = path.add_module(Number(step, f"{name}.{i}"))
        for j, (expression, after, branch) in enumerate(step.conditions):
            module.if_value(expression, build(branch, found, f"{name}.{i}.{j}"), after)
    path.add_module(Collect(name, found))
    return path


def interpret(plan: Plan, event: int, found: dict[str, list[Any]], extra: dict[str, float], name: str = "p") -> bool:
    """Lead one event; True when it comes to the end of the path."""
    for i, step in enumerate(plan.steps):
        value = step.value(event)
        extra[f"{name}.{i}"] = float(value)
        for j, (expression, after, branch) in enumerate(step.conditions):
            if holds(expression, value):
                arrived = interpret(branch, event, found, extra, f"{name}.{i}.{j}")
                if not arrived or after is END:
                    return False
                break
    found[name].append((event, dict(extra)))
    return True


def holds(expression: str, value: int) -> bool:
    sign, bound = expression.rstrip("0123456789"), int(expression[-1])
    return {
        "=": value == bound,
        "==": value == bound,
        "!=": value != bound,
        "<": value < bound,
        ">": value > bound,
        "<=": value <= bound,
        ">=": value >= bound,
    }[sign]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans(2), st.sampled_from([1, 2, 5, 23]))
def test_batches_go_where_single_events_go(plan: Plan, batch_size: int) -> None:
    found: dict[str, list[Any]] = {}
    statistics = process(build(plan, found), batch_size=batch_size)
    expected: dict[str, list[Any]] = {name: [] for name in found}
    n_finished = sum(interpret(plan, event, expected, {}) for event in EVENTS.event.tolist())
    assert found == expected
    assert statistics.n_finished == n_finished
