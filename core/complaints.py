"""Complaints: what about, the states of one, what moves it from one to the next, and until when it is answered.

    ── file ──▶ received ── accept ──▶ accepted ── answer ──▶ answered ── close ──▶ closed
                   │ reject              │ reject
                   ▼                     ▼
                rejected ◀───────────────┘

Rules:

1. Nothing moves but by this table: what is not in it is refused. So one has at most four steps.
2. It waits while it is received or accepted; an answer or a reasoned rejection ends that (Measures
   art. 12). Whoever is not content files another one and names the ticket.
3. Days are those of Asia/Shanghai. The last day is fixed when it is filed, whatever the setting is later.
"""

from __future__ import annotations

import datetime
import re
from enum import Enum
from typing import Final

from core.clock import Millis, shanghai_date


class State(Enum):
    """Where a complaint is."""

    RECEIVED = "received"
    ACCEPTED = "accepted"  # in hand
    ANSWERED = "answered"
    CLOSED = "closed"
    REJECTED = "rejected"


class Event(Enum):
    """What happens to a complaint. The value is stored: never rename one."""

    FILE = "file"
    ACCEPT = "accept"
    ANSWER = "answer"
    REJECT = "reject"
    CLOSE = "close"


_S, _E = State, Event

TRANSITIONS: Final[dict[tuple[State | None, Event], State]] = {
    (None, _E.FILE): _S.RECEIVED,
    (_S.RECEIVED, _E.ACCEPT): _S.ACCEPTED,
    (_S.RECEIVED, _E.REJECT): _S.REJECTED,
    (_S.ACCEPTED, _E.REJECT): _S.REJECTED,
    (_S.ACCEPTED, _E.ANSWER): _S.ANSWERED,
    (_S.ANSWERED, _E.CLOSE): _S.CLOSED,
}

WAITING: Final = (State.RECEIVED, State.ACCEPTED)
"""Somebody waits for an answer."""

LABELS: Final = {
    _S.RECEIVED: ("已收到", "received"),
    _S.ACCEPTED: ("处理中", "in hand"),
    _S.ANSWERED: ("已答复", "answered"),
    _S.CLOSED: ("已办结", "closed"),
    _S.REJECTED: ("不予受理", "rejected"),
}

KINDS: Final = {
    "wrong-data": ("注册信息有误", "Wrong registration data"),
    "no-resolution": ("标识无法解析", "An identifier does not resolve"),
    "infringement": ("侵犯权利", "Infringement of a right"),
    "illegal-content": ("假冒商品或违法内容", "Counterfeit goods or illegal content"),
    "personal-data": ("个人信息", "Personal data"),
    "service": ("服务质量", "Service of this node"),
    "other": ("其他", "Something else"),
}
"""What a complaint may be about. The name is stored: never rename one."""

TICKET_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # without 0 1 I O
TICKET_CHARS: Final = 10  # random ones, 50 bits: whoever has the ticket filed the complaint
_TICKET: Final = re.compile(rf"C[0-9]{{8}}-[{TICKET_ALPHABET}]{{{TICKET_CHARS}}}", re.ASCII)


def format_ticket(day: datetime.date, random: str) -> str:
    """Return a ticket: C, the day of filing, TICKET_CHARS characters of TICKET_ALPHABET."""
    return f"C{day:%Y%m%d}-{random}"


def parse_ticket(text: str) -> str | None:
    """Return a ticket as it was given out, however it is typed; None for what is none."""
    ticket = text.strip().upper()
    return ticket if _TICKET.fullmatch(ticket) else None


def deadline_of(filed_ms: Millis, days: int) -> str:
    """Return the last day on which it is answered in time, yyyy-mm-dd."""
    return (shanghai_date(filed_ms) + datetime.timedelta(days=days)).isoformat()


def is_past(deadline: str, now_ms: Millis) -> bool:
    """Whether that day is over."""
    return shanghai_date(now_ms).isoformat() > deadline
