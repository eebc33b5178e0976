"""What a node says of a lot's codes, compared with all that it said before: no code for two indexes, none twice.

Memory: eight octets an index of the lot, and a number of Python for each code, while a block is fetched.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final

from core.errors import WireError
from node.line.codes import Code
from node.line.shape import Kind, Lot, parse_serial

_NONE: Final = 2**64 - 1


class Intake:
    """The codes of one lot, as far as they were told."""

    def __init__(self, lot: Lot) -> None:
        self._lot = lot
        self._serials = array("Q", [_NONE]) * lot.size
        self._there: set[int] = set()

    def take(self, codes: Iterable[Code]) -> None:
        """Enter codes, with the case and pallet that each names. Errors: WireError, after which nothing is entered."""
        for code in codes:
            self._enter(code.number, code.identifier)
            outer = self._outer(code.number)
            for kind, told in ((Kind.CASE, code.case), (Kind.PALLET, code.pallet)):
                if told is None:
                    continue
                if kind not in outer:
                    raise WireError(
                        f"序号 {code.number} 不在任何 {kind.value} 中，节点却给出一个。"
                        f"Code {code.number} is in no {kind.value}, and the node names one"
                    )
                self._enter(outer[kind], told)

    def _outer(self, index: int) -> dict[Kind, int]:
        """Return the case and pallet that an index is in by rule."""
        lot, outer = self._lot, {}
        inner, at = lot.kind(index), index
        for kind, each in ((Kind.CASE, lot.units_per_case), (Kind.PALLET, lot.cases_per_pallet)):
            if each and inner is (Kind.UNIT if kind is Kind.CASE else Kind.CASE):
                at = outer[kind] = lot.space(kind).first + (at - lot.space(inner).first) // each
                inner = kind
        return outer

    def _enter(self, index: int, identifier: str) -> None:
        serial = parse_serial(identifier, self._lot.handle)
        if serial is None:
            raise WireError(
                f"节点给出的不是批次 {self._lot.handle} 的标识。"
                f"The node gave what is no code of {self._lot.handle}: {identifier[:100]!r}"
            )
        if self._serials[index] == serial:
            return
        if self._serials[index] != _NONE:
            raise WireError(
                f"节点为序号 {index} 给出两个标识。The node gave two codes for the index {index}: {identifier}"
            )
        if serial in self._there:
            raise WireError(f"节点两次给出同一标识。The node gave the same code twice: {identifier}")
        self._serials[index] = serial
        self._there.add(serial)
