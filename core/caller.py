"""Who asks over HTTP: the identity that a request proves, if it offers one.

    Authorization: Basic …     the secret of an HS_SECKEY value, each time
    Authorization: Handle …    a session, and where a signature comes along a log-in to it

Credentials on a channel where they are not safe are not looked at, as in the reference
server: what needs them is then refused. A 401 offers both ways, with a new session's
nonce; where a session is not known it offers a new one alone.
"""

from __future__ import annotations

import base64
from typing import Final, NoReturn

from core.admission import Identity
from core.authentication import parse_basic, proves
from core.errors import AdmissionError, Outcome, StoreError, WireError
from core.hdl.authorization import login_proof, parse_authorization
from core.hdl.logins import Login, Logins
from core.hdl.prover import Prover, RecordsOf, Store
from core.wire.codepoints import VERSION
from core.wire.http import BASIC_CHALLENGE, Headers, Request

_HEADER: Final = "WWW-Authenticate"
_FAILED: Final = "Identity not verified"


class Callers:
    """Finds out who asks. Errors: AdmissionError(AUTHENTICATION_FAILED, SESSION_UNKNOWN)."""

    def __init__(self, store: Store, records_of: RecordsOf, prover: Prover, logins: Logins) -> None:
        self._store = store
        self._records_of = records_of
        self._prover = prover
        self._logins = logins

    async def identify(self, request: Request) -> Request:
        """Return the request with the identity that it proves, None for an anonymous one."""
        header = request.headers.get("authorization")
        if header is None or not request.credentials_safe:
            return request
        if header[:7].lower() == "handle ":
            return request._replace(identity=await self._by_session(header))
        return request._replace(identity=self._by_secret(header))

    def challenge(self, ended: Outcome) -> Headers:
        """Return the ways to log in that a 401 offers."""
        try:
            login = self._logins.make()
        except StoreError:
            return (BASIC_CHALLENGE,)
        return challenges(login, ended)

    def _by_secret(self, header: str) -> Identity:
        credentials = parse_basic(header)
        if credentials is None:
            _refuse()
        with self._store.snapshot() as snapshot:
            if not proves(credentials, self._records_of(snapshot)):
                _refuse()
        return credentials.identity

    async def _by_session(self, header: str) -> Identity | None:
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
        mark = await self._prover.proves(proof, VERSION)
        if mark is None:
            _refuse()
        if self._logins.prove(login, proof.identity, mark) is None:  # it was ended meanwhile
            raise AdmissionError("", outcome=Outcome.SESSION_UNKNOWN)
        return proof.identity


def challenges(login: Login, ended: Outcome) -> Headers:
    """Return the ways to log in, the session among them."""
    nonce = base64.b64encode(login.nonce).decode()
    error = f', error="{_FAILED}"' if ended is Outcome.AUTHENTICATION_FAILED else ""
    offer = (_HEADER, f'Handle sessionId="{login.session_id}", nonce="{nonce}"{error}')
    return (offer,) if ended is Outcome.SESSION_UNKNOWN else (BASIC_CHALLENGE, offer)


def _refuse() -> NoReturn:
    raise AdmissionError(_FAILED, outcome=Outcome.AUTHENTICATION_FAILED)
