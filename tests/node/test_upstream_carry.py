"""An envelope's way over HTTP: it is there in time, or it is none, whatever octets come meanwhile."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from core import limits
from node.upstream_http import HttpCarry
from sync.link import UpstreamError


def _carry(answers: list[bytes], *, again: bool = False) -> HttpCarry:
    """Return the way to a server that says these octets, one a question; the last one for ever if ``again``."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection, server:
            try:
                for answer in answers:
                    connection.recv(65_536)
                    connection.sendall(answer)
                while again:
                    connection.sendall(answers[-1])
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    return HttpCarry(f"http://127.0.0.1:{server.getsockname()[1]}", None, time.monotonic)


def test_answers_come_over_one_connection_and_over_one_that_is_closed() -> None:
    """The second answer ends the connection."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
    carry = _carry([head + b"\r\none", head + b"Connection: close\r\n\r\ntwo"])
    assert [carry(b"q"), carry(b"q")] == [b"one", b"two"]


def test_a_head_that_never_ends_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library itself waits for the end of interim answers as long as they come."""
    monkeypatch.setattr(limits, "UPSTREAM_TIMEOUT_S", 0.3)
    carry = _carry([b"HTTP/1.1 100 Continue\r\n\r\n"], again=True)
    with pytest.raises(UpstreamError):
        carry(b"q")
