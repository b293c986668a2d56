"""Several providers in order: when one fails, at the start or in the middle of a job, the next one goes on.

A provider that cannot be reached, or lacks a tag of the stack, is passed over and the reason is said once. What a
provider *refuses* is the answer: a tag that became INVALID is not looked for in an older copy.

A job never goes back to a provider that failed, so that its runs come from one place as far as can be. Before the
next one takes over, it has to agree with what the job was told so far:

* the digests of published tags are compared where both know them, and otherwise the answers given so far are asked
  for again and compared by the digests of the payloads;
* other content in a PUBLISHED tag means that one of the two is wrong: that provider is refused;
* other content in a tag that may change is a copy from another time: it is used, and that is said.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from conditions.client.transport import Source, facts_of, file_from, held_of
from conditions.errors import (
    ConditionsError,
    NoProvider,
    NotFoundError,
    PastUnknown,
    PayloadFileError,
    RefusedError,
    StoreError,
    TagNotFound,
)
from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import Held, Resolved, TagFacts, TagRef, parse_stack, parse_tag_ref
from conditions.tags import TagState

log = logging.getLogger(__name__)

T = TypeVar("T")
_ERRNO: Final = re.compile(r"Failed to establish a new connection: |\[Errno -?\d+\] ")
REMEMBERED: Final = 1000  # answers that are compared when another provider takes over


@dataclass(frozen=True)
class Provider:
    """A place that can be opened, under the name that messages call it."""

    name: str
    open: Callable[[], Source]


@dataclass(frozen=True)
class PassedOver:
    """A provider that was left, and why; `lacks_tag` when it works, but does not know a tag of the stack."""

    provider: Provider
    reason: str
    lacks_tag: TagNotFound | PastUnknown | None = None


@dataclass(frozen=True)
class _Question:
    """What was asked, so that it can be asked again; of the runs that an answer holds for, the first one asked."""

    stack: tuple[str, ...]
    names: tuple[str, ...] | None
    allow_open: bool


_Answer: TypeAlias = dict[str, tuple[str, str]]  # payload name -> md5, which every provider knows, and tag


class Chain:
    """Providers in order, as one source.

    Args:
        providers: the first one is asked first; they are opened when they are needed.
    """

    def __init__(self, providers: Sequence[Provider]) -> None:
        self.passed_over: list[PassedOver] = []
        self.used: list[str] = []
        self._all = tuple(providers)
        self._left = list(providers)
        self._now: tuple[Provider, Source] | None = None
        self._settled = False  # whether the present provider has answered
        self._facts: dict[str, TagFacts] = {}
        self._answers: dict[tuple[_Question, IntervalOfValidity], tuple[Run, _Answer]] = {}
        self._said: set[str] = set()
        self._lock = threading.RLock()

    def resolve_many(
        self,
        stack: Sequence[str],
        runs: Iterable[Run],
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for each run, from the first provider that can say."""
        asked, wanted = list(runs), None if names is None else tuple(names)
        found = self._ask(stack, lambda s: s.resolve_many(stack, asked, wanted, allow_open=allow_open))
        question = _Question(tuple(stack), wanted, allow_open)
        for run, answer in found.items():
            self._remember(question, run, Held(answer, IntervalOfValidity.of_run(run), ()))
        return found

    def resolve_held(
        self, stack: Sequence[str], run: Run, names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> Held:
        """The winners for a run and for how long they hold, from the first provider that can say."""
        wanted = None if names is None else tuple(names)
        held = self._ask(stack, lambda source: held_of(source, stack, run, wanted, allow_open=allow_open))
        self._remember(_Question(tuple(stack), wanted, allow_open), run, held)
        return held

    def resolve_optional(
        self, stack: Sequence[str], run: Run, names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> Held:
        """The same from tags that the job can do without: a provider stays in its place when it lacks them.

        Raises:
            TagNotFound, PastUnknown: the present provider lacks them.
        """
        wanted = None if names is None else tuple(names)
        held = self._ask(
            stack, lambda source: held_of(source, stack, run, wanted, allow_open=allow_open), optional=True
        )
        if held.answer:  # where nothing came from them, the next provider may lack them, too
            self._remember(_Question(tuple(stack), wanted, allow_open), run, held)
        return held

    def tag_facts(self, stack: Sequence[str]) -> tuple[TagFacts, ...]:
        """State and content of the tags, as far as the provider knows them."""
        return self._ask(stack, lambda source: facts_of(source, stack))

    def payload_path(self, payload: Payload) -> Path:
        """The payload's verified file: its bytes are the same wherever they come from."""
        try:
            return self._ask((), lambda source: file_from(source, payload))
        except PayloadFileError as error:
            return self._from_another(payload, error)

    def is_nowhere(self, tag: str, action: Callable[[Source], object]) -> bool:
        """Whether every provider works and none knows a tag that the present one does not know.

        Args:
            tag: the tag.
            action: what was asked for about it.

        Raises:
            NoProvider: one of them cannot say.
        """
        with self._lock:
            failed = [(each.provider.name, each.reason) for each in self.passed_over if each.lacks_tag is None]
            if failed:
                raise NoProvider(failed, [tag])
            others = [each for each in self._all if self._now is None or each is not self._now[0]]
            return not any(_knows(provider, tag, action) for provider in others)

    def close(self) -> None:
        """Let go of the present provider."""
        with self._lock:
            if self._now is not None:
                self._now[1].close()

    def _ask(self, stack: Sequence[str], action: Callable[[Source], T], *, optional: bool = False) -> T:
        """Do it with the present provider, or with the first of the next ones that can."""
        with self._lock:
            while True:
                provider, source = self._now or self._open_next()
                agrees = False
                try:
                    if self._settled or not stack:
                        return action(source)
                    self._compare(source)
                    agrees = True
                    done = action(source)
                    self._settle(provider, source, stack)
                except StoreError as error:
                    self._pass_over(PassedOver(provider, _why(provider, error)))
                except (TagNotFound, PastUnknown) as error:
                    if self._settled or (optional and agrees):
                        raise
                    since = ", from which this job has payloads" if self.used and not agrees else ""
                    self._pass_over(PassedOver(provider, f"{error}{since}", error))
                else:
                    return done

    def _open_next(self) -> tuple[Provider, Source]:
        while self._left:
            provider = self._left[0]
            try:
                self._now = provider, provider.open()
            except StoreError as error:
                self._pass_over(PassedOver(provider, _why(provider, error)))
            else:
                return self._now
        raise self._nobody()

    def _settle(self, provider: Provider, source: Source, stack: Sequence[str]) -> None:
        """This provider answers from now on."""
        facts = facts_of(source, stack)
        if self.passed_over:
            log.warning("conditions come from %s from now on", provider.name)
        self.used.append(provider.name)
        self._settled = True
        self._keep_facts(facts)

    def _pass_over(self, passed: PassedOver) -> None:
        """Leave the present provider and say why."""
        if self._now is not None:
            self._now[1].close()
        self._now, self._settled = None, False
        self.passed_over.append(passed)
        self._left = [provider for provider in self._left if provider is not passed.provider]
        self._say(f"conditions provider {passed.provider.name} is passed over: {passed.reason}")

    def _nobody(self) -> ConditionsError:
        """Why nobody answers; those that only lack a tag of this stack may be asked for another one."""
        lacking = {passed.provider: passed.lacks_tag for passed in self.passed_over if passed.lacks_tag is not None}
        names = dict.fromkeys(error.name if isinstance(error, TagNotFound) else error.tag for error in lacking.values())
        error = NoProvider(((passed.provider.name, passed.reason) for passed in self.passed_over), names)
        if not lacking:
            return error
        if not self.used:
            self._left = list(lacking)
            self.passed_over = [passed for passed in self.passed_over if passed.lacks_tag is None]
        # Where every provider works and none knows the tag, it is the tag that is wrong.
        return error if self.passed_over else next(iter(lacking.values()))

    def _from_another(self, payload: Payload, failure: PayloadFileError) -> Path:
        """The file from any other provider; the present one goes on resolving."""
        with self._lock:
            others = [each for each in self._left if self._now is None or each is not self._now[0]]
            for provider in others:
                try:
                    source = provider.open()
                    try:
                        path = file_from(source, payload)
                    finally:
                        source.close()
                except (StoreError, PayloadFileError, NotFoundError) as error:
                    self._say(f"{payload} does not come from {provider.name} either: {error}")
                    continue
                self._say(f"{payload} comes from {provider.name}, since {failure}")
                return path
        raise failure

    def _remember(self, question: _Question, run: Run, held: Held) -> None:
        self._keep_facts(held.tags)
        if len(self._answers) < REMEMBERED:
            self._answers.setdefault((question, held.holds), (run, _digests(held.answer)))

    def _keep_facts(self, facts: Iterable[TagFacts]) -> None:
        for each in facts:
            self._facts.setdefault(each.name, each)

    def _compare(self, source: Source) -> None:
        """Refuse a provider whose published tags hold other payloads than this job was given before."""
        if not self.used:
            return
        names = tuple(dict.fromkeys(ref.name for question, _ in self._answers for ref in parse_stack(question.stack)))
        theirs = {facts.name: facts for facts in facts_of(source, names)} if names else {}
        agreed = {name for name, facts in theirs.items() if _same_digest(self._facts.get(name), facts)}
        for (question, _), (run, ours) in self._answers.items():
            if {ref.name for ref in parse_stack(question.stack)} <= agreed:
                continue
            found = source.resolve_many(question.stack, [run], question.names, allow_open=question.allow_open)[run]
            for tag, name in _differences(question.stack, ours, _digests(found)):
                self._judge(tag, name, run, theirs.get(tag.name))

    def _judge(self, ref: TagRef, name: str, run: Run, theirs: TagFacts | None) -> None:
        states = {facts.state for facts in (self._facts.get(ref.name), theirs) if facts is not None}
        if TagState.PUBLISHED in states or ref.content_revision is not None:
            raise _OtherContent(f"it has another {name!r} for {run} in {ref}, which cannot change")
        self._say(f"{ref} is not published and has another {name!r} for {run} than this job was given before")

    def _say(self, text: str) -> None:
        """A warning, once."""
        if text not in self._said:
            log.warning("%s", text)
        self._said.add(text)


class _OtherContent(StoreError):
    """A provider whose published tag is not the one this job has used."""


def _knows(provider: Provider, tag: str, action: Callable[[Source], object]) -> bool:
    """Whether a provider that is not the present one knows a tag; NoProvider when it cannot say."""
    try:
        source = provider.open()
        try:
            action(source)
        finally:
            source.close()
    except TagNotFound:
        return False
    except RefusedError:
        return True  # it knows the tag, and says that it must not be used
    except StoreError as error:
        raise NoProvider([(provider.name, _why(provider, error))], [tag]) from error
    return True


def _why(provider: Provider, error: StoreError) -> str:
    """An error in few words, for messages that name the provider already."""
    said = str(error)
    for before in (f"cannot reach {provider.name}: ", f"{provider.name} cannot be used: "):
        said = said.removeprefix(before)
    return _ERRNO.sub("", said)


def _digests(answer: Mapping[str, Resolved]) -> _Answer:
    return {name: (won.payload.md5, won.tag) for name, won in answer.items()}


def _same_digest(ours: TagFacts | None, theirs: TagFacts) -> bool:
    """Whether two tags certainly have the same content; published ones that certainly have not are refused."""
    if ours is None or ours.digest is None or theirs.digest is None:
        return False
    if ours.digest == theirs.digest:
        return True
    raise _OtherContent(f"its {theirs.name} is published with digest {theirs.digest[:12]}…, not {ours.digest[:12]}…")


def _differences(stack: Sequence[str], ours: _Answer, theirs: _Answer) -> Iterator[tuple[TagRef, str]]:
    """Tags whose content must differ, each with the payload's name that shows it."""
    rank = {entry: number for number, entry in enumerate(stack)}
    for name in sorted({*ours, *theirs}):
        mine, other = ours.get(name), theirs.get(name)
        if (mine and mine[0]) != (other and other[0]):
            # The tag in front would have won in both if it had the same content in both.
            entry = min((each[1] for each in (mine, other) if each), key=lambda entry: rank.get(entry, len(rank)))
            yield parse_tag_ref(entry), name
