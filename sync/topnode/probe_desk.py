"""What becomes of what probes find: windows, decisions, and the reports of probes elsewhere. Time is passed in.

Used by one thread at a time. The windows are in memory: a top node that starts knows the states of its nodes
(``Takeovers``), and decides again when it has seen a whole window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from core.clock import Millis, format_instant
from sync.monitor.observation import Observation
from sync.topnode.probe_plan import Target, plan, plan_document
from sync.topnode.probing import Window
from sync.topnode.reports import Asked, Fault, Report, ReportError, faults_of, read_report, require_signed
from sync.topnode.store import TopStore
from sync.topnode.takeover import Judged, Takeovers
from sync.topnode.takeover_rows import Event, ProbeRow

OWN: Final = "own-"
"""What the names of the probes of the top node itself begin with."""


class Terms(NamedTuple):
    """How is probed. ``keys``: public keys of probes elsewhere, by name; ``to``: key id of the top node."""

    period_ms: int
    limit_ms: int
    keys: Mapping[str, bytes]
    to: str


class ProbeDesk:
    """Takes what probes find. ``has_copy``: whether a deposit of a node (key id) was accepted and can be served."""

    def __init__(self, store: TopStore, takeovers: Takeovers, terms: Terms, has_copy: Callable[[str], bool]) -> None:
        self._store = store
        self._takeovers = takeovers
        self._terms = terms
        self._has_copy = has_copy
        self._targets: dict[str, Target] = {}
        self._windows: dict[str, Window] = {}
        self._last: dict[str, dict[str, list[Observation]]] = {}

    def begin(self) -> list[Target]:
        """Return whom a round asks. Errors: StoreError."""
        targets = plan(self._store)
        self._targets = {each.node.node_id: each for each in targets}
        self._windows = {each: self._windows.get(each) or Window(self._terms.limit_ms) for each in self._targets}
        self._last = {each: said for each, said in self._last.items() if each in self._targets}
        return targets

    def end(self, period: int, found: Mapping[str, list[Observation]], now_ms: Millis) -> list[Event]:
        """End a round: what each own probe found. Return the changes of state, durable by then. Errors: StoreError."""
        probes = self._takeovers.probes()
        for probe, observations in found.items():
            self._enter(period, probe, observations)
            probes[probe] = probes.get(probe, ProbeRow())._replace(last_ms=now_ms)
        judged: list[Judged] = []
        for node_id, target in self._targets.items():
            verdict = self._windows[node_id].close(period)
            if verdict is not None:
                judged.append(Judged(target.node, verdict, self._has_copy(node_id)))
        known = {**probes}
        for name, row in probes.items():
            differs = tuple(each.node.node_id for each in judged if name in each.verdict.differs)
            known[name] = row._replace(differs=differs)
        return self._takeovers.judge(judged, known, now_ms)

    def _enter(self, period: int, probe: str, observations: list[Observation]) -> None:
        by_node: dict[str, list[Observation]] = {}
        for each in observations:
            by_node.setdefault(each.subject, []).append(each)
        for node_id, told in by_node.items():
            if node_id in self._windows:
                self._windows[node_id].put(period, probe, told)
                self._last.setdefault(node_id, {})[probe] = told

    def report(self, octets: bytes, now_ms: Millis) -> int:
        """Take the report of a probe elsewhere; return how many results it has. Errors: ReportError, StoreError.

        One that is signed rightly uses its number up, taken or not.
        """
        report = read_report(octets)
        require_signed(report, self._terms.keys, self._terms.to)
        row = self._takeovers.probe(report.name)
        faults = [Fault("number")] if report.number <= row.number else faults_of(report, self._asked_of(report), now_ms)
        if faults:
            why = tuple(sorted({fault.rule for fault in faults}))
            number = max(row.number, report.number)
            self._takeovers.put_probe(report.name, row._replace(number=number, refused=row.refused + 1, why=why))
            raise ReportError(*faults)
        row = row._replace(number=report.number, reports=row.reports + 1, last_ms=now_ms)
        self._takeovers.put_probe(report.name, row)
        by_period: dict[int, list[Observation]] = {}
        for each in report.found:
            by_period.setdefault(each.at_ms // self._terms.period_ms, []).append(each)
        for period in sorted(by_period):
            self._enter(period, report.name, by_period[period])
        return len(report.found)

    def _asked_of(self, report: Report) -> Asked:
        ways = {node_id: target.doors.keys() for node_id, target in self._targets.items()}
        places = {(each.subject, each.at_ms // self._terms.period_ms, each.way) for each in report.found}
        said = {
            place for place in places
            if place[0] in self._windows and self._windows[place[0]].has(place[1], report.name, place[2])
        }  # fmt: skip
        return Asked(ways, said, self._terms.period_ms)

    # --- pages ---
    def asked(self) -> dict[str, Any]:
        """Return what probes elsewhere are asked to do, as JSON."""
        terms = self._terms
        return plan_document(list(self._targets.values()), terms.to, terms.period_ms, terms.limit_ms)

    def last(self, node_id: str) -> dict[str, list[dict[str, Any]]]:
        """Return what each probe found of a node when it asked last, as JSON."""
        return {
            probe: [
                {"way": each.way.value, "at": format_instant(each.at_ms), "rtt_us": each.rtt_us, "fault": each.fault}
                for each in told
            ]
            for probe, told in self._last.get(node_id, {}).items()
        }
