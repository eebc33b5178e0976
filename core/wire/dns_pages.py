"""Many records in messages of a bounded size, as a zone transfer sends them.

Source: RFC 1035 §4.1; RFC 5936 §2.2 (messages of a transfer), §3.4 (names are compressed with their case).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from core.wire.dns import Labels, Rr, add_records

_HEADER_BYTES: Final = 12


class Frame(NamedTuple):
    """What is the same in every message of an answer. ``flags``: 16 bits, with the response code.

    ``question``: its octets, uncompressed. ``additional``: octets of OPT, or none.
    """

    number: int
    flags: int
    question: bytes
    additional: bytes = b""


def pages(frame: Frame, records: Iterable[Rr | None], octets: int) -> Iterator[bytes]:
    """Yield messages of at most ``octets``, with at least one record each; where there is no record, one message.

    For None in the place of a record nothing, no octets, is yielded at once: whoever takes the pages may rest there.
    Bounds: a record that is longer has a message of its own.
    """
    page = _Page(frame)
    for record in records:
        if record is None:
            yield b""
            continue
        if page.records and page.length + _octets_max(record) > octets:
            yield page.octets()
            page = _Page(frame)
        page.add(record)
    yield page.octets()


def _octets_max(record: Rr) -> int:
    return sum(map(len, record.name)) + len(record.name) + len(record.data) + 11


class _Page:
    """One message."""

    def __init__(self, frame: Frame) -> None:
        self.records = 0
        self._frame = frame
        self._out = bytearray(_HEADER_BYTES) + frame.question
        self._places: dict[Labels, int] = {}  # not those of the question: it may be asked in another case

    @property
    def length(self) -> int:
        """With what is behind the records."""
        return len(self._out) + len(self._frame.additional)

    def add(self, record: Rr) -> None:
        """Add one to the answer section."""
        add_records(self._out, self._places, (record,))
        self.records += 1

    def octets(self) -> bytes:
        """The message."""
        number, flags, question, additional = self._frame
        counts = (bool(question), self.records, 0, bool(additional))
        struct.pack_into("!6H", self._out, 0, number, flags, *counts)
        return bytes(self._out) + additional
