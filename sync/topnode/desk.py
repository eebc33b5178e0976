"""What the reference top node does with a message: octets in, octets out.

1. A message is one write transaction, its number included, durable before the answer. What only reads, and what
   ``takers`` answer, comes after it: the number is used up then, and the node asks again with a higher one.
2. No number is taken twice of a node; a recorded message is of no use.
3. A node reads and writes its own rows alone.
4. What is no message, not signed, or for another top node is a WireError: nobody is answered, nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

from core import limits
from core.clock import Millis
from core.errors import WireError
from core.signature import Signer, key_id
from sync import messages
from sync.digests import RowsDigest, row_digest
from sync.envelope import ANSWER, QUESTION, Envelope, open_envelope, seal
from sync.form import decode, encode
from sync.table import TableKind
from sync.topnode.refusals import RefusalError, refusal
from sync.topnode.reviewing import AUTOMATIC, MANUAL, folded_prefix, require_texts, take_review
from sync.topnode.rows import ENROLLED, WAITING, Node
from sync.topnode.store import Change, TopStore, View
from sync.topnode.takings import Check, Judge, Taking, holding_of, is_within

Taker = Callable[[Node, Any, Millis], messages.Answer]
"""Answers a Checkpoint, a Month or a MonthFile of an enrolled node."""

_Rows = messages.Delta | messages.Piece | messages.Repair
_KEY_MAX: Final = limits.UPSTREAM_KEY_BYTES_MAX + 1  # of a range: the first key behind the longest


def never() -> bool:
    """Return False: no row is refused but for a reason."""
    return False


class TopDesk:
    """Answers nodes.

    ``name``: of the top node. ``enrol_open``: an unknown key is enrolled when it connects, else it waits.
    ``review``: AUTOMATIC or MANUAL. ``tables``: all eleven, by name. ``takers``: by the class of the message.
    ``refuse``: asked for each row, to misbehave.
    """

    def __init__(
        self, store: TopStore, signer: Signer, name: str, *, enrol_open: bool, review: str, check: Check,
        tables: Mapping[str, TableKind], takers: Mapping[type, Taker] | None = None,
        refuse: Callable[[], bool] = never,
    ) -> None:  # fmt: skip
        if review not in (AUTOMATIC, MANUAL):
            raise ValueError(review)
        self.key_id = key_id(signer.public_key)
        self._store = store
        self._signer = signer
        self._name = name
        self._enrol_open = enrol_open
        self._automatic = review == AUTOMATIC
        self._judge = Judge(check, refuse)
        self._tables = tables
        self._takers = takers or {}

    def answer(self, octets: bytes, now_ms: Millis) -> bytes:
        """Return the answer to a message, both sealed. Errors: WireError; StoreError, then nothing was written."""
        envelope = open_envelope(QUESTION, octets)
        if envelope.to != self.key_id:
            raise WireError("消息是发给其他上级节点的。The message is for another top node")
        question = decode(envelope.payload)
        if not isinstance(question, messages.Question):
            raise WireError("这不是提问。This is no question")
        answer = self._answer(envelope, question, now_ms)
        return seal(ANSWER, self._signer, envelope.number, envelope.sender_id, encode(answer))

    def _answer(self, envelope: Envelope, question: messages.Question, now_ms: Millis) -> messages.Answer:
        number = envelope.number
        with self._store.write() as change:
            node = change.node(envelope.sender_id)
            last = 0 if node is None else node.number
            if number <= last:
                return refusal("replayed", last)
            try:
                node = self._known(change, node, envelope, question, now_ms)
            except RefusalError as error:
                return refusal(error.rule, last)
            node = node._replace(number=number, last_ms=now_ms)
            change.put_node(node)
            try:
                answer = self._written(change, node, question, now_ms)
            except RefusalError as error:
                answer = refusal(error.rule, number)
        if answer is not None:
            return answer
        try:
            return self._read(node, question, now_ms)
        except RefusalError as error:
            return refusal(error.rule, number)

    def _known(
        self, change: Change, node: Node | None, envelope: Envelope, question: messages.Question, now_ms: Millis
    ) -> Node:
        """Return who asks, with what it says of itself when it connects. Errors: RefusalError."""
        if not isinstance(question, messages.Connect):
            if node is None:
                raise RefusalError("not-connected")
            return node
        folded_prefix(question.prefix, "connect")
        if len(question.codes) > limits.UPSTREAM_CODES_MAX:
            raise RefusalError("connect")
        codes = {folded_prefix(code, "connect").decode() for code in question.codes}
        require_texts("connect", question.name, question.software, question.origin, question.vkey)
        if node is None:
            if change.count_nodes() >= limits.TOPNODE_NODES_MAX:
                raise RefusalError("nodes")
            enrolment = ENROLLED if self._enrol_open else WAITING
            node = Node(envelope.sender, "", (), "", "", "", "", enrolment, now_ms, now_ms, 0)
        others = [code for each in change.nodes() if _has_claim(each, node) for code in each.codes]
        free = tuple(sorted(code for code in codes if not _overlaps(code, others)))
        return node._replace(
            codes=free, prefix=question.prefix, name=question.name, software=question.software, origin=question.origin,
            vkey=question.vkey,
        )  # fmt: skip

    def _written(
        self, change: Change, node: Node, question: messages.Question, now_ms: Millis
    ) -> messages.Answer | None:
        """Do what is done in the transaction of the number. None: nothing. Errors: RefusalError, nothing was done."""
        if not isinstance(question, messages.Connect) and node.enrolment != ENROLLED:
            raise RefusalError("not-enrolled")
        match question:
            case messages.Connect():
                return self._state(change, node, now_ms)
            case messages.Delta() | messages.Piece() | messages.Repair():
                return self._take(change, node, question, now_ms)
            case messages.Review():
                subjects = self._tables["T6"]
                return take_review(change, node, question, subjects, automatic=self._automatic, now_ms=now_ms)
            case _:
                return None

    def _state(self, view: View, node: Node, now_ms: Millis) -> messages.State:
        holdings = tuple(holding_of(table, view.held(node.node_id, table)) for table in self._tables.values())
        return messages.State(node.enrolment, self._name, now_ms, holdings)

    def _take(self, change: Change, node: Node, question: _Rows, now_ms: Millis) -> messages.Receipt:
        taking = Taking(change, node, self._table(question.table), self._judge, now_ms)
        match question:
            case messages.Delta():
                return taking.delta(question)
            case messages.Piece():
                return taking.piece(question)
            case messages.Repair():
                return taking.repair(question)

    def _read(self, node: Node, question: messages.Question, now_ms: Millis) -> messages.Answer:
        """Do what needs no transaction. Errors: RefusalError."""
        match question:
            case messages.CompareRanges():
                table = self._table(question.table)
                with self._store.read() as view:
                    return _differing(view, node, table, question.ranges)
            case messages.ListKeys():
                table = self._table(question.table)
                with self._store.read() as view:
                    return _keys(view, node, table, question)
        taker = self._takers.get(type(question))
        if taker is None:
            raise RefusalError("not-taken")
        return taker(node, question, now_ms)

    def _table(self, name: str) -> TableKind:
        table = self._tables.get(name)
        if table is None:
            raise RefusalError("table")
        return table


def _has_claim(other: Node, node: Node) -> bool:
    """Whether the codes of another node are its own; a rejected one has none."""
    return other.node_id != node.node_id and other.enrolment == ENROLLED


def _differing(view: View, node: Node, table: TableKind, ranges: tuple[messages.Range, ...]) -> messages.Differing:
    """Compare ranges: none is walked twice, so that one question costs one walk at most."""
    behind: bytes | None = b""
    for each in ranges:
        if behind is None or each.start < behind or not _is_range(each.start, each.stop):
            raise RefusalError("ranges")
        behind = each.stop
    places: list[int] = []
    for place, each in enumerate(ranges):
        digest = RowsDigest()
        add = digest.add
        for key, row in view.rows(node.node_id, table, each.start, each.stop):
            add(key, row)
        if digest.rows != each.rows or digest.digest() != each.digest:
            places.append(place)
    return messages.Differing(view.held(node.node_id, table).serial, tuple(places))


def _keys(view: View, node: Node, table: TableKind, question: messages.ListKeys) -> messages.Keys:
    """List a page: UPSTREAM_ITEMS_MAX keys, and where the next one starts."""
    if not _is_range(question.start, question.stop):
        raise RefusalError("ranges")
    found = view.rows(node.node_id, table, question.start, question.stop)
    page = tuple((key, row_digest(row)) for key, row in islice(found, limits.UPSTREAM_ITEMS_MAX))
    following = next(found, None)
    return messages.Keys(page, None if following is None else following[0])


def _overlaps(code: str, others: list[str]) -> bool:
    """Whether a code is one of others, or above or below one."""
    return is_within(code.encode(), others) or any(is_within(each.encode(), (code,)) for each in others)


def _is_range(start: bytes, stop: bytes | None) -> bool:
    return len(start) <= _KEY_MAX and (stop is None or (start <= stop and len(stop) <= _KEY_MAX))
