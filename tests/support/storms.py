"""Many clients of one tag at once, and what all of them may have been told, found out afterwards from its history.

A writer remembers what was acknowledged; a reader remembers how much had been acknowledged before it asked, and what it
was told. The history of the content then says what the tag held at each content revision: an answer must be the whole
of one of these, and of none older than the last change that was acknowledged before the question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import requests
from sqlalchemy import text

from conditions.iov import Run
from conditions.store.session import Store
from support.server import Server

TIMEOUT_S = 120
RUN = Run(1, 1)
Row: TypeAlias = tuple[int, int]  # number, and number of its payload
Answer: TypeAlias = frozenset[Row]


@dataclass(frozen=True)
class Told:
    """An answer: what had been acknowledged before the question, its rows, and the revision that it says it has."""

    n_acknowledged: int
    kind: str
    rows: Answer
    revision: int | None = None


class Storm:
    """Threads that act on one tag through a server, each with a connection of its own."""

    def __init__(self, server: Server, tag: str) -> None:
        self.server, self.tag = server, tag
        self.token = server.token()
        self.acknowledged: list[tuple[str, int]] = []  # ("iov" or "payload", number) of a row that came in
        self.revisions: list[int] = []  # content revisions that are said to be made
        self.told: list[Told] = []
        self.faults: list[str] = []
        self.n_asked = 0
        self._ended = threading.Event()

    def run(self, writers: Sequence[Callable[[requests.Session], None]], n_readers: int) -> None:
        """Let all writers go together, with readers beside them until the last one has ended."""
        barrier = threading.Barrier(len(writers) + n_readers)
        kinds = [self._covering, self._content, self._listed, self._resolved]
        readers = [threading.Thread(target=self._read, args=(barrier, kinds[n % 4])) for n in range(n_readers)]
        acting = [threading.Thread(target=self._act, args=(barrier, writer)) for writer in writers]
        for thread in [*readers, *acting]:
            thread.start()
        for thread in acting:
            thread.join()
        self._ended.set()
        for thread in readers:
            thread.join()

    def ask(self, session: requests.Session, method: str, path: str, **given: Any) -> requests.Response:
        """One request; a server that is busy is asked again, as clients do."""
        while True:
            self.n_asked += 1
            answer = session.request(method, f"{self.server.url}/{path}", timeout=TIMEOUT_S, **given)
            if answer.status_code != 503 or answer.json()["reason"] != "StoreBusy":
                return answer

    def _act(self, barrier: threading.Barrier, writer: Callable[[requests.Session], None]) -> None:
        self._guarded(barrier, writer)

    def _read(self, barrier: threading.Barrier, read: Callable[[requests.Session], tuple[Answer, int | None]]) -> None:
        def reading(session: requests.Session) -> None:
            last = False
            while not last:
                last = self._ended.is_set()  # once more after the end: what is left is all there is
                before = len(self.acknowledged) + len(self.revisions)
                rows, revision = read(session)
                self.told.append(Told(before, read.__name__, rows, revision))

        self._guarded(barrier, reading)

    def _guarded(self, barrier: threading.Barrier, act: Callable[[requests.Session], None]) -> None:
        try:
            with self.server.session(self.token) as session:
                barrier.wait(TIMEOUT_S)
                act(session)
        except Exception as error:
            self.faults.append(f"{type(error).__name__}: {error}")

    def _covering(self, session: requests.Session) -> tuple[Answer, None]:
        asked = {"gtName": self.tag, "expNumber": RUN.exp, "runNumber": RUN.run}
        found = _json(self.ask(session, "GET", "v2/iovPayloads", params=asked))
        return frozenset((each["payloadIov"]["payloadIovId"], each["payload"]["payloadId"]) for each in found), None

    def _content(self, session: requests.Session) -> tuple[Answer, None]:
        found = _json(self.ask(session, "GET", f"v2/globalTag/{self.tag}/globalTagPayloads"))
        rows = ((row["payloadIovId"], each["payloadId"]["payloadId"]) for each in found for row in each["payloadIovs"])
        return frozenset(rows), None

    def _listed(self, session: requests.Session) -> tuple[Answer, None]:
        found = _json(self.ask(session, "GET", f"v1/tags/{self.tag}/iovs", params={"limit": 10_000, "run": "1,1"}))
        return frozenset((each["id"], 0) for each in found["items"]), None

    def _resolved(self, session: requests.Session) -> tuple[Answer, int]:
        asked = {"tag": self.tag, "run": f"{RUN.exp},{RUN.run}", "allow_open": 1}
        found = _json(self.ask(session, "GET", "v1/resolve", params=asked))
        rows = frozenset((each["revision"], hash(each["name"])) for each in found["payloads"])
        return rows, found["tags"][0]["content_revision"]


class Past:
    """What a tag has held, by content revision."""

    def __init__(self, store: Store, tag: str) -> None:
        self.store, self.tag = store, tag
        present = store.get_tag(tag)
        self.last = present.content_revision
        with store._reader.connect() as connection:
            found = connection.execute(text(_ROWS), {"tag": present.id}).all()
        self.rows = [tuple(row) for row in found]
        self.added_in: Mapping[tuple[str, int], int] = {
            **{("iov", row[0]): row[4] for row in self.rows},
            **{("payload", row[1]): row[4] for row in self.rows},
        }

    def at(self, revision: int, key: int | None = None) -> Answer:
        """The rows at a content revision, all or those that cover a place."""
        return frozenset(
            (number, payload)
            for number, payload, first, final, added, removed in self.rows
            if added <= revision < (removed or self.last + 1) and (key is None or first <= key <= final)
        )

    def winners(self, revision: int) -> Answer:
        """What a run got at a content revision."""
        found = self.store.resolve(f"{self.tag}@{revision}", RUN, allow_open=True)
        return frozenset((each.payload.revision, hash(name)) for name, each in found.items())


def faults_of(storm: Storm, past: Past) -> list[str]:
    """Answers that no tag of this past can have given, or that were stale when they were given."""
    every = {revision: past.at(revision) for revision in range(past.last + 1)}
    covering = {revision: past.at(revision, RUN.key) for revision in range(past.last + 1)}
    by_kind: Mapping[str, Mapping[int, Answer]] = {
        "_covering": covering,
        "_content": every,
        "_listed": {revision: frozenset((number, 0) for number, _ in rows) for revision, rows in covering.items()},
    }
    needed = _needed(storm, past)
    faults = list(storm.faults)
    winners: dict[int, Answer] = {}
    for told in storm.told:
        least = needed[told.n_acknowledged]
        if told.revision is not None:
            if told.revision not in winners:
                winners[told.revision] = past.winners(told.revision)
            is_true = told.revision >= least and told.rows == winners[told.revision]
        else:
            contents = by_kind[told.kind]
            is_true = any(contents[revision] == told.rows for revision in range(least, past.last + 1))
        if not is_true:
            faults.append(f"{told.kind} gave {sorted(told.rows)} as of {told.revision}, when {least} was acknowledged")
    return faults


def _needed(storm: Storm, past: Past) -> list[int]:
    """The content revision that n acknowledged changes have made at least, by n."""
    made: Iterable[int] = [*(past.added_in[each] for each in storm.acknowledged), *storm.revisions]
    needed = [0]
    for revision in made:
        needed.append(max(needed[-1], revision))
    return needed


def _json(answer: requests.Response) -> Any:
    assert answer.status_code == 200, f"{answer.status_code} {answer.text[:500]}"
    return answer.json()


_ROWS = """
SELECT id, payload_id, first_key, final_key, added_in, NULL FROM iovs WHERE tag_id = :tag
UNION ALL
SELECT iov_id, payload_id, first_key, final_key, added_in, removed_in FROM past_iovs WHERE tag_id = :tag
"""
