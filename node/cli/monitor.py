"""``saltern monitor``: what the node measures of itself and of the enterprise nodes below it (docking agreement)."""

from __future__ import annotations

from functools import reduce
from typing import Any

import click

from core import clock
from core.clock import Millis, format_shanghai, format_utc
from core.store.engine import Snapshot
from core.store.monitor_rows import newest_hours, open_anomalies, subjects
from node.cli.acts import Desk, governed
from node.cli.common import Commands, print_json
from sync.fields import EVENT_KINDS
from sync.monitor.adding import hour_of
from sync.monitor.figures import Hour, Latency, Probes, join
from sync.monitor.happening import Happening, Status
from sync.monitor.storing import day_hours, happening_from, hour_from, today


@click.group(cls=Commands)
def monitor() -> None:
    """监测：时延、可用性、异常。What is measured: latencies, availability, anomalies."""


@monitor.command()
@governed
def status(desk: Desk) -> None:
    """今日与当前小时的数据，未恢复的异常。Figures of today and of the open hour; anomalies that are not over.

    Example: saltern monitor status --config my-node/node.toml --json
    """
    now_ms = clock.now_ms()
    with desk.reading() as snapshot:
        found = [standing(snapshot, subject, now_ms) for subject in subjects(snapshot)]
        opened = [happening_from(number, row) for number, row in open_anomalies(snapshot).items()]
    if desk.as_json:
        anomalies = [each._asdict() | {"kind": int(each.kind), "status": int(each.status)} for each in opened]
        print_json({"time": format_utc(now_ms // 1_000), "subjects": found, "anomalies": anomalies})
        return
    if not found:
        click.echo("尚无监测数据。Nothing was measured yet.")
    for each in found:
        show(each)
    for happening in opened:
        _show_anomaly(happening)
    if not opened:
        click.echo("无未恢复的异常。No anomaly is open.")


def standing(snapshot: Snapshot, subject: str, now_ms: Millis) -> dict[str, Any]:
    """Return the figures of today and of the newest hour, which may be an earlier one: ``running`` tells."""
    ((text, row),) = newest_hours(snapshot, subject, 1)
    hours = [hour for hour, _ in day_hours(snapshot, subject, today(now_ms))]
    return {
        "subject": subject,
        "day": today(now_ms),
        "today": _figures(hours),
        "hour": text,
        "running": not row.closed and text == hour_of(now_ms),
        "open_hour": _figures([hour_from(subject, text, row)]),
    }


def _figures(hours: list[Hour]) -> dict[str, Any]:
    return {
        "hours": len(hours),
        "resolution": _latency(reduce(join, (hour.resolution for hour in hours), Latency())),
        "registration": _latency(reduce(join, (hour.registration for hour in hours), Latency())),
        "probes": _probes([hour.probes for hour in hours]),
    }


def _latency(latency: Latency) -> dict[str, Any]:
    """Return the figures; nothing of what was not measured."""
    if not latency.answers:
        return {"answers": 0}
    told: dict[str, Any] = {
        "answers": latency.answers,
        "mean_us": round(latency.sum_us / latency.answers),
        "max_us": latency.max_us,
        "max_at": format_utc(latency.max_s),
        "min_us": latency.min_us,
        "min_at": format_utc(latency.min_s),
    }
    return told | ({"peak": latency.peak, "peak_at": format_utc(latency.peak_s)} if latency.peak else {})


def _probes(hours: list[Probes]) -> dict[str, int]:
    return {name: sum(getattr(hour, name) for hour in hours) for name in Probes._fields if name != "period_s"}


def show(told: dict[str, Any]) -> None:
    """Print what was measured of a subject."""
    name = "本节点 This node" if told["subject"] == "node" else told["subject"]
    click.echo(f"{name}")
    _show_figures(f"今日 Today {told['day']}", told["today"])
    _show_figures(f"{'当前' if told['running'] else '最近'}小时 Hour {told['hour']}", told["open_hour"])


def _show_figures(title: str, told: dict[str, Any]) -> None:
    click.echo(f"  {title}")
    for name, label in (("resolution", "解析 resolution"), ("registration", "注册 registration")):
        figures = told[name]
        if not figures["answers"]:
            click.echo(f"    {label}: –")
            continue
        ms = {each: f"{figures[f'{each}_us'] / 1_000:.3f}" for each in ("mean", "max", "min")}
        peak = f"，峰值 peak {figures['peak']}/s ({figures['peak_at']})" if "peak" in figures else ""
        click.echo(
            f"    {label}: {figures['answers']} 次 answers，均值 mean {ms['mean']} ms，"
            f"最大 max {ms['max']} ms ({figures['max_at']})，最小 min {ms['min']} ms ({figures['min_at']}){peak}"
        )
    probes = told["probes"]
    if probes["periods"]:
        click.echo(
            f"    自测 probes: {probes['both']}/{probes['periods']} 可用 available "
            f"(解析 resolution {probes['resolution']}，注册 registration {probes['registration']})"
        )


def _show_anomaly(happening: Happening) -> None:
    assert happening.status is Status.ANOMALY
    click.echo(
        f"异常 Anomaly {happening.number}: {happening.subject} {happening.condition}，"
        f"{EVENT_KINDS[int(happening.kind)]}，自 since {format_shanghai(happening.at_ms)} {happening.cause}"
    )
