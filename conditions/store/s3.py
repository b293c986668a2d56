"""One bucket through boto3: its calls, repeated with growing pauses, and its failures as our errors.

Endpoint and credentials come from the usual places: `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
`AWS_DEFAULT_REGION`, a profile, or the machine's role; `AWS_MAX_ATTEMPTS` says how often a call is tried.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from conditions.errors import BadInputError, StoreFull, StoreUnavailable

ATTEMPTS: Final = 5  # with growing pauses; a bucket that is away is given up after some seconds
CONNECT_TIMEOUT_S: Final = 5
READ_TIMEOUT_S: Final = 60
CONNECTIONS: Final = 32
MISSING: Final = ("NoSuchKey", "404")
REFUSED: Final = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_FULL: Final = ("InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "EntityTooLarge")
_RIGHTS: Final = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403", "401")


class Bucket:
    """A bucket and a prefix in it; usable by several threads, and by the children of a fork."""

    def __init__(self, url: str) -> None:
        name, _, prefix = url.removeprefix("s3://").partition("/")
        if not name or not url.startswith("s3://"):
            raise BadInputError(f"{url!r} names no bucket: write it as s3://BUCKET/PREFIX")
        self.name, self.prefix = name, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.url = f"s3://{name}/{self.prefix}".rstrip("/")
        self._clients: dict[int, Any] = {}
        self._making = threading.Lock()

    def shown(self, key: str) -> str:
        """An object's name for people."""
        return f"{self.url}/{key}"

    def call(self, operation: str, key: str | None = None, accept: Sequence[str] = (), **fields: Any) -> Any:
        """The bucket's answer, None for a failure whose code is accepted.

        Raises:
            StoreFull, StoreUnavailable: what the bucket says, or that it says nothing.
        """
        where = {} if key is None else {"Key": self.prefix + key}
        with self._our_errors():
            try:
                return getattr(self._client(), operation)(Bucket=self.name, **where, **fields)
            except Exception as error:
                if _codes(error) & {*accept}:
                    return None
                raise

    def pages(self, operation: str, under: str = "") -> Iterator[Any]:
        """All pages of a list of what lies under the prefix, or under a part of it."""
        with self._our_errors():
            pages = iter(self._client().get_paginator(operation).paginate(Bucket=self.name, Prefix=self.prefix + under))
        while True:
            with self._our_errors():
                page = next(pages, None)
            if page is None:
                return
            yield page

    def read(self, body: Any, size_bytes: int) -> bytes:
        """The next bytes of an answer's body."""
        with self._our_errors():
            found: bytes = body.read(size_bytes)
            return found

    def presigned(self, key: str, expires_s: int) -> str:
        """A URL that gives an object to whoever has it."""
        fields = {"Bucket": self.name, "Key": self.prefix + key, "ResponseContentType": "application/octet-stream"}
        with self._our_errors():
            url: str = self._client().generate_presigned_url("get_object", Params=fields, ExpiresIn=expires_s)
            return url

    def _client(self) -> Any:
        """This process' client: connections are not shared with a parent."""
        pid = os.getpid()
        found = self._clients.get(pid)
        if found is None:
            with self._making:
                found = self._clients.setdefault(pid, None) or self._new_client()
                self._clients[pid] = found
        return found

    def _new_client(self) -> Any:
        import boto3
        from botocore.config import Config

        # A server of one's own rarely has a name for each of its buckets, nor the newest kinds of checksum.
        is_own = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
        retries: dict[str, Any] = {"mode": "standard"}
        if not os.environ.get("AWS_MAX_ATTEMPTS"):
            retries["total_max_attempts"] = ATTEMPTS
        settings = Config(
            retries=retries,
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=CONNECTIONS,
            signature_version="s3v4",
            s3={"addressing_style": "path" if is_own else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session = boto3.session.Session()
        return session.client("s3", config=settings, region_name=session.region_name or "us-east-1")

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError as error:
            raise StoreUnavailable(self.url, "boto3 is not installed: pip install 'smartbkg[s3]'") from error
        try:
            yield
        except ClientError as error:
            raise self._said(error) from error
        except BotoCoreError as error:
            raise StoreUnavailable(self.url, _advice(error)) from error
        except (OSError, ValueError) as error:  # a connection that broke in a body; an endpoint that is no URL
            raise StoreUnavailable(self.url, str(error) or type(error).__name__) from error

    def _said(self, error: Any) -> StoreFull | StoreUnavailable:
        """What the bucket answered."""
        codes, message = _codes(error), error.response.get("Error", {}).get("Message") or "no reason was given"
        if codes & {*_FULL, "507"}:
            return StoreFull(self.url)
        if "NoSuchBucket" in codes:
            return StoreUnavailable(self.url, f"there is no bucket {self.name!r}; make it first")
        if codes & {*_RIGHTS}:
            advice = "look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy"
            return StoreUnavailable(self.url, f"the bucket refuses {error.operation_name} ({message}); {advice}")
        return StoreUnavailable(self.url, f"{error.operation_name} failed ({', '.join(sorted(codes))}: {message})")


def age_s(answer: Any, moment: datetime) -> float:
    """How old something was when the bucket answered, by the bucket's own clock."""
    said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    now = parsedate_to_datetime(said) if said else datetime.now(UTC)
    return (now - moment).total_seconds()


def _codes(error: Exception) -> set[str]:
    """What an answer says of its failure: a word and a status."""
    answer = getattr(error, "response", None)
    if not isinstance(answer, dict):
        return set()
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = str(answer.get("Error", {}).get("Code", ""))
    return {code} if code and not code.isdigit() else {str(status)}


def _advice(error: Exception) -> str:
    """What botocore says, with what to do about it where it does not say so."""
    kind, said = type(error).__name__, str(error).rstrip(".")
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return f"{said}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if kind in ("EndpointConnectionError", "ConnectTimeoutError"):
        return f"{said}: is AWS_ENDPOINT_URL right, and the bucket's server there?"
    return said
