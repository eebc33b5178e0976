"""``saltern backup``: a copy of the node that it can be put back from."""

from __future__ import annotations

from pathlib import Path

import click

from core import clock, limits
from node.backup import make_backup, remove_old
from node.catching_up import publish_waiting
from node.cli.acts import Desk, governed
from registry.commands import NoteAct
from registry.notes import BACKUP


@click.command()
@click.option(
    "--to", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="备份目录，每份备份为其中一个子目录 Folder of backups; each one is a folder in it.",
)  # fmt: skip
@click.option("--without-keys", is_flag=True, help="不含密钥文件 Leave out the files of secret keys.")
@click.option(
    "--keep", metavar="N", type=click.IntRange(1, limits.BACKUP_KEEP_MAX), show_default="全部 all",
    help="成功后只保留最近 N 份完整备份 Then keep the newest N whole ones alone.",
)  # fmt: skip
@governed
def backup(desk: Desk, to: Path, without_keys: bool, keep: int | None) -> None:
    """备份节点：存储、日志、配置与密钥；节点可在运行。Back up the node: store, logs, configuration, keys.

    The node may run, under any load. The backup holds secret keys and addresses of clients: keep it as you keep the
    node. It is signed, and stands there whole or not at all. Put it back by `saltern restore --from DIR`.

    Example: saltern backup --config my-node/node.toml --to /mnt/backup --keep 7
    """
    publish_waiting(desk.config)
    made = make_backup(
        desk.config, to, with_keys=not without_keys, actor=desk.actor, now_ms=clock.now_ms(),
        note=lambda about: desk.run(NoteAct(BACKUP, about)),
    )  # fmt: skip
    gone = remove_old(to, keep, clock.now_ms()) if keep is not None else []
    told = {
        "backup": str(made.folder), "serial": made.serial, "files": made.files, "bytes": made.octets,
        "sha256": made.digest, "key_id": made.key_id, "keys": made.keys, "removed": [each.name for each in gone],
    }  # fmt: skip
    keys = "含密钥 with keys" if made.keys else "不含密钥 without keys"
    desk.say(
        told,
        f"已备份 Backed up: {made.folder}（序号 serial {made.serial}，{made.files} 个文件 files，"
        f"{made.octets >> 20} MiB，{keys}）\n"
        f"签名密钥 Signed by the key {made.key_id}",
    )
