"""The Handle side of a running node, for tests: clients and bare sockets, its memory, its dialogues, its log."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core.store.run_store import RunStore
from tests.kit.handle_client import Client, Http, Tcp, Transport, Udp, read_message
from tests.kit.handle_messages import Flag, Message, Op, Value, admin_data, bstr, encode_indexes
from tests.kit.handle_proofs import Identity, RsaKey, SecretKey
from tests.kit.node import Node, admin_value

HOST: Final = "127.0.0.1"
TIMEOUT_S: Final = 20
READ: Final = Flag.RECU | Flag.CACR | Flag.PUBL


def transport_of(node: Node, name: str) -> Transport:
    """Return a way to the node: "tcp" is a connection a message, "kept" one for all."""
    if name == "http":
        return Http(HOST, node.ready["http"])
    if name == "udp":
        return Udp(HOST, node.ready["handle"])
    return Tcp(HOST, node.ready["handle"], keep=name == "kept")


def client_of(node: Node, name: str, auth: Identity | None = None, **options: Any) -> Client:
    """Return a client over a transport."""
    return Client(transport_of(node, name), auth, **options)


def secret_key(node: Node, method: int | None = None) -> SecretKey:
    """Return the administrator's secret key, value 301 of the first prefix."""
    return SecretKey(f"0.NA/{node.prefixes[0]}", 301, node.secret.encode(), method)


def rsa_key(node: Node, hash_name: str | None = None, index: int = 300) -> RsaKey:
    """Return the administrator's RSA key, value 300 of the first prefix."""
    key = load_pem_private_key((node.folder / "keys" / "admin.pem").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return RsaKey(f"0.NA/{node.prefixes[0]}", index, key, hash_name)


def administrator(node: Node) -> Value:
    """Return an HS_ADMIN value that names the group of the first prefix."""
    return Value(100, "HS_ADMIN", admin_data(f"0.NA/{node.prefixes[0]}", 200))


def record(node: Node, text: str) -> list[dict[str, Any]]:
    """Return a record in JSON."""
    return [{"index": 1, "type": "URL", "data": text}, admin_value(f"0.NA/{node.prefixes[0]}")]


def question(handle: str, request_id: int = 1, flags: int = READ, **fields: Any) -> Message:
    """Return a plain resolution request."""
    body = bstr(handle) + encode_indexes([]) + bytes(4)
    return Message(Op.RESOLVE, body=body, request_id=request_id, flags=int(flags), **fields)


# --- bare sockets ---


@contextlib.contextmanager
def line_to(node: Node, receive_bytes: int = 0) -> Iterator[socket.socket]:
    """Open a TCP connection."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as line:
        line.settimeout(TIMEOUT_S)
        if receive_bytes:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        line.connect((HOST, node.ready["handle"]))
        yield line


@contextlib.contextmanager
def datagrams_to(node: Node) -> Iterator[socket.socket]:
    """Open a UDP socket that talks to the node alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(TIMEOUT_S)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        line.connect((HOST, node.ready["handle"]))
        yield line


def answers_until_closed(line: socket.socket) -> list[Message]:
    """Read answers until the node closes, which it must."""
    with line.makefile("rb") as stream:
        answers = []
        while stream.peek(1):
            answers.append(Message.decode(read_message(stream.read)))
        return answers


def datagrams_before(line: socket.socket, last: Message) -> list[bytes]:
    """Send one more question and return all datagrams that come before its answer.

    With a session id it takes the way of those that may wait, in their order: what was sent
    before and needs no slow proof is answered by then.
    """
    line.send(last.encode())
    came = []
    while int.from_bytes((datagram := line.recv(65_535))[8:12]) != last.request_id:
        came.append(datagram)
    return came


# --- what the node is like inside ---


def memory_bytes(node: Node, process: str = "worker-0") -> int:
    """Return the memory of a process that is its own (RssAnon)."""
    status = Path(f"/proc/{node.children()[process]}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1_024


@contextlib.contextmanager
def dialogues_of(node: Node) -> Iterator[RunStore]:
    """Open the node's challenges and sessions beside it."""
    store = RunStore(node.folder / "data" / "run" / "dialogues")
    try:
        yield store
    finally:
        store.close()


def assert_unharmed(node: Node) -> None:
    """The node resolves, and nothing in its log is a failure."""
    assert client_of(node, "udp").resolve(f"0.NA/{node.prefixes[0]}").code == 1
    for sign in ("Traceback", "ticket", "ERROR", "CRITICAL", "exception"):
        assert sign not in node.log(), node.log()[-3_000:]
