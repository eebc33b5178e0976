"""The codes of a run: which index a code has, and which code an index; bounded by the index space of a lot.

Twelve octets a code to find it (its serial characters as a number, sorted), eight an index to tell it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from core.errors import WireError
from node.line.carriers import read_carrier
from node.line.shape import Kind, Lot, format_serial, parse_serial

_NONE: Final = 2**64 - 1


class Code(NamedTuple):
    """A code of a lot, as a node tells it. ``number``: its index; ``case``, ``pallet``: those that it is in by rule."""

    number: int
    identifier: str
    kind: Kind
    case: str | None
    pallet: str | None


class _Form(msgspec.Struct):
    index: int
    identifier: str
    kind: Kind
    case: str | None = None
    pallet: str | None = None


_DECODER: Final = msgspec.json.Decoder(_Form)


def pack_code(code: Code) -> bytes:
    """Return the line of a code, with its line feed."""
    return msgspec.json.encode(_Form(*code)) + b"\n"


def unpack_code(line: bytes, lot: Lot, index: int) -> Code:
    """Read the line of the code that has this index. Errors: WireError for anything else, also a line that is cut."""
    try:
        form = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise WireError(f"第 {index} 号标识的行无法读取 The line of code {index} cannot be read") from None
    if line[-1:] != b"\n":
        raise WireError(f"第 {index} 号标识的行残缺 The line of code {index} is cut")
    return check_code(Code(form.index, form.identifier.upper(), form.kind, form.case, form.pallet), lot, index)


def check_code(code: Code, lot: Lot, index: int) -> Code:
    """Return a code of this lot that has this index. Errors: WireError."""
    if code.number != index or index >= lot.size or code.kind is not lot.kind(index):
        raise WireError(f"标识与序号不符 Code {code.number} ({code.kind.value}) is not code {index} of the lot")
    if parse_serial(code.identifier, lot.handle) is None:
        raise WireError(f"不是该批次的标识 {code.identifier[:100]!r} is no code of {lot.handle}")
    return code


class Codes:
    """The codes of some indexes of one lot."""

    def __init__(self, lot: Lot, codes: Iterable[Code]) -> None:
        """Errors: WireError for a code that stands twice."""
        self._lot = lot
        self._serials = array("Q", [_NONE]) * lot.size
        for code in codes:
            serial = parse_serial(code.identifier, lot.handle)
            assert serial is not None
            self._serials[code.number] = serial
        there = [index for index, serial in enumerate(self._serials) if serial != _NONE]
        self._indexes = array("I", sorted(there, key=self._serials.__getitem__))
        self._sorted = array("Q", [self._serials[index] for index in self._indexes])
        if any(a == b for a, b in zip(self._sorted, self._sorted[1:], strict=False)):
            raise WireError("批次中有重复的标识 A code stands twice among the codes of the lot")

    def find(self, read: str) -> int | None:
        """Return the index of a code, None for one that is not here. ``read``: see carriers. Cost: O(log n)."""
        serial = parse_serial(read, self._lot.handle)
        if serial is None:
            serial = self._carried(read)
        if serial is None:
            return None
        place = bisect_left(self._sorted, serial)
        found = place < len(self._sorted) and self._sorted[place] == serial
        return self._indexes[place] if found else None

    def _carried(self, read: str) -> int | None:
        """Return the serial of a carrier that names a code of this lot."""
        prefix = self._lot.handle.partition("/")[0]
        carried = read_carrier(read)
        if carried is None or carried.prefix not in ("", prefix):
            return None
        return parse_serial(f"{prefix}/{carried.suffix}", self._lot.handle)

    def __getitem__(self, index: int) -> str:
        """Return the code of an index. Errors: KeyError."""
        serial = self._serials[index]
        if serial == _NONE:
            raise KeyError(index)
        return format_serial(serial, self._lot.handle)
