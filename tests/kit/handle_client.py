"""A client of the binary Handle protocol for tests: UDP, TCP, HTTP; challenges, DH sessions, signed answers.

Written from handle-protocol.md and handle-protocol-details.md alone; it shares no code with the server. Every answer is
checked (Client.check) unless `check=False`; what breaks the facts raises BadMessage, an AssertionError.
"""

from __future__ import annotations

import http.client
import secrets
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, Self, Unpack
from typing import TypedDict as Typed
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.kit.handle_messages import (
    ENVELOPE_BYTES,
    NO_SERIAL,
    PLAIN,
    BadMessage,
    Envelope,
    Flag,
    Message,
    Op,
    Reply,
    Site,
    Value,
    Version,
    bstr,
    decode_reply,
    encode_indexes,
    encode_values,
    join_packets,
    split_packets,
)
from tests.kit.handle_proofs import (
    Credential,
    Identity,
    KeyExchange,
    RsaKey,
    SecretKey,
    Session,
    decode_rsa_key,
    request_digest,
    server_signature_holds,
)

__all__ = ["Client", "Http", "Lost", "RsaKey", "SecretKey", "Session", "Tcp", "Udp", "Value"]

TIMEOUT_S = 10.0
NEWEST: Version = (2, 11)
MEDIA_TYPE = "application/x-hdl-message"
More = Callable[[bytes], bool]
"""Tells of a raw answer whether another one follows (CONT); encrypted ones only the session can read."""


def clear_more(raw: bytes) -> bool:
    return bool(Message.decode(raw).flags & Flag.CONT)


class Lost(TimeoutError):  # noqa: N818 - said of packets, not of a fault
    """No whole answer came in time; `packets` holds what came."""

    def __init__(self, packets: list[bytes]) -> None:
        super().__init__(f"no whole answer; {len(packets)} packets came")
        self.packets = packets


class Transport(Protocol):
    """Carries one whole request there and its whole answers back. ``source``: address of ours, empty for any."""

    flags: Flag
    source: str

    def exchange(self, raw: bytes, *, handle: str = "/", more: More = clear_more) -> list[bytes]: ...


# --- transports ---


class Udp:
    """Packets of at most 492 payload octets (§2.1); a new port for each exchange, so no stray answers."""

    flags = Flag(0)

    def __init__(self, host: str, port: int, timeout_s: float = TIMEOUT_S) -> None:
        self.address, self.timeout_s = (host, port), timeout_s
        self.source = ""
        self.packets: list[bytes] = []
        """The packets of the last exchange, in the order in which they came."""

    def exchange(self, raw: bytes, *, handle: str = "/", more: More = clear_more) -> list[bytes]:
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            if self.source:
                line.bind((self.source, 0))
            line.connect(self.address)
            for packet in split_packets(raw):
                line.send(packet)
            self.packets = []
            answers = [self._one(line)]
            while more(answers[-1]):
                answers.append(self._one(line))
            return answers

    def _one(self, line: socket.socket) -> bytes:
        ends = time.monotonic() + self.timeout_s
        packets: list[bytes] = []
        while True:
            line.settimeout(max(ends - time.monotonic(), 0.001))
            try:
                packets.append(line.recv(65_535))
            except TimeoutError as error:
                raise Lost(packets) from error
            self.packets.append(packets[-1])
            whole = join_packets(packets)
            if whole is not None:
                return whole


def read_message(read: Callable[[int], bytes]) -> bytes:
    """Read one envelope and what it announces."""
    head = read(ENVELOPE_BYTES)
    if len(head) < ENVELOPE_BYTES:
        raise ConnectionError(f"the server closed after {len(head)} octets of an answer")
    rest = read(length) if (length := Envelope.decode(head).length) else b""
    if len(rest) < length:
        raise ConnectionError(f"the server closed after {len(rest)} of {length} octets")
    return head + rest


class Tcp:
    """A connection per message, or with `keep` one for all, asked for by KPAL (§2.3)."""

    def __init__(self, host: str, port: int, keep: bool = False, timeout_s: float = TIMEOUT_S) -> None:
        self.address, self.keep, self.timeout_s = (host, port), keep, timeout_s
        self.source = ""
        self.flags = Flag.KPAL if keep else Flag(0)
        self.connections = 0
        self.line: socket.socket | None = None

    def exchange(self, raw: bytes, *, handle: str = "/", more: More = clear_more) -> list[bytes]:
        if self.line is None:
            source = (self.source, 0) if self.source else None
            self.line = socket.create_connection(self.address, self.timeout_s, source)
            self.connections += 1
        whole = False
        try:
            self.line.sendall(raw)
            with self.line.makefile("rb") as stream:
                answers = [read_message(stream.read)]
                while more(answers[-1]):
                    answers.append(read_message(stream.read))
                whole = True
                return answers
        finally:
            if not (self.keep and whole):
                self.close()

    def close(self) -> None:
        if self.line is not None:
            self.line.close()
            self.line = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Http:
    """POST with both media types to the percent-encoded handle, a connection each (§2.13, §7)."""

    flags = Flag(0)

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.address, self.tls, self.timeout_s = (host, port), tls, timeout_s
        self.source = ""
        self.headers: http.client.HTTPMessage | None = None
        """The headers of the last answer."""

    def exchange(self, raw: bytes, *, handle: str = "/", more: More = clear_more) -> list[bytes]:
        line = self._line()
        try:
            headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
            line.request("POST", "/" + quote(handle, safe=""), raw, headers)
            answer = line.getresponse()
            body, self.headers = answer.read(), answer.headers
        finally:
            line.close()
        if answer.status != 200 or answer.headers.get_content_type() != MEDIA_TYPE:
            raise BadMessage(f"HTTP {answer.status} {answer.headers.get_content_type()}: {body[:200]!r}")
        return self._split(body, more)

    def _line(self) -> http.client.HTTPConnection:
        source = (self.source, 0) if self.source else None
        if self.tls is None:
            return http.client.HTTPConnection(*self.address, timeout=self.timeout_s, source_address=source)
        return http.client.HTTPSConnection(
            *self.address, timeout=self.timeout_s, context=self.tls, source_address=source
        )

    @staticmethod
    def _split(body: bytes, more: More) -> list[bytes]:
        answers: list[bytes] = []
        while body:
            end = ENVELOPE_BYTES + Envelope.decode(body).length
            answers.append(body[:end])
            body = body[end:]
        if not answers or [more(answer) for answer in answers] != [True] * (len(answers) - 1) + [False]:
            raise BadMessage(f"CONT belongs on all messages of a list but the last; {len(answers)} came")
        return answers


# --- the client ---


class Header(Typed, total=False):
    """What a caller may set in any request."""

    flags: int
    serial: int
    recursion: int
    expiration: int
    request_id: int
    session_id: int
    counter: int | None
    credential: bytes | None


def answer_version(request: Message) -> Version:
    """min(suggested, 2.11); suggested 0.0 is the message's own version (§2.7)."""
    return min(request.version if request.suggested == (0, 0) else request.suggested, NEWEST)


class Client:
    """Asks a server; answers its challenges as `auth`; inside `session`, if there is one."""

    def __init__(
        self,
        transport: Transport,
        auth: Identity | None = None,
        session: Session | None = None,
        *,
        version: Version = NEWEST,
        suggested: Version = NEWEST,
        server_key: rsa.RSAPublicKey | None = None,
        check: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.transport, self.auth, self.session = transport, auth, session
        self.version, self.suggested = version, suggested
        self.server_key, self.checks, self.clock = server_key, check, clock

    # --- one message ---
    def prepare(self, op: int, body: bytes = b"", **header: Unpack[Header]) -> Message:
        """A request, in the session if there is one: its id, ENCR, CERT, HS_MAC (op 200 carries none, §7)."""
        flags = header.get("flags", PLAIN) | self.transport.flags
        session = self.session
        if session is not None:
            flags |= session.wants_encrypted * Flag.ENCR | (session.certify and op != 200) * Flag.CERT
        message = Message(
            op, 0, int(flags), body,
            version=self.version, suggested=self.suggested,
            session_id=header.get("session_id", session.id if session else 0),
            request_id=header.get("request_id") or secrets.randbits(31) or 1,
            serial=header.get("serial", NO_SERIAL), recursion=header.get("recursion", 0),
            expiration=header.get("expiration", 0), encrypted=session is not None and session.encrypt,
        )  # fmt: skip
        credential = header.get("credential")
        if credential is None and session is not None and op != Op.ANSWER_CHALLENGE:
            credential = session.credential(message, header.get("counter"))
        return replace(message, credential=credential or b"")

    def send(self, request: Message, *, handle: str = "/", asked: Message | None = None) -> Reply:
        """Send one message and return its answer; `asked` is the original of an op 200."""
        raw = self.transport.exchange(request.encode(self.session), handle=handle, more=self._more)
        answers = [Message.decode(each, self.session) for each in raw]
        replies = [self.check(request, each, asked or request) for each in answers]
        first, last = replies[0], replies[-1]
        handles = tuple(each for reply in replies for each in reply.handles)
        return replace(last, message=first.message, handles=handles, answers=tuple(answers), raw=tuple(raw))

    def _more(self, raw: bytes) -> bool:
        return bool(Message.decode(raw, self.session).flags & Flag.CONT)

    def check(self, request: Message, answer: Message, asked: Message) -> Reply:
        """Hold an answer against what was asked: ids, version, op code, expiration, digest, flags, proof."""
        if not self.checks:
            return decode_reply(answer)
        unknown = request.op == Op.ANSWER_CHALLENGE and answer.code == 500
        outside = asked.session_id == 0 and (answer.code == 402 or request.op == Op.SESSION_SETUP)
        ended = request.op == Op.SESSION_TERMINATE and answer.code == 1  # its key is gone
        found = {
            "request id": answer.request_id == request.request_id,
            "version": answer.version == answer_version(request),
            "suggested version": answer.suggested == NEWEST,
            "op code": answer.op == (request.op if unknown else asked.op),
            "expiration": answer.expiration > self.clock(),
            "sequence": answer.sequence == 0,
            "session id": unknown or self._session_fits(asked, answer, new=outside),
            "RECU": bool(answer.flags & Flag.RECU),
            "encryption asked": not asked.flags & Flag.ENCR or self.session is None or ended or answer.encrypted,
            "certification asked": not asked.flags & Flag.CERT or bool(answer.credential),
            "digest asked": unknown or self._digest_is_due(asked, answer) == bool(answer.flags & Flag.RRDG),
        }
        if broken := [name for name, held in found.items() if not held]:
            raise BadMessage(f"{', '.join(broken)}: {answer} to {request}")
        reply = decode_reply(answer)
        if reply.digest:
            self._check_digest(asked, answer, reply)
        return replace(reply, proof=self._check_proof(answer))

    @staticmethod
    def _session_fits(asked: Message, answer: Message, new: bool) -> bool:
        """A challenge or a new session names a fresh id; else the id is the original request's (§2.11, §7)."""
        if new and answer.code in (1, 402):
            return 0 < answer.session_id < 1 << 31
        return answer.session_id == asked.session_id

    @staticmethod
    def _digest_is_due(asked: Message, answer: Message) -> bool:
        """RRDG is copied from the request, forced on in a challenge, absent in 2.0 (§2.3, details §6)."""
        return answer.version >= (2, 1) and (answer.code == 402 or bool(asked.flags & Flag.RRDG))

    @staticmethod
    def _check_digest(asked: Message, answer: Message, reply: Reply) -> None:
        """SHA-256 from 2.7, SHA-1 from 2.1, MD5 in a challenge of 2.0; over the clear request (§2.6)."""
        due = 3 if answer.version >= (2, 7) else 2 if answer.version >= (2, 1) else 1
        if (reply.digest_algorithm, reply.digest) != (due, request_digest(asked, due)):
            raise BadMessage(f"request digest {reply.digest_algorithm} {reply.digest.hex()} of {asked}")

    def _check_proof(self, answer: Message) -> str:
        """HS_MAC must hold under the session key, HS_SIGNED under the server's key if we know it."""
        if not answer.credential:
            return ""
        kind = Credential.decode(answer.credential).kind
        if kind == "HS_MAC":
            if self.session is None:
                raise BadMessage("HS_MAC outside a session")
            self.session.take(answer)
        elif self.server_key is None:
            return ""
        elif not server_signature_holds(self.server_key, answer):
            raise BadMessage(f"{kind} of the server does not hold: {answer}")
        return kind

    # --- a request with its challenge ---
    def raw(
        self, op: int, body: bytes = b"", *, handle: str = "/", answer_challenge: bool = True, **header: Unpack[Header]
    ) -> Reply:
        """Send any operation; answer a challenge if there is an identity."""
        request = self.prepare(op, body, **header)
        reply = self.send(request, handle=handle)
        if reply.code != 402 or self.auth is None or not answer_challenge:
            return reply
        return replace(self.answer(request, reply), challenge=reply)

    def answer(self, asked: Message, challenge: Reply, auth: Identity | None = None, **header: Unpack[Header]) -> Reply:
        """Answer a 402 by op 200 under its session id; outside a session over any connection (§2.11)."""
        identity = auth or self.auth
        assert identity is not None, "nobody to answer the challenge"
        received = challenge.answers[0]
        proof = identity.prove(challenge.nonce, challenge.digest, received.version)
        body = bstr(identity.kind) + bstr(identity.handle) + identity.index.to_bytes(4, signed=True) + bstr(proof)
        header.setdefault("flags", Flag.RECU | Flag.CACR)
        header.setdefault("session_id", received.session_id)
        return self.send(self.prepare(Op.ANSWER_CHALLENGE, body, **header), asked=asked)

    # --- reading ---
    def resolve(
        self,
        handle: str,
        indexes: tuple[int, ...] | list[int] = (),
        types: tuple[str, ...] | list[str] = (),
        *,
        public_only: bool = True,
        authoritative: bool = False,
        certify: bool = False,
        digest: bool = False,
        no_referral: bool = False,
        more_flags: int = 0,
        **header: Unpack[Header],
    ) -> Reply:
        """Op 1: bstr handle, int32[] indexes, bstr[] types."""
        wanted = {Flag.AUTH: authoritative, Flag.CERT: certify, Flag.RRDG: digest, Flag.DNRF: no_referral}
        flags = sum(flag for flag, yes in wanted.items() if yes) | more_flags | Flag.RECU | Flag.CACR
        header.setdefault("flags", flags | (Flag.PUBL if public_only else 0))
        names = len(types).to_bytes(4) + b"".join(map(bstr, types))
        return self.raw(Op.RESOLVE, bstr(handle) + encode_indexes(list(indexes)) + names, handle=handle, **header)

    def get_site(self, **header: Unpack[Header]) -> Reply:
        """Op 2; reply.site."""
        return self.raw(Op.GET_SITE, bstr("/"), **header)

    def list_handles(self, prefix: str, **header: Unpack[Header]) -> Reply:
        """Op 105; reply.handles of all messages."""
        return self.raw(Op.LIST_HANDLES, bstr(prefix), handle=prefix, **header)

    def list_homed(self, handle: str = "/", **header: Unpack[Header]) -> Reply:
        """Op 302; reply.handles of all messages."""
        return self.raw(Op.LIST_HOMED, bstr(handle), handle=handle, **header)

    def verify(
        self, handle: str, index: int, nonce: bytes, digest: bytes, proof: bytes, **header: Unpack[Header]
    ) -> Reply:
        """Op 201; reply.valid. The digest is bare, without the octet of its algorithm."""
        body = bstr(handle) + index.to_bytes(4, signed=True) + bstr(nonce) + bstr(digest) + bstr(proof)
        return self.raw(Op.VERIFY, body, handle=handle, **header)

    # --- changes ---
    def create(
        self,
        handle: str,
        values: list[Value],
        *,
        overwrite: bool = False,
        mint: bool = False,
        **header: Unpack[Header],
    ) -> Reply:
        """Op 100; reply.handle is the created one."""
        flags = header.get("flags", PLAIN) | overwrite * Flag.OVRW | mint * Flag.MINT
        return self.raw(Op.CREATE, encode_values(handle, values), handle=handle, **header | {"flags": flags})

    def delete(self, handle: str, **header: Unpack[Header]) -> Reply:
        return self.raw(Op.DELETE, bstr(handle), handle=handle, **header)

    def add_values(
        self, handle: str, values: list[Value], *, overwrite: bool = False, **header: Unpack[Header]
    ) -> Reply:
        flags = header.get("flags", PLAIN) | overwrite * Flag.OVRW
        return self.raw(Op.ADD_VALUES, encode_values(handle, values), handle=handle, **header | {"flags": flags})

    def modify_values(self, handle: str, values: list[Value], **header: Unpack[Header]) -> Reply:
        return self.raw(Op.MODIFY_VALUES, encode_values(handle, values), handle=handle, **header)

    def remove_values(self, handle: str, indexes: list[int], **header: Unpack[Header]) -> Reply:
        return self.raw(Op.REMOVE_VALUES, bstr(handle) + encode_indexes(indexes), handle=handle, **header)

    def home(self, prefix_handle: str, **header: Unpack[Header]) -> Reply:
        return self.raw(Op.HOME, bstr(prefix_handle), handle=prefix_handle, **header)

    def unhome(self, prefix_handle: str, **header: Unpack[Header]) -> Reply:
        return self.raw(Op.UNHOME, bstr(prefix_handle), handle=prefix_handle, **header)

    # --- sessions and keys ---
    def open_session(
        self,
        identity: tuple[str, int] | None = None,
        *,
        encrypt: bool = False,
        ask_encrypted: bool | None = None,
        certify: bool = True,
        timeout_s: int = 86_400,
        exchange: KeyExchange | None = None,
        **header: Unpack[Header],
    ) -> Reply:
        """Op 400, mode 4; on success self.session is set. Identity: that of `auth`; ("", 0) is anonymous."""
        handle, index = identity or ((self.auth.handle, self.auth.index) if self.auth else ("", 0))
        half = exchange or KeyExchange()
        self.session = None
        header.setdefault("flags", PLAIN | Flag.CERT | Flag.RRDG)
        reply = self.raw(Op.SESSION_SETUP, half.setup_body(handle, index, timeout_s), **header)
        if reply.code == 1:
            if reply.session_mode != 4:
                raise BadMessage(f"mode 4 was asked, {reply.session_mode} came")
            key = half.key(reply.session_data)
            self.session = Session(reply.answers[0].session_id, key, encrypt, ask_encrypted, certify)
        return reply

    def close_session(self, **header: Unpack[Header]) -> Reply:
        """Op 401; on success self.session is gone. The answer is signed by the server key (details §1)."""
        reply = self.raw(Op.SESSION_TERMINATE, bstr("/"), **header)
        if reply.code == 1:
            self.session = None
        return reply

    def learn_server_key(self, number: int = 0) -> rsa.RSAPublicKey:
        """Take the server's public key from its own site record, to check HS_SIGNED from now on."""
        site = self.get_site().site
        assert isinstance(site, Site)
        self.server_key = decode_rsa_key(site.servers[number].public_key)
        return self.server_key
