"""The table of results: a row a measure, each with its floor and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Floor:
    """What is to be held: at least or at most a number."""

    relation: Literal["≥", "≤", "<"]
    value: float
    unit: str = ""

    def holds(self, measured: float) -> bool:
        """Whether a measured number holds the floor."""
        match self.relation:
            case "≥":
                return measured >= self.value
            case "≤":
                return measured <= self.value
            case "<":
                return measured < self.value

    def __str__(self) -> str:
        return f"{self.relation} {self.value:g}{self.unit}"


@dataclass(frozen=True)
class Row:
    """One measure. ``value`` is what the floor is about; None: not measured, ``note`` says why.

    ``prototype``: what the prototype reached, as the design has it, on another machine.
    """

    what: str
    value: float | None
    unit: str = ""
    floor: Floor | None = None
    ours: str = ""
    reference: str = ""
    note: str = ""
    prototype: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """``holds``, ``below``, ``skipped``, or nothing where there is no floor."""
        if self.value is None:
            return "skipped"
        if self.floor is None:
            return "–"
        return "holds" if self.floor.holds(self.value) else "below"

    def as_json(self) -> dict[str, Any]:
        """Return the row for the result file."""
        return asdict(self) | {"verdict": self.verdict}


_HEADINGS = ("measure", "measured", "floor", "", "prototype", "ours", "reference")


def render(rows: Sequence[Row]) -> str:
    """Return the table as Markdown, notes below it."""
    cells = [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in (_HEADINGS, *cells)) for column in range(len(_HEADINGS))]
    lines = [_line(_HEADINGS, widths), _line(["-" * width for width in widths], widths)]
    lines += [_line(line, widths) for line in cells]
    notes = [f"- {row.what}: {row.note}" for row in rows if row.note]
    return "\n".join([*lines, "", *notes])


def _cells(row: Row) -> tuple[str, ...]:
    measured = "" if row.value is None else f"{row.value:,.{_digits(row.value)}f}{row.unit}"
    return (row.what, measured, str(row.floor or "–"), row.verdict, row.prototype or "–", row.ours, row.reference)


def _digits(value: float) -> int:
    if value >= 1_000:
        return 0
    return 1 if value >= 100 else 2


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
