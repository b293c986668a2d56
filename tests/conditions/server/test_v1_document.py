"""The OpenAPI document is true: what it allows is accepted, what it forbids is refused, every answer is as it says.

Some 2,300 cases, the edges of every parameter and field, are made from the document by schemathesis and asked of a
server of two processes. `CONDITIONS_STRESS` adds random ones, and sequences of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from support.server import Server, session_server

# A pattern cannot say that an interval's first run comes before its last one: that is a 400, too.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "400", "401", "403", "404", "409", "410"]

# In multipart/form-data nothing says of what type a part is: an object in the place of a file is a file.
[[operations]]
include-name = "POST /batch"
[operations.checks.negative_data_rejection]
enabled = false
"""
STRESS = "CONDITIONS_STRESS" in os.environ
PHASES, EXAMPLES = ("examples,coverage,fuzzing,stateful", "25") if STRESS else ("examples,coverage", "1")


@pytest.fixture
def server(pytestconfig: pytest.Config) -> Server:
    return session_server(pytestconfig, "postgresql")


def test_the_document_is_what_the_server_does(server: Server, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", "schemathesis.toml", "run"]
    command += [f"{server.url}/v1/openapi.json", "--url", f"{server.url}/v1", "--seed", "1"]
    command += ["--phases", PHASES, "--max-examples", EXAMPLES, "--continue-on-failure", "--no-color"]
    command += ["--header", f"Authorization: Bearer {server.token()}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "passed" in done.stdout


def test_operations_have_stable_names_titles_and_tags(server: Server) -> None:
    document = requests.get(f"{server.url}/v1/openapi.json", timeout=30).json()
    operations = [each for path in document["paths"].values() for each in path.values()]
    names = sorted(each["operationId"] for each in operations)
    assert names == NAMES
    assert all(each["summary"] and each["tags"] and each["description"] for each in operations)
    assert all("422" not in each["responses"] for each in operations)


def test_every_change_says_that_it_needs_a_token_and_every_read_that_it_does_not(server: Server) -> None:
    document = requests.get(f"{server.url}/v1/openapi.json", timeout=30).json()
    reads = {"find_payloads", "latest_payloads", "resolve_many"}
    for methods in document["paths"].values():
        for method, operation in methods.items():
            is_read = (method == "get" or operation["operationId"] in reads) and operation["operationId"] not in BYTES
            assert ("security" in operation) is not is_read, operation["operationId"]


BYTES = {"check_tag", "verify_payload", "verify_tag"}  # reads of everything, for known callers only
NAMES = [
    "about",
    "add_iovs",
    "audit",
    "check_tag",
    "clone_tag",
    "copy_iovs",
    "create_tag",
    "delete_iov",
    "delete_iovs",
    "diff_tags",
    "find_payloads",
    "get_file",
    "get_iov",
    "get_latest_payload",
    "get_payload",
    "get_payload_file",
    "get_tag",
    "latest_payloads",
    "list_iovs",
    "list_payloads",
    "list_tag_payloads",
    "list_tags",
    "merge_tags",
    "modify_iov",
    "modify_iovs",
    "modify_tag",
    "publish_tag",
    "resolve",
    "resolve_many",
    "running_update",
    "set_state",
    "submit_batch",
    "tag_digest",
    "tag_facts",
    "tag_history",
    "verify_payload",
    "verify_tag",
]
