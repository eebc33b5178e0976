"""Questions that are signed by a shared key, and their answers (TSIG, RFC 8945). dnspython makes and compares the MAC.

What is wrong with a signature is answered as §5.2 has it: an unknown key and a wrong MAC with NOTAUTH and no MAC, a
time that is off with NOTAUTH, signed, beside the time of this node.
"""

from __future__ import annotations

import hmac
import struct
from typing import Any, Final, NamedTuple

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.tsig

from core import limits
from core.wire.dns import Rcode
from node.tsig_file import TsigKeys

_TSIG: Final = struct.pack("!HHI", dns.rdatatype.TSIG, 255, 0)  # type, class ANY, TTL
_HEADER_BYTES: Final = 12
_COUNT_AT: Final = 10  # of the additional section
_MAC_BYTES_MIN: Final = 10  # RFC 8945 §5.2.2.1
_TIME_OCTETS: Final = 6
_POINTER: Final = 0xC0

_sign: Any = dns.tsig.sign  # without types
_Tsig = dns.rdtypes.ANY.TSIG.TSIG


class Fault(NamedTuple):
    """What is wrong with a signature. ``error``: of TSIG, 0 where the message is malformed; ``signed``: the answer is.

    ``other``: the other data of the answer.
    """

    rcode: Rcode
    error: int
    signed: bool = False
    other: bytes = b""


_MALFORMED: Final = Fault(Rcode.FORMERR, 0)
_BADSIG: Final = Fault(Rcode.NOTAUTH, dns.rcode.BADSIG)
_BADKEY: Final = Fault(Rcode.NOTAUTH, dns.rcode.BADKEY)


class Signature:
    """The signature of one question, and what signs the answers to it, in their order."""

    def __init__(self, name: dns.name.Name, rdata: _Tsig, key: dns.tsig.Key | None) -> None:
        self.name = name
        self._rdata = rdata
        self._key = key
        self._context: object = None

    @property
    def octets(self) -> int:
        """How much longer a signature makes an answer, at most."""
        mac = 0 if self._key is None else dns.tsig.mac_sizes[self._key.algorithm]
        return len(self.name.to_wire() or b"") + len(self._rdata.algorithm.to_wire() or b"") + mac + 32

    def fault(self, message: bytes, now_s: int) -> Fault | None:
        """Return what is wrong with it, None where it is right. ``message``: dnspython has read it."""
        key, rdata = self._key, self._rdata
        if key is None or key.algorithm != rdata.algorithm:
            return _BADKEY
        given, whole = len(rdata.mac), dns.tsig.mac_sizes[key.algorithm]
        if not max(_MAC_BYTES_MIN, whole // 2) <= given <= whole:
            return _MALFORMED
        expected, _ = _sign(_without_last(message), key, rdata, rdata.time_signed)
        if not hmac.compare_digest(expected.mac[:given], rdata.mac):
            return _BADSIG
        if abs(rdata.time_signed - now_s) > rdata.fudge:
            return Fault(Rcode.NOTAUTH, dns.rcode.BADTIME, signed=True, other=now_s.to_bytes(_TIME_OCTETS, "big"))
        return None if given == whole else Fault(Rcode.NOTAUTH, dns.rcode.BADTRUNC, signed=True)

    def sign(self, answer: bytes, now_s: int, *, multi: bool = False) -> bytes:
        """Return an answer with its signature. ``multi``: it is one of several (§5.3.1)."""
        assert self._key is not None
        rdata = self._rdata.replace(fudge=limits.TSIG_FUDGE_S, error=0, other=b"")
        context = self._context if multi else None
        signed, self._context = _sign(answer, self._key, rdata, now_s, self._rdata.mac, context, multi)
        return self._added(answer, signed)

    def told(self, answer: bytes, fault: Fault) -> bytes:
        """Return an answer that says what is wrong with the question's signature."""
        if not fault.error:
            return answer
        rdata: Any = self._rdata.replace(mac=b"", error=fault.error, other=fault.other)
        if fault.signed:
            assert self._key is not None
            time_s = rdata.time_signed  # that of the question: the client compares it with its own clock
            rdata, _ = _sign(answer, self._key, rdata, time_s, self._rdata.mac)
        return self._added(answer, rdata)

    def _added(self, answer: bytes, rdata: _Tsig) -> bytes:
        data = rdata.to_wire() or b""
        (records,) = struct.unpack_from("!H", answer, _COUNT_AT)
        return b"".join((
            answer[:_COUNT_AT], struct.pack("!H", records + 1), answer[_HEADER_BYTES:],
            self.name.to_wire() or b"", _TSIG, struct.pack("!H", len(data)), data,
        ))  # fmt: skip


def signature_of(message: dns.message.Message, keys: TsigKeys) -> Signature | None:
    """Return the signature of a question, None of one that has none. A key that is not known: see ``fault``."""
    if message.tsig is None:
        return None
    name = message.tsig.name
    return Signature(name, message.tsig[0], keys.get(name))


def _without_last(message: bytes) -> bytes:
    """Return a message without its last record, the signature. It has been read whole: its counts are true."""
    questions, *others = struct.unpack_from("!4H", message, 4)
    at = _HEADER_BYTES
    for _ in range(questions):
        at = _behind_name(message, at) + 4
    for _ in range(sum(others) - 1):
        at = _behind_name(message, at) + 10
        at += int.from_bytes(message[at - 2 : at], "big")
    return message[:_COUNT_AT] + struct.pack("!H", others[-1] - 1) + message[_HEADER_BYTES:at]


def _behind_name(message: bytes, at: int) -> int:
    while message[at]:
        if message[at] >= _POINTER:
            return at + 2
        at += 1 + message[at]
    return at + 1
