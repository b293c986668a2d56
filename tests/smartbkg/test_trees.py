"""Mother links followed by doubling."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.errors import BadEvent
from smartbkg.trees import ends_of_links, mother_positions
from support.events import Particle, event_batch


def test_mothers_stand_in_the_batch_and_the_motherless_are_their_own() -> None:
    batch = event_batch([[Particle(), Particle(mother=0)], [], [Particle(mother=1), Particle(), Particle(mother=2)]])
    assert mother_positions(batch).tolist() == [0, 0, 3, 3, 4]


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 1000])
def test_every_link_of_a_chain_ends_at_its_top(length: int) -> None:
    batch = event_batch([[Particle()], [Particle(mother=i - 1) for i in range(length)]])
    assert ends_of_links(batch, mother_positions(batch)).tolist() == [0] + [1] * length


@pytest.mark.parametrize("length", [2, 3, 4, 6, 8, 16])
def test_a_circle_is_found_whatever_its_length_and_the_tail_that_leads_into_it(length: int) -> None:
    circle = [Particle(mother=(i + 1) % length) for i in range(length)]
    batch = event_batch([circle, [*circle, Particle(mother=0)], [Particle()]])
    for rows in ([0], [1], [2, 1]):
        part = batch.select(np.array(rows))
        with pytest.raises(BadEvent, match="go round in a circle"):
            ends_of_links(part, mother_positions(part))


def test_no_particles_have_no_ends() -> None:
    batch = event_batch([[], []])
    assert ends_of_links(batch, mother_positions(batch)).tolist() == []
