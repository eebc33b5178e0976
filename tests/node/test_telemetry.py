"""Counters of several processes, and what the keeper shows of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from core.clock import Millis, parse_given
from core.errors import Outcome
from core.incidents import Severity
from core.records import HandleValue
from core.store.engine import Batch, Engine, Snapshot, Table
from core.store.memory_engine import MemoryEngine
from core.store.upstream_rows import TableState
from core.wire.dns import Rcode
from node.sync_metrics import SyncMetrics
from node.telemetry import Collector, Counters, render
from registry.commands import (
    ANONYMOUS,
    CloseIncident,
    FileComplaint,
    MoveComplaint,
    OpenIncident,
    Put,
    ReportIncident,
    UpdateIncident,
)
from registry.upstream_commands import ConnectUpstream
from sync.source import Source
from sync.standing import Waiting, waiting
from tests.kit.governance import INCIDENT, OPERATOR, Office
from tests.kit.upstream import Sending, Top


def shown(folder: Path, store: Engine | None = None, now_ms: int = 0) -> dict[str, float]:
    """Return the series of /metrics, name and labels to value."""
    collector = Collector(folder, store or MemoryEngine(), lambda _: False, now_ms=lambda: Millis(now_ms))
    lines = render(collector).decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_requests_of_sources_that_were_too_fast_are_counted_by_front(tmp_path: Path) -> None:
    """Each front has a series from the start; workers are added up."""
    series = [f'saltern_rate_limited_total{{front="{front}"}}' for front in ("http", "handle", "dns")]
    one, other = Counters(tmp_path, "worker-0"), Counters(tmp_path, "worker-1")
    assert [shown(tmp_path)[name] for name in series] == [0, 0, 0]
    one.limited("http")
    other.limited("http")
    other.limited("handle")
    for _ in range(3):
        one.limited("dns")
    assert [shown(tmp_path)[name] for name in series] == [2, 1, 3]


def test_answers_of_dns_are_counted_by_transport_and_rcode(tmp_path: Path) -> None:
    """Each that may leave has a series from the start."""
    series = {
        (transport, rcode): f'saltern_dns_answers_total{{rcode="{rcode.name.lower()}",transport="{transport}"}}'
        for transport in ("udp", "tcp") for rcode in Rcode
    }  # fmt: skip
    counters = Counters(tmp_path, "worker-0")
    for (transport, rcode), name in series.items():
        assert shown(tmp_path)[name] == 0
        counters.of_dns(transport)(rcode)
        assert shown(tmp_path)[name] == 1


def test_turns_whose_log_failed_are_counted(tmp_path: Path) -> None:
    """One series without labels."""
    one, other = Counters(tmp_path, "worker-0"), Counters(tmp_path, "worker-1")
    one.log_failed()
    one.log_failed()
    other.log_failed()
    assert shown(tmp_path)["saltern_log_failures_total"] == 3


def test_complaints_are_counted_by_state_and_by_their_deadline(tmp_path: Path) -> None:
    """Overdue from the day after the last one, in Shanghai, while somebody waits."""
    office = Office()
    tickets = [office.do(FileComplaint("other", "x"), ANONYMOUS)["ticket"] for _ in range(3)]
    office.do(MoveComplaint(tickets[0], "accept"))
    office.do(MoveComplaint(tickets[1], "reject", "no"))
    series = shown(tmp_path, office.store)
    states = {name: value for name, value in series.items() if name.startswith("saltern_complaints{")}
    assert states == {
        'saltern_complaints{state="received"}': 1,
        'saltern_complaints{state="accepted"}': 1,
        'saltern_complaints{state="answered"}': 0,
        'saltern_complaints{state="closed"}': 0,
        'saltern_complaints{state="rejected"}': 1,
    }
    end = 1_701_360_000_000  # 2023-12-01T00:00:00+08:00; they were filed on the 15th of November
    overdue = [shown(tmp_path, office.store, at)["saltern_complaints_overdue"] for at in (0, end - 1, end)]
    assert overdue == [0, 0, 2]


def test_each_counter_has_a_slot_of_its_own(tmp_path: Path) -> None:
    """What one method counts shows in one series and in no other."""
    counters = Counters(tmp_path, "worker-0")
    for count in (
        lambda: counters.limited("http"),
        lambda: counters.limited("handle"),
        lambda: counters.limited("dns"),
        *(lambda rcode=rcode: counters.of_dns("udp")(rcode) for rcode in Rcode),
        *(lambda rcode=rcode: counters.of_dns("tcp")(rcode) for rcode in Rcode),
        counters.log_failed,
        counters.restart,
        lambda: counters.http("GET", 200),
        *(lambda outcome=outcome: counters.resolution(outcome.value, 1) for outcome in Outcome),
    ):
        before = shown(tmp_path)
        count()
        after = shown(tmp_path)
        assert [after[name] - before[name] for name in after if after[name] != before[name]] == [1]


@pytest.mark.parametrize("days", [90, 0, -1])
def test_the_days_of_a_licence_are_shown_where_there_is_one(tmp_path: Path, days: int) -> None:
    """Also those that are over."""
    assert "saltern_licence_days_left" not in shown(tmp_path)
    text = render(Collector(tmp_path, MemoryEngine(), lambda _: False, lambda: days)).decode()
    assert f"\nsaltern_licence_days_left {days:.1f}\n" in text


# --- incidents ---------------------------------------------------------------

HOUR_MS = 3_600_000


def of_incidents(folder: Path, office: Office, now_ms: int) -> dict[str, float]:
    """Return the series of incidents at a time."""
    collector = Collector(folder, office.store, lambda _: False, now_ms=lambda: Millis(now_ms))
    lines = [line for line in render(collector).decode().splitlines() if line.startswith("saltern_incident")]
    return {name.removeprefix("saltern_"): float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def by_severity(*counts: int) -> dict[str, float]:
    return {
        f'incidents_open{{severity="{name.value}"}}': count for name, count in zip(Severity, counts, strict=True)
    }  # fmt: skip


def test_a_scrape_reads_no_incident_that_is_closed(tmp_path: Path) -> None:
    """Its cost is that of those that are open: a closed one may as well be garbage."""
    office = Office()
    for _ in range(2):
        office.do(OpenIncident(INCIDENT))
    office.do(ReportIncident("I000001", "x"))
    office.do(UpdateIncident("I000001", b'{"cause": "x", "measures": ["y"]}'))
    office.do(CloseIncident("I000001"))
    damage = Batch()
    damage.put(Table.INCIDENTS, b"I000001", b"garbage")
    office.store.commit(damage)
    assert of_incidents(tmp_path, office, office.now)['incidents_open{severity="major"}'] == 1


def test_the_timer_of_incidents(tmp_path: Path) -> None:
    """Seconds to the most urgent report, below 0 once it is overdue; no such series where none is awaited."""
    office = Office()
    assert of_incidents(tmp_path, office, office.now) == by_severity(0, 0, 0, 0) | {"incident_reports_overdue": 0}
    form = json.loads(INCIDENT)
    office.do(OpenIncident(json.dumps(form | {"discovered": "2023-11-14T02:00Z"}).encode()))
    office.do(OpenIncident(json.dumps(form | {"discovered": "2023-11-14T01:00Z", "severity": "ordinary"}).encode()))
    due = parse_given("2023-11-15T01:00Z")
    assert due is not None
    awaited = by_severity(0, 1, 0, 1)
    for at_ms, seconds, overdue in (
        (due - 24 * HOUR_MS, 86_400, 0), (due - 1, 0.001, 0), (due, 0, 0), (due + 1, -0.001, 1),
        (due + HOUR_MS, -3_600, 1), (due + HOUR_MS + 1, -3_600.001, 2),
    ):  # fmt: skip
        told = of_incidents(tmp_path, office, at_ms)
        assert told == awaited | {"incident_reports_overdue": overdue, "incident_report_due_seconds": seconds}
    office.do(ReportIncident("I000002", "x"))
    told = of_incidents(tmp_path, office, due)
    assert told == awaited | {"incident_reports_overdue": 0, "incident_report_due_seconds": 3_600}
    office.do(ReportIncident("I000001", "x"))
    assert of_incidents(tmp_path, office, due * 2) == awaited | {"incident_reports_overdue": 0}
    for name in ("I000001", "I000002"):
        office.do(UpdateIncident(name, b'{"cause": "x", "measures": ["y"]}'))
        office.do(CloseIncident(name))
    assert of_incidents(tmp_path, office, due) == by_severity(0, 0, 0, 0) | {"incident_reports_overdue": 0}


def owed(metrics: SyncMetrics, upstream: str) -> dict[str, float]:
    """Return the series of ``saltern_sync_…``, without the name of the upstream."""
    lines = (line.rpartition(" ") for line in render(metrics).decode().splitlines() if line[0] != "#")
    label = f'upstream="{upstream}"'
    return {re.sub(rf",?{label}|{{{label}}}", "", name): float(value) for name, _, value in lines}


def test_what_top_nodes_are_owed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing where none is connected; then what waits and since when, what was taken, and how both sides stand."""
    office, top = Office(), Top(tmp_path)
    node = Sending(office.store, top, top.carry)
    counted: list[str] = []

    def count(snapshot: Snapshot, source: Source, state: TableState) -> Waiting:
        counted.append(source.table.name)
        return waiting(snapshot, source, state)

    monkeypatch.setattr("node.sync_metrics.waiting", count)
    metrics = SyncMetrics(office.store, lambda: node.sources, lambda: Millis(office.now + 5_000))
    assert owed(metrics, node.upstream) == {}
    office.do(ConnectUpstream("https://top.example.cn", top.signer.public_key, "top"))
    node.settle()

    office.do(Put("88.118/S1", (HandleValue(1, "NAME", b"x" * 600),)), OPERATOR)
    first_ms = office.now
    office.do(Put("88.118/S2", (HandleValue(1, "NAME", b"salt"),)), OPERATOR)
    shown = owed(metrics, node.upstream)
    assert shown['saltern_sync_waiting{table="T9"}'] == 2
    assert shown['saltern_sync_oldest_seconds{table="T9"}'] == (office.now + 5_000 - first_ms) / 1_000
    assert (shown['saltern_sync_waiting{table="T6"}'], shown['saltern_sync_oldest_seconds{table="T6"}']) == (0, 0)
    assert 'saltern_sync_waiting{table="T1"}' not in shown

    top.refuse = iter([True, False, *[True] * 9]).__next__
    node.round()
    node.courier.note_verified(1)
    counted.clear()
    shown = owed(metrics, node.upstream)
    assert shown['saltern_sync_waiting{table="T9"}'] == 0
    assert shown['saltern_sync_refused_rows{table="T9"}'] == 1
    assert shown['saltern_sync_rows_total{result="accepted",table="T9"}'] == 1
    assert shown["saltern_sync_differences"] == 1
    assert shown["saltern_sync_log_faults"] == 0
    assert shown["saltern_sync_clock_ahead_seconds"] == 0
    assert shown["saltern_sync_answered_age_seconds"] == max(0, office.now + 5_000 - node.now) / 1_000
    assert counted
    counted.clear()
    assert owed(metrics, node.upstream) == shown
    assert counted == []
