"""What the registrar enters into the statutory logs: one row of LOG_QUEUE a request, in its transaction (design §4).

1. Of records each one that was written is an entry; of an act of governance the act is, with the digests of
   ``Staging.act_digests``, and records that it wrote are besides. An act of registration or change that changed
   no row is none: it was done before.
2. A refusal is an entry in the stream of what was refused; of a batch one for all of its items. What is
   temporary is none, nor a dry run, nor an answer that is given again.
3. SOURCE_REFUSALS_KEPT_PER_S of one source, REFUSALS_KEPT_PER_S of all; of what strangers can cause
   SOURCE_LOGIN_REFUSALS_KEPT_PER_S and LOGIN_REFUSALS_KEPT_PER_S beside them. What is beyond is
   counted, and how many they were is an entry of its source as soon as a group runs in a later
   second, or the registrar looks, or ends; sources beyond REFUSAL_SOURCES_MAX are counted as one.
4. What is counted is a part of the group: if that fails, nothing of it was counted.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple, cast

from core import limits
from core.clock import Millis, format_instant
from core.errors import NodeError, Outcome
from core.ident.handle import HandleRules
from core.peer import address_of
from core.store.engine import Engine
from core.store.log_rows import DIGEST_BYTES, LogEntry, LogRow
from core.streams import Stream
from core.who import Role, Who
from registry.commands import (
    LOG_IN,
    Actor,
    Add,
    Command,
    Delete,
    Governance,
    Home,
    Modify,
    NoteRefusal,
    Origin,
    Put,
    PutBatch,
    RecordEvents,
    Remove,
    Request,
    Result,
    Unhome,
)
from registry.journal import STRANGERS, entry_of
from registry.probe import Probe
from registry.staging import Noted, Staging
from registry.streams import (
    COUNTED,
    LOGIN,
    RECORD_CHANGE,
    RECORD_CREATE,
    RECORD_DELETE,
    RECORD_WRITE,
    stream_of,
)
from registry.tokens import TEMPORARY

_FINE: Final = (Outcome.OK.value, Outcome.CREATED.value, "unchanged")  # how items of a batch end that were not refused
_COUNTS: Final = b'"counts":'
_IPV6_NETWORK: Final = 8  # octets that one source cannot choose; the rest of an address it can (RFC 4291 §2.5.4)


class _Beyond(NamedTuple):
    """Refusals of one source that were counted only.

    ``origin``: of the first. ``who``: nobody where the source is an address, which may have been many.
    """

    refusals: int
    since_ms: Millis
    origin: Origin
    who: Who


class _Quota:
    """Refusals of one second, and what was beyond. ``kept``: how many are written down; ``of_one``: of one source."""

    def __init__(self, kept: int, of_one: int) -> None:
        self._kept = kept
        self._of_one = of_one
        self._second = 0
        self._taken: dict[bytes, int] = {}
        self._beyond: dict[bytes, _Beyond] = {}

    def copy(self) -> _Quota:
        """Return one that goes on from here."""
        other = _Quota(self._kept, self._of_one)
        other._second, other._taken, other._beyond = self._second, dict(self._taken), dict(self._beyond)
        return other

    def admits(self, now_ms: Millis, origin: Origin, who: Who) -> bool:
        """Whether one more is written down; else it is counted."""
        self._turn(now_ms)
        source = _source(origin, who)
        taken = self._taken.get(source, 0)
        if taken < self._of_one and sum(self._taken.values()) < self._kept:
            self._taken[source] = taken + 1
            return True
        if source not in self._beyond and len(self._beyond) >= limits.REFUSAL_SOURCES_MAX:
            source, origin, who = b"", Origin(), Who()
        known = self._beyond.get(source, _Beyond(0, now_ms, origin, Who() if origin.peer else who))
        self._beyond[source] = known._replace(refusals=known.refusals + 1)
        return False

    def waits(self, now_ms: Millis, *, last: bool) -> bool:
        """Whether something was counted in earlier seconds; if it is the ``last`` time to ask, in this one too."""
        return bool(self._beyond) and (last or self._second != now_ms // 1_000)

    def counted(self, now_ms: Millis, *, last: bool) -> list[_Beyond]:
        """Return what waits; it is told once."""
        if not self.waits(now_ms, last=last):
            return []
        counted = list(self._beyond.values())
        self._beyond = {}
        return counted

    def _turn(self, now_ms: Millis) -> None:
        second = now_ms // 1_000
        if second != self._second:
            self._second, self._taken = second, {}


class Logbook:
    """Enters what requests did and were refused."""

    def __init__(self, rules: HandleRules) -> None:
        self._rules = rules
        self._known = _Quota(limits.REFUSALS_KEPT_PER_S, limits.SOURCE_REFUSALS_KEPT_PER_S)
        self._strangers = _Quota(limits.LOGIN_REFUSALS_KEPT_PER_S, limits.SOURCE_LOGIN_REFUSALS_KEPT_PER_S)

    def told(self, store: Engine, now_ms: Millis, *, last: bool = False) -> Logbook:
        """Enter what was only counted, though no group runs; return the book from now on. ``last``: the registrar ends.

        Errors: StoreError, StorePanicError; then it is told with the next group.
        """
        if not any(quota.waits(now_ms, last=last) for quota in (self._known, self._strangers)):
            return self
        with store.snapshot() as snapshot:
            staging = Staging(snapshot)
            book = self.begin(staging, now_ms, last=last)
            store.commit(staging.batch())
        return book

    def begin(self, staging: Staging, now_ms: Millis, *, last: bool = False) -> Logbook:
        """Return the book of one group; it takes the place of this one once the group is committed."""
        book = Logbook(self._rules)
        book._known, book._strangers = self._known.copy(), self._strangers.copy()
        for each in (*book._known.counted(now_ms, last=last), *book._strangers.counted(now_ms, last=last)):
            staging.log(LogRow(now_ms, each.who, *each.origin, (_counted_entry(each),)))
        return book

    def enter(self, staging: Staging, request: Request, who: Who | None, now_ms: Millis, result: Result) -> None:
        """Stage the row of a request. ``who`` asked, as far as it was looked at."""
        command = request.command
        known = who_said(request.actor) if who is None else who
        noted: list[Noted | LogEntry] = list(staging.noted())
        if isinstance(command, NoteRefusal) or not result.done:
            refusal = None if result.outcome in TEMPORARY else _entry(known, now_ms, command, result)
        else:
            noted[:0] = _acts(staging, known, now_ms, command, result)
            refusal = _refused_items(known, now_ms, command, result)
        if refusal is not None:
            refusal = self._in_its_stream(refusal, staging, command)
            if self._admits(now_ms, request.origin, known, refusal):
                noted.append(refusal)
        if noted:
            staging.log(LogRow(now_ms, known, *request.origin, cast("tuple[LogEntry, ...]", tuple(noted))))

    def _admits(self, now_ms: Millis, origin: Origin, who: Who, refusal: LogEntry) -> bool:
        strange = who == Who() or refusal.action in STRANGERS
        return (self._strangers if strange else self._known).admits(now_ms, origin, who)

    def _in_its_stream(self, refusal: LogEntry, staging: Staging, command: Command) -> LogEntry:
        """Return the refusal as that of the act that was refused, which of a record depends on whether it is there."""
        match command:
            case PutBatch():
                action = RECORD_WRITE
            case Delete():
                action = RECORD_DELETE
            case Put():
                action = RECORD_CREATE if command.mint or not self._is_there(staging, command.handle) else RECORD_CHANGE
            case Add() | Modify() | Remove():
                action = RECORD_CHANGE
            case _:
                return refusal
        return refusal._replace(stream=stream_of(action).value, action=action)

    def _is_there(self, staging: Staging, handle: str) -> bool:
        try:
            return staging.record_row(self._rules.key(handle)) is not None
        except (NodeError, UnicodeError):
            return False


def who_said(actor: Actor) -> Who:
    """Return who asks as he says it, where nothing of it was looked at."""
    if actor.local:
        return Who(Role.LOCAL.value, actor.name.strip() or Role.LOCAL.value, actor.uid)
    if actor.identity is None:
        return Who(token=actor.bearer)
    return Who(name=f"{actor.identity.value_index}:{actor.identity.handle}")


def _source(origin: Origin, who: Who) -> bytes:
    """Return whose refusals are counted together: those of an address, or where there is none of a person."""
    address = address_of(origin.peer)
    return address[:_IPV6_NETWORK] if address else f"{origin.protocol}\0{who.proof}".encode(errors="replace")


def _acts(staging: Staging, who: Who, now_ms: Millis, command: Command, result: Result) -> list[LogEntry]:
    """Return the entry of what was done; none of records, which are noted one by one, of probes, of no change."""
    if not isinstance(command, Governance | Home | Unhome) or isinstance(command, Probe):
        return []
    entry = _entry(who, now_ms, command, result)
    before, after = staging.act_digests()
    if not (before or after) and entry.stream != Stream.MAINTENANCE.value:
        return []
    return [entry._replace(before=before, after=after)]


def _entry(who: Who, now_ms: Millis, command: Command, result: Result) -> LogEntry:
    """Return what the journal says of an act or a refusal as an entry of the log."""
    told = entry_of(who, now_ms, command, result)
    action = LOGIN if told.action == LOG_IN else _text(told.action)
    return LogEntry(
        stream_of(action).value, action, _text(told.object), outcome=_text(told.outcome), rule=_text(told.rule),
        reason=_text(told.reason), evidence=told.evidence if len(told.evidence) == DIGEST_BYTES else b"",
    )  # fmt: skip


def _refused_items(who: Who, now_ms: Millis, command: Command, result: Result) -> LogEntry | None:
    """Return the refusal of items of a batch, one for all of them: how many, and how they ended."""
    if not isinstance(command, PutBatch | RecordEvents):
        return None
    counts: dict[str, int] = json.loads(result.body[result.body.rindex(_COUNTS) + len(_COUNTS) : -1])
    refused = {ended: count for ended, count in counts.items() if ended not in _FINE}
    if not refused:
        return None
    told = ", ".join(f"{ended} {count}" for ended, count in refused.items())
    reason = f"{sum(refused.values())} of {sum(counts.values())} items: {told}"
    ended = Outcome(next(iter(refused)))
    return _entry(who, now_ms, command, result._replace(outcome=ended, rule=result.rule or ended.value, message=reason))


def _counted_entry(beyond: _Beyond) -> LogEntry:
    reason = f"{beyond.refusals} refusals were not entered one by one, since {format_instant(beyond.since_ms)}"
    return LogEntry(stream_of(COUNTED).value, COUNTED, "", outcome=Outcome.RATE_LIMITED.value, reason=reason)


def _text(text: str) -> str:
    """Return a text that can be stored: what is no character is replaced."""
    return text.encode(errors="replace").decode()
