"""What was done or refused elsewhere than in the registrar, and is passed on to it to be written down.

A log-in is decided by a worker; a key of unit codes, a pack for an inspector, a report, a backup and a deposit are
made by the command line. Of the node's own probe of registration nothing is written down but that it came through.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from core.admission import Identity
from core.downtime import CANCEL_ACT, PLAN_ACT, downtime_fault, parse_downtime
from core.errors import NodeError, Outcome, StoreError
from core.store.engine import Table
from registry.commands import ANONYMOUS, LOG_IN, Actor, NoteAct, NoteRefusal, Origin, Request, Result
from registry.desk import Desk, require_reason
from registry.probe import PROBE_KEY, Probe
from registry.refusals import refusal
from registry.roles import CALL_NAMED, allows
from registry.standing import require_role
from registry.streams import LOGIN

LOT_REKEY = "lot.rekey"
INSPECTION = "report.inspection"
MONTH_REPORT = "report.month"
BACKUP = "backup"
ESCROW = "escrow.deposit"
_AT_THIS_MACHINE = (LOT_REKEY, INSPECTION, MONTH_REPORT, PLAN_ACT, CANCEL_ACT, BACKUP, ESCROW)
_TIME_BYTES = 8


class Registrar(Protocol):
    """What notes need of the registrar."""

    async def call(self, request: Request) -> Result:
        """Have a request run."""


class Notes:
    """Passes notes on. Nobody is refused anything for want of one: without a registrar it is not written down."""

    def __init__(self, registrar: Registrar, count_refusal: Callable[[], None] = lambda: None) -> None:
        """Take the registrar, and what counts each failure to prove who somebody is."""
        self._registrar = registrar
        self._count_refusal = count_refusal

    async def failed(self, error: NodeError, origin: Origin) -> None:
        """Note that somebody failed to prove who he is; nothing of an error that names nobody."""
        claim = str(error.fields.get("claim", ""))
        if claim:
            self._count_refusal()
            note = NoteRefusal(LOG_IN, claim, error.ended.value, "", error.message)
            await self._pass_on(Request(note, ANONYMOUS, sent=origin))

    async def logged_in(self, identity: Identity, origin: Origin) -> None:
        """Note that somebody proved who he is, and a session stands for it."""
        note = NoteAct(LOGIN, f"{identity.value_index}:{identity.handle}")
        await self._pass_on(Request(note, Actor(identity), sent=origin))

    async def _pass_on(self, request: Request) -> None:
        with contextlib.suppress(StoreError):
            await self._registrar.call(request)


def require_noted(desk: Desk, note: NoteAct) -> None:
    """Errors: NodeError for what is no note, or not that of who asks."""
    standing, action = desk.standing, note.action
    if action == LOGIN:
        require_role(standing, bool(standing.who.name))
    elif action in _AT_THIS_MACHINE:
        require_role(standing, allows(CALL_NAMED[action], standing.role))
    else:
        raise refusal("event", Outcome.INVALID_VALUE, choices=", ".join((LOGIN, *_AT_THIS_MACHINE)))
    if action in (PLAN_ACT, CANCEL_ACT):
        _require_downtime(desk, note)


def _require_downtime(desk: Desk, note: NoteAct) -> None:
    """Errors: NodeError for a downtime that nobody may plan, or plans without a reason."""
    fault = downtime_fault(parse_downtime(note.object), desk.now_ms)
    if fault is not None:
        raise refusal("downtime", Outcome.INVALID_VALUE, error_zh=fault[0], error_en=fault[1])
    if note.reason or note.action == PLAN_ACT:
        require_reason(note.reason)


def probe(desk: Desk, _: Probe) -> Result:
    """Have something to commit, and no more."""
    desk.staging.put(Table.META, PROBE_KEY, desk.now_ms.to_bytes(_TIME_BYTES, "big"))
    return Result(Outcome.OK)
