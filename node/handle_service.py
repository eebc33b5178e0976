"""The Handle protocol between the wire and the services: who asks, and how it is answered.

For each message: decrypt → decode → session (MAC, counter) → the service → challenge
where it asks for one → the way out (``handle_answers``). What lives between two
messages lies in the run store, so any worker can take the next one. An answer to
operation 200 is the answer to the request that was challenged: its operation, its
flags, its digest (RFC 3652 §3.5.2).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from core import clock, limits
from core.admission import Identity
from core.budget import Budget
from core.clock import Millis
from core.errors import AdmissionError, NodeError, Outcome, StoreError, WireError
from core.events import Via
from core.guard import UNCOUNTED, Failures, Guard, claim_of, verified_claim
from core.hdl import session as sessions
from core.hdl.challenge import Challenge
from core.hdl.dialogues import Dialogues
from core.hdl.exchange import Asked, Reply, Transport
from core.hdl.proof import Proof, ServerKey
from core.hdl.session import Session, SessionError
from core.records import DhKey
from core.wire import body as bodies
from core.wire.codepoints import (
    ADMINISTRATIVE,
    AES_SESSIONS_FROM,
    AUTH_SECRET_KEY,
    DIGESTS_FROM,
    OpCode,
    OpFlag,
    Version,
)
from core.wire.credential import (
    MAC,
    Signing,
    covers_counter,
    decode_credential,
    session_mac,
)
from core.wire.cursor import Cursor, bstr, text
from core.wire.envelope import Envelope
from core.wire.message import (
    MD5,
    Message,
    decode_message,
    digest,
    digest_algorithm,
    encode_message,
    peek_header,
)
from core.wire.publickey import decode_public_key, encode_public_key
from node.handle_answers import Answering, Exchange, Sent
from registry.commands import Origin
from registry.handle_api import origin_by

_LOG: Final = logging.getLogger("saltern.handle")
_NEEDED: Final = Outcome.AUTHENTICATION_NEEDED

_READS: Final = (OpCode.RESOLUTION, OpCode.GET_SITE_INFO)

# The reference server's words: clients show them.
_UNKNOWN_SESSION: Final = "Invalid session id or session time out. Please try again."
_NO_KEY: Final = "Session information not available or time out. Unable to decrypt request message."
_QUERY_ONLY: Final = "Received admin request on non-admin interface"


class Api(Protocol):
    """A service that answers some of the operations."""

    operations: frozenset[int]

    async def answer(self, asked: Asked) -> Reply:
        """Answer one request. Errors: NodeError."""


class Prover(Protocol):
    """Decides whether a proof is right."""

    async def proves(self, proof: Proof, version: Version, *, for_others: bool = False) -> bytes | None:
        """Return the mark of the key that proves it, None if none does. Errors: StoreError where too many wait."""

    def still(self, identity: Identity, mark: bytes) -> bool:
        """Whether the key of that mark is still the identity's."""


class Quick(Protocol):
    """Answers what needs no second look. See ``resolver.handle_quick.QuickHandles``."""

    def begin(self) -> bool:
        """Begin to answer messages that have come; False where nothing can be answered just now."""

    def end(self) -> None:
        """End what ``begin`` began."""

    def answer(self, message: bytes, bytes_max: int, via: Via, peer: bytes) -> bytes | None:
        """Answer a message, with its envelope, in so many octets at most; None where it needs a second look."""


class Notes(Protocol):
    """Has log-ins written down. See ``registry.notes.Notes``."""

    async def failed(self, error: NodeError, origin: Origin) -> None:
        """Note that somebody failed to prove who he is."""

    async def logged_in(self, identity: Identity, origin: Origin) -> None:
        """Note that somebody proved who he is."""


class _NoQuickWay:
    """Gives every message its second look."""

    def begin(self) -> bool:
        return False

    def end(self) -> None:
        """Nothing was begun."""

    def answer(self, message: bytes, bytes_max: int, via: Via, peer: bytes) -> bytes | None:
        return None


NO_QUICK_WAY: Final = _NoQuickWay()


class Answers(NamedTuple):
    """The answer to one message; lists have more. ``keep``: the client asked to keep the connection."""

    first: Sent
    more: AsyncIterator[Sent] | None
    keep: bool
    outcome: Outcome


class HandleService:
    """Answers messages. ``site_serial``: of this node's site information.

    ``require_here`` raises a NodeError for a handle that this node does not answer for;
    ``make_exponent`` gives this side's secret of a session, None for one at random.
    """

    def __init__(
        self,
        apis: tuple[Api, ...],
        prover: Prover,
        dialogues: Dialogues,
        *,
        server_key: ServerKey | None,
        site_serial: int,
        sessions_offered: bool,
        require_here: Callable[[str], None],
        now_ms: Callable[[], Millis] = clock.now_ms,
        make_exponent: Callable[[], int | None] = lambda: None,
        failures: Failures = UNCOUNTED,
        notes: Notes,
    ) -> None:
        self._apis = {operation: api for api in apis for operation in api.operations}
        self._prover = prover
        self._dialogues = dialogues
        self._answering = Answering(dialogues, server_key, site_serial, now_ms)
        self._sessions_offered = sessions_offered
        self._require_here = require_here
        self._now_ms = now_ms
        self._make_exponent = make_exponent
        self._guard = Guard(failures)
        self._notes = notes
        now_s = now_ms() / 1_000
        self._setups = {
            transport: Budget(limits.SETUPS_UDP_PER_S if transport is Transport.UDP else limits.SETUPS_PER_S, now_s)
            for transport in Transport
        }
        self._own: dict[int, Callable[[Exchange], Awaitable[Reply]]] = {
            OpCode.CHALLENGE_RESPONSE: self._challenge_response,
            OpCode.VERIFY_RESPONSE: self._verify,
            OpCode.SESSION_SETUP: self._set_up,
            OpCode.SESSION_TERMINATE: self._terminate,
            OpCode.KEY_LOGIN: self._log_in,
        }

    async def answer(self, envelope: Envelope, payload: bytes, transport: Transport, peer: bytes) -> Answers:
        """Answer one message, whatever it is."""
        exchange = Exchange(envelope, transport, peer)
        try:
            self._open(exchange, payload)
            reply = await self._reply(exchange)
        except NodeError as error:
            reply = _refusal(error)
        except Exception:
            ticket = secrets.token_hex(6)
            _LOG.exception("ticket %s: a message failed", ticket)
            reply = Reply(Outcome.INTERNAL, text(f"The node failed; ticket {ticket}"))
        first = self._answering.sent(exchange, reply, reply.body, last=reply.more is None)
        more = None if reply.more is None else self._answering.rest(exchange, reply, reply.more)
        return Answers(first, more, exchange.keep, reply.outcome)

    def at_once(self, envelope: Envelope, payload: bytes) -> bool:
        """Whether the message is a read that waits for nothing."""
        header = peek_header(payload)
        return header is not None and header.op in _READS and not envelope.session_id

    def answer_at_once(self, envelope: Envelope, payload: bytes, transport: Transport, peer: bytes) -> Answers:
        """Answer a message of which at_once() is true."""
        waiting = self.answer(envelope, payload, transport, peer)
        try:
            waiting.send(None)
        except StopIteration as ended:
            answers: Answers = ended.value
            return answers
        waiting.close()
        raise AssertionError("a read waited")

    def refuse(self, envelope: Envelope, error: NodeError, payload: bytes = b"") -> Answers:
        """Return the refusal of a message that is not looked at. ``payload``: as much of it as there is."""
        exchange = Exchange(envelope, Transport.TCP)
        header = None if envelope.encrypted else peek_header(payload)
        if header is not None:
            exchange.asked = Message(header, b"")
            exchange.keep = header.has(OpFlag.KEEP_ALIVE)
        reply = _refusal(error)
        sent = self._answering.sent(exchange, reply, reply.body, last=True)
        return Answers(sent, None, exchange.keep, reply.outcome)

    # --- the way in ---
    def _open(self, exchange: Exchange, payload: bytes) -> None:
        """Decrypt and decode. Errors: NodeError."""
        envelope = exchange.envelope
        if envelope.session_id:
            exchange.session = self._dialogues.session(envelope.session_id)
        if envelope.compressed:
            raise WireError("Compressed messages are not taken; nobody ever defined how they are compressed")
        if envelope.encrypted:
            payload = self._decrypted(exchange, payload)
        header = peek_header(payload)
        if header is not None:  # a message that is damaged behind it is refused by its name
            exchange.asked = Message(header, b"")
        exchange.message = exchange.asked = decode_message(payload)
        if exchange.message.header.code:
            # Both directions have one key: an answer sent back must not count as a request.
            raise WireError("This is an answer, not a request")
        exchange.keep = exchange.message.header.has(OpFlag.KEEP_ALIVE)

    def _decrypted(self, exchange: Exchange, payload: bytes) -> bytes:
        if not exchange.session_id:
            raise SessionError("Invalid session id. Unable to decrypt request message.")
        if exchange.session is None:
            raise SessionError(_NO_KEY, outcome=Outcome.SESSION_UNKNOWN)
        try:
            return sessions.decrypt(exchange.session.key, payload)
        except WireError as error:
            raise SessionError(f"Unable to decrypt request message: {error.message}") from None

    async def _reply(self, exchange: Exchange) -> Reply:
        op = exchange.message.header.op
        if exchange.transport is Transport.UDP and op in ADMINISTRATIVE:
            raise WireError(_QUERY_ONLY)
        self._check_mac(exchange)
        own = self._own.get(op)
        if own is not None:
            return await own(exchange)
        return await self._serve(exchange, self._identity(exchange))

    def _check_mac(self, exchange: Exchange) -> None:
        """Check the session's MAC and take its counter, before anything else is looked at.

        The first request of a session is told only after its challenge that its MAC is wrong,
        as by the reference server. Errors: SessionError.
        """
        session, message = exchange.session, exchange.message
        if session is None or message.header.op == OpCode.CHALLENGE_RESPONSE:
            return
        if not message.credential:
            exchange.mac_right = False
            return
        credential = decode_credential(message.credential)
        signing = Signing(
            exchange.envelope.version, exchange.envelope.suggested, exchange.session_id,
            exchange.envelope.request_id, credential.counter,
        )  # fmt: skip
        expected = session_mac(session.key, signing, message.signed_part)
        exchange.mac_right = credential.kind == MAC and secrets.compare_digest(expected.proof, credential.proof)
        if not exchange.mac_right:
            if session.authenticated:
                text_of = (
                    "Invalid session key."
                    if message.header.op == OpCode.SESSION_TERMINATE
                    else "Session authentication failed."
                )
                raise SessionError(text_of, outcome=Outcome.SESSION_KEY_INVALID)
            return
        changed = self._dialogues.take_counter(exchange.session_id, credential.counter)
        if changed is None:
            raise SessionError(
                f"Duplicate session counter {credential.counter} in session {exchange.session_id}",
                outcome=Outcome.SESSION_REPLAYED,
            )
        exchange.session = changed

    def _identity(self, exchange: Exchange) -> Identity | None:
        """Return the identity that the session proves for this message.

        Errors: SessionError where a message that asks for it lacks its MAC.
        """
        session, header = exchange.session, exchange.message.header
        if session is None or not session.authenticated or not covers_counter(exchange.envelope.version):
            return None
        if not self._prover.still(session.identity, session.mark):
            return None  # the key that proved it is gone
        if not exchange.mac_right:
            if header.op in (OpCode.RESOLUTION, OpCode.GET_SITE_INFO) and header.has(OpFlag.PUBLIC_ONLY):
                return None
            raise SessionError("Session request missing MAC code.", outcome=Outcome.CREDENTIAL_MISSING)
        return session.identity

    async def _serve(self, exchange: Exchange, identity: Identity | None, *, in_session: bool = True) -> Reply:
        """Have the service answer; make a challenge where it asks for one. Errors: NodeError."""
        header = exchange.asked.header
        api = self._apis.get(header.op)
        if api is None:
            raise _not_offered(header.op)
        if header.op in ADMINISTRATIVE:
            self._require_known(exchange)
        asked = Asked(
            header.op, header.flags, exchange.asked.body, exchange.version, identity,
            in_session and identity is not None, exchange.transport, exchange.peer,
        )  # fmt: skip
        try:
            return await api.answer(asked)
        except AdmissionError as error:
            if error.ended is not _NEEDED or identity is not None:
                raise
        return self._challenge(exchange)

    # --- challenges ---
    def _challenge(self, exchange: Exchange) -> Reply:
        """Keep the request until its sender is proven; return the challenge. Errors: NodeError."""
        self._require_known(exchange)
        message, in_session = exchange.asked, exchange.session is not None
        nonce = secrets.token_bytes(limits.NONCE_BYTES)
        clear = encode_message(message._replace(credential=b""))
        session_id = exchange.session_id if in_session else 0
        kept_as = self._dialogues.challenge(Challenge(nonce, clear, exchange.version, session_id, exchange.mac_right))
        if kept_as is None:  # somebody without the session's key must not replace what its owner waits for
            raise SessionError("Session authentication failed.", outcome=Outcome.SESSION_KEY_INVALID)
        exchange.session_id = kept_as
        body = bstr(nonce)
        if exchange.version < DIGESTS_FROM:
            body += bstr(digest(MD5, message.signed_part))
        return Reply(_NEEDED, body)

    def _require_known(self, exchange: Exchange) -> None:
        """Errors: SessionError for an id that is neither a session's nor that of a challenge that waits."""
        if exchange.session_id and exchange.session is None and not self._dialogues.challenged(exchange.session_id):
            raise SessionError(_UNKNOWN_SESSION, outcome=Outcome.SESSION_UNKNOWN)

    async def _challenge_response(self, exchange: Exchange) -> Reply:
        """Operation 200: answer the request that was challenged. Errors: NodeError."""
        if not self._dialogues.challenged(exchange.session_id):
            raise SessionError(_UNKNOWN_SESSION, outcome=Outcome.SESSION_UNKNOWN)
        answer = bodies.decode_challenge_response(exchange.message.body)  # unreadable, it takes no challenge away
        challenge = self._dialogues.take_challenge(exchange.session_id)
        if challenge is None or (challenge.session_id and exchange.session is None):
            raise SessionError(_UNKNOWN_SESSION, outcome=Outcome.SESSION_UNKNOWN)
        exchange.asked = decode_message(challenge.message)
        exchange.session_id = challenge.session_id
        session = exchange.session = exchange.session if challenge.session_id else None
        op = exchange.asked.header.op
        if exchange.transport is Transport.UDP and op in ADMINISTRATIVE:
            raise WireError(_QUERY_ONLY)
        data = challenge.nonce + digest(digest_algorithm(challenge.version), exchange.asked.signed_part)
        proof = Proof(answer.identity, answer.method, answer.signed, data)
        claim = _claim(exchange, claim_of(answer.identity))
        self._guard.admit(exchange.peer, claim)
        mark = await self._prover.proves(proof, challenge.version)
        if mark is None:
            self._guard.failed(exchange.peer, claim)
            failed = AdmissionError("", outcome=Outcome.AUTHENTICATION_FAILED, claim=claim_of(answer.identity))
            await self._notes.failed(failed, origin_by(exchange.transport, exchange.peer))
            raise failed
        if session is not None and not session.anonymous and not challenge.mac_right:
            raise SessionError("The session key authentication failed.", outcome=Outcome.SESSION_KEY_INVALID)
        if session is not None:
            exchange.session = self._dialogues.authenticate(exchange.session_id, answer.identity, mark) or session
        if session is not None or op == OpCode.KEY_LOGIN:
            await self._notes.logged_in(answer.identity, origin_by(exchange.transport, exchange.peer))
        if op == OpCode.KEY_LOGIN:
            return _logged_in(exchange, answer.identity)
        return await self._serve(exchange, answer.identity, in_session=False)

    async def _verify(self, exchange: Exchange) -> Reply:
        """Operation 201: whether an answer to another server's challenge is right. Errors: NodeError."""
        asked = bodies.decode_verification(exchange.message.body)
        self._require_here(asked.identity.handle)
        claim = _claim(exchange, verified_claim(asked.identity))
        self._guard.admit(exchange.peer, claim)
        proof = Proof(asked.identity, AUTH_SECRET_KEY, asked.signed, asked.nonce + asked.digest)
        mark = await self._prover.proves(proof, exchange.version, for_others=True)
        if mark is None:
            self._guard.failed(exchange.peer, claim)
        return Reply(Outcome.OK, bytes((mark is not None,)))

    async def _log_in(self, exchange: Exchange) -> Reply:
        """Operation 2001 of the national SDKs: nothing but proof of identity. Errors: NodeError."""
        identity = self._identity(exchange)
        if identity is None:
            bodies.decode_reference(Cursor(exchange.message.body))
            return self._challenge(exchange)
        return _logged_in(exchange, identity)

    # --- sessions ---
    async def _set_up(self, exchange: Exchange) -> Reply:
        """Operation 400. Errors: NodeError."""
        if not self._sessions_offered:
            raise SessionError("Sessions are switched off here (handle.sessions)", outcome=Outcome.UNSUPPORTED)
        setup = bodies.decode_session_setup(exchange.message.body)
        if exchange.version < AES_SESSIONS_FROM:
            raise SessionError(f"Sessions need protocol {AES_SESSIONS_FROM}: before it there is only DES")
        if setup.mode in (1, 2, 3):
            raise SessionError("Only key exchange mode 4 (Diffie-Hellman) is offered")
        if setup.mode != bodies.SESSION_BY_DIFFIE_HELLMAN:
            raise SessionError("Unrecognized key exchange mode")
        if len(setup.identity.handle.encode()) > limits.HANDLE_BYTES_MAX:
            raise SessionError(f"The identity has more than {limits.HANDLE_BYTES_MAX} octets")
        try:
            key = decode_public_key(setup.key)
        except WireError:
            raise SessionError("Error encoding public session key") from None
        if not isinstance(key, DhKey):
            raise SessionError("Error encoding public session key")
        if not self._setups[exchange.transport].take(self._now_ms() / 1_000):
            raise StoreError("Too many sessions are set up just now; try again, or answer a challenge")
        agreement = sessions.agree(key, self._make_exponent())
        life_s = max(setup.timeout_s, 1)
        exchange.session_id = self._dialogues.open(Session(agreement.key, setup.identity, life_s))
        exchange.session = None  # this answer is signed by the server's key
        code = sessions.ALGORITHM_AES.to_bytes(4, "big")
        public = code + encode_public_key(agreement.public)
        return Reply(Outcome.OK, bodies.encode_session_answer(setup.mode, public))

    async def _terminate(self, exchange: Exchange) -> Reply:
        """Operation 401. Errors: NodeError."""
        if exchange.session is None:
            raise SessionError(_UNKNOWN_SESSION, outcome=Outcome.SESSION_UNKNOWN)
        if not exchange.mac_right:
            raise SessionError("Invalid session key.", outcome=Outcome.SESSION_KEY_INVALID)
        self._dialogues.end(exchange.session_id)
        exchange.session = None
        return Reply(Outcome.OK)


def _claim(exchange: Exchange, claim: str) -> str:
    """Return what failures are counted by; apart for UDP, whose source may be forged to lock its owner out."""
    return f"udp {claim}" if exchange.transport is Transport.UDP else claim


def _refusal(error: NodeError) -> Reply:
    return Reply(error.ended, text(error.message))


def _not_offered(op: int) -> NodeError:
    if op == 0:
        return WireError("Unknown opCode in message: 0")
    return WireError(f"Operation {op} is not offered", outcome=Outcome.UNSUPPORTED)


def _logged_in(exchange: Exchange, identity: Identity) -> Reply:
    named = bodies.decode_reference(Cursor(exchange.asked.body))
    if named != identity:
        raise AdmissionError("")
    return Reply(Outcome.OK)
