"""What a top node registered while it answered for this node, asked for until all of it is here.

Asked each HANDED_LOOK_S, as nobody tells a node that it was taken over; more often while it is. The number of
the last change that is here lies in the store, written with the change (``registry/handed.py``): whatever answer is
lost, nothing is taken twice or left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core import limits
from core.clock import TIME_MS_END, Millis
from core.errors import NodeError, Outcome
from core.store.engine import Batch, Engine, Table
from core.store.handed_rows import Seen, handed_state, kept_of, kept_range, pack, seen_key, seen_of
from sync.link import Asks, RefusalError, UpstreamError
from sync.messages import HandBack, Handed, Made
from sync.words import visible

_NOT_TAKEN: Final = "not-taken"  # a top node that hands nothing back
_NAME_CHARS_MAX: Final = 64
_QUESTIONS: Final = limits.EMERGENCY_CHANGES_MAX // limits.HANDED_PAGE + 2  # of one takeover, and what came meanwhile

Tell = Callable[[str, Made], None]
"""Has the registrar take a change of a takeover. Errors: HandingError."""


class HandingError(NodeError):
    """The registrar does not take a change just now; it is asked for again."""

    outcome = Outcome.OVERLOADED


def take_back(engine: Engine, upstream: str, link: Asks, tell: Tell, now_ms: Callable[[], Millis]) -> bool:
    """Take what was registered above; return whether the takeover is still on, or there may be more to take.

    Bounds: as many questions as the changes of one takeover fill answers; what a top node says beyond waits.
    Errors: UpstreamError, RefusalError, HandingError: what was taken stays taken.
    """
    for _ in range(_QUESTIONS):
        with engine.snapshot() as snapshot:
            state = handed_state(snapshot, upstream)
            listed = kept_of(snapshot.scan(Table.HANDED_BACK, *kept_range(upstream)))
            kept = tuple(number for number, change in listed if change.takeover == state.takeover)
        try:
            handed = link.ask(HandBack(state.takeover, state.taken, kept), Handed)
        except RefusalError as error:
            if error.rule == _NOT_TAKEN:
                return False
            raise
        if not handed.takeover:
            _note(engine, upstream, "", now_ms())
            return False
        _require_order(handed, state.taken if handed.takeover == state.takeover else 0)
        over = handed.over and not handed.changes
        _note(engine, upstream, "" if over else handed.takeover, now_ms())
        for made in handed.changes:
            tell(handed.takeover, made._replace(who=visible(made.who, _NAME_CHARS_MAX)))
        if not handed.changes:
            return not over
    return True


def _require_order(handed: Handed, taken: int) -> None:
    """Errors: UpstreamError for an answer that leaves changes out, or has one that cannot be kept."""
    name = handed.takeover
    if len(name) > _NAME_CHARS_MAX or not name.isascii() or not name.isprintable():
        raise UpstreamError("上级节点的接管编号无效。The top node's takeover has no id that can be kept")
    if [made.number for made in handed.changes] != list(range(taken + 1, taken + 1 + len(handed.changes))):
        raise UpstreamError("上级节点移交的登记不连续。The top node leaves out changes that it hands back")
    for made in handed.changes:
        if made.at_ms >= TIME_MS_END or len(made.handle) > limits.HANDLE_CHARS_MAX:
            raise UpstreamError(
                "上级节点移交的登记不可能是登记所得。The top node hands back what nobody can have registered"
            )


def _note(engine: Engine, upstream: str, takeover: str, now_ms: Millis) -> None:
    """Keep which takeover is on, empty for none; nothing is written where that is known."""
    with engine.snapshot() as snapshot:
        known = seen_of(snapshot, upstream)
    if takeover:
        seen = Seen(takeover, now_ms)
        if known is not None and known.takeover == takeover and not known.over_ms:
            return
    else:
        if known is None or known.over_ms:
            return
        seen = known._replace(over_ms=now_ms)
    batch = Batch()
    batch.put(Table.HANDED_BACK, seen_key(upstream), pack(seen))
    engine.commit(batch)
