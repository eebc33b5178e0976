"""``saltern log retention``, ``hold``, ``release``: how long the logs are kept."""

from __future__ import annotations

from typing import Any

import click

from core import clock
from core.clock import parse_month
from core.disk import free_bytes
from core.store.log_hold_rows import log_holds
from core.streams import Stream, format_log
from node import wiring
from node.cli.acts import Desk, governed, reason_option
from node.cli.common import print_json
from node.cli.hold import order_option
from node.keeping import clocks_of, list_kept
from registry.commands import HoldLog, ReleaseLog
from registry.log_holds import dump_log_hold


def _month(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    if parse_month(text) is None:
        raise click.BadParameter("须为月份，如 2026-03。It must be a month, as 2026-03")
    return text


stream_argument = click.argument("stream", type=click.Choice([stream.value for stream in Stream]))
month_argument = click.argument("month", metavar="YYYY-MM", callback=_month)


@click.command()
@governed
def retention(desk: Desk) -> None:
    """列出各项日志的保存期、大小与保全。List what is kept, until when, what may go, and what is on legal hold.

    Months are those of Asia/Shanghai. What may go is dropped by the running node, and nothing else is.

    Example: saltern log retention --config my-node/node.toml
    """
    config = desk.config
    with desk.reading() as snapshot:
        held = {name: hold.orders for name, hold in log_holds(snapshot)}
    kept = list(list_kept(config, held, clocks_of(config, clock.now_ms())))
    here = {each["log"] for each in kept}
    absent = [dump_log_hold(name, orders) for name, orders in held.items() if name not in here]
    disk = {
        "free_bytes": free_bytes(wiring.disks(config)),
        "stop_bytes": config.integer("log.disk_stop"),
        "reserve_bytes": config.integer("log.disk_reserve"),
    }
    months = config.integer("log.retention")
    if desk.as_json:
        print_json({"retention_months": months, "logs": kept, "held_elsewhere": absent, "disk": disk})
        return
    click.echo(f"各项日志保存 {months} 个整月。Each log is kept for {months} whole months (log.retention).")
    for each in kept:
        click.echo(_line(each))
    for each in absent:
        click.echo(f"{each['log']}  {_orders(each)}  不在本机 not here")
    click.echo(
        f"磁盘剩余 Free: {_size(disk['free_bytes'])}；低于 {_size(disk['stop_bytes'])} 停止注册 "
        f"registration stops below, 低于 {_size(disk['reserve_bytes'])} 停止解析 resolution below that"
    )


@click.command("hold")
@stream_argument
@month_argument
@order_option
@reason_option
@governed
def hold_month(desk: Desk, stream: str, month: str, order: str, reason: str) -> None:
    """依令保全某月日志，期满亦不删除。Keep the log of a month beyond its time, by order.

    STREAM: registration, resolution, maintenance or change. What leads to addresses of clients is kept as well.

    Example: saltern log hold resolution 2026-03 --order 浙通管2026-8 --reason 调查取证
    """
    name = format_log(Stream(stream), month)
    told = desk.run(HoldLog(name, order, reason))
    if not (desk.config.data / "log" / stream / month).is_dir():
        click.echo(f"注意：本机没有日志 {name}。Note: there is no log {name} here", err=True)
    desk.say(told, f"已保全 On legal hold: {told['log']}  {_orders(told)}")


@click.command("release")
@stream_argument
@month_argument
@order_option
@governed
def release_month(desk: Desk, stream: str, month: str, order: str) -> None:
    """依令解除保全。Release the log of a month from legal hold; it goes in its time, at once if that is over.

    NUMBER is that of the order which held it, or, where there is one alone, of the order which releases it.

    Example: saltern log release resolution 2026-03 --order 浙通管2026-8
    """
    told = desk.run(ReleaseLog(format_log(Stream(stream), month), order))
    still = f"仍被保全 Still on legal hold: {told['log']}  {_orders(told)}"
    desk.say(told, still if told["orders"] else f"已解除 Released: {told['log']}")


def _orders(told: dict[str, Any]) -> str:
    return "；".join(f"{order['order']} {order['reason']}" for order in told["orders"])


def _line(each: dict[str, Any]) -> str:
    size = _size(each["bytes"] + each["private_bytes"])
    until = f"至 until {each['kept_until']}" if each["kept_until"] else "永久 for ever"
    why = "待删除 to be dropped" if each["due"] else f"{each['why']['zh']}。{each['why']['en']}"
    return f"{each['stream']:<12}  {each['month']}  {size:>10}  {until}  {why}"


def _size(octets: int) -> str:
    return f"{octets / (1 << 20):.1f} MiB"
