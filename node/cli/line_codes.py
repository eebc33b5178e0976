"""``saltern line codes``: what a line was given, for its printer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from node.cli.line_options import json_option, line_option, site_option
from node.line.allocations import choose
from node.line.codes import Code, pack_code
from node.line.printing import given_codes
from node.line.shape import Kind, parse_lot
from node.line.site import Site, check_name

_FORMATS: Final = ("jsonl", "csv", "zpl")


@click.command("codes")
@site_option
@line_option
@click.option("--lot", metavar="LOT", help="批次标识，生产线有多个批次时 The lot, where the line has several.")
@click.option("--run", "name", metavar="NAME", help="此班次的号段，供再次输出 Blocks of this run, again.")
@click.option("--from-block", "token", metavar="TOKEN", help="从此号段起，不论是否已用 From this block on.")
@click.option(
    "--kind", type=click.Choice([kind.value for kind in Kind]), default=Kind.UNIT.value, show_default=True,
    help="单元、箱、托盘 Of what.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default=_FORMATS[0], show_default=True, help="格式 Format."
)
@click.option(
    "--public-url", metavar="URL", default="",
    help="zpl：符号中写入此地址下的网址，缺省只写标识 zpl: symbols hold the address there; the identifier, if none.",
)  # fmt: skip
@json_option
def codes(
    folder: Path, line: str, lot: str | None, name: str | None, token: str | None, kind: str, form: str,
    public_url: str, as_json: bool,
) -> None:  # fmt: skip
    """输出分配给生产线的标识，供打印，无需节点。Write the codes that a line was given, for its printer.

    In the order in which it got them; without --run and --from-block those that no run uses yet, so that no code is
    printed twice. With --json it is jsonl.

    Example: saltern line codes --site works --line L4 --format zpl --public-url https://id.example.cn > l4.zpl
    """
    if public_url and (form != "zpl" or not _is_address(public_url)):
        raise click.UsageError(
            "--public-url 只与 zpl 同用，应如 https://id.example.cn。"
            "--public-url goes with zpl, and is an address as https://id.example.cn"
        )
    if as_json and form != _FORMATS[0]:
        raise click.UsageError("--json 只与 jsonl 同用。--json goes with jsonl alone")
    site = Site(folder)
    with site.allocating():
        known, _ = site.allocations()
    takes = choose(known, check_name(line), lot=None if lot is None else parse_lot(lot), run=name, token=token)
    there, found = site.codes_of(takes)
    output = sys.stdout.buffer
    output.write(_CSV_HEAD if form == "csv" else b"")
    written = _printed(form, public_url)
    for code in given_codes(takes, there, found, Kind(kind)):
        output.write(written(code))
    output.flush()


_CSV_HEAD: Final = b"index,identifier,kind,case,pallet\r\n"


def _printed(form: str, public_url: str) -> Callable[[Code], bytes]:
    """Return what writes a code; the forms are those of ``saltern lot codes``."""
    if form == "jsonl":
        return pack_code
    if form == "csv":
        return lambda code: (
            f"{code.number},{code.identifier},{code.kind.value},{code.case or ''},{code.pallet or ''}\r\n".encode()
        )
    from node.labels import gs1, zpl

    return lambda code: zpl.label(
        code.identifier, gs1.printed(gs1.address(public_url, code.identifier)), kind=code.kind.value
    ).encode("ascii")


def _is_address(text: str) -> bool:
    """Say whether a text is a web address in ASCII, without query and fragment."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return right and text.isascii() and text.isprintable() and set(text).isdisjoint(' "<>?#@')
