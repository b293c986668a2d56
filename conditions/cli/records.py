"""Values as records for printing: the field names here are what `--json` promises."""

from __future__ import annotations

from conditions.cli.output import Record
from conditions.iov import Run
from conditions.payload import Payload
from conditions.resolve import IovEntry, Resolved
from conditions.tags import AuditEntry, Tag, TagVerification


def tag_record(tag: Tag) -> Record:
    """A tag, without its contents."""
    return {
        "name": tag.name,
        "state": tag.state.value,
        "type": tag.type,
        "payloads": tag.payload_count,
        "content_revision": tag.content_revision,
        "description": tag.description,
        "created_at": tag.created_at,
        "modified_at": tag.modified_at,
        "modified_by": tag.modified_by,
    }


def payload_record(payload: Payload) -> Record:
    """A payload with all that is known about its file."""
    return {
        "name": payload.name,
        "revision": payload.revision,
        "sha256": payload.sha256,
        "md5": payload.md5,
        "size_bytes": payload.size_bytes,
        "created_at": payload.created_at,
        "created_by": payload.created_by,
        "metadata": dict(payload.metadata),
    }


def iov_record(entry: IovEntry) -> Record:
    """One row of a tag: which payload is valid when."""
    return {
        "id": entry.id,
        "tag": entry.tag,
        "name": entry.payload.name,
        "revision": entry.payload.revision,
        "iov": str(entry.iov),
        "sha256": entry.payload.sha256,
    }


def resolved_record(run: Run, name: str, resolved: Resolved) -> Record:
    """What one run gets for one name."""
    return {
        "run": str(run),
        "name": name,
        "revision": resolved.payload.revision,
        "tag": resolved.tag,
        "iov": str(resolved.iov),
        # A snapshot without details knows the md5 alone.
        "sha256": resolved.payload.sha256 or None,
        "md5": resolved.payload.md5,
        "size_bytes": None if resolved.payload.size_bytes < 0 else resolved.payload.size_bytes,
    }


def verification_record(found: TagVerification) -> Record:
    """What reading all of a tag again has shown."""
    return {
        "tag": found.tag.name,
        "state": found.tag.state.value,
        "content_revision": found.tag.content_revision,
        "ok": found.ok,
        "digest": found.digest,
        "stored_digest": found.stored_digest,
        "faults": list(found.faults),
    }


def audit_record(entry: AuditEntry) -> Record:
    """One line of a tag's history."""
    return {
        "at": entry.at,
        "who": entry.who,
        "action": entry.action,
        "subject": entry.subject,
        "before": None if entry.before is None else dict(entry.before),
        "after": None if entry.after is None else dict(entry.after),
    }
