"""The Handle protocol over UDP: datagrams to messages, answers to packets, nothing else.

1. An answer is at most ``answer_bytes`` long, for a source may be forged; of a longer one
   the first packets go out, which say how long it is, and the client comes by TCP.
2. A datagram that is an answer, or shorter than a header, is dropped: two servers never talk
   in circles.
3. Requests in several packets are put together within UDP_ASSEMBLY_S; of those under way
   the oldest goes first.
4. A datagram over UDP_DATAGRAM_BYTES_MAX is refused; longer messages come in packets, or by TCP.
5. The answers of a turn leave together, behind the log; where it cannot be written they are dropped.
6. So are the requests of a source that makes too many: a refusal would be one more datagram to whoever it forges.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from core import clock, limits
from core.errors import WireError
from core.events import Via
from core.hdl.exchange import Transport
from core.peer import address_of
from core.wire.envelope import ENVELOPE_BYTES, Assembly, Envelope, decode_envelope, packets
from core.wire.message import HEADER_BYTES, peek_header
from node.arrival import ARRIVED_NS
from node.datagram_front import DatagramFront
from node.datagrams import Address, Received
from node.handle_service import NO_QUICK_WAY, Answers, HandleService, Quick
from node.turn import Turn
from resolver.ratelimit import Admits

_LOG: Final = logging.getLogger("saltern.handle")

_Place = tuple[Address, int, int]


class _Partial(NamedTuple):
    assembly: Assembly
    until_s: float


class UdpFront(DatagramFront):
    """One worker's datagrams. ``observe`` counts the messages; ``quick`` answers what is common."""

    def __init__(
        self, service: HandleService, turn: Turn, admits: Admits,
        answer_bytes: int, observe: Callable[[int], None], *,
        now_s: Callable[[], float] = clock.monotonic_s, quick: Quick = NO_QUICK_WAY,
    ) -> None:  # fmt: skip
        super().__init__(turn, limits.UDP_PACKET_BYTES)
        self._service = service
        self._admits = admits
        self._answer_bytes = answer_bytes
        self._observe = observe
        self._now_s = now_s
        self._quick = quick
        self._quick_bytes = min(answer_bytes, limits.UDP_PACKET_BYTES)
        self._partials: dict[_Place, _Partial] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._came_ns = 0

    def take(self) -> None:
        """See DatagramFront."""
        datagrams = self._datagrams
        if datagrams is None:
            return
        admits = self._admits
        self._came_ns = self._turn.came_ns or clock.monotonic_ns()
        received = [each for each in datagrams.receive() if admits(address_of(each[2]))]
        if self._quick.begin():
            try:
                received = self._quickly(received)
            finally:
                self._quick.end()
            self._leave(self._came_ns)  # now: a record that fails further on takes these entries with it
        for data, address, peer in received:
            try:
                self._received(data, address, peer)
            except Exception:
                _LOG.exception("a datagram failed")
        self._leave(self._came_ns)

    def _quickly(self, received: list[Received]) -> list[Received]:
        """Answer what needs no second look; return the rest."""
        answer, out, bytes_max = self._quick.answer, self._out, self._quick_bytes
        rest: list[Received] = []
        for each in received:
            try:
                quick = answer(each[0], bytes_max, Via.HANDLE_UDP, each[2])
            except Exception:
                _LOG.exception("a datagram failed")
                continue
            if quick is None:
                rest.append(each)
            else:
                out.append((quick, each[1]))
        self._observe(len(received) - len(rest))
        return rest

    def _received(self, data: bytes, addr: Address, peer: bytes) -> None:
        if len(data) < ENVELOPE_BYTES:
            return
        envelope, payload = decode_envelope(data), data[ENVELOPE_BYTES:]
        if _says_nothing(envelope, payload):
            return
        try:
            whole = self._whole(envelope, payload, addr)
        except WireError as error:
            self._send(self._service.refuse(envelope, error), addr)
            return
        if whole is None:
            return
        envelope, payload = whole
        self._observe(1)
        ARRIVED_NS.set(self._came_ns)
        if self._service.at_once(envelope, payload):
            self._send(self._service.answer_at_once(envelope, payload, Transport.UDP, peer), addr)
        elif len(self._tasks) < limits.HANDLE_UNDER_WAY_MAX:
            task = asyncio.get_running_loop().create_task(self._answer(envelope, payload, addr, peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Receive nothing more, give up what waits."""
        for task in self._tasks:
            task.cancel()
        super().close()

    async def _answer(self, envelope: Envelope, payload: bytes, addr: Address, peer: bytes) -> None:
        self._send(await self._service.answer(envelope, payload, Transport.UDP, peer), addr)
        self._leave()

    def _whole(self, envelope: Envelope, payload: bytes, addr: Address) -> tuple[Envelope, bytes] | None:
        """Return the message of a datagram; None if more packets belong to it. Errors: WireError."""
        size = ENVELOPE_BYTES + len(payload)
        if size > limits.UDP_DATAGRAM_BYTES_MAX:
            raise WireError(f"A datagram of {size} octets; at most {limits.UDP_DATAGRAM_BYTES_MAX} are taken")
        if envelope.in_packets:
            return self._assembled(envelope, payload, addr)
        if len(payload) != envelope.length:
            raise WireError(f"A message of {envelope.length} octets is announced, {len(payload)} came")
        return envelope, payload

    def _assembled(self, envelope: Envelope, payload: bytes, addr: Address) -> tuple[Envelope, bytes] | None:
        """Add a packet to its message; return the message once it is whole. Errors: WireError."""
        now = self._now_s()
        for place in [place for place, partial in self._partials.items() if partial.until_s <= now]:
            del self._partials[place]
        place = (addr, envelope.session_id, envelope.request_id)
        partial = self._partials.get(place)
        if partial is None:
            if len(self._partials) >= limits.UDP_ASSEMBLIES_MAX:
                del self._partials[next(iter(self._partials))]
            partial = _Partial(Assembly(envelope), now + limits.UDP_ASSEMBLY_S)
            self._partials[place] = partial
        try:
            whole = partial.assembly.add(envelope, payload)
        except WireError:
            self._partials.pop(place, None)
            raise
        if whole is not None:
            del self._partials[place]
        return whole

    def _send(self, answers: Answers, addr: Address) -> None:
        left = self._answer_bytes
        for packet in packets(answers.first.envelope, answers.first.payload):
            left -= len(packet)
            if left < 0:
                return
            self._out.append((packet, addr))


def _says_nothing(envelope: Envelope, payload: bytes) -> bool:
    """Whether a datagram is an answer, or too short to be anything; encrypted ones cannot be told."""
    if not envelope.in_packets and len(payload) < HEADER_BYTES:
        return True
    if envelope.encrypted or (envelope.in_packets and envelope.sequence):
        return False
    header = peek_header(payload)
    return header is not None and header.code != 0
