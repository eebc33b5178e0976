"""What probes elsewhere report: a signed JSON document (``core/signature.py``, purpose ``probe report``).

    {"name": "beijing", "to": "<key id of the top node>", "number": 17,
     "results": [{"node": "<key id>", "way": "udp", "at_ms": 1795000000000, "rtt_us": 1730}, …], "signature": {…}}

``number`` rises with each report of a probe. ``at_ms``: when it asked, by its own clock, which is to be right within a
period; ``rtt_us``: until the answer was there, null where none came within PROBE_LATE times the limit. A way is udp,
tcp, http or registration. A report is taken whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from core import limits
from core.clock import Millis
from core.errors import NodeError, Outcome, WireError
from core.signature import Signer, verify_document
from core.wire.jsontext import parse
from sync.monitor.observation import Observation, Way

_PURPOSE: Final = "probe report"
_MEMBERS: Final = {"name", "to", "number", "results", "signature"}
_RESULT: Final = {"node", "way", "at_ms", "rtt_us"}
_INT_MAX: Final = 2**53 - 1

RULES: Final[dict[str, tuple[Outcome, str, str]]] = {
    "form": (Outcome.MALFORMED, "不是探测报告", "This is no report of a probe"),
    "unknown-probe": (Outcome.FORBIDDEN, "不认识此探测点", "There is no such probe in probe.keys"),
    "signature": (Outcome.FORBIDDEN, "签名不是该探测点的", "The signature is not that probe's"),
    "receiver": (Outcome.FORBIDDEN, "报告是发给其他上级节点的", "The report is for another top node"),
    "number": (Outcome.CONFLICT, "报告编号已用过", "The number of the report was used before"),
    "node": (Outcome.MALFORMED, "没有要求探测此节点", "The probe was not asked about this node"),
    "way": (Outcome.MALFORMED, "没有要求以此方式探测", "The probe was not asked to go this way"),
    "time": (Outcome.MALFORMED, "探测时间不在本周期或上一周期", "The time is not in this period or the one before"),
    "rtt": (Outcome.MALFORMED, "往返时间为负，或不可能", "The time that the answer took is negative or impossible"),
    "twice": (Outcome.MALFORMED, "同一探测重复报告", "The same was reported twice"),
}


class Report(NamedTuple):
    """A report, its signature not looked at yet. ``document``: all of it."""

    name: str
    to: str
    number: int
    found: tuple[Observation, ...]
    document: dict[str, Any]


class Fault(NamedTuple):
    """Why a report is not taken. ``at``: place in ``results``, None where it is the whole."""

    rule: str
    at: int | None = None


class ReportError(NodeError):
    """A report is not taken. ``faults``: all of them, UPSTREAM_FAULTS_TOLD at most."""

    def __init__(self, *faults: Fault) -> None:
        outcome, zh, en = RULES[faults[0].rule]
        super().__init__(f"{zh}。{en}", outcome=outcome)
        self.faults = faults[: limits.UPSTREAM_FAULTS_TOLD]

    def document(self) -> dict[str, Any]:
        """Return the faults as JSON."""
        told = [(*each, *RULES[each.rule][1:]) for each in self.faults]
        return {"refused": [{"rule": rule, "result": at, "zh": zh, "en": en} for rule, at, zh, en in told]}


def sign_report(signer: Signer, name: str, to: str, number: int, found: Iterable[Observation]) -> bytes:
    """Return a report as it travels. ``found``: a subject is the key id of a node."""
    results = [
        {"node": each.subject, "way": each.way.value, "at_ms": int(each.at_ms), "rtt_us": each.rtt_us} for each in found
    ]
    document = {"name": name, "to": to, "number": number, "results": results}
    return json.dumps(signer.sign_document(_PURPOSE, document), ensure_ascii=False).encode()


def read_report(octets: bytes) -> Report:
    """Read a report. Errors: ReportError."""
    try:
        document = parse(octets)
        if set(document) != _MEMBERS or len(document["results"]) > limits.PROBE_RESULTS_MAX:
            raise ValueError("members")
        name, to, number = document["name"], document["to"], document["number"]
        if (
            type(name) is not str
            or type(to) is not str
            or not _is_count(number)
            or type(document["results"]) is not list
        ):
            raise ValueError("types")
        found = tuple(_result(each) for each in document["results"])
    except (WireError, ValueError, TypeError):
        raise ReportError(Fault("form")) from None
    return Report(name, to, number, found, document)


def _result(each: Any) -> Observation:
    if type(each) is not dict or set(each) != _RESULT:
        raise ValueError("members")
    node, way, at_ms, rtt_us = (each[name] for name in ("node", "way", "at_ms", "rtt_us"))
    if type(node) is not str or not _is_count(at_ms) or not (rtt_us is None or type(rtt_us) is int):
        raise ValueError("types")
    return Observation(node, Way(way), Millis(at_ms), rtt_us)


def _is_count(number: Any) -> bool:
    return type(number) is int and 0 <= number <= _INT_MAX


def require_signed(report: Report, keys: Mapping[str, bytes], to: str) -> None:
    """Errors: ReportError unless a known probe signed it for this top node. ``keys``: public keys, by name."""
    key = keys.get(report.name)
    if key is None:
        raise ReportError(Fault("unknown-probe"))
    signature = verify_document(_PURPOSE, report.document)
    if signature is None or signature.public_key != key:
        raise ReportError(Fault("signature"))
    if report.to != to:
        raise ReportError(Fault("receiver"))


class Asked(NamedTuple):
    """What probes were asked to do. ``ways``: of each node; ``said``: node, period and way that are known already."""

    ways: Mapping[str, Collection[Way]]
    said: Collection[tuple[str, int, Way]]
    period_ms: int


def faults_of(report: Report, asked: Asked, now_ms: Millis) -> list[Fault]:
    """Return every result that cannot be true, by the first rule that it breaks."""
    now = now_ms // asked.period_ms
    said = set(asked.said)
    faults = []
    for at, each in enumerate(report.found):
        period = each.at_ms // asked.period_ms
        place = (each.subject, period, each.way)
        rule = ""
        if each.subject not in asked.ways:
            rule = "node"
        elif each.way not in asked.ways[each.subject]:
            rule = "way"
        elif each.rtt_us is not None and not 0 < each.rtt_us <= asked.period_ms * 1_000:
            rule = "rtt"
        elif period not in (now - 1, now):
            rule = "time"
        elif place in said:
            rule = "twice"
        if rule:
            faults.append(Fault(rule, at))
        said.add(place)
    return faults
