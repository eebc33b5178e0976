"""``saltern topnode``: the reference top node: make it, run it, look at what it holds, decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from core import clock, limits
from core.signature import key_id
from node.cli.common import Commands, json_option, print_json, start_logging
from node.cli.topnode_common import Chosen, chosen_option, config_option, node_id_of, reason_option
from node.topnode_documents import (
    node_document,
    review_document,
    row_document,
    tables_document,
)
from node.topnode_settings import load_topnode
from sync.tables import TABLES
from sync.topnode.rows import APPROVED, ASKED, REJECTED, WAITING

_VERDICTS: Final = {
    WAITING: "待审核 waiting",
    APPROVED: "已通过 approved",
    REJECTED: "已驳回 rejected",
    ASKED: "待补正 to be corrected",
}


@click.group(cls=Commands)
def topnode() -> None:
    """参考顶级节点：新建、运行、查看、审核。The reference top node: make, run, look, review."""


@topnode.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", default="top.example", show_default=True, help="名称 Its name, as a host.")
@json_option
def init(folder: Path, name: str, as_json: bool) -> None:
    """新建参考顶级节点：配置、密钥、数据目录。Make a top node: configuration, keys, data folder.

    DIR/keys/top.pub is what a node connects with.

    Example: saltern topnode init my-top
    """
    from node.topnode_init import initialise_topnode
    from node.topnode_keys import load_top_signer

    config = initialise_topnode(folder, name)
    keys = folder / "keys"
    told = {"config": str(config.path), "key": str(keys / "top.pub"), "witness_key": str(keys / "witness.vkey")}
    if as_json:
        print_json(told | {"name": name, "key_id": key_id(load_top_signer(config).public_key)})
        return
    click.echo(f"已建立参考顶级节点 Made a top node in {folder}: {name}")
    click.echo(f"交给下级节点的公钥 Public key for nodes: {told['key']}")
    click.echo(f"启动 Start it: saltern topnode serve --config {config.path}")


@topnode.command()
@config_option
@click.option(
    "--misbehave", "spec", metavar="SPEC",
    help="按要求出错：default 或 duplicate=0.1,delay=0.2 等 Misbehave: default, or each way with its probability: "
    "duplicate, delay, reorder, drop, truncate, error, refuse.",
)  # fmt: skip
def serve(config_file: Path, overrides: tuple[str, ...], spec: str | None) -> None:
    """运行参考顶级节点，直到收到 SIGTERM。Run the top node until SIGTERM.

    Example: saltern topnode serve --config my-top/topnode.toml --misbehave duplicate=0.1,delay=0.2
    """
    from node.topnode import serve_topnode

    start_logging()
    raise SystemExit(serve_topnode(load_topnode(config_file, overrides), spec))


# --- looking -----------------------------------------------------------------


@topnode.command()
@chosen_option
def nodes(chosen: Chosen) -> None:
    """列出下级节点。List the nodes below.

    Example: saltern topnode nodes --config my-top/topnode.toml
    """
    with chosen.store() as store:
        listed = [node_document(node) for node in store.nodes()]
    lines = [f"{each['id']}  {each['prefix']}  {each['enrolment']}  {each['last']}  {each['name']}" for each in listed]
    chosen.say(listed, "\n".join(lines) or "尚无节点 No node yet")


@topnode.command()
@click.argument("node")
@chosen_option
def tables(chosen: Chosen, node: str) -> None:
    """显示某节点各数据表的收到情况。Show how far each table of a node is.

    NODE: its id, or its prefix.

    Example: saltern topnode tables 88.118 --config my-top/topnode.toml --json
    """
    with chosen.store() as store:
        node_id = node_id_of(store, node)
        told = tables_document(node_id, store.holdings(node_id, TABLES.values()), clock.now_ms())
    lines = [
        f"{name:<4} {each['rows']:>9} 行 rows  {each['serial']:>9}  {each['told'] or '-'}  "
        f"{TABLES[name].zh} {TABLES[name].en}"
        for name, each in told["tables"].items()
    ]
    chosen.say(told, "\n".join(lines))


@topnode.command()
@click.argument("node")
@click.argument("table", type=click.Choice(list(TABLES)))
@click.option("--after", default="", metavar="KEY", help="从此键之后开始 Begin behind this key.")
@click.option(
    "--count", default=100, show_default=True, type=click.IntRange(1, limits.TOPNODE_PAGE), help="行数 Rows at most."
)
@chosen_option
def rows(chosen: Chosen, node: str, table: str, after: str, count: int) -> None:
    """显示某节点一张数据表的行。Show rows of a table of a node.

    Tables of subjects hold personal data: what is shown here is for whoever may see it.

    Example: saltern topnode rows 88.118 T9 --count 10 --config my-top/topnode.toml --json
    """
    kind = TABLES[table]
    with chosen.store() as store:
        found = store.rows(node_id_of(store, node), kind, after.encode(), count)
    shown = [row_document(kind, key, row) for key, row in found]
    lines = [f"{each['key']}  {json.dumps(each['row'], ensure_ascii=False)}" for each in shown]
    chosen.say(shown, "\n".join(lines) or "没有行 No rows")


@topnode.command()
@click.option("--state", type=click.Choice(list(_VERDICTS)), help="只列出此状态的 Those in this state alone.")
@chosen_option
def reviews(chosen: Chosen, state: str | None) -> None:
    """列出前缀的国家级审核。List the national reviews of prefixes.

    Example: saltern topnode reviews --state waiting --config my-top/topnode.toml
    """
    with chosen.store() as store:
        listed = [review_document(review) for review in store.reviews(state)]
    chosen.say(listed, "\n".join(map(_review_line, listed)) or "没有审核 No reviews")


# --- deciding ----------------------------------------------------------------


@topnode.command()
@click.argument("prefix")
@chosen_option
def approve(chosen: Chosen, prefix: str) -> None:
    """通过某前缀的审核。Approve a prefix.

    Example: saltern topnode approve 88.118.9 --config my-top/topnode.toml
    """
    _decide(chosen, prefix, APPROVED)


@topnode.command()
@click.argument("prefix")
@reason_option
@chosen_option
def reject(chosen: Chosen, prefix: str, reason: str) -> None:
    """驳回某前缀。Reject a prefix.

    Example: saltern topnode reject 88.118.9 --reason 名称与商标冲突 --config my-top/topnode.toml
    """
    _decide(chosen, prefix, REJECTED, reason)


@topnode.command()
@click.argument("prefix")
@click.option(
    "--field", "fields", multiple=True, required=True, metavar="F=REASON",
    help="需补正的字段及理由，可重复 A field to be corrected, and why; repeatable.",
)  # fmt: skip
@chosen_option
def ask(chosen: Chosen, prefix: str, fields: tuple[str, ...]) -> None:
    """要求补正。Ask for corrections.

    Example: saltern topnode ask 88.118.9 --field website=无法打开 --config my-top/topnode.toml
    """
    _decide(chosen, prefix, ASKED, fields=tuple(map(_field, fields)))


@topnode.command()
@click.argument("node")
@chosen_option
def enrol(chosen: Chosen, node: str) -> None:
    """接纳节点。Enrol a node, from which everything is taken then.

    Example: saltern topnode enrol 88.118 --config my-top/topnode.toml
    """
    with chosen.store() as store:
        told = node_document(store.enrol(node_id_of(store, node)))
    chosen.say(told, f"已接纳 Enrolled: {told['id']}  {told['prefix']}")


@topnode.command()
@click.argument("node")
@chosen_option
def refuse(chosen: Chosen, node: str) -> None:
    """拒绝节点。Refuse a node: nothing more is taken from it, nobody is referred to it, and its copy is not served.

    Example: saltern topnode refuse 88.118 --config my-top/topnode.toml
    """
    with chosen.store() as store:
        told = node_document(store.reject(node_id_of(store, node)))
    with chosen.takeovers() as takeovers:
        takeovers.refuse(told["id"], chosen.actor, clock.now_ms())
    chosen.say(told, f"已拒绝 Refused: {told['id']}  {told['prefix']}")


def _decide(
    chosen: Chosen, prefix: str, verdict: str, reason: str = "", fields: tuple[tuple[str, str], ...] = ()
) -> None:
    with chosen.store() as store:
        told = review_document(store.decide(prefix, verdict, reason, fields, chosen.actor, clock.now_ms()))
    chosen.say(told, _review_line(told))


def _field(text: str) -> tuple[str, str]:
    name, equals, reason = (part.strip() for part in text.partition("="))
    if not (name and equals and reason) or len(text) > limits.TOPNODE_TEXT_CHARS_MAX or not text.isprintable():
        raise click.UsageError("--field 应为 字段=理由 wants FIELD=REASON")
    return name, reason


def _review_line(told: dict[str, Any]) -> str:
    asked = "".join(f"  {name}: {why}" for name, why in told["fields"].items())
    return f"{told['prefix']}  {_VERDICTS[told['verdict']]}  {told['party']}  {told['filed']}  {told['reason']}{asked}"
