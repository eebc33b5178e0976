"""The logs over HTTP on a real node: who may read them, what there is, and nothing beside it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import limits
from tests.kit.node import Node, Reply, saltern

MONTH = "change/2026-10"
BUNDLE = os.urandom(1 << 20) * 16
FILES = {
    "checkpoint": b"node.example/log/change/2026-10\n257\n...\n",
    "vkey": b"node.example/log/change/2026-10+00000000+AAAA\n",
    "tile/0/000": bytes(8_192),
    "tile/0/001.p/1": bytes(32),
    "tile/entries/000": BUNDLE,
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One with a month of a log, and what must not be told beside it."""
    running = Node(tmp_path_factory.mktemp("logs") / "node", "88.118")
    logs = running.folder / "data" / "log"
    for name, content in FILES.items():
        path = logs / MONTH / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (logs / "pending").write_bytes(b"SECRET")
    (logs / "change" / "pending").write_bytes(b"SECRET")
    for folder in ("spool", "clients/2026-10", "log/spool"):
        (running.folder / "data" / folder).mkdir(parents=True, exist_ok=True)
        (running.folder / "data" / folder / "key").write_bytes(b"SECRET")
    (logs / MONTH / "tile" / "0" / "002").symlink_to(running.folder / "keys" / "node.pem")
    with running:
        yield running


def issued(node: Node, role: str) -> dict[str, str]:
    options = ("--role", role, "--holder", "持有人", "--actor", "经办人", "--config", str(node.config), "--json")
    return {"Authorization": f"Bearer {json.loads(saltern('token', 'issue', *options).stdout)['secret']}"}


@pytest.fixture(scope="module")
def auditor(node: Node) -> dict[str, str]:
    return issued(node, "auditor")


def get(node: Node, path: str, headers: dict[str, str], method: str = "GET") -> Reply:
    return node.ask(method, f"/log/{path}", headers=headers)


def test_an_auditor_reads_the_logs(node: Node, auditor: dict[str, str]) -> None:
    """What there is, then each file as it lies there, with its type and how long it may be kept."""
    listed = get(node, "", auditor)
    assert listed.status == 200
    assert listed.json["streams"]["change"][:1] == ["2026-10"]
    assert set(listed.json["streams"]) == {"registration", "resolution", "maintenance", "change"}
    assert FILES["vkey"].decode() in get(node, "vkeys", auditor).body.decode()
    for name, content in FILES.items():
        read, head = (get(node, f"{MONTH}/{name}", auditor, method) for method in ("GET", "HEAD"))
        assert (read.status, head.status) == (200, 200)
        assert read.body == content
        assert head.body == b""
        for reply in (read, head):
            assert reply.headers["Content-Length"] == str(len(content))
            tile = name.startswith("tile/")
            assert reply.headers["Content-Type"] == (
                "application/octet-stream" if tile else "text/plain; charset=utf-8"
            )
            assert ("immutable" in reply.headers["Cache-Control"]) is tile
            assert ("no-cache" in reply.headers["Cache-Control"]) is not tile
            assert "Server" not in reply.headers


def test_who_may(node: Node, auditor: dict[str, str]) -> None:
    """Auditors and operators; a reviewer not, which is written down; nobody else without credentials."""
    operator, reviewer = issued(node, "operator"), issued(node, "reviewer")
    for headers in (auditor, operator):
        assert get(node, f"{MONTH}/checkpoint", headers).status == 200
    for path in ("", "vkeys", f"{MONTH}/checkpoint", f"{MONTH}/tile/7/000"):
        anybody = get(node, path, {"Accept": "text/html"})
        assert (anybody.status, anybody.json["outcome"]) == (401, "authentication-needed")
        assert any(each.startswith("Bearer") for each in anybody.headers.get_all("WWW-Authenticate"))
    refused = get(node, f"{MONTH}/checkpoint", reviewer)
    assert (refused.status, refused.json["rule"]) == (403, "role")
    journal = node.ask("GET", "/v1/journal?count=1000", headers=operator).json["entries"]
    assert (journal[-1]["action"], journal[-1]["object"], journal[-1]["rule"]) == ("log.read", MONTH, "role")
    wrong = get(node, f"{MONTH}/checkpoint", {"Authorization": "Bearer saltern_0000000000000000_x"})
    assert (wrong.status, wrong.headers["Content-Type"]) == (401, "application/problem+json")


@pytest.mark.parametrize(
    "path",
    [
        f"{MONTH}/tile/0/001", f"{MONTH}/tile/0/001.p/2", f"{MONTH}/checkpoint.cosigned", "change/2026-09/checkpoint",
        f"{MONTH}/tile/0/002", f"{MONTH}", f"{MONTH}/", "change/", "vkeys/", "pending", "change/pending", "spool/key",
        "../keys/node.pem", "../data/clients/2026-10/key", f"{MONTH}/../../pending", f"{MONTH}/%2e%2e/%2e%2e/pending",
        "%2e%2e/clients/2026-10/key", f"{MONTH}//checkpoint", f"{MONTH}/tile/0/000%00", f"{MONTH}/%63heckpoint",
        "//etc/passwd", f"{MONTH}/tile/0/x000/000", f"./{MONTH}/checkpoint", f"{MONTH}/tile/0/000;a",
    ],
)  # fmt: skip
def test_nothing_else_is_there(node: Node, auditor: dict[str, str], path: str) -> None:
    """A missing tile, a link, private files, ways out: 404, a problem document."""
    for method in ("GET", "HEAD"):
        reply = get(node, path, auditor, method)
        assert reply.status == 404, reply
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert b"SECRET" not in reply.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_it_is_only_read(node: Node, auditor: dict[str, str], method: str) -> None:
    """Other methods are told what is possible."""
    reply = get(node, f"{MONTH}/checkpoint", auditor, method)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")


def test_clients_that_do_not_read_hold_no_memory_and_no_one_up(node: Node, auditor: dict[str, str]) -> None:
    """As many as are served at once; the next waits (503), and who goes away frees its place."""
    head = f"GET /log/{MONTH}/tile/entries/000 HTTP/1.1\r\nHost: n\r\nAuthorization: {auditor['Authorization']}\r\n\r\n"
    slow: list[socket.socket] = []
    try:
        for _ in range(limits.LOG_FILES_OPEN):
            slow.append(socket.create_connection(("127.0.0.1", node.ready["http"])))
            slow[-1].sendall(head.encode())
            assert slow[-1].recv(12) == b"HTTP/1.1 200"
        worker = Path(f"/proc/{node.children()['worker-0']}")
        resident = next(line for line in (worker / "status").read_text().splitlines() if line.startswith("RssAnon"))
        assert int(resident.split()[1]) < 400_000  # kB; all of these bundles would be a gigabyte
        busy = get(node, f"{MONTH}/checkpoint", auditor)
        assert (busy.status, busy.headers["Retry-After"]) == (503, "1")
        assert get(node, "", auditor).status == 200
    finally:
        for each in slow:
            each.close()
    while (reply := get(node, f"{MONTH}/tile/entries/000", auditor)).status == 503:
        pass
    assert reply.body == BUNDLE
