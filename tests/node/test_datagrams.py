"""Both ways to use a datagram socket do the same, over real sockets of both families."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator

import pytest

from core import limits
from node.datagrams import BatchedDatagrams, Datagrams, PlainDatagrams, Received

WAIT_S = 5


@pytest.fixture(params=["127.0.0.1", "::1"])
def sockets(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A bound socket that does not block, and one that talks to it."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as served, socket.socket(family, socket.SOCK_DGRAM) as client:
        served.bind((request.param, 0))
        served.setblocking(False)
        client.connect(served.getsockname())
        client.settimeout(WAIT_S)
        yield served, client


@pytest.fixture(params=[BatchedDatagrams, PlainDatagrams])
def make(request: pytest.FixtureRequest) -> Callable[[socket.socket], Datagrams]:
    made: Callable[[socket.socket], Datagrams] = request.param
    return made


def received(channel: socket.socket, datagrams: Datagrams, count: int) -> list[Received]:
    """Receive until so many are there."""
    found: list[Received] = []
    while len(found) < count:
        assert select.select([channel], [], [], WAIT_S)[0]
        batch = datagrams.receive()
        assert 0 < len(batch) <= limits.UDP_BATCH
        found += batch
    return found


Sockets = tuple[socket.socket, socket.socket]


def test_what_is_sent_is_received_and_answered(sockets: Sockets, make: Callable[[socket.socket], Datagrams]) -> None:
    """More than a batch, of all lengths, in order; each answer goes to who asked."""
    served, client = sockets
    datagrams = make(served)
    for start in range(0, 300, limits.UDP_BATCH + 5):  # a socket keeps some two hundred
        sent = [bytes([number % 256]) * (number * 7 % 500) for number in range(start, start + limits.UDP_BATCH + 5)]
        for octets in sent:
            client.send(octets)
        found = received(served, datagrams, len(sent))
        assert [octets for octets, _, _ in found] == sent
        assert len({(address, peer) for _, address, peer in found}) == 1
        datagrams.send([(octets[::-1] + b"!", address) for octets, address, _ in found])
        assert [client.recv(1_000) for _ in sent] == [octets[::-1] + b"!" for octets in sent]


def test_addresses_tell_clients_apart(sockets: Sockets, make: Callable[[socket.socket], Datagrams]) -> None:
    """The same client has the same address each time."""
    served, client = sockets
    datagrams = make(served)
    with socket.socket(served.family, socket.SOCK_DGRAM) as other:
        other.connect(served.getsockname())
        other.settimeout(WAIT_S)
        for line in (client, other, client):
            line.send(b"x")
        (_, first, _), (_, second, _), (_, third, _) = received(served, datagrams, 3)
        assert first == third != second
        datagrams.send([(b"to the other", second), (b"to the first", first)])
        assert (client.recv(99), other.recv(99)) == (b"to the first", b"to the other")


def test_nothing_waits_and_nothing_is_sent(sockets: Sockets, make: Callable[[socket.socket], Datagrams]) -> None:
    datagrams = make(sockets[0])
    assert datagrams.receive() == []
    datagrams.send([])


def test_one_that_is_too_long_shows_it(sockets: Sockets, make: Callable[[socket.socket], Datagrams]) -> None:
    """Its first octets come, one more than are taken."""
    served, client = sockets
    client.send(b"y" * 9_000)
    client.send(b"next")
    found = received(served, make(served), 2)
    assert [len(octets) for octets, _, _ in found] == [limits.UDP_DATAGRAM_BYTES_MAX + 1, 4]


def test_one_that_cannot_be_sent_holds_up_no_other(
    sockets: Sockets, make: Callable[[socket.socket], Datagrams]
) -> None:
    """An address that the system refuses is passed over."""
    served, client = sockets
    datagrams = make(served)
    client.send(b"x")
    ((_, address, _),) = received(served, datagrams, 1)
    bad: object = bytes(len(address)) if isinstance(address, bytes) else (address[0], 0)  # type: ignore[index]
    datagrams.send([(b"lost", bad), (b"arrives", address)])  # type: ignore[list-item]
    assert client.recv(99) == b"arrives"
