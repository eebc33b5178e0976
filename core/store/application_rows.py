"""Rows of the table APPLICATIONS, keyed by the folded prefix: who holds it, and how that came about.

0  1  version (1)
1     msgpack map: state, party, hosting, site, filed_ms, filer, corrections, approvals, held, steps, filers

A prefix that the operator holds by itself has a row without a party. The newest APPLICATION_STEPS
steps are kept here; all of them are entries of the journal.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgpack

from core import limits
from core.clock import Millis, read_millis
from core.errors import StoreError
from core.lifecycle import Event, State
from core.store.prefix_rows import HOSTINGS
from core.who import Who, unpack_who

_VERSION: Final = b"\x01"


class Step(NamedTuple):
    """One thing that happened: values of Event and of State. ``evidence``: SHA-256, empty without."""

    at_ms: Millis
    event: str
    state: str
    who: Who
    reason: str = ""
    evidence: bytes = b""


class Application(NamedTuple):
    """The application for a prefix, and what became of it.

    ``state``: value of State. ``site``: JSON as it was filed, empty for a hosted prefix.
    ``corrections``: field and reason. ``approvals``: who has approved so far. ``held``: its name
    needs a second reviewer. ``filers``: who filed it since it last ended; none of them reviews it.
    """

    state: str
    party: str
    hosting: str
    site: bytes
    filed_ms: Millis
    filer: Who
    corrections: tuple[tuple[str, str], ...] = ()
    approvals: tuple[Who, ...] = ()
    held: bool = False
    steps: tuple[Step, ...] = ()
    filers: tuple[Who, ...] = ()

    @property
    def own(self) -> bool:
        """Whether it is the operator's own prefix."""
        return not self.party


def pack_application(application: Application) -> bytes:
    """Return the row of an application."""
    kept = application._replace(steps=application.steps[-limits.APPLICATION_STEPS :])
    row: bytes = msgpack.packb(kept._asdict())
    return _VERSION + row


def unpack_application(row: bytes) -> Application:
    """Read the row of an application. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        members = msgpack.unpackb(row[1:])
        application = Application(**members)
        State(application.state)
        if not (isinstance(application.party, str) and isinstance(application.site, bytes)):
            raise ValueError("party or site")
        if application.hosting not in HOSTINGS or not isinstance(application.held, bool):
            raise ValueError("hosting or held")
        return application._replace(
            filed_ms=read_millis(application.filed_ms),
            filer=unpack_who(application.filer),
            corrections=tuple((str(field), str(reason)) for field, reason in application.corrections),
            approvals=tuple(map(unpack_who, application.approvals)),
            filers=tuple(map(unpack_who, application.filers)),
            steps=tuple(map(_step, application.steps)),
        )
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of applications cannot be read: {error}") from None


def _step(packed: Any) -> Step:
    at_ms, event, state, who, reason, evidence = packed
    if not (isinstance(reason, str) and isinstance(evidence, bytes)):
        raise ValueError("reason or evidence")
    return Step(read_millis(at_ms), Event(event).value, State(state).value, unpack_who(who), reason, evidence)
