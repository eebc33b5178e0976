"""``saltern restore``: puts a node back."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Any

import click

from core import clock
from core.who import Role, Who
from node.cli.acts import person
from node.cli.common import json_option, print_json
from node.restore_backup import Restored, restore_backup
from node.restoring import Rebuilt, restore_escrow


@click.command()
@click.option(
    "--from", "source", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="备份目录（取其中最新的一份），或某一份备份 Folder of backups, of which the newest is taken, or one backup.",
)  # fmt: skip
@click.option(
    "--from-escrow", "deposits", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="托管数据目录 Folder of deposits, of which the newest and what it builds on are taken.",
)  # fmt: skip
@click.option(
    "--key", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="托管数据接收方的私钥（PEM） Private key of the receiver of the deposits, PEM.",
)  # fmt: skip
@click.option(
    "--node", default="", metavar="ID",
    help="只接受此节点密钥（编号）所签的备份或托管数据 Take nothing but what the node with this key id signed.",
)  # fmt: skip
@click.option(
    "--to", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="新目录，须不存在或为空 A folder that is absent or empty.",
)  # fmt: skip
@click.option(
    "--actor", default=getpass.getuser, show_default="当前用户 the user", metavar="NAME", callback=person,
    help="经办人姓名 On whose behalf.",
)  # fmt: skip
@click.option(
    "--stopped", is_flag=True,
    help="与 --from 连用：备份前原节点已停止，批次余下的码可继续分配 With --from: the former node had been stopped "
    "before the backup was made, so what is left of its lots may be given.",
)  # fmt: skip
@json_option
def restore(
    source: Path | None, deposits: Path | None, key: Path | None, node: str, to: Path, actor: str, stopped: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """由备份或托管数据恢复节点到新目录。Put a node back from a backup or from deposits, into a new folder.

    The backup is checked whole before anything is written. Serials go on far behind those of the backup, the logs
    begin anew under another name, and top nodes are sent everything again. See to it that the former node does not
    run any more.

    From deposits all keys are new, no top node is connected, and tokens are to be issued anew. --from and
    --from-escrow: exactly one of both.

    Example: saltern restore --from /mnt/backup --to my-node
    Example: saltern restore --from-escrow /mnt/escrow --key escrow.pem --to my-node
    """
    who = Who(Role.LOCAL.value, actor, os.getuid())
    if deposits is not None and source is None and not stopped:
        if key is None:
            raise click.BadParameter("缺少接收方私钥。The key of the receiver is asked for", param_hint="--key")
        if key.exists() and key.stat().st_mode & 0o077:
            click.echo(f"注意 Note: {key} 可被他人读取。{key} can be read by others: it opens every deposit", err=True)
        _from_deposits(restore_escrow(deposits, key, to, who, now_ms=clock.now_ms(), node=node), as_json=as_json)
        return
    if source is None or deposits is not None or key is not None:
        raise click.UsageError(
            "须指定 --from 或 --from-escrow（连同 --key）之一。Exactly one of --from and --from-escrow is asked for; "
            "--key goes with the latter, --stopped with the former"
        )
    done = restore_backup(source, to, who, clock.now_ms(), stopped=stopped, node=node)
    if as_json:
        print_json(_document(done))
    else:
        click.echo(_text(done))


def _from_deposits(done: Rebuilt, *, as_json: bool) -> None:
    last = done.chain[-1]
    if as_json:
        print_json({
            "config": str(done.config), "deposits": [head.deposit for head in done.chain], "node": last.node,
            "serial": done.serial, "serial_before": last.watermark, "origin": done.origin, "withheld": done.withheld,
            "faults": list(done.faults),
        })  # fmt: skip
        return
    click.echo(f"已恢复 Put back: {done.config}（{', '.join(head.deposit for head in done.chain)}）")
    click.echo(f"序号由 {last.watermark} 改从 {done.serial} 继续 Serials go on behind {done.serial}")
    click.echo(f"日志以新名称开始 The logs begin anew as {done.origin}")
    click.echo(
        f"密钥均为新制；{done.withheld} 个记录的私有密钥不在托管数据中，须重新设置 All keys are new; secret keys of "
        f"records are to be set anew: {done.withheld}"
    )
    for fault in done.faults:
        click.echo(f"注意 Note: {fault}", err=True)
    click.echo(f"检查 Check it: saltern doctor --deep --config {done.config}")


def _document(done: Restored) -> dict[str, Any]:
    return {
        "config": str(done.config), "backup": str(done.backup), "key_id": done.manifest.key_id,
        "serial": done.serial, "serial_before": done.manifest.serial, "origin": done.origin,
        "withheld_lots": done.withheld,
        "missing": [{"setting": name, "file": str(path)} for name, path in done.missing],
    }  # fmt: skip


def _text(done: Restored) -> str:
    lines = [
        f"已恢复 Put back: {done.config}（备份 backup {done.backup}，签名密钥 signed by {done.manifest.key_id}）",
        f"序号由 {done.manifest.serial} 改从 {done.serial} 继续 Serials go on behind {done.serial}",
        f"日志以新名称开始 The logs begin anew as {done.origin}",
    ]
    if done.withheld:
        lines.append(
            f"{done.withheld} 个批次尚未分配的码可能已被原节点分配，不再分配，请另建批次 What is left of "
            f"{done.withheld} lots may have been given by the former node, and is not given any more: make new ones"
        )
    if done.missing:
        lines.append("备份不含密钥，请放入 Keys are not in the backup; put them here, mode 0600:")
        lines += [f"  {name}: {path}" for name, path in done.missing]
    lines += [
        f"检查 Check it: saltern doctor --deep --config {done.config}",
        f"启动 Start it: saltern serve --config {done.config}",
    ]
    return "\n".join(lines)
