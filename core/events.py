"""Facts for observers: what was answered, to whom, over what.

The resolution log is one of the four statutory logs (Measures art. 13): every resolution
that is answered, on every protocol, is one entry of it, written before the answer leaves. What
cannot be read, or is refused before it is looked at because its source asks too much, is none.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Protocol

from core.admission import Identity
from core.errors import NodeError, Outcome


class Via(IntEnum):
    """The protocol of a resolution. Numbers are stored: never reuse one."""

    HANDLE_UDP = 1
    HANDLE_TCP = 2
    HANDLE_HTTP = 3
    JSON = 4
    PAGE = 5
    DNS_UDP = 6
    DNS_TCP = 7
    DIGITAL_LINK = 8
    ALIAS = 9  # /v1/resolve, /oid/…


PROTOCOLS: Final = {
    Via.HANDLE_UDP: "udp",
    Via.HANDLE_TCP: "tcp",
    Via.HANDLE_HTTP: "http/handle",
    Via.JSON: "http/json",
    Via.PAGE: "http/page",
    Via.DNS_UDP: "udp/dns",
    Via.DNS_TCP: "tcp/dns",
    Via.DIGITAL_LINK: "http/gs1",
    Via.ALIAS: "http/alias",
}
"""What the logs call them. What is before the slash is the transport, and names all behind it."""

PROTOCOL_API: Final = "http/v1"
PROTOCOL_LOCAL: Final = "local"  # a person at this machine, by the registrar's socket
PROTOCOL_NONE: Final = ""  # the node by itself


class ResolutionLog(Protocol):
    """Where resolutions are told."""

    @property
    def writable(self) -> bool:
        """False where entries cannot be written just now: nothing may be resolved."""

    def resolved(self, via: Via, outcome: Outcome, peer: bytes, identifier: bytes) -> None:
        """Tell one resolution, whose answer leaves at the end of the turn, behind the log.

        ``peer``: as ``core/peer.py`` has it; ``identifier``: as asked, UTF-8.
        """

    def record(self, via: Via, outcome: Outcome, peer: bytes, identifier: bytes, who: Identity | None) -> None:
        """Write one resolution at once. ``who``: the proven identity. Errors: LogFullError."""


class LogFullError(NodeError):
    """The resolution log cannot be written; an answer without an entry would be unlawful."""

    outcome = Outcome.LOG_FULL

    def __init__(
        self,
        message: str = "解析日志暂时无法写入，请稍后再试。"
        "The resolution log cannot be written just now; try again later",
    ) -> None:
        super().__init__(message)
