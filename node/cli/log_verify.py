"""``saltern log verify``, ``saltern log prove``: what an auditor believes, and what he is given for one entry."""

from __future__ import annotations

from pathlib import Path

import click

from audit.merkle import check_inclusion, inclusion_proof, leaf_hash
from audit.proof import dump_proof
from audit.reading import MonthLog, open_month
from audit.tile import subtree_of
from audit.verify import Report
from audit.verify.__main__ import run
from audit.verify.trust import Keys, open_checkpoint
from core.clock import parse_month
from core.streams import Stream
from node.cli.common import Failure, config_option, json_option, load_config, print_json

_PROOF = b"c2sp.org/tlog-proof@"
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("verify")
@click.argument("path")
@click.option("--vkey", type=_file, metavar="FILE", help="可信公钥，每行一个 Trusted keys, one a line.")
@click.option(
    "--checkpoint", "checkpoints", multiple=True, type=_file, metavar="FILE",
    help="先前得到的检查点，可重复 A checkpoint known from earlier; repeatable.",
)  # fmt: skip
@click.option("--token-file", type=_file, metavar="FILE", help="令牌文件，用于网址 A bearer token, for an address.")
@json_option
def verify(path: str, vkey: Path | None, checkpoints: tuple[Path, ...], token_file: Path | None, as_json: bool) -> None:
    """校验日志、导出或证明（目录、文件或网址），无需节点的配置。Verify logs, exports, proofs; needs no configuration.

    Example: saltern log verify my-node/data/log --vkey node.vkey --checkpoint october.checkpoint
    """
    try:
        report = run(path, vkey, list(checkpoints), token_file)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        print_json(report.document())
    else:
        click.echo(report.text())
    if not report.ok:
        raise Unverified(report)


class Unverified(Failure):
    """Something is wrong. What it is has been told."""

    def __init__(self, report: Report) -> None:
        super().__init__(f"校验未通过，{report.found} 处问题。It does not verify, {report.found} problems")


@click.command("prove")
@click.option("--stream", required=True, type=click.Choice([each.value for each in Stream]), help="哪种日志 Which log.")
@click.option("--month", required=True, metavar="YYYY-MM", help="月份 Its month.")
@click.option(
    "--index", required=True, type=click.IntRange(min=0), metavar="N",
    help="条目序号，自 0 起；解析记录为所在块的序号 Index of the leaf; of a resolution that of its block.",
)  # fmt: skip
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="证明文件 The file of the proof.",
)  # fmt: skip
@config_option
@json_option
def prove(
    stream: str, month: str, index: int, out: Path, config_file: Path, overrides: tuple[str, ...], as_json: bool
) -> None:
    """为一条记录出具可离线校验的证明。Write a proof of one entry that can be checked without the log.

    Example: saltern log prove --stream change --month 2026-11 --index 42 --out 42.tlog-proof --config my-node/node.toml
    """
    if not parse_month(month):
        raise click.BadParameter(f"月份应为 YYYY-MM。A month is YYYY-MM: {month}", param_hint="--month")
    folder = load_config(config_file, overrides).data / "log"
    opened = open_month(folder, Stream(stream), month)
    if opened is None:
        raise Failure(f"没有 {stream} {month} 的日志。There is no log of {stream} {month}")
    if index >= opened.size:
        raise Failure(
            f"没有第 {index} 条：{stream} {month} 现有 {opened.size} 条，序号 0 至 {opened.size - 1}。"
            f"There is no entry {index}: {stream} {month} has {opened.size}, 0 to {opened.size - 1}"
        )
    proof = _proof(folder / stream / month, opened, index)
    _spare(out)
    try:
        out.write_bytes(proof)
    except OSError as error:
        raise Failure(f"无法写入 {out}。Cannot write {out}: {error.strerror}") from None
    how = f"saltern log verify {out} --vkey FILE"
    if as_json:
        print_json(
            {"proof": str(out), "origin": opened.origin, "index": index, "size": opened.size, "verify": how}
        )  # fmt: skip
        return
    click.echo(f"已写入证明 The proof is written: {out}（{opened.origin}, {index} / {opened.size}）")
    click.echo(f"离线校验 Check it without the log: {how}")
    click.echo(
        "FILE 为可信公钥，可取自日志旁的 vkey FILE: the trusted key; the node's is the file vkey beside the log."
    )


def _spare(out: Path) -> None:
    """Write over a proof or an empty file, and over nothing else. Errors: Failure."""
    try:
        with out.open("rb") as file:
            begins = file.read(len(_PROOF))
    except OSError:
        return  # not there, which is well, or it cannot be written either
    if begins not in (b"", _PROOF):
        raise Failure(f"{out} 已存在，且不是证明，未作改动。{out} exists and is no proof; nothing was done")


def _proof(folder: Path, opened: MonthLog, index: int) -> bytes:
    """Return the proof, which holds. Errors: Failure where the log is damaged, LogReadError."""
    try:
        ((_, entry),) = opened.pick([index])
        subtree = subtree_of(lambda path: (folder / path).read_bytes(), opened.size)
        hashes = inclusion_proof(index, opened.size, subtree)
        root = open_checkpoint(opened.checkpoint, Keys()).checkpoint.root
        check_inclusion(index, opened.size, leaf_hash(entry), hashes, root)
        return dump_proof(index, hashes, opened.checkpoint, entry)
    except (OSError, ValueError) as error:
        raise Failure(
            f"日志已损坏，无法证明（{error}）；请运行 saltern log verify {folder}。"
            f"The log is damaged and proves nothing ({error}); run saltern log verify {folder}"
        ) from None
