"""The page about lots says what the code does: states and where they lead, values, bounds."""

from __future__ import annotations

import re
from pathlib import Path

from core import limits
from core.ident.unitcode import INDEXES_MAX
from core.lots import GONE, GRADES, RESERVED, TRANSITIONS, UnitState, UnitValue

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "how-to" / "lots.md").read_text("utf-8")


def cells() -> list[list[str]]:
    """Return the cells of all tables of the page."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]


def test_the_table_of_states_is_that_of_the_code() -> None:
    """Each state that leads on is a row; the final ones share the last."""
    rows = {row[0]: row[2] for row in cells() if len(row) == 3 and row[0] in {state.value for state in UnitState}}
    assert {state.value for state in TRANSITIONS if TRANSITIONS[state]} == set(rows)
    for state, onward in rows.items():
        assert sorted(onward.split(", ")) == sorted(each.value for each in TRANSITIONS[UnitState(state)])
    (final,) = (row for row in cells() if row[-1] == "–" and len(row) == 3)
    assert sorted(final[0].split(", ")) == sorted(state.value for state in GONE)


def test_the_table_of_values_is_that_of_the_code() -> None:
    """Index and type of whatever the node says itself."""
    found = {
        int(index): kind
        for row in cells()
        if re.match(r"9\d\d\b", row[0])
        for index, kind in zip(row[0].split(", "), row[1].split(", "), strict=True)
    }
    assert found == {int(value): value.name for value in UnitValue}
    assert f"an index of 1 to {RESERVED.start - 1} or from {RESERVED.stop} on" in PAGE


def test_the_bounds_of_the_page_are_those_of_the_code() -> None:
    """As the page writes them."""
    assert f"{INDEXES_MAX:,}".replace(",", " ") in PAGE
    assert f"At most {limits.LOT_CODES_MAX:,} in one answer".replace(",", " ") in PAGE
    assert f"at most {limits.BATCH_ITEMS_MAX:,} events".replace(",", " ") in PAGE
    assert f"more than {limits.LOT_EVENT_FUTURE_MS // 60_000} minutes ahead" in PAGE
    assert f"{limits.LOT_LINE_CHARS_MAX} characters" in PAGE
    assert f"of the printed symbol, {' '.join(GRADES)}" in PAGE
