"""What ``saltern doctor`` says of top nodes: what is owed, whether they take it, what a person has to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core import limits
from core.clock import Millis
from core.store.engine import Snapshot, Table
from core.store.upstream_rows import logs_key, unpack_logs, upstreams
from sync.source import Source
from sync.standing import dump_standing


def look_at_upstreams(
    snapshot: Snapshot, sources: Mapping[str, Source], now_ms: Millis
) -> Iterator[tuple[str, str, str]]:
    """Yield level, check and message; one line of a top node that is well. Errors: StoreError, ConfigError."""
    for upstream, row in upstreams(snapshot):
        told = dump_standing(snapshot, upstream, row, sources, now_ms)
        logs = unpack_logs(snapshot.get(Table.SYNC_TABLES, logs_key(upstream)))
        found = [*_of_link(told), *_of_tables(told["tables"])]
        found += [("error", f"{log}: {each.fault}") for log, each in logs.items() if each.fault]
        if not found:
            waits = sum(table["waiting"] for table in told["tables"].values())
            answered = told["answered"] or "–"
            found.append(("ok", f"{row.url}：{answered} 应答 answered, {waits} 行待报 rows wait"))
        for level, message in found:
            yield level, "upstream", message


def _of_link(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    url, enrolment, ahead_s = told["url"], told["enrolment"], told["clock_ahead_ms"] // 1_000
    if enrolment not in (None, "enrolled"):
        yield (
            "warning",
            f"{url} 尚未准入本节点（{enrolment}），请其运营者确认。"
            f"It has not enrolled this node ({enrolment}): ask its operator",
        )
    elif told["fault"]:
        oldest_s = max(table["waiting_s"] or 0 for table in told["tables"].values())
        yield (
            "warning",
            f"自 {told['away_since']} 起无应答，最久待报 {oldest_s} 秒，本地服务不受影响。"
            f"No answer since then; the oldest change waits for {oldest_s} s, nothing local waits: {told['fault']}",
        )
    if abs(told["clock_ahead_ms"]) > limits.UPSTREAM_SKEW_MS:
        yield (
            "warning",
            f"{url} 的时钟快 {ahead_s} 秒，请核对本机时间。"
            f"Its clock is ahead by {ahead_s} s: check the time of this machine",
        )


def _of_tables(tables: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, table in tables.items():
        if table["fault"]:
            yield "error", f"{name}: {table['fault']}"
        rows = len(table["refused_rows"])
        if rows:
            yield (
                "warning",
                f"{name}: {rows} 行被拒收，原因见 saltern sync status。"
                f"{rows} rows are refused: see `saltern sync status`",
            )
