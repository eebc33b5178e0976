"""``saltern lot``: lots, the codes of their units, and what became of them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import click

from core import clock, limits
from core.errors import NodeError, Outcome, RecordError, SealError
from core.ident.handle import HandleKey, check_handle
from core.lotcodes import Code, LotCodes
from core.lotkeys import codes_of_lot
from core.lots import RESERVED, Level, UnitState
from core.store.engine import Snapshot, Table
from core.store.homing import load_values, require_served
from core.store.lot_rows import LotRow, unpack_lot
from core.who import Role, Who
from core.wire.http import decode_path
from node import wiring
from node.cli.acts import Desk, governed
from node.cli.common import Commands, Failure, Refused, print_json
from node.cli.labels import labels_command
from node.duties import load_duties
from node.key_file import LOT_KEYS, add_key, load_keys
from registry.commands import CreateLot, NoteAct, RecordEvents, TakeBlock
from registry.lot_forms import check_lot
from registry.lot_reading import list_blocks, list_lots, show_lot, show_unit
from registry.lots import key_refused
from registry.notes import LOT_REKEY
from registry.reading import Page, View
from registry.refusals import refusal
from registry.standing import Standing
from resolver.units import Units

_LOCAL: Final = Standing(Who(Role.LOCAL.value, Role.LOCAL.value), Role.LOCAL)
_LINES: Final = (".jsonl", ".ndjson")
_GTIN: Final = re.compile(r"GTIN[-_]?(8|12|13|14)?", re.ASCII | re.IGNORECASE)  # as registers name it
_REFUSED_SHOWN: Final = 20
_FLUSHED: Final = 10_000  # lines written at once


@click.group(cls=Commands)
def lot() -> None:
    """批次与单元码：登记、取码、核对、上报。Lots and unit codes: register, get codes, check, record."""


@lot.command()
@click.argument("lot_", metavar="LOT")
@click.option("--product", required=True, metavar="HANDLE", help="产品标识 Handle of the product.")
@click.option("--count", required=True, type=int, help="单元数 Number of units.")
@click.option("--units-per-case", type=int, help="每箱单元数 Units in a case.")
@click.option("--cases-per-pallet", type=int, help="每托箱数 Cases on a pallet.")
@click.option("--line", metavar="NAME", help="生产线 The line that makes it.")
@click.option("--produced", metavar="DATE", help="生产日期 Day of production.")
@click.option("--valid-until", metavar="DATE", help="有效期至 Last day that it may be sold.")
@click.option(
    "--value", "values", multiple=True, metavar="TYPE=TEXT", help="各单元共用的值，可重复 A shared value; repeatable."
)
@click.option("--dry-run", is_flag=True, help="只检查，不写入 Check only, write nothing.")
@governed
def create(desk: Desk, lot_: str, values: tuple[str, ...], dry_run: bool, **given: Any) -> None:
    """登记批次：一行存储，百万单元。Register a lot: one row, however many units.

    LOT is PREFIX/CODE, the code 1 to 10 of A-Z, 0-9 and -. Every unit, case and pallet of it resolves at once.

    Example: saltern lot create 88.118.7/L1 --product 88.118.7/SKU01 --count 1000000 --units-per-case 50
    """
    form = {"lot": lot_} | {name: value for name, value in given.items() if value is not None}
    if values:
        form["values"] = [_value(index, text) for index, text in enumerate(values, RESERVED.stop)]
    told = desk.run(CreateLot(json.dumps(form).encode()), dry_run=dry_run)
    size = f"{told['count']} 单元 units, {told['cases']} 箱 cases, {told['pallets']} 托盘 pallets"
    octets = f"; {told['stored_bytes']} 字节 octets" if "stored_bytes" in told else ""
    desk.say(told, f"已登记 Registered {told['lot']}: {size}{octets}")


@lot.command()
@click.argument("lot_", metavar="LOT")
@governed
def show(desk: Desk, lot_: str) -> None:
    """查看批次及各状态的数量。Show a lot, and how many units are in each state.

    Example: saltern lot show 88.118.7/L1
    """
    told: Any = _read(desk, show_lot, lot=lot_)
    lines = [f"{name:<17} {value}" for name, value in told.items() if name != "states" and value is not None]
    for level, states in told["states"].items():
        lines.append(f"{level:<17} {', '.join(f'{state} {count}' for state, count in states.items())}")
    desk.say(told, "\n".join(lines))


@lot.command("list")
@click.option("--prefix", metavar="P", help="此前缀的批次 Lots of this prefix.")
@governed
def list_all(desk: Desk, prefix: str | None) -> None:
    """列出批次。List lots.

    Example: saltern lot list --prefix 88.118.7
    """
    listed = _all(desk, list_lots, **({} if prefix is None else {"prefix": prefix}))
    if desk.as_json:
        print_json(listed)
        return
    for each in listed:
        click.echo(f"{each['lot']}  {each['product']}  {each['count']}  {each['created']}")


@lot.command()
@click.argument("lot_", metavar="LOT")
@click.option("--line", required=True, metavar="NAME", help="生产线 The line.")
@click.option("--count", required=True, type=int, help="单元数 Number of units.")
@click.option(
    "--from", "start", type=int, help="起点，默认为下一个空闲单元 The first one; the next free one by default."
)
@click.option("--token", default="", metavar="TEXT", help="重试时给出同一码段 With it a retry gets the same block.")
@governed
def take(desk: Desk, lot_: str, line: str, count: int, start: int | None, token: str) -> None:
    """把一段单元分给生产线。Give units of a lot to a line.

    Example: saltern lot take 88.118.7/L1 --line L4 --count 50000 --token shift-1
    """
    told = _taken(desk, lot_, line, count, start, token)
    desk.say(told, f"{told['line']}: {told['count']} 单元 units, 起点 from {told['from']}")


@lot.command()
@click.argument("lot_", metavar="LOT")
@governed
def blocks(desk: Desk, lot_: str) -> None:
    """列出已分给生产线的码段。List the blocks that were given to lines.

    Example: saltern lot blocks 88.118.7/L1
    """
    listed = _all(desk, list_blocks, lot=lot_)
    if desk.as_json:
        print_json(listed)
        return
    for each in listed:
        click.echo(f"{each['from']:>8} {each['count']:>8}  {each['line']}  {each['taken']}  {each['token'] or ''}")


@lot.command()
@click.argument("lot_", metavar="LOT")
@click.option("--from", "start", type=int, help="起点 The first index.")
@click.option("--count", type=int, help="数量 How many.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "zpl", "gs1"]),
    default="jsonl",
    show_default=True,
    help="格式 Format.",
)
@click.option("--line", default="", metavar="NAME", help="同时分给此生产线 Give them to this line, too.")
@click.option("--token", default="", metavar="TEXT", help="重试时给出同一码段 With it a retry gets the same block.")
@governed
def codes(
    desk: Desk, lot_: str, start: int | None, count: int | None, form: str, line: str, token: str
) -> None:  # fmt: skip
    """输出单元码，供打印。Write the codes of a lot, for a printer.

    Indexes of units come first, then those of cases, then pallets. With --line the units are given to that line; with
    --token, a retry writes the same ones.

    Example: saltern lot codes 88.118.7/L1 --line L4 --count 50000 --token shift-1 --format csv > codes.csv
    """
    if token and not line:
        raise click.UsageError("--token 须与 --line 同用。--token goes with --line")
    if line:
        if count is None:
            raise click.UsageError("--line 须与 --count 同用。--line goes with --count")
        taken = _taken(desk, lot_, line, count, start, token)
        start, count = taken["from"], taken["count"]
    line_of, head = _form(desk, lot_, form)
    sys.stdout.write(head)
    for text in _written(codes_of(desk, lot_, start or 0, count), line_of):
        sys.stdout.write(text)


@lot.command()
@click.argument("identifiers", nargs=-1, required=True, metavar="IDENTIFIER…")
@governed
def check(desk: Desk, identifiers: tuple[str, ...]) -> None:
    """核对单元码的真伪。Check whether codes were issued.

    Of a code that was not, nothing more is told.

    Example: saltern lot check 88.118.7/L1H7K2QWERTZ
    """
    rules, units = wiring.handle_rules(desk.config), Units(wiring.lot_keys(desk.config))
    with desk.reading() as snapshot:
        found = [_checked(snapshot, units, rules, identifier) for identifier in identifiers]
    if desk.as_json:
        print_json(found)
        return
    for each in found:
        word = _WORDS_OF.get(each["reason"], f"无法核对 cannot be checked: {each['reason']}")
        click.echo(f"{each['identifier']}  {word}")


@lot.command()
@click.argument("identifier")
@governed
def unit(desk: Desk, identifier: str) -> None:
    """查看单元、箱或托盘及其经过。Show a unit, case or pallet, and its history.

    Example: saltern lot unit 88.118.7/L1H7K2QWERTZ --json
    """
    told: Any = _read(desk, show_unit, unit=identifier)
    lines = [f"{told['identifier']}  {told['kind']} {told['index']}  {told['state']}  {told['since']}"]
    lines += [f"  在 in {told['parent']}"] if told["parent"] else []
    lines += [f"  内有 holds {len(told['children'])}"] if told["children"] else []
    lines += [f"  {each['time']}  {each['event']}  {each['place'] or ''}" for each in told["history"]]
    desk.say(told, "\n".join(lines))


@lot.command()
@click.argument("lot_", metavar="LOT")
@click.argument("file", type=click.File("rb"))
@governed
def events(desk: Desk, lot_: str, file: Any) -> None:
    """上报单元事件：JSON 数组，或每行一个。Record what happened to units: a JSON array, or one a line (.jsonl).

    Example: saltern lot events 88.118.7/L1 shift.jsonl
    """
    body = file.read(limits.LOT_EVENTS_BODY_BYTES_MAX + 1)
    if len(body) > limits.LOT_EVENTS_BODY_BYTES_MAX:
        raise Failure(f"文件过大。The file has more than {limits.LOT_EVENTS_BODY_BYTES_MAX} octets")
    told = desk.run(RecordEvents(lot_, body, file.name.endswith(_LINES) or not body.lstrip().startswith(b"[")))
    counts = ", ".join(f"{outcome} {count}" for outcome, count in told["counts"].items())
    desk.say(told, f"{told['lot']}: {counts}")
    wrong = [(number, each["message"]) for number, each in enumerate(told["results"], 1) if "rule" in each]
    for number, message in wrong[:_REFUSED_SHOWN]:
        click.echo(f"第 {number} 项 item {number}: {message}", err=True)
    if wrong:
        raise Failure(f"{len(wrong)} 项被拒绝，其余已入账。Refused: {len(wrong)}; all others are recorded")


@lot.command()
@governed
def rekey(desk: Desk) -> None:
    """新增单元码主密钥，用于此后的批次。Add a master key of unit codes, for lots from now on.

    Earlier lots keep theirs. Keep a copy of the file apart from the store.

    Example: saltern lot rekey
    """
    file = wiring.key_file(desk.config, LOT_KEYS)
    with desk.reading() as snapshot:
        lots = {(lot := unpack_lot(row)).key_id: (key, lot) for key, row in snapshot.scan(Table.LOTS, b"")}
    used = lots.keys()
    missing = sorted(used - (load_keys(file, LOT_KEYS).keys.keys() if file.exists() else set()))
    if missing:
        numbers = ", ".join(map(str, missing))
        reason = (
            f"{file} 缺少现有批次所用的第 {numbers} 号密钥，请先恢复该文件。"
            f"{file} lacks the keys {numbers} of lots that are registered: put the file back first"
        )
        raise Refused(Outcome.CONFLICT.value, "lot-keys", reason)
    for key, lot in lots.values():  # a file with other keys than those of the lots is to be put right first
        codes_of_lot(wiring.lot_keys(desk.config), key, lot)
    number = add_key(file, LOT_KEYS)
    desk.run(NoteAct(LOT_REKEY, f"key {number}"))
    desk.say(
        {"key_id": number, "file": str(file)}, f"此后的批次用第 {number} 号密钥。New lots use key {number}: {file}"
    )


def codes_of(desk: Desk, name: str, start: int, count: int | None) -> Iterator[Code]:
    """Yield codes of a lot: all from ``start`` on, or so many. Errors: NodeError."""
    with desk.reading() as snapshot:
        key, row = _row(desk, snapshot, name)
    try:
        made = codes_of_lot(wiring.lot_keys(desk.config), key, row)
    except SealError as error:
        raise key_refused(error.message) from None
    total = row.packaging.total
    stop = total if count is None else start + count
    if not 0 <= start < stop <= total:
        asked = f"{start}…" if count is None else f"{start}…{stop - 1}" if count > 0 else f"{count}"
        raise RecordError(
            f"批次的序号为 0 至 {total - 1}，所要的是 {asked}。"
            f"The indexes of the lot are 0 to {total - 1}; asked for: {asked}",
            rule="codes-range",
        )
    return LotCodes(key.decode(), row.packaging, made).over(range(start, stop))


def _row(desk: Desk, snapshot: Snapshot, name: str) -> tuple[bytes, LotRow]:
    key = check_lot(name, wiring.handle_rules(desk.config))
    row = snapshot.get(Table.LOTS, key)
    if row is None:
        raise refusal("lot-not-found", Outcome.NOT_FOUND, lot=key.decode())
    require_served(snapshot, key, root=False)
    return key, unpack_lot(row)


def _taken(desk: Desk, name: str, line: str, count: int, start: int | None, token: str) -> Any:
    return desk.run(TakeBlock(name, line, count, -1 if start is None else start, token))


def _checked(snapshot: Snapshot, units: Units, rules: Any, identifier: str) -> dict[str, Any]:
    """Return whether a code was issued, and the word for it if not, or if it is inactive."""
    found = None
    try:
        key = check_handle(_name_in(identifier), rules)
        require_served(snapshot, key, root=False)
        found = units.find(snapshot, key)
        outcome = Outcome.NOT_ISSUED if found is None or found.at < 0 else found.outcome
    except SealError:
        raise
    except NodeError as error:
        outcome = error.ended
    issued = outcome is Outcome.OK
    inactive = issued and found is not None and found.run is not None and found.run.state is UnitState.INACTIVE
    reason = UnitState.INACTIVE.value if inactive else None if issued else outcome.value
    return {"identifier": identifier, "issued": issued, "reason": reason}


def _name_in(text: str) -> str:
    """Return the identifier in what somebody scanned or typed: of an address, its path."""
    text = text.strip()
    if "://" not in text:
        return text
    return decode_path(text.partition("://")[2].partition("/")[2].partition("?")[0])


def _written(found: Iterator[Code], line_of: Callable[[Code], str]) -> Iterator[str]:
    """Yield texts of many lines."""
    while lines := "".join(map(line_of, islice(found, _FLUSHED))):
        yield lines


def _form(desk: Desk, name: str, form: str) -> tuple[Callable[[Code], str], str]:
    """Return what writes a code, and the head of the file. Errors: NodeError."""
    if form == "jsonl":
        return _jsonl, ""
    if form == "csv":
        return _csv, "index,identifier,kind,case,pallet\r\n"
    from node.labels import gs1, zpl

    base, gtin = load_duties(desk.config).public_url, gtin_of(desk, name)
    if form == "zpl":
        return lambda code: zpl.label(
            code.identifier, gs1.printed(gs1.address(base, code.identifier)), kind=code.level.word
        ), ""
    if gtin is None:
        raise RecordError(
            "产品的记录没有 GTIN 值，请先登记。The product has no value of type GTIN: put one into its record first"
        )
    return lambda code: _gs1_line(gs1.element_string, gtin, code), ""


def gtin_of(desk: Desk, name: str) -> str | None:
    """Return the first public GTIN value of a lot's product, None where it has none. Errors: NodeError."""
    with desk.reading() as snapshot:
        _, row = _row(desk, snapshot, name)
        values = load_values(snapshot, HandleKey(row.product_key), root=False) or ()
    return next(
        (
            value.data.decode(errors="replace")
            for value in values
            if _GTIN.fullmatch(value.type) is not None and value.public_read
        ),
        None,
    )


def _gs1_line(element_string: Callable[[str, str], str], gtin: str, code: Code) -> str:
    """Return the element string of a unit; a case or pallet has no GTIN of its own, and gets its identifier."""
    if code.level is not Level.UNIT:
        return f"{code.identifier}\n"
    return element_string(gtin, code.identifier.partition("/")[2]) + "\n"


def _jsonl(code: Code) -> str:
    case = _QUOTE(code.case) if code.case else "null"
    pallet = _QUOTE(code.pallet) if code.pallet else "null"
    return (
        f'{{"index": {code.at}, "identifier": {_QUOTE(code.identifier)}, "kind": "{_WORDS[code.level]}", '
        f'"case": {case}, "pallet": {pallet}}}\n'
    )


def _csv(code: Code) -> str:
    return f"{code.at},{_cell(code.identifier)},{_WORDS[code.level]},{_cell(code.case)},{_cell(code.pallet)}\r\n"


def _cell(text: str) -> str:
    """Return a cell of CSV (RFC 4180 §2). A handle begins with its prefix, so that none is taken for a formula."""
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if "," in text or '"' in text else text


_WORDS_OF: Final = {
    None: "已发码 issued",
    UnitState.INACTIVE.value: "已发码，已停用（召回或过期） issued, inactive: recalled or expired",
    Outcome.NOT_ISSUED.value: "未发码 not issued",
    Outcome.GONE.value: "已作废 out of use",
    Outcome.HELD.value: "依令停止解析 on hold by order of the regulator",
    Outcome.NOT_RESPONSIBLE.value: "不由本节点负责 not of this node",
    Outcome.INVALID_HANDLE.value: "不是标识 no identifier",
}
_QUOTE: Final = json.encoder.encode_basestring  # text that is not ASCII as it is
_WORDS: Final = tuple(level.word for level in Level)


lot.add_command(labels_command(codes_of, gtin_of))


def _value(index: int, text: str) -> dict[str, Any]:
    kind, equals, data = text.partition("=")
    if not equals or not kind:
        raise click.BadParameter(f"--value {text!r}: TYPE=TEXT")
    return {"index": index, "type": kind, "data": data}


def _view(desk: Desk, snapshot: Snapshot, members: dict[str, Any]) -> View:
    rules = wiring.handle_rules(desk.config)
    return View(snapshot, _LOCAL, rules, members, clock.now_ms(), wiring.lot_keys(desk.config))


def _read(desk: Desk, read: Callable[[View], Any], **members: Any) -> Any:
    with desk.reading() as snapshot:
        return read(_view(desk, snapshot, members))


def _all(desk: Desk, read: Callable[[View], Page], **members: Any) -> list[Any]:
    rows: list[Any] = []
    with desk.reading() as snapshot:
        while True:
            page = read(_view(desk, snapshot, members))
            rows += page.rows
            if page.next is None:
                return rows
            members = {**members, "after": page.next}
