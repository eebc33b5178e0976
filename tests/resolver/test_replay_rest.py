"""The reference server's JSON exchanges, replayed octet by octet over TCP and TLS.

Left out are sessions, challenges by nonce and verifications: they belong to the
Handle protocol. What differs on purpose stands in docs/standards/divergences.md.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.node import Node, admin_value, saltern
from tests.kit.vectors import import_lines, load, reference_records, value_of

EXCHANGES = {exchange["name"]: exchange for exchange in load("handle/rest_json.json")["exchanges"]}
SESSIONS = re.compile("session|pubkey|verifications")
REPLAYED = [name for name in EXCHANGES if not SESSIONS.search(name)]
ADMIN = admin_value("0.NA/88.9999.1")
# What exchanges that are not in the file had made before these were sent.
MADE_BEFORE: dict[str, list[dict[str, Any]]] = {
    "put_index_exists_overwrite": [
        {"index": 1, "type": "URL", "data": "https://a.example"},
        {"index": 2, "type": "DESC", "data": "d"},
        ADMIN,
    ],
}
VARYING = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
JAVA = b"java.lang.Exception: "  # docs/standards/divergences.md#error-messages-without-class-names


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("reference") / "node"
    made = Node(folder, "88.9999.1", "88.9999.2", "88.9999.3", handle__root=True, http__plain_auth="never")
    with made:
        bulk_admin = value_of(load("handle/records.json")["bulk_admin"])
        records = reference_records() | {f"88.9999.1/B{number:08}": (bulk_admin,) for number in range(5)}
        saltern("record", "import", "-", "--config", str(made.config), stdin=import_lines(records))
        yield made


def exchange_with(node: Node, exchange: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Send the very octets; return status, headers and body."""
    raw: socket.socket = socket.create_connection(
        ("127.0.0.1", node.ready["https" if exchange["tls"] else "http"]), timeout=20
    )
    if exchange["tls"]:
        context = ssl.create_default_context(cafile=str(node.folder / "keys" / "tls.crt"))
        raw = context.wrap_socket(raw, server_hostname="localhost")
    with raw:
        raw.sendall(bytes.fromhex(exchange["request_hex"]))
        received = b""
        while chunk := raw.recv(65_536):
            received += chunk
    return split(received)


def split(octets: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = octets.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines[1:])}
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return int(lines[0].split(" ")[1]), headers, body


def expected(exchange: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return split(bytes.fromhex(exchange["response_hex"]))


def comparable(body: bytes) -> bytes:
    """Blank what differs between two runs of any server, and the number of bulk records."""
    return re.sub(rb'"totalCount":"\d+"', b'"totalCount":"N"', VARYING.sub(b"UUID", body)).replace(JAVA, b"")


@pytest.mark.parametrize("name", REPLAYED)
def test_the_reference_exchange_is_answered_the_same(node: Node, name: str) -> None:
    """Status, members, their order and values, headers that carry meaning: as the reference server."""
    exchange = EXCHANGES[name]
    if name in MADE_BEFORE:
        made = node.ask("PUT", "/api/handles/88.9999.1/R1", MADE_BEFORE[name], basic_of_vectors(), tls=True)
        assert made.status == 201, made.body
    status, headers, body = exchange_with(node, exchange)
    want_status, want_headers, want_body = expected(exchange)
    assert status == want_status
    assert comparable(body) == comparable(want_body)
    for header in ("Content-Type", "Vary", "Content-Encoding", "Access-Control-Allow-Origin"):
        assert headers.get(header) == want_headers.get(header), header
    assert "Server" not in headers


def basic_of_vectors() -> dict[str, str]:
    line = next(line for line in EXCHANGES["delete_handle"]["request"].split("\r\n") if line.startswith("Auth"))
    return {"Authorization": line.partition(": ")[2]}


def test_what_is_left_out_is_only_sessions_and_verifications() -> None:
    """Nothing else hides among the exchanges that are not replayed."""
    left_out = set(EXCHANGES) - set(REPLAYED)
    assert len(left_out) == 10
    assert all(
        "/api/sessions" in EXCHANGES[name]["request"]
        or "Authorization: Handle" in EXCHANGES[name]["request"]
        or "/api/verifications" in EXCHANGES[name]["request"]
        for name in left_out
    )


def test_the_total_counts_what_is_there(node: Node) -> None:
    """totalCount, blanked above, is the number of records under the prefix."""
    reply = node.ask("GET", "/api/handles?prefix=88.9999.1", headers=basic_of_vectors(), tls=True)
    handles = reply.json["handles"]
    assert reply.json["totalCount"] == str(len(handles))
    assert handles == sorted(handles, key=lambda handle: handle.encode())
    assert json.dumps(handles).count("B0000") == 5


def test_credentials_are_never_taken_over_plain_http(node: Node) -> None:
    """With plain_auth = never even loopback is told 403 with responseCode 402."""
    reply = node.ask("PUT", "/api/handles/88.9999.1/R9", [ADMIN], basic_of_vectors())
    assert (reply.status, reply.json) == (403, {"responseCode": 402, "handle": "88.9999.1/R9"})
