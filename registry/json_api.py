"""``PUT`` and ``DELETE /api/handles/…``: the writing half of the Handle JSON interface.

The worker reads and checks what needs no right; the registrar
decides. Nothing of an anonymous request reaches the registrar.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from core import limits
from core.errors import AdmissionError, IdentifierError, NodeError, Outcome, WireError
from core.events import PROTOCOL_API, PROTOCOLS, Via
from core.ident.handle import HandleRules, check_requested
from core.records import Values
from core.store.engine import Snapshot
from core.store.homing import require_served
from core.wire.handlejson import Parameters, render, render_error
from core.wire.http import Request as HttpRequest
from core.wire.http import Response, decode_path, media_type
from core.wire.jsonform import load_values as load_forms
from core.wire.jsonform import parse_handle_member, parse_values
from registry.commands import Actor, Add, Command, Delete, Origin, Put, Remove, Request, Result, Token
from registry.values import check_shapes


class Store(Protocol):
    """What this API needs of a store."""

    def snapshot(self) -> Snapshot:
        """Begin to read."""


class Registrar(Protocol):
    """What this API needs of the registrar."""

    async def call(self, request: Request) -> Result:
        """Have a request run."""


def idempotency_token(request: HttpRequest) -> Token | None:
    """Return the token of a change, None if it has none.

    Bounds: 1 … IDEMPOTENCY_KEY_CHARS_MAX printable ASCII characters. Errors: WireError.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= limits.IDEMPOTENCY_KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
        raise WireError(f"Idempotency-Key: 1 … {limits.IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters")
    line = f"{request.method} {request.path}?{request.query}\0".encode("utf-8", "surrogateescape")
    return Token(key, hashlib.sha256(line + request.body).digest())


def origin_of(request: HttpRequest) -> Origin:
    """Return where a request came from."""
    path = request.path
    if path == "/v1" or path.startswith("/v1/"):
        return Origin(PROTOCOL_API, request.peer)
    return Origin(PROTOCOLS[Via.JSON if path == "/api" or path.startswith("/api/") else Via.PAGE], request.peer)


def actor_of(request: HttpRequest) -> Actor:
    """Return who asks, as far as the request proves it."""
    return Actor(request.identity, bearer=request.bearer)


class JsonApi:
    """Answers changing requests."""

    def __init__(self, rules: HandleRules, store: Store, registrar: Registrar, *, root: bool) -> None:
        self._rules = rules
        self._store = store
        self._registrar = registrar
        self._root = root

    async def put(self, request: HttpRequest, rest: str) -> Response:
        """Answer PUT."""
        return await self._change(request, rest, self._put)

    async def delete(self, request: HttpRequest, rest: str) -> Response:
        """Answer DELETE."""
        return await self._change(request, rest, self._delete)

    async def _change(self, request: HttpRequest, rest: str, read: _Read) -> Response:
        handle: str | None = None
        parameters = None
        try:
            parameters = Parameters(request)
            asked = decode_path(rest)
            command = read(request, asked, parameters)
            if not asked:
                raise IdentifierError("Empty handle invalid")
            handle = asked
            token = idempotency_token(request)
            actor = actor_of(request)
            if actor.anonymous:
                self._refuse_anonymous(command)
            result = await self._registrar.call(Request(command, actor, token, sent=origin_of(request)))
        except NodeError as error:
            return render_error(request, error, handle, parameters)
        return render(
            request, result.outcome, handle=result.handle or handle, message=result.message, parameters=parameters
        )

    def _put(self, request: HttpRequest, handle: str, parameters: Parameters) -> Command:
        if media_type(request.headers) != "application/json":
            kind = request.headers.get("content-type", "null")
            raise WireError(f"Unsupported media type {kind[:100]}", outcome=Outcome.MEDIA_TYPE)
        various = parameters.text("index") == "various"
        indexes = [] if various else parameters.indexes()
        forms = parse_values(request.body)
        named = parse_handle_member(request.body)
        if named is not None and self._key(named) != self._key(handle):
            raise WireError("Mismatched handle in PUT request")
        values = load_forms(forms, 0)  # the registrar stamps them
        overwrite = parameters.exact_flag("overwrite", default=True)
        if not (various or indexes):
            return Put(handle, values, overwrite, parameters.exact_flag("mintNewSuffix", default=False))
        if indexes and {value.value_index for value in values} != set(indexes):
            raise WireError("Mismatched indexes in PUT request")
        return Add(handle, values, overwrite)

    def _delete(self, _: HttpRequest, handle: str, parameters: Parameters) -> Command:
        indexes = parameters.indexes()
        return Remove(handle, tuple(indexes)) if indexes else Delete(handle)

    def _refuse_anonymous(self, command: Command) -> None:
        """Errors: what a request without credentials is told: faults of its own first, then AUTHENTICATION_NEEDED."""
        if isinstance(command, Put | Add | Remove):
            key = check_requested(command.handle, self._rules)
            with self._store.snapshot() as snapshot:
                require_served(snapshot, key, root=self._root)
            values: Values = () if isinstance(command, Remove) else command.values
            check_shapes(values)
        raise AdmissionError("", outcome=Outcome.AUTHENTICATION_NEEDED)

    def _key(self, handle: str) -> bytes:
        try:
            return self._rules.key(handle)
        except UnicodeEncodeError:
            return b""


class _Read(Protocol):
    def __call__(self, request: HttpRequest, handle: str, parameters: Parameters, /) -> Command: ...
