"""The codes of a lot in bulk, in the order of their indexes, each with the case and pallet that it is in by rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from core.ident.unitcode import UnitCodes
from core.lots import Level, Packaging

_CHUNK: Final = 8_192


class Code(NamedTuple):
    """One code. ``at``: its index. ``case``, ``pallet``: handles, empty where there is none."""

    at: int
    identifier: str
    level: Level
    case: str
    pallet: str

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "index": self.at,
            "identifier": self.identifier,
            "kind": self.level.word,
            "case": self.case or None,
            "pallet": self.pallet or None,
        }


class LotCodes:
    """The codes of one lot. ``name``: its handle."""

    def __init__(self, name: str, packaging: Packaging, codes: UnitCodes) -> None:
        self._name = name
        self._packaging = packaging
        self._codes = codes

    def over(self, indexes: range) -> Iterator[Code]:
        """Yield the codes of indexes below the lot's total. Cost: less than two microseconds each."""
        name = self._name
        for start in range(indexes.start, indexes.stop, _CHUNK):
            stop = min(start + _CHUNK, indexes.stop)
            serials = self._codes.serials(start, stop - start)
            parents = self._parents(range(start, stop))
            for index, serial, (level, case, pallet) in zip(range(start, stop), serials, parents, strict=True):
                yield Code(index, name + serial.decode(), level, case, pallet)

    def _parents(self, indexes: range) -> Iterator[tuple[Level, str, str]]:
        """Yield what each index is, and the handles of case and pallet; these are made once for all that share them."""
        packaging = self._packaging
        known = -2
        case = pallet = ""
        for index in indexes:
            level = Level.UNIT if index < packaging.units else packaging.level(index)
            parent = -1 if level is Level.PALLET else packaging.parent(index)
            parent = -1 if parent is None else parent
            if parent != known:
                known = parent
                case = pallet = ""
                if parent >= 0 and level is Level.UNIT:
                    above = packaging.parent(parent)
                    case, pallet = self._handle(parent), "" if above is None else self._handle(above)
                elif parent >= 0:
                    pallet = self._handle(parent)
            yield level, case, pallet

    def _handle(self, index: int) -> str:
        return self._name + self._codes.serial(index).decode()
