"""Requests to a server: timeouts, repeats, proxies and the token, with errors of ours only.

A request is sent again when nothing was reached, when the connection broke, and when the server says 429 or 5xx, each
time after a longer wait with jitter, or after the wait that the server asks for. A change that may have been made
already is never sent again unless making it twice is making it once; then the error says that nobody knows.

The environment: `CONDITIONS_TOKEN` or `CONDITIONS_TOKEN_FILE` for changes (reads carry no token, so that a cache in
front may keep the answers), `BELLE2_CONDB_PROXY` before `HTTP_PROXY` and `HTTPS_PROXY`.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit, urlunsplit

import requests
from requests import Response
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

from conditions.errors import BadAnswer, BadSource, ConditionsError, ServerUnreachable, StoreBusy, TokenRefused
from conditions.wire import error_from

CHUNK_BYTES: Final = 256 * 1024
AGAIN: Final = frozenset({429, 500, 502, 503, 504})
SHOWN_CHARACTERS: Final = 120  # of an answer that is none of ours
JSON_TYPE: Final = "application/json"
_SHOW_ONE: Final = "set CONDITIONS_TOKEN or CONDITIONS_TOKEN_FILE to a token of this server"
_OTHERS_READ: Final = 0o044
log = logging.getLogger(__name__)
Body = Callable[[], Iterable[bytes]]
"""Makes a body anew for each attempt, so that nothing has to be held in memory."""


@dataclass(frozen=True)
class HttpConfig:
    """How patient a client is; the defaults wait some 8 seconds for a server that is being restarted."""

    connect_timeout_s: float = 10
    read_timeout_s: float = 60
    change_timeout_s: float = 900  # a change of 100,000 rows answers when it is committed
    attempts: int = 6
    backoff_s: float = 0.25  # doubled with each attempt
    longest_wait_s: float = 30
    largest_answer_bytes: int = 512 << 20  # unpacked, and not of payloads' bytes, which never are in memory


IMPATIENT: Final = HttpConfig(connect_timeout_s=5, read_timeout_s=20, attempts=3)
"""Where somebody else can be asked: who is silent for a minute is passed over."""


class HttpClient:
    """Talks to one server, from several threads and after forks.

    Args:
        base_url: where the service is, without `/v1`.
        config: timeouts and repeats.
        token: for changes; None means the environment's.
    """

    def __init__(self, base_url: str, config: HttpConfig = HttpConfig(), token: str | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.url = shown_url(self.base_url)
        self.config = config
        self._token = token
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._warned = False

    def get(self, path: str, params: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON at a path."""
        return self.json_of(self.respond("GET", path, params=params, headers=headers))

    def send(self, method: str, path: str, json: Any = None, *, repeatable: bool, change: bool = True) -> Any:
        """The JSON that answers a change, None for 204. `repeatable`: doing it twice is doing it once."""
        response = self.respond(method, path, json=json, repeatable=repeatable, change=change)
        return None if response.status_code == requests.codes.no_content else self.json_of(response)

    def fetch(self, path: str, sink: BinaryIO) -> None:
        """Write the bytes at a path, or absolute URL, into a stream; a connection that breaks is taken up again."""
        written, attempt = 0, 0
        while True:
            attempt += 1
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={written}-"} if written else {})
            response = self.respond("GET", path, headers=headers, stream=True)
            before = written
            try:
                with response:
                    skip = written if response.status_code != requests.codes.partial_content else 0
                    while chunk := response.raw.read1(CHUNK_BYTES):  # what is there; a bigger read would lose it
                        rest = chunk[skip:]
                        skip = max(0, skip - len(chunk))
                        sink.write(rest)
                        written += len(rest)
                return
            except (HTTPError, requests.RequestException) as error:
                attempt = 1 if written > before else attempt  # it goes on, however slowly
                if attempt >= self.config.attempts:
                    raise ServerUnreachable(self.url, _reason(error)) from error
                time.sleep(self._wait_s(attempt, None))

    def respond(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        json: Any = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        repeatable: bool = True,
        change: bool = False,
    ) -> Response:
        """The answer to a request, when it is a success (or 304); everything else is an error of ours.

        Raises:
            ServerUnreachable: all attempts failed on the way.
            BadAnswer: somebody else answers at this URL.
            TokenRefused: the token cannot be shown.
            ConditionsError: what the server says was wrong.
        """
        ask = _Ask(method, self._url_of(path), params, json, body, headers or {}, stream, change)
        attempt = 0
        while True:
            attempt += 1
            last = attempt >= self.config.attempts
            try:
                response = self._once(ask)
            except requests.RequestException as error:
                untouched = _never_left(error)
                if last or not (repeatable or untouched) or not _may_pass(error):
                    raise self._unreachable(error, maybe_done=change and not untouched) from error
                time.sleep(self._wait_s(attempt, None))
                continue
            except ValueError as error:
                if isinstance(error, ConditionsError):
                    raise
                raise BadAnswer(self.url, f"this, or where it sends on to, is no URL of a server ({error})") from error
            if response.ok and not response.is_redirect:
                return response
            failure = self._failure(response, change=change)
            response.close()
            if last or response.status_code not in AGAIN or not (repeatable or _changed_nothing(failure, response)):
                raise failure
            time.sleep(self._wait_s(attempt, response))

    def json_of(self, response: Response) -> Any:
        """The JSON of an answer."""
        try:
            return response.json()
        except (ValueError, RecursionError) as error:
            raise self._no_json(response) from error
        except requests.RequestException as error:
            raise ServerUnreachable(self.url, _reason(error)) from error

    def close(self) -> None:
        """Let go of all connections; a closed client connects again when it is used."""
        sessions, self._sessions = self._sessions, []
        self._local = threading.local()
        for session in sessions:
            session.close()

    def _once(self, ask: _Ask) -> Response:
        session = self._session()
        read_timeout_s = self.config.change_timeout_s if ask.change else self.config.read_timeout_s
        response = session.request(
            ask.method,
            ask.url,
            params=ask.params,
            json=ask.json,
            data=None if ask.body is None else ask.body(),
            headers=dict(ask.headers),
            auth=_Bearer(self._current_token() if ask.change else None),
            timeout=(self.config.connect_timeout_s, read_timeout_s),
            stream=True,
            allow_redirects=not ask.change,
            proxies=_proxies(),
        )
        if not (ask.stream and response.ok):
            self._read_whole(response)
        return response

    def _read_whole(self, response: Response) -> None:
        """Take an answer into memory, unless it is larger than any can be: a few bytes may unpack to all there is."""
        content, most = bytearray(), self.config.largest_answer_bytes
        for chunk in response.iter_content(CHUNK_BYTES):
            content += chunk
            if len(content) > most:
                response.close()
                raise BadAnswer(self.url, f"an answer is larger than {most:,} bytes")
        response._content = bytes(content)

    def _session(self) -> requests.Session:
        """This thread's session; a child of a fork must not share its parent's connections."""
        found: tuple[int, requests.Session] | None = getattr(self._local, "session", None)
        if found is not None and found[0] == os.getpid():
            return found[1]
        session = _Session()
        session.headers["User-Agent"] = "conditions"
        session.headers["Accept"] = JSON_TYPE
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=0))
        self._local.session = os.getpid(), session
        self._sessions.append(session)
        return session

    def _url_of(self, path: str) -> str:
        return path if path.startswith(("http://", "https://")) else f"{self.base_url}/{path.lstrip('/')}"

    def _current_token(self) -> str | None:
        """The token to show, read anew each time: a file's may be renewed while a job runs."""
        if self._token is not None:
            return _checked_token(self._token, "that was given")
        if token := os.environ.get("CONDITIONS_TOKEN", "").strip():
            return _checked_token(token, "in CONDITIONS_TOKEN")
        path = os.environ.get("CONDITIONS_TOKEN_FILE")
        if not path:
            return None
        try:
            token = Path(path).expanduser().read_text("utf-8").strip()
            self._warn_of_readers(Path(path).expanduser())
        except (OSError, UnicodeDecodeError) as error:
            raise BadSource(path, f"CONDITIONS_TOKEN_FILE: {getattr(error, 'strerror', None) or error}") from error
        return _checked_token(token, f"in {path}") if token else None

    def _warn_of_readers(self, path: Path) -> None:
        """Say once that a token's file is open to others."""
        if path.stat().st_mode & _OTHERS_READ and not self._warned:
            self._warned = True
            log.warning("others can read the token in %s: chmod 600 %s", path, path)

    def _wait_s(self, attempt: int, response: Response | None) -> float:
        """How long to wait: twice as long with each attempt, and not all clients at once."""
        asked = None if response is None else _retry_after_s(response)
        longest = self.config.backoff_s * 2 ** (attempt - 1)
        wait_s = random.uniform(longest / 2, longest)  # noqa: S311 - jitter
        return min(self.config.longest_wait_s, wait_s if asked is None else asked + wait_s)

    def _failure(self, response: Response, *, change: bool) -> ConditionsError:
        """What the server says was wrong."""
        if response.is_redirect:
            to = shown_url(response.headers.get("Location", ""))
            return BadAnswer(self.url, f"it sends {response.request.method} on to {to}: use that URL")
        try:
            said = response.json()
        except (ValueError, RecursionError, requests.RequestException):
            said = None
        if not isinstance(said, dict) or "code" not in said:
            return self._no_json(response, change=change)
        failure = error_from(said)
        return TokenRefused(failure.reason, _SHOW_ONE) if isinstance(failure, TokenRefused) else failure

    def _no_json(self, response: Response, *, change: bool = False) -> ConditionsError:
        kind = response.headers.get("Content-Type", "no type").split(";")[0]
        try:
            text = " ".join(response.text.split())[:SHOWN_CHARACTERS]
        except requests.RequestException:
            text = ""
        reason = f"{response.status_code} {response.reason} with {kind} instead of JSON: {text!r}"
        if response.status_code in AGAIN:
            # Who stands in front of the server does not know what the server has done.
            maybe_done = change and response.status_code != requests.codes.too_many_requests
            return ServerUnreachable(self.url, reason, maybe_done=maybe_done)
        return BadAnswer(self.url, reason)

    def _unreachable(self, error: requests.RequestException, *, maybe_done: bool) -> ConditionsError:
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema | requests.URLRequired):
            return BadAnswer(self.url, "this is no URL of a server")
        return ServerUnreachable(self.url, _reason(error), maybe_done=maybe_done)


@dataclass(frozen=True)
class _Ask:
    """One request."""

    method: str
    url: str
    params: Any
    json: Any
    body: Body | None
    headers: Mapping[str, str]
    stream: bool
    change: bool


class _Session(requests.Session):
    """A session that shows nobody else's password where an answer sends it."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: Response) -> None:  # noqa: ARG002
        """Another URL gets no credentials: not those of the first one, and none of ~/.netrc."""
        prepared_request.headers.pop("Authorization", None)


class _Bearer(requests.auth.AuthBase):
    """Shows the token, and nothing else: without this, passwords of ~/.netrc would be sent."""

    def __init__(self, token: str | None) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token is not None:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _checked_token(token: str, where: str) -> str:
    """The token, when a header can hold it; the message does not tell what it is."""
    if not (token.isascii() and token.isprintable() and " " not in token):
        reason = f"the token {where} has a space, a line's end or a sign that is in no token"
        raise TokenRefused(reason, _SHOW_ONE)
    return token


def shown_url(url: str) -> str:
    """A URL for messages: without user and password."""
    try:
        parts = urlsplit(url)
    except ValueError:  # it is none
        return url.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def answers_of(url: str) -> Iterator[None]:
    """Turn a JSON that is not what was expected, or cannot be meant, into an error that names the server."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:  # BadInputError is a ValueError
        said = f"{type(error).__name__}: {error}"
        raise BadAnswer(url, f"its answer cannot be read ({said}); is it of another version?") from error


def _proxies() -> dict[str, str] | None:
    """The proxy of `BELLE2_CONDB_PROXY`, empty for none; without it requests reads the usual variables."""
    proxy = os.environ.get("BELLE2_CONDB_PROXY")
    return None if proxy is None else {"http": proxy.strip(), "https": proxy.strip()}


def _changed_nothing(failure: ConditionsError, response: Response) -> bool:
    """Whether the server says that it did not begin, or took everything back."""
    return response.status_code == requests.codes.too_many_requests or isinstance(failure, StoreBusy)


def _may_pass(error: requests.RequestException) -> bool:
    """Whether the same request may succeed later."""
    lasting = (requests.exceptions.SSLError, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)
    passing = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, passing) and not isinstance(error, lasting)


def _never_left(error: requests.RequestException) -> bool:
    """Whether no connection came about, so that the server cannot have seen the request."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError | NameResolutionError)


def _reason(error: Exception) -> str:
    """What went wrong in a few words, without the layers of the libraries."""
    inner = error.args[0] if error.args else error
    said = str(getattr(inner, "reason", inner)).rpartition(">: ")[2]
    if said.startswith(("HTTPConnection(", "HTTPSConnection(")):
        said = said.partition("): ")[2]
    return said or type(error).__name__


def _retry_after_s(response: Response) -> float | None:
    """The wait that the server asks for, in seconds; None when it asks for none."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
