"""The national review: what an upstream says of a prefix that this node has approved (national-node.md §5).

1. An upstream that is connected decides, and nobody in its name: the process that asked it says so, as ``upstream:``
   and its id, at this machine.
2. A verdict is about one filing, once. Whatever came between leaves the verdict without effect.
3. Before a prefix is allocated all is looked at again that its approval looked at: a party that failed
   meanwhile gets nothing, and its prefix waits on.
"""

from __future__ import annotations

from typing import Final

from core import limits
from core.errors import Outcome
from core.lifecycle import Event, State
from registry.commands import NationalVerdict, Result
from registry.desk import Desk, require_reason, told
from registry.prefixes import allocate, ask_corrections, dump_application, find_application, move, wrong_time
from registry.refusals import refusal
from registry.upstreams import require_upstream

ACTOR: Final = "upstream:"
"""Begins the name of who passes on a verdict; the id of the upstream follows."""

VERDICTS: Final = {"approved": Event.ALLOCATE, "rejected": Event.REJECT, "asked": Event.CORRECT}


def national_verdict(desk: Desk, command: NationalVerdict) -> Result:
    """Allocate, reject or ask for corrections, as the upstream says."""
    require_upstream(desk, command.upstream)
    if desk.who.name != ACTOR + command.upstream:
        raise refusal("verdict-actor")
    event = VERDICTS.get(command.verdict)
    if event is None:
        raise refusal("verdict", Outcome.INVALID_VALUE, choices=", ".join(VERDICTS))
    fields = _fields(command) if event is Event.CORRECT else ()
    reason = require_reason(command.reason) if command.reason or event is Event.REJECT else ""
    prefix, application = find_application(desk, command.prefix)
    if application.filed_ms != command.filed_ms:
        raise refusal("verdict-filing", Outcome.CONFLICT, prefix=prefix.decode())
    if application.state != State.NATIONAL_REVIEW.value:  # the table lets people here reject in other states, too
        raise wrong_time(prefix, State(application.state), event)
    by = f"upstream {command.upstream}"
    said = f"{by}: {reason}"[: limits.REASON_CHARS_MAX] if reason else by
    if event is Event.CORRECT:
        moved = ask_corrections(desk, prefix, application, fields, said)
    elif event is Event.REJECT:
        moved = move(desk, prefix, application, event, reason=said)
    else:
        moved = allocate(desk, prefix, application, said)
    return told(command.prefix, Outcome.OK, dump_application(prefix, moved))


def _fields(command: NationalVerdict) -> tuple[tuple[str, str], ...]:
    """Return the fields to be corrected; another node may know others than we do. Errors: NodeError."""
    names, chars = [field for field, _ in command.fields], limits.UPSTREAM_FIELD_CHARS_MAX
    right = all(0 < len(name) <= chars and name.isprintable() for name in names)
    if not right or not 0 < len(names) <= limits.CORRECTIONS_MAX:
        raise refusal("verdict-field", Outcome.INVALID_VALUE, fields=limits.CORRECTIONS_MAX, chars=chars)
    return tuple((field, require_reason(reason)) for field, reason in command.fields)
