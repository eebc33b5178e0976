"""The national review, as a node asks for it: which prefixes wait, and a verdict as it can be kept."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

from core import limits
from core.lifecycle import State
from core.store.application_rows import unpack_application
from core.store.engine import Snapshot, Table
from sync.messages import Review, Verdict
from sync.words import visible

WAITING: Final = "waiting"
APPROVED: Final = "approved"
REJECTED: Final = "rejected"
ASKED: Final = "asked"

_STATE: Final = State.NATIONAL_REVIEW.value
_MARK: Final = _STATE.encode()  # few rows have it, and only these are read
_WHOLE: Final = "prefix"  # stands for a field where none is named
_UNSAID: Final = "国家顶级节点未说明理由。The national node gives no reason"


def waiting(snapshot: Snapshot) -> list[Review]:
    """Return the prefixes that wait for a verdict, the one that was filed first in front.

    Bounds: UPSTREAM_REVIEWS_MAX. Errors: StoreError.
    """
    return heapq.nsmallest(limits.UPSTREAM_REVIEWS_MAX, _waiting(snapshot), key=lambda review: review.filed_ms)


def fitted(verdict: Verdict) -> Verdict:
    """Return a verdict that the registrar takes, whatever the top node wrote: cut, in visible characters.

    One that is no approval has a reason, and one that asks for corrections names a field.
    """
    reason = visible(verdict.reason, limits.REASON_CHARS_MAX)
    if verdict.verdict == APPROVED:
        return Verdict(verdict.verdict, reason, ())
    reason = reason or _UNSAID
    if verdict.verdict != ASKED:
        return Verdict(verdict.verdict, reason, ())
    fields = tuple(
        (visible(name, limits.UPSTREAM_FIELD_CHARS_MAX) or _WHOLE, visible(why, limits.REASON_CHARS_MAX) or reason)
        for name, why in verdict.fields[: limits.CORRECTIONS_MAX]
    )
    return Verdict(verdict.verdict, reason, fields or ((_WHOLE, reason),))


def _waiting(snapshot: Snapshot) -> Iterator[Review]:
    for key, row in snapshot.scan(Table.APPLICATIONS, b""):
        if _MARK not in row:
            continue
        application = unpack_application(row)
        if application.state == _STATE:
            yield Review(key.decode(), application.party, application.hosting, application.filed_ms)
