"""DNS over UDP: datagrams to questions, answers to datagrams, nothing else.

1. The answers of a turn leave together, behind the log; where it cannot be written they are dropped.
2. So are the questions of a source that asks too much: a refusal would be one more datagram to whoever it forges.
3. Zones are transferred by TCP; what else is not plain is answered by ``transfers``, or refused.
"""

from __future__ import annotations

import logging
from typing import Final

from core import clock
from core.peer import address_of
from core.wire.dns import NotPlain
from node.datagram_front import DatagramFront
from node.dns_service import DnsService, Transfers
from node.turn import Turn
from resolver.ratelimit import Admits

_LOG: Final = logging.getLogger("saltern.dns")


class DnsUdpFront(DatagramFront):
    """One worker's questions by UDP. ``bytes_max``: of an answer."""

    def __init__(
        self, service: DnsService, turn: Turn, admits: Admits, bytes_max: int, *, transfers: Transfers | None = None
    ) -> None:
        super().__init__(turn, bytes_max)
        self._service = service
        self._admits = admits
        self._transfers = transfers

    def take(self) -> None:
        """See DatagramFront."""
        datagrams = self._datagrams
        if datagrams is None:
            return
        admits, service, out = self._admits, self._service, self._out
        came_ns = self._turn.came_ns or clock.monotonic_ns()
        received = [each for each in datagrams.receive() if admits(address_of(each[2]))]
        service.begin()  # behind the last octet that came
        try:
            for message, address, peer in received:
                try:
                    answer = self._answer(message, peer)
                except Exception:
                    _LOG.exception("a datagram failed")
                    continue
                if answer is not None:
                    out.append((answer, address))
        finally:
            service.end()
        self._leave(came_ns)

    def _answer(self, message: bytes, peer: bytes) -> bytes | None:
        try:
            return self._service.answer(message, peer)
        except NotPlain:
            answer = None if self._transfers is None else self._transfers.answer_datagram(message)
            return self._service.refuse(message) if answer is None else answer
