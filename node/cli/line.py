"""``saltern line``: the client beside a packing line. It needs no node.toml and no store: files, and a node's HTTP."""

from __future__ import annotations

import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from core import clock, limits
from node.cli.common import Commands, F, Failure, json_option, print_json
from node.line import run as runs
from node.line import supply
from node.line.client import NodeClient, read_target, read_token
from node.line.reconcile import Account, Difference, reconcile, unsettled
from node.line.shape import Span, parse_lot
from node.line.site import Held, Site, check_name, left_of
from node.line.tally import ALARMS, Tally
from node.line.upload import Outbox, Refusal, Uploaded
from node.line.upload import upload as upload_run

_STDIN = 0

_site_option = click.option(
    "--site", "folder", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="站点目录 The folder of the site.",
)  # fmt: skip
_line_option = click.option("--line", required=True, metavar="NAME", help="生产线 The packing line.")
_run_option = click.option("--run", "name", required=True, metavar="NAME", help="班次 The run.")
_count_type = click.IntRange(1, limits.LINE_INDEXES_MAX)


def _node_options(*, required: bool = True) -> Callable[[F], F]:
    """Add --node, --token-file and --ca."""

    def add(command: F) -> F:
        command = click.option(
            "--ca", "ca_file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
            help="节点证书或其签发者（PEM）The node's certificate, or whose it is signed by (PEM).",
        )(command)  # fmt: skip
        command = click.option(
            "--token-file", required=required, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
            help="令牌文件，权限 0600 A file with the bearer token, mode 0600.",
        )(command)  # fmt: skip
        return click.option(
            "--node", "url", required=required, metavar="URL", help="节点地址 The node: https://HOST[:PORT]."
        )(command)

    return add


def _asking(url: str, token_file: Path, ca_file: Path | None) -> closing[NodeClient]:
    return closing(NodeClient(read_target(url, ca_file), read_token(token_file)))


@click.group(cls=Commands)
def line() -> None:
    """包装线：取号、分配、采集、上传、对账。The packing line: codes, runs, upload, balance.

    No node is needed while a line runs; no node.toml, ever.
    """


# --- the site's buffer --------------------------------------------------------


@line.group(cls=Commands)
def buffer() -> None:
    """站点缓存：从节点取得的号段。The site's buffer: blocks of codes from the node."""


@buffer.command("take")
@_site_option
@click.option("--lot", required=True, metavar="LOT", help="批次标识 The lot: PREFIX/LOTCODE.")
@click.option("--count", required=True, type=_count_type, help="标识数 How many units.")
@_node_options()
@click.option(
    "--site-name", metavar="NAME", help="站点名称，默认为目录名 The site's name; that of its folder, if none."
)
@click.option("--token", metavar="TOKEN", help="号段令牌，重试得到同一号段 The same token gets the same block again.")
@json_option
def buffer_take(
    folder: Path, lot: str, count: int, url: str, token_file: Path, ca_file: Path | None, site_name: str | None,
    token: str | None, as_json: bool,
) -> None:  # fmt: skip
    """从节点取得号段及其标识；中断后再次执行即可继续。Take a block of a lot, and its codes, from the node.

    If it is cut, run it again: it goes on, and the block is the same.

    Example: saltern line buffer take --site works --lot 88.118.7/L1 --count 50000 --node https://node.example.cn
    --token-file token
    """
    site = Site(folder)
    with _asking(url, token_file, ca_file) as node:
        want = site.begin(parse_lot(lot), count, site_name, token)
        held, again = supply.take(site, node, want)
    told = _told_block(held) | {"asked": count, "short": held.units.size < count, "again": again}
    _say(
        as_json, told,
        f"号段 Block {want.number}: {held.lot.handle} {_spelt(held.units)}  {want.token}",
        "此前已取得 It was here before" if again else "",
        f"数量不足 Short supply: {held.units.size} / {count}" if told["short"] else "",
    )  # fmt: skip


@buffer.command("show")
@_site_option
@json_option
def buffer_show(folder: Path, as_json: bool) -> None:
    """列出站点的号段及剩余。List the site's blocks, and what is left of them.

    Example: saltern line buffer show --site works
    """
    site = Site(folder)
    with site.allocating():
        known, _ = site.allocations()
        blocks = [(held, left_of(held, known)) for held in site.blocks()]
    listed = [_told_block(held) | {"left": left.size} for held, left in blocks]
    taken: list[dict[str, Any]] = [
        {"line": take.line, "lot": take.lot, "from": take.units.first, "count": take.units.size, "token": take.token}
        for take in known.takes.values()
    ]
    text = [
        f"{each['block']:>4}  {each['lot']}  {_spelt(held.units)}  剩余 left {each['left']}"
        f"{'' if each['complete'] else '  未完成 not complete'}"
        for each, (held, _) in zip(listed, blocks, strict=True)
    ]
    text += [f"{each['line']}  {each['lot']}  {_spelt(Span(each['from'], each['count']))}" for each in taken]
    _say(as_json, {"blocks": listed, "lines": taken}, *(text or ["没有号段 No blocks"]))


def _told_block(held: Held) -> dict[str, Any]:
    return {
        "block": held.want.number, "lot": held.lot.handle, "from": held.units.first, "count": held.units.size,
        "token": held.want.token, "complete": held.complete,
    }  # fmt: skip


# --- a line -------------------------------------------------------------------


@line.command("take")
@_site_option
@_line_option
@click.option("--count", required=True, type=_count_type, help="标识数 How many units.")
@click.option("--lot", metavar="LOT", help="批次标识，站点有多个批次时 The lot, where the site has several.")
@click.option("--token", metavar="TOKEN", help="号段令牌，重试得到同一号段 The same token gets the same block again.")
@json_option
def take(folder: Path, line: str, count: int, lot: str | None, token: str | None, as_json: bool) -> None:
    """把站点的标识分配给生产线，无需节点。Give a line codes of the site; no node is asked.

    Example: saltern line take --site works --line L4 --count 20000
    """
    given, again = Site(folder).give(check_name(line), count, None if lot is None else parse_lot(lot), token)
    told = {
        "line": given.line, "lot": given.lot, "from": given.units.first, "count": given.units.size,
        "token": given.token, "asked": count, "short": given.units.size < count, "again": again,
    }  # fmt: skip
    _say(
        as_json, told, f"{given.line}: {given.lot} {_spelt(given.units)}  {given.token}",
        "此前已分配 It was given before" if again else "",
        f"数量不足 Short supply: {given.units.size} / {count}" if told["short"] else "",
    )  # fmt: skip


@line.command("run")
@_site_option
@_line_option
@_run_option
@click.option("--input", "source", default="-", metavar="FILE", help="文件或 FIFO，- 为标准输入 A file or FIFO.")
@click.option("--lot", metavar="LOT", help="批次标识，生产线有多个批次时 The lot, where the line has several.")
@click.option("--end", "ends", is_flag=True, help="输入结束即结束班次 End the run where the input ends.")
@json_option
def run(folder: Path, line: str, name: str, source: str, lot: str | None, ends: bool, as_json: bool) -> None:
    """采集：相机逐行给出 code,time,grade 或 JSON，写入本地文件后逐行应答。Take what the camera confirms.

    One answer a line on standard output, ok or alarm RULE, once the line is on the disk. Alarms are told on
    standard error, too. No node is asked. After a crash, start it again, and say again what was not answered.

    Example: saltern line run --site works --line L4 --run 2026-11-21-A --input camera.fifo
    """
    site = Site(folder)
    claim = runs.begin(site, name, line, None if lot is None else parse_lot(lot))
    with runs.opened(site, claim) as opened, _input(source) as descriptor:
        runs.follow(opened, descriptor, clock.now_ms, lambda said: _answer(said, as_json))
        if ends:
            opened.end(clock.now_ms())
        told = {"run": name, "line": line, "lot": claim.lot} | runs.summary(opened.tally)
        left = _left(opened.tally) if ends else []
    if as_json:
        click.echo(json.dumps(told | {"unsettled": [each._asdict() for each in left]}, ensure_ascii=False))
    else:
        click.echo("\n".join([_counted(told), *map(_difference, left)]), err=True)
    _require_settled(left)


@contextmanager
def _input(source: str) -> Iterator[int]:
    """Give a descriptor of what the camera says. Errors: UsageError."""
    if source == "-":
        yield _STDIN
        return
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise click.UsageError(f"无法读取 Cannot read {source}: {error.strerror}") from None
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise click.UsageError(f"这是目录，应为文件 {source} is a folder, not a file")
        yield descriptor
    finally:
        os.close(descriptor)


def _answer(said: list[runs.Said], as_json: bool) -> None:
    """Answer a group of lines; what was wrong stands on standard error, too."""
    for each in said:
        if each.rule:
            zh, en = ALARMS[each.rule]
            text = each.line[: limits.LINE_ALARM_CHARS_MAX].decode("utf-8", "replace").strip()
            click.echo(f"\a警报 ALARM {each.rule}: {zh} {en}: {each.why or text!r}", err=True)
    form = _json_answer if as_json else _text_answer
    click.echo("\n".join(map(form, said)))


def _text_answer(said: runs.Said) -> str:
    return f"alarm {said.rule}" if said.rule else "ok"


def _json_answer(said: runs.Said) -> str:
    return json.dumps({"ok": not said.rule} | ({"alarm": said.rule} if said.rule else {}))


def _counted(told: dict[str, Any]) -> str:
    lines = [
        f"{kind}: " + ", ".join(f"{n} {state}" for state, n in each.items()) for kind, each in told["counts"].items()
    ]
    if told["refused"]:
        lines.append(f"相机读到但未被采纳 seen and refused: {told['refused']}")
    alarms = ", ".join(f"{count} {rule}" for rule, count in told["alarms"].items()) or "0"
    return "\n".join([f"班次 Run {told['run']} ({told['line']}, {told['lot']})", *lines, f"警报 alarms: {alarms}"])


@line.command("end")
@_site_option
@_line_option
@_run_option
@json_option
def end(folder: Path, line: str, name: str, as_json: bool) -> None:
    """结束班次：未用的标识记为退回。End a run: codes that were not used go back. No node is asked.

    A code that the camera saw in a line that was refused does not go back; it is listed, and the exit code is 1.

    Example: saltern line end --site works --line L4 --run 2026-11-21-A
    """
    site = Site(folder)
    claim = site.claimed(name, line)
    with runs.opened(site, claim) as opened:
        opened.end(clock.now_ms())
        told = {"run": name, "line": line, "lot": claim.lot} | runs.summary(opened.tally)
        account = reconcile(opened.tally, Outbox(site, claim), None)
        left = _left(opened.tally)
    told |= {"waiting": account.waiting, "unsettled": [each._asdict() for each in left]}
    _say(as_json, told, _counted(told), *map(_difference, left), _waiting(account))
    _require_settled(left)


def _left(tally: Tally) -> list[Difference]:
    """Return the codes that an ended run leaves open. Bounds: LINE_DIFFERENCES_TOLD."""
    return list(itertools.islice(unsettled(tally), limits.LINE_DIFFERENCES_TOLD))


def _require_settled(left: list[Difference]) -> None:
    """Errors: Failure where a code was seen and refused."""
    if left:
        raise Failure(
            f"{len(left)} 个标识相机读到但未被采纳，未退回；用 line run 重报后再次结束班次。"
            f"{len(left)} codes were seen and refused, and not returned: say them again by line run, then end the run "
            "again"
        )


# --- to the node --------------------------------------------------------------


@line.command("upload")
@_site_option
@_line_option
@_run_option
@_node_options()
@json_option
def upload(
    folder: Path, line: str, name: str, url: str, token_file: Path, ca_file: Path | None, as_json: bool
) -> None:  # fmt: skip
    """把班次上传到节点；中断后再次执行即可继续。Send a run to the node; run it again if it was cut.

    Also while the run goes on. What the node refuses is listed and kept.

    Example: saltern line upload --site works --line L4 --run 2026-11-21-A --node https://node.example.cn
    --token-file token
    """
    site = Site(folder)
    claim = site.claimed(name, line)
    with _asking(url, token_file, ca_file) as node:
        lot, codes = site.codes_of(claim)
        done = upload_run(Outbox(site, claim), lot, codes, node)
    _say(as_json, _told_upload(name, done), _uploaded(done), *map(_refused, done.refused))
    if done.refused:
        raise Failure(f"节点拒绝了 {len(done.refused)} 项。The node refused {len(done.refused)} items; they are kept")


def _told_upload(name: str, done: Uploaded) -> dict[str, Any]:
    refused = [
        {"batch": each.batch, "item": each.item, "outcome": each.outcome, "rule": each.rule, "message": each.message}
        for each in done.refused
    ]
    return {"run": name, "batches": done.batches, "before": done.before, "outcomes": done.outcomes, "refused": refused}


def _uploaded(done: Uploaded) -> str:
    items = ", ".join(f"{count} {outcome}" for outcome, count in done.outcomes.items()) or "0"
    return f"已上传 Uploaded: {done.batches} 批 batches（此前 before: {done.before}）; 项 items: {items}"


def _refused(each: Refusal) -> str:
    codes = f"{each.item.get('event')} {each.item.get('from')} + {each.item.get('count')}"
    return f"  {codes}: {each.outcome} {each.rule} {each.message}"


@line.command("reconcile")
@_site_option
@_line_option
@_run_option
@_node_options(required=False)
@json_option
def balance(
    folder: Path, line: str, name: str, url: str | None, token_file: Path | None, ca_file: Path | None, as_json: bool
) -> None:  # fmt: skip
    """对账：发出 = 使用 + 报废 + 抽样 + 退回，差异逐码列出。Balance a run; exit code 1 where it does not agree.

    With --node the counts of the node are compared, too, where the run has all of the lot.

    Example: saltern line reconcile --site works --line L4 --run 2026-11-21-A
    """
    if (url is None) != (token_file is None):
        raise click.UsageError("--node 与 --token-file 须同时给出 --node and --token-file go together")
    site = Site(folder)
    claim = site.claimed(name, line)
    tally, _ = runs.load(site, claim)
    if url is None or token_file is None:
        account = reconcile(tally, Outbox(site, claim), None)
    else:
        with _asking(url, token_file, ca_file) as node:
            account = reconcile(tally, Outbox(site, claim), node)
    told = {"run": name, "line": line, "lot": claim.lot} | runs.summary(tally)
    _say(as_json, told | _told_account(account), _counted(told), *_differences(account), _waiting(account))
    if not account.balanced:
        raise Failure("账目不符。The account does not agree")
    if not as_json:
        click.echo("账目相符 The account agrees")


def _told_account(account: Account) -> dict[str, Any]:
    return {
        "balanced": account.balanced, "waiting": account.waiting, "different": account.different,
        "differences": [each._asdict() for each in account.differences], "node": account.node,
        "counts_differ": account.counts_differ,
    }  # fmt: skip


def _differences(account: Account) -> list[str]:
    lines = list(map(_difference, account.differences))
    more = account.different - len(lines)
    return lines + ([f"  另有 and {more} more"] if more else []) + [f"  {each}" for each in account.counts_differ]


def _difference(each: Difference) -> str:
    return f"  {each.code}  {each.here}: {each.why}"


def _waiting(account: Account) -> str:
    return f"尚未上传 Not uploaded yet: {account.waiting}" if account.waiting else ""


def _spelt(span: Span) -> str:
    return f"{span.first} … {span.end - 1} ({span.size})"


def _say(as_json: bool, told: Any, *lines: str) -> None:
    """Print a result, as JSON or for people."""
    if as_json:
        print_json(told)
        return
    for text in lines:
        if text:
            click.echo(text)
