"""Data of the records that a zone of this node has. That of NS, CNAME and DNAME is ``dns.name_to_wire``, that of A and
AAAA the address packed.

Source: RFC 1035 §3.3; RFC 3403 §4.1 (NAPTR).
"""

from __future__ import annotations

import struct
from typing import Final

from core.errors import WireError
from core.wire.dns import Labels, name_to_wire

_TIMES: Final = struct.Struct(">IIIII")
_RANK: Final = struct.Struct(">HH")
_TEXT_BYTES_MAX: Final = 255  # its length is one octet


def soa(mname: Labels, rname: Labels, serial: int, *, refresh: int, retry: int, expire: int, minimum: int) -> bytes:
    """Return the data of SOA. ``rname``: a mailbox, its first label before the @. ``serial``: 32 bits; times: seconds.

    Errors: WireError: see ``name_to_wire``.
    Source: RFC 1035 §3.3.13; RFC 2308 §4 (``minimum``: how long others remember that there is none).
    """
    return name_to_wire(mname) + name_to_wire(rname) + _TIMES.pack(serial, refresh, retry, expire, minimum)


def naptr(
    order: int, preference: int, *, flags: str, services: str, regexp: str = "", replacement: Labels = ()
) -> bytes:
    """Return the data of NAPTR. Either ``regexp`` or ``replacement`` is empty.

    Errors: WireError: a text longer than 255 octets of UTF-8; see ``name_to_wire``.
    Source: RFC 3403 §4.1.
    """
    texts = b"".join(map(_text, (flags, services, regexp)))
    return _RANK.pack(order, preference) + texts + name_to_wire(replacement)


def _text(value: str) -> bytes:
    """Return a character-string: its length in one octet, then its octets."""
    octets = value.encode()
    if len(octets) > _TEXT_BYTES_MAX:
        raise WireError(
            f"NAPTR 的文本最长{_TEXT_BYTES_MAX}个字节，此处为{len(octets)}。"
            f"A text of NAPTR has at most {_TEXT_BYTES_MAX} octets, here are {len(octets)}"
        )
    return bytes((len(octets),)) + octets
