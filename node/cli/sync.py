"""``saltern sync``: what the national top-level node is owed (Measures art. 7)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from core import clock, limits
from core.config import Config
from core.errors import ConfigError, WireError
from core.store.engine import Table
from core.store.lmdb_engine import LmdbEngine
from core.store.upstream_rows import refused_range, upstreams
from core.upstream_url import read_upstream_url
from node import wiring
from node.cli.acts import Desk, governed
from node.cli.common import Commands, Failure, print_json
from node.sync_lock import sync_lock
from node.sync_sources import make_sources
from node.syncing import Sender, Syncing, hello, make_link, put_right
from node.topnode_keys import read_public_key
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream
from sync.messages import State
from sync.reconcile import Comparison, compare
from sync.standing import dump_standing, show_key

_upstream_option = click.option(
    "--upstream", default="", metavar="ID", help="只对这个上级节点 Of this top node alone."
)  # fmt: skip


@click.group(cls=Commands)
def sync() -> None:
    """向国家顶级节点报送：连接、报送、状态、对账。What the national top-level node is owed."""


@sync.command()
@click.option("--url", required=True, metavar="URL", help="上级节点地址 Address of the top node.")
@click.option(
    "--key", "key_file", required=True, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="上级节点公钥文件 Its public key, keys/top.pub.",
)  # fmt: skip
@governed
def connect(desk: Desk, url: str, key_file: Path) -> None:
    """连接上级节点：核对其密钥，登记，此后自动报送。Connect a top node; from then on it is sent what it is owed.

    Example: saltern sync connect --url https://top.example.cn --key top.pub --config my-node/node.toml
    """
    public_key = read_public_key(key_file)
    try:
        url = str(read_upstream_url(url))
    except WireError as error:
        raise click.BadParameter(error.message, param_hint="--url") from None
    with desk.reading() as snapshot:
        said = hello(desk.config, snapshot, make_sources(desk.config)["T2"])
    state = make_link(desk.config, url, public_key).ask(said, State)
    told = desk.run(ConnectUpstream(url, public_key, state.name[:100])) | {"enrolment": state.enrolment}
    waits = "" if state.enrolment == "enrolled" else (
        "\n上级节点尚未准入本节点，请其运营者确认 The top node has not enrolled this node yet: ask its operator"
    )  # fmt: skip
    desk.say(told, f"已连接 Connected: {told['name'] or told['id']}  {told['url']}  {state.enrolment}{waits}")


@sync.command()
@click.argument("upstream", metavar="ID")
@governed
def disconnect(desk: Desk, upstream: str) -> None:
    """不再向上级节点报送。Send a top node nothing more.

    Example: saltern sync disconnect 0123456789abcdef0123456789abcdef --config my-node/node.toml
    """
    told = desk.run(DisconnectUpstream(upstream))
    desk.say(told, f"已断开 Disconnected: {told['id']}  {told['url']}")


@sync.command()
@_upstream_option
@governed
def run(desk: Desk, upstream: str) -> None:
    """立即报送全部待报数据，含被拒收的行。Send all that waits at once, rows that were refused included.

    Example: saltern sync run --config my-node/node.toml
    """
    told: list[dict[str, Any]] = []
    with _senders(desk.config, upstream) as (syncing, senders):
        for sender in senders:
            done = syncing.send_all(sender)
            said = dict(done.faults) | _refusals(syncing, sender)
            told.append({"upstream": sender.upstream, "rows": done.rows, "faults": said})
    faults = [f"{name}: {fault}" for each in told for name, fault in each["faults"].items()]
    if desk.as_json:
        print_json({"done": not faults, "upstreams": told})
    else:
        for each in told:
            click.echo(f"已报送 Sent: {each['rows']} 行 rows → {each['upstream']}")
    if faults:
        raise Failure("\n".join(faults))


@sync.command()
@_upstream_option
@governed
def status(desk: Desk, upstream: str) -> None:
    """每张表已报、已收、被拒、待报。Per table what was sent, accepted, refused, and what waits.

    Example: saltern sync status --config my-node/node.toml --json
    """
    sources = make_sources(desk.config)
    now_ms = clock.now_ms()
    with desk.reading() as snapshot:
        listed = [
            dump_standing(snapshot, each, row, sources, now_ms)
            for each, row in upstreams(snapshot)
            if upstream in ("", each)
        ]
    _require_any(listed, upstream)
    if desk.as_json:
        print_json({"upstreams": listed})
        return
    for each in listed:
        _show_standing(each)


@sync.command()
@click.option("--repair", is_flag=True, help="补发不一致的行 Send what differs again.")
@_upstream_option
@governed
def verify(desk: Desk, upstream: str, repair: bool) -> None:
    """逐表比对两端，列出不一致的键。Compare both sides table by table; exit code 1 where they differ.

    Example: saltern sync verify --repair --config my-node/node.toml
    """
    tables: dict[str, dict[str, Any]] = {}
    with _senders(desk.config, upstream) as (syncing, senders):
        for sender in senders:
            sender.courier.connect()
            for name, found in _compared(syncing, sender, repair=repair):
                table = tables.setdefault(name, {"rows": found.rows, "differences": []})
                table["differences"] += [
                    {"key": show_key(each.key), "why": each.why, "upstream": sender.upstream}
                    for each in found.differences
                ]
                if found.more:
                    table["more"] = True
                if found.fault:
                    table["fault"] = found.fault
            sender.courier.note_verified(sum(len(table["differences"]) for table in tables.values()))
    equal = not any(table["differences"] or "fault" in table for table in tables.values())
    if desk.as_json:
        print_json({"equal": equal, "tables": tables})
    else:
        _show_comparison(tables, equal=equal)
    if not equal:
        raise Failure(
            "两端不一致：先执行 saltern sync run；仍不一致时执行 saltern sync verify --repair。"
            "Both sides differ: `saltern sync run` sends what waits, `saltern sync verify --repair` what still differs"
        )


def _refusals(syncing: Syncing, sender: Sender) -> dict[str, str]:
    """Return a sentence for each table of which rows are refused."""
    with syncing.engine.snapshot() as snapshot:
        counts = {
            name: sum(1 for _ in snapshot.scan(Table.SYNC_REFUSED, *refused_range(sender.upstream, name)))
            for name in sender.sources
        }
    return {
        name: f"上级节点拒收 {rows} 行，原因见 saltern sync status；更正后再次报送。{rows} rows are refused: "
        "`saltern sync status` says why; they are sent again with each run"
        for name, rows in counts.items()
        if rows
    }


def _compared(syncing: Syncing, sender: Sender, *, repair: bool) -> Iterator[tuple[str, Comparison]]:
    if repair:
        syncing.bring_together(sender)
    for name, source in sender.sources.items():
        with syncing.engine.snapshot() as snapshot:
            found = compare(snapshot, source, sender.link)
        if repair and found.differences:
            put_right(sender, source, found)
            with syncing.engine.snapshot() as snapshot:
                found = compare(snapshot, source, sender.link)
        yield name, found


@contextmanager
def _senders(config: Config, upstream: str) -> Iterator[tuple[Syncing, list[Sender]]]:
    """Give what sends, alone. Errors: ConfigError, also where there is no top node."""
    engine: LmdbEngine = wiring.open_store(config)
    try:
        with sync_lock(config.data):
            syncing = Syncing(config, engine)
            senders = [each for each in syncing.senders() if upstream in ("", each.upstream)]
            _require_any(senders, upstream)
            yield syncing, senders
    finally:
        engine.close()


def _require_any(listed: list[Any], upstream: str) -> None:
    if listed:
        return
    if upstream:
        raise ConfigError(f"未连接此上级节点：{upstream}。No such top node is connected: {upstream}")
    raise ConfigError(
        "尚未连接上级节点，请先执行 saltern sync connect。No top node is connected: `saltern sync connect` comes first"
    )


def _show_standing(each: dict[str, Any]) -> None:
    click.echo(f"{each['name'] or '-'}  {each['url']}  {each['upstream']}  {each['enrolment'] or '-'}")
    if each["fault"]:
        click.echo(f"  自 since {each['away_since']}: {each['fault']}")
    if abs(each["clock_ahead_ms"]) > limits.UPSTREAM_SKEW_MS:
        click.echo(
            f"  两端时钟相差 {each['clock_ahead_ms'] / 1000:.0f} 秒，请核对本机时间。"
            f"The clocks differ by {each['clock_ahead_ms'] / 1000:.0f} s: check the time of this machine"
        )
    _show_takeover(each["takeover"])
    for name, table in each["tables"].items():
        more = "+" if table["waiting_at_least"] else ""
        click.echo(
            f"  {name:<4} {table['zh']} {table['en']}: 已报 sent {table['sent']}, 已收 accepted {table['accepted']}, "
            f"拒收 refused {table['refused']}, 待报 waiting {table['waiting']}{more}{_due(table)}"
        )
        if table["fault"]:
            click.echo(f"       {table['fault']}")
        for row in table["refused_rows"]:
            click.echo(f"       {row['key']}: {row['zh']}。{row['en']}")


def _show_takeover(takeover: dict[str, Any] | None) -> None:
    if takeover is None:
        return
    how = "进行中 on" if takeover["on"] else f"已结束 over {takeover['over']}"
    click.echo(
        f"  接管 takeover {takeover['takeover']} {how}, 自 since {takeover['seen']}, 已移入 taken {takeover['taken']}"
    )
    for kept in takeover["kept"]:
        click.echo(f"       第 {kept['number']} 项未移入 kept out: {kept['handle']}  {kept['who']}  {kept['why']}")


def _due(table: dict[str, Any]) -> str:
    """Return when what waits goes up by itself."""
    return f", 将于 due {table['due']}" if table["waiting"] and table["due"] else ""


def _show_comparison(tables: dict[str, dict[str, Any]], *, equal: bool) -> None:
    for name, table in tables.items():
        click.echo(f"{name:<4} {table['rows']} 行 rows, 不一致 different: {len(table['differences'])}")
        if "fault" in table:
            click.echo(f"     {table['fault']}")
        for each in table["differences"]:
            click.echo(f"     {each['key']}  {_WHY[each['why']]}")
    if equal:
        click.echo("两端一致 Both sides are equal")


_WHY = {"missing": "上级缺少 missing above", "extra": "上级多出 extra above", "other": "内容不同 other above"}
