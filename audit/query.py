"""Answers questions to the logs: over months, from the leaves, with the mirror's help where there is one.

    <data>/log/<stream>/<YYYY-MM>/     published; the truth
    <data>/mirror/resolution/<YYYY-MM>/  derived, for resolutions; need not be there
    <data>/clients/<YYYY-MM>/key       key of the month's client hashes; gone once it was erased

An entry lies in the log of its month, or in a later one if it came late or the clock was wrong: so the months are read
from that of the first time asked for to the newest. Order: month, leaf, row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from audit.mirror import Comparison, leaves_to_open
from audit.question import Clients, Found, Question, Sieve, resolve_clients
from audit.reading import MonthLog, open_months
from core.clock import shanghai_month
from core.streams import Stream


class LogReader:
    """Reads the logs of a node's data folder; opens no store. ``note``: is told what the one who asks should know."""

    def __init__(self, data: Path, comparison: Comparison, note: Callable[[str], None] = lambda _: None) -> None:
        self._data = data
        self._comparison = comparison
        self._note = note

    def find(self, stream: Stream, question: Question) -> Iterator[Found]:
        """Yield the entries that are asked for. Errors: LogReadError."""
        for _, found in self.read(stream, question):
            yield from found

    def read(self, stream: Stream, question: Question) -> Iterator[tuple[MonthLog, Iterator[Found]]]:
        """Yield the months that may hold an entry of the time, each with what is found in it. Errors: LogReadError."""
        for log in open_months(self._data / "log", stream, shanghai_month(question.since_ms)):
            yield log, self._find(log, question)

    def _find(self, log: MonthLog, question: Question) -> Iterator[Found]:
        clients = self._clients(log, question)
        sieve = Sieve(question, log.month, clients)
        for index, leaf in log.pick(self._leaves(log, question, clients)):
            yield from sieve.sift(index, leaf)

    def _leaves(self, log: MonthLog, question: Question, clients: Clients | None) -> Iterable[int]:
        if log.stream is not Stream.RESOLUTION:
            return range(log.size)
        folder = self._data / "mirror" / log.stream.value / log.month
        return leaves_to_open(log, folder, self._comparison, question, clients)

    def _clients(self, log: MonthLog, question: Question) -> Clients | None:
        if question.network is None:
            return None
        try:
            key: bytes | None = (self._data / "clients" / log.month / "key").read_bytes()
        except OSError:
            key = None
        clients = resolve_clients(question.network, key)
        if key is None and clients.wider:
            self._note(
                f"{log.month}: 当月客户端密钥已不在，改按所保留的网段查询。"
                f"The key of the clients of {log.month} is gone: all of the network that is kept is told"
            )
        return clients
