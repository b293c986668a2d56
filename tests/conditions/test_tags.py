"""States of tags, what they allow, and a machine that walks through them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from conditions.errors import BadInterval, BadName, ChangeRefused, TagNotUsable, TransitionRefused, UnknownWord
from conditions.iov import OPEN, IntervalOfValidity, Run
from conditions.tags import (
    TAG_TYPES,
    TRANSITIONS,
    Fixed,
    TagState,
    check_add,
    check_close,
    check_edit,
    check_modify,
    check_tag_name,
    check_tag_type,
    check_transition,
    check_usable,
    near_names,
    parse_state,
)

ALLOWED = {
    "OPEN": {"TESTING", "RUNNING"},
    "TESTING": {"VALIDATED", "OPEN"},
    "VALIDATED": {"PUBLISHED", "OPEN"},
    "PUBLISHED": {"INVALID"},
    "RUNNING": {"PUBLISHED", "INVALID"},
    "INVALID": set(),
}


def iov(text: str) -> IntervalOfValidity:
    return IntervalOfValidity.parse(text)


@pytest.mark.parametrize("state", TagState)
@pytest.mark.parametrize("wanted", TagState)
def test_only_the_transitions_of_the_table_are_allowed(state: TagState, wanted: TagState) -> None:
    if wanted.value in ALLOWED[state.value]:
        check_transition("t", state, wanted)
    else:
        with pytest.raises(TransitionRefused, match=f"is {state.value} and cannot become {wanted.value}"):
            check_transition("t", state, wanted)


class TagLife(RuleBasedStateMachine):
    """Any walk through the states: once published, content is fixed; once invalid, nothing moves."""

    def __init__(self) -> None:
        super().__init__()
        self.state = TagState.OPEN
        self.frozen = False

    @rule(wanted=st.sampled_from(TagState))
    def move(self, wanted: TagState) -> None:
        try:
            check_transition("t", self.state, wanted)
        except TransitionRefused:
            assert wanted.value not in ALLOWED[self.state.value]
            return
        assert self.state is not TagState.INVALID
        self.state = wanted
        self.frozen |= wanted in (TagState.PUBLISHED, TagState.INVALID)

    @rule()
    def edit(self) -> None:
        self.try_change(lambda: check_edit("t", self.state, "modify"), TagState.OPEN)

    @rule()
    def add(self) -> None:
        added = [("gat", iov("0,0,-1,-1"))]
        self.try_change(lambda: check_add("t", self.state, added, Fixed()), TagState.OPEN, TagState.RUNNING)

    @rule()
    def close(self) -> None:
        self.try_change(
            lambda: check_close("t", self.state, iov("0,0,-1,-1"), Run(1, 1), Fixed()), TagState.OPEN, TagState.RUNNING
        )

    @precondition(lambda self: self.frozen)
    @rule()
    def frozen_stays_frozen(self) -> None:
        assert self.state in (TagState.PUBLISHED, TagState.INVALID)

    def try_change(self, change: object, *allowed: TagState) -> None:
        assert callable(change)
        try:
            change()
        except ChangeRefused:
            assert self.state not in allowed
        else:
            assert self.state in allowed
            assert not self.frozen


TestTagLife = TagLife.TestCase


@pytest.mark.parametrize("state", TagState)
def test_jobs_use_neither_invalid_nor_unasked_open_tags(state: TagState) -> None:
    for allow_open in (False, True):
        refused = state is TagState.INVALID or (state is TagState.OPEN and not allow_open)
        if refused:
            with pytest.raises(TagNotUsable, match=state.value):
                check_usable("t", state, allow_open=allow_open)
        else:
            check_usable("t", state, allow_open=allow_open)


def test_an_open_tag_takes_overlaps() -> None:
    check_add("t", TagState.OPEN, [("gat", iov("0,0,5,5")), ("gat", iov("1,0,-1,-1"))], Fixed(5, {"gat": 10**9}))


@pytest.mark.parametrize(
    ("added", "reason"),
    [
        ([("gat", "3,5,-1,-1")], "not after what is fixed"),
        ([("gat", "3,0,3,9")], "not after what is fixed"),
        ([("gat", "3,6,3,9"), ("gat", "3,9,-1,-1")], "overlap"),
        ([("gat", "3,6,-1,-1"), ("new", "2,0,-1,-1")], "not after what is fixed"),
        ([("open", "9,9,-1,-1")], "close the open IoV first"),
    ],
)
def test_a_running_tag_takes_only_what_comes_later(added: list[tuple[str, str]], reason: str) -> None:
    fixed = Fixed(Run(2, 0).key, {"gat": Run(3, 5).key, "open": iov("2,0,-1,-1").final_key})
    with pytest.raises(ChangeRefused, match=reason):
        check_add("t", TagState.RUNNING, [(name, iov(text)) for name, text in added], fixed)


def test_a_running_tag_takes_later_intervals_of_old_and_new_names() -> None:
    fixed = Fixed(Run(2, 0).key, {"gat": Run(3, 5).key})
    added = [("gat", iov("3,6,3,9")), ("gat", iov("3,10,-1,-1")), ("new", iov("2,1,-1,-1"))]
    check_add("t", TagState.RUNNING, added, fixed)


def test_closing_makes_an_interval_shorter() -> None:
    assert check_close("t", TagState.RUNNING, iov("1,1,-1,-1"), Run(2, 3), Fixed()) == iov("1,1,2,3")
    assert check_close("t", TagState.OPEN, iov("1,1,5,5"), Run(2, 3), Fixed()) == iov("1,1,2,3")


@pytest.mark.parametrize("state", [TagState.OPEN, TagState.RUNNING])
def test_closing_cannot_leave_the_interval(state: TagState) -> None:
    with pytest.raises(BadInterval, match="only make it shorter"):
        check_close("t", state, iov("1,1,-1,-1"), OPEN, Fixed())
    with pytest.raises(BadInterval, match="first run comes after"):
        check_close("t", state, iov("1,1,-1,-1"), Run(1, 0), Fixed())
    with pytest.raises(BadInterval, match="only make it shorter"):
        check_close("t", TagState.OPEN, iov("1,1,2,2"), Run(2, 3), Fixed())


def test_a_running_tag_is_not_closed_before_what_it_has_given_out() -> None:
    fixed = Fixed(Run(2, 3).key)
    assert check_close("t", TagState.RUNNING, iov("1,1,-1,-1"), Run(2, 3), fixed) == iov("1,1,2,3")
    assert check_close("t", TagState.OPEN, iov("1,1,-1,-1"), Run(1, 3), fixed) == iov("1,1,1,3")
    with pytest.raises(ChangeRefused, match="1,1,2,2 would end before what the tag has given out, up to 2,3"):
        check_close("t", TagState.RUNNING, iov("1,1,-1,-1"), Run(2, 2), fixed)
    with pytest.raises(ChangeRefused, match="would end before"):
        check_modify("t", TagState.RUNNING, iov("1,1,-1,-1"), iov("1,1,1,-1"), fixed)


@pytest.mark.parametrize("text", ["1,1,2,2", "1,1,2,-1"])
def test_an_end_is_fixed_in_a_running_tag(text: str) -> None:
    with pytest.raises(ChangeRefused, match="has its end already"):
        check_close("t", TagState.RUNNING, iov(text), Run(1, 2), Fixed())


@given(st.text(max_size=20))
def test_tag_names_have_only_the_letters_of_the_rule(name: str) -> None:
    if re.fullmatch(r"[A-Za-z0-9+\-_:]+", name):
        assert check_tag_name(name) == name
    else:
        with pytest.raises(BadName):
            check_tag_name(name)


@pytest.mark.parametrize("name", ["mc16\n", "a/b", "a.b", "a b", "ä", "x" * 201])
def test_bad_tag_names_are_refused(name: str) -> None:
    with pytest.raises(BadName, match="cannot name a tag"):
        check_tag_name(name)


def test_states_are_read_in_any_case_and_near_ones_offered() -> None:
    assert parse_state("published") is TagState.PUBLISHED
    with pytest.raises(UnknownWord, match="did you mean 'PUBLISHED'"):
        parse_state("PUBLISH")


def test_types_are_labels_from_a_list() -> None:
    assert [check_tag_type(word) for word in TAG_TYPES] == ["DEV", "RELEASE"]
    with pytest.raises(UnknownWord, match="there are DEV, RELEASE"):
        check_tag_type("dev")


def test_near_names_are_few_and_similar() -> None:
    assert near_names("mc15", ["mc16", "mc14", "online", "mc13", "mc12"])[0].startswith("mc1")
    assert len(near_names("mc15", [f"mc1{n}" for n in range(9)])) == 3
    assert near_names("zzz", ["mc16"]) == ()
    assert near_names("smartbkg_gatgap", ["SmartBKG_GATGAP", "online"]) == ("SmartBKG_GATGAP",)


def test_the_table_of_transitions_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[TagState.INVALID] = ()  # type: ignore[index]
