"""``saltern hold``: what is not answered by order of the regulator."""

from __future__ import annotations

from typing import Any

import click

from node.cli.acts import Desk, governed, reason_option
from node.cli.common import Commands, print_json
from registry.commands import LiftHold, PlaceHold
from registry.holds import list_held

_KINDS = {"identifier": "标识 identifier", "prefix": "前缀 prefix", "party": "主体 party"}

order_option = click.option("--order", required=True, metavar="NUMBER", help="文号 Number of the order.")


@click.group(cls=Commands)
def hold() -> None:
    """停止解析：依令停止、恢复、列出。Holds by order of the regulator: place, lift, list."""


@hold.command()
@click.argument("target")
@order_option
@reason_option
@click.option("--public", is_flag=True, help="该令允许公开理由 The order says that its reason may be told.")
@governed
def place(desk: Desk, target: str, order: str, reason: str, public: bool) -> None:
    """依令停止解析标识、前缀或主体。Stop the answers for an identifier, a prefix or a party.

    TARGET: with / an identifier; with . and no / a prefix and all below it; else the id of a party. Every protocol
    stops answering at once; no record is changed, and none can be while the order is in force.

    Example: saltern hold place 88.118.7/SKU01 --order 浙盐令2026-15 --reason 抽检不合格 --public
    """
    told = desk.run(PlaceHold(target, order, reason, public))
    desk.say(told, f"已停止解析 On hold: {_text(told)}")


@hold.command()
@click.argument("target")
@order_option
@governed
def lift(desk: Desk, target: str, order: str) -> None:
    """依令恢复解析。Let a target be answered again.

    NUMBER is that of the order which stopped it, or, where there is one alone, of the order which lifts it.

    Example: saltern hold lift 88.118.7/SKU01 --order 浙盐令2026-15
    """
    told = desk.run(LiftHold(target, order))
    still = f"仍停止解析 Still on hold: {_text(told)}" if told["orders"] else f"已恢复解析 Lifted: {told['target']}"
    desk.say(told, still)


@hold.command("list")
@governed
def list_holds(desk: Desk) -> None:
    """列出停止解析的对象。List what is on hold.

    Example: saltern hold list --config my-node/node.toml
    """
    with desk.reading() as snapshot:
        listed = list(list_held(snapshot))
    if desk.as_json:
        print_json(listed)
        return
    for each in listed:
        click.echo(_text(each))


def _text(told: dict[str, Any]) -> str:
    lines = [f"{told['target']}  {_KINDS[told['kind']]}"]
    for order in told["orders"]:
        public = "公开 public" if order["public"] else "不公开 not public"
        lines.append(f"  {order['order']}  {order['placed']}  {public}  {order['reason']}")
    return "\n".join(lines)
