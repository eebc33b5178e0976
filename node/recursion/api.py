"""``GET /v1/resolve?identifier=…``: any identifier; of this node first, of others where ``resolver.recursive`` is on.

What is registered here is answered from one state of the store and waits for nobody. Each answer is one entry of the
resolution log, for others as well.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from core import clock
from core.errors import NodeError, Outcome, WireError
from core.events import ResolutionLog, Via
from core.outcomes import STATUSES
from core.records import InterfaceProtocol
from core.source_limit import SourceLimit
from core.store.engine import Engine, Snapshot
from core.wire.http import Request, Response, not_allowed, parse_fields, problem_of
from core.wire.jsontext import quote
from node.recursion.places import Place
from node.recursion.service import Recursion
from resolver.browser import REASONS
from resolver.names import Names
from resolver.recursion.found import Found, ttl_of
from resolver.recursion.identifiers import Asked, Kind, read_identifier
from resolver.referral import door_of
from resolver.service import Answer, Question, Resolver

PATH: Final = "/v1/resolve"
_HEADERS: Final = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))  # each one is logged here
_WELL: Final = (Outcome.OK, Outcome.NO_VALUES)
_REFERRALS: Final = (Outcome.SERVICE_REFERRAL, Outcome.PREFIX_REFERRAL)
_OFF: Final = (
    "本节点不负责此标识，也未启用对外解析（resolver.recursive）。This node is not responsible for it, and does not "
    "resolve for others (resolver.recursive)"
)


class _Here(NamedTuple):
    """What this node says. ``answer``: None where it is not responsible; ``level``: of a GS1 key, what was found.

    ``handle``: what others are to be asked for instead of what was asked; ``first``: where this node refers to.
    """

    answer: Answer | None
    level: str = ""
    handle: str = ""
    first: Place | None = None


class ResolveApi:
    """Answers requests for any identifier. ``recursion``: None where it is off."""

    def __init__(
        self, resolver: Resolver, names: Names, store: Engine, log: ResolutionLog, *,
        lookups: SourceLimit, recursion: Recursion | None,
    ) -> None:  # fmt: skip
        self._resolver = resolver
        self._names = names
        self._store = store
        self._log = log
        self._lookups = lookups
        self._recursion = recursion

    async def answer(self, request: Request) -> Response:
        """Answer one request, whatever it is. Errors: LogFullError."""
        if request.method not in ("GET", "HEAD"):
            return not_allowed(request.path, "GET, HEAD")
        try:
            given = parse_fields(request.query).get("identifier", [])
            if len(given) != 1:
                raise WireError("请给出一个 identifier。Give one identifier")
            asked = read_identifier(given[0])
            self._lookups.take(request.peer)
        except NodeError as error:
            return problem_of(error, request.path)
        identifier = asked.text.encode("utf-8", "surrogateescape")
        try:
            outcome, body = await self._resolve(asked)
        except NodeError as error:
            self._log.record(Via.ALIAS, error.ended, request.peer, identifier, request.identity)
            return problem_of(error, request.path)
        self._log.record(Via.ALIAS, outcome, request.peer, identifier, request.identity)
        return Response(STATUSES[outcome].http, _HEADERS, body)

    async def _resolve(self, asked: Asked) -> tuple[Outcome, bytes]:
        """Errors: NodeError for all that is no answer with a document."""
        with self._store.snapshot() as snapshot:
            here = self._here(snapshot, asked)
        if here.answer is not None:
            _require(here.answer.outcome, here.answer.notice or REASONS.get(here.answer.outcome, here.answer.message))
            return here.answer.outcome, _own(asked, here, here.answer)
        if self._recursion is None:
            raise NodeError(_OFF, outcome=Outcome.NOT_RESPONSIBLE)
        onward = Asked(Kind.HANDLE, here.handle) if here.handle else asked
        found = await self._recursion.resolve(onward, here.first)
        _require(found.outcome, f"经 {'、'.join(found.asked)} 未找到。It was not found, by {', '.join(found.asked)}")
        return found.outcome, _others(asked, onward, found)

    def _here(self, snapshot: Snapshot, asked: Asked) -> _Here:
        if asked.link is not None:
            levels = self._names.levels(snapshot, asked.link)
            return _said(levels[0].answer, levels[0].level.path) if levels else _Here(None)
        if asked.alias is not None:
            answer = self._names.resolve(snapshot, asked.alias)
            return _Here(None) if answer is None else _said(answer)
        return _said(self._resolver.resolve(snapshot, Question(asked.text)))


def _said(answer: Answer, level: str = "") -> _Here:
    """Return what an answer of this node comes to: one below a prefix that it delegates leads on to who serves it."""
    if answer.outcome in _REFERRALS:
        door = door_of(answer.handle, answer.values or (), InterfaceProtocol.TCP)
        return _Here(None, level, answer.handle, None if door is None else Place(str(door[0]), door[1]))
    return _Here(None if answer.outcome is Outcome.NOT_RESPONSIBLE else answer, level)


def _require(outcome: Outcome, message: str) -> None:
    if outcome not in _WELL:
        raise NodeError(message, outcome=outcome)


def _own(asked: Asked, here: _Here, answer: Answer) -> bytes:
    values = answer.values_json() or b"[]"
    members = {"handle": quote(answer.handle), "values": values.decode()}
    if here.level:
        members["level"] = quote(here.level)
    return _document(asked, members, authoritative=True, ttl_s=ttl_of(values, clock.now_s()))


def _others(asked: Asked, onward: Asked, found: Found) -> bytes:
    """Return the answer of others. ``onward``: what they were asked for."""
    members: dict[str, str] = {}
    if onward.kind is Kind.HANDLE:
        members["handle"] = quote(onward.text)
    if found.values is not None:
        members["values"] = found.values.decode()
    if found.services is not None:
        members["services"] = _json([each._asdict() for each in found.services])
    if found.links is not None:
        links = [each._asdict() for each in found.links]
        members["links"] = _json([{name: text for name, text in link.items() if text} for link in links])
    return _document(
        asked, members, authoritative=False, ttl_s=found.ttl_s, secure=found.secure, by=found.asked
    )  # fmt: skip


def _document(
    asked: Asked, members: dict[str, str], *, authoritative: bool, ttl_s: int, secure: bool | None = None,
    by: tuple[str, ...] = (),
) -> bytes:  # fmt: skip
    """Return the JSON of an answer; ``members``: name and JSON text of those that differ by kind."""
    told = {
        "identifier": quote(asked.text), "kind": quote(asked.kind.value), "authoritative": _json(authoritative),
        **members, "secure": _json(secure), "ttl": _json(ttl_s), "asked": _json(by),
    }  # fmt: skip
    return ("{" + ",".join(f'"{name}":{text}' for name, text in told.items()) + "}").encode()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
