"""What the journal says of an act or a refusal, and how many refusals it takes.

1. An entry of an act is staged with the act. A refusal is an entry of its own: every one of an act
   of governance, and of a record those of a right.
2. A refusal names a rule: of ``registry/refusals.py``, or else the outcome.
3. REFUSALS_KEPT_PER_S: a flood of refusals must not fill the disk; what is beyond is counted in the log.
   Failed log-ins and complaints, which any stranger can cause, have LOGIN_REFUSALS_KEPT_PER_S of
   their own: no flood of them hides another refusal.
"""

from __future__ import annotations

import json
import logging
from typing import Final

from core import limits
from core.clock import Millis
from core.errors import Outcome
from core.store.journal_rows import Entry, dump_entry
from core.who import Who
from registry.alias_commands import AddAlias, RemoveAlias
from registry.commands import (
    LOG_IN,
    Command,
    Governance,
    Home,
    ImportLines,
    NationalVerdict,
    NoteAct,
    NoteRefusal,
    PutBatch,
    ReportIncident,
    Result,
    ReviewPrefix,
    Unhome,
    UpdateIncident,
    VerifyParty,
)
from registry.governance import call_of, object_of
from registry.probe import Probe
from registry.refusals import RULES
from registry.staging import Staging
from registry.tokens import TEMPORARY
from registry.upstream_commands import ConnectUpstream, TakeChange

_LOG: Final = logging.getLogger("saltern.refusals")
_REFUSED: Final = (
    Outcome.FORBIDDEN, Outcome.ACCESS_DENIED, Outcome.AUTHENTICATION_FAILED, Outcome.REGISTRATION_CLOSED, Outcome.HELD,
)  # fmt: skip
STRANGERS: Final = (LOG_IN, "complaint.file")
"""Acts that any stranger can be refused."""

_CALL_CHARS_MAX: Final = 40


class _Quota:
    """So many entries of a second. ``what`` they are is told where more come."""

    def __init__(self, kept: int, what: str) -> None:
        self._kept = kept
        self._what = what
        self._second = 0
        self._count = 0

    def admits(self, now_ms: Millis) -> bool:
        """Whether one more is written down in this second."""
        second = now_ms // 1_000
        if second != self._second:
            more = self._count - self._kept
            if more > 0:
                _LOG.warning("%d more %s of one second were not written down", more, self._what)
            self._second, self._count = second, 0
        self._count += 1
        return self._count <= self._kept


class Journal:
    """Enters what a group did and what it was refused."""

    def __init__(self) -> None:
        self._refusals = _Quota(limits.REFUSALS_KEPT_PER_S, "refusals")
        self._strangers = _Quota(limits.LOGIN_REFUSALS_KEPT_PER_S, "refusals of strangers")

    def enter(self, staging: Staging, who: Who, now_ms: Millis, command: Command, result: Result) -> None:
        """Stage the entry of an act of governance, or of a refusal."""
        if isinstance(command, PutBatch) and result.done and result.rule:
            result = result._replace(outcome=Outcome.FORBIDDEN)  # some of its items were refused
        governance = isinstance(command, Governance | Home | Unhome)
        if not governance and result.outcome not in _REFUSED:
            return
        if isinstance(command, ImportLines | NoteAct | Probe) and result.done:
            return  # the acts that begin and end an import tell of its lines; what is noted is in the log alone
        if not result.done and result.outcome in TEMPORARY:
            return
        entry = entry_of(who, now_ms, command, result)
        if result.done and not isinstance(command, NoteRefusal):
            staging.enter(entry)
        elif (self._strangers if who == Who() or entry.action in STRANGERS else self._refusals).admits(now_ms):
            _LOG.info("refused %s", json.dumps(dump_entry(entry), ensure_ascii=False))
            staging.enter(entry)


def entry_of(who: Who, now_ms: Millis, command: Command, result: Result) -> Entry:
    """Return what the journal says of an act or a refusal. Bounds: what was asked is cut."""
    if isinstance(command, NoteRefusal):
        rule, reason, outcome = command.rule or command.outcome, command.reason, command.outcome
    elif result.done:
        rule, reason, outcome = "", _given(command, result), result.outcome.value
    else:
        outcome = result.outcome.value
        rule = result.rule or outcome
        reason = result.message or "。".join(RULES.get(rule, ()))
    return Entry(
        now_ms, who, call_of(command)[:_CALL_CHARS_MAX],
        (result.handle or object_of(command))[: limits.HANDLE_CHARS_MAX], outcome[:_CALL_CHARS_MAX],
        rule[:_CALL_CHARS_MAX], reason[: limits.REASON_CHARS_MAX], getattr(command, "evidence", b""),
    )  # fmt: skip


def _given(command: Command, result: Result) -> str:
    """Return what somebody gave as his reason or verdict; of an incident what he changed, without its texts.

    Of an alias it is what that names.
    """
    if isinstance(command, NationalVerdict):
        fields = (f"{field}: {reason}" for field, reason in command.fields)
        return "; ".join(filter(None, (command.verdict, command.reason, *fields)))
    if isinstance(command, ConnectUpstream):
        return command.url
    if isinstance(command, ReviewPrefix):
        asked = "; ".join(f"{field}: {reason}" for field, reason in command.correct)
        return "approve" if command.approve else f"reject: {command.reject}" if command.reject else f"correct: {asked}"
    if isinstance(command, VerifyParty):
        return f"{command.method}: {command.failed}" if command.failed else command.method
    if isinstance(command, ReportIncident):
        return command.to
    if isinstance(command, UpdateIncident | TakeChange | AddAlias | RemoveAlias):
        return result.message
    return ": ".join(filter(None, (getattr(command, "order", ""), getattr(command, "reason", ""))))
