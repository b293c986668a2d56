"""`/v1/batch`: many payloads, their IoVs and the tag's state in one request and one transaction.

The body is multipart/form-data: a part `batch` with the JSON, and a part `payload` for each payload that it names, in
the same order. Parts go to disk as they come. The same request again changes nothing that is done already.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from conditions.batch import Batch, BatchResult
from conditions.errors import BadInputError, WrongChecksum
from conditions.rights import Caller, check_add_iovs, check_known, check_manage, check_upload
from conditions.server import v1_said as said
from conditions.server.multipart import Parts, spool_folder
from conditions.server.v1_answers import CHANGES, answer, answers_with, changer_of, service_of
from conditions.store.session import Store
from conditions.wire_batch import BATCH_EXAMPLE, announced_sha256, batch_from, result_json

router = APIRouter(tags=["batch"])
_ACTION: Final = "upload payloads or add IoVs"  # as said to who may not
MOST_PAYLOADS: Final = 100_000  # a part is some 200 bytes of memory
CHUNK_BYTES: Final = 1 << 20
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["batch"],
                    "properties": {
                        "batch": {"$ref": "#/components/schemas/NewBatch"},
                        "payload": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "The bytes of each payload that the batch names, in the same order.",
                        },
                    },
                    "example": {"batch": BATCH_EXAMPLE, "payload": ["1.5\n"]},
                },
                "encoding": {
                    "batch": {"contentType": "application/json"},
                    "payload": {"contentType": "application/octet-stream"},
                },
            }
        },
    }
}


@router.post(
    "/batch",
    operation_id="submit_batch",
    summary="Keep payloads, add IoVs and move a tag, all or nothing",
    responses=answers_with(said.BatchOut, *CHANGES, 408, 413, 415),
    openapi_extra=_BODY,
)
async def submit_batch(request: Request) -> Response:
    """May be repeated after a broken connection: the same bytes keep their revisions, rows that are there stay."""
    service = service_of(request)
    caller = changer_of(request, _ACTION)
    settings = service.settings
    folder = spool_folder(settings.spool, settings.files)
    async with Parts(request, service.threads, folder, max_parts=MOST_PAYLOADS + 1) as parts:
        result = await service.finish(_submit, service.store_for(caller), caller, parts, settings.max_json_bytes)
        done = await service.run(result_json, result)
    return answer(request, done)


def _submit(store: Store, caller: Caller, parts: Parts, most_bytes: int) -> BatchResult:
    """Read the batch, look at rights and digests, and do it."""
    unknown = [part.name for part in parts.all if part.name not in ("batch", "payload")]
    if unknown:
        raise BadInputError(f"parts are named 'batch' and 'payload', not {unknown[0][:40]!r}")
    documents = [part for part in parts.all if part.name == "batch"]
    if len(documents) != 1:
        raise BadInputError(f"one part named 'batch' is needed, there are {len(documents)}")
    document = _json(parts.content(documents[0], most_bytes))
    sources = [parts.stream(part) for part in parts.all if part.name == "payload"]
    batch = batch_from(document, sources)
    _check_rights(store, caller, batch)
    for wanted, payload, source in zip(announced_sha256(document), batch.payloads, sources, strict=True):
        if wanted is not None:
            found = hashlib.sha256()
            while chunk := source.read(CHUNK_BYTES):
                found.update(chunk)
            if found.hexdigest() != wanted:
                raise WrongChecksum(payload.name, found.hexdigest(), wanted)
            source.seek(0)
    return store.submit(batch)


def _check_rights(store: Store, caller: Caller, batch: Batch) -> None:
    """Refuse what the caller may not do; nothing has been kept yet."""
    check_known(caller, _ACTION)
    for name in {payload.name for payload in batch.payloads}:
        check_upload(caller, name)
    if batch.tag is None:
        return
    is_new = batch.create and store.find_tag(batch.tag) is None
    if is_new or batch.state is not None:
        check_manage(caller, batch.tag)
    else:
        check_add_iovs(caller, batch.tag)


def _json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"the part 'batch' is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadInputError("the part 'batch' must be a JSON object")
    return found
