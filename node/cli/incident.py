"""``saltern incident``: open, update, report, close, list, show, verify."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import click

from core import clock, limits
from core.clock import Millis, format_shanghai, parse_utc
from core.errors import LimitError, NodeError, Outcome
from core.incidents import KINDS, SEVERITIES, STATE_LABELS, Kind, Severity, State
from core.signature import key_id
from core.store.engine import Table
from core.store.incident_rows import report_key, unpack_incident, unpack_report
from node.cli.acts import Desk, governed
from node.cli.common import (
    Commands,
    F,
    Failure,
    Refused,
    config_option,
    dry_run_option,
    json_option,
    load_config,
    print_json,
)
from node.signing import load_signer
from registry.commands import CloseIncident, OpenIncident, ReportIncident, UpdateIncident
from registry.incident_report import Checked, check_report, render_report
from registry.incidents import incident_document, incident_not_found, incident_summary
from registry.refusals import refusal

_TIMED = re.compile(r"(\d{4}-\S+)\s+(.+)", re.ASCII | re.DOTALL)
_HOUR_S = 3_600
_out_option = click.option(
    "--out", "folder", metavar="FOLDER", default=Path(), show_default="当前目录 this folder",
    type=click.Path(path_type=Path),
    help="报告文件写入的目录，没有则新建 Where the files of the report go; it is made where it is not there.",
)  # fmt: skip


def _members(command: F) -> F:
    """Add the options that say what an incident is."""
    for option in (
        click.option(
            "--measure",
            "measures",
            multiple=True,
            metavar="[TIME ]TEXT",
            help="新增处置措施，可重复；默认现在 Measure taken; repeatable; now by default.",
        ),
        click.option("--cause", metavar="TEXT", help="原因 The cause."),
        click.option("--affected", metavar="TEXT", help="影响范围：前缀、服务 Prefixes and services affected."),
        click.option("--recovered", metavar="TIME", help="恢复时间 When it was over."),
        click.option("--discovered", metavar="TIME", help="发现时间 When it was noticed."),
    ):
        command = option(command)
    return command


def _main_members(command: F, *, required: bool) -> F:
    severities, kinds = (click.Choice([each.value for each in names]) for names in (Severity, Kind))
    labels = "、".join(f"{each.value} {rule.zh}" for each, rule in SEVERITIES.items())
    words = "、".join(f"{each.value} {rule.zh}" for each, rule in KINDS.items())
    for option in (
        click.option(
            "--occurred",
            required=required,
            metavar="TIME",
            help="发生时间，2026-11-21T08:00 为北京时间 When it began; Shanghai time, or with an offset.",
        ),
        click.option("--severity", required=required, type=severities, help=f"级别 Severity: {labels}."),
        click.option("--kind", required=required, type=kinds, help=f"类别 Kind: {words}."),
        click.option("--description", required=required, metavar="TEXT", help="经过 What happened."),
        click.option("--title", required=required, metavar="TEXT", help="事件名称 What to call it."),
    ):
        command = option(command)
    return command


def _form(measures: tuple[str, ...], members: dict[str, str | None]) -> bytes:
    """Return the form of what was given. A measure begins with its time, or is of now."""
    form: dict[str, Any] = {name: text for name, text in members.items() if text is not None}
    if measures:
        form["measures"] = [
            {"at": match[1], "text": match[2]} if (match := _TIMED.fullmatch(each)) else each for each in measures
        ]
    return json.dumps(form, ensure_ascii=False).encode()


@click.group(cls=Commands)
def incident() -> None:
    """突发事件：登记、更新、报告、结束。Incidents: open, update, report, close."""


def _open(desk: Desk, measures: tuple[str, ...], dry_run: bool, **members: str | None) -> None:
    """登记突发事件；首次报告的时限自发现起计算。Open an incident; the time to report it runs from its discovery.

    Example: saltern incident open --title 解析中断 --description 主机断电 --kind system --severity major
    --occurred 2026-11-21T08:00 --affected 88.118.7 --config my-node/node.toml
    """
    told = desk.run(OpenIncident(_form(measures, members)), dry_run=dry_run)
    desk.say(told, _line(told))


incident.command("open")(_main_members(_members(dry_run_option(governed(_open))), required=True))


def _update(desk: Desk, name: str, measures: tuple[str, ...], dry_run: bool, **members: str | None) -> None:
    """更新突发事件；空文本清除可选项。Change an incident, add measures; an empty text takes away what is optional.

    Example: saltern incident update I000001 --cause 供电故障 --recovered 2026-11-21T09:30
    --measure "2026-11-21T08:10 切换备用电源" --config my-node/node.toml
    """
    told = desk.run(UpdateIncident(name, _form(measures, members)), dry_run=dry_run)
    desk.say(told, _line(told))


incident.command("update")(
    click.argument("name", metavar="ID")(_main_members(_members(dry_run_option(governed(_update))), required=False))
)


@incident.command()
@click.argument("name", metavar="ID")
@click.option("--to", required=True, metavar="NAME", help="报送给谁 Whom it is for.")
@_out_option
@governed
def report(desk: Desk, name: str, to: str, folder: Path) -> None:
    """生成并签署报告，写出 ID-rN.json 与 ID-rN.html。Make, sign and keep a report; write it as JSON and HTML.

    Example: saltern incident report I000001 --to 省通信管理局 --out reports --config my-node/node.toml
    """
    _make_folder(folder)
    document = desk.run(ReportIncident(name, to))
    _tell_report(desk, document, folder)


@incident.command()
@click.argument("name", metavar="ID")
@dry_run_option
@governed
def close(desk: Desk, name: str, dry_run: bool) -> None:
    """结束突发事件；须有原因和措施，重大及以上须已报告。Close an incident whose cause and measures are known.

    Example: saltern incident close I000001 --config my-node/node.toml
    """
    told = desk.run(CloseIncident(name), dry_run=dry_run)
    desk.say(told, _line(told))


@incident.command("list")
@click.option("--after", default="", metavar="ID", help="此编号之后 Those behind this one alone.")
@click.option(
    "--count", default=limits.LISTED_MAX, show_default=True, type=click.IntRange(1, limits.LISTED_MAX),
    help="最多条数 At most.",
)  # fmt: skip
@click.option("--open", "opened", is_flag=True, help="只列未结束的 Those that are not closed alone.")
@governed
def list_incidents(desk: Desk, after: str, count: int, opened: bool) -> None:
    """列出突发事件和报告时限。List incidents, and when each is to be reported.

    Example: saltern incident list --open --config my-node/node.toml
    """
    listed: list[dict[str, Any]] = []
    with desk.reading() as snapshot:
        for key, row in snapshot.scan(Table.INCIDENTS, after.encode() + b"\0" if after else b""):
            each = unpack_incident(row)
            if opened and each.is_closed:
                continue
            listed.append(incident_summary(key.decode(), each) | {"overdue": each.is_overdue(clock.now_ms())})
            if len(listed) == count:
                break
    if desk.as_json:
        print_json(listed)
        return
    for told in listed:
        click.echo(_line(told))


@incident.command()
@click.argument("name", metavar="ID")
@click.option(
    "--report",
    "revision",
    type=click.IntRange(1, limits.INCIDENT_REPORTS_MAX),
    help="再次写出某版报告 Write that report again.",
)
@_out_option
@governed
def show(desk: Desk, name: str, revision: int | None, folder: Path) -> None:
    """显示突发事件的经过，或再次写出一版报告。Show an incident, or write one of its reports again.

    Example: saltern incident show I000001 --report 1 --out reports --config my-node/node.toml
    """
    with desk.reading() as snapshot:
        row = snapshot.get(Table.INCIDENTS, name.encode())
        if row is None:
            raise incident_not_found(name)
        signed = None if revision is None else snapshot.get(Table.INCIDENT_REPORTS, report_key(name, revision))
    if revision is not None:
        if signed is None:
            raise refusal("report-not-found", Outcome.NOT_FOUND)
        _make_folder(folder)
        _tell_report(desk, unpack_report(signed), folder)
        return
    document = incident_document(name, unpack_incident(row))
    if desk.as_json:
        print_json(document)
        return
    click.echo(_line(document))
    for member in ("description", "affected", "cause"):
        if document[member]:
            click.echo(f"  {member}: {document[member]}")
    for each in document["measures"]:
        click.echo(f"  {_local(each['at'])} {each['text']} ({each['who']})")
    for each in document["steps"]:
        note = f": {each['note']}" if each["note"] else ""
        click.echo(f"  {_local(each['at'])} {each['event']} → {each['state']}, {each['who']}{note}")


@incident.command()
@click.argument("file", type=click.File("rb"))
@click.option("--key", metavar="KEY_ID", help="应由此密钥签署 The key that it must be signed with.")
@config_option
@json_option
def verify(file: BinaryIO, key: str | None, config_file: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """离线核对报告（JSON 或 HTML）：签名、内容、密钥。Check a report offline: signature, content, key.

    Not good: exit code 1. Without --key the key is compared with that of the node of --config, where there is one.

    Example: saltern incident verify I000001-r1.html --key 21fe31dfa154a261
    """
    told, failure = _verdict(file, key, _own_key(config_file, overrides))
    if as_json:
        print_json(told)
    elif failure is None:
        click.echo(f"有效 Good: {told['incident']} r{told['revision']}, {_local(told['made'])}, → {told['to']}")
        click.echo(f"密钥 Key: {told['key_id']} ({_WHOSE[told['own']]})")
    if failure is not None:
        raise failure


_WHOSE = {
    True: "本节点的密钥 this node's own",
    False: "不是本节点的密钥 not this node's",
    None: "请与节点公布的密钥编号核对 compare it with the one that the node made known",
}


def _verdict(file: BinaryIO, key: str | None, own: str | None) -> tuple[dict[str, Any], Failure | None]:
    try:
        checked = check_report(_read(file))
    except NodeError as error:
        return {"good": False, "reason": error.message}, Failure(error.message)
    told = _told(checked) | {"own": None if own is None else checked.key_id == own}
    wanted = key or own
    if wanted is not None and checked.key_id != wanted:
        reason = (
            f"签名有效，但密钥是 {checked.key_id}，不是 {wanted}。"
            f"The signature holds, but it is of the key {checked.key_id}, not of {wanted}"
        )
        return told | {"good": False, "reason": reason}, Failure(reason)
    return told, None


def _told(checked: Checked) -> dict[str, Any]:
    document = checked.document
    return {
        "good": True,
        "key_id": checked.key_id,
        **{name: document[name] for name in ("incident", "revision", "to")},
        "made": document["made"]["utc"],
    }


def _read(file: BinaryIO) -> bytes:
    """Read a report. Bounds: BODY_BYTES_MAX. Errors: LimitError."""
    content = file.read(limits.BODY_BYTES_MAX + 1)
    if len(content) > limits.BODY_BYTES_MAX:
        raise LimitError(f"文件过大。The file has more than {limits.BODY_BYTES_MAX} octets")
    return content


def _own_key(config_file: Path, overrides: tuple[str, ...]) -> str | None:
    """Return the id of this node's key, None where there is no node, or its key cannot be read."""
    try:
        return key_id(load_signer(load_config(config_file, overrides)).public_key)
    except NodeError:
        return None


# --- files and lines ---------------------------------------------------------
def _tell_report(desk: Desk, document: dict[str, Any], folder: Path) -> None:
    """Write both files of a report; what stands there already is never overwritten, and may be the same."""
    name, revision = document["incident"], document["revision"]
    paths = [folder / f"{name}-r{revision}.{kind}" for kind in ("json", "html")]
    texts = [(json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode(), render_report(document)]
    try:
        for path, text in zip(paths, texts, strict=True):
            _write_new(path, text)
    except OSError as error:
        again = f"saltern incident show {name} --report {revision} --out FOLDER"
        raise Failure(
            f"报告已保存在节点中，文件未写出（{error.strerror}）：{again}。"
            f"The node keeps the report; its files were not written ({error.strerror}): {again}"
        ) from None
    files = [str(path) for path in paths]
    signed = document["signature"]["key_id"]
    desk.say(document, f"{name} r{revision} → {document['to']}\n密钥 Key: {signed}\n" + "\n".join(files))


def _make_folder(folder: Path) -> None:
    """Make a folder, mode 0700, unless it is there; the one above it has to be. Errors: Refused."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        reason = f"目录无法使用，未作任何处理：{folder}。The folder cannot be used, nothing was done: {error.strerror}"
        raise Refused(Outcome.NOT_FOUND.value, "", reason) from None


def _write_new(path: Path, text: bytes) -> None:
    """Write a file whole or not at all, mode 0600. Errors: OSError, FileExistsError for one with another text."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            Path(path).hardlink_to(temporary)  # a rename would overwrite
        except FileExistsError:
            if path.read_bytes() != text:
                raise
    finally:
        Path(temporary).unlink()


def _line(told: dict[str, Any]) -> str:
    reports = told["reports"] if isinstance(told["reports"], int) else len(told["reports"])
    severity, state = Severity(told["severity"]), State(told["state"])
    parts = [
        told["incident"],
        f"{SEVERITIES[severity].zh} {severity.value}",
        f"{KINDS[Kind(told['kind'])].zh} {told['kind']}",
        f"{STATE_LABELS[state]} {state.value}",
        told["title"],
    ]
    if told["due"]:
        parts.append(_due(told["due"]))
    elif reports:
        parts.append(f"已报告{reports}次 reports: {reports}")
    return "  ".join(parts)


def _due(due: str) -> str:
    seconds = (parse_utc(due) or 0) - clock.now_s()
    hours, minutes = divmod(abs(seconds) // 60, _HOUR_S // 60)
    if seconds < 0:
        return f"报告逾期 {hours} 小时 {minutes} 分 report overdue by {hours} h {minutes} min ({_local(due)})"
    return f"须在 {_local(due)} 前报告 report due in {hours} h {minutes} min"


def _local(utc: str) -> str:
    return format_shanghai(Millis((parse_utc(utc) or 0) * 1_000))
