"""The Handle protocol at the reference top node: everything is referred, but what is answered from a copy.

| asked | answer |
|---|---|
| ``0.NA/P``, P has a route | its sites, made from the route: HS_SITE, HS_SITE.6 |
| ``0.NA/P``, a prefix above P has one | 303, prefix referral: HS_SITE.PREFIX values of that one |
| ``P/…``, P or a prefix above it has a route | 302, service referral: ``0.NA/P`` and the sites |
| ``0.NA/0.NA`` | the site of this node |
| ``0.NA/P`` without a route | 100, not found |
| ``P/…`` without a route | 301, not responsible |

So both ways of stock clients work: those that ask the root for ``0.NA/P`` first, and those that follow referrals.
A prefix that is stopped is not referred to: 100. While a takeover of a node is on, what it hosts is answered here
(``node/topnode_serving.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.errors import IdentifierError, Outcome
from core.hdl.exchange import Asked, Reply
from core.ident.handle import PREFIX_HANDLES, HandleKey, check_handle, named_by, prefix_of
from core.records import Values
from core.store.homing import FOREIGN
from core.wire import body as bodies
from core.wire.codepoints import OpCode, OpFlag
from core.wire.site import encode_site
from core.wire.valuetypes import HS_SITE_PREFIX
from node.topnode_serving import LONGEST
from resolver.handle_api import reply_to
from resolver.service import Answer, Question, select
from sync.topnode.referral import Found, Server, nearest_route, site_of, site_values

_ROOT: Final = PREFIX_HANDLES


RowOf = Callable[[bytes], bytes | None]
"""Returns the row of T2 or T7 of a folded prefix of the kind Handle, None if there is none. Errors: StoreError."""


StandIn = Callable[[Question, HandleKey], Answer | None]
"""Answers a question from the copy of a node that a takeover is on of, None where it is none. Errors: NodeError."""


class TopHandleApi:
    """Answers resolution and site information. ``own``: address and ports of this node."""

    operations: frozenset[int] = frozenset((OpCode.RESOLUTION, OpCode.GET_SITE_INFO))

    def __init__(self, row_of: RowOf, own: Server, stand_in: StandIn = lambda question, key: None) -> None:
        self._row_of = row_of
        self._stand_in = stand_in
        self._own = site_values((own,))
        self._site = encode_site(site_of((own,)))
        self._rules = LONGEST

    async def answer(self, asked: Asked) -> Reply:
        """Answer one request. Errors: NodeError."""
        if asked.op == OpCode.GET_SITE_INFO:
            return Reply(Outcome.OK, self._site)
        asking = bodies.decode_question(asked.body)
        question = Question(
            asking.handle,
            frozenset(asking.indexes),
            asking.types,
            refer=not asked.has(OpFlag.NO_REFERRAL),
            want="wire",
        )
        return reply_to(self.resolve(question), asked)

    def resolve(self, question: Question) -> Answer:
        """Answer a question. Errors: StoreError, WireError for a route that cannot be read."""
        try:
            key = check_handle(question.handle, self._rules)
        except IdentifierError as error:
            return Answer(error.ended, question.handle, error.message)
        made = self._stand_in(question, key)
        if made is not None:
            return made
        if prefix_of(key) == _ROOT:
            return self._prefix_handle(question, key)
        found = nearest_route(prefix_of(key), self._row_of)
        if found is None:
            return Answer(Outcome.NOT_RESPONSIBLE, question.handle, FOREIGN)
        return self._referring(question, found, Outcome.SERVICE_REFERRAL)

    def _prefix_handle(self, question: Question, key: HandleKey) -> Answer:
        named = named_by(key)
        if named == _ROOT:
            return _selected(question, self._own)
        found = nearest_route(named, self._row_of)
        if found is None:
            return Answer(Outcome.HANDLE_NOT_FOUND, question.handle)
        if not found.exact:
            return self._referring(question, found, Outcome.PREFIX_REFERRAL)
        if found.route.stopped:
            return Answer(Outcome.HELD, question.handle)
        return _selected(question, site_values(found.route.servers))

    @staticmethod
    def _referring(question: Question, found: Found, outcome: Outcome) -> Answer:
        if found.route.stopped:
            return Answer(Outcome.HELD, question.handle)
        if not question.refer:
            return Answer(Outcome.HANDLE_NOT_FOUND, question.handle)
        values = site_values(found.route.servers)
        if outcome is Outcome.PREFIX_REFERRAL:
            values = tuple(value._replace(type=HS_SITE_PREFIX) for value in values)
        return Answer(outcome, question.handle, values=values)


def _selected(question: Question, values: Values) -> Answer:
    chosen = select(values, question)
    return Answer(Outcome.OK if chosen else Outcome.NO_VALUES, question.handle, values=chosen)
