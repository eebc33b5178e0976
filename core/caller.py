"""Who asks over HTTP: the identity that a request proves, if it offers one.

    Authorization: Basic …     the secret of an HS_SECKEY value, each time
    Authorization: Handle …    a session, and where a signature comes along a log-in to it
    Authorization: Bearer …    a token of this node (RFC 6750)

Credentials on a channel where they are not safe are not looked at, as in the reference
server: what needs them is then refused. A 401 offers Basic and a session, with its nonce, and
our own API a token, too; where a session is not known it offers a new one alone. Whoever fails
too often is not looked at either (``core/guard.py``).
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from core import limits
from core.admission import Identity
from core.authentication import parse_basic, proves
from core.clock import Millis
from core.errors import AdmissionError, Outcome, StoreError, WireError
from core.guard import Failures, Guard, claim_of
from core.hdl.authorization import login_proof, parse_authorization
from core.hdl.logins import Login, Logins
from core.hdl.prover import Prover, RecordsOf, Store
from core.store.bearer_rows import parse_bearer, unpack_bearer
from core.store.bearer_rows import proves as bearer_proves
from core.store.engine import Table
from core.wire.codepoints import VERSION
from core.wire.http import BASIC_CHALLENGE, Headers, Request

_HEADER: Final = "WWW-Authenticate"
NOT_VERIFIED: Final = "身份未通过验证。Identity not verified"
"""What is told on our own API; the words of the Handle interface are the reference server's."""

_FAILED: Final = "Identity not verified"
_BEARER: Final = "bearer "
_NONE_READ: Final = "-"  # claimed by what is no token: this source and nobody else waits


class Callers:
    """Finds out who asks. ``now_ms``: by which a token expires. ``note_login`` is told of each log-in to a session.

    Errors: AdmissionError(AUTHENTICATION_FAILED, SESSION_UNKNOWN), RateError. The field ``claim`` is who
    somebody failed to be.
    """

    def __init__(
        self, store: Store, records_of: RecordsOf, prover: Prover, logins: Logins, *,
        failures: Failures, now_ms: Callable[[], Millis], note_login: Callable[[Identity, Request], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._store = store
        self._records_of = records_of
        self._prover = prover
        self._logins = logins
        self._guard = Guard(failures)
        self._now_ms = now_ms
        self._note_login = note_login

    async def identify(self, request: Request) -> Request:
        """Return the request with the identity or the token that it proves; as it is for an anonymous one."""
        header = request.headers.get("authorization")
        if header is None or not request.credentials_safe:
            return request
        if header[:7].lower() == "handle ":
            return request._replace(identity=await self._by_session(header, request))
        if is_bearer(header):
            return request._replace(bearer=self._by_token(header[len(_BEARER) :].strip(), request.peer))
        return request._replace(identity=self._by_secret(header, request.peer))

    def challenge(self, ended: Outcome, *, bearer: bool = False) -> Headers:
        """Return the ways to log in that a 401 offers. ``bearer``: where a token is one of them."""
        tokens = (_bearer_challenge(ended),) if bearer and ended is not Outcome.SESSION_UNKNOWN else ()
        try:
            login = self._logins.make()
        except StoreError:
            return (BASIC_CHALLENGE, *tokens)
        return (*challenges(login, ended), *tokens)

    def _by_secret(self, header: str, peer: bytes) -> Identity:
        credentials = parse_basic(header)
        if credentials is None:
            _refuse()
        claim = claim_of(credentials.identity)
        self._guard.admit(peer, claim)
        with self._store.snapshot() as snapshot:
            right = proves(credentials, self._records_of(snapshot))
        if not right:
            self._guard.failed(peer, claim, limits.HTTP_FAILURE_COST)
            _refuse(claim)
        return credentials.identity

    def _by_token(self, text: str, peer: bytes) -> str:
        presented = parse_bearer(text)
        claim = _NONE_READ if presented is None else presented.name
        self._guard.admit(peer, claim)
        if presented is None:
            self._guard.failed(peer, claim, limits.TOKEN_FAILURE_COST)
            _refuse(claim)
        with self._store.snapshot() as snapshot:
            row = snapshot.get(Table.BEARERS, presented.name.encode())
        if not bearer_proves(presented, None if row is None else unpack_bearer(row), self._now_ms()):
            self._guard.failed(peer, claim, limits.TOKEN_FAILURE_COST)
            _refuse(claim)
        return presented.name

    async def _by_session(self, header: str, request: Request) -> Identity | None:
        members = parse_authorization(header)
        if members is None:
            _refuse()
        if "cnonce" in members and not members.keys() & {"sessionId", "signature"}:
            return None  # asks this server to prove itself, and says nothing of the sender
        login = self._logins.find(members.get("sessionId", ""))
        if login is None:
            raise AdmissionError("", outcome=Outcome.SESSION_UNKNOWN)
        if "signature" not in members:
            proven = login.proven
            return proven.identity if proven and self._prover.still(proven.identity, proven.mark) else None
        try:
            proof = login_proof(members, login.nonce)
        except WireError:
            _refuse()
        claim = claim_of(proof.identity)
        self._guard.admit(request.peer, claim)
        mark = await self._prover.proves(proof, VERSION)
        if mark is None:
            self._guard.failed(request.peer, claim, limits.HTTP_FAILURE_COST)
            _refuse(claim)
        if self._logins.prove(login, proof.identity, mark) is None:  # it was ended meanwhile
            raise AdmissionError("", outcome=Outcome.SESSION_UNKNOWN)
        if login.identity != proof.identity:  # not for each request that repeats its signature
            await self._note_login(proof.identity, request)
        return proof.identity


def is_bearer(header: str) -> bool:
    """Whether an Authorization header presents a token."""
    return header[: len(_BEARER)].lower() == _BEARER


def challenges(login: Login, ended: Outcome) -> Headers:
    """Return the ways to log in, the session among them."""
    nonce = base64.b64encode(login.nonce).decode()
    error = f', error="{_FAILED}"' if ended is Outcome.AUTHENTICATION_FAILED else ""
    offer = (_HEADER, f'Handle sessionId="{login.session_id}", nonce="{nonce}"{error}')
    return (offer,) if ended is Outcome.SESSION_UNKNOWN else (BASIC_CHALLENGE, offer)


def _bearer_challenge(ended: Outcome) -> tuple[str, str]:
    error = ', error="invalid_token"' if ended is Outcome.AUTHENTICATION_FAILED else ""
    return _HEADER, f'Bearer realm="saltern"{error}'


def _refuse(claim: str = "") -> NoReturn:
    raise AdmissionError(NOT_VERIFIED, outcome=Outcome.AUTHENTICATION_FAILED, claim=claim)
