"""``/v1/…``: the management API, by the table of ``registry/management.py``.

The worker reads what was sent and tells faults that need no right. The registrar decides what is
written; what is read is answered here, from one state of the store. A read that is refused is passed
on to the registrar, which writes it down as all refusals.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from core import monitor
from core.admission import ServerAdmins
from core.clock import Millis
from core.errors import NodeError, Outcome, WireError
from core.ident.handle import HandleRules
from core.lotkeys import NO_MASTER_KEYS, MasterKeys
from core.outcomes import STATUSES
from core.source_limit import NO_LIMIT, SourceLimit
from core.store.engine import Snapshot
from core.store.homing import ServedRecords
from core.wire.http import (
    Headers,
    Response,
    decode_path,
    media_type,
    not_allowed,
    nothing_there,
    prefers_html,
    problem,
    problem_of,
)
from core.wire.http import Request as HttpRequest
from registry.batch_api import admit
from registry.commands import Actor, NoteRefusal, Request, Result
from registry.desk import dump
from registry.json_api import Registrar, actor_of, idempotency_token, origin_of
from registry.management import HANDLES, JSON, OPERATIONS, PLACEHOLDERS, Asked, Operation
from registry.members import Members, read_body, read_query
from registry.reading import COUNT, Page, View
from registry.roles import CALL_NAMED, allows
from registry.standing import Standing, require_role, standing_of

_HEADERS: Final[Headers] = (("Content-Type", JSON), ("Cache-Control", "no-store"))  # a token is shown once
_REFUSED: Final = (Outcome.FORBIDDEN, Outcome.ACCESS_DENIED)


class Store(Protocol):
    """What this API needs of a store."""

    def snapshot(self) -> Snapshot:
        """Begin to read."""


class Place(NamedTuple):
    """A path of the table, and the calls at it by their methods."""

    pattern: re.Pattern[str]
    operations: Mapping[str, Operation]


def _places() -> tuple[Place, ...]:
    found: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        found.setdefault(operation.path, {})[operation.method] = operation
    longest_first = sorted(found.items(), key=lambda each: -each[0].count("/"))  # P%2FL/blocks is no lot's name
    return tuple(Place(re.compile(re.sub(r"\{(\w+)\}", _segment, path)), each) for path, each in longest_first)


def _segment(name: re.Match[str]) -> str:
    """Return the pattern of what stands in a path: one segment; of a lot or unit its slash may stand as it is."""
    one = "[^/]+"
    return f"(?P<{name[1]}>{f'{one}/{one}' if name[1] in HANDLES else one}|{one})"


_PLACES: Final = _places()


class ManagementApi:
    """Answers all calls. ``now_ms``: by which tokens expire. ``public_limits``: of calls that anybody may make.

    ``keys``: of unit codes. ``last_round``: what the last self-probe found.
    """

    def __init__(
        self, rules: HandleRules, store: Store, registrar: Registrar, *, root: bool, server_admins: ServerAdmins,
        now_ms: Callable[[], Millis], public_limits: Mapping[str, SourceLimit] | None = None,
        keys: MasterKeys = NO_MASTER_KEYS, last_round: Callable[[], monitor.Round | None] = monitor.no_round,
    ) -> None:  # fmt: skip
        self._rules = rules
        self._store = store
        self._registrar = registrar
        self._root = root
        self._server_admins = server_admins
        self._now_ms = now_ms
        self._public_limits = public_limits or {}
        self._keys = keys
        self._last_round = last_round

    async def answer(self, request: HttpRequest) -> Response:
        """Answer one call, whatever it is."""
        try:
            found = _find(request.path)
            if found is None:
                return nothing_there(request.path)
            operations, members = found
            operation = operations.get("GET" if request.method == "HEAD" else request.method)
            if operation is None:
                return _not_allowed(request, operations)
            return await self._call(request, operation, members)
        except NodeError as error:
            return problem_of(error, request.path)

    async def _call(self, request: HttpRequest, operation: Operation, members: Members) -> Response:
        actor = actor_of(request) if CALL_NAMED[operation.call].public else admit(request)
        if operation.command is None:
            members = {**read_query(request.query, operation.query), **members}
            self._limit(request, operation)
            document = await self._read(request, operation, members, actor)
            if operation.page is not None and prefers_html(request.headers.get("accept", "")):
                return operation.page(document)
            return Response(STATUSES[Outcome.OK].http, _HEADERS, dump(document))
        sent = {**read_query(request.query, ()), **_body(request, operation), **members}
        token = idempotency_token(request)
        asked = Asked(sent, request.body, request.headers, "" if token is None else token.key)
        self._limit(request, operation)
        result = await self._registrar.call(Request(operation.command(asked), actor, token, sent=origin_of(request)))
        return _told(result, request.path)

    def _limit(self, request: HttpRequest, operation: Operation) -> None:
        """Errors: RateError for a source that makes a public call too often; what it sent wrong did not count.

        Whoever asks: an identity that is easily had must not fill what all others need.
        """
        self._public_limits.get(operation.call, NO_LIMIT).take(request.peer)

    # --- reading ---
    async def require(self, request: HttpRequest, call: str, about: str) -> None:
        """Look whether somebody may make a read that is answered elsewhere; a refusal is written down.

        Errors: NodeError for anybody, and for who may not.
        """
        actor = admit(request)
        try:
            with self._store.snapshot() as snapshot:
                self._standing(snapshot, call, actor)
        except NodeError as error:
            if error.ended in _REFUSED:
                await self._registrar.call(Request(_note(call, about, error), actor, sent=origin_of(request)))
            raise

    async def _read(
        self, request: HttpRequest, operation: Operation, members: Members, actor: Actor
    ) -> dict[str, Any]:  # fmt: skip
        try:
            return await self._document(operation, members, actor)
        except NodeError as error:
            if error.ended in _REFUSED:
                about = next((members[name] for name in operation.placeholders), "")
                note = _note(operation.call, about, error)
                await self._registrar.call(Request(note, actor, sent=origin_of(request)))
            raise

    async def _document(self, operation: Operation, members: Members, actor: Actor) -> dict[str, Any]:
        """Return what is read; a list by as many states of the store as it takes. Errors: NodeError."""
        count = members.get("count", COUNT)
        rows: list[dict[str, Any]] = []
        while True:
            found = self._look(operation, members, actor)
            if not isinstance(found, Page):
                return found
            rows += found.rows
            if found.next is None or len(rows) >= count:
                return {operation.listed: rows, "next": found.next}
            members = {**members, "after": found.next, "count": count - len(rows)}
            await asyncio.sleep(0)

    def _look(self, operation: Operation, members: Members, actor: Actor) -> dict[str, Any] | Page:
        assert operation.read is not None
        with self._store.snapshot() as snapshot:
            standing = self._standing(snapshot, operation.call, actor)
            return operation.read(
                View(snapshot, standing, self._rules, members, self._now_ms(), self._keys, self._last_round)
            )

    def _standing(self, snapshot: Snapshot, call: str, actor: Actor) -> Standing:
        """Return in which role somebody makes a call. Errors: NodeError if he may not."""
        records = ServedRecords(snapshot, self._rules, self._root)
        standing = standing_of(actor, records, self._server_admins, self._now_ms())
        require_role(standing, allows(CALL_NAMED[call], standing.role))
        return standing


def _find(path: str) -> tuple[Mapping[str, Operation], Members] | None:
    """Return the calls at a path and what stands in it, None if there are none. Errors: IdentifierError."""
    for place in _PLACES:
        match = place.pattern.fullmatch(path)
        if match is not None:
            members = {name: decode_path(text) for name, text in match.groupdict().items()}
            fits = all(len(text) <= PLACEHOLDERS[name].high for name, text in members.items())
            return (place.operations, members) if fits else None
    return None


def _body(request: HttpRequest, operation: Operation) -> Members:
    """Return the members of the body, none of one that the registrar reads. Errors: NodeError."""
    if not operation.body:
        return {}
    if media_type(request.headers) not in operation.media:
        raise WireError(f"Content-Type must be one of {', '.join(operation.media)}", outcome=Outcome.MEDIA_TYPE)
    return {} if isinstance(operation.body, str) else read_body(request.body, operation.body)


def _told(result: Result, path: str) -> Response:
    if result.done:
        return Response(STATUSES[result.outcome].http, _HEADERS, result.body)
    told = json.loads(result.body) if result.body else {}
    return problem(
        result.outcome, result.message, path, rule=result.rule, faults=told.get("faults", ()),
        warnings=told.get("warnings", ()),
    )  # fmt: skip


def _note(call: str, about: str, error: NodeError) -> NoteRefusal:
    return NoteRefusal(call, about, error.ended.value, str(error.fields.get("rule", "")), error.message)


def _not_allowed(request: HttpRequest, operations: Mapping[str, Operation]) -> Response:
    allowed = ", ".join(each for method in operations for each in (("GET", "HEAD") if method == "GET" else (method,)))
    return not_allowed(request.path, allowed)
