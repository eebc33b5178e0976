"""A numbered, checksummed line of an append-only file, readable by people.

| octets | what |
|---|---|
| 8 or more | number of the line in its file, decimal, from 00000000 |
| 1 | blank |
| 8 | CRC-32 (ISO 3309) of the number's text and the payload, hexadecimal, lower case |
| 1 | blank |
| n | payload: one JSON document without a line feed, at most LINE_FRAME_BYTES_MAX |
| 1 | line feed |

A line that was cut anywhere, or stands at another place, is none.
"""

from __future__ import annotations

import zlib
from typing import Final

from core import limits
from core.errors import LimitError, WireError

FRAME_HEAD_BYTES_MAX: Final = 32
"""Octets of a frame besides its payload; more than there are."""


def encode_frame(number: int, payload: bytes) -> bytes:
    """Return the line. Errors: LimitError for a payload that is too long."""
    if len(payload) > limits.LINE_FRAME_BYTES_MAX:
        raise LimitError(f"一行过长 A line is too long: {len(payload)} > {limits.LINE_FRAME_BYTES_MAX}")
    head = b"%08d" % number
    return b"%s %08x %s\n" % (head, zlib.crc32(payload, zlib.crc32(head)), payload)


def decode_frame(line: bytes, number: int) -> bytes:
    """Return the payload of the line that stands at this place. Errors: WireError for anything else."""
    head = b"%08d" % number
    start = len(head) + 10
    payload = line[start:-1]
    if line[: len(head)] != head or line[-1:] != b"\n":
        raise WireError(f"第 {number} 行残缺或错位 Line {number} is cut, or not in its place")
    if line[len(head) : start] != b" %08x " % zlib.crc32(payload, zlib.crc32(head)) or b"\n" in payload:
        raise WireError(f"第 {number} 行校验和不符 The checksum of line {number} is wrong")
    return payload


def is_later_frame(line: bytes, number: int) -> bool:
    """Say whether this is a whole line of a place behind that number."""
    digits = line.split(b" ", 1)[0]
    if not digits.isdigit() or len(digits) > FRAME_HEAD_BYTES_MAX or int(digits) <= number:
        return False
    try:
        decode_frame(line, int(digits))
    except WireError:
        return False
    return True
