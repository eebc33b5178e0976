"""Incidents: kinds, severities, states, what moves one to the next, and what closing one needs.

    (none) ── open ──▶ open ── report ──▶ reported ── close ──▶ closed
                        │ update            │ update, report       │ report: a last revision
                        └──────────────── close, where no report is needed ──▶ closed

Rules:

1. Nothing moves but by TRANSITIONS: a closed incident is reported once more, and never changed.
2. The timer runs for every incident that is open: it ends with the first report, or with the end of one
   that needs none (Measures art. 14: major incidents are reported at once). Its end is never put off.
3. Whether a report is needed goes by the worst severity that the incident ever had.

Sources: kinds and their codes: national-node.md §2; severities: the four levels of the national emergency
plan (国家突发公共事件总体应急预案). Which of them needs a report is our reading.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

PURPOSE: Final = "incident report"
"""What a report is signed as."""


class Kind(Enum):
    """What went wrong. The value is stored: never rename one."""

    NETWORK = "network"
    SYSTEM = "system"
    ATTACK = "attack"
    OTHER = "other"


class Severity(Enum):
    """How bad it is, the worst first. The value is stored: never rename one."""

    EXTRAORDINARY = "extraordinary"
    MAJOR = "major"
    CONSIDERABLE = "considerable"
    ORDINARY = "ordinary"


class State(Enum):
    """Where an incident is. The value is stored: never rename one."""

    OPEN = "open"  # and not reported
    REPORTED = "reported"
    CLOSED = "closed"


class Event(Enum):
    """What happens to one. The value is stored: never rename one."""

    OPEN = "open"
    UPDATE = "update"
    REPORT = "report"
    CLOSE = "close"


class KindRule(NamedTuple):
    """``code``: of the national node."""

    code: int
    zh: str


class SeverityRule(NamedTuple):
    """``report_needed``: it is not closed without one."""

    zh: str
    report_needed: bool


KINDS: Final[dict[Kind, KindRule]] = {
    Kind.NETWORK: KindRule(1, "网络"),
    Kind.SYSTEM: KindRule(2, "系统"),
    Kind.ATTACK: KindRule(3, "攻击"),
    Kind.OTHER: KindRule(4, "其他"),
}
SEVERITIES: Final[dict[Severity, SeverityRule]] = {
    Severity.EXTRAORDINARY: SeverityRule("特别重大", report_needed=True),
    Severity.MAJOR: SeverityRule("重大", report_needed=True),
    Severity.CONSIDERABLE: SeverityRule("较大", report_needed=False),
    Severity.ORDINARY: SeverityRule("一般", report_needed=False),
}
STATE_LABELS: Final[dict[State, str]] = {State.OPEN: "处置中", State.REPORTED: "已报告", State.CLOSED: "已结束"}

_S, _E = State, Event

TRANSITIONS: Final[dict[tuple[State | None, Event], State]] = {
    (None, _E.OPEN): _S.OPEN,
    (_S.OPEN, _E.UPDATE): _S.OPEN,
    (_S.REPORTED, _E.UPDATE): _S.REPORTED,
    (_S.OPEN, _E.REPORT): _S.REPORTED,
    (_S.REPORTED, _E.REPORT): _S.REPORTED,
    (_S.CLOSED, _E.REPORT): _S.CLOSED,
    (_S.OPEN, _E.CLOSE): _S.CLOSED,
    (_S.REPORTED, _E.CLOSE): _S.CLOSED,
}
