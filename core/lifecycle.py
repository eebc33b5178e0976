"""The life of a prefix: states, what moves it from one to the next, and the codes outside.

    draft ── apply ──▶ submitted ── verify ──▶ verifying ── approve ──▶ approved
                          ▲  │ correct              │ correct, reject      │ refer
                    apply │  ▼                      ▼                      ▼
                       needs-correction          rejected ◀─ reject ─ national-review
                              ▲                                            │  │ allocate
                              └───────────── correct ──────────────────────┘  ▼
                       suspended ◀── suspend ── homed ◀───── home ──────── allocated
                           └────── resume ───────▶  ▲
                                       importing ───┘ imported

Rules:

1. Nothing moves but by this table: what is not in it is refused.
2. ``allocate`` is reached only through ``approve``, and nobody approves without an approved
   verification of the party (Measures art. 10). The operator's own prefixes begin as homed,
   by ``saltern init`` alone.
3. What another node exported comes by ``import``, and is answered only when all of it is here.
4. *Synced* is no state: nothing waits for it.
5. ``national-review`` waits where a top node is connected, for its verdict alone; without one it is
   passed at once. What is imported was reviewed where it came from, and the operator's own prefixes
   are given by the national node itself: neither comes to it.

Source: design §4; status and hosting codes: national-node.md §5, as seen in the ecosystem.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from core.store.prefix_rows import DELEGATED


class State(Enum):
    """Where a prefix is. The value is stored: never rename one."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    VERIFYING = "verifying"
    NEEDS_CORRECTION = "needs-correction"
    APPROVED = "approved"
    REJECTED = "rejected"
    NATIONAL_REVIEW = "national-review"
    ALLOCATED = "allocated"
    HOMED = "homed"
    SUSPENDED = "suspended"
    DELETED = "deleted"
    IMPORTING = "importing"  # comes from another node, and is not whole yet


class Event(Enum):
    """What happens to a prefix. The value is stored: never rename one."""

    DRAFT = "draft"
    APPLY = "apply"
    VERIFY = "verify"  # somebody verifies the party, or gives the first of two approvals
    CORRECT = "correct"
    REJECT = "reject"
    APPROVE = "approve"
    REFER = "refer"  # to the national node
    ALLOCATE = "allocate"
    HOME = "home"
    SITE = "site"  # another service site of a delegated prefix
    SUSPEND = "suspend"
    RESUME = "resume"
    DELETE = "delete"
    IMPORT = "import"  # begin to take over what another node exported
    IMPORTED = "imported"
    ABANDON = "abandon"  # give such an import up


_S, _E = State, Event

TRANSITIONS: Final[dict[tuple[State | None, Event], State]] = {
    (None, _E.DRAFT): _S.DRAFT, (_S.DRAFT, _E.DRAFT): _S.DRAFT,
    **dict.fromkeys(
        [(each, _E.APPLY) for each in (None, _S.DRAFT, _S.NEEDS_CORRECTION, _S.REJECTED, _S.DELETED)], _S.SUBMITTED
    ),
    **dict.fromkeys([(each, _E.VERIFY) for each in (_S.SUBMITTED, _S.VERIFYING)], _S.VERIFYING),
    **dict.fromkeys(
        [(each, _E.CORRECT) for each in (_S.SUBMITTED, _S.VERIFYING, _S.NATIONAL_REVIEW)], _S.NEEDS_CORRECTION
    ),
    **dict.fromkeys(
        [
            (each, _E.REJECT)
            for each in (_S.DRAFT, _S.SUBMITTED, _S.VERIFYING, _S.NEEDS_CORRECTION, _S.NATIONAL_REVIEW)
        ],
        _S.REJECTED,
    ),
    **dict.fromkeys([(each, _E.APPROVE) for each in (_S.SUBMITTED, _S.VERIFYING)], _S.APPROVED),
    (_S.APPROVED, _E.REFER): _S.NATIONAL_REVIEW,
    (_S.NATIONAL_REVIEW, _E.ALLOCATE): _S.ALLOCATED,
    (_S.ALLOCATED, _E.HOME): _S.HOMED,
    **{(each, _E.SITE): each for each in (_S.ALLOCATED, _S.HOMED)},
    (_S.HOMED, _E.SUSPEND): _S.SUSPENDED,
    (_S.SUSPENDED, _E.RESUME): _S.HOMED,
    **dict.fromkeys([(each, _E.DELETE) for each in (_S.ALLOCATED, _S.HOMED, _S.SUSPENDED)], _S.DELETED),
    **dict.fromkeys([(each, _E.IMPORT) for each in (None, _S.DRAFT, _S.REJECTED, _S.HOMED)], _S.IMPORTING),
    (_S.IMPORTING, _E.IMPORTED): _S.HOMED,
    (_S.IMPORTING, _E.ABANDON): _S.HOMED,  # of an own prefix that was homed before; others are gone
}  # fmt: skip

STATUS_CODES: Final[dict[State, int]] = {
    _S.DRAFT: 4,
    _S.SUBMITTED: 4,
    _S.VERIFYING: 5,
    _S.NEEDS_CORRECTION: 4,
    _S.APPROVED: 5,
    _S.REJECTED: 3,
    _S.NATIONAL_REVIEW: 5,
    _S.ALLOCATED: 0,
    _S.HOMED: 1,
    _S.SUSPENDED: 0,
    _S.DELETED: 2,
    _S.IMPORTING: 0,
}
"""The status codes of the national ecosystem: 0 stopped, 1 enabled, 2 to be deleted, 3 rejected,
4 waiting for review, 5 in review. Which of our states means which is our reading."""

STATE_LABELS: Final[dict[State, str]] = {
    _S.DRAFT: "草稿",
    _S.SUBMITTED: "待审核",
    _S.VERIFYING: "核验中",
    _S.NEEDS_CORRECTION: "待更正",
    _S.APPROVED: "已通过",
    _S.REJECTED: "已拒绝",
    _S.NATIONAL_REVIEW: "国家节点审核中",
    _S.ALLOCATED: "已分配",
    _S.HOMED: "已启用",
    _S.SUSPENDED: "已暂停",
    _S.DELETED: "已删除",
    _S.IMPORTING: "导入中",
}


def hosting_code(state: State, hosting: str) -> int:
    """Return the hosting code: 1 not hosted, 2 applied for, 3 rejected, 4 hosted."""
    if hosting == DELEGATED:
        return 1
    if state is State.REJECTED:
        return 3
    return 4 if state in (_S.HOMED, _S.SUSPENDED) else 1 if state is _S.DELETED else 2
