"""The national review of prefixes at the reference top node: at once, or by a person (``TopStore.decide``).

1. A prefix that another node has, or has applied for, is rejected, whoever reviews.
2. At once: approved if the prefix is below the node's own and the party's data (T6) are here; without them it waits
   for them. Every question looks again.
3. By a person: it waits. A verdict stands until the node files again, with a later time.
"""

from __future__ import annotations

from typing import Final

from core import limits
from core.clock import Millis
from core.errors import IdentifierError
from core.ident.handle import HandleRules, PrefixKey, check_prefix
from sync.messages import Review, Verdict
from sync.table import TableKind
from sync.topnode.refusals import RefusalError
from sync.topnode.rows import APPROVED, ENROLLED, REJECTED, WAITING, Node, ReviewRow
from sync.topnode.store import Change
from sync.topnode.takings import HANDLE, is_within

AUTOMATIC: Final = "automatic"
MANUAL: Final = "manual"

_TAKEN: Final = "前缀已属于其他节点，或其他节点已申请。The prefix is another node's, or another node applied for it"
_LATER: Final = "该前缀另有更晚的申请。There is a later application for this prefix"
_FOREIGN: Final = "前缀不在该节点的前缀之下。The prefix is not below that of the node"
_NO_PARTY: Final = "尚未收到主体资料。The party's data (T6) have not come yet"
_RULES: Final = HandleRules(prefix_length_max=limits.PREFIX_CHARS_MAX)


def take_review(
    change: Change, node: Node, message: Review, subjects: TableKind, *, automatic: bool, now_ms: Millis
) -> Verdict:
    """Answer an application. ``subjects``: T6. Errors: RefusalError."""
    prefix = folded_prefix(message.prefix, "review")
    require_texts("review", message.party, message.hosting)
    known = change.review(prefix)
    if _is_taken(change, node, prefix, known):
        return Verdict(REJECTED, _TAKEN, ())
    if known is not None and known.node_id == node.node_id:
        if known.filed_ms > message.filed_ms:
            return Verdict(REJECTED, _LATER, ())
        if known.filed_ms == message.filed_ms and (known.verdict != WAITING or not automatic):
            return Verdict(known.verdict, known.reason, known.fields)
    row = ReviewRow(message.prefix, node.node_id, message.party, message.hosting, message.filed_ms)
    if automatic:
        verdict, reason = _judged(change, node, prefix, message.party, subjects)
        row = row._replace(verdict=verdict, reason=reason)
        if verdict != WAITING:
            row = row._replace(at_ms=now_ms, by=AUTOMATIC)
    change.put_review(prefix, row)
    return Verdict(row.verdict, row.reason, row.fields)


def folded_prefix(prefix: str, rule: str) -> PrefixKey:
    """Return a prefix as prefixes are compared. Errors: RefusalError."""
    try:
        return check_prefix(prefix, _RULES)
    except IdentifierError:
        raise RefusalError(rule) from None


def require_texts(rule: str, *texts: str) -> None:
    """Texts of a node are short and visible: people read them. Errors: RefusalError."""
    if not all(len(text) <= limits.TOPNODE_TEXT_CHARS_MAX and text.isprintable() for text in texts):
        raise RefusalError(rule)


def _is_taken(change: Change, node: Node, prefix: bytes, known: ReviewRow | None) -> bool:
    if change.claimed_by_other(node.node_id, HANDLE + prefix):
        return True
    if known is None or known.node_id == node.node_id or known.verdict == REJECTED:
        return False
    other = change.node(known.node_id)
    return other is not None and other.enrolment == ENROLLED


def _judged(change: Change, node: Node, prefix: bytes, party: str, subjects: TableKind) -> tuple[str, str]:
    """Return verdict and reason."""
    if prefix == node.prefix.encode().upper() or not is_within(prefix, node.prefix):
        return REJECTED, _FOREIGN
    return (APPROVED, "") if change.has(node.node_id, subjects, party.encode()) else (WAITING, _NO_PARTY)
