"""`/v1/files`: payload bytes by their digest, which caches may keep for ever."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response

from conditions.payload import check_payload_name
from conditions.server.routes.v1_payloads import Name, Revision
from conditions.server.v1_answers import errors, service_of

router = APIRouter(tags=["payloads"])
_BYTES: Final = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "All bytes, as they are.", "content": _BYTES},
    206: {"description": "The bytes of the Range.", "content": _BYTES},
    302: {"description": "They are in a bucket, at the Location."},
    304: {"description": "Unchanged; sent when If-None-Match names the ETag."},
    307: {"description": "They are in a bucket, at the Location."},
    **errors(404, 410, 416),
}


@router.get(
    "/files/{sha256}",
    operation_id="get_file",
    summary="The bytes of a digest",
    responses=_ANSWERS,
    response_class=Response,
)
async def get_file(
    request: Request, sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="The digest.")]
) -> Response:
    """Immutable; Range and ETag work. Nothing is encoded: clients compare the digest of what they got."""
    service = service_of(request)
    payload = await service.run(service.store.get_payload_by_sha256, sha256)
    return await service.bytes.response(request, payload)


@router.get(
    "/payloads/{name}/{revision:number}/file",
    operation_id="get_payload_file",
    summary="The bytes of a payload",
    responses=_ANSWERS,
    response_class=Response,
)
async def get_payload_file(request: Request, name: Name, revision: Revision) -> Response:
    """As `/v1/files`, for who knows name and revision only."""
    service = service_of(request)
    payload = await service.run(service.store.get_payload, check_payload_name(name), revision)
    return await service.bytes.response(request, payload)
