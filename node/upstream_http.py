"""The way to a top node over HTTP: an envelope there, an envelope back. What they say: ``sync/link.py``.

One connection is kept, and used again as long as the other side surely keeps it, too. An answer has to be there as a
whole in UPSTREAM_TIMEOUT_S, however slowly its octets come; a longer one than UPSTREAM_BODY_BYTES_MAX is none.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from core import limits
from core.errors import Outcome
from core.outcomes import HTTP_SERVER_ERRORS, STATUSES
from sync.link import UpstreamError
from sync.words import visible

MEDIA_TYPE: Final = "application/vnd.saltern.upstream"
PATH: Final = "/upstream/v1"
_IDLE_S: Final = 10.0  # a connection that was idle for longer is opened anew
_READ_BYTES: Final = 65_536
_SAID_CHARS: Final = 200  # what is no HTTP is shown, but neither all of it nor what moves a terminal
_OK: Final = STATUSES[Outcome.OK].http


class _Hurried(io.RawIOBase):
    """What a socket receives, with a look at the time before each receive: a head may come octet by octet, too."""

    def __init__(self, received: io.RawIOBase, hurry: Callable[[], None]) -> None:
        self._received, self._hurry = received, hurry

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int | None:
        self._hurry()
        return self._received.readinto(into)

    def close(self) -> None:
        self._received.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, hurry: Callable[[], None], sock: socket.socket, *members: Any, **named: Any) -> None:
        super().__init__(sock, *members, **named)
        self.fp = io.BufferedReader(_Hurried(self.fp.detach(), hurry))


class HttpCarry:
    """See ``sync.link.Carry``. ``url``: as ``saltern sync connect`` took it; ``tls`` where it is https."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, monotonic_s: Callable[[], float]) -> None:
        parts = urlsplit(url)
        self._url = url
        self._path = parts.path.rstrip("/") + PATH
        self._place = (parts.hostname or "", parts.port)
        self._tls = tls if parts.scheme == "https" else None
        self._monotonic_s = monotonic_s
        self._connection: http.client.HTTPConnection | None = None
        self._used_s = 0.0

    def __call__(self, octets: bytes) -> bytes:
        """Take an envelope there, and bring one back. Errors: UpstreamError."""
        deadline_s = self._monotonic_s() + limits.UPSTREAM_TIMEOUT_S
        try:
            answer = self._exchange(octets, deadline_s)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise UpstreamError(
                f"{self._url}：证书不可信，见设置 sync.ca。The certificate is not trusted, see setting sync.ca: "
                f"{error.verify_message}"
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            why = visible(said, _SAID_CHARS)
            raise UpstreamError(f"{self._url}：无法连接上级节点。The top node cannot be reached: {why}") from None
        except BaseException:
            self.close()
            raise
        self._used_s = self._monotonic_s()
        return answer

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, octets: bytes, deadline_s: float) -> bytes:
        connection = self._open()
        connection.request("POST", self._path, octets, {"Content-Type": MEDIA_TYPE})
        connection.response_class = partial(_Response, partial(self._hurry, connection, deadline_s))  # type: ignore[assignment]
        response = connection.getresponse()
        if response.status != _OK:
            why = visible(response.read(_SAID_CHARS).decode("utf-8", "replace"), _SAID_CHARS)
            raise UpstreamError(
                f"{self._url}：上级节点应答 {response.status}。The top node answers {response.status}: {why}",
                refused=response.status < HTTP_SERVER_ERRORS,
            )
        return self._read(connection, response, deadline_s)

    def _open(self) -> http.client.HTTPConnection:
        if self._connection is not None and self._monotonic_s() - self._used_s > _IDLE_S:
            self.close()
        if self._connection is None:
            host, port = self._place
            if self._tls is None:
                self._connection = http.client.HTTPConnection(host, port, timeout=limits.UPSTREAM_TIMEOUT_S)
            else:
                self._connection = http.client.HTTPSConnection(
                    host, port, timeout=limits.UPSTREAM_TIMEOUT_S, context=self._tls
                )
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connection

    def _read(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, deadline_s: float
    ) -> bytes:
        left = response.length
        if left is None or left > limits.UPSTREAM_BODY_BYTES_MAX:
            raise ValueError(f"an answer of {'no length' if left is None else f'{left} octets'}")
        pieces: list[bytes] = []
        while left:
            piece = response.fp.read1(min(left, _READ_BYTES))  # one receive: read() would wait for all of it
            if not piece:
                raise http.client.IncompleteRead(b"".join(pieces), left)
            pieces.append(piece)
            left -= len(piece)
        response.close()
        return b"".join(pieces)

    def _hurry(self, connection: http.client.HTTPConnection, deadline_s: float) -> None:
        """Leave the socket no more time than there is."""
        left_s = deadline_s - self._monotonic_s()
        if left_s <= 0:
            raise TimeoutError(f"no whole answer in {limits.UPSTREAM_TIMEOUT_S:.0f} s")
        if connection.sock is not None:  # None once the last answer of a connection is there
            connection.sock.settimeout(left_s)
