"""How many requests one source may make: token buckets in memory that all workers share.

A bucket is one number of 64 bits, its theoretical arrival time (GCRA, ITU-T I.371
annex A): the nanosecond at which it will be full again. It holds the requests of one window,
a second where nothing else is said, and gains them evenly in that time. There are 2 rows of RATE_SLOTS such
numbers and no more, however many sources come: a source is hashed to one slot of each
row, as in the rate limiting of Knot DNS.

The lower of its two slots is what a source is judged by, and only slots that lag behind
what it has taken are raised (a count-min sketch with conservative update). So a slot is
never below what any of its sources took: nobody gets more than a bucket of his own
would give. And a source is refused for what others took only if others fill both of its
slots: where n sources are over the limit, with a chance of about (n / RATE_SLOTS)².

The hash is keyed with random octets that lie in the table, so nobody can choose an
address that shares the slots of another. It is BLAKE2s and not ``hash()``, whose key is
known where PYTHONHASHSEED is set. It costs 0.1 µs more, once for a source that is
remembered.

No lock: two workers that judge at the same moment read the same number, and one of
their requests is not counted. A worker that is interrupted between reading and writing
takes back what the others counted meanwhile on these two slots, at most one bucketful.

Time is passed in and has to be the same clock in all workers (CLOCK_MONOTONIC is). One
call takes about 0.3 µs for a source that is remembered and 1.2 µs for one that is not.
"""

from __future__ import annotations

import mmap
import secrets
import struct
from collections.abc import Callable, Iterable
from hashlib import blake2s
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from core import limits

Network = IPv4Network | IPv6Network
Admits = Callable[[bytes], bool]
"""Whether a source, the octets of its address, may make one request more."""

_ROWS: Final = 2
_SLOTS: Final = limits.RATE_SLOTS
_SLOT_BYTES: Final = 8
_KEY_BYTES: Final = 32  # behind the slots
_TABLE_BYTES: Final = _ROWS * _SLOTS * _SLOT_BYTES + _KEY_BYTES
_SECOND_NS: Final = 1_000_000_000
_MAPPED: Final = bytes(10) + b"\xff\xff"  # of an IPv4 address in an IPv6 socket (RFC 4291 §2.5.5.2)
_PLACES: Final = struct.Struct("<HH28x").unpack  # a place in a row is 16 bits of the digest
_SUBSCRIBER_BYTES: Final = 8  # /64: whoever has one IPv6 address has all of these (RFC 4291 §2.5.4)


def shared_table() -> memoryview:
    """Return the memory of one limit, all buckets full. The supervisor makes it before it forks.

    Two rows of RATE_SLOTS numbers, then the key: 1 MiB and 32 octets, of which the
    system gives a page when it is first written.
    """
    table = memoryview(mmap.mmap(-1, _TABLE_BYTES))
    table[-_KEY_BYTES:] = secrets.token_bytes(_KEY_BYTES)
    return table.cast("Q")


def key_of(table: memoryview) -> bytes:
    """Return the key of a table."""
    return table[_ROWS * _SLOTS :].tobytes()


def slots_of(key: bytes, source: bytes) -> tuple[int, int]:
    """Return the two slots of a source in the table of this key, one in each row."""
    # A key in front is as good as a keyed hash here: BLAKE2 cannot be continued from its result.
    first, second = _PLACES(blake2s(key + source).digest())
    return first, second + _SLOTS


class RateLimit:
    """At most ``requests`` of one source at once, and as many in ``window_s`` over time; 0: no limit.

    ``requests``: 0 … RATE_PER_S_MAX. ``table``: of ``shared_table``, for this limit alone.
    ``exempt``: whoever is in one of these networks is never refused. ``now_ns``: nanoseconds, 0 … 2⁶³.
    ``refused`` counts.
    """

    __slots__ = (
        "_exempt_4", "_exempt_6", "_interval_ns", "_key", "_now_ns", "_places", "_refused", "_table", "_window_ns",
    )  # fmt: skip

    def __init__(
        self, requests: int, table: memoryview, exempt: Iterable[Network], now_ns: Callable[[], int],
        refused: Callable[[], None] = lambda: None, *, window_s: int = 1,
    ) -> None:  # fmt: skip
        # Rounded down: whoever keeps to the rate is never refused; at the highest rates it is 0.1 % too generous.
        self._interval_ns = window_s * _SECOND_NS // requests if requests else 0
        self._window_ns = self._interval_ns * requests
        self._table = table
        self._key = key_of(table)
        networks = tuple(exempt)
        self._exempt_4 = [_masked(each) for each in networks if each.version == 4]
        self._exempt_6 = [_masked(each) for each in networks if each.version == 6]
        self._places: dict[bytes, tuple[int, int] | None] = {}
        self._now_ns = now_ns
        self._refused = refused

    def admits(self, source: bytes) -> bool:
        """Take one request of the bucket of a source; False if there is none, and then nothing is taken.

        ``source``: octets of the peer's address, 4 or 16. IPv6 counts by /64, a mapped
        IPv4 address as what it maps. Octets of any other length are a source by themselves.
        """
        if not self._interval_ns:
            return True
        places = self._places
        place = places[source] if source in places else self._find(source)
        if place is None:
            return True
        table, now = self._table, self._now_ns()
        first, second = place
        one, two = table[first], table[second]
        full = now + self._window_ns
        taken = one if one < two else two  # noqa: FURB136  a call of min() takes as long as half of the rest
        after = (taken if taken > now else now) + self._interval_ns  # noqa: FURB136  the same
        admitted = after <= full
        if not admitted:
            after = 0  # raises nothing
            self._refused()
        # Beyond a full bucket are only numbers of another time, of a clock that was set back or of another rate:
        # they become a full one, so that whoever has such a slot waits for one interval and no longer.
        if one < after or one > full:
            table[first] = after if one < after else full
        if two < after or two > full:
            table[second] = after if two < after else full
        return admitted

    def _find(self, source: bytes) -> tuple[int, int] | None:
        """Return the two slots of a source, None if it is exempt; and remember it. Bounds: RATE_SOURCES_KEPT."""
        kept, exempt = source, self._exempt_4
        if len(source) == 16:
            if source.startswith(_MAPPED):
                source = source[12:]
            else:
                exempt = self._exempt_6
        number = int.from_bytes(source, "big")
        for mask, network in exempt:
            if number & mask == network:
                place = None
                break
        else:
            place = slots_of(self._key, source[:_SUBSCRIBER_BYTES] if len(source) == 16 else source)
        places = self._places
        if len(places) >= limits.RATE_SOURCES_KEPT:
            places.clear()  # no order to keep; those who are still there are found again
        places[kept] = place
        return place


def _masked(network: Network) -> tuple[int, int]:
    return int(network.netmask), int(network.network_address)
