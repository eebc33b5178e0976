"""A run: what the camera says goes into an append-only file beside the line; the node is not asked.

``runs/NAME/events.log`` is the run: lines of ``frames``, each an entry of ``facts``. ``runs/NAME/lock`` is held by
whoever appends.

1. All whole lines that are there when the last ones are done are one group: decided, appended, synced, and only
   then answered, one answer a line: ``ok``, or ``alarm RULE``.
2. What was answered survives a kill and a loss of power. What was not may be there or not: the camera's side says
   it again, and what is there is ``ok`` without being written twice.
3. A line without its line feed at the end of the input is not taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from core import limits
from core.clock import Millis
from core.errors import WireError
from node.line import durable
from node.line.allocations import Claim
from node.line.camera import parse_reading
from node.line.facts import End, Entry, pack_entry, unpack_entry
from node.line.shape import Kind
from node.line.site import Site, check_name
from node.line.tally import Tally
from node.line.words import printable

_CHUNK_ENTRIES = 1_000


class Said(NamedTuple):
    """What is answered to a line. ``rule``: empty where it was taken, else that of the alarm; ``why``: what is wrong
    with a line that cannot be read; ``number``: of the line, from 1, since the run was opened."""

    rule: str
    line: bytes
    why: str = ""
    number: int = 0


def run_folder(site: Site, run: str) -> Path:
    """Return the folder of a run."""
    return site.folder / "runs" / run


def load(site: Site, claim: Claim) -> tuple[Tally, durable.Tail]:
    """Return the state of a run as its file says, and where that ends. Errors: NodeError."""
    lot, codes = site.codes_of(claim.takes)
    tally = Tally(lot, codes, [take.units for take in claim.takes])
    tail = durable.read_frames(
        run_folder(site, claim.run) / "events.log", lambda _, payload: tally.apply(unpack_entry(payload))
    )
    return tally, tail


def begin(site: Site, run: str, line: str, lot: str | None, *, only_look: bool = False) -> Claim:
    """Return a run, which is a new one where none has this name; see Site.claim(). Errors: NodeError."""
    path = run_folder(site, check_name(run)) / "events.log"

    def has_ended() -> bool:
        return any(isinstance(unpack_entry(payload), End) for _, payload in durable.scan(path))

    return site.claim(run, check_name(line), lot, has_ended, only_look=only_look)


class Run:
    """One run that is open for what the camera says."""

    def __init__(self, tally: Tally, appender: durable.Appender) -> None:
        self.tally = tally
        self._appender = appender
        self._lines = 0

    def take(self, lines: list[bytes], now_ms: Millis) -> list[Said]:
        """Take a group of lines, each with its line feed; what is returned is on the disk.

        Errors: NodeError, after which nothing more is taken.
        """
        entries: list[Entry] = []
        said = [self._decide(line, now_ms, entries) for line in lines]
        self._append(entries)
        return said

    def _decide(self, line: bytes, now_ms: Millis, entries: list[Entry]) -> Said:
        why = ""
        self._lines += 1
        try:
            reading = parse_reading(line)
            found = None if reading is None else self.tally.read(reading, now_ms)
        except WireError as error:
            found, why = "malformed", printable(error.message)
        if isinstance(found, str):
            alarm = self.tally.alarm(found, line, now_ms)
            if alarm is not None:
                entries.append(alarm)
                self.tally.apply(alarm)
            return Said(found, line, why, self._lines)
        if found is not None:
            entries.append(found)
            self.tally.apply(found)
        return Said("", line, number=self._lines)

    def end(self, now_ms: Millis) -> None:
        """End the run: what was not used, nor seen, goes back to the node. Once all of it did this does nothing."""
        entries = self.tally.end(now_ms)
        if not self.tally.ended or len(entries) > 1:
            for entry in entries:
                self.tally.apply(entry)
            self._append(entries)

    def _append(self, entries: list[Entry]) -> None:
        octets = [pack_entry(entry) for entry in entries]
        for begin in range(0, len(octets), _CHUNK_ENTRIES):
            self._appender.append(octets[begin : begin + _CHUNK_ENTRIES])


@contextmanager
def opened(site: Site, claim: Claim) -> Iterator[Run]:
    """Open a run; a torn tail of its file is cut. Errors: NodeError, also if another process has it open."""
    folder = run_folder(site, claim.run)
    durable.make_folder(folder)
    with durable.locked(folder / "lock"):
        tally, tail = load(site, claim)
        appender = durable.Appender(folder / "events.log", tail)
        try:
            yield Run(tally, appender)
        finally:
            appender.close()


def follow(run: Run, descriptor: int, now_ms: Callable[[], Millis], answer: Callable[[list[Said]], None]) -> None:
    """Take lines from a descriptor until it ends. Bounds: LINE_READ_BYTES a group. Errors: NodeError, OSError."""
    lines = Lines()
    while octets := os.read(descriptor, limits.LINE_READ_BYTES):
        group = lines.feed(octets)
        if group:
            answer(run.take(group, now_ms()))
    if lines.rest:
        answer(run.take([lines.rest], now_ms()))


class Lines:
    """Cuts octets into lines. Of one that is too long its beginning is told, without a line feed: it is none."""

    def __init__(self) -> None:
        self.rest = b""
        self._skipping = False

    def feed(self, octets: bytes) -> list[bytes]:
        """Return the lines that are whole now. Memory: LINE_INPUT_BYTES_MAX."""
        *whole, rest = (self.rest + octets).split(b"\n")
        lines = [line + b"\n" for line in whole]
        if self._skipping and lines:
            del lines[0]
            self._skipping = False
        if self._skipping:
            rest = b""
        elif len(rest) > limits.LINE_INPUT_BYTES_MAX:
            lines.append(rest[: limits.LINE_INPUT_BYTES_MAX])
            self._skipping, rest = True, b""
        self.rest = rest
        return lines


def summary(tally: Tally) -> dict[str, object]:
    """Return the counts of a run, by kind, how many codes were seen and refused, and its alarms."""
    counts = {kind.value: tally.counts(kind) for kind in Kind if tally.lot.space(kind).size}
    refused = sum(span.size for span in tally.refused())
    return {"ended": tally.ended, "counts": counts, "refused": refused, "alarms": dict(sorted(tally.alarms.items()))}
