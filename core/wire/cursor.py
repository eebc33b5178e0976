"""A bounded reader over bytes, big-endian.

A ``bstr`` is a four-octet length and that many octets; arrays begin with a
four-octet element count. Source: RFC 3652 §2; RFC 3651 §3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from core.errors import WireError

T = TypeVar("T")

_LENGTH: Final = 4


class Cursor:
    """Reads forward, never past the end.

    Errors: every method raises WireError where octets are missing or wrong.
    """

    __slots__ = ("_data", "_end", "_offset")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0
        self._end = len(data)

    @property
    def left(self) -> int:
        """Octets not read yet."""
        return self._end - self._offset

    def octets(self, count: int) -> bytes:
        """Read ``count`` octets."""
        stop = self._offset + count
        if stop > self._end:
            raise WireError(f"octet {self._offset}: {count} octets announced, {self.left} there")
        taken = self._data[self._offset : stop]
        self._offset = stop
        return taken

    def rest(self) -> bytes:
        """Read all that is left."""
        return self.octets(self.left)

    def uint8(self) -> int:
        """Read one octet."""
        return self.octets(1)[0]

    def uint16(self) -> int:
        """Read two octets."""
        return int.from_bytes(self.octets(2), "big")

    def uint32(self) -> int:
        """Read four octets."""
        return int.from_bytes(self.octets(4), "big")

    def int32(self) -> int:
        """Read four octets, two's complement."""
        return int.from_bytes(self.octets(4), "big", signed=True)

    def bstr(self) -> bytes:
        """Read a length and that many octets."""
        return self.octets(self.uint32())

    def text(self) -> str:
        """Read a bstr of UTF-8. Errors: WireError also where it is not UTF-8."""
        try:
            return self.bstr().decode()
        except UnicodeDecodeError as error:
            raise WireError(f"octet {self._offset}: not UTF-8: {error.reason}") from None

    def integer(self) -> int:
        """Read a bstr that is a big integer, not negative, in two's complement."""
        raw = self.bstr()
        if not raw or raw[0] & 0x80:
            raise WireError(f"octet {self._offset}: a big integer that is empty or negative")
        return int.from_bytes(raw, "big")

    def array(self, element: Callable[[], T], limit: int, least_bytes: int) -> tuple[T, ...]:
        """Read a count and that many elements.

        Bounds: ``limit`` elements; a count that cannot fit, each element taking
        ``least_bytes`` octets or more, is refused before anything is read.
        """
        count = self.uint32()
        if count > limit or count * least_bytes > self.left:
            raise WireError(f"octet {self._offset}: an array of {count} elements does not fit")
        return tuple([element() for _ in range(count)])

    def end(self) -> None:
        """Errors: WireError if octets are left over."""
        if self.left:
            raise WireError(f"octet {self._offset}: {self.left} octets left over")


def bstr(data: bytes) -> bytes:
    """Return a length and the octets."""
    return len(data).to_bytes(_LENGTH, "big") + data


def text(value: str) -> bytes:
    """Return a bstr of UTF-8."""
    return bstr(value.encode())


def integer(value: int) -> bytes:
    """Return a bstr of a big integer, not negative, in two's complement with the sign octet."""
    return bstr(value.to_bytes(value.bit_length() // 8 + 1, "big"))
