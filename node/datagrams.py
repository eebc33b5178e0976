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
from itertools import accumulate
from typing import Any, Final, Protocol, cast

from core import limits
from core.peer import pack_peer, peer_of

Address = Hashable
Datagram = tuple[bytes, Address]
Received = tuple[bytes, Address, bytes]
"""Octets, address to answer to, and the same as ``core/peer.py`` has it."""

_BATCH: Final = limits.UDP_BATCH
_READ_BYTES: Final = limits.UDP_DATAGRAM_BYTES_MAX + 1  # one more shows that a datagram is too long
_IPV4_NAME_BYTES: Final = 16  # sockaddr_in
_IPV6_NAME_BYTES: Final = 28  # sockaddr_in6
_WORDS: Final = 8  # of a struct mmsghdr on a 64-bit system: name, its length, iovec, its length,
_NAME, _NAME_LENGTH, _IOVEC, _IOVEC_LENGTH, _LENGTH = 0, 1, 2, 3, 7  # control (2), flags, message length
_WORD_BYTES: Final = 8
_MSG_DONTWAIT: Final = 0x40


class Datagrams(Protocol):
    """What a front needs of a socket."""

    def receive(self) -> list[Received]:
        """Return what waits, at most UDP_BATCH datagrams."""

    def send(self, datagrams: list[Datagram]) -> None:
        """Send datagrams; those that the system does not take just now are dropped."""


def open_datagrams(channel: socket.socket, send_bytes: int = limits.UDP_PACKET_BYTES) -> Datagrams:
    """Return the quickest way to use a bound socket that does not block. ``send_bytes``: at most, of one datagram."""
    if sys.platform == "linux" and sys.maxsize > 2**32 and sys.byteorder == "little":
        return BatchedDatagrams(channel, send_bytes)
    return PlainDatagrams(channel)


class PlainDatagrams:
    """One system call a datagram."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def receive(self) -> list[Received]:
        """See Datagrams."""
        found: list[Received] = []
        while len(found) < _BATCH:
            try:
                octets, address = self._channel.recvfrom(_READ_BYTES)
            except OSError:  # nothing waits, or an earlier answer was refused
                break
            found.append((octets, address, peer_of(address)))
        return found

    def send(self, datagrams: list[Datagram]) -> None:
        """See Datagrams."""
        for data, address in datagrams:
            try:
                self._channel.sendto(data, cast("tuple[Any, ...]", address))  # as recvfrom() gave it
            except OSError:
                continue


class BatchedDatagrams:
    """recvmmsg and sendmmsg, over buffers that are made once. Its addresses are the kernel's structures."""

    def __init__(self, channel: socket.socket, send_bytes: int = limits.UDP_PACKET_BYTES) -> None:
        self._descriptor = channel.fileno()
        self._send_bytes = send_bytes
        library = ctypes.CDLL(None)
        self._recvmmsg, self._sendmmsg = library.recvmmsg, library.sendmmsg
        vector = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        self._recvmmsg.argtypes, self._sendmmsg.argtypes = (*vector, ctypes.c_void_p), vector
        name_bytes = _IPV4_NAME_BYTES if channel.family == socket.AF_INET else _IPV6_NAME_BYTES
        self._in, self._out = _Vector(_READ_BYTES, name_bytes), _Vector(send_bytes, name_bytes)

    def receive(self) -> list[Received]:
        """See Datagrams."""
        vector = self._in
        count = self._recvmmsg(self._descriptor, vector.address, _BATCH, _MSG_DONTWAIT, None)
        if count <= 0:  # nothing waits, or an earlier answer was refused
            return []
        octets, name_bytes = vector.octets, vector.name_bytes
        names = vector.names[: count * name_bytes].tobytes()
        found: list[Received] = []
        place = at = 0
        for length in vector.words[_LENGTH : count * _WORDS : _WORDS]:
            name = names[at : at + name_bytes]
            found.append((octets[place : place + length].tobytes(), name, peer_in(name)))
            place += _READ_BYTES
            at += name_bytes
        return found

    def send(self, datagrams: list[Datagram]) -> None:
        """See Datagrams. Errors: ValueError for what fits into no packet."""
        for start in range(0, len(datagrams), _BATCH):
            self._send_batch(datagrams[start : start + _BATCH])

    def _send_batch(self, datagrams: list[Datagram]) -> None:
        vector = self._out
        lengths = [len(octets) for octets, _ in datagrams]
        octets = b"".join([octets for octets, _ in datagrams])
        names = b"".join([cast("bytes", address) for _, address in datagrams])
        if max(lengths) > self._send_bytes or len(names) != len(datagrams) * vector.name_bytes:
            raise ValueError(
                f"one of {len(datagrams)} datagrams has more than {self._send_bytes} octets, or no address"
            )
        vector.fill(octets, names, lengths)
        sent = 0
        while sent < len(datagrams):
            count = self._sendmmsg(
                self._descriptor, vector.address + sent * _WORDS * _WORD_BYTES, len(datagrams) - sent, _MSG_DONTWAIT
            )
            sent += max(count, 1)  # one that cannot be sent is passed over


def peer_in(name: bytes) -> bytes:
    """Return the peer in a sockaddr_in, where port and address stand side by side, or in a sockaddr_in6."""
    if len(name) == _IPV4_NAME_BYTES:
        return name[2:8]
    return pack_peer(name[8:24], int.from_bytes(name[2:4], "big"))


class _Vector:
    """The buffers of one direction: headers, names, octets. Each message has ``size`` octets at first."""

    def __init__(self, size: int, name_bytes: int) -> None:
        self.name_bytes = name_bytes
        octets, names = bytearray(_BATCH * size), bytearray(_BATCH * name_bytes)
        self.octets, self.names = memoryview(octets), memoryview(names)
        self.words = array("Q", bytes(_BATCH * _WORDS * _WORD_BYTES))
        self.address = self.words.buffer_info()[0]
        self._first = ctypes.addressof(ctypes.c_char.from_buffer(octets))
        self._pieces = array("Q")  # struct iovec: where they begin, how long they are
        first_name = ctypes.addressof(ctypes.c_char.from_buffer(names))
        for number in range(_BATCH):
            self._pieces.extend((self._first + number * size, size))
        for number in range(_BATCH):
            word = number * _WORDS
            self.words[word + _NAME] = first_name + number * name_bytes
            self.words[word + _NAME_LENGTH] = name_bytes  # what the kernel writes here is the same again
            self.words[word + _IOVEC] = self._pieces.buffer_info()[0] + number * 2 * _WORD_BYTES
            self.words[word + _IOVEC_LENGTH] = 1

    def fill(self, octets: bytes, names: bytes, lengths: list[int]) -> None:
        """Lay messages into the buffers, one behind the other."""
        count = len(lengths)
        self.octets[: len(octets)] = octets
        self.names[: len(names)] = names
        self._pieces[0 : 2 * count : 2] = array("Q", list(accumulate(lengths[:-1], initial=self._first)))
        self._pieces[1 : 2 * count : 2] = array("Q", lengths)
