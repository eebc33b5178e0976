"""Lots: the index space of one, its packaging by rule, and the states that a unit goes through.

1. Units first, then cases, then pallets share one index space of at most INDEXES_MAX. By rule, unit u lies in
   case u // units_per_case and case c on pallet c // cases_per_pallet; the last of each may hold fewer.
2. States and what leads from one to another follow OPEN-SCS (OPC 30260); cases and pallets have them, too.
3. scrapped, returned and destroyed are final: such a code is GONE.

Source: design §2; reference "GS1 and serials" §2.2.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final, NamedTuple

from core.ident.unitcode import INDEXES_MAX


class Level(IntEnum):
    """What an index stands for."""

    UNIT = 0
    CASE = 1
    PALLET = 2

    @property
    def word(self) -> str:
        """The word for it in answers: unit, case, pallet."""
        return self.name.lower()


class Packaging(NamedTuple):
    """How many units a lot has, and how they are packed. 0: not packed so."""

    units: int
    units_per_case: int = 0
    cases_per_pallet: int = 0

    @property
    def cases(self) -> int:
        """Number of cases."""
        return -(-self.units // self.units_per_case) if self.units_per_case else 0

    @property
    def pallets(self) -> int:
        """Number of pallets."""
        return -(-self.cases // self.cases_per_pallet) if self.cases_per_pallet else 0

    @property
    def total(self) -> int:
        """Number of all indexes."""
        return self.units + self.cases + self.pallets

    @property
    def fits(self) -> bool:
        """Whether the index space holds it."""
        return 0 < self.units <= INDEXES_MAX and self.total <= INDEXES_MAX

    def level(self, index: int) -> Level:
        """Return what an index below ``total`` stands for."""
        if index < self.units:
            return Level.UNIT
        return Level.CASE if index < self.units + self.cases else Level.PALLET

    def span(self, level: Level) -> range:
        """Return the indexes of a level."""
        cases_at = self.units
        pallets_at = cases_at + self.cases
        return (range(cases_at), range(cases_at, pallets_at), range(pallets_at, self.total))[level]

    def parent(self, index: int) -> int | None:
        """Return the index of the case or pallet that something is in by rule, None if it is in none."""
        if index < self.units:
            return self.units + index // self.units_per_case if self.units_per_case else None
        case = index - self.units
        if case < self.cases and self.cases_per_pallet:
            return self.units + self.cases + case // self.cases_per_pallet
        return None

    def children(self, index: int) -> range:
        """Return the indexes of what is in a case or on a pallet by rule; of a unit none."""
        if index < self.units:
            return range(0)
        case = index - self.units
        if case < self.cases:
            return range(case * self.units_per_case, min((case + 1) * self.units_per_case, self.units))
        first = self.units + (case - self.cases) * self.cases_per_pallet
        return range(first, min(first + self.cases_per_pallet, self.units + self.cases))

    def fits_in(self, parent: int, start: int, stop: int) -> bool:
        """Whether a range of indexes of the lot, not empty, can be in something: a unit in a case, a case on a pallet.

        ``parent``: any number. Total.
        """
        if not (0 <= parent < self.total and 0 <= start < stop <= self.total):
            return False
        below = self.level(parent) - 1
        return self.level(start) == below and self.level(stop - 1) == below


class UnitState(Enum):
    """Where a unit, case or pallet stands. The value is stored and shown: never rename one."""

    ALLOCATED = "allocated"  # given to the lot, and on nothing yet
    ENCODED = "encoded"  # printed
    COMMISSIONED = "commissioned"  # on a bag, confirmed; of a case or pallet: closed
    SCRAPPED = "scrapped"
    SAMPLED = "sampled"  # taken out for an inspection
    RETURNED = "returned"  # given back, never used
    INACTIVE = "inactive"  # not for sale any more: recalled, expired
    DESTROYED = "destroyed"

    __hash__ = object.__hash__  # members are singletons


class UnitValue(IntEnum):
    """Indexes of the values that the node says of a unit or a lot itself; their types are the names."""

    LOT = 901
    PRODUCT = 902
    LEVEL = 903  # lot, unit, case or pallet
    PRODUCED = 904
    VALID_UNTIL = 905
    LINE = 906
    STATE = 907
    PARENT = 908
    CHILDREN = 909  # a handle a line


UNIT_VALUE_LABELS: Final[dict[UnitValue, str]] = {
    UnitValue.LOT: "批次 lot",
    UnitValue.PRODUCT: "产品 product",
    UnitValue.LEVEL: "层级 level",
    UnitValue.PRODUCED: "生产日期 produced",
    UnitValue.VALID_UNTIL: "有效期至 valid until",
    UnitValue.LINE: "生产线 line",
    UnitValue.STATE: "状态 state",
    UnitValue.PARENT: "所在的箱或托盘 packed in",
    UnitValue.CHILDREN: "内装 holds",
}
"""What the page of a unit calls them."""

WORD_LABELS: Final = {
    "lot": "批次",
    "unit": "单元",
    "case": "箱",
    "pallet": "托盘",
    UnitState.ALLOCATED.value: "已分配",
    UnitState.ENCODED.value: "已印制",
    UnitState.COMMISSIONED.value: "已上线",
    UnitState.SAMPLED.value: "已抽样",
    UnitState.INACTIVE.value: "已停用",
}
"""Levels and states that a page shows, in Chinese."""

RESERVED: Final = range(900, 1_000)
"""Indexes that no value of a lot may have: those of UnitValue, and room for more."""

_S = UnitState

TRANSITIONS: Final[dict[UnitState, frozenset[UnitState]]] = {
    _S.ALLOCATED: frozenset((_S.ENCODED, _S.COMMISSIONED, _S.SCRAPPED, _S.SAMPLED, _S.RETURNED)),
    _S.ENCODED: frozenset((_S.COMMISSIONED, _S.SCRAPPED, _S.SAMPLED, _S.RETURNED)),
    _S.COMMISSIONED: frozenset((_S.SCRAPPED, _S.SAMPLED, _S.INACTIVE, _S.DESTROYED)),
    _S.SAMPLED: frozenset((_S.INACTIVE, _S.DESTROYED)),
    _S.INACTIVE: frozenset((_S.COMMISSIONED, _S.DESTROYED)),
    _S.SCRAPPED: frozenset(),
    _S.RETURNED: frozenset(),
    _S.DESTROYED: frozenset(),
}
"""What each state may become."""

GONE: Final = frozenset(state for state, onward in TRANSITIONS.items() if not onward)
"""States of what resolves no more."""

GRADES: Final = ("A", "B", "C", "D", "F")
"""Grades of a printed symbol, the best first (ISO/IEC 15415)."""
