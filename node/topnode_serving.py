"""Answers of the top node for nodes that a takeover is on of: made from the escrowed copy, as the node made them.

| asked, of a prefix that the node | answer |
|---|---|
| hosts: ``P/…`` | of ``resolver/service.py`` on the copy: records, lots, units, templates, holds |
| hosts: ``0.NA/P`` | the site of the top node: clients go on here |
| delegates, or got behind the last deposit | none from here: it is referred to as ever |
| has nothing of, below a hosted one | of the copy: not responsible; ``0.NA/…`` a record or nothing |

Nobody can prove here who he is: what not everybody may read is answered to nobody. Answers are counted for each node
and outcome since the start; a resolution log is kept by the node, and not by who stands in for it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final, NamedTuple

from core import limits
from core.admission import Identity
from core.errors import Outcome
from core.events import Via
from core.ident.handle import (
    PREFIX_HANDLES,
    HandleKey,
    HandleRules,
    PrefixKey,
    check_requested,
    named_by,
    prefix_handle_of,
    prefix_of,
)
from core.records import Values
from core.store.bounds_row import stored_rules
from core.store.engine import Snapshot, Table
from core.store.homing import is_held
from core.store.prefix_rows import HOSTED, nearest_homed, unpack_prefix
from node.topnode_copies import Copies, Copy
from resolver.json_api import JsonApi
from resolver.service import Answer, Question, Resolver, select
from resolver.units import Units
from sync.topnode.handing import Takeovers
from sync.topnode.referral import Server, site_of, site_values

LONGEST: Final = HandleRules(limits.PREFIX_CHARS_MAX, limits.HANDLE_CHARS_MAX)
"""Bounds of handles that are referred: nodes have their own, which a copy tells, and none has larger ones."""


class Answering(NamedTuple):
    """What answers for a node now."""

    node_id: str
    copy: Copy
    resolver: Resolver
    json: JsonApi


class Serving:
    """Finds out whether an answer is made from a copy, and makes it. ``own``: address and ports of this top node.

    ``owner_of``: key id of the node that answers for a folded prefix by a route of its own, None where there is none.
    """

    def __init__(
        self, takeovers: Takeovers, copies: Copies, own: Server, owner_of: Callable[[bytes], str | None]
    ) -> None:  # fmt: skip
        self._takeovers = takeovers
        self._copies = copies
        self._own = own
        self._owner_of = owner_of
        self._known: dict[str, Answering] = {}
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def answer(self, question: Question, key: HandleKey) -> Answer | None:
        """Answer a question from a copy, None where none is asked. Errors: NodeError."""
        found = self.answering(key)
        if found is None:
            return None
        with found.copy.engine.snapshot() as snapshot:
            answer = found.resolver.resolve(snapshot, question)
        self.counts[found.node_id][answer.outcome.value] += 1
        return answer

    def answering(self, key: HandleKey) -> Answering | None:
        """Return what answers for the key of a handle, None where it is referred to as ever. Errors: StoreError."""
        prefix = prefix_of(key)
        named = named_by(key) if prefix == PREFIX_HANDLES else prefix
        node_id = self._takeovers.serving(named) if named else None
        copy = None if node_id is None else self._copies.current(node_id)
        if node_id is None or copy is None:
            return None
        with copy.engine.snapshot() as snapshot:
            if not self._is_answered(snapshot, named, node_id):
                return None
        known = self._known.get(node_id)
        if known is None or known.copy is not copy:
            known = self._known[node_id] = self._joined(node_id, copy)
        return known

    def _is_answered(self, snapshot: Snapshot, named: PrefixKey, node_id: str) -> bool:
        """Whether the node hosts a prefix, and no other one answers for it by now."""
        homed = nearest_homed(snapshot, named)
        row = None if homed is None else snapshot.get(Table.PREFIXES, homed)
        if row is None or unpack_prefix(row).hosting != HOSTED:
            return False
        owner = self._owner_of(named)
        return owner in (None, node_id) if homed == named else owner is None

    def _joined(self, node_id: str, copy: Copy) -> Answering:
        with copy.engine.snapshot() as snapshot:
            rules = stored_rules(snapshot)
        resolver = _CopyResolver(rules, Units(copy.keys), site_values((self._own,)))
        log = _Counting(self.counts[node_id])
        return Answering(node_id, copy, resolver, JsonApi(resolver, copy.engine, site_of((self._own,)), log))


class _CopyResolver(Resolver):
    """Answers as the node, but that a prefix that it hosts is served here."""

    def __init__(self, rules: HandleRules, units: Units, own: Values) -> None:
        super().__init__(rules, units=units)
        self._own = own

    def resolve(self, snapshot: Snapshot, question: Question) -> Answer:
        """See Resolver."""
        made = super().resolve(snapshot, question)
        if made.outcome not in _OF_THE_PREFIX:
            return made
        key = check_requested(question.handle, self.rules)
        if prefix_of(key) != PREFIX_HANDLES or not _is_hosted(snapshot, named_by(key)):
            return made
        if is_held(snapshot, prefix_handle_of(named_by(key))):
            return Answer(Outcome.HELD, question.handle)
        chosen = select(self._own, question)
        return Answer(Outcome.OK if chosen else Outcome.NO_VALUES, question.handle, values=chosen)


_OF_THE_PREFIX = frozenset(
    (Outcome.OK, Outcome.NO_VALUES, Outcome.HANDLE_NOT_FOUND, Outcome.AUTHENTICATION_NEEDED, Outcome.ACCESS_DENIED)
)
"""How a question for a prefix handle ends that this top node answers with its own site."""


def _is_hosted(snapshot: Snapshot, prefix: PrefixKey) -> bool:
    row = snapshot.get(Table.PREFIXES, prefix) if prefix else None
    return row is not None and unpack_prefix(row).hosting == HOSTED


class _Counting:
    """See ResolutionLog. Counts outcomes."""

    writable = True

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts

    def resolved(self, via: Via, outcome: Outcome, peer: bytes, identifier: bytes) -> None:
        self._counts[outcome.value] += 1

    def record(
        self, via: Via, outcome: Outcome, peer: bytes, identifier: bytes, identity: Identity | None = None
    ) -> None:  # fmt: skip
        self._counts[outcome.value] += 1
