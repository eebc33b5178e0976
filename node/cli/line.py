"""``saltern line``: the client beside a packing line. It needs no node.toml and no store: files, and a node's HTTP."""

from __future__ import annotations

import itertools
import json
import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from core import clock, limits
from core.ident.unitcode import INDEXES_MAX
from node.cli.common import Commands, Failure
from node.cli.line_codes import codes
from node.cli.line_options import json_option, line_option, node_options, run_option, say, site_option
from node.line import run as runs
from node.line import supply
from node.line.allocations import Allocations
from node.line.client import NodeClient, read_target, read_token
from node.line.reconcile import KINDS, STATES, Account, Compared, Difference, reconcile, unsettled
from node.line.shape import Span, parse_lot
from node.line.site import Held, Site, check_name, left_of
from node.line.tally import ALARMS, Tally
from node.line.upload import Outbox, Refusal, Uploaded
from node.line.upload import upload as upload_run

_STDIN = 0

_count_type = click.IntRange(1, INDEXES_MAX)


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
@site_option
@click.option("--lot", required=True, metavar="LOT", help="批次标识 The lot: PREFIX/LOTCODE.")
@click.option("--count", required=True, type=_count_type, help="标识数 How many units.")
@node_options()
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
    say(
        as_json, told,
        f"号段 Block {want.number}: {held.lot.handle} {_spelt(held.units)}  {want.token}",
        "此前已取得 It was here before" if again else "",
        f"数量不足 Short supply: {held.units.size} / {count}" if told["short"] else "",
    )  # fmt: skip


@buffer.command("show")
@site_option
@json_option
def buffer_show(folder: Path, as_json: bool) -> None:
    """列出站点的号段及剩余、各线的号段、班次。List the site's blocks, what lines have of them, and which run uses that.

    Also what the node was asked for and has not answered: the same buffer take asks for it again.

    Example: saltern line buffer show --site works
    """
    site = Site(folder)
    with site.allocating():
        known, _ = site.allocations()
        blocks = [(held, left_of(held, known)) for held in site.blocks()]
        pending = site.pending()
    listed = [_told_block(held) | {"left": left.size} for held, left in blocks]
    taken, told_runs = _told_lines(known)
    asked: list[dict[str, Any]] = [
        {"block": want.number, "lot": want.lot, "count": want.asked, "token": want.token} for want in pending
    ]
    text = [
        f"{each['block']:>4}  {each['lot']}  {_spelt(held.units)}  剩余 left {each['left']}"
        f"{'' if each['complete'] else '  未完成 not complete'}"
        for each, (held, _) in zip(listed, blocks, strict=True)
    ]
    text += [
        f"{each['block']:>4}  {each['lot']}  {each['count']}  节点未应答，请再次执行 not answered, run it again: "
        f"buffer take --lot {each['lot']} --count {each['count']} --token {each['token']}"
        for each in asked
    ]
    text += [
        f"{each['line']}  {each['lot']}  {_spelt(Span(each['from'], each['count']))}  {each['token']}  "
        + (f"班次 run {each['run']}" if each["run"] else "尚无班次 no run yet")
        for each in taken
    ]
    text += [
        f"班次 Run {each['run']}  {each['line']}  {each['lot']}  "
        + ", ".join(_spelt(Span(block["from"], block["count"])) for block in each["blocks"])
        for each in told_runs
    ]
    told = {"blocks": listed, "requests": asked, "lines": taken, "runs": told_runs}
    say(as_json, told, *(text or ["没有号段 No blocks"]))


def _told_lines(known: Allocations) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the sub-blocks of lines, and the runs that use them."""
    users = known.users()
    blocks = {
        take.token: {"from": take.units.first, "count": take.units.size, "token": take.token}
        for take in known.takes.values()
    }
    taken = [
        {"line": take.line, "lot": take.lot} | blocks[take.token] | {"run": users.get(take.token)}
        for take in known.takes.values()
    ]
    told_runs = [
        {"run": run.run, "line": run.line, "lot": run.lot, "blocks": [blocks[take.token] for take in run.takes]}
        for run in known.runs.values()
    ]
    return taken, told_runs


def _told_block(held: Held) -> dict[str, Any]:
    return {
        "block": held.want.number, "lot": held.lot.handle, "from": held.units.first, "count": held.units.size,
        "token": held.want.token, "complete": held.complete,
    }  # fmt: skip


# --- a line -------------------------------------------------------------------


@line.command("take")
@site_option
@line_option
@click.option("--count", required=True, type=_count_type, help="标识数 How many units.")
@click.option("--lot", metavar="LOT", help="批次标识，站点有多个批次时 The lot, where the site has several.")
@click.option("--token", metavar="TOKEN", help="号段令牌，重试得到同一号段 The same token gets the same block again.")
@json_option
def take(folder: Path, line: str, count: int, lot: str | None, token: str | None, as_json: bool) -> None:
    """把站点的标识分配给生产线，无需节点。Give a line codes of the site; no node is asked.

    They are of one block of the site: of the first that has enough left, else of the one that has most.

    Example: saltern line take --site works --line L4 --count 20000
    """
    given, again, more = Site(folder).give(check_name(line), count, None if lot is None else parse_lot(lot), token)
    short = given.units.size < count
    told = {
        "line": given.line, "lot": given.lot, "from": given.units.first, "count": given.units.size,
        "token": given.token, "asked": count, "short": short, "more": more, "again": again,
    }  # fmt: skip
    say(
        as_json, told, f"{given.line}: {given.lot} {_spelt(given.units)}  {given.token}",
        "此前已分配 It was given before" if again else "",
        f"数量不足 Short supply: {given.units.size} / {count}" if short and not more else "",
        f"本号段只剩 The block had no more: {given.units.size} / {count}；站点其余号段还有 {more}，请再次执行。"
        f"Other blocks of the site have {more}: take again" if short and more else "",
    )  # fmt: skip


line.add_command(codes)


@line.command("run")
@site_option
@line_option
@run_option
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
    handle = None if lot is None else parse_lot(lot)
    runs.begin(site, name, line, handle, only_look=True)  # what is wrong is told before a camera is waited for
    with _input(source) as descriptor:  # before the run takes codes: a run that cannot begin takes none
        claim = runs.begin(site, name, line, handle)
        with runs.opened(site, claim) as opened:
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
            why = f": {each.why}" if each.why else ""
            click.echo(
                f"\a警报 ALARM {each.rule}, 第 {each.number} 行 line {each.number}: {text!r}: {zh} {en}{why}", err=True
            )
    form = _json_answer if as_json else _text_answer
    click.echo("\n".join(map(form, said)))


def _text_answer(said: runs.Said) -> str:
    return f"alarm {said.rule}" if said.rule else "ok"


def _json_answer(said: runs.Said) -> str:
    if not said.rule:
        return json.dumps({"ok": True})
    zh, en = ALARMS[said.rule]
    told = {"ok": False, "alarm": said.rule, "line": said.number, "why": said.why or f"{zh} {en}"}
    return json.dumps(told, ensure_ascii=False)


def _counted(told: dict[str, Any]) -> str:
    lines = [
        f"{KINDS[kind]} {kind}: " + ", ".join(f"{STATES[state]} {state} {count}" for state, count in each.items())
        for kind, each in told["counts"].items()
    ]
    if told["refused"]:
        lines.append(f"相机读到但未被采纳 seen and refused: {told['refused']}")
    alarms = "; ".join(f"{ALARMS.get(rule, ('',))[0]} {rule} {count}" for rule, count in told["alarms"].items()) or "0"
    return "\n".join([f"班次 Run {told['run']} ({told['line']}, {told['lot']})", *lines, f"警报 alarms: {alarms}"])


@line.command("end")
@site_option
@line_option
@run_option
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
    say(as_json, told, _counted(told), *map(_difference, left), _waiting(account))
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
@site_option
@line_option
@run_option
@node_options()
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
        lot, codes = site.codes_of(claim.takes)
        done = upload_run(Outbox(site, claim), lot, codes, node)
    say(as_json, _told_upload(name, done), _uploaded(done), *map(_refused, done.refused))
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
@site_option
@line_option
@run_option
@node_options(required=False)
@json_option
def balance(
    folder: Path, line: str, name: str, url: str | None, token_file: Path | None, ca_file: Path | None, as_json: bool
) -> None:  # fmt: skip
    """对账：发出 = 使用 + 报废 + 抽样 + 退回，差异逐码列出。Balance a run; exit code 1 where it does not agree.

    With --node the counts of the node are compared, too. They are of the lot: where the run has all of it they are to
    be the same, else no less than those here.

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
    say(
        as_json, told | _told_account(account), _counted(told), *_differences(account), _waiting(account),
        _COMPARED[account.compared],
    )  # fmt: skip
    if not account.balanced:
        raise Failure("账目不符。The account does not agree")
    if not as_json:
        click.echo("账目相符 The account agrees")


_COMPARED = {
    Compared.NO: "未与节点核对：没有给出 --node。Not compared with the node: no --node was given",
    Compared.LEAST: "节点的计数属于整个批次，本班次只有其中一部分：只核对了节点的计数不少于本班次。"
    "The node's counts are of the lot, and the run has a part of it: compared was that none of them is less than here",
    Compared.EQUAL: "已与节点的计数逐项核对。Compared with the counts of the node, one by one",
}


def _told_account(account: Account) -> dict[str, Any]:
    return {
        "balanced": account.balanced, "waiting": account.waiting, "different": account.different,
        "differences": [each._asdict() for each in account.differences], "node": account.node,
        "compared": account.compared.value, "compared_why": _COMPARED[account.compared],
        "counts_differ": account.counts_differ,
    }  # fmt: skip


def _differences(account: Account) -> list[str]:
    lines = list(map(_difference, account.differences))
    more = account.different - len(lines)
    return lines + ([f"  另有 and {more} more"] if more else []) + [f"  {each}" for each in account.counts_differ]


def _difference(each: Difference) -> str:
    return f"  {each.code}  {STATES[each.here]} {each.here}: {each.why}"


def _waiting(account: Account) -> str:
    return f"尚未上传 Not uploaded yet: {account.waiting}" if account.waiting else ""


def _spelt(span: Span) -> str:
    return f"{span.first} … {span.end - 1} ({span.size})"
