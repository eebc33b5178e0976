"""DNS over UDP alone: a batch a wake-up, what leaves behind the log, what is not plain; and the longest datagrams."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from core import limits
from core.events import Via
from core.peer import address_of, peer_of
from core.store.memory_engine import MemoryEngine
from node.datagrams import BatchedDatagrams, Datagrams, PlainDatagrams, Received, open_datagrams
from node.dns_service import DnsService, Transfers
from node.dns_udp import DnsUdpFront
from node.turn import Turn
from resolver.ratelimit import Admits
from tests.kit.dns import HOST, StandInZones, ask, rcode, read
from tests.kit.logs import MemorySpool, everyone
from tests.node.test_dns_tcp import Zone

ADDRESS = ("192.0.2.1", 4_000)


class Udp:
    """A front, the datagrams that come, and those that left."""

    def __init__(self, *, admits: Admits = everyone, transfers: Transfers | None = None) -> None:
        self.spool = MemorySpool()
        self.ends: list[Callable[[], None]] = []
        self.came: list[Received] = []
        self.sent: list[bytes] = []
        turn = Turn(self.spool, lambda *_: None, lambda: None, lambda: 0.0, self.ends.append)
        service = DnsService(
            MemoryEngine(), StandInZones(), turn, Via.DNS_UDP,  # type: ignore[arg-type] # what is asked of zones
            udp_bytes=limits.DNS_UDP_BYTES, observe=lambda _: None,
        )  # fmt: skip
        self.front = DnsUdpFront(service, turn, admits, limits.DNS_UDP_BYTES, transfers=transfers)
        self.front.serve(self)

    def receive(self) -> list[Received]:
        came, self.came = self.came, []
        return came

    def send(self, datagrams: list[tuple[bytes, object]]) -> None:
        self.sent += [octets for octets, _ in datagrams]

    def take(self, *messages: bytes, address: tuple[str, int] = ADDRESS) -> None:
        self.came = [(message, address, peer_of(address)) for message in messages]
        self.front.take()

    def end(self) -> None:
        for end in self.ends:
            end()
        self.ends.clear()


def test_the_answers_of_a_turn_leave_together_behind_one_write() -> None:
    """None before it; what is refused, too."""
    udp = Udp()
    udp.take(*(ask("n1.test", number=number) for number in range(5)), ask("n1.test", rdclass="CH"))
    udp.take(ask("n2.test", number=9))
    assert (udp.sent, udp.spool.writes, len(udp.ends)) == ([], 0, 1)
    udp.end()
    assert [read(each).id for each in udp.sent] == [0, 1, 2, 3, 4, 1, 9]
    assert (udp.spool.writes, len(udp.spool.rows)) == (1, 6)


def test_nothing_leaves_that_is_not_logged() -> None:
    """The turn whose log cannot be written says nothing; the next one says that it cannot."""
    udp = Udp()
    udp.spool.full = True
    udp.take(ask("n1.test"), ask("n2.test"))
    udp.end()
    assert udp.sent == []
    udp.take(ask("n1.test"))
    udp.end()
    assert [rcode(each) for each in udp.sent] == ["SERVFAIL"]


def test_sources_that_ask_too_much_hear_nothing() -> None:
    udp = Udp(admits=lambda source: source == address_of(peer_of(ADDRESS)))
    udp.take(ask("n1.test"), address=("192.0.2.2", 4_000))
    udp.end()
    assert udp.sent == udp.spool.rows == []


@pytest.mark.parametrize("takes", [True, False, None])
def test_what_is_not_plain_is_for_others_or_refused(takes: bool | None) -> None:
    """Between questions that are."""
    udp = Udp(transfers=None if takes is None else Zone(takes=takes))
    udp.take(ask("n1.test", number=1), ask("test", "AXFR", 2), ask("n1.test", number=3))
    udp.end()
    first, between, last = udp.sent
    assert (read(first).id, read(last).id) == (1, 3)
    if takes:
        assert between == b"\0\2\x80"
    else:
        assert (read(between).id, rcode(between)) == (2, "REFUSED")


@pytest.mark.parametrize("make", [BatchedDatagrams, open_datagrams, lambda channel, _: PlainDatagrams(channel)])
def test_batches_of_the_longest_answers_leave(make: Callable[[socket.socket, int], Datagrams]) -> None:
    """DNS_UDP_BYTES_MAX each, whole and in their order."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as at,
    ):
        here.bind((HOST, 0))
        here.setblocking(False)
        at.settimeout(20)
        at.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        at.connect(here.getsockname())
        datagrams = make(here, limits.DNS_UDP_BYTES_MAX)
        at.send(b"x")
        ((_, address, _),) = datagrams.receive()
        for start in range(0, limits.UDP_BATCH, 16):  # fewer than a small queue holds
            longest = [bytes([start + number]) * limits.DNS_UDP_BYTES_MAX for number in range(16)]
            datagrams.send([(octets, address) for octets in longest])
            assert [at.recv(65_535) for _ in longest] == longest
