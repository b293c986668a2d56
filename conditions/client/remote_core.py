"""What every verb of a remote store stands on: requests to one server, pages, and errors that name it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

from requests import Response

from conditions.client.cache import PayloadCache
from conditions.client.http import HttpClient, HttpConfig, answers_of
from conditions.errors import BadAnswer, NotFoundError, TagNotFound
from conditions.iov import Run

T = TypeVar("T")
USUAL: Final = HttpConfig()
MOST_ITEMS: Final = 10_000  # of a page; a server gives no more


class RemoteCore:
    """A server, its answers as values, and the cache for its payloads.

    Args:
        url: where the service is, without `/v1`.
        cache: where payload files are kept; None means the user's own.
        config: timeouts and repeats.
        token: for changes; None means the environment's.
    """

    def __init__(
        self,
        url: str,
        cache: PayloadCache | None = None,
        config: HttpConfig = USUAL,
        token: str | None = None,
    ) -> None:
        self._http = HttpClient(url.rstrip("/").removesuffix("/v1"), config, token)
        self._cache = cache or PayloadCache()
        self.url = self._http.url

    def close(self) -> None:
        """Let go of the connections; a closed store connects again when it is used."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, path: str, read: Callable[[Any], T], **params: Any) -> T:
        """What a path answers, read by a function."""
        with self._named():
            given = self._http.get(path, _given(params))
        with answers_of(self.url):
            return read(given)

    def _send(
        self, method: str, path: str, read: Callable[[Any], T], json: Any = None, *, repeatable: bool = False
    ) -> T:
        """What answers a change, read by a function."""
        with self._named():
            given = self._http.send(method, path, json, repeatable=repeatable)
        with answers_of(self.url):
            return read(given)

    def _verified(self, path: str, read: Callable[[Any], T]) -> T:
        """What a path answers that has bytes read there: it needs the token of a change, and its patience."""
        return self._send("GET", path, read, repeatable=True)

    def _read(self, response: Response, read: Callable[[Any], T]) -> T:
        """The JSON of an answer, read by a function."""
        given = self._http.json_of(response)
        with answers_of(self.url):
            return read(given)

    def _ask(self, path: str, read: Callable[[Any], T], json: Any) -> T:
        """What answers a question that is too long for a URL."""
        with self._named():
            given = self._http.send("POST", path, json, repeatable=True, change=False)
        with answers_of(self.url):
            return read(given)

    def _pages(
        self, path: str, read: Callable[[Any], list[T]], after: str | None, limit: int | None, **params: Any
    ) -> list[T]:
        """The items of all pages, or as many as were asked for."""
        found: list[T] = []
        while limit is None or len(found) < limit:
            size = MOST_ITEMS if limit is None else min(MOST_ITEMS, limit - len(found))
            items, after = self._get(
                path, lambda given: (read(given), given["next"]), **params, after=after, limit=size
            )
            found += items
            if after is None:
                break
        return found

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say which server has no such tag; it does not know under which name it is asked."""
        try:
            yield
        except TagNotFound as error:
            raise TagNotFound(error.name, error.near, self.url) from error
        except NotFoundError as error:
            if type(error) is NotFoundError:  # no place of that name there
                raise BadAnswer(self.url, f"{error}; it may be another service, or older than this program") from error
            raise


def path_of(*parts: str | int) -> str:
    """A path under `/v1` from its parts; names may hold any sign."""
    return "/".join(["v1", *(quote(str(part), safe="") for part in parts)])


def moment_text(moment: datetime | None) -> str | None:
    """A moment as queries and bodies say it; one without an offset is local time."""
    return None if moment is None else moment.astimezone().isoformat()


def run_text(run: Run | None) -> str | None:
    """A run as queries and bodies say it."""
    return None if run is None else f"{run.exp},{run.run}"


def _given(params: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The parameters that have a value; a trailing underscore keeps a name off Python's words."""
    given: list[tuple[str, Any]] = []
    for name, value in params.items():
        values = value if isinstance(value, list) else [value]
        given += [(name.rstrip("_"), _text(each)) for each in values if each is not None]
    return given


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
