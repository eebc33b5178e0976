"""DNS without a transport: the octets of one question in, those of its answer out.

1. What came is answered from one state of the store, opened behind it: ``begin``, ``answer``, ``end``.
2. An answer is remembered by all octets of its question but the number: case, flags and EDNS count. It holds until a
   change touches a zone (``core/store/zone_row.py``), as it would in a secondary; whatever else is written meanwhile,
   it says what the long way would. A test holds both to the same octets.
3. A question of class IN is a resolution, and logged. What cannot be read, or is refused by its form, is none.
4. By UDP an answer is no longer than ``udp_bytes``, than the client takes, and than DNS_AMPLIFICATION_MAX times its
   question; else it is empty and says TC: the client comes by TCP.
5. Where the log could not be written a moment ago, each resolution is recorded before it is answered. One that cannot
   be, or finds no store to read, is SERVFAIL.
6. A message that is itself an answer is dropped: two servers never talk in circles.

Source: RFC 1035 §4, RFC 6891 (EDNS), RFC 5936 §4.2 and RFC 1995 §2 (transfers come by TCP).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from core import limits
from core.errors import NodeError, Outcome
from core.events import LogFullError, ResolutionLog, Via
from core.outcomes import STATUSES
from core.store.engine import Snapshot
from core.store.zone_row import zone_serial
from core.wire.dns import (
    CLASS_IN,
    Asked,
    DnsError,
    Query,
    Rcode,
    Sections,
    Type,
    UnansweredError,
    decode_query,
    encode_answer,
    encode_error,
)
from resolver.zone import ZoneAnswer, Zones

_LOG: Final = logging.getLogger("saltern.dns")
_META: Final = range(128, 256)  # of types: no record has one (RFC 6895 §3.1)
_FAILED: Final = STATUSES[Outcome.OVERLOADED].dns


class Store(Protocol):
    """Where the rows lie."""

    def snapshot(self) -> Snapshot:
        """Begin to read one committed state. Errors: StoreError."""


class Transfers(Protocol):
    """Answers what is not plain: AXFR and IXFR, and what is signed by TSIG."""

    async def answer(self, message: bytes, peer: bytes, send: Callable[[bytes], Awaitable[None]]) -> bool:
        """Answer a message that came by TCP, by any number of messages.

        False where it is nothing for it, and then none was sent. Messages have no length in front. ``send`` waits
        until the client has room, and raises OSError once it is gone. Errors: any, and the connection is closed.
        """

    def answer_datagram(self, message: bytes) -> bytes | None:
        """Answer a message that came by UDP; None where it is nothing for it."""


class _Kept(NamedTuple):
    """An answer that is ready: all behind its number, and what log and metrics are told."""

    rest: bytes
    outcome: Outcome
    identifier: bytes
    rcode: int


class DnsService:
    """Answers the questions of one worker and transport. ``udp_bytes``: the longest answer, None over TCP.

    ``observe`` counts an answer by its rcode.
    """

    def __init__(
        self, store: Store, zones: Zones, log: ResolutionLog, via: Via, *,
        udp_bytes: int | None, observe: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._zones = zones
        self._log = log
        self._via = via
        self._udp_bytes = udp_bytes
        self._observe = observe
        self._snapshot: Snapshot | None = None
        self._each_alone = False  # each resolution is recorded by itself
        self._zone = -1  # serial of the last change that touched one, as what is kept says; -1: nothing is kept
        self._kept: dict[bytes, _Kept] = {}
        self._older: dict[bytes, _Kept] = {}
        self._kept_bytes = 0

    def begin(self) -> None:
        """Begin to answer what has come, from the last committed state."""
        self._each_alone = not self._log.writable
        zone = -1
        try:
            self._snapshot = self._store.snapshot()
            if not self._each_alone:
                zone = zone_serial(self._snapshot)
        except NodeError as error:
            _LOG.error("no question can be answered: %s", error.diagnostics())
        if zone != self._zone:
            self._forget(zone)

    def end(self) -> None:
        """End what ``begin`` began."""
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def answer(self, message: bytes, peer: bytes) -> bytes | None:
        """Return the answer to a message; None where nothing is to be said. Between ``begin`` and ``end``.

        Errors: NotPlain for what another one may answer, or ``refuse``.
        """
        question = message[2:]
        kept = self._kept.get(question) or self._recall(question)
        if kept is None:
            return self._answer(message, peer)
        self._log.resolved(self._via, kept.outcome, peer, kept.identifier)
        self._observe(kept.rcode)
        return message[:2] + kept.rest

    def refuse(self, message: bytes) -> bytes:
        """Return the answer to what is not plain, and nothing for anybody else here."""
        number, recursion_desired = int.from_bytes(message[:2]), message[2] & 1 != 0
        return self._error(DnsError("not plain", Rcode.REFUSED, Asked(number, 0, recursion_desired)))

    def _answer(self, message: bytes, peer: bytes) -> bytes | None:
        try:
            query = decode_query(message)
        except UnansweredError:
            return None
        except DnsError as error:
            return self._error(error)
        refusal = _refusal(query)
        if refusal is None:
            return self._resolved(message, query, peer)
        return self._refused(message, query, refusal)

    def _resolved(self, message: bytes, query: Query, peer: bytes) -> bytes:
        snapshot = self._snapshot
        if snapshot is None:
            return self._refused(message, query, _FAILED)
        try:
            answer = self._zones.answer(snapshot, query.name, query.type)
            octets = self._encoded(message, query, answer.sections)
            self._tell(answer, peer)
        except LogFullError:
            return self._refused(message, query, _FAILED)
        except NodeError as error:
            _LOG.error("a question failed: %s", error.diagnostics())
            return self._refused(message, query, _FAILED)
        except Exception:
            _LOG.exception("a question failed")
            return self._refused(message, query, _FAILED)
        self._observe(answer.sections.rcode)
        if self._zone >= 0:
            self._keep(message[2:], _Kept(octets[2:], answer.outcome, answer.identifier, answer.sections.rcode))
        return octets

    def _tell(self, answer: ZoneAnswer, peer: bytes) -> None:
        """Log a resolution. Errors: LogFullError."""
        if self._each_alone:
            self._log.record(self._via, answer.outcome, peer, answer.identifier, None)
        else:
            self._log.resolved(self._via, answer.outcome, peer, answer.identifier)

    def _encoded(self, message: bytes, query: Query, sections: Sections) -> bytes:
        bytes_max = self._udp_bytes
        if bytes_max is not None:
            bytes_max = min(bytes_max, limits.DNS_AMPLIFICATION_MAX * len(message))
        return encode_answer(query, sections, bytes_max)

    def _refused(self, message: bytes, query: Query, rcode: int) -> bytes:
        self._observe(rcode)
        return self._encoded(message, query, Sections(rcode, authoritative=False))

    def _error(self, error: DnsError) -> bytes:
        self._observe(error.rcode)
        return encode_error(error)

    def _recall(self, question: bytes) -> _Kept | None:
        """Return what is remembered since longer; it is remembered anew."""
        kept = self._older.get(question)
        if kept is not None:
            self._keep(question, kept)
        return kept

    def _keep(self, question: bytes, kept: _Kept) -> None:
        """Remember an answer. Bounds: DNS_ANSWERS_KEPT_MAX, DNS_ANSWERS_KEPT_BYTES.

        Half of them at a time; with the next half those are forgotten that nobody asked for meanwhile. So a flood
        of other questions does not take away what is asked for often.
        """
        size = len(question) + len(kept.rest) + len(kept.identifier)
        full = len(self._kept) >= limits.DNS_ANSWERS_KEPT_MAX // 2
        if full or self._kept_bytes + size > limits.DNS_ANSWERS_KEPT_BYTES // 2:
            self._older, self._kept, self._kept_bytes = self._kept, {}, 0
        self._kept[question] = kept
        self._kept_bytes += size

    def _forget(self, zone: int) -> None:
        """Go on with zones that were touched by another change; -1: with none."""
        self._zone = zone
        self._kept, self._older, self._kept_bytes = {}, {}, 0


def _refusal(query: Query) -> int | None:
    """Return the rcode of a question that is no resolution: of another class, or for a type of no record."""
    if query.class_ != CLASS_IN:
        return Rcode.REFUSED
    if query.type == Type.OPT or (query.type in _META and query.type != Type.ANY):
        return Rcode.NOTIMP
    return None
