"""A crowd of HTTP clients that do nothing useful, and one among them that does."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from typing import NamedTuple

from tests.kit.handle_node import memory_bytes
from tests.kit.node import Node

TIMEOUT_S = 60
ASKED = 200
SPARE = 256
PER_CONNECTION_BYTES_MAX = 65_536
GONE_TRIES = 2_000

IDLE = b""
HALVES = (
    b"P", b"GET /api/handles/x", b"PUT /api/handles/x HTTP/1.1\r\nHost: x\r\n",
    b"PUT /api/handles/88.118.7/X HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[",
)  # fmt: skip
ANSWERED = (
    b"GET /api/handles/88.118.7/NONE HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
)


class Crowded(NamedTuple):
    """What a node endured, and what each connection cost its worker."""

    connections: int
    bytes_each: float


def crowd(node: Node, count: int) -> Crowded:
    """Keep ``count`` connections open, of which nothing more comes, while another client is served; then leave.

    The same processes go on, a connection costs less than PER_CONNECTION_BYTES_MAX, and all are gone at the end.
    """
    allow_descriptors(count + SPARE)
    assert node.get("88.118.7/NONE").status == 404  # its log is open
    processes, open_before, before = node.children(), descriptors(node), memory_bytes(node)
    kinds = (IDLE, *HALVES, *ANSWERED)
    with contextlib.ExitStack() as lines:
        for number in range(count):
            octets = kinds[number % len(kinds)]
            line = lines.enter_context(connected(node))
            line.sendall(octets)
            if octets in ANSWERED:
                assert line.recv(4_096).startswith(b"HTTP/1.1 ")
        for _ in range(ASKED):
            assert node.get("88.118.7/NONE").status == 404
        assert descriptors(node) > count
        bytes_each = (memory_bytes(node) - before) / count
    assert bytes_each < PER_CONNECTION_BYTES_MAX
    await_descriptors(node, open_before)
    assert node.children() == processes
    return Crowded(count, bytes_each)


def connected(node: Node, receive_bytes: int = 0) -> socket.socket:
    """Return a connection to HTTP."""
    line = socket.socket()
    line.settimeout(TIMEOUT_S)
    if receive_bytes:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    line.connect(("127.0.0.1", node.ready["http"]))
    return line


def descriptors(node: Node) -> int:
    """Return how many descriptors the worker has open."""
    return len(os.listdir(f"/proc/{node.children()['worker-0']}/fd"))


def await_descriptors(node: Node, wanted: int) -> None:
    """Ask until the worker has no more descriptors open than wanted; each answer is a turn of its loop."""
    for _ in range(GONE_TRIES):
        assert node.get("88.118.7/NONE").status == 404
        if descriptors(node) <= wanted:
            return
    raise AssertionError(f"{descriptors(node)} descriptors are open, {wanted} were before")


def allow_descriptors(count: int) -> None:
    """Let the test itself open so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
