"""A lot as a line sees it: ``core/lots.py`` by spans of indexes, and what of it is whose."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from core import limits
from core.errors import WireError
from core.ident import unitcode
from core.ident.unitcode import INDEXES_MAX, SERIAL_CHARS
from core.lots import Level, Packaging

ALPHABET: Final = unitcode.ALPHABET.decode()
_VALUES: Final = {char: value for value, char in enumerate(ALPHABET)}
_LOT: Final = re.compile(r"[0-9A-Z]+(?:\.[0-9A-Z]+)*/[0-9A-Z-]{1,10}", re.ASCII)


class Kind(Enum):
    """What a code is of."""

    UNIT = "unit"
    CASE = "case"
    PALLET = "pallet"


_KINDS: Final = (Kind.UNIT, Kind.CASE, Kind.PALLET)  # in the order of Level


class Span(NamedTuple):
    """Indexes of a lot that follow one another."""

    first: int
    size: int

    @property
    def end(self) -> int:
        """The index behind the last."""
        return self.first + self.size


def _span(indexes: range) -> Span:
    return Span(indexes.start, len(indexes))


class Lot(NamedTuple):
    """A lot. ``units``: how many bags; without cases ``units_per_case`` is 0, without pallets ``cases_per_pallet``."""

    handle: str
    units: int
    units_per_case: int = 0
    cases_per_pallet: int = 0

    @property
    def packaging(self) -> Packaging:
        """The arithmetic of it."""
        return Packaging(self.units, self.units_per_case, self.cases_per_pallet)

    @property
    def cases(self) -> int:
        """How many cases."""
        return self.packaging.cases

    @property
    def pallets(self) -> int:
        """How many pallets."""
        return self.packaging.pallets

    @property
    def size(self) -> int:
        """How many indexes."""
        return self.packaging.total

    def kind(self, index: int) -> Kind:
        """Return what an index of this lot is of."""
        return _KINDS[self.packaging.level(index)]

    def space(self, kind: Kind) -> Span:
        """Return the indexes of a kind."""
        return _span(self.packaging.span(Level(_KINDS.index(kind))))

    def parent(self, index: int) -> int | None:
        """Return the case or pallet that an index is in by rule."""
        return self.packaging.parent(index)

    def children(self, index: int) -> Span:
        """Return what is in a case or pallet by rule."""
        return _span(self.packaging.children(index))

    def around(self, units: Span) -> list[Span]:
        """Return the units, and every case and pallet that any of them is in by rule."""
        return [units, *(span for span in self._outer(units, owned=False) if span.size)]

    def owned(self, units: Span) -> list[Span]:
        """Return the units, and the cases and pallets whose first unit is one of them.

        So that no case belongs to two blocks, wherever these are cut.
        """
        return [units, *(span for span in self._outer(units, owned=True) if span.size)]

    def _outer(self, units: Span, *, owned: bool) -> list[Span]:
        spans = []
        each = 1
        for kind, more in ((Kind.CASE, self.units_per_case), (Kind.PALLET, self.cases_per_pallet)):
            each *= more
            if each:
                begin = -(-units.first // each) if owned else units.first // each
                spans.append(Span(self.space(kind).first + begin, -(-units.end // each) - begin))
        return spans


def check_lot(lot: Lot) -> Lot:
    """Return a lot that a node or a file tells of. Errors: WireError for one that cannot be."""
    sizes = (lot.units, lot.units_per_case, lot.cases_per_pallet)
    if any(type(size) is not int or not 0 <= size <= INDEXES_MAX for size in sizes):
        raise WireError(f"没有这样的批次 There is no such lot: {sizes}")
    if not lot.units or lot.size > INDEXES_MAX or (lot.cases_per_pallet and not lot.units_per_case):
        raise WireError(f"没有这样的批次 There is no such lot: {sizes}")
    parse_lot(lot.handle)
    return lot


def parse_lot(text: str) -> str:
    """Return the handle of a lot, in upper case. Errors: WireError for what is none."""
    handle = text.upper()
    if not handle.isascii() or len(handle) > limits.HANDLE_CHARS or _LOT.fullmatch(handle) is None:
        raise WireError(f"不是批次标识 Not the handle of a lot (PREFIX/LOTCODE): {text[: limits.HANDLE_CHARS]!r}")
    return handle


def parse_serial(identifier: str, lot: str) -> int | None:
    """Return the ten serial characters of a lot's code as a number below 2⁵⁰; None for any other text."""
    if len(identifier) != len(lot) + SERIAL_CHARS or not identifier.startswith(lot):
        return None
    serial = 0
    for char in identifier[-SERIAL_CHARS:]:
        value = _VALUES.get(char)
        if value is None:
            return None
        serial = serial << 5 | value
    return serial


def format_serial(serial: int, lot: str) -> str:
    """Return the code of a lot with these serial characters."""
    return lot + "".join(ALPHABET[serial >> shift & 31] for shift in range(5 * SERIAL_CHARS - 5, -1, -5))


def join(spans: list[Span]) -> list[Span]:
    """Return spans that do not overlap in ascending order, with those that touch made one."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and joined[-1].end == span.first:
            joined[-1] = Span(joined[-1].first, joined[-1].size + span.size)
        else:
            joined.append(span)
    return joined
