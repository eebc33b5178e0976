"""Reads the statutory logs of a node: what the configuration says of where they are, and how identifiers compare."""

from __future__ import annotations

from collections.abc import Callable

from audit.mirror import Comparison
from audit.query import LogReader
from audit.waiting import look
from core import clock
from core.config import Config
from core.ident.handle import HandleRules

_SEEN_MS = 5_000  # a running node publishes what it answered sooner


def comparison(config: Config) -> Comparison:
    """Return how this node compares identifiers."""
    case_sensitive = config.flag("handle.case_sensitive")
    return Comparison(HandleRules(case_sensitive=case_sensitive).fold, case_sensitive)


def tell_waiting(config: Config, tell: Callable[[str], None]) -> None:
    """Say that answers were logged which no log shows yet, because no sequencer runs or it is behind."""
    try:
        waits = look(config.data)
    except OSError:
        return  # which what is read then says
    if waits.since_ms is not None and clock.now_ms() - waits.since_ms > _SEEN_MS:
        tell(
            f"尚有 {waits.octets} 字节已应答的解析未发布，此处不含：请启动节点，数秒后重试（saltern doctor）。"
            f"{waits.octets} octets of resolutions that were answered are not published yet and not told here: start "
            "the node and ask again a few seconds later (saltern doctor)"
        )


def log_reader(config: Config, note: Callable[[str], None] = lambda _: None) -> LogReader:
    """Return what reads the logs. ``note``: is told what the one who asks should know."""
    return LogReader(config.data, comparison(config), note)
