"""A stream of messages with their envelopes (RFC 3652 §2.1), taken apart."""

from __future__ import annotations

from typing import Final

from core import limits
from core.errors import WireError
from core.wire.envelope import ENVELOPE_BYTES, Envelope, decode_envelope

_LENGTH_AT: Final = ENVELOPE_BYTES - 4


class MessageStream:
    """What came and was not taken, ``waiting`` octets of it.

    Messages are cut from one piece. What comes behind it is collected, and becomes the next piece
    when it makes a message whole: however small the pieces are, an octet is copied a few times only.
    """

    __slots__ = ("_at", "_behind", "_piece", "waiting")

    def __init__(self) -> None:
        self._piece = b""
        self._at = 0
        self._behind = bytearray()
        self.waiting = 0

    def add(self, octets: bytes) -> None:
        """Take what came."""
        if self.waiting:
            self._behind += octets
        else:
            self._piece, self._at = octets, 0
        self.waiting += len(octets)

    def next(self) -> bytes | None:
        """Return the next message with its envelope, None until it is whole.

        Errors: WireError for one that announces more than MESSAGE_BYTES_MAX; then no other comes.
        """
        if self.waiting < ENVELOPE_BYTES:
            self._let_go()
            return None
        if len(self._piece) < self._at + ENVELOPE_BYTES:
            self._join()
        begin = self._at
        length = int.from_bytes(self._piece[begin + _LENGTH_AT : begin + ENVELOPE_BYTES], "big")
        if length > limits.MESSAGE_BYTES_MAX:
            raise WireError(f"A message of {length} octets is announced; at most {limits.MESSAGE_BYTES_MAX} are taken")
        size = ENVELOPE_BYTES + length
        if self.waiting < size:
            self._let_go()
            return None
        if len(self._piece) < begin + size:
            self._join()
            begin = 0
        end = begin + size
        message = self._piece[begin:end]
        self.waiting -= size
        if self.waiting:
            self._at = end
        else:
            self._piece, self._at = b"", 0  # an idle connection keeps nothing
        return message

    def _let_go(self) -> None:
        """Drop what was taken: half a message must not keep the whole ones before it."""
        if self._at:
            self._piece, self._at = self._piece[self._at :], 0

    def envelope(self) -> Envelope:
        """Return the envelope of the next message. Errors: WireError if it has not come."""
        if len(self._piece) < self._at + ENVELOPE_BYTES:
            self._join()
        return decode_envelope(self._piece[self._at : self._at + ENVELOPE_BYTES])

    def _join(self) -> None:
        self._piece, self._at = self._piece[self._at :] + self._behind, 0
        self._behind.clear()
