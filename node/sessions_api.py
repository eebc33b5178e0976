"""``/api/sessions`` and ``/api/verifications`` of the Handle JSON interface.

    POST   /api/sessions            begin a session
    GET    /api/sessions/this       what it is
    PUT    /api/sessions/this       log in, by the header or a JSON object (POST does the same)
    DELETE /api/sessions/this       end it
    GET    /api/verifications/INDEX:HANDLE?nonce=&cnonce=&alg=&signature=   (POST: as JSON)

Sessions are offered where credentials are taken at all. Whoever sends a ``cnonce`` without
an ``id`` gets nonce and cnonce signed by this server's key. Source: the reference server.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Final

from core import limits
from core.admission import Identity
from core.caller import NOT_VERIFIED, challenges
from core.errors import AdmissionError, NodeError, Outcome, WireError
from core.guard import UNCOUNTED, Failures, Guard, claim_of, verified_claim
from core.hdl.authorization import Members, login_proof, mac_proof, members_of, octets
from core.hdl.logins import Login, Logins
from core.hdl.proof import Proof, ServerKey
from core.hdl.prover import Prover
from core.outcomes import HTTP_NO_CONTENT, STATUSES
from core.wire.codepoints import AUTH_SECRET_KEY, VERSION
from core.wire.handlejson import Parameters, cors, refused_credentials, render, render_error, render_json
from core.wire.http import Request, Response, decode_path
from core.wire.jsontext import quote
from registry.json_api import origin_of
from registry.notes import Notes

_THIS: Final = "/api/sessions/this"
_NAMED: Final = re.compile(r"(\d{1,10}):(.+)", re.DOTALL | re.ASCII)
_VERIFIED: Final = ("nonce", "cnonce", "alg", "signature")


class SessionsApi:
    """Answers both. ``require_here`` raises a NodeError for a handle that this node does not answer for.

    ``notes`` are told of each log-in, and each that failed; not of verifications, which are of the proofs of others.
    """

    def __init__(
        self, logins: Logins, prover: Prover, server_key: ServerKey | None, require_here: Callable[[str], None],
        *, notes: Notes, failures: Failures = UNCOUNTED,
    ) -> None:  # fmt: skip
        self._logins = logins
        self._prover = prover
        self._server_key = server_key
        self._require_here = require_here
        self._notes = notes
        self._guard = Guard(failures)

    async def sessions(self, request: Request) -> Response:
        """Answer ``/api/sessions`` and what is below it. ``request.identity`` is proven."""
        path = request.path.removesuffix("/")
        if not request.credentials_safe:
            return _bare(request, Outcome.FORBIDDEN)
        if path == "/api/sessions":
            if request.method == "POST":
                return await self._begin(request)
            refused = _bare(request, Outcome.METHOD)
            return refused._replace(headers=(("Allow", "POST, OPTIONS"), *refused.headers))
        if path != _THIS:
            return _bare(request, Outcome.FORBIDDEN)
        match request.method:
            case "DELETE":
                return self._end(request)
            case "PUT" | "POST":
                return await self._log_in(request)
        return self._show(request)

    async def _begin(self, request: Request) -> Response:
        try:
            members = members_of(request)
            if "sessionId" in members:
                raise WireError("sessionId: a new session gets its own")
            cnonce = _to_be_signed(members)
            text = self._signed(self._new(request.identity), cnonce)
            if request.identity is not None:
                await self._notes.logged_in(request.identity, origin_of(request))
        except NodeError as error:
            return render_error(request, error)
        response = render_json(request, Outcome.CREATED, text)
        return response._replace(headers=(("Location", _THIS), *response.headers))

    def _end(self, request: Request) -> Response:
        try:
            ended = self._logins.end(members_of(request).get("sessionId", ""))
        except NodeError as error:
            return render_error(request, error)
        return Response(HTTP_NO_CONTENT, cors(request)) if ended else _bare(request, Outcome.FORBIDDEN)

    def _new(self, identity: Identity | None) -> Login:
        return self._logins.make() if identity is None else self._logins.make(identity, self._prover.mark(identity))

    def _show(self, request: Request) -> Response:
        try:
            session_id = members_of(request).get("sessionId")
            if session_id is None:
                return render_json(request, Outcome.OK, '{"authenticated":false}')
            login = self._logins.find(session_id)
        except NodeError as error:
            return render_error(request, error)
        if login is None:
            return refused_credentials(request, Outcome.SESSION_UNKNOWN)
        return render_json(request, Outcome.OK, _shown(login))

    async def _log_in(self, request: Request) -> Response:
        login = None
        try:
            members = members_of(request)
            login = self._logins.find(members.get("sessionId", ""))
            if login is None:
                raise AdmissionError("", outcome=Outcome.SESSION_UNKNOWN)
            cnonce = _to_be_signed(members)
            if "signature" in members or (login.identity is None and cnonce is None):
                identity, mark = await self._proven(members, login, request.peer)
                login = self._logins.prove(login, identity, mark)
                if login is None:  # it was ended meanwhile
                    raise AdmissionError("", outcome=Outcome.SESSION_UNKNOWN)
                await self._notes.logged_in(identity, origin_of(request))
            return render_json(request, Outcome.OK, self._signed(login, cnonce))
        except NodeError as error:
            await self._notes.failed(error, origin_of(request))
            if error.ended is Outcome.SESSION_UNKNOWN:
                return refused_credentials(request, error.ended)
            if error.ended is Outcome.AUTHENTICATION_FAILED and login is not None:
                text = _shown(login._replace(proven=None), ',"error":"Identity not verified"')
                response = render_json(request, error.ended, text)
                return response._replace(headers=(*challenges(login, error.ended), *response.headers))
            return render_error(request, error)

    async def _proven(self, members: Members, login: Login, peer: bytes) -> tuple[Identity, bytes]:
        """Errors: AdmissionError if the log-in is not right, RateError if too many were not."""
        try:
            proof = login_proof(members, login.nonce)
        except WireError as error:
            raise AdmissionError(error.message, outcome=Outcome.AUTHENTICATION_FAILED) from None
        claim = claim_of(proof.identity)
        self._guard.admit(peer, claim)
        mark = await self._prover.proves(proof, VERSION)
        if mark is None:
            self._guard.failed(peer, claim, limits.HTTP_FAILURE_COST)
            raise AdmissionError(NOT_VERIFIED, outcome=Outcome.AUTHENTICATION_FAILED, claim=claim)
        return proof.identity, mark

    def _signed(self, login: Login, cnonce: bytes | None) -> str:
        """Return what a session is; with a cnonce also this server's signature of both nonces."""
        if cnonce is None or self._server_key is None:
            return _shown(login)
        signature = _base64(self._server_key.sign("SHA-256", login.nonce + cnonce))
        return _shown(login, f',"serverAlg":"SHA-256","serverSignature":"{signature}"')

    async def verifications(self, request: Request, rest: str) -> Response:
        """Answer ``/api/verifications/<rest>``: whether a MAC under a secret key that lives here is right."""
        handle = None
        try:
            parameters = Parameters(request)
            identity = _verified_identity(decode_path(rest), parameters)
            handle = identity.handle
            members = {name: parameters.text(name) or "" for name in (*_VERIFIED, "salt", "iterations", "length")}
            if not all(members[name] for name in _VERIFIED):
                raise WireError("Missing parameters in verification request")
            signed = mac_proof(members, octets(members, "signature"))
            self._require_here(handle)
            data = octets(members, "nonce") + octets(members, "cnonce")
            proof = Proof(identity, AUTH_SECRET_KEY, signed, data)
            claim = verified_claim(identity)
            self._guard.admit(request.peer, claim)
            right = await self._prover.proves(proof, VERSION, for_others=True) is not None
            if not right:
                self._guard.failed(request.peer, claim, limits.HTTP_FAILURE_COST)
        except NodeError as error:
            return render_error(request, error)
        valid = f',"isValid":{str(right).lower()},"handle":{quote(handle)}'
        return render(request, Outcome.OK, members=valid, parameters=parameters)


def _verified_identity(path: str, parameters: Parameters) -> Identity:
    """Errors: WireError in the reference server's words."""
    if not path:
        raise WireError("Handle not specified in verification request")
    named = _NAMED.fullmatch(path)
    indexes = [*([int(named[1])] if named else []), *parameters.indexes()]
    if not indexes:
        raise WireError("No index provided")
    if len(indexes) > 1:
        raise WireError("Too many indexes specified in verification request")
    return Identity(named[2] if named else path, indexes[0])


def _to_be_signed(members: Members) -> bytes | None:
    """Return the cnonce of one who asks the server to prove itself. Errors: WireError."""
    return octets(members, "cnonce") if "cnonce" in members and "id" not in members else None


def _shown(login: Login, more: str = "") -> str:
    """Return the JSON text of a session. ``more``: members with a comma in front."""
    text = f'{{"sessionId":{quote(login.session_id)},"nonce":"{_base64(login.nonce)}"{more}'
    if login.identity is not None:
        named = f"{login.identity.value_index}:{login.identity.handle}"
        text += f',"authenticated":true,"id":{quote(named)}'
    return text + "}"


def _bare(request: Request, outcome: Outcome) -> Response:
    return Response(STATUSES[outcome].http_handles, cors(request))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
