"""The ring of seconds: what a process adds is read by seconds, and nothing that is not over or not of now."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from core import limits
from node.seconds import Seconds, read_seconds
from sync.monitor.adding import Second

AT = 1_800_000_000


class Clock:
    """The time of day in microseconds, and a clock that never jumps."""

    def __init__(self) -> None:
        self.us = AT * 1_000_000
        self.ns = 5_000_000_000

    def pass_us(self, us: int) -> None:
        self.us += us
        self.ns += us * 1_000

    def ring(self, folder: Path, process: str = "worker-0") -> Seconds:
        return Seconds(folder, process, lambda: self.ns, lambda: self.us)


def test_answers_of_a_second_are_added_and_told_apart_by_process(tmp_path: Path) -> None:
    """Their number, the sum, the least, the most; the registrar's apart."""
    clock = Clock()
    worker, registrar = clock.ring(tmp_path), clock.ring(tmp_path, "registrar")
    clock.pass_us(300_000)
    worker.add(3, clock.ns - 70_000)
    clock.pass_us(100)
    worker.add(1, clock.ns - 2_000_000)
    registrar.add(1, clock.ns - 9_000_000)
    clock.pass_us(1_000_000)
    worker.add(2, clock.ns)
    found = read_seconds(tmp_path, AT - 1, AT + 5)
    first, second = Second(AT, 4, 2_210, 70, 2_000), Second(AT + 1, 2, 0, 0, 0)
    assert (sorted(found[0]), found[1]) == ([first, second], [Second(AT, 1, 9_000, 9_000, 9_000)])
    assert read_seconds(tmp_path, AT, AT + 1)[0] == [second]
    assert read_seconds(tmp_path, AT - 1, AT)[0] == [first]


def test_a_process_that_is_started_again_goes_on(tmp_path: Path) -> None:
    """In the second that it finds, and behind it."""
    clock = Clock()
    clock.ring(tmp_path).add(2, clock.ns - 5_000)
    clock.ring(tmp_path).add(1, clock.ns - 1_000)
    assert read_seconds(tmp_path, AT - 1, AT)[0] == [Second(AT, 3, 11, 1, 5)]


def test_a_slot_is_of_one_second_alone(tmp_path: Path) -> None:
    """A whole turn of the ring later nothing of the former one is there; nor where the clock was put back."""
    clock = Clock()
    ring = clock.ring(tmp_path)
    ring.add(5, clock.ns)
    clock.pass_us(limits.SECONDS_KEPT * 1_000_000)
    ring.add(1, clock.ns - 3_000)
    after = AT + limits.SECONDS_KEPT
    assert read_seconds(tmp_path, 0, after + 9)[0] == [Second(after, 1, 3, 3, 3)]
    clock.us = AT * 1_000_000
    clock.ns += 1_000_000_000
    ring.add(1, clock.ns)
    assert read_seconds(tmp_path, 0, after + 9)[0] == [Second(AT, 1, 0, 0, 0)]


@given(st.binary(max_size=64) | st.just(bytes(limits.SECONDS_KEPT * 40)))
def test_a_file_of_another_size_or_an_empty_one_says_nothing(tmp_path_factory: object, octets: bytes) -> None:
    """A process may be about to make it."""
    folder = tmp_path_factory.mktemp("run")  # type: ignore[attr-defined]
    (folder / "worker-0.seconds").write_bytes(octets)
    assert read_seconds(folder, 0, 2**62) == ([], [])
