"""Anomalies and recoveries: what they are, and how they are written into the maintenance log (annex 2).

An entry ``monitor.anomaly`` or ``monitor.recovered``, its object the number, its reason the JSON of
``dump_happening``. Each is a row of MONITOR_EVENTS, a change of the feed (MONITOR_EVENT, its identifier the number)
and a row of table T13, all in one commit.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Final, NamedTuple

from core.clock import Millis
from core.errors import WireError

ANOMALY_ACT: Final = "monitor.anomaly"
RECOVERED_ACT: Final = "monitor.recovered"


class Status(IntEnum):
    """Which way the state changed."""

    ANOMALY = 1
    RECOVERED = 2


class Kind(IntEnum):
    """What kind of anomaly it is, by the agreement's codes."""

    NETWORK = 1
    SYSTEM = 2
    ATTACK = 3
    OTHER = 4


class Happening(NamedTuple):
    """One change of state. ``number``: unique, ``E`` and at least eight digits, chosen by the node.

    ``subject``: as in ``figures``; ``condition``: what is watched (``resolution``, ``disk``, ``upstream …``).
    ``ends``: number of the anomaly that a recovery ends, empty of an anomaly. ``at_ms``: the second it changed, a
    whole one. ``cause``: for people, Chinese and English, where it is known.
    """

    number: str
    status: Status
    subject: str
    condition: str
    kind: Kind
    at_ms: Millis
    ends: str = ""
    cause: str = ""


def dump_happening(happening: Happening) -> str:
    """Return all but number and status as JSON."""
    members = happening._asdict()
    del members["number"], members["status"]
    return json.dumps(members | {"kind": int(happening.kind)}, ensure_ascii=False, separators=(",", ":"))


def load_happening(act: str, number: str, text: str) -> Happening:
    """Read an entry. Errors: WireError."""
    try:
        status = {ANOMALY_ACT: Status.ANOMALY, RECOVERED_ACT: Status.RECOVERED}[act]
        members = json.loads(text)
        if set(members) != {"subject", "condition", "kind", "at_ms", "ends", "cause"}:
            raise ValueError("members")
        if type(members["at_ms"]) is not int or type(members["kind"]) is not int:
            raise ValueError("number")
        if not all(isinstance(members[name], str) for name in ("subject", "condition", "ends", "cause")):
            raise ValueError("text")
        return Happening(number, status, **(members | {"kind": Kind(members["kind"])}))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise WireError(f"{number}: 不是异常或恢复的记录。This is no record of an anomaly or recovery") from None
