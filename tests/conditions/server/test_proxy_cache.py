"""A plain HTTP cache in front of the server: nginx, set up as the operators' page says."""

from __future__ import annotations

import getpass
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import requests

from conditions.batch import Batch, NewIov, NewPayload
from conditions.client.remote import RemoteStore
from conditions.iov import IntervalOfValidity
from conditions.store.schema import upgrade
from conditions.tags import TagState
from support.server import Server, running_server

PAGE = Path(__file__).parents[3] / "docs" / "operators.md"
ALWAYS = IntervalOfValidity.always()


@contextmanager
def nginx(server: Server) -> Iterator[str]:
    """The cache of the operators' page in front of a server, without TLS; yields its address."""
    block = re.search(r"```nginx\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    with TemporaryDirectory(prefix="conditions-nginx-") as name, socket.socket() as free:
        folder = Path(name)
        folder.chmod(0o777)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        site = block[1].replace("listen 443 ssl;", f"listen 127.0.0.1:{port};").replace("conditions.example.org", "_")
        site = site.replace("http://127.0.0.1:8000", server.url.rstrip("/"))
        site = site.replace("/var/cache/nginx/conditions", f"{folder}/cache")
        site = site.replace("location / {", "location / { add_header X-Cache $upstream_cache_status always;")
        paths = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"user {getpass.getuser()}; daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;"
            f"events {{}} http {{ access_log off; {paths} {site} }}"
        )
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "nginx"
        process = subprocess.Popen(
            [program, "-e", f"{folder}/log", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        )
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "nginx has ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nginx does not listen")


def publish(server: Server, tag: str, text: str, folder: Path, state: TagState | None) -> None:
    (folder / text).write_text(text)
    with RemoteStore(server.url, token=server.token()) as remote:
        new = NewPayload("gain.txt", folder / text), NewIov("gain.txt", ALWAYS)
        remote.submit(Batch(tag, (new[0],), (new[1],), create=True, state=state))


def test_a_cache_keeps_what_is_published_and_asks_again_for_what_is_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/conditions.sqlite"
    upgrade(url)
    with running_server(url, tmp_path / "payloads", workers=1) as server, nginx(server) as cache:
        publish(server, "done", "one", tmp_path, TagState.PUBLISHED)
        publish(server, "growing", "one", tmp_path, None)
        done, growing = (f"{cache}/v2/iovPayloads?gtName={tag}&expNumber=1&runNumber=2" for tag in ("done", "growing"))
        first = requests.get(done, timeout=10)
        _until_kept(done)
        assert requests.get(growing, timeout=10).json()[0]["payload"]["revision"] == 1
        publish(server, "growing", "two", tmp_path, None)
        rows = requests.get(growing, timeout=10).json()
        assert sorted(row["payload"]["revision"] for row in rows) == [1, 2]
        bytes_at = first.json()[0]["payload"]["baseUrl"] + first.json()[0]["payload"]["payloadUrl"]
        assert bytes_at.startswith(cache)
        assert requests.get(bytes_at, timeout=10).text == "one"
        server.stop(signal.SIGKILL)
        assert requests.get(done, timeout=10).json() == first.json()  # nobody needs the server for that
        again = requests.get(bytes_at, timeout=10)
        assert (again.text, again.headers["X-Cache"]) == ("one", "HIT")


def _until_kept(url: str) -> None:
    """Ask until the cache answers by itself: the first answers come before the server has compiled the tag."""
    for _ in range(100):
        if requests.get(url, timeout=10).headers["X-Cache"] == "HIT":
            return
        time.sleep(0.1)
    raise AssertionError("a published tag's answer is never kept")
