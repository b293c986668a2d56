"""A client that speaks to a server as Belle II's command line tools do: same requests, same headers, same order.

Written from the outside, with `requests` only, so that nothing of the server's own code helps it.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import requests
from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

Row = tuple[str, str, tuple[int, int, int, int]]  # payload name, checksum, interval


class RequestFailed(Exception):
    """The server refused; the code is that of its JSON."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code, self.reason, self.message = code, reason, message
        super().__init__(f"{code} {reason}: {message}")


@dataclass(frozen=True)
class Found:
    """One payload with one interval, as the client keeps it."""

    payload_id: int
    name: str
    revision: int
    checksum: str
    url: str
    iov_id: int
    iov: tuple[int, int, int, int]

    @property
    def row(self) -> Row:
        return self.name, self.checksum, self.iov


class Belle2Client:
    """One session with a server."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.base_url = url.rstrip("/") + "/"
        self._session = requests.Session()
        self._session.trust_env = False
        adapter = requests.adapters.HTTPAdapter(pool_connections=10, pool_maxsize=10, max_retries=3, pool_block=True)
        self._session.mount("http://", adapter)
        if token is not None:
            self._session.headers["X-Authorization"] = f"Bearer {token}"

    def shake_hands(self) -> None:
        """Try https on the same port, go on with http, and look whether the interface is there."""
        where = urlsplit(self.base_url)
        try:
            ssl.get_server_certificate((str(where.hostname), int(where.port or 80)), timeout=10)
        except OSError:  # refused, reset or ended: the port speaks no TLS
            pass
        else:
            raise AssertionError("the port speaks TLS")
        for path in ("v2/globalTagStatus", "v2/globalTags"):
            answer = self._session.head(self.base_url + path, timeout=10)
            answer.raise_for_status()
        self._session.headers.update({"Accept": "application/json", "Cache-Control": "no-cache"})

    def request(self, method: str, path: str, **given: Any) -> Any:
        """One request; None for 204, else JSON, as the client insists."""
        answer = self._session.request(method, f"{self.base_url}v2/{path.lstrip('/')}", timeout=60, **given)
        if answer.status_code >= 300:
            said = answer.json()
            message = said.get("message", "")
            message.strip()
            raise RequestFailed(said["code"], said["reason"], message)
        return None if method == "HEAD" or answer.status_code == 204 else answer.json()

    def tag(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.request("GET", f"/globalTag/{_encoded(name)}")
        except RequestFailed as error:
            if error.code != 404:
                raise
            return None
        return found

    def create_tag(self, name: str, description: str, user: str) -> dict[str, Any]:
        info = {"name": name, "description": description, "modifiedBy": user, "isDefault": False}
        made: dict[str, Any] = self.request("POST", "/globalTag/DEV", json=info)
        return made

    def set_state(self, name: str, state: str) -> Any:
        return self.request("PUT", f"/globalTag/{_encoded(name)}/updateGlobalTagStatus/{state}")

    def clone_tag(self, name: str, new_name: str, user: str) -> dict[str, Any]:
        info = self.tag(name)
        assert info is not None
        clone = self.request("POST", f"/globalTags/{info['globalTagId']}")
        clone["name"], clone["modifiedBy"] = new_name, user
        renamed: dict[str, Any] = self.request("PUT", "/globalTag", json=clone)
        return renamed

    def upload(
        self, name: str, content: bytes, path: str = "/home/ada/some file.root", checksum: str | None = None
    ) -> int:
        """Send bytes as multipart/mixed; returns the payload's number."""
        words = {"checksum": checksum or hashlib.md5(content).hexdigest(), "isDefault": False}  # noqa: S324
        fields = []
        for part, data, kind in (
            (path, content, "application/x-root"),
            ("json", json.dumps(words), "application/json"),
        ):
            field = RequestField(name=part, data=data)
            field.make_multipart(content_type=kind)
            fields.append(field)
        body, content_type = encode_multipart_formdata(fields)
        headers = {"Content-Type": "".join(("multipart/mixed", *content_type.partition(";")[1:]))}
        made = self.request("POST", f"/package/dbstore/module/{_encoded(name)}/payload", data=body, headers=headers)
        return int(made["payloadId"])

    def check_payloads(self, wanted: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
        query = [{"name": name, "checksum": checksum} for name, checksum in wanted]
        found = self.request("POST", "/checkPayloads", json=query)
        return {(each["basf2Module"]["name"], each["checksum"]): each["payloadId"] for each in found}

    def create_iov(self, tag_id: int, payload_id: int, iov: tuple[int, int, int, int]) -> int:
        ends = ",".join(map(str, iov))
        return int(self.request("POST", f"/globalTagPayload/{tag_id},{payload_id}/payloadIov/{ends}")["payloadIovId"])

    def delete_iov(self, iov_id: int) -> None:
        self.request("DELETE", f"/payloadIov/{iov_id}")

    def modify_iov(self, iov_id: int, iov: tuple[int, int, int, int]) -> None:
        names = ("expStart", "runStart", "expEnd", "runEnd")
        self.request("PUT", f"/payloadIov/{iov_id}", params=dict(zip(names, map(str, iov), strict=True)))

    def content(self, tag: str, run: tuple[int, int] | None = None) -> list[Found]:
        """All rows of a tag, or those that cover a run; the name is quoted twice in a query, once in a path."""
        name = _encoded(tag)
        if run is None:
            items = self.request("GET", f"/globalTag/{name}/globalTagPayloads")
        else:
            params = {"gtName": name, "expNumber": run[0], "runNumber": run[1]}
            items = self.request("GET", "/iovPayloads", params=params)
        found = []
        for item in items:
            payload = item["payload" if "payload" in item else "payloadId"]
            iovs = [item["payloadIov"]] if "payloadIov" in item else item["payloadIovs"]
            found += [_found(payload, iov) for iov in iovs]
        return found

    def merge(self, target: str, rows: list[tuple[int, tuple[int, int, int, int]]]) -> None:
        """Fill a tag as the client does: a request a row, ten at once."""
        tag = self.tag(target)
        assert tag is not None
        with ThreadPoolExecutor(10) as pool:
            for made in [pool.submit(self.create_iov, tag["globalTagId"], number, iov) for number, iov in rows]:
                made.result()

    def update_running(self, tag: str, operations: list[tuple[str, list[int]]]) -> Any:
        body = [{"operation": operation, "data": data} for operation, data in operations]
        return self.request("POST", f"/globalTagPayload/{_encoded(tag)}/updateRunningPayloads", json=body)

    def download(self, found: Found) -> bytes:
        answer = self._session.get(found.url, timeout=60, stream=True)
        answer.raise_for_status()
        assert "content-encoding" not in answer.headers
        content: bytes = answer.raw.read()
        assert hashlib.md5(content).hexdigest() == found.checksum  # noqa: S324
        return content


def _found(payload: dict[str, Any], iov: dict[str, Any]) -> Found:
    return Found(
        payload["payloadId"],
        payload["basf2Module"]["name"],
        payload["revision"],
        payload["checksum"],
        urljoin(payload["baseUrl"] + "/", payload["payloadUrl"]),
        iov["payloadIovId"],
        (iov["expStart"], iov["runStart"], iov["expEnd"], iov["runEnd"]),
    )


def _encoded(name: str) -> str:
    return quote(name, safe="")
