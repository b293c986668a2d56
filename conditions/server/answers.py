"""Answers of a compiled tag as bytes: every row that covers a run for Belle II clients, the winners for the others.

Answers that were made are kept while there is room for them. Each has an ETag that is the same in every worker and
after every start: of the store, the tag's content, what is asked and the segment of the line of runs.
"""

from __future__ import annotations

import hashlib
import logging
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from conditions.iov import Run
from conditions.resolve import IovEntry, Resolved, TagFacts
from conditions.server import belle2
from conditions.server.forms import NUL, SPACE, Form, FormUnfit, entry_of
from conditions.server.index import TagIndex
from conditions.wire import facts_json, resolved_json

MOST_FORMS: Final = 16  # of one tag: an answer for Belle II clients holds the name they call the server
_log = logging.getLogger(__name__)


class Bodies:
    """Answers made ready, those used last; bounded in bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._n_bytes = 0
        self._bodies: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def get(self, form: int, segment: int) -> bytes | None:
        """An answer that was kept."""
        body = self._bodies.get((form, segment))
        if body is not None:
            self._bodies.move_to_end((form, segment))
        return body

    def keep(self, form: int, segment: int, body: bytes) -> None:
        """Keep an answer, and let go of others for it."""
        self._bodies[form, segment] = body
        self._n_bytes += len(body)
        while self._n_bytes > self._most_bytes:
            self._n_bytes -= len(self._bodies.popitem(last=False)[1])

    def forget(self, forms: Iterable[Form | None]) -> None:
        """Let go of all answers of these forms."""
        numbers = {form.number for form in forms if form is not None}
        for key in [key for key in self._bodies if key[0] in numbers]:
            self._n_bytes -= len(self._bodies.pop(key))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that can be made, and the ETag that it has."""

    etag: bytes
    body: Callable[[], bytes]


class Answers:
    """What can be asked of one index. Each answer is None where the tag's names do not fit into a form."""

    def __init__(self, index: TagIndex, bodies: Bodies) -> None:
        self.index = index
        self._bodies = bodies
        self._forms: dict[tuple[str, str], Form | None] = {}
        self._seeds: dict[int, bytes] = {}  # of ETags, by the number of a form

    def covering(self, segment: int, base_url: str) -> Answer | None:
        """Every row that covers the runs of a segment, for Belle II clients."""
        form = self._form("covering", base_url, lambda row: belle2.covering_json([row], base_url)[0], SPACE, b"-1")
        if form is None:
            return None
        return Answer(self._etag(form, segment), partial(self._filled, form, segment, self.index.covering))

    def hsf(self, segment: int) -> Answer | None:
        """The winners, for HSF-style readers."""
        end = str(belle2.HSF_FOREVER).encode()
        form = self._form("hsf", "", lambda row: belle2.hsf_json(_resolved(row)), SPACE, end)
        if form is None:
            return None
        return Answer(self._etag(form, segment), partial(self._filled, form, segment, self._winners))

    def resolved(self, segment: int, run: Run, facts: TagFacts, names: Sequence[int] | None) -> Answer | None:
        """The winners for a run, with the runs that they hold for.

        Args:
            segment: where the run is.
            run: as the answer says it.
            facts: of the tag, now.
            names: only the payload names with these numbers in the index.
        """
        form = self._form("resolve", facts.name, lambda row: resolved_json(_resolved(row, facts.name)), NUL, b"-1")
        if form is None:
            return None
        head = {"run": str(run), "holds": str(self.index.holds(segment)), "tags": [facts_json(facts)]}
        before = orjson.dumps(head)[:-1] + b',"payloads":'

        def body() -> bytes:
            if names is None:
                return before + self._filled(form, segment, self._winners) + b"}"
            return form.fill(self._winners(segment, names), before + b"[", b"]}")

        return Answer(self._etag(form, segment, before + repr(names).encode()), body)

    def winners(self, segment: int, tag: str, names: Iterable[str]) -> dict[str, Resolved]:
        """The winners as values, by payload name; only those of these names, if there are any."""
        numbers = {name: bisect_left(self.index.names, name) for name in names}
        known = [n for name, n in numbers.items() if n < len(self.index.names) and self.index.names[n] == name]
        rows = self._winners(segment, known if numbers else None)
        found = [_resolved(entry_of(self.index, row), tag) for row in rows]
        return {won.payload.name: won for won in found}

    def close(self) -> None:
        """Let go of everything that was made from the index."""
        self._bodies.forget(self._forms.values())
        self._forms.clear()

    def _etag(self, form: Form, segment: int, more: bytes = b"") -> bytes:
        """The same in every worker, as long as the bytes are."""
        seed = self._seeds.get(form.number)
        if seed is None:
            facts = self.index.facts
            said = f"{self.index.store_id} {facts.id} {facts.content_revision} {form.fingerprint}"
            seed = self._seeds[form.number] = hashlib.sha256(said.encode()).hexdigest()[:24].encode()
        if more:
            seed = hashlib.sha256(seed + more).hexdigest()[:24].encode()
        return b'"%s-%x"' % (seed, segment)

    def _filled(self, form: Form, segment: int, rows: Callable[[int], NDArray[np.void]]) -> bytes:
        """The rows of a segment as a JSON list."""
        body = self._bodies.get(form.number, segment)
        if body is None:
            body = form.fill(rows(segment), b"[", b"]")
            self._bodies.keep(form.number, segment, body)
        return body

    def _winners(self, segment: int, names: Sequence[int] | None = None) -> NDArray[np.void]:
        """Of the rows of each payload name the one that wins, in order of name."""
        rows = self.index.covering(segment)
        payloads = self.index.payloads[rows["payload"]]
        order = np.lexsort((rows["id"], payloads["revision"], payloads["name"]))
        found = payloads["name"][order]
        last = np.ones(len(order), dtype=bool)
        last[:-1] = found[1:] != found[:-1]
        if names is not None:
            last &= np.isin(found, names)
        winners: NDArray[np.void] = rows[order[last]]
        return winners

    def _form(
        self, what: str, detail: str, say: Callable[[IovEntry], Any], fill: bytes, open_end: bytes
    ) -> Form | None:
        """The form of an answer, made when it is asked for first."""
        key = what, detail
        if key not in self._forms:
            if len(self._forms) >= MOST_FORMS:  # somebody calls the server by ever new names
                self.close()
            try:
                self._forms[key] = Form(self.index, say, fill=fill, open_end=open_end)
            except FormUnfit as error:
                _log.warning("%s of %s is answered by SQL: %s", what, self.index.facts.name, error)
                self._forms[key] = None
        return self._forms[key]


def _resolved(row: IovEntry, tag: str | None = None) -> Resolved:
    """A row as a winner."""
    return Resolved(row.payload, row.iov, row.tag if tag is None else tag)
