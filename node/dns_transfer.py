"""Zones for other name servers: transfers, and what a secondary asks before one. Only for who has a key.

1. AXFR gives the whole zone (RFC 5936). IXFR gives it, too, or the SOA alone where the client has its serial or a later
   one (RFC 1995 §4; serials compare as RFC 1982 §3.2 has it). A question for the SOA that is signed is answered signed.
2. A question that is not signed is REFUSED; of one whose signature is wrong see ``node/tsig.py``. Whatever else is
   signed is REFUSED, signed: who resolves has no key.
3. All records come from one state of the store. Between two messages, and between DNS_TRANSFER_ROWS aliases that are
   not answered, the event loop has its turn; a client that takes no message for DNS_TCP_IDLE_S, or not all within
   DNS_TRANSFER_S, is given up. The state is let go in every case.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype

from core import limits
from core.errors import StoreError
from core.peer import format_peer
from core.store.engine import Snapshot
from core.wire.dns import CLASS_IN, Labels, Rcode, Rr, Type
from core.wire.dns_pages import Frame, pages
from core.wire.dns_text import text_of
from node.telemetry import TransferEnding
from node.tsig import Signature, signature_of
from node.tsig_file import TsigKeys
from resolver.zone import Zones

_LOG: Final = logging.getLogger("saltern.dns")
_TRANSFERS: Final = (int(Type.AXFR), int(Type.IXFR))
_ASKED: Final = (*_TRANSFERS, int(Type.SOA))
_HALF: Final = 1 << 31
_ROOT: Final = b""

Send = Callable[[bytes], Awaitable[None]]
"""Sends one message, without its length; done when there is room for the next one."""


class _Question(NamedTuple):
    """A question that was read. ``has``: the serial that an IXFR says its client has."""

    frame: Frame
    name: Labels
    type: int
    class_: int
    has: int | None
    edns: int
    signature: Signature | None


class Transfers:
    """Answers transfers of one worker. ``count`` counts how they end; ``now_s``: Unix time."""

    def __init__(
        self, zones: Zones, keys: TsigKeys, snapshot: Callable[[], Snapshot], count: Callable[[TransferEnding], None],
        now_s: Callable[[], float],
    ) -> None:  # fmt: skip
        self._zones = zones
        self._keys = keys
        self._snapshot = snapshot
        self._count = count
        self._now_s = now_s
        self._under_way = 0

    async def answer(self, message: bytes, peer: bytes, send: Send) -> bool:
        """Answer a message that came by TCP; False if it is nothing for this.

        Errors: TimeoutError, StoreError: the answer is not whole, the connection is to be closed; those of ``send``.
        """
        question = _read(message, self._keys)
        if question is None:
            return False
        single = self._refusal(question, message) or self._single(question)
        if single is not None:
            await send(single)
        elif self._under_way >= limits.DNS_TRANSFERS_MAX:
            await send(self._ended(question, Rcode.REFUSED))
        else:
            self._under_way += 1
            try:
                await self._transfer(question, peer, send)
            except BaseException:
                self._count("cut")
                raise
            finally:
                self._under_way -= 1
        return True

    def answer_datagram(self, message: bytes) -> bytes | None:
        """Answer a message that came by UDP, None if it is nothing for this: nobody gets a zone by UDP.

        An IXFR is answered with the SOA alone, so that its client comes by TCP (RFC 1995 §2).
        """
        question = _read(message, self._keys)
        if question is None:
            return None
        single = self._refusal(question, message) or self._single(question)
        if single is not None:
            return single
        return self._ended(question, Rcode.REFUSED) if question.type == Type.AXFR else self._soa(question)

    # --- what takes one message ---
    def _refusal(self, question: _Question, message: bytes) -> bytes | None:
        """Return what is answered to who has no key, or asks what there is not; None where he may have it."""
        signature = question.signature
        if signature is None:
            return self._ended(question, Rcode.REFUSED)
        fault = signature.fault(message, self._now())
        if fault is not None:
            self._counted(question, "refused")
            return signature.told(_plain(question, fault.rcode), fault)
        if question.edns > 0:
            return self._ended(question, Rcode.BADVERS)
        if question.class_ != CLASS_IN or question.type not in _ASKED:
            return self._ended(question, Rcode.REFUSED)
        if question.name not in self._zones.apexes:
            return self._ended(question, Rcode.NOTAUTH)
        return None

    def _single(self, question: _Question) -> bytes | None:
        """Return the answer that is the SOA alone; None where a zone is to be sent."""
        if question.type == Type.AXFR:
            return None
        if question.type == Type.SOA:
            return self._soa(question)
        try:
            with self._snapshot() as snapshot:
                serial = self._zones.serial(snapshot)
        except StoreError as error:
            return self._failed(question, error)
        if question.has is None or is_ahead(serial, question.has):
            return None
        self._count("current")
        return self._soa(question)

    def _soa(self, question: _Question) -> bytes:
        try:
            with self._snapshot() as snapshot:
                soa = next(iter(self._zones.records(snapshot, question.name)))
        except StoreError as error:
            return self._failed(question, error)
        return self._signed(question, _plain(question, Rcode.NOERROR, (soa,)))

    def _failed(self, question: _Question, error: StoreError) -> bytes:
        _LOG.error("a zone cannot be read: %s", error.message)
        return self._ended(question, Rcode.SERVFAIL)

    def _ended(self, question: _Question, rcode: Rcode) -> bytes:
        self._counted(question, "refused")
        answer = _plain(question, rcode)
        return answer if question.signature is None else self._signed(question, answer)

    def _signed(self, question: _Question, answer: bytes, *, multi: bool = False) -> bytes:
        assert question.signature is not None
        return question.signature.sign(answer, self._now(), multi=multi)

    def _counted(self, question: _Question, ending: TransferEnding) -> None:
        if question.type in _TRANSFERS:
            self._count(ending)

    def _now(self) -> int:
        return int(self._now_s())

    # --- a zone ---
    async def _transfer(self, question: _Question, peer: bytes, send: Send) -> None:
        assert question.signature is not None
        zone, key, sent = text_of(question.name), question.signature.name, 0
        try:
            async with asyncio.timeout(limits.DNS_TRANSFER_S):
                with self._snapshot() as snapshot:
                    serial = self._zones.serial(snapshot)
                    for page in self._pages(question, snapshot):
                        if page:
                            async with asyncio.timeout(limits.DNS_TCP_IDLE_S):
                                await send(page)
                            sent += 1
                        await asyncio.sleep(0)  # whoever resolves has his turn
        except StoreError as error:
            if sent:
                raise
            await send(self._failed(question, error))
            return
        except TimeoutError:
            _LOG.warning(
                "区传送中断：接收过慢。A transfer of %s to %s with key %s was cut: its client takes it too slowly",
                zone, format_peer(peer), key,
            )  # fmt: skip
            raise
        self._count("whole")
        _LOG.info(
            "区传送完成。%s was transferred: serial %d, %d messages, to %s with key %s",
            zone, serial, sent, format_peer(peer), key,
        )  # fmt: skip

    def _pages(self, question: _Question, snapshot: Snapshot) -> Iterator[bytes]:
        """Yield what is to be sent; no octets where others are to have their turn first."""
        assert question.signature is not None
        frame = question.frame._replace(flags=question.frame.flags | dns.flags.AA)
        octets = limits.DNS_TRANSFER_MESSAGE_BYTES - question.signature.octets
        for page in pages(frame, self._zones.records_with_rests(snapshot, question.name), octets):
            yield self._signed(question, page, multi=True) if page else page


def is_ahead(serial: int, other: int) -> bool:
    """Whether a serial comes after another one, modulo 2**32; where both are 2**31 apart, it is taken to do so.

    Source: RFC 1982 §3.2.
    """
    return 0 < (serial - other) % (2 * _HALF) <= _HALF


def _read(message: bytes, keys: TsigKeys) -> _Question | None:
    """Read a question that is signed, or for a transfer; None for any other message, and what is none."""
    try:
        read = dns.message.from_wire(message, keyring=False)
    except (dns.exception.DNSException, ValueError):
        return None
    if read.flags & dns.flags.QR or read.opcode() != dns.opcode.QUERY or len(read.question) != 1:
        return None
    signature = signature_of(read, keys)
    (asked,) = read.question
    if signature is None and asked.rdtype not in _TRANSFERS:
        return None
    flags = dns.flags.QR | read.flags & dns.flags.RD
    wire = (asked.name.to_wire() or _ROOT) + struct.pack("!HH", asked.rdtype, asked.rdclass)
    return _Question(
        Frame(read.id, flags, wire, b"" if read.edns < 0 else _opt(0)),
        asked.name.canonicalize().labels[:-1], int(asked.rdtype), int(asked.rdclass), _serial_in(read), read.edns,
        signature,
    )  # fmt: skip


def _serial_in(read: dns.message.Message) -> int | None:
    for rrset in read.authority:
        if rrset.rdtype == dns.rdatatype.SOA and len(rrset):
            serial: int = rrset[0].serial
            return serial
    return None


def _plain(question: _Question, rcode: Rcode, records: tuple[Rr, ...] = ()) -> bytes:
    """Return an answer of one message, not signed."""
    frame = question.frame._replace(
        flags=question.frame.flags | rcode & 0xF | (dns.flags.AA if records else 0),
        additional=_opt(rcode >> 4) if question.frame.additional else b"",
    )
    (page,) = pages(frame, records, limits.DNS_MESSAGE_BYTES_MAX)
    return page


def _opt(rcode_above: int) -> bytes:
    """Return the OPT record (RFC 6891 §6.1.2). ``rcode_above``: the upper bits of the response code."""
    return struct.pack("!BHHBBHH", 0, Type.OPT, limits.DNS_UDP_BYTES, rcode_above, 0, 0, 0)
