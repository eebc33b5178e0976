"""``saltern dns``: the zones that the node makes, and the secondaries that publish them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from core import clock
from core.clock import format_shanghai
from core.errors import WireError
from core.store.engine import Snapshot
from core.wire.dns import Labels, Type
from core.wire.dns_text import labels_of, text_of
from node import wiring
from node.cli.acts import Desk, governed
from node.cli.common import Commands, print_json
from node.dns_settings import make_zones
from node.notified import read_notified
from node.secondaries import parse_secondaries
from node.site import known_ports
from resolver.zone import Zones


@click.group(cls=Commands)
def dns() -> None:
    """DNS：区的内容与发布状态。Zones of DNS: what is in them, who has heard of them."""


@dns.command()
@click.argument("apex", required=False)
@governed
def zone(desk: Desk, apex: str | None) -> None:
    """以区文件格式（RFC 1035 §5）输出一个区。Print a zone as a master file (RFC 1035 §5).

    APEX is one that `saltern dns status` lists; without it, the first. The node need not run.

    Example: saltern dns zone oid-res.org --config my-node/node.toml
    """
    zones = _zones(desk)
    chosen = _chosen(zones, apex)
    with desk.reading() as snapshot:
        if desk.as_json:
            print_json(
                [
                    dict(zip(("name", "ttl", "type", "data"), each, strict=True))
                    for each in _lines(zones, snapshot, chosen)
                ]
            )
            return
        for name, ttl, type_, data in _lines(zones, snapshot, chosen):
            click.echo(f"{name} {ttl} IN {type_} {data}")


@dns.command()
@governed
def status(desk: Desk) -> None:
    """区、序号、从服务器及其确认情况。Zones, their serial, secondaries, and what each has acknowledged.

    Example: saltern dns status --config my-node/node.toml
    """
    zones = _zones(desk)
    with desk.reading() as snapshot:
        serial = zones.serial(snapshot)
    notified = read_notified(wiring.run_folder(desk.config))
    heard = () if notified is None else notified.heard
    told: dict[str, Any] = {
        "zones": [text_of(apex) for apex in zones.apexes],
        "serial": serial,
        "transfers": desk.config.file("dns.tsig_file") is not None,
        "secondaries": [str(each) for each in parse_secondaries(desk.config)],
        "heard": [each._asdict() for each in heard],
    }
    if desk.as_json:
        print_json(told)
        return
    click.echo(f"区 Zones: {', '.join(told['zones']) or '–'}，序号 serial {serial}")
    if not told["transfers"]:
        click.echo("未设 dns.tsig_file：不允许区传送。No dns.tsig_file: no zone is transferred")
    if notified is not None and heard:
        click.echo(f"{notified.serial} 自 since {format_shanghai(clock.Millis(notified.changed_ms))}")
    for each in heard:
        acknowledged = "尚无 nothing yet" if each.serial is None else each.serial
        click.echo(f"{each.secondary} {each.zone}: 已确认 has heard of {acknowledged} {each.fault}".rstrip())
    for place in told["secondaries"]:
        if place not in {each.secondary for each in heard}:
            click.echo(f"{place}: 节点未运行过 not told yet, the node has not run")


def _zones(desk: Desk) -> Zones:
    return make_zones(desk.config, known_ports(desk.config))


def _chosen(zones: Zones, apex: str | None) -> Labels:
    """Return the apex that is meant. Errors: BadParameter."""
    known = [text_of(each) for each in zones.apexes]
    try:
        wanted = zones.apexes[:1] if apex is None else (tuple(label.lower() for label in labels_of(apex)),)
    except WireError:
        wanted = ()
    for each in wanted:
        if each in zones.apexes:
            return each
    raise click.BadParameter(
        f"没有这个区；有：{'、'.join(known) or '–'}。No such zone; there is: {', '.join(known) or '–'}",
        param_hint="APEX",
    )


class _Line(NamedTuple):
    name: str
    ttl: int
    type: str
    data: str


def _lines(zones: Zones, snapshot: Snapshot, apex: Labels) -> Iterator[_Line]:
    """Yield name, TTL, type and data of each record, the SOA once and first."""
    from dns import rdata  # takes long to import

    for number, (name, type_, ttl, data) in enumerate(zones.records(snapshot, apex)):
        if number and type_ == Type.SOA:
            return
        text = rdata.from_wire("IN", Type(type_).name, data, 0, len(data)).to_text()
        yield _Line(f"{text_of(name)}.", ttl, Type(type_).name, text)
