"""``saltern lot labels``: proofs, office sheets and printer files of the codes of a lot.

Codes and GTIN come from two functions that the group ``lot`` gives (``labels_command``); nothing here reads the store.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from core import limits
from core.errors import IdentifierError, Outcome, RecordError
from core.lotcodes import Code
from core.lots import Level
from node.cli.acts import Desk, governed
from node.cli.common import Refused

if TYPE_CHECKING:
    from node.labels.symbols import Carrier

_FORMATS: Final = ("svg", "png", "sheet", "zpl")
_CARRIERS: Final = ("qr", "datamatrix", "gs1-datamatrix")
_DPI: Final = ("203", "300", "600")
_QUICK: Final = 400  # labels that take less than a second, whatever draws them


_NOT_NAMED: Final = (
    "注意 Note: GTIN {gtin} 尚不是别名，/01/{gtin}/… 扫描后打不开网页（404），请先登记。"
    "The GTIN is no alias yet, and a phone opens no page by /01/{gtin}/… (404): "
    "saltern alias add PRODUCT gtin:{gtin}"
)
_NOT_FOUND: Final = (
    "注意 Note: 在 GTIN {gtin} 之下找不到批次 {lot}：该 GTIN 是其他产品的别名，或批次与产品的前缀不同，"
    "扫描不会打开这些单元的网页。"
    "Lot {lot} is not found under the GTIN {gtin}, which is an alias of another product, or of one below another "
    "prefix: no phone finds these units by it"
)


_digital_link_option = click.option(
    "--digital-link", is_flag=True,
    help="写入 GS1 Digital Link，需产品的 GTIN，且该 GTIN 是产品的别名，扫描才打开网页 "
    "A GS1 Digital Link; needs the product's GTIN, which opens a page once it is an alias of the product.",
)  # fmt: skip


class Content(NamedTuple):
    """What goes into a symbol. ``base``: node.public_url. ``gtin``: of the product, None where it has none."""

    carrier: Carrier
    base: str
    gtin: str | None
    digital_link: bool

    def of(self, code: Code) -> str:
        """Errors: RecordError, ConfigError."""
        from node.labels import gs1
        from node.labels.symbols import Carrier

        elements = self.carrier is Carrier.GS1_DATAMATRIX
        if not elements and not self.digital_link:
            return gs1.printed(gs1.address(self.base, code.identifier))
        if self.gtin is None:
            raise RecordError("产品没有 GTIN 值。The product has no value of type GTIN")
        if code.level is not Level.UNIT:
            raise RecordError(
                f"产品的 GTIN 只标识单元，不标识箱与托盘：{code.identifier}。The product's GTIN names units, "
                "not cases and pallets"
            )
        suffix = code.identifier.partition("/")[2]
        if elements:
            return gs1.element_string(self.gtin, suffix)
        return gs1.printed(gs1.digital_link(self.base, self.gtin, suffix))


class File(NamedTuple):
    """A file of a folder."""

    name: str
    data: bytes


def labels_command(
    codes_of: Callable[[Desk, str, int, int], Iterator[Code]], gtin_of: Callable[[Desk, str], str | None]
) -> click.Command:
    """Return the command ``labels``, to be added to the group ``lot``.

    ``codes_of(desk, lot, start, count)`` yields the codes of a lot, ``gtin_of(desk, lot)`` tells the value of type GTIN
    of its product. Both raise a NodeError for a lot that is none.
    """

    @click.command("labels")
    @click.argument("lot")
    @click.option(
        "--from", "start", type=click.IntRange(0), default=0, show_default=True, metavar="N",
        help="第一个编码的序号 Index of the first code.",
    )  # fmt: skip
    @click.option(
        "--count", type=click.IntRange(1, limits.LABELS_MAX), default=24, show_default=True, metavar="N",
        help=f"个数，至多 How many, at most {limits.LABELS_MAX}.",
    )  # fmt: skip
    @click.option(
        "--format",
        "form",
        type=click.Choice(_FORMATS),
        default="sheet",
        show_default=True,
        help="文件 What is written.",
    )
    @click.option(
        "--symbol", "carrier", type=click.Choice(_CARRIERS), default="qr", show_default=True, help="码制 Symbology."
    )
    @_digital_link_option
    @click.option(
        "--dpi", type=click.Choice(_DPI), default="203", show_default=True, help="标签打印机 Of zpl printers."
    )
    @click.option(
        "--out", required=True, type=click.Path(file_okay=False, path_type=Path),
        help="写入的目录 Folder that the files go to.",
    )  # fmt: skip
    @governed
    def labels(
        desk: Desk, lot: str, start: int, count: int, form: str, carrier: str, digital_link: bool, dpi: str, out: Path
    ) -> None:
        """绘制一批编码的标签。Draw labels of codes of a lot.

        sheet: A4 pages of 24 labels of 70 × 37 mm. svg, png: a file a code. zpl: one file of text for a label printer.
        A file that holds something else is never overwritten; files have mode 0600, since their codes are genuine.
        Symbols hold the address of the code at node.public_url.

        Example: saltern lot labels 88.118.7/L1 --from 0 --count 48 --out proofs
        """
        from node.duties import load_duties
        from node.labels.symbols import Carrier

        if digital_link and carrier == Carrier.GS1_DATAMATRIX.value:
            raise click.UsageError("--digital-link 不与 gs1-datamatrix 同用 does not go with gs1-datamatrix")
        with_gtin = digital_link or carrier == Carrier.GS1_DATAMATRIX.value
        gtin = gtin_of(desk, lot) if with_gtin else None
        if digital_link and gtin is not None:
            _note_unless_found(desk, lot, gtin)
        content = Content(Carrier(carrier), load_duties(desk.config).public_url, gtin, digital_link)
        with _progress(count) as seen:
            made = files(seen(codes_of(desk, lot, start, count)), form, content, int(dpi))
            written, kept = write_files(out, made)
        if not written + kept:
            raise Refused(Outcome.NOT_FOUND.value, "", "该范围内没有编码。There is no code in that range")
        told = {"folder": str(out), "written": written, "unchanged": kept}
        desk.say(told, f"{out}: 写入 wrote {written} 个文件 files; 未变 unchanged {kept}")

    return labels


def _note_unless_found(desk: Desk, lot: str, gtin: str) -> None:
    """Say so where the units of a lot are not found under a GTIN; one that is none is refused later."""
    from core.ident.alias import Alias, AliasKind, make_alias
    from core.store.alias_rows import target_of
    from node import wiring
    from resolver.names import handle_of

    try:
        alias = make_alias(AliasKind.GTIN, gtin)
    except IdentifierError:
        return
    key = wiring.handle_rules(desk.config).key(lot)
    whole = Alias(AliasKind.GTIN_LOT, f"{alias.value}/{key.partition(b'/')[2].decode()}")
    with desk.reading() as snapshot:
        if target_of(snapshot, alias) is None:
            click.echo(_NOT_NAMED.format(gtin=alias.value), err=True)
        elif handle_of(snapshot, whole) != key:
            click.echo(_NOT_FOUND.format(gtin=alias.value, lot=lot), err=True)


def files(codes: Iterable[Code], form: str, content: Content, dpi: int = 203) -> Iterator[File]:
    """Yield the files of a format: svg and png one a code, sheet one for 24 codes, zpl one; none where no code is.

    A file of one code is named by the code, one of many by the index of the first.
    Errors: RecordError, LimitError, ConfigError, NodeError UNSUPPORTED.
    """
    from node.labels import drawing, sheet, zpl
    from node.labels.symbols import symbol

    first = next(codes := iter(codes), None)
    if first is None:
        return
    codes = chain((first,), codes)
    if form == "zpl":
        printed = (
            zpl.label(
                code.identifier, content.of(code),
                kind=code.level.word, carrier=content.carrier, dots_mm=zpl.DOTS_MM[dpi],
            )
            for code in codes
        )  # fmt: skip
        yield File(f"labels-{first.at:07}.zpl", "".join(printed).encode("ascii"))
        return
    if form == "sheet":
        drawn = (
            sheet.Label(symbol(content.carrier, content.of(code)), code.identifier, code.level.word) for code in codes
        )
        for number, page in enumerate(sheet.pages(drawn)):
            yield File(f"sheet-{first.at + number * sheet.LABELS:07}.svg", page.encode())
        return
    for code in codes:
        matrix = symbol(content.carrier, content.of(code))
        data = drawing.png(matrix) if form == "png" else drawing.svg(matrix, code.identifier).encode()
        yield File(f"{_file_name(code.identifier)}.{form}", data)


def _file_name(identifier: str) -> str:
    """Return the suffix of an identifier as the name of a file: no slash, no character that a file system minds."""
    from urllib.parse import quote

    return quote(identifier.partition("/")[2], safe="")


def write_files(folder: Path, made: Iterable[File]) -> tuple[int, int]:
    """Write files; return how many were written, and how many were there with the same content.

    Errors: Refused for a file that holds something else, or that cannot be written; what was written before stays, and
    the same command goes on from there.
    """
    written = kept = 0
    for name, data in made:
        path = folder / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _create(path, data):
                written += 1
            elif path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
                kept += 1
            else:
                raise Refused(
                    Outcome.CONFLICT.value, "",
                    f"文件已存在且内容不同，未覆盖：{path}。The file holds something else and is not overwritten",
                )  # fmt: skip
        except OSError as error:
            message = f"无法写入 cannot write {path}: {error.strerror}"
            raise Refused(Outcome.INTERNAL.value, "", message) from None
    return written, kept


def _create(path: Path, data: bytes) -> bool:
    """Write a file that is not there yet, mode 0600; half a file is taken away again. Errors: OSError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        path.unlink()
        raise
    return True


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Iterable[Any]], Iterable[Any]]]:
    """Give a function that counts what passes: a bar on a terminal where it takes a second, nothing elsewhere."""
    if total <= _QUICK or not sys.stderr.isatty():
        yield lambda codes: codes
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield lambda codes: progress.track(codes, total=total, description="标签 labels")
