"""The way to a top node over HTTP against a server that does everything wrong: one UpstreamError, in time."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core import limits
from node.upstream_http import HttpCarry
from sync.link import UpstreamError

Serve = Callable[[socket.socket], None]
HOST = ipaddress.ip_address("127.0.0.1")
OK = b"HTTP/1.1 200 OK\r\n"


class Clock:
    """Time that passes by a step at each look."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s, self.step_s = 100.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def read_request(line: socket.socket) -> bytes:
    """Return the body of a request, empty where the other side ended the connection."""
    octets = b""
    while b"\r\n\r\n" not in octets:
        piece = line.recv(65_536)
        if not piece:
            return b""
        octets += piece
    head, _, body = octets.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += line.recv(1 << 20)
    return body


def answering(*answers: bytes) -> Serve:
    """Answer one request after the other on a connection, then end it."""

    def serve(line: socket.socket) -> None:
        for answer in answers:
            if read_request(line):
                line.sendall(answer)

    return serve


def whole(body: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Server:
    """Serves one connection after the other in a thread, each as the next of ``serves`` says; the last one again."""

    def __init__(self, *serves: Serve, tls: ssl.SSLContext | None = None) -> None:
        self._serves, self._tls = list(serves), tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}"

    def _run(self) -> None:
        while True:
            try:
                line, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with line, suppress(OSError):
                serve = self._serves.pop(0) if len(self._serves) > 1 else self._serves[0]
                served = line if self._tls is None else self._tls.wrap_socket(line, server_side=True)
                with served:
                    serve(served)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)


@contextmanager
def carry_to(server: Server, clock: Clock | None = None, tls: ssl.SSLContext | None = None) -> Iterator[HttpCarry]:
    with server:
        carry = HttpCarry(server.url, tls, clock or Clock())
        try:
            yield carry
        finally:
            carry.close()


def test_a_connection_is_used_again_and_opened_anew_when_it_was_idle() -> None:
    clock = Clock()
    with carry_to(Server(answering(whole(b"1"), whole(b"2"), whole(b"3"))), clock) as carry:
        assert [carry(b"q"), carry(b"q")] == [b"1", b"2"]
        clock.now_s += 11
        assert carry(b"q") == b"1"
    assert carry._connection is None


def test_one_that_was_ended_between_questions_is_a_failed_try_and_then_another() -> None:
    server = Server(answering(whole(b"1")))
    with carry_to(server) as carry:
        assert carry(b"q") == b"1"
        with suppress(UpstreamError):
            carry(b"q")
        assert carry(b"q") == b"1"
    assert server.connections <= 3


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        OK[:9],
        OK + b"Content-Length: 10\r\n\r\nhalf",
        OK + b"Content-Length: 10\r\n\r\n",
        OK + b"\r\nno length",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: %d\r\n\r\n" % (limits.UPSTREAM_BODY_BYTES_MAX + 1),
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        OK + b"X: y\r\n" * 1_000 + b"\r\n",
        OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        *(b"HTTP/1.1 %d X\r\nContent-Length: 1\r\n\r\nx" % status for status in (204, 301, 400, 404, 429, 500, 503)),
    ],
    ids=lambda answer: repr(answer[:40]),
)
def test_what_is_no_answer(answer: bytes) -> None:
    """And the next question finds a connection that is not spoilt."""
    with carry_to(Server(answering(answer), answering(whole(b"good")))) as carry:
        with pytest.raises(UpstreamError, match=r"127\.0\.0\.1"):
            carry(b"question")
        assert carry(b"question") == b"good"


def test_the_longest_answer_and_question() -> None:
    body = b"x" * (1 << 20)
    with (
        mock.patch.object(limits, "UPSTREAM_BODY_BYTES_MAX", len(body)),
        carry_to(Server(answering(whole(body)))) as carry,
    ):
        assert carry(body) == body


@pytest.mark.parametrize("head", [b"", OK + b"Content-Length: 1000\r\n\r\n"])
def test_one_that_drips_is_left_at_the_deadline(head: bytes) -> None:
    """Octets come one by one, each in time: all of them are not."""
    ended = threading.Event()

    def drip(line: socket.socket) -> None:
        read_request(line)
        line.sendall(head)
        while not ended.is_set():
            line.sendall(b"x")
            ended.wait(0.005)

    with carry_to(Server(drip), Clock(step_s=0.5)) as carry:
        try:
            with pytest.raises(UpstreamError, match="no whole answer in 30 s"):
                carry(b"q")
        finally:
            ended.set()


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UpstreamError, match="cannot be reached"):
        HttpCarry(f"http://127.0.0.1:{port}", None, Clock())(b"q")


# --- HTTPS
class Authority:
    """Makes certificates for 127.0.0.1."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.crt"
        self.file.write_bytes(self._made(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None)))

    def _made(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, basic: x509.BasicConstraints) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1)).add_extension(basic, critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(HOST)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )  # fmt: skip
        return made.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> Path:
        """Return a file with a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self._made(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            key,
            x509.BasicConstraints(ca=False, path_length=None),
        )
        path = self._folder / f"{name}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + issued
        )
        return path


def server_tls(certificate: Path, clients: Path | None = None) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    if clients is not None:
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(clients)
    return tls


def test_https_with_the_right_authority_the_wrong_one_and_a_certificate_of_ours(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path, "authority"), Authority(tmp_path, "other")
    tls, served = server_tls(authority.issue("top")), answering(whole(b"1"))
    right, wrong, known = (ssl.create_default_context(cafile=each.file) for each in (authority, other, authority))
    with carry_to(Server(served, tls=tls), tls=right) as carry:
        assert carry(b"q") == b"1"
    with carry_to(Server(served, tls=tls), tls=wrong) as carry, pytest.raises(UpstreamError, match=r"sync\.ca"):
        carry(b"q")
    mutual = server_tls(authority.issue("top"), clients=other.file)
    known.load_cert_chain(other.issue("node"))
    with carry_to(Server(served, tls=mutual), tls=known) as carry:
        assert carry(b"q") == b"1"
    with carry_to(Server(served, tls=mutual), tls=right) as carry, pytest.raises(UpstreamError):
        carry(b"q")
