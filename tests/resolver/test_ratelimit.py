"""Rate limits: each source has its own bucket, in memory of a fixed size that all workers share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from resolver.ratelimit import Network, RateLimit, shared_table

SECOND = 1_000_000_000
START = 5_000 * SECOND
SOURCES = [ip_address(f"203.0.113.{number}").packed for number in range(4)]
A, B = SOURCES[:2]


class Clock:
    """Nanoseconds, moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


class Bucket:
    """The reference: a token bucket in whole tokens of ``interval`` nanoseconds each."""

    def __init__(self, per_second: int) -> None:
        self.interval = SECOND // per_second
        self.room = self.left = per_second * self.interval
        self.at = START

    def take(self, now: int) -> bool:
        self.left = min(self.room, self.left + now - self.at)
        self.at = now
        if self.left < self.interval:
            return False
        self.left -= self.interval
        return True


def fixed_table() -> memoryview:
    """Return a table whose key is always the same, so that no verdict below is a matter of luck."""
    table = shared_table()
    table[2 * limits.RATE_SLOTS :] = memoryview(bytes(range(32))).cast("Q")
    return table


def limit(per_second: int, clock: Callable[[], int], exempt: Iterable[str] = ()) -> RateLimit:
    """Return a limit with a table of its own."""
    return RateLimit(per_second, fixed_table(), [ip_network(each) for each in exempt], clock)


def admitted(limited: RateLimit, source: bytes, tries: int) -> int:
    return sum(limited.admits(source) for _ in range(tries))


def forged(number: int, seed: int = 1) -> list[bytes]:
    """Return that many IPv4 addresses, no two the same, none of 203.0.113.0/24."""
    return [((seed << 24) + place).to_bytes(4, "big") for place in range(number)]


# --- one source -------------------------------------------------------------

STEPS = st.lists(st.tuples(st.sampled_from(SOURCES), st.integers(0, SECOND // 2)), max_size=120)


@given(per_second=st.integers(1, 12), steps=STEPS)
def test_each_source_gets_what_a_bucket_of_its_own_would_give(per_second: int, steps: list[tuple[bytes, int]]) -> None:
    """Request by request the same verdicts as a reference bucket for each source, where none shares both slots."""
    clock = Clock()
    limited = limit(per_second, clock)
    buckets = {source: Bucket(per_second) for source in SOURCES}
    for source, passed in steps:
        clock.now += passed
        assert limited.admits(source) == buckets[source].take(clock.now)


@given(per_second=st.integers(1, 50), steps=st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=20))
def test_never_more_than_a_second_at_once_and_the_rate_over_time(per_second: int, steps: list[int]) -> None:
    """However greedy a source is: per_second at once, then per_second a second."""
    clock = Clock()
    limited = limit(per_second, clock)
    interval = SECOND // per_second
    total = 0
    for passed in steps:
        clock.now += passed
        total += admitted(limited, A, per_second + 2)
        assert total <= per_second + (clock.now - START) // interval


@pytest.mark.parametrize("per_second", [1, 3, 7, 1_000, 999_999, limits.RATE_PER_S_MAX])
def test_whoever_keeps_to_the_rate_is_never_refused(per_second: int) -> None:
    """Exactly per_second a second, evenly, for as long as one likes; also where a second does not divide evenly."""
    clock = Clock()
    limited = limit(per_second, clock)
    for number in range(5_000):
        clock.now = START + number * SECOND // per_second
        assert limited.admits(A)


def test_a_refused_request_takes_nothing() -> None:
    """After any number of refusals the next request is due when it was due before."""
    clock = Clock()
    limited = limit(10, clock)
    assert admitted(limited, A, 1_000) == 10
    clock.now += SECOND // 10 - 1
    assert admitted(limited, A, 1_000) == 0
    clock.now += 1
    assert admitted(limited, A, 1_000) == 1


def test_nought_is_no_limit_and_looks_at_nothing() -> None:
    """No clock is read and the table is left alone."""

    def no_clock() -> int:
        raise AssertionError("the clock was read")

    table = shared_table()
    before = table.tobytes()
    assert admitted(RateLimit(0, table, [], no_clock), A, 10_000) == 10_000
    assert table.tobytes() == before


def test_a_window_may_be_longer_than_a_second() -> None:
    """Ten at once, and then one each six minutes."""
    clock = Clock()
    limited = RateLimit(10, fixed_table(), [], clock, window_s=3_600)
    assert admitted(limited, A, 20) == 10
    clock.now += 359 * SECOND
    assert admitted(limited, A, 2) == 0
    clock.now += SECOND
    assert admitted(limited, A, 2) == 1
    clock.now += 7_200 * SECOND
    assert admitted(limited, A, 20) == 10


# --- who a source is --------------------------------------------------------


def counted_as_one(one: str, other: str) -> bool:
    """Whether two addresses draw from the same bucket."""
    limited = limit(5, Clock())
    assert admitted(limited, ip_address(one).packed, 6) == 5
    return admitted(limited, ip_address(other).packed, 6) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::1", "::2", True),  # in ::/64, as the mapped addresses are that do not count there
        ("::1", "::ffff:0.0.0.1", False),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_64(one: str, other: str, same: bool) -> None:
    """Mapped IPv4 addresses, as sockets for both families give them, are IPv4."""
    assert counted_as_one(one, other) is same


@given(st.binary(max_size=40))
def test_total_on_any_octets(source: bytes) -> None:
    """What is no address is a source all the same, and limited."""
    assert admitted(limit(3, Clock(), ["10.0.0.0/8"]), source, 5) in ((3, 5) if source[-4:-3] == b"\n" else (3,))


def test_the_exempt_are_never_refused() -> None:
    """Networks of both families, the mapped form included; their neighbours are limited."""
    limited = limit(2, Clock(), ["127.0.0.0/8", "::1/128", "2001:db8:7::/48", "192.0.2.8/30"])
    for address in ("127.0.0.1", "127.255.255.255", "::ffff:127.0.0.1", "::1", "2001:db8:7:ffff::1", "192.0.2.11"):
        assert admitted(limited, ip_address(address).packed, 50) == 50
    for address in ("126.255.255.255", "128.0.0.1", "::2", "2001:db8:8::1", "192.0.2.12", "192.0.2.7"):
        assert admitted(limited, ip_address(address).packed, 50) == 2


def test_everybody_of_a_family_can_be_exempt() -> None:
    """0.0.0.0/0 is every IPv4 address, mapped ones included, and no IPv6 address."""
    limited = limit(2, Clock(), ["0.0.0.0/0"])
    assert admitted(limited, ip_address("::ffff:192.0.2.1").packed, 50) == 50
    assert admitted(limited, ip_address("2001:db8::1").packed, 50) == 2


# --- many sources -----------------------------------------------------------


def test_the_innocent_live_through_a_flood() -> None:
    """100 000 forged sources within one second; whoever keeps to the rate meanwhile is always answered."""
    clock = Clock()
    limited = limit(5, clock)
    innocents = forged(50, seed=2)
    for number, source in enumerate(forged(100_000)):
        clock.now += SECOND // 100_000
        limited.admits(source)
        if number % 20_000 == 0:
            assert all(limited.admits(innocent) for innocent in innocents)


def test_the_innocent_live_beside_sources_that_are_over() -> None:
    """100 sources that hammer fill 200 of 131 072 slots; 2 000 others are answered, though some share one of them."""
    limited = limit(10, Clock())
    hammering, others = forged(100), forged(2_000, seed=2)
    for source in hammering:
        assert admitted(limited, source, 30) == 10
    full = {slot for source in hammering for slot in limited._places[source] or ()}
    assert all(limited.admits(source) for source in others)
    assert any(full.intersection(limited._places[source] or ()) for source in others)


def test_nobody_gets_more_because_others_are_there() -> None:
    """In a table so full that most slots are shared, a source may get less than its bucket, never more."""
    limited = limit(2, Clock())
    crowd = forged(150_000)
    got = [0] * len(crowd)
    for _ in range(2):
        for number, source in enumerate(crowd):
            got[number] += limited.admits(source)
    assert max(got) <= 2
    assert not any(limited.admits(source) for source, count in zip(crowd, got, strict=True) if count == 2)


def test_memory_is_the_same_however_many_sources_come() -> None:
    """The table has its size from the start, and a worker remembers RATE_SOURCES_KEPT sources."""
    table = shared_table()
    limited = RateLimit(100, table, [ip_network("1.0.0.0/16")], Clock())
    for source in forged(100_000):
        limited.admits(source)
        assert len(limited._places) <= limits.RATE_SOURCES_KEPT
    assert table.nbytes == 2 * 65_536 * 8 + 32


def test_places_cannot_be_told_from_outside() -> None:
    """Two tables put the same sources elsewhere: the key is random, and both rows have places of their own."""
    places = []
    for _ in range(2):
        limited = RateLimit(1, shared_table(), [], Clock())
        for source in forged(200):
            limited.admits(source)
        places.append(list(limited._places.values()))
    rows = [{place[row] % limits.RATE_SLOTS for place in places[0] if place} for row in (0, 1)]
    assert places[0] != places[1]
    assert rows[0] != rows[1]
    assert all(0 <= one < limits.RATE_SLOTS <= two < 2 * limits.RATE_SLOTS for one, two in filter(None, places[0]))


# --- clocks and what lies in the slots --------------------------------------


def test_a_clock_that_stands_still_gives_a_bucketful() -> None:
    """And goes on giving when it moves again."""
    clock = Clock()
    limited = limit(5, clock)
    assert admitted(limited, A, 100) == 5
    clock.now += SECOND
    assert admitted(limited, A, 100) == 5


@pytest.mark.parametrize("back", [1, SECOND // 5, SECOND, 1_000 * SECOND, START - 1])
def test_a_clock_that_is_set_back_locks_nobody_out(back: int) -> None:
    """Whoever emptied his bucket waits for one interval as always; others wait for nothing."""
    clock = Clock()
    limited = limit(5, clock)
    assert admitted(limited, A, 100) == 5
    clock.now -= back
    limited.admits(A)
    assert limited.admits(B)
    clock.now += SECOND // 5
    assert limited.admits(A)


GARBAGE = st.sampled_from([0, 1, START - 1, START, START + SECOND, START + SECOND + 1, 2**63, 2**64 - 1])


@given(st.lists(st.tuples(GARBAGE | st.integers(0, 2**64 - 1), st.integers(0, SECOND)), min_size=1, max_size=12))
def test_garbage_in_the_slots_heals(rounds: list[tuple[int, int]]) -> None:
    """Any 64 bits in both slots: at once no more than a bucketful, and after an interval at least one."""
    clock = Clock()
    table = fixed_table()
    limited = RateLimit(4, table, [], clock)
    limited.admits(A)
    places = limited._places[A]
    assert places is not None
    for garbage, passed in rounds:
        clock.now += passed
        table[places[0]] = garbage
        table[places[1]] = garbage
        assert admitted(limited, A, 9) <= 4
        clock.now += SECOND // 4
        assert limited.admits(A)


def test_one_broken_slot_harms_nobody_and_heals() -> None:
    """The other row decides; the broken number is brought back to a full bucket by the first request."""
    clock = Clock()
    table = fixed_table()
    limited = RateLimit(4, table, [], clock)
    limited.admits(A)
    places = limited._places[A]
    assert places is not None
    table[places[0]] = 2**64 - 1
    assert admitted(limited, A, 9) == 3
    assert table[places[0]] == clock.now + SECOND


def test_a_table_left_by_a_slower_limit_is_taken_over() -> None:
    """The same table with another rate, as after a change of the setting: limited at once, by the new rate."""
    clock = Clock()
    table = fixed_table()
    assert admitted(RateLimit(1, table, [], clock), A, 9) == 1
    faster = RateLimit(1_000, table, [], clock)
    clock.now += SECOND // 1_000
    assert faster.admits(A)


# --- several processes ------------------------------------------------------


def in_child(work: Callable[[], int], go: int | None = None) -> Callable[[], int]:
    """Fork a process that does the work, after an octet on ``go`` if there is one; return what waits for its result."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if go is not None:
                os.read(go, 1)
            os.write(write_end, work().to_bytes(8, "big"))
        finally:
            os._exit(0)
    os.close(write_end)

    def wait() -> int:
        with os.fdopen(read_end, "rb") as pipe:
            result = pipe.read()
        os.waitpid(child, 0)
        assert len(result) == 8, "the child failed"
        return int.from_bytes(result, "big")

    return wait


def test_processes_share_the_buckets() -> None:
    """What one worker gave, another one has no more; each has its own RateLimit over the same table."""
    table, clock = fixed_table(), Clock()

    def worker(tries: int) -> Callable[[], int]:
        return lambda: admitted(RateLimit(100, table, [], clock), A, tries)

    assert in_child(worker(60))() == 60
    assert in_child(worker(60))() == 40
    assert admitted(RateLimit(100, table, [], clock), A, 60) == 0
    assert admitted(RateLimit(100, table, [], clock), B, 60) == 60


class Interrupted:
    """A table whose reader is interrupted once, after it has read both slots and before it writes them."""

    def __init__(self, table: memoryview, meanwhile: Callable[[], None]) -> None:
        self._table = table
        self._reads = 0
        self._meanwhile = meanwhile

    def __getitem__(self, place: Any) -> Any:
        found = self._table[place]
        if isinstance(place, int):
            self._reads += 1
            if self._reads == 2:
                self._meanwhile()
        return found

    def __setitem__(self, place: int, number: int) -> None:
        self._table[place] = number


@pytest.mark.parametrize("meanwhile", [0, 1, 7, 50])
def test_a_race_gives_what_the_others_took_meanwhile_and_no_more(meanwhile: int) -> None:
    """Between reading and writing another worker admits some: just these are given once more."""
    table, clock = fixed_table(), Clock()
    other = RateLimit(10, table, [], clock)
    taken: list[int] = []
    table_seen: Any = Interrupted(table, lambda: taken.append(admitted(other, A, meanwhile)))
    one = RateLimit(10, table_seen, [], clock)
    assert one.admits(A)
    assert taken == [min(meanwhile, 10)]
    assert admitted(one, A, 30) == 9


def test_two_processes_at_once_never_give_less_than_the_bucket() -> None:
    """Whatever is lost in a race is lost by the count, not by the clients."""
    table, clock, room = fixed_table(), Clock(), 5_000
    start, go = os.pipe()
    workers = [in_child(lambda: admitted(RateLimit(room, table, [], clock), A, 2 * room), start) for _ in range(2)]
    os.write(go, b"12")
    total = sum(wait() for wait in workers)
    os.close(start)
    os.close(go)
    assert total >= room


# --- networks ---------------------------------------------------------------


def test_networks_of_both_families_are_taken() -> None:
    """As ipaddress makes them."""
    networks: list[Network] = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]
    limited = RateLimit(1, fixed_table(), networks, Clock())
    assert admitted(limited, ip_address("10.1.2.3").packed, 5) == 5
    assert admitted(limited, ip_address("2001:db8::5").packed, 5) == 5
