"""Prefixes that the operator holds by itself: they become its own when the node is made.

Later they can only be homed otherwise, unhomed and homed again, as the Handle protocol's
operations 300 and 301 do. Another operator's own comes by ``registry/transfer.py``. A prefix that
a party applied for is not touched here.
"""

from __future__ import annotations

from core.errors import Outcome, RecordError, ResponsibilityError
from core.ident.handle import PrefixKey, check_prefix
from core.lifecycle import Event, State
from core.store.application_rows import Application, Step, pack_application, unpack_application
from core.store.engine import Table
from core.store.homing import FOREIGN
from core.store.prefix_rows import HOSTINGS, HomedPrefix, pack_prefix, unpack_prefix
from registry.codes import add_code
from registry.commands import Home, Unhome
from registry.desk import Desk
from registry.holds import require_no_hold
from registry.prefixes import require_move
from registry.refusals import refusal


def home(desk: Desk, command: Home, *, founding: bool) -> Outcome:
    """Answer for a prefix of the operator's own. ``founding``: it becomes that. Errors: NodeError."""
    prefix = check_prefix(command.prefix, desk.rules)
    if command.hosting not in HOSTINGS:
        raise RecordError(f"hosting {command.hosting[:40]!r} is none of {', '.join(HOSTINGS)}")
    old = desk.staging.get(Table.PREFIXES, prefix)
    application = _application(desk, prefix)
    if application is not None and not application.own and _is_homed_so(old, command):
        return Outcome.OK  # as it was allocated
    if not application.own if application else not founding and old is None:
        raise refusal("application-needed", prefix=command.prefix)
    _require_not_suspended(prefix, application)
    if old is not None and unpack_prefix(old).hosting == command.hosting:
        return Outcome.OK
    desk.home(prefix, pack_prefix(HomedPrefix(command.hosting, desk.now_ms)))
    _put_own(desk, prefix, application, Event.HOME, command.hosting)
    add_code(desk.staging, prefix)
    return Outcome.CREATED if old is None else Outcome.OK


def _is_homed_so(row: bytes | None, command: Home) -> bool:
    homed = None if row is None else unpack_prefix(row)
    return homed is not None and homed.hosting == command.hosting and not homed.suspended


def unhome(desk: Desk, command: Unhome) -> Outcome:
    """Answer for a prefix of the operator's own no longer. Errors: NodeError."""
    prefix = check_prefix(command.prefix, desk.rules)
    old = desk.staging.get(Table.PREFIXES, prefix)
    if old is None:
        raise ResponsibilityError(FOREIGN)
    application = _application(desk, prefix)
    if application is not None and not application.own:
        raise refusal("allocated", prefix=command.prefix)
    _require_not_suspended(prefix, application)
    require_no_hold(desk.staging, prefix)
    desk.home(prefix, None)
    _put_own(desk, prefix, application, Event.DELETE, unpack_prefix(old).hosting)
    return Outcome.OK


def _application(desk: Desk, prefix: PrefixKey) -> Application | None:
    """Return the row of a prefix; one that was homed by a version without applications has none, and is own."""
    row = desk.staging.get(Table.APPLICATIONS, prefix)
    return None if row is None else unpack_application(row)


def _require_not_suspended(prefix: PrefixKey, application: Application | None) -> None:
    """Errors: NodeError(CONFLICT): what is suspended is resumed first, so that nothing lifts it unseen."""
    if application is not None and application.state in (State.SUSPENDED.value, State.IMPORTING.value):
        require_move(prefix, application, Event.HOME)


def _put_own(desk: Desk, prefix: PrefixKey, old: Application | None, event: Event, hosting: str) -> None:
    state = State.HOMED if event is Event.HOME else State.DELETED
    step = Step(desk.now_ms, event.value, state.value, desk.who)
    steps = (*(old.steps if old else ()), step)
    application = Application(state.value, "", hosting, b"", desk.now_ms, desk.who, steps=steps)
    desk.staging.put(Table.APPLICATIONS, prefix, pack_application(application))
