"""What was done or refused elsewhere than in the registrar, and is passed on to it to be written down.

A log-in is decided by a worker, a key of unit codes and a pack for an inspector are made by the command line.
"""

from __future__ import annotations

import contextlib
from typing import Protocol

from core.admission import Identity
from core.errors import NodeError, Outcome, StoreError
from registry.commands import ANONYMOUS, LOG_IN, Actor, NoteAct, NoteRefusal, Origin, Request, Result
from registry.refusals import refusal
from registry.roles import CALL_NAMED, allows
from registry.standing import Standing, require_role
from registry.streams import LOGIN

LOT_REKEY = "lot.rekey"
INSPECTION = "report.inspection"
_AT_THIS_MACHINE = (LOT_REKEY, INSPECTION)


class Registrar(Protocol):
    """What notes need of the registrar."""

    async def call(self, request: Request) -> Result:
        """Have a request run."""


class Notes:
    """Passes notes on. Nobody is refused anything for want of one: without a registrar it is not written down."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar

    async def failed(self, error: NodeError, origin: Origin) -> None:
        """Note that somebody failed to prove who he is; nothing of an error that names nobody."""
        claim = str(error.fields.get("claim", ""))
        if claim:
            note = NoteRefusal(LOG_IN, claim, error.ended.value, "", error.message)
            await self._pass_on(Request(note, ANONYMOUS, sent=origin))

    async def logged_in(self, identity: Identity, origin: Origin) -> None:
        """Note that somebody proved who he is, and a session stands for it."""
        note = NoteAct(LOGIN, f"{identity.value_index}:{identity.handle}")
        await self._pass_on(Request(note, Actor(identity), sent=origin))

    async def _pass_on(self, request: Request) -> None:
        with contextlib.suppress(StoreError):
            await self._registrar.call(request)


def require_noted(standing: Standing, action: str) -> None:
    """Errors: NodeError for what is no note, or not that of who asks."""
    if action == LOGIN:
        require_role(standing, bool(standing.who.name))
    elif action in _AT_THIS_MACHINE:
        require_role(standing, allows(CALL_NAMED[action], standing.role))
    else:
        raise refusal("event", Outcome.INVALID_VALUE, choices=", ".join((LOGIN, *_AT_THIS_MACHINE)))
