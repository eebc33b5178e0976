"""``saltern sync escrow``: a deposit for the escrow agent."""

from __future__ import annotations

from pathlib import Path

import click

from core import clock
from core.store.lmdb_engine import LmdbEngine
from node import wiring
from node.cli.acts import Desk, governed
from node.escrow import make_deposit
from node.writing import writer
from registry.commands import Actor, NoteAct, Request
from registry.notes import ESCROW
from sync.escrow.sealing import load_recipient


@click.command()
@click.option(
    "--type", "kind", required=True, type=click.Choice(("full", "diff")),
    help="全量，或自上一份以来的增量 All of it, or what has changed since the newest deposit in DIR.",
)  # fmt: skip
@click.option(
    "--out", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="托管数据目录 Folder of deposits; each one lies in PREFIX/YYYY-MM-DD/ID.",
)  # fmt: skip
@click.option(
    "--to-key", "to_key", required=True, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="接收方公钥（PEM） Public key of the receiver, PEM.",
)  # fmt: skip
@governed
def escrow(desk: Desk, kind: str, out: Path, to_key: Path) -> None:
    """制作托管数据：加密给接收方、分卷、签名；节点可在运行。Make a deposit: encrypted to its receiver, signed.

    It holds what answers and registration are made from, and nothing that opens this node: no private key, no token,
    no secret key of a record. The node may run. That it was made is an entry of the maintenance log. Put a node back
    from deposits by `saltern restore --from-escrow DIR --key FILE --to DIR2`.

    Example: saltern sync escrow --type full --out /mnt/escrow --to-key escrow.pub --config my-node/node.toml
    """
    recipient = load_recipient(to_key)
    store = wiring.open_store(desk.config)
    try:
        made = make_deposit(
            desk.config, store, kind, out,
            recipient=recipient, now_ms=clock.now_ms(), note=lambda about: _note(desk, store, about),
        )  # fmt: skip
    finally:
        store.close()
    head = made.head
    octets = sum(volume.octets for volume in head.volumes)
    told = {
        "deposit": head.deposit, "folder": str(made.folder), "type": head.kind, "watermark": head.watermark,
        "since": head.since, "revision": head.revision, "previous": head.previous or None,
        "counts": dict(head.counts), "content_sha256": head.content_sha256, "recipient": head.recipient,
        "volumes": len(head.volumes), "bytes": octets, "dropped": list(made.dropped),
    }  # fmt: skip
    desk.say(
        told,
        f"已制作托管数据 A deposit was made: {made.folder}\n"
        f"序号 serial {head.since} → {head.watermark}，{len(head.volumes)} 卷 volumes，{octets} 字节 octets，"
        f"接收方密钥 for the key {head.recipient}",
    )


def _note(desk: Desk, store: LmdbEngine, about: str) -> None:
    with writer(desk.config, store) as write:
        desk.require(write(Request(NoteAct(ESCROW, about), Actor(local=True, name=desk.actor))))
