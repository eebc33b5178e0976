"""What is measured of a node in an hour, and how it is written into the maintenance log (docking agreement, annex 2).

An hour is the smallest span that is kept: an entry ``monitor.hour`` of the maintenance log, its object
``<subject> <YYYY-MM-DDTHH>`` (an hour of Asia/Shanghai), its reason the JSON of ``dump_hour``. Days and months are
sums of hours, so that whoever has the log can compute every figure again.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from core.errors import WireError

HOUR_ACT: Final = "monitor.hour"
NODE: Final = "node"
"""The subject that is this node; any other one is the folded prefix of an enterprise node below it."""

_INTEGER_MAX: Final = 2**63 - 1


class Latency(NamedTuple):
    """Latencies of what was answered, in microseconds; seconds are Unix seconds.

    ``answers``: how many; mean is ``sum_us / answers``. The extremes say in which second; the earliest one counts.
    ``peak``: answers in the busiest second ``peak_s``. All 0 where nothing was answered.
    """

    answers: int = 0
    sum_us: int = 0
    max_us: int = 0
    max_s: int = 0
    min_us: int = 0
    min_s: int = 0
    peak: int = 0
    peak_s: int = 0


class Probes(NamedTuple):
    """What the self-probes of an hour found. A period is one round of probes, ``period_s`` long.

    ``resolution``, ``registration``, ``both``: periods in which it was available. Resolution is available where less
    than 51 % of the ways that were asked (UDP, TCP, HTTP) failed. A period that is not counted (the node did not run)
    counts as unavailable for whoever adds up.
    """

    period_s: int = 0
    periods: int = 0
    resolution: int = 0
    registration: int = 0
    both: int = 0


class Hour(NamedTuple):
    """One hour of one subject. ``hour``: ``YYYY-MM-DDTHH`` in Asia/Shanghai."""

    subject: str
    hour: str
    resolution: Latency = Latency()
    registration: Latency = Latency()
    probes: Probes = Probes()


def join(first: Latency, second: Latency) -> Latency:
    """Return the latencies of two spans as one; ``peak`` is that of the busier second, so spans share no second."""
    if not first.answers or not second.answers:
        return first if first.answers else second
    slow = max(first, second, key=lambda each: (each.max_us, -each.max_s))
    quick = min(first, second, key=lambda each: (each.min_us, each.min_s))
    busy = max(first, second, key=lambda each: (each.peak, -each.peak_s))
    return Latency(
        first.answers + second.answers, first.sum_us + second.sum_us, slow.max_us, slow.max_s, quick.min_us,
        quick.min_s, busy.peak, busy.peak_s,
    )  # fmt: skip


def dump_hour(hour: Hour) -> str:
    """Return the figures of an hour as JSON: objects of the members of Latency and Probes."""
    document = {
        "resolution": hour.resolution._asdict(),
        "registration": hour.registration._asdict(),
        "probes": hour.probes._asdict(),
    }
    return json.dumps(document, separators=(",", ":"))


def load_hour(name: str, text: str) -> Hour:
    """Read what ``dump_hour`` wrote. ``name``: the entry's object. Errors: WireError."""
    try:
        subject, space, hour = name.partition(" ")
        document = json.loads(text)
        if not space or set(document) != {"resolution", "registration", "probes"}:
            raise ValueError("members")
        return Hour(
            subject, hour, _read(Latency, document["resolution"]), _read(Latency, document["registration"]),
            _read(Probes, document["probes"]),
        )  # fmt: skip
    except (ValueError, TypeError, RecursionError):
        raise WireError(f"{name}: 不是一小时的监测数据。These are no figures of an hour") from None


def _read(kind: Any, members: Any) -> Any:
    if not isinstance(members, dict) or set(members) != set(kind._fields):
        raise ValueError("members")
    if not all(type(each) is int and 0 <= each <= _INTEGER_MAX for each in members.values()):
        raise ValueError("number")
    return kind(**members)
