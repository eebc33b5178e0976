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
        known: tuple[int | None, int | None, str | None, str | None] | None = None
        for code in codes:
            self._enter(code.number, code.identifier)
            case = self._lot.parent(code.number) if code.kind is Kind.UNIT else None
            inner = code.number if code.kind is Kind.CASE else case
            if (case, inner, code.case, code.pallet) == known:
                continue
            known = case, inner, code.case, code.pallet
            pallet = None if inner is None else self._lot.parent(inner)
            for index, told in ((case, code.case), (pallet, code.pallet)):
                if told is not None and index is None:
                    raise WireError(
                        f"序号 {code.number} 不在箱或托盘中，节点却给出一个。"
                        f"Code {code.number} is in no case or pallet, and the node names one: {told[:100]!r}"
                    )
                if told is not None and index is not None:
                    self._enter(index, told)

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
