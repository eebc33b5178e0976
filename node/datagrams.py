"""Datagrams in batches: one system call for many, where the system has it.

``recvmmsg`` and ``sendmmsg`` by ctypes, over buffers that are made once; where they are
missing, plain calls in a loop. An address is opaque: it goes back with the answer, and
equal addresses are equal objects (it may key a dictionary).
"""

from __future__ import annotations

import ctypes
import socket
import sys
from array import array
from collections.abc import Hashable
from typing import Any, Final, Protocol, cast

from core import limits
from core.peer import pack_peer, peer_of

Address = Hashable
Datagram = tuple[bytes, Address]

_BATCH: Final = limits.UDP_BATCH
_READ_BYTES: Final = limits.UDP_DATAGRAM_BYTES_MAX + 1  # one more shows that a datagram is too long
_NAME_BYTES: Final = 28  # sockaddr_in6
_IPV4_NAME_BYTES: Final = 16  # sockaddr_in
_WORDS: Final = 8  # of a struct mmsghdr on a 64-bit system: name, its length, iovec, its length,
_NAME, _NAME_LENGTH, _IOVEC, _IOVEC_LENGTH, _LENGTH = 0, 1, 2, 3, 7  # control (2), flags, message length
_MSG_DONTWAIT: Final = 0x40


class Datagrams(Protocol):
    """What a front needs of a socket."""

    def receive(self) -> list[Datagram]:
        """Return what waits, at most UDP_BATCH datagrams."""

    def send(self, datagrams: list[Datagram]) -> None:
        """Send datagrams; those that the system does not take just now are dropped."""

    def peer(self, address: Address) -> bytes:
        """Return an address as ``core/peer.py`` has it."""


def open_datagrams(channel: socket.socket) -> Datagrams:
    """Return the quickest way to use a bound socket that does not block."""
    if sys.platform == "linux" and sys.maxsize > 2**32 and sys.byteorder == "little":
        return BatchedDatagrams(channel)
    return PlainDatagrams(channel)


class PlainDatagrams:
    """One system call a datagram."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def receive(self) -> list[Datagram]:
        """See Datagrams."""
        found: list[Datagram] = []
        while len(found) < _BATCH:
            try:
                found.append(self._channel.recvfrom(_READ_BYTES))
            except OSError:  # nothing waits, or an earlier answer was refused
                break
        return found

    def send(self, datagrams: list[Datagram]) -> None:
        """See Datagrams."""
        for data, address in datagrams:
            try:
                self._channel.sendto(data, cast("tuple[Any, ...]", address))  # as recvfrom() gave it
            except OSError:
                continue

    def peer(self, address: Address) -> bytes:
        """See Datagrams."""
        return peer_of(address)


class BatchedDatagrams:
    """recvmmsg and sendmmsg, over buffers that are made once."""

    def __init__(self, channel: socket.socket) -> None:
        self._descriptor = channel.fileno()
        library = ctypes.CDLL(None)
        self._recvmmsg, self._sendmmsg = library.recvmmsg, library.sendmmsg
        vector = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        self._recvmmsg.argtypes, self._sendmmsg.argtypes = (*vector, ctypes.c_void_p), vector
        self._in = _Vector(_READ_BYTES)
        self._out = _Vector(limits.UDP_PACKET_BYTES)

    def receive(self) -> list[Datagram]:
        """See Datagrams."""
        vector = self._in
        words, data, names, size = vector.words, vector.data, vector.names, vector.size
        for place in range(_NAME_LENGTH, _BATCH * _WORDS, _WORDS):
            words[place] = _NAME_BYTES
        count = self._recvmmsg(self._descriptor, vector.address, _BATCH, _MSG_DONTWAIT, None)
        found: list[Datagram] = []
        for number in range(count):  # -1 where nothing waits
            length = words[number * _WORDS + _LENGTH] & 0xFFFF_FFFF
            name = number * _NAME_BYTES
            found.append(
                (
                    bytes(data[number * size : number * size + length]),
                    bytes(names[name : name + (words[number * _WORDS + _NAME_LENGTH] & 0xFFFF_FFFF)]),
                )
            )
        return found

    def send(self, datagrams: list[Datagram]) -> None:
        """See Datagrams."""
        for start in range(0, len(datagrams), _BATCH):
            self._send_batch(datagrams[start : start + _BATCH])

    def peer(self, address: Address) -> bytes:
        """See Datagrams. A sockaddr_in has port and address side by side, a sockaddr_in6 its flow between them."""
        assert isinstance(address, bytes)
        if len(address) == _IPV4_NAME_BYTES:
            return address[2:8]
        return pack_peer(address[8:24], int.from_bytes(address[2:4], "big"))

    def _send_batch(self, datagrams: list[Datagram]) -> None:
        vector = self._out
        words, data, names, lengths, size = vector.words, vector.data, vector.names, vector.lengths, vector.size
        for number, (octets, address) in enumerate(datagrams):
            assert isinstance(address, bytes)
            if len(octets) > size or len(address) > _NAME_BYTES:
                raise ValueError(f"a datagram of {len(octets)} octets does not fit in {size}")
            place, name = number * size, number * _NAME_BYTES
            data[place : place + len(octets)] = octets
            names[name : name + len(address)] = address
            lengths[2 * number + 1] = len(octets)
            words[number * _WORDS + _NAME_LENGTH] = len(address)
        sent = 0
        while sent < len(datagrams):
            count = self._sendmmsg(
                self._descriptor, vector.address + sent * _WORDS * 8, len(datagrams) - sent, _MSG_DONTWAIT
            )
            sent += max(count, 1)  # one that cannot be sent is passed over


class _Vector:
    """The buffers of one direction: headers, names, octets."""

    def __init__(self, size: int) -> None:
        self.size = size
        octets, names = bytearray(_BATCH * size), bytearray(_BATCH * _NAME_BYTES)
        self.data, self.names = memoryview(octets), memoryview(names)
        self.lengths = array("Q", bytes(_BATCH * 16))
        self.words = array("Q", bytes(_BATCH * _WORDS * 8))
        self.address = self.words.buffer_info()[0]
        first = ctypes.addressof(ctypes.c_char.from_buffer(octets))
        first_name = ctypes.addressof(ctypes.c_char.from_buffer(names))
        first_length = self.lengths.buffer_info()[0]
        for number in range(_BATCH):
            self.lengths[2 * number], self.lengths[2 * number + 1] = first + number * size, size
            word = number * _WORDS
            self.words[word + _NAME] = first_name + number * _NAME_BYTES
            self.words[word + _IOVEC] = first_length + number * 16
            self.words[word + _IOVEC_LENGTH] = 1
