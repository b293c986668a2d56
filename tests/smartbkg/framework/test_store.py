from __future__ import annotations

import numpy as np
import pytest

from smartbkg.errors import FrameworkError
from smartbkg.framework import Store
from support.batches import numbers, some_events


def store(n_events: int = 5) -> Store:
    return Store.from_events(some_events(n_events).with_extra(weight=np.arange(n_events) * 1.0))


def test_extra_info_of_events_becomes_the_stores_and_comes_back() -> None:
    s = store()
    assert s.mc_particles.extra == {}
    assert s.events.extra["weight"].tolist() == [0, 1, 2, 3, 4]


def test_one_value_serves_every_event() -> None:
    s = store()
    s.put(flag=True, level=2, kind="mixed", score=np.float32(0.5))
    assert [s.extra[n].dtype.kind for n in ("flag", "level", "kind", "score")] == list("biUf")
    assert s.extra["score"].dtype == np.float32
    assert s.extra["kind"].tolist() == ["mixed"] * 5


@pytest.mark.parametrize("column", [np.zeros(4), np.zeros((5, 2)), [object()] * 5, None])
def test_columns_that_do_not_fit_are_refused(column: object) -> None:
    with pytest.raises(FrameworkError, match="extra info 'odd'"):
        store().put(odd=column)


def test_selection_takes_everything_along() -> None:
    s = store().select(np.array([3, 1]))
    assert s.event.tolist() == [4, 2]
    assert s.rows.tolist() == [3, 1]
    assert s.extra["weight"].tolist() == [3.0, 1.0]
    assert numbers(s.mc_particles) == [(0, 1, 4), (0, 1, 2)]
    assert s.in_order().event.tolist() == [2, 4]


def test_a_copy_does_not_share_what_is_put_later() -> None:
    first = store()
    second = first.copy()
    first.put(more=1)
    assert "more" not in second.extra


def test_a_missing_collection_is_named_with_those_there() -> None:
    with pytest.raises(FrameworkError, match="no 'Reco' in the store, which holds MCParticles"):
        store()["Reco"]
    assert "Reco" not in store()


def test_a_collection_of_another_length_is_refused() -> None:
    s = store()
    with pytest.raises(FrameworkError, match="'Reco' has 4 entries for 5 events"):
        s["Reco"] = some_events(4)


def test_a_collection_for_some_events_only_is_not_joined() -> None:
    first, second = store(), store()
    second["Reco"] = some_events(5)
    with pytest.raises(FrameworkError, match="collection 'Reco' is there for some events only"):
        Store.concat([first, second])


def test_single_events_give_back_what_was_written_to_them() -> None:
    s = store()
    singles = s.one_by_one()
    for single in singles:
        single.put(double=single.extra["weight"][0] * 2)
        single["Copy"] = single.mc_particles
    s.adopt(singles)
    assert s.extra["double"].tolist() == [0, 2, 4, 6, 8]
    assert numbers(s["Copy"]) == numbers(some_events(5))
