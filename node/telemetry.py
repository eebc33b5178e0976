"""Metrics: plain integers in shared memory, rendered by the keeper.

Each process of the node has one small file in ``run/``; a slot is eight octets. The
process adds to its own slots, the keeper reads all of them when somebody asks. A
process that is started again goes on where the one before it stopped.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from core import clock
from core.clock import Millis
from core.complaints import is_past
from core.errors import Outcome
from core.hdl.exchange import Transport
from core.incidents import Severity
from core.store.complaint_rows import COUNTS_KEY, read_waiting, unpack_counts
from core.store.engine import Engine, Snapshot, Table
from core.store.hold_rows import HoldKind
from core.store.holding import hold_counts
from core.store.incident_rows import OPEN_INCIDENTS_KEY, Incident, unpack_incident, unpack_open
from core.store.party_rows import PartyRow, unpack_party
from core.wire.dns import Rcode
from node.metrics import family

_LOG: Final = logging.getLogger("saltern.telemetry")
Front = Literal["http", "handle", "dns"]
DnsTransport = Literal["udp", "tcp"]
TransferEnding = Literal["whole", "current", "refused", "cut"]
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "other")
_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
_OUTCOMES: Final = tuple(Outcome)
_TRANSPORTS: Final = tuple(Transport)
_FRONTS: Final[tuple[Front, ...]] = ("http", "handle", "dns")
_DNS_TRANSPORTS: Final[tuple[DnsTransport, ...]] = ("udp", "tcp")
_RCODES: Final = tuple(Rcode)
_ENDINGS: Final[tuple[TransferEnding, ...]] = ("whole", "current", "refused", "cut")
_SUFFIX: Final = ".metrics"

_HTTP: Final = 0
_RESOLUTIONS: Final = _HTTP + len(_METHODS) * len(_CLASSES)
_GROUPS: Final = _RESOLUTIONS + len(_OUTCOMES)
_REQUESTS: Final = _GROUPS + 1
_FAILED: Final = _REQUESTS + 1
_RESTARTS: Final = _FAILED + 1
_MESSAGES: Final = _RESTARTS + 1
_LIMITED: Final = _MESSAGES + len(Transport)
_LOG_FAILURES: Final = _LIMITED + len(_FRONTS)
_LOG_ROUNDS: Final = _LOG_FAILURES + 1
_LOGINS: Final = _LOG_ROUNDS + 1
_DNS: Final = _LOGINS + 1
_TRANSFERS: Final = _DNS + len(_DNS_TRANSPORTS) * len(_RCODES)
_SLOTS: Final = _TRANSFERS + len(_ENDINGS)
_SIZE: Final = _SLOTS * 8


class Counters:
    """The counters of one process."""

    def __init__(self, folder: Path, process: str) -> None:
        descriptor = os.open(folder / f"{process}{_SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Room is taken now: a page that the full disk cannot hold would be a SIGBUS when it is counted in.
            os.posix_fallocate(descriptor, 0, _SIZE)
            shared = mmap.mmap(descriptor, _SIZE)
        except OSError as error:
            _LOG.warning("%s: no room for its counters, they are not shown: %s", process, error.strerror)
            shared = mmap.mmap(-1, _SIZE)
        finally:
            os.close(descriptor)
        self._slots = memoryview(shared).cast("Q")

    def http(self, method: str, status: int) -> None:
        """Count one HTTP answer."""
        self._slots[_http_slot(method, status)] += 1

    def of_http(self, method: str, status: int) -> Callable[[], None]:
        """Return what counts such an answer."""
        slots, slot = self._slots, _http_slot(method, status)

        def count() -> None:
            slots[slot] += 1

        return count

    def resolution(self, outcome: str, count: int) -> None:
        """Count resolutions that ended so (value of Outcome)."""
        self._slots[_RESOLUTIONS + _OUTCOME_SLOT[outcome]] += count

    def of_messages(self, transport: Transport) -> Callable[[int], None]:
        """Return what counts messages of the Handle protocol that came so."""
        slots, slot = self._slots, _MESSAGES + _TRANSPORTS.index(transport)

        def count(messages: int) -> None:
            slots[slot] += messages

        return count

    def of_dns(self, transport: DnsTransport) -> Callable[[int], None]:
        """Return what counts an answer of DNS that left so, by its rcode."""
        slots, first = self._slots, _DNS + _DNS_TRANSPORTS.index(transport) * len(_RCODES)
        places = {int(rcode): first + place for place, rcode in enumerate(_RCODES)}

        def count(rcode: int) -> None:
            slots[places[rcode]] += 1

        return count

    def transfer(self, ending: TransferEnding) -> None:
        """Count one question for a transfer of a zone."""
        self._slots[_TRANSFERS + _ENDINGS.index(ending)] += 1

    def limited(self, front: Front) -> None:
        """Count one request that was refused because its source made too many."""
        self._slots[_LIMITED + _FRONTS.index(front)] += 1

    def log_failed(self) -> None:
        """Count one turn of the event loop whose resolution log could not be written."""
        self._slots[_LOG_FAILURES] += 1

    def log_round_failed(self) -> None:
        """Count one round of the sequencer that failed."""
        self._slots[_LOG_ROUNDS] += 1

    def login_refused(self) -> None:
        """Count one failure to prove who somebody is."""
        self._slots[_LOGINS] += 1

    def group(self, requests: int, failed: int) -> None:
        """Count one group of the registrar."""
        self._slots[_GROUPS] += 1
        self._slots[_REQUESTS] += requests
        self._slots[_FAILED] += failed

    def restart(self) -> None:
        """Count one process that was started again."""
        self._slots[_RESTARTS] += 1


_OUTCOME_SLOT: Final = {outcome.value: slot for slot, outcome in enumerate(_OUTCOMES)}


def _http_slot(method: str, status: int) -> int:
    row = _METHODS.index(method) if method in _METHODS else len(_METHODS) - 1
    return _HTTP + row * len(_CLASSES) + status // 100 - 1


class Disk(NamedTuple):
    """The disks of the node. ``stop``, ``reserve``: free octets below which registration or resolution stops."""

    free_bytes: Callable[[], int]
    stop: int
    reserve: int


class Collector:
    """Reads all counters and the store when Prometheus asks."""

    def __init__(
        self, folder: Path, store: Engine, is_overdue: Callable[[PartyRow], bool],
        licence_days_left: Callable[[], int | None] = lambda: None,
        now_ms: Callable[[], Millis] = clock.now_ms, *, disk: Disk | None = None,
    ) -> None:  # fmt: skip
        """Take where the counters lie, the store, whether the contact of a party is to be confirmed again, the licence.

        ``licence_days_left``: as ``core/licence.py`` counts, None without a licence.
        """
        self._disk = disk
        self._folder = folder
        self._store = store
        self._is_overdue = is_overdue
        self._licence_days_left = licence_days_left
        self._now_ms = now_ms

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        slots = _read_all(self._folder)
        http = family("saltern_http_requests")
        for row, method in enumerate(_METHODS):
            for column, status in enumerate(_CLASSES):
                http.add_metric((method, status), slots[_HTTP + row * len(_CLASSES) + column])
        yield http
        ended = family("saltern_resolutions")
        for slot, outcome in enumerate(_OUTCOMES):
            ended.add_metric((outcome.value,), slots[_RESOLUTIONS + slot])
        yield ended
        messages = family("saltern_handle_messages")
        for slot, transport in enumerate(_TRANSPORTS):
            messages.add_metric((transport.value,), slots[_MESSAGES + slot])
        yield messages
        asked = family("saltern_dns_answers")
        for row, over in enumerate(_DNS_TRANSPORTS):
            for column, rcode in enumerate(_RCODES):
                asked.add_metric((over, rcode.name.lower()), slots[_DNS + row * len(_RCODES) + column])
        yield asked
        transfers = family("saltern_dns_transfers")
        for slot, ending in enumerate(_ENDINGS):
            transfers.add_metric((ending,), slots[_TRANSFERS + slot])
        yield transfers
        limited = family("saltern_rate_limited")
        for slot, front in enumerate(_FRONTS):
            limited.add_metric((front,), slots[_LIMITED + slot])
        yield limited
        yield family("saltern_log_failures", slots[_LOG_FAILURES])
        yield family("saltern_log_round_failures", slots[_LOG_ROUNDS])
        yield family("saltern_registrar_groups", slots[_GROUPS])
        yield family("saltern_registrar_requests", slots[_REQUESTS])
        yield family("saltern_registrar_refusals", slots[_FAILED])
        yield family("saltern_login_failures", slots[_LOGINS])
        yield family("saltern_process_restarts", slots[_RESTARTS])
        days_left = self._licence_days_left()
        if days_left is not None:
            yield family("saltern_licence_days_left", days_left)
        if self._disk is not None:
            yield from _of_disk(self._disk)
        yield from self._store_metrics()

    def _store_metrics(self) -> Iterator[Metric]:
        statistics = self._store.statistics()
        rows = family("saltern_store_rows")
        for table, count in statistics.rows.items():
            rows.add_metric((table,), count)
        yield rows
        yield family("saltern_store_file_bytes", statistics.file_bytes)
        yield family("saltern_store_readers", statistics.readers)
        with self._store.snapshot() as snapshot:
            serial = snapshot.serial()
            holds = hold_counts(snapshot)
            overdue = sum(self._is_overdue(unpack_party(row)) for _, row in snapshot.scan(Table.PARTIES, b""))
            incidents = _open_incidents(snapshot)
            yield from _of_complaints(snapshot, self._now_ms())
        yield from _of_incidents(incidents, self._now_ms())
        yield family("saltern_parties_to_confirm", overdue)
        held = family("saltern_holds")
        for kind, count in zip(HoldKind, holds, strict=True):
            held.add_metric((kind.name.lower(),), count)
        yield held
        yield family("saltern_change_serial", serial)


def _of_disk(disk: Disk) -> Iterator[Metric]:
    """Yield how much room there is, and what stops for want of it."""
    free = disk.free_bytes()
    yield family("saltern_log_disk_free_bytes", free)
    stopped = family("saltern_log_disk_stopped")
    stopped.add_metric(("registration",), free < disk.stop)
    stopped.add_metric(("resolution",), free < disk.reserve)
    yield stopped


def _open_incidents(snapshot: Snapshot) -> list[Incident]:
    """Return those that are not closed. Bounds: INCIDENTS_OPEN_MAX; no other is read."""
    names = unpack_open(snapshot.get(Table.META, OPEN_INCIDENTS_KEY))
    rows = snapshot.get_many(Table.INCIDENTS, [name.encode() for name in names])
    return [unpack_incident(row) for row in rows if row is not None]


def _of_incidents(incidents: list[Incident], now_ms: Millis) -> Iterator[Metric]:
    """Yield how many are open, and when the next report is due: no series where none is awaited."""
    opened = Counter(incident.severity for incident in incidents)
    series = family("saltern_incidents_open")
    for severity in Severity:
        series.add_metric((severity.value,), opened[severity.value])
    yield series
    due = [incident.due_ms for incident in incidents if incident.awaits_report]
    overdue = sum(incident.is_overdue(now_ms) for incident in incidents)
    yield family("saltern_incident_reports_overdue", overdue)
    if due:
        yield family("saltern_incident_report_due_seconds", (min(due) - now_ms) / 1_000)


def _of_complaints(snapshot: Snapshot, now_ms: Millis) -> Iterator[Metric]:
    """Yield how many there are in each state, and how many should have been answered."""
    series = family("saltern_complaints")
    for state, count in unpack_counts(snapshot.get(Table.META, COUNTS_KEY)).items():
        series.add_metric((state.value,), count)
    yield series
    deadlines = (read_waiting(key, row)[0] for key, row in snapshot.scan(Table.WAITING_COMPLAINTS, b""))
    overdue = sum(is_past(deadline, now_ms) for deadline in deadlines)
    yield family("saltern_complaints_overdue", overdue)


class Totals(NamedTuple):
    """What the node has counted since it was started, as far as it is watched (``sync/monitor/watch.py``)."""

    limited: int
    log_failures: int
    restarts: int
    refused_logins: int


def read_totals(folder: Path) -> Totals:
    """Read the counters of all processes. Errors: OSError."""
    slots = _read_all(folder)
    limited = sum(slots[_LIMITED : _LIMITED + len(_FRONTS)])
    return Totals(limited, slots[_LOG_FAILURES] + slots[_LOG_ROUNDS], slots[_RESTARTS], slots[_LOGINS])


def _read_all(folder: Path) -> list[int]:
    return _sum(path.read_bytes() for path in folder.glob(f"*{_SUFFIX}"))


def _sum(files: Iterable[bytes]) -> list[int]:
    total = [0] * _SLOTS
    for content in files:
        if len(content) == _SIZE:
            for slot, value in enumerate(memoryview(content).cast("Q")):
                total[slot] += value
    return total


class Collects(Protocol):
    """What gives metrics; the keeper has several."""

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics of this moment."""


def render(*collectors: Collects) -> bytes:
    """Return the metrics in Prometheus' text form."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)
