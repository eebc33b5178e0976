"""The way out of the Handle protocol: digest, signature or MAC, encryption, envelope.

What an answer has of the request: its operation, some of its flags, its ids, its recursion
count; the version is the one that both sides speak (RFC 3652 §2.2).
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from core import limits
from core.clock import Millis
from core.errors import Outcome, StoreError
from core.hdl.dialogues import Dialogues
from core.hdl.exchange import Reply, Transport
from core.hdl.proof import ServerKey
from core.hdl.session import Session, encrypt
from core.outcomes import handle_code
from core.peer import UNKNOWN
from core.wire import body as bodies
from core.wire.codepoints import DIGESTS_FROM, SITE_SERIAL_UNKNOWN, VERSION, OpFlag
from core.wire.credential import (
    SIGNED,
    Credential,
    Signing,
    encode_credential,
    session_mac,
    signature_algorithm,
    signature_input,
)
from core.wire.envelope import Envelope, encode_envelope
from core.wire.message import (
    Header,
    Message,
    answer_flags,
    digest,
    digest_algorithm,
    encode_message,
    negotiate,
)

_IV_BYTES: Final = 16


class Sent(NamedTuple):
    """One message, ready for its envelope and the wire."""

    envelope: Envelope
    payload: bytes

    @property
    def octets(self) -> bytes:
        """Envelope and message, for streams."""
        return encode_envelope(self.envelope) + self.payload


class Exchange:
    """One message, while it is answered. ``asked`` is what the answer answers."""

    def __init__(self, envelope: Envelope, transport: Transport, peer: bytes = UNKNOWN) -> None:
        self.envelope = envelope
        self.transport = transport
        self.peer = peer
        self.version = negotiate(envelope)
        self.session_id = envelope.session_id
        self.session: Session | None = None
        self.mac_right = True
        # Until the message is read, the answer names no operation and has the flags of a plain one.
        self.message = Message(Header(0, 0, 0, SITE_SERIAL_UNKNOWN, 0, 0), b"")
        self.asked = self.message
        self.keep = False


class Answering:
    """Makes messages of replies. ``site_serial``: of this node's site information."""

    def __init__(
        self, dialogues: Dialogues, server_key: ServerKey | None, site_serial: int, now_ms: Callable[[], Millis]
    ) -> None:
        self._dialogues = dialogues
        self._server_key = server_key
        self._site_serial = site_serial
        self._now_ms = now_ms

    async def rest(self, exchange: Exchange, reply: Reply, more: AsyncIterator[bytes]) -> AsyncIterator[Sent]:
        """Yield the further messages of a list; only the last has no CONTINUOUS."""
        before: bytes | None = None
        async for body in more:
            if before is not None:
                yield self.sent(exchange, reply, before, last=False)
            before = body
        if before is not None:
            yield self.sent(exchange, reply, before, last=True)

    def sent(self, exchange: Exchange, reply: Reply, body: bytes, *, last: bool) -> Sent:
        """Return one message of an answer. ``last``: none of a list follows."""
        asked = exchange.asked.header
        flags = answer_flags(asked.flags) | reply.flags
        if exchange.version < DIGESTS_FROM:
            flags &= ~OpFlag.RETURN_DIGEST
        elif reply.outcome is Outcome.AUTHENTICATION_NEEDED:
            flags |= OpFlag.RETURN_DIGEST
        if self._server_key is None and exchange.session is None:
            flags &= ~OpFlag.CERTIFIED
        if not last:
            flags |= OpFlag.CONTINUOUS
        if flags & OpFlag.RETURN_DIGEST:
            algorithm = digest_algorithm(exchange.version)
            body = bodies.encode_digest(algorithm, digest(algorithm, exchange.asked.signed_part)) + body
        code = handle_code(reply.outcome, exchange.version)
        expiration = self._now_ms() // 1_000 + limits.HANDLE_ANSWER_S
        header = Header(asked.op, code, flags, self._site_serial, exchange.message.header.recursion, expiration)
        message = Message(header, body)
        envelope = Envelope(exchange.version, VERSION, exchange.session_id, exchange.envelope.request_id, 0)
        if flags & OpFlag.CERTIFIED:
            message = message._replace(credential=self._credential(exchange, envelope, message))
        payload = encode_message(message)
        if exchange.session is not None and (flags & OpFlag.ENCRYPTED or reply.private):
            payload = encrypt(exchange.session.key, payload, secrets.token_bytes(_IV_BYTES))
            return Sent(envelope.with_encryption(len(payload)), payload)
        return Sent(envelope._replace(length=len(payload)), payload)

    def _credential(self, exchange: Exchange, envelope: Envelope, message: Message) -> bytes:
        signing = Signing(exchange.version, VERSION, envelope.session_id, envelope.request_id, 0)
        if exchange.session is not None:
            try:
                signing = signing._replace(counter=self._dialogues.next_answer(exchange.session_id))
            except StoreError:
                return b""  # an answer without a proof: the client asks again
            return encode_credential(session_mac(exchange.session.key, signing, message.signed_part))
        if self._server_key is None:
            return b""
        algorithm = signature_algorithm(exchange.version)
        signature = self._server_key.sign(algorithm, signature_input(signing, message.signed_part))
        return encode_credential(Credential(SIGNED, algorithm, signature))
