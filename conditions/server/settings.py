"""What a server is told: options of `conditions serve`, or the environment, from which a worker reads them again."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from conditions.errors import BadInputError

PREFIX: Final = "CONDITIONS_SERVER_"
# Options that the store has names for already.
_SHARED: Final = {"store": "CONDITIONS_URL", "files": "CONDITIONS_FILES"}
GIB: Final = 1 << 30
_SIZE: Final = re.compile(r"([0-9]{1,15})([kKmMgG]?)")
_UNITS: Final = {"": 0, "K": 10, "M": 20, "G": 30}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server runs.

    Args:
        store: database URL or SQLite file; None as `open_store` understands it.
        files: payload folder or bucket; None as `open_store` understands it.
        host: address to listen on.
        port: port to listen on, 0 for any free one.
        workers: processes that answer.
        public_url: what clients reach the server under, when a proxy stands in front; None: as the request says.
        trust_proxy: believe X-Forwarded-Proto and X-Forwarded-Host.
        token_key: file with the secret (HS256) or public key (RS256, ES256, EdDSA) that tokens are checked with.
        token_secret: the secret itself; `token_key` wins.
        token_issuer: the `iss` that tokens must have; None: any.
        token_audience: the `aud` that tokens must have; None: tokens without one.
        max_body_bytes: the largest request; a payload must fit in.
        max_json_bytes: the largest request that is no upload, and the largest JSON part of one.
        body_idle_s: how long a request's body may pause.
        threads: blocking calls to the store at once, in every worker.
        spool: folder for uploads that are being received; None: the payload folder, or that for temporary files.
        indexes: where the folder is made that the workers share compiled tags in; None: among temporary files.
        index_bytes: of all compiled tags that a worker holds; those not asked for longest go first.
        answer_bytes: of the answers that a worker keeps ready.
        redirect: send clients to the bucket for payload bytes rather than pass them through.
        access_log: write a line for every request.
        shutdown_s: how long requests that run may go on when the server is stopped.
    """

    store: str | None = None
    files: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2
    public_url: str | None = None
    trust_proxy: bool = False
    token_key: str | None = None
    token_secret: str | None = None
    token_issuer: str | None = None
    token_audience: str | None = None
    max_body_bytes: int = 2 * GIB
    max_json_bytes: int = 64 << 20
    body_idle_s: float = 30.0
    threads: int = 8
    spool: str | None = None
    indexes: str | None = None
    index_bytes: int = GIB
    answer_bytes: int = 64 << 20
    redirect: bool = True
    access_log: bool = True
    shutdown_s: float = 10.0

    def __post_init__(self) -> None:
        for name in (
            "workers",
            "threads",
            "max_body_bytes",
            "max_json_bytes",
            "body_idle_s",
            "index_bytes",
            "answer_bytes",
        ):
            if getattr(self, name) <= 0:
                raise BadInputError(f"{name} is {getattr(self, name)}; it must be more than 0")
        if self.public_url is not None and not self.public_url.startswith(("http://", "https://")):
            raise BadInputError(f"{self.public_url!r} is no URL for clients: begin with http:// or https://")

    def to_environment(self) -> dict[str, str]:
        """The settings as variables; what has its default is left out."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        defaults = {field.name: field.default for field in fields(self)}
        return {
            variable(name): str(int(value)) if isinstance(value, bool) else str(value)
            for name, value in values.items()
            if value != defaults[name]
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> ServerSettings:
        """The settings that variables give.

        Raises:
            BadInputError: a variable holds no number where one is needed.
        """
        given = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for field in fields(cls):
            text = given.get(variable(field.name))
            if text:
                values[field.name] = _read(variable(field.name), text, field.default)
        return cls(**values)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return _SHARED.get(name, PREFIX + name.upper())


def parse_size(text: str) -> int:
    """A size from 2000000, 500K, 20M or 2G.

    Raises:
        BadInputError: it is none.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise BadInputError(f"{text!r} is no size: write 2000000, 500K, 20M or 2G")
    return int(found[1]) << _UNITS[found[2].upper()]


def _read(name: str, text: str, default: object) -> object:
    """A value of the default's kind; without a default it is a text."""
    try:
        if isinstance(default, bool):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        if name.endswith("_BYTES"):
            return parse_size(text)
        if isinstance(default, int | float):
            return type(default)(text)
    except (ValueError, KeyError) as error:
        raise BadInputError(f"{name} is {text!r}, which cannot be read") from error
    return text
