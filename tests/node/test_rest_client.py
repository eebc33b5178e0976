"""The requests of nodejs-handle-net-client, as it sends them, by Python and, where there is node, by JavaScript."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.kit.handle_client import Client, Http
from tests.kit.handle_messages import admin_data
from tests.kit.logins import THIS, begun, by_key, header
from tests.kit.node import Node

PREFIX = "88.1"
SCRIPT = Path(__file__).parent.parent / "kit" / "handle_client.mjs"
MANUAL = Path(__file__).parent.parent.parent / "docs" / "reference" / "http-api.md"
NODE = shutil.which("node")
ADMIN = {"handle": f"0.NA/{PREFIX}", "index": "300", "permissions": "111111111111", "legacyByteLength": True}
STEPS = ["begin", "log in", "create", "create again", "read", "list", "delete", "end"]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("client") / "n1", PREFIX, resolver__workers=2) as made:
        yield made


class Steps:
    """The flow by Python. The header has no version, no blanks, and of a string the index."""

    def __init__(self, node: Node, handle: str) -> None:
        self.node, self.handle = node, handle
        self.answers: list[tuple[str, int, Any]] = []

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        reply = self.node.ask(method, path, body, headers, tls=True)
        step = STEPS[len(self.answers)]
        self.answers.append((step, reply.status, reply.json if reply.body else None))
        return reply

    def run(self) -> list[tuple[str, int, Any]]:
        key = serialization.load_pem_private_key((self.node.folder / "keys" / "admin.pem").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        session = begun(self.ask("POST", "/api/sessions"))
        members = by_key(session, f"300:0.NA/{PREFIX}", key)
        del members["version"]
        self.ask("PUT", THIS, {}, header(members, ","))
        sent = header({"sessionId": session.session_id})
        path = f"/api/handles/{self.handle}"
        values = [
            {"index": 1, "type": "URL", "data": {"format": "string", "value": "https://example.com/1"}},
            {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": ADMIN}},
        ]
        for _ in range(2):
            self.ask("PUT", f"{path}?overwrite=false", values, sent)
        self.ask("GET", path, None, sent)
        self.ask("GET", f"/api/handles?prefix={PREFIX}", None, sent)
        self.ask("DELETE", path, None, sent)
        self.ask("DELETE", THIS, None, sent)
        return self.answers


def check_flow(answers: list[tuple[str, int, Any]], handle: str) -> None:
    """Every step ended as the client expects it."""
    assert [(step, status) for step, status, _ in answers] == [
        ("begin", 201), ("log in", 200), ("create", 201), ("create again", 409),
        ("read", 200), ("list", 200), ("delete", 200), ("end", 204),
    ]  # fmt: skip
    bodies = {step: body for step, _, body in answers}
    assert bodies["log in"] == bodies["begin"] | {"authenticated": True, "id": f"300:0.NA/{PREFIX}"}
    assert bodies["create"] == bodies["delete"] == {"responseCode": 1, "handle": handle}
    assert bodies["create again"] == {"responseCode": 101, "handle": handle}
    assert bodies["read"]["values"][1]["data"]["value"] == ADMIN | {"index": 300}
    assert handle.upper() in bodies["list"]["handles"]
    assert bodies["list"]["totalCount"] == str(len(bodies["list"]["handles"]))
    assert bodies["end"] is None


def test_the_flow_by_python(node: Node) -> None:
    """Log in by the prefix's private key; create, read, list and delete by the session's id alone."""
    check_flow(Steps(node, f"{PREFIX}/py-1").run(), f"{PREFIX}/py-1")


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_flow_by_javascript(node: Node) -> None:
    """With node's own TLS, checking the certificate, and its own signature."""
    keys = node.folder / "keys"
    command = [str(NODE), str(SCRIPT), str(node.ready["https"]), str(keys / "tls.crt"), str(keys / "admin.pem"), PREFIX]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, done.stdout.splitlines())
    check_flow([(line["step"], line["status"], line["body"]) for line in lines], f"{PREFIX}/js-1")


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="curl or openssl is not installed")
def test_the_example_of_the_manual_runs(node: Node) -> None:
    """As it stands there, but for port and prefix."""
    block = re.search(r"## Sessions\n.*?```sh\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)
    assert block is not None
    script = block[1].replace("8443", str(node.ready["https"])).replace("88.118.7", PREFIX)
    done = subprocess.run(["bash", "-euc", script], cwd=node.folder.parent, capture_output=True, text=True, timeout=60)
    logged_in, listing, ended = done.stdout.splitlines()
    assert json.loads(logged_in)["id"] == f"300:0.NA/{PREFIX}", done.stderr
    assert json.loads(listing)["responseCode"] == 1
    assert ended == "204"


def test_an_old_administrator_is_kept_with_its_two_octets(node: Node) -> None:
    """legacyByteLength is two zero octets behind the value, as the reference server keeps such records."""
    for legacy in (True, False):
        handle = f"{PREFIX}/{'old' if legacy else 'new'}"
        value = {"format": "admin", "value": ADMIN | {"legacyByteLength": legacy}}
        assert node.put(handle, [{"index": 100, "type": "HS_ADMIN", "data": value}]).status == 201
        asked = node.get(handle).json["values"][0]["data"]["value"]
        assert asked.get("legacyByteLength", False) is legacy
        (read,) = Client(Http("127.0.0.1", node.ready["http"])).resolve(handle).values
        assert read.data == admin_data(f"0.NA/{PREFIX}", 300) + (bytes(2) if legacy else b"")
