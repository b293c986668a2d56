"""The winners of a stack of compiled tags, put together from the rows of each; and answers that are no more than JSON.

For tags that cannot change any more: nothing is said of whether their indexes are of one moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from conditions.iov import FOREVER_KEY, IntervalOfValidity, Run
from conditions.resolve import Held, Resolved, TagFacts
from conditions.server.answers import Answer, Answers
from conditions.server.problems import json_bytes
from conditions.wire import Json, facts_json, held_json


def stacked(found: Sequence[tuple[TagFacts, Answers]], run: Run, names: Iterable[str]) -> Answer:
    """The winners for a run; the first tag that has a payload name for the run wins.

    Args:
        found: the tags in order, with their answers.
        run: to resolve for.
        names: only payloads of these names; all when there are none.
    """
    winners: dict[str, Resolved] = {}
    first_key, final_key = 0, FOREVER_KEY
    for facts, answers in found:
        segment = answers.index.segment_at(run.key)
        holds = answers.index.holds(segment)
        first_key, final_key = max(first_key, holds.first_key), min(final_key, holds.final_key)
        for name, won in answers.winners(segment, facts.name, names).items():
            winners.setdefault(name, won)
    tags = tuple(facts for facts, _ in found)
    return said(held_json(run, Held(winners, IntervalOfValidity.from_keys(first_key, final_key), tags)))


def facts_said(tags: Iterable[TagFacts]) -> Answer:
    """State and content of tags, as the application says it."""
    return said({"tags": [facts_json(facts) for facts in tags]})


def said(json: Json) -> Answer:
    """A JSON answer, with an ETag that is the same wherever it was made."""
    body = json_bytes(json)
    return Answer(b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode(), lambda: body)
