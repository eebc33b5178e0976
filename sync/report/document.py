"""The monthly report as JSON: every figure with its definition, what it was made from, the checkpoints of the logs.

| member | what |
|---|---|
| format, version | ``saltern-month-report``, 1 |
| month, from, until, complete | the month; the hours that count, UTC; whether the month was over |
| node, operator, software, created, actor | prefix and full name; version; when and on whose behalf, UTC |
| figures | array: ``name``, ``zh``, ``en``, ``unit``, ``value`` (text, integer or null), ``definition`` (zh, en) |
| sums | the whole numbers behind them: seconds, microseconds, answers |
| months | the last six, rising: ``month``, ``logged``, ``availability``, ``running_hours`` and its seconds |
| downtimes, emergencies, anomalies, effective | arrays, in order of time |
| notes | what a reader has to know, zh and en: logs that are gone, entries that cannot be read |
| logs | array: ``stream``, ``month``, ``origin``, ``size``, ``checkpoint`` (the signed note) |
| signature | ``core/signature.py``, purpose ``monthly report`` |

Times are RFC 3339 in UTC; decimals are texts.
"""

from __future__ import annotations

import statistics
from typing import Any, Final, NamedTuple

from core.clock import Millis, format_instant, format_utc
from core.incidents import KINDS, SEVERITIES, STATE_LABELS, Kind, Severity, State
from core.store.incident_rows import Incident
from sync.monitor.figures import Latency
from sync.monitor.happening import Kind as HappeningKind
from sync.report.definitions import DEFINITIONS
from sync.report.figures import (
    Effective,
    Figures,
    Joined,
    Pair,
    Share,
    Span,
    effective,
    emergencies,
    join_plans,
    month_figures,
    pairs,
    six_months,
    touches,
)
from sync.report.gathering import Gathered

FORMAT: Final = "saltern-month-report"
FORMAT_VERSION: Final = 1
PURPOSE: Final = "monthly report"
_HOUR_MS: Final = 3_600_000
_KINDS: Final = {
    HappeningKind.NETWORK: Kind.NETWORK,
    HappeningKind.SYSTEM: Kind.SYSTEM,
    HappeningKind.ATTACK: Kind.ATTACK,
    HappeningKind.OTHER: Kind.OTHER,
}


class Source(NamedTuple):
    """A log that was read. ``checkpoint``: the signed note of its ``size`` entries."""

    stream: str
    month: str
    origin: str
    size: int
    checkpoint: str


class Making(NamedTuple):
    """Who makes a report, of which node, when. ``operator``: full name, empty where nobody said."""

    node: str
    operator: str
    software: str
    actor: str
    now_ms: Millis


def report_document(
    span: Span, gathered: Gathered, incidents: list[tuple[str, Incident]], *,
    logs: list[Source], notes: list[tuple[str, str]], making: Making,
) -> dict[str, Any]:  # fmt: skip
    """Return the report of a month, not yet signed."""
    logged = {each.month for each in logs if each.stream == "maintenance"}
    figures = month_figures(gathered, span)
    found = effective(gathered.steps, span)
    downtimes = [
        each for each in join_plans(gathered.plans.values()) if touches(each.from_ms, each.until_ms, span)
    ]  # fmt: skip
    anomalies = pairs(gathered, span)
    happened = emergencies(incidents, span)
    values = {
        "operator": making.operator or None,
        **_values(figures),
        **_effective_values(found),
        "planned_downtimes": len(downtimes),
        "planned_hours": decimal(figures.planned_s, 3_600, 2),
        "emergencies": len(happened),
        "anomalies": len(anomalies),
    }
    unreadable = [(f"无法读取的条目：{each}", f"an entry that cannot be read: {each}") for each in gathered.unreadable]
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "month": span.month,
        "from": _time(span.begin_ms),
        "until": _time(span.until_ms),
        "complete": span.is_whole,
        "node": making.node,
        "operator": making.operator or None,
        "software": making.software,
        "created": format_instant(making.now_ms),
        "actor": making.actor,
        "figures": [
            {"name": each.name, "zh": each.zh, "en": each.en, "unit": each.unit, "value": values[each.name],
             "definition": {"zh": each.says[0], "en": each.says[1]}}
            for each in DEFINITIONS
        ],
        "sums": _sums(figures),
        "months": [_month(each) for each in six_months(gathered, span, logged)],
        "downtimes": [_downtime(each) for each in downtimes],
        "emergencies": [_emergency(name, each) for name, each in happened],
        "anomalies": [_pair(each) for each in anomalies],
        "effective": [_effective(each) for each in found],
        "notes": [{"zh": zh, "en": en} for zh, en in (*notes, *unreadable, *_missing(found))],
        "logs": [each._asdict() for each in logs],
    }  # fmt: skip


def decimal(numerator: int, denominator: int, places: int, *, cut: bool = False) -> str | None:
    """Return a quotient as text with so many decimals, rounded half up, or cut; None where nothing is divided by."""
    if not denominator:
        return None
    scaled, rest = divmod(numerator * 10**places, denominator)
    scaled += not cut and 2 * rest >= denominator
    return f"{scaled // 10**places}.{scaled % 10**places:0{places}}"


def percent(share: Share) -> str | None:
    """Return a share in percent, cut behind the fourth decimal: 100.0000 is said of the whole alone."""
    return decimal(100 * share.available_s, share.owed_s, 4, cut=True)


def _values(figures: Figures) -> dict[str, Any]:
    return {
        "running_hours": decimal(figures.running_s, 3_600, 2) if figures.both.owed_s or figures.hours else None,
        "availability": percent(figures.both),
        "availability_resolution": percent(figures.resolution),
        "availability_registration": percent(figures.registration),
        **_latency_values("registration", figures.registration_latency),
        **_latency_values("resolution", figures.resolution_latency),
    }


def _latency_values(name: str, latency: Latency) -> dict[str, Any]:
    some = latency.answers > 0
    return {
        f"{name}_rtt_mean": decimal(latency.sum_us, latency.answers * 1_000, 3),
        f"{name}_rtt_max": decimal(latency.max_us, 1_000, 3) if some else None,
        f"{name}_rtt_max_at": format_utc(latency.max_s) if some else None,
        f"{name}_rtt_min": decimal(latency.min_us, 1_000, 3) if some else None,
        f"{name}_rtt_min_at": format_utc(latency.min_s) if some else None,
        f"{name}_peak": latency.peak if some else None,
        f"{name}_peak_at": format_utc(latency.peak_s) if some else None,
        f"{name}_answers": latency.answers,
    }


def _effective_values(found: list[Effective]) -> dict[str, Any]:
    spans = [each.resolves_ms - each.approved_ms for each in found if each.approved_ms is not None]
    low, high = (statistics.median_low(spans), statistics.median_high(spans)) if spans else (0, 0)
    return {
        "effective_mean": decimal(sum(spans), len(spans) * _HOUR_MS, 2),
        "effective_median": decimal(low + high, 2 * _HOUR_MS, 2) if spans else None,
        "effective_prefixes": len(spans),
    }


def _sums(figures: Figures) -> dict[str, Any]:
    return {
        "hours": figures.hours,
        "running_s": figures.running_s,
        "planned_s": figures.planned_s,
        "owed_s": figures.both.owed_s,
        "available_s": figures.both.available_s,
        "resolution_available_s": figures.resolution.available_s,
        "registration_available_s": figures.registration.available_s,
        "resolution": figures.resolution_latency._asdict(),
        "registration": figures.registration_latency._asdict(),
    }


def _month(figures: Figures | str) -> dict[str, Any]:
    if isinstance(figures, str):
        return {"month": figures, "logged": False} | dict.fromkeys(_MONTH_MEMBERS)
    if not figures.both.owed_s and not figures.hours:
        return {"month": figures.month, "logged": True} | dict.fromkeys(_MONTH_MEMBERS)
    values = (
        percent(figures.both), decimal(figures.running_s, 3_600, 2), figures.both.available_s, figures.both.owed_s,
        figures.running_s,
    )  # fmt: skip
    return {"month": figures.month, "logged": True} | dict(zip(_MONTH_MEMBERS, values, strict=True))


_MONTH_MEMBERS: Final = ("availability", "running_hours", "available_s", "owed_s", "running_s")


def _downtime(joined: Joined) -> dict[str, Any]:
    return {
        "from": _time(joined.from_ms),
        "until": _time(joined.until_ms),
        "seconds": (joined.until_ms - joined.from_ms) // 1_000,
        "reasons": list(joined.reasons),
        "entered": _time(joined.noted_ms),
        "ahead": joined.noted_ms <= joined.from_ms,
    }


def _emergency(name: str, incident: Incident) -> dict[str, Any]:
    kind, severity, state = Kind(incident.kind), Severity(incident.severity), State(incident.state)
    return {
        "incident": name,
        "title": incident.title,
        "kind": {"name": kind.value, "zh": KINDS[kind].zh},
        "severity": {"name": severity.value, "zh": SEVERITIES[severity].zh},
        "state": {"name": state.value, "zh": STATE_LABELS[state]},
        "occurred": _time(incident.occurred_ms),
        "recovered": _time(incident.recovered_ms) if incident.recovered_ms else None,
        "description": incident.description,
        "affected": incident.affected or None,
        "cause": incident.cause or None,
        "measures": [{"at": _time(each.at_ms), "text": each.text} for each in incident.measures],
    }


def _pair(pair: Pair) -> dict[str, Any]:
    anomaly, recovery = pair
    kind = _KINDS[anomaly.kind]
    return {
        "number": anomaly.number,
        "subject": anomaly.subject,
        "condition": anomaly.condition,
        "kind": {"name": kind.value, "zh": KINDS[kind].zh},
        "from": _time(anomaly.at_ms),
        "cause": anomaly.cause or None,
        "recovery": None if recovery is None else recovery.number,
        "until": None if recovery is None else _time(recovery.at_ms),
        "seconds": None if recovery is None else (recovery.at_ms - anomaly.at_ms) // 1_000,
    }


def _effective(each: Effective) -> dict[str, Any]:
    known = each.approved_ms is not None
    return {
        "prefix": each.prefix,
        "approved": format_instant(each.approved_ms) if each.approved_ms is not None else None,
        "resolves": format_instant(each.resolves_ms),
        "milliseconds": each.resolves_ms - (each.approved_ms or 0) if known else None,
    }


def _missing(found: list[Effective]) -> list[tuple[str, str]]:
    lost = [each.prefix for each in found if each.approved_ms is None]
    if not lost:
        return []
    names = ", ".join(lost)
    return [(
        f"以下前缀的审核记录已不在日志中，未计入注册生效时间：{names}",
        f"the approval of these prefixes is in no log any more, so they do not count for the effective time: {names}",
    )]  # fmt: skip


def _time(at_ms: Millis) -> str:
    return format_utc(at_ms // 1_000)
