"""``saltern record``: put, get, delete, import, export, on the node's own store.

Changes go through the running node, or straight into the store if none runs; the
right to change is that of the file permissions of the data folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import click

from core import clock, limits
from core.config import Config
from core.errors import NodeError, Outcome
from core.ident.handle import PREFIX_HANDLES, HandleKey, check_handle, prefix_of
from core.records import ADMIN_PERMISSIONS_ALL, AdminRecord, HandleValue, Values
from core.store.engine import Table
from core.store.homing import STOPPED, hosting_of, is_held
from core.store.prefix_rows import HOSTED
from core.store.record_rows import record_key, unpack_handle, unpack_values
from core.wire.admin import encode_admin
from core.wire.jsonform import dump_values, parse_values
from core.wire.jsonform import load_values as load_forms
from core.wire.jsontext import quote
from core.wire.valuetypes import HS_ADMIN, HS_SECKEY, URL
from node import wiring
from node.cli.common import (
    DRY_RUN_NOTE,
    Commands,
    Failure,
    Refused,
    config_option,
    dry_run_option,
    json_option,
    load_config,
    print_json,
    require_done,
)
from node.writing import Writer, writer
from registry.commands import OPERATOR, Delete, Put, PutBatch, Remove, Request

_ADMIN_INDEX = 100
_GROUP_INDEX = 200
_force_option = click.option("--force", is_flag=True, help="也改动前缀自身的记录 Change a prefix's own record, too.")


@click.group(cls=Commands)
def record() -> None:
    """标识记录：写入、读取、删除、导入、导出。Records: put, get, delete, import, export."""


@record.command()
@click.argument("handle")
@click.option("--url", help="URL 值（索引 1）The URL value, index 1.")
@click.option(
    "--value", "values", multiple=True, metavar="JSON", help="一个值的 JSON 形式，可重复 A value in JSON; repeatable."
)
@click.option(
    "--file",
    "file",
    type=click.File("rb"),
    help="值的 JSON 数组，- 为标准输入 A JSON array of values; - is standard input.",
)
@click.option("--no-overwrite", is_flag=True, help="记录已存在则拒绝 Refuse if the record exists.")
@_force_option
@config_option
@dry_run_option
@json_option
def put(
    handle: str, url: str | None, values: tuple[str, ...], file: BinaryIO | None, no_overwrite: bool,
    force: bool, config_file: Path, overrides: tuple[str, ...], dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """建立或替换一条记录。Create or replace a record.

    A prefix's own record (0.NA/…, or a handle without "/") holds its administrators and
    keys: it is changed only with --force.

    A record without HS_ADMIN gets one that names the prefix's administrators.

    Example: saltern record put 88.118.7/SKU01 --url https://p007.example.cn/sku/01
    """
    config = load_config(config_file, overrides)
    forms = [form for text in values for form in parse_values(text.encode("utf-8", "surrogateescape"))]
    if file is not None:
        forms += parse_values(file.read(limits.BODY_BYTES_MAX + 1))
    now = clock.now_s()
    record_values = load_forms(forms, now)
    if url is not None:
        record_values = (HandleValue(1, URL, _utf8(url), timestamp=now), *record_values)
    if not record_values:
        raise click.UsageError("没有给出值 No value given: --url, --value or --file")
    key = _checked_handle(config, handle, force)
    if prefix_of(key) != PREFIX_HANDLES and all(value.type != HS_ADMIN for value in record_values):
        record_values += (_administrator(prefix_of(key).decode(), now),)
    command = Put(handle, record_values, not no_overwrite)
    with writer(config) as write:
        result = require_done(write(Request(command, OPERATOR, dry_run=dry_run)))
    _tell(as_json, result.handle, result.outcome, dry_run)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise click.UsageError("--url 不是 UTF-8 --url is not UTF-8") from None


def _checked_handle(config: Config, handle: str, force: bool) -> HandleKey:
    """Return the key. Errors: Refused for a prefix's own record without --force."""
    key = check_handle(handle, wiring.handle_rules(config))
    if prefix_of(key) == PREFIX_HANDLES and not force:
        raise Refused(
            Outcome.FORBIDDEN.value, "",
            f"{key.decode()} 是前缀自身的记录，含管理员与密钥；确要改动请加 --force。"
            f"{key.decode()} is a prefix's own record, with its administrators and keys; --force changes it",
        )  # fmt: skip
    return key


def _administrator(prefix: str, now: int) -> HandleValue:
    admin = AdminRecord(ADMIN_PERMISSIONS_ALL, f"0.NA/{prefix}", _GROUP_INDEX)
    return HandleValue(_ADMIN_INDEX, HS_ADMIN, encode_admin(admin), timestamp=now)


@record.command()
@click.argument("handle")
@config_option
@json_option
def get(handle: str, config_file: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """读取一条记录（含非公开值，不含密钥）。Show a record: also what is not public, but no secret key.

    Example: saltern record get 88.118.7/SKU01 --json
    """
    config = load_config(config_file, overrides)
    key = check_handle(handle, wiring.handle_rules(config))
    store = wiring.open_store(config, read_only=True)
    try:
        with store.snapshot() as snapshot:
            row = snapshot.get(Table.RECORDS, record_key(key))
            hosting = hosting_of(snapshot, key, root=config.flag("handle.root"))
            stopped = hosting == STOPPED or is_held(snapshot, key)
    finally:
        store.close()
    if row is None or hosting not in (HOSTED, STOPPED):
        raise Refused(Outcome.HANDLE_NOT_FOUND.value, "", f"没有这条记录 No such record: {handle}")
    if stopped:
        click.echo(f"注意 Note: 已停止解析 on hold, or its prefix is suspended: {handle}", err=True)
    shown = json.loads(dump_values(_without_secrets(unpack_values(row))))
    if as_json:
        print_json({"handle": handle, "values": shown})
        return
    click.echo(handle)
    for value in shown:
        data = value["data"]["value"]
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        click.echo(f"{value['index']:>6}  {value['type']:<12} {text}")


@record.command()
@click.argument("handle")
@click.option(
    "--index", "indexes", multiple=True, type=int, help="只删除这些值，可重复 Delete only these values; repeatable."
)
@_force_option
@config_option
@dry_run_option
@json_option
def delete(
    handle: str,
    indexes: tuple[int, ...],
    force: bool,
    config_file: Path,
    overrides: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """删除一条记录或其中的值。Delete a record, or values of it.

    Example: saltern record delete 88.118.7/SKU01 --index 2
    """
    config = load_config(config_file, overrides)
    _checked_handle(config, handle, force)
    command = Remove(handle, indexes) if indexes else Delete(handle)
    with writer(config) as write:
        result = require_done(write(Request(command, OPERATOR, dry_run=dry_run)))
    _tell(as_json, result.handle, result.outcome, dry_run)


def _tell(as_json: bool, handle: str, outcome: Outcome, dry_run: bool) -> None:
    if as_json:
        print_json({"handle": handle, "outcome": outcome.value, "dry_run": dry_run})
    else:
        note = DRY_RUN_NOTE if dry_run else ""
        click.echo(f"{handle}: {outcome.value}{note}")


# --- import ------------------------------------------------------------------


class _Chunk(NamedTuple):
    numbers: list[int]
    lines: list[bytes]
    size: int


@record.command("import")
@click.argument("file", type=click.File("rb"))
@config_option
@dry_run_option
@json_option
def import_records(file: BinaryIO, config_file: Path, overrides: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """从 JSON 行文件导入记录，- 为标准输入。Import records from JSON lines; - is standard input.

    Each line: {"handle": …, "values": [ … ]}. Records that exist are replaced, times are
    kept, and what is equal is left alone: an import that was cut can be run again.

    Example: saltern record import products.jsonl
    """
    config = load_config(config_file, overrides)
    counts: dict[str, int] = {}
    refused: list[dict[str, object]] = []
    stopped: Refused | None = None
    try:
        with writer(config) as write, _progress(file) as advance:
            for chunk in _chunks(file, refused):
                _import_chunk(write, chunk, counts, refused, dry_run)
                advance(chunk.size)
    except _StoppedError as error:
        stopped = _stopped(error, counts)
    told: dict[str, Any] = {"counts": counts, "refused": refused, "dry_run": dry_run}
    if as_json:
        print_json(told if stopped is None else stopped.told | told)
    else:
        for item in refused:
            click.echo(f"第 {item['line']} 行 line {item['line']}: {item['outcome']} {item['message']}", err=True)
        ended = "导入完毕 imported" if stopped is None else "已导入，未完 imported so far"
        click.echo(f"{'演练，未写入 dry run' if dry_run else ended}: {_counted(counts)}")
    if stopped is not None:
        raise Failure(stopped.message)
    if refused:
        raise Failure(f"{len(refused)} 条被拒绝 records were refused")


class _StoppedError(Exception):
    """A chunk failed, and nothing behind it was tried. ``line``: its first; ``refusal``: why."""

    def __init__(self, line: int, refusal: Refused) -> None:
        super().__init__()
        self.line = line
        self.refusal = refusal


def _stopped(error: _StoppedError, counts: dict[str, int]) -> Refused:
    told, line = error.refusal.told, error.line
    reason = (
        f"导入停在第 {line} 行，此前的已处理（{_counted(counts)}）；排除原因后再次执行即可继续。"
        f"The import stopped at line {line}; what stands before is done ({_counted(counts)}). "
        f"Once the cause is gone, run it again to go on: {told['reason']}"
    )
    return Refused(str(told["outcome"]), str(told["rule"] or ""), reason)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "0"


def _chunks(file: BinaryIO, refused: list[dict[str, object]]) -> Iterator[_Chunk]:
    chunk = _Chunk([], [], 0)
    number = 0
    while line := file.readline(limits.IMPORT_LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > limits.IMPORT_LINE_BYTES_MAX:
            refused.append(_refusal(number, Outcome.TOO_LARGE, f"over {limits.IMPORT_LINE_BYTES_MAX} octets"))
            while line and not line.endswith(b"\n"):
                line = file.readline(limits.IMPORT_LINE_BYTES_MAX)
            continue
        if line.strip():
            chunk.numbers.append(number)
            chunk.lines.append(line.rstrip(b"\n"))
        chunk = chunk._replace(size=chunk.size + len(line))
        if len(chunk.lines) == limits.IMPORT_CHUNK_ITEMS or chunk.size >= limits.IMPORT_CHUNK_BYTES:
            yield chunk
            chunk = _Chunk([], [], 0)
    if chunk.lines:
        yield chunk


def _import_chunk(
    write: Writer, chunk: _Chunk, counts: dict[str, int], refused: list[dict[str, object]], dry_run: bool
) -> None:
    command = PutBatch(b"\n".join(chunk.lines), lines=True, keep_timestamps=True)
    try:
        result = require_done(write(Request(command, OPERATOR, dry_run=dry_run)))
    except Refused as refusal:
        raise _StoppedError(chunk.numbers[0], refusal) from None
    except NodeError as error:  # the node went away, or the store failed
        raise _StoppedError(chunk.numbers[0], Refused(error.ended.value, "", error.message)) from None
    for number, item in zip(chunk.numbers, json.loads(result.body)["results"], strict=True):
        outcome = Outcome(item["outcome"])
        counts[outcome.value] = counts.get(outcome.value, 0) + 1
        if outcome not in (Outcome.OK, Outcome.CREATED):
            refused.append(_refusal(number, outcome, item.get("message", "")))


def _refusal(number: int, outcome: Outcome, message: str) -> dict[str, object]:
    return {"line": number, "outcome": outcome.value, "message": message}


def _progress(file: BinaryIO) -> Any:
    """Give a progress bar on a terminal, nothing elsewhere."""
    from contextlib import contextmanager

    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Iterator[Any]:
        if not sys.stderr.isatty() or not file.seekable():
            yield lambda _: None
            return
        total = file.seek(0, 2)
        file.seek(0)
        from rich.console import Console

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("导入 import", total=total)
            yield lambda size: progress.advance(task, size)

    return bar()


# --- export ------------------------------------------------------------------


@record.command()
@click.argument("file", type=click.File("wb"))
@click.option("--prefix", help="只导出此前缀 Only this prefix.")
@config_option
@json_option
def export(
    file: BinaryIO, prefix: str | None, config_file: Path, overrides: tuple[str, ...], as_json: bool
) -> None:  # fmt: skip
    """导出记录为 JSON 行，不含 HS_SECKEY。Export as JSON lines, without HS_SECKEY; - is standard output.

    With --json the counts are JSON on standard output; a file that is - has that for itself.

    Example: saltern record export backup.jsonl --prefix 88.118.7
    """
    config = load_config(config_file, overrides)
    exported = secrets_left_out = 0
    for key, values in _all_records(config, prefix):
        kept = _without_secrets(values)
        secrets_left_out += len(values) - len(kept)
        line = b'{"handle":' + quote(key.decode()).encode() + b',"values":' + dump_values(kept) + b"}\n"
        file.write(line)
        exported += 1
    if as_json and file.name != sys.stdout.name:
        print_json({"exported": exported, "secrets_left_out": secrets_left_out})
    click.echo(f"已导出 exported: {exported}; HS_SECKEY 未导出 left out: {secrets_left_out}", err=True)


def _all_records(config: Config, prefix: str | None) -> Iterator[tuple[bytes, Values]]:
    """Yield key and values; each chunk has a snapshot of its own, so a long export pins no old pages."""
    from core.ident.handle import check_prefix
    from core.store.record_rows import prefix_range

    start, stop = b"", None
    if prefix is not None:
        start, stop = prefix_range(check_prefix(prefix, wiring.handle_rules(config)))
    store = wiring.open_store(config, read_only=True)
    try:
        while True:
            rows: list[tuple[bytes, bytes]] = []
            with store.snapshot() as snapshot:
                for found in snapshot.scan(Table.RECORDS, start, stop):
                    rows.append(found)
                    if len(rows) == limits.LIST_CHUNK:
                        break
            for key, row in rows:
                yield unpack_handle(key, row), unpack_values(row)
            if len(rows) < limits.LIST_CHUNK:
                return
            start = rows[-1][0] + b"\0"
    finally:
        store.close()


def _without_secrets(values: Values) -> Values:
    return tuple(value for value in values if value.type != HS_SECKEY)
