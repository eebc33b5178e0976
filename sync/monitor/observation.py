"""What one probe found: made by whoever probes (``node/probing.py``), judged by what counts and what watches."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from core.clock import Millis


class Way(Enum):
    """How something was asked. The value is stored: never rename one."""

    UDP = "udp"
    TCP = "tcp"
    HTTP = "http"
    REGISTRATION = "registration"

    __hash__ = object.__hash__  # members are singletons


class Observation(NamedTuple):
    """One probe of one round. ``subject``: as in ``figures``. ``at_ms``: begin of the round, the same of all its
    probes. ``rtt_us``: until the answer was there; None where there was none in time, or a wrong one; ``fault``: why,
    for people.
    """

    subject: str
    way: Way
    at_ms: Millis
    rtt_us: int | None
    fault: str = ""
