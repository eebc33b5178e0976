"""What the monthly report takes from entries of the statutory logs; everything else in them is passed over.

Maintenance: ``monitor.hour`` of this node, ``monitor.anomaly``, ``monitor.recovered``, ``downtime.plan``,
``downtime.cancel``. Registration and change: what approves a prefix, and what makes its prefix handle, since from then
on it resolves. Refusals of these are entries, too, and tell nothing here.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from core.clock import Millis, parse_instant
from core.downtime import CANCEL_ACT, PLAN_ACT, Downtime, parse_downtime
from core.errors import WireError
from core.ident.handle import PREFIX_HANDLES
from core.streams import Stream
from sync.monitor.figures import HOUR_ACT, NODE, Hour, load_hour
from sync.monitor.happening import ANOMALY_ACT, RECOVERED_ACT, Happening, load_happening

_DONE: Final = ("ok", "created")
_APPROVALS: Final = {"prefix.review": "approve", "prefix.verdict": "approved"}
_MAKES: Final = (*_APPROVALS, "prefix.site")
_HANDLE: Final = PREFIX_HANDLES.decode() + "/"
_MAINTENANCE: Final = (b'{"act":"monitor.', b'{"act":"downtime.')
_PREFIX_ACT: Final = b'{"act":"prefix.'
_RECORD_ACT: Final = b'{"act":"record.'
_RECORD_OBJECT: Final = f'"obj":"{_HANDLE}'.encode()


class Plan(NamedTuple):
    """A planned downtime. ``noted_ms``: when somebody entered it."""

    downtime: Downtime
    reason: str
    noted_ms: Millis


class Step(NamedTuple):
    """One entry about a prefix. ``request``: all entries of one are of one transaction. ``reason``: as entered."""

    at_ms: Millis
    request: int
    act: str
    prefix: str
    reason: str


class Gathered:
    """What was found so far. Entries of the maintenance log are given in its order."""

    def __init__(self) -> None:
        self.hours: dict[str, Hour] = {}
        self.happenings: dict[str, Happening] = {}
        self.plans: dict[Downtime, Plan] = {}
        self.steps: list[Step] = []
        self.unreadable: list[str] = []

    def take(self, stream: Stream, leaf: bytes) -> None:
        """Look at a leaf of a log that is not of resolutions. Cost: most leaves are not read."""
        if stream is Stream.MAINTENANCE:
            if leaf.startswith(_MAINTENANCE):
                self._take_maintenance(json.loads(leaf))
        elif leaf.startswith(_PREFIX_ACT) or (leaf.startswith(_RECORD_ACT) and _RECORD_OBJECT in leaf):
            self._take_prefix(json.loads(leaf))

    def _take_maintenance(self, entry: dict[str, Any]) -> None:
        act, name, reason = entry["act"], entry["obj"], entry["res"]["reason"] or ""
        if entry["res"]["code"] not in _DONE:
            return
        try:
            if act == HOUR_ACT:
                hour = load_hour(name, reason)
                if parse_instant(f"{hour.hour}:00:00+08:00") is None:
                    raise WireError(f"{name}: no hour")
                if hour.subject == NODE:
                    self.hours[hour.hour] = hour  # the last entry of an hour counts
            elif act in (ANOMALY_ACT, RECOVERED_ACT):
                self.happenings[name] = load_happening(act, name, reason)
            elif act == PLAN_ACT:
                downtime = parse_downtime(name)
                self.plans[downtime] = Plan(downtime, reason, _time(entry))
            elif act == CANCEL_ACT:
                self.plans.pop(parse_downtime(name), None)
        except WireError:
            self.unreadable.append(f"{act} {name}")

    def _take_prefix(self, entry: dict[str, Any]) -> None:
        act, name = entry["act"], entry["obj"]
        if entry["res"]["code"] not in _DONE or not (act in _MAKES or name.startswith(_HANDLE)):
            return
        prefix = name.removeprefix(_HANDLE).upper()
        self.steps.append(Step(_time(entry), int(entry["req"] or 0), act, prefix, entry["res"]["reason"] or ""))


def is_approval(step: Step) -> bool:
    """Whether somebody approved a prefix by it: a reviewer of this node, or the national one."""
    word = _APPROVALS.get(step.act)
    return word is not None and step.reason.partition(";")[0] == word


def makes_prefix_handle(step: Step, acts: set[str]) -> bool:
    """Whether it made a prefix resolve. ``acts``: all acts on the prefix of its request; a new route alone makes none.

    An own prefix (``prefix.home``) and an imported one are nobody's to approve, and are not among them.
    """
    if step.act == "record.create":
        return not acts.isdisjoint(_MAKES)
    return step.act == "record.change" and not acts.isdisjoint(_APPROVALS)


def _time(entry: dict[str, Any]) -> Millis:
    return parse_instant(entry["t"]) or Millis(0)
