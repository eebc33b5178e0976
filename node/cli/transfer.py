"""``saltern prefix export``, ``import``, ``abandon`` and ``history``: a prefix goes from one node to another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from core import clock, limits
from core.errors import Outcome, WireError
from core.ident.handle import check_prefix, prefix_handle_of
from core.lifecycle import STATE_LABELS, State
from core.store.engine import Table
from core.store.transfer_rows import history_key, history_number, history_range, unpack_past
from core.wire.transferfile import AliasLine, Trailer, decode_line, decode_trailer
from node import VERSION, wiring
from node.cli.acts import Desk, governed
from node.cli.common import dry_run_option
from node.cli.new_file import new_file
from node.cli.trail import after_option, begin_after, count_option, tell_rest
from node.signing import load_signer
from registry.commands import AbandonImport, ExportPrefix, ImportLines, ImportPrefix
from registry.documents import past_document
from registry.refusals import refusal
from registry.transfer_aliases import check_alias_line, require_no_other
from registry.transfer_file import TransferCheck, Whole, export_lines, read_lines
from registry.transfer_head import Origin

_KINDS = {
    "header": "文件头 header",
    "application": "申请 application",
    "party": "主体 party",
    "prefix-handle": "前缀记录 record of the prefix",
    "alias": "有别名的标识 identifiers with aliases",
    "template": "模板 templates",
    "record": "标识记录 records",
    "lot": "批次 lots",
    "lot-block": "码段 blocks",
    "lot-run": "单元状态 states of units",
    "lot-event": "单元事件 events of units",
    "change": "变更 changes",
    "entry": "操作记录 journal entries",
}


@click.command("export")
@click.argument("name", metavar="PREFIX")
@click.option(
    "--out", required=True, metavar="FILE", type=click.Path(path_type=Path),
    help="新文件，权限 0600；已存在则拒绝 A new file, mode 0600; one that exists is refused.",
)  # fmt: skip
@governed
def export_prefix(desk: Desk, name: str, out: Path) -> None:
    """导出前缀及其记录和历史，签名后交给另一节点。Export a prefix for another node, signed.

    The file is SECRET: it holds all values, those that are not public and secret keys (HS_SECKEY), too, and the
    keys of the unit codes of its lots.
    Identity data of the party is not in it. This node goes on answering until `saltern prefix delete`.

    Example: saltern prefix export 88.118.7 --out 88.118.7.transfer --actor 张经办
    """
    prefix = check_prefix(name, wiring.handle_rules(desk.config))
    signer = load_signer(desk.config)
    with new_file(out) as file:
        desk.run(ExportPrefix(name))
        origin = Origin(desk.config.text("node.prefix"), f"Saltern {VERSION}", clock.now_s())
        size = 0
        with desk.reading() as snapshot:
            for line in export_lines(snapshot, prefix, origin, signer, wiring.lot_keys(desk.config)):
                file.write(line)
                size += len(line)
    trailer = decode_trailer(line)
    _warn_of_administrators(desk, prefix)
    told = {
        "prefix": prefix.decode(), "file": str(out), "bytes": size, "counts": trailer.counts,
        "key_id": trailer.signature.key_id, "sha256": trailer.digests.whole.hex(),
    }  # fmt: skip
    counts = _counted(trailer)
    desk.say(
        told,
        f"已导出前缀 {told['prefix']}，写入 {out}。The prefix {told['prefix']} was exported to {out}\n"
        f"行数 Lines: {counts}\n"
        f"签名密钥 Signed by the key {told['key_id']}（请经另一途径告知对方 "
        "tell it to the other node by another way）\n"
        "文件含非公开的值和密钥，请妥善传送 The file holds secrets: keep it safe on its way",
    )


def _counted(trailer: Trailer) -> str:
    return "，".join(f"{name} {trailer.counts[kind]}" for kind, name in _KINDS.items() if kind in trailer.counts)


def _warn_of_administrators(desk: Desk, prefix: bytes) -> None:
    own = prefix_handle_of(prefix)
    if any(key == own for key, _ in wiring.server_admins(desk.config)):
        click.echo(
            f"注意：{own.decode()} 含本节点服务器管理员的密钥，已随文件导出；转移后请更换。"
            f"Note: {own.decode()} holds keys of this node's server administrators, which are in the file now: "
            "change them after the transfer",
            err=True,
        )


@click.command("import")
@click.argument("file", type=click.File("rb"))
@dry_run_option
@governed
def import_prefix(desk: Desk, file: BinaryIO, dry_run: bool) -> None:
    """导入另一节点导出的前缀；中断后再次执行即可继续。Import a prefix that another node exported.

    The whole file is checked before anything is written. The prefix is answered once all of it is here;
    if the command is cut, run it again.

    Example: saltern prefix import 88.118.7.transfer --actor 张经办
    """
    if not file.seekable():
        raise click.UsageError("须为普通文件，不能是管道 FILE must be a file that can be read twice, not a pipe")
    whole = _checked(desk, file)
    digest = whole.trailer.digests.whole
    command = ImportPrefix(whole.prefix.decode(), whole.head, whole.trailer_line, digest)
    _require_aliases_free(desk, file, whole)
    told = desk.run(command, dry_run=dry_run)
    _tell_of_import(told)
    if not dry_run and not told["ended"]:
        file.seek(0)
        lines = read_lines(file.readline)
        for _ in range(whole.head_lines + told["done"]):
            next(lines)
        done, total = told["done"], told["total"]
        while done < total:
            chunk = _chunk(lines, total - done)
            done = desk.run(ImportLines(command.prefix, done, chunk))["done"]
        told = desk.run(command)
    what = "可导入 Would be imported" if dry_run else "已导入 Imported"
    if told["already"]:
        what = "此前已导入，未作改动 Imported before, nothing was done"
    holder = told["party"] or "运营者 the operator"
    state = f"{STATE_LABELS[State(told['state'])]} {told['state']}"
    size = (
        f"批次、记录与历史共 {told['total']} 行 lines of lots, records and history: {told['total']}\n"
        f"其中 Of these: {_counted(whole.trailer)}"
    )
    counted = told | {"counts": whole.trailer.counts}
    desk.say(counted, f"{what}: {told['prefix']}  {state}  {told['hosting']}  {holder}\n{size}")


def _checked(desk: Desk, file: BinaryIO) -> Whole:
    check = TransferCheck(wiring.handle_rules(desk.config))
    for line in read_lines(file.readline):
        check.feed(line)
    return check.end()


def _require_aliases_free(desk: Desk, file: BinaryIO, whole: Whole) -> None:
    """Errors: NodeError(CONFLICT) where an alias of the file names something else here: nothing is begun then."""
    file.seek(0)
    lines = itertools.islice(read_lines(file.readline), whole.head_lines, None)
    with desk.reading() as snapshot:
        for line in map(decode_line, itertools.islice(lines, whole.total)):
            if not isinstance(line, AliasLine):
                return
            require_no_other(snapshot, check_alias_line(whole.prefix, wiring.handle_rules(desk.config), line))


def _chunk(lines: Iterator[bytes], left: int) -> bytes:
    """Return the next lines, as many as one transaction takes. Errors: WireError if the file ends before."""
    chunk: list[bytes] = []
    size = 0
    while len(chunk) < min(left, limits.IMPORT_CHUNK_ITEMS) and size < limits.IMPORT_CHUNK_BYTES:
        line = next(lines, b"")
        if not line:
            raise WireError("文件在导入过程中被改动。The file was altered while it was imported")
        chunk.append(line)
        size += len(line)
    return b"".join(chunk)


def _tell_of_import(told: dict[str, Any]) -> None:
    if not told["trusted"]:
        click.echo(
            f"注意：签名密钥 {told['key_id']} 不在 prefix.import_keys 之列；请与对方核对。"
            f"Note: the key {told['key_id']}, which signed it, is not in prefix.import_keys: ask the other node for it",
            err=True,
        )
    if told["keeps_administrators"]:
        click.echo(
            f"注意：0.NA/{told['prefix']} 中的管理员与密钥仍为本节点的。"
            f"Note: administrators and keys in 0.NA/{told['prefix']} stay those of this node",
            err=True,
        )


@click.command("abandon")
@click.argument("name", metavar="PREFIX")
@governed
def abandon_import(desk: Desk, name: str) -> None:
    """放弃未完成的导入，删除其已写入的内容。Give up an import that is not whole; what it wrote is taken away.

    Metadata templates that came with it stay. Not while anything of it is on hold.

    Example: saltern prefix abandon 88.118.7 --actor 张经办
    """
    told, gone = {"more": True}, 0
    while told["more"]:
        told = desk.run(AbandonImport(name))
        gone += told["gone"]
    taken = f"已删除 {gone} 行 rows taken away: {gone}"
    desk.say(told | {"gone": gone}, f"已放弃导入 Given up: {told['prefix']}\n{taken}")


@click.command("history")
@click.argument("name", metavar="PREFIX")
@after_option
@count_option
@governed
def prefix_history(desk: Desk, name: str, after: int | None, count: int) -> None:
    """查看随转移而来的历史：原节点的变更与操作。Show what happened to a prefix at the nodes that it came from.

    Example: saltern prefix history 88.118.7 --config my-node/node.toml
    """
    prefix = check_prefix(name, wiring.handle_rules(desk.config))
    start, stop = history_range(prefix)
    with desk.reading() as snapshot:
        newest = snapshot.floor(Table.HISTORY, stop)
        last = history_number(newest[0]) if newest is not None and newest[0].startswith(start) else 0
        known = last or any(snapshot.get(table, prefix) for table in (Table.APPLICATIONS, Table.PREFIXES))
        rows = snapshot.scan(Table.HISTORY, history_key(prefix, begin_after(after, count, last) + 1), stop)
        listed = [past_document(history_number(key), unpack_past(row)) for key, row in itertools.islice(rows, count)]
    if not known:
        raise refusal("prefix-not-found", Outcome.NOT_FOUND, prefix=name)
    tell_rest(after, [each["line"] for each in listed], last)
    none = f"{name}：没有随转移而来的历史。No history came with it by a transfer" if not last else ""
    desk.say(listed, "\n".join(map(_past_line, listed)) or none)


def _past_line(each: dict[str, Any]) -> str:
    if "kind" in each:
        what = f"{each['kind']}  {each['identifier']}"
    else:
        what = f"{each['who']['name'] or '-'}  {each['action']} {each['object']}: {each['outcome']}"
    return f"{each['line']}  {each['at']}  {each['origin']}  {what}"
