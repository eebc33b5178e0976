"""The table of complaints: every state with every event, tickets, and the last day of an answer."""

from __future__ import annotations

import datetime
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.complaints import (
    KINDS,
    LABELS,
    TICKET_ALPHABET,
    TICKET_CHARS,
    TRANSITIONS,
    WAITING,
    Event,
    State,
    deadline_of,
    format_ticket,
    is_past,
    parse_ticket,
)

ALLOWED = {
    (None, "file"): "received",
    ("received", "accept"): "accepted",
    ("received", "reject"): "rejected",
    ("accepted", "reject"): "rejected",
    ("accepted", "answer"): "answered",
    ("answered", "close"): "closed",
}
TICKET = "C20261121-7KQ2M9XWTR"


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", [None, *State])
def test_every_state_with_every_event(state: State | None, event: Event) -> None:
    """What is written down here, and nothing else."""
    after = TRANSITIONS.get((state, event))
    assert (after.value if after else None) == ALLOWED.get((state.value if state else None, event.value))


def test_every_complaint_ends() -> None:
    """By at most four steps; the end is closed or rejected, and whoever does not wait was told something."""
    ways = [((Event.FILE,), State.RECEIVED)]
    ended = []
    for _ in range(4):
        onward = [
            ((*steps, event), TRANSITIONS[state, event])
            for (steps, state), event in itertools.product(ways, Event)
            if (state, event) in TRANSITIONS
        ]
        ended += [way for way in onward if not any((way[1], event) in TRANSITIONS for event in Event)]
        ways = onward
    assert ways == []
    assert {state for _, state in ended} == {State.CLOSED, State.REJECTED}
    for steps, state in ended:
        assert (Event.ANSWER in steps) is not (Event.REJECT in steps)
        assert state not in WAITING


def test_every_state_and_kind_is_said_in_two_languages() -> None:
    assert set(LABELS) == set(State)
    for zh, en in [*LABELS.values(), *KINDS.values()]:
        assert not zh.isascii()
        assert en.isascii()


# --- tickets ---


def test_a_ticket_is_read_however_it_is_typed() -> None:
    assert format_ticket(datetime.date(2026, 11, 21), "7KQ2M9XWTR") == TICKET
    assert len(set(TICKET_ALPHABET)) == 32
    assert not set("01IO") & set(TICKET_ALPHABET)
    assert len(TICKET) == 10 + TICKET_CHARS
    for typed in (TICKET, TICKET.lower(), f"  {TICKET}\n"):
        assert parse_ticket(typed) == TICKET


@pytest.mark.parametrize(
    "typed",
    ["", "C20261121", "C20261121-7KQ2M9XWT", "C20261121-7KQ2M9XWTRR", "C20261121-0KQ2M9XWTR", "P20261121-7KQ2M9XWTR",
     "C２0261121-7KQ2M9XWTR", "C20261121 7KQ2M9XWTR", f"{TICKET}/{TICKET}", "C20261121-7KQ2M9XWTı"],
)  # fmt: skip
def test_what_is_no_ticket(typed: str) -> None:
    assert parse_ticket(typed) is None


@given(st.text(max_size=40))
def test_any_text_is_a_ticket_or_none(typed: str) -> None:
    found = parse_ticket(typed)
    assert found is None or parse_ticket(found) == found


# --- days ---

MIDNIGHT = 1_795_276_800_000  # 2026-11-22T00:00:00+08:00


@pytest.mark.parametrize(
    ("filed_ms", "days", "deadline"),
    [
        (MIDNIGHT - 1, 15, "2026-12-06"),  # the last millisecond of the 21st
        (MIDNIGHT, 15, "2026-12-07"),
        (MIDNIGHT, 1, "2026-11-23"),
        (MIDNIGHT - 1, 41, "2027-01-01"),
    ],
)
def test_a_deadline_counts_days_of_shanghai(filed_ms: int, days: int, deadline: str) -> None:
    assert deadline_of(Millis(filed_ms), days) == deadline


def test_it_is_over_when_the_day_is_over_in_shanghai() -> None:
    """Until the last millisecond it is in time; in UTC it is then still the afternoon."""
    day_ms = 86_400_000
    last = deadline_of(Millis(MIDNIGHT), 15)
    end = MIDNIGHT + 16 * day_ms
    assert not is_past(last, Millis(MIDNIGHT))
    assert not is_past(last, Millis(end - 1))
    assert is_past(last, Millis(end))
    assert is_past(last, Millis(end + 400 * day_ms))
