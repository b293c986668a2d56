"""What `/v1` answers, as its OpenAPI document says it. `conditions/wire.py` writes the answers themselves."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from conditions.server.v1_schemas import State


class Out(BaseModel):
    """What the server answers, all of it."""

    model_config = ConfigDict(extra="forbid")


class TagOut(Out):
    """A tag without its contents."""

    id: int
    name: str
    state: State
    type: str
    payloads: int
    content_revision: int
    description: str
    created_at: str
    modified_at: str
    modified_by: str


class PayloadOut(Out):
    """One revision of a named file."""

    id: int
    name: str
    revision: int
    sha256: str
    md5: str
    size_bytes: int
    created_at: str
    created_by: str
    metadata: dict[str, Any]


class RowOut(Out):
    """One row of a tag; its payload stands beside the rows, under its number."""

    id: int
    tag: str
    name: str
    revision: int
    iov: str
    sha256: str
    payload_id: int


class WholeRowOut(RowOut):
    """One row of a tag with its payload."""

    payload: PayloadOut


class AuditOut(Out):
    """Who changed what, when, from what to what."""

    id: int
    at: str
    who: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class TagPage(Out):
    """Tags in order of name; `next` is the `after` of the next page."""

    items: list[TagOut]
    next: str | None


class PayloadPage(Out):
    """Payloads in order of name and revision; `next` is the `after` of the next page."""

    items: list[PayloadOut]
    next: str | None


class PayloadList(Out):
    """Payloads."""

    items: list[PayloadOut]


class RowPage(Out):
    """Rows, each payload of them once; `next` is the `after` of the next page."""

    items: list[RowOut]
    payloads: list[PayloadOut]
    next: str | None


class AddedOut(Out):
    """How many rows are new, and all rows that were asked for."""

    n_added: int
    items: list[RowOut]
    payloads: list[PayloadOut]


class AuditPage(Out):
    """Changes in order; `next` is the `after` of the next page."""

    items: list[AuditOut]
    next: str | None


class DigestOut(Out):
    """The digest of a tag's effective content."""

    tag: str
    content_revision: int
    digest: str


class VerificationOut(Out):
    """What reading all of a tag again has shown."""

    tag: TagOut
    digest: str
    stored_digest: str | None
    faults: list[str]


class FactsOut(Out):
    """What decides whether an answer from a tag still holds."""

    id: int
    name: str
    state: State
    content_revision: int
    digest: str | None


class FactsList(Out):
    """The facts of a stack's tags."""

    tags: list[FactsOut]


class ResolvedOut(Out):
    """A winner; `url` is relative to that of the answer."""

    id: int
    name: str
    revision: int
    sha256: str
    md5: str
    size_bytes: int
    iov: str
    tag: str
    url: str


class HeldOut(Out):
    """The winners for a run, and the runs for which they are certainly the same."""

    run: str
    holds: str
    tags: list[FactsOut]
    payloads: list[ResolvedOut]


class AnswerOut(Out):
    """The winners for one run of many."""

    run: str
    payloads: list[ResolvedOut]


class AnswersOut(Out):
    """The winners for many runs, and each payload of them once."""

    tags: list[FactsOut]
    answers: list[AnswerOut]
    payloads: list[PayloadOut]


class ChangedRowOut(RowOut):
    """One row and the interval that it gets."""

    new_iov: str


class NamedPayloadOut(Out):
    """A payload in a row; the whole of it stands beside the rows, under its number."""

    name: str
    revision: int
    sha256: str
    payload_id: int


class NewRowOut(NamedPayloadOut):
    """A row that a plan makes."""

    iov: str


class PlanOut(Out):
    """What a change makes, changes and takes away: done, or with `dry_run` what would be done."""

    tag: str
    base_revision: int
    summary: str
    creates: list[NewRowOut]
    changes: list[ChangedRowOut]
    deletes: list[RowOut]
    payloads: list[PayloadOut]


class DifferenceOut(Out):
    """Runs for which two tags give out other bytes; null where a tag gives out nothing."""

    name: str
    iov: str
    change: Literal["added", "removed", "changed"]
    left: NamedPayloadOut | None
    right: NamedPayloadOut | None


class DiffOut(Out):
    """How the right tag differs from the left one, by checksum."""

    left: str
    right: str
    same_names: list[str]
    summary: str
    differences: list[DifferenceOut]
    payloads: list[PayloadOut]


class GapOut(Out):
    """Runs between two intervals of a payload name for which the tag has none of it."""

    name: str
    iov: str


class OverlapOut(Out):
    """Runs for which a tag has two or more rows of a name, and which is given out; `duplicate`: all are the same."""

    name: str
    iov: str
    winner: NamedPayloadOut
    duplicate: bool


class FaultOut(Out):
    """A payload whose bytes are gone or are not what is said of them."""

    name: str
    revision: int
    reason: str


class CheckOut(Out):
    """What was found in a tag."""

    tag: str
    content_revision: int
    iovs: int
    payloads_verified: int
    ok: bool
    gaps: list[GapOut]
    overlaps: list[OverlapOut]
    faults: list[FaultOut]
    payloads: list[PayloadOut]


class BatchOut(Out):
    """What came of a batch: the tag as it is now, the payloads in the order given, how many rows are new."""

    tag: TagOut | None
    payloads: list[PayloadOut]
    n_added: int


class SoundOut(Out):
    """Whether a payload's bytes are those that are said; else what is wrong, as an error."""

    ok: bool
    problem: dict[str, Any] | None


class ServiceOut(Out):
    """Who answers here."""

    service: Literal["conditions"]
    version: str
    api: int


class ErrorOut(Out):
    """Why there is no other answer; `reason` is the class of the error, `details` are its attributes."""

    code: int
    reason: str
    message: str
    details: dict[str, Any] | None = None
