"""`saltern lot labels`: which files it writes, what is in them, and what it refuses."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core import limits
from core.errors import RecordError
from core.lotcodes import Code
from core.lots import Level
from node.cli.acts import Desk
from node.cli.common import Commands
from node.cli.labels import labels_command
from node.initialise import initialise
from tests.kit.symbols import decode_png, needs_zbar, parse_zpl, read_pixels, read_svg, zbar

PREFIX = "88.118.7"
GTIN = "6901234567892"
UNITS, CASES = 60, 2


def code(index: int) -> Code:
    return Code(index, f"{PREFIX}/L1{index:010}", Level.UNIT if index < UNITS else Level.CASE, "", "")


def codes_of(_desk: Desk, lot: str, start: int, count: int) -> Iterator[Code]:
    if lot != f"{PREFIX}/L1":
        raise RecordError("没有这个批次。There is no such lot")
    return (code(index) for index in range(start, min(start + count, UNITS + CASES)))


def gtin_of(_desk: Desk, lot: str) -> str | None:
    return GTIN if lot == f"{PREFIX}/L1" else None


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = initialise(tmp_path_factory.mktemp("labels") / "node", (PREFIX,)).path
    assert path is not None
    return path


class Lot:
    """The command, on codes of a lot that has only a beginning."""

    def __init__(self, config: Path, out: Path) -> None:
        self.out = out
        self._group = Commands("lot", commands=[labels_command(codes_of, gtin_of)])
        self._more = ["--config", str(config), "--set", "node.public_url=https://id.example.cn", "--out", str(out)]

    def labels(self, *options: str, lot: str = f"{PREFIX}/L1") -> Result:
        return CliRunner().invoke(self._group, ["labels", lot, *self._more, *options])

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.out.iterdir())}

    def refusal(self, *options: str, lot: str = f"{PREFIX}/L1") -> dict[str, str]:
        done = self.labels(*options, lot=lot)
        assert done.exit_code == 1, done.output
        told: dict[str, str] = json.loads(done.stdout)
        return told


@pytest.fixture
def lot(config: Path, tmp_path: Path) -> Lot:
    return Lot(config, tmp_path / "out")


def address(index: int) -> str:
    return f"HTTPS://ID.EXAMPLE.CN/{code(index).identifier}"


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_picture_a_code_named_by_the_code(lot: Lot, form: str) -> None:
    """Each holds the address of its own code."""
    done = lot.labels("--format", form, "--from", "7", "--count", "3", "--json")
    assert json.loads(done.stdout) == {"folder": str(lot.out), "written": 3, "unchanged": 0}
    files = lot.files()
    assert list(files) == [f"L1{index:010}.{form}" for index in (7, 8, 9)]
    for index, data in zip((7, 8, 9), files.values(), strict=True):
        seen = read_svg(data.decode())[1] if form == "svg" else read_pixels(decode_png(data).rows)
        assert seen.content.decode() == address(index)


def test_a_sheet_for_every_24_codes(lot: Lot) -> None:
    """Named by the index of its first code; the index itself stands on no label."""
    assert lot.labels("--from", "3", "--count", "50").exit_code == 0
    files = lot.files()
    assert list(files) == ["sheet-0000003.svg", "sheet-0000027.svg", "sheet-0000051.svg"]
    assert [data.decode().count("单元 unit") for data in files.values()] == [24, 24, 2]


def test_text_for_a_printer_in_one_file(lot: Lot) -> None:
    """One label a code."""
    assert lot.labels("--format", "zpl", "--count", "30", "--dpi", "300").exit_code == 0
    ((name, data),) = lot.files().items()
    commands = parse_zpl(data.decode("ascii"))
    assert name == "labels-0000000.zpl"
    assert [each.rest.decode() for each in commands if each.rest.startswith(b"MA,")] == [
        f"MA,{address(index)}" for index in range(30)
    ]
    assert [each.name for each in commands].count("XA") == 30
    assert b"^BQN,2,5,M" in data


def test_forms_of_gs1_need_the_products_gtin(lot: Lot) -> None:
    """Digital Link and GS1 DataMatrix; without a GTIN, or for a case, they are refused."""
    assert lot.labels("--format", "svg", "--count", "1", "--digital-link").exit_code == 0
    assert lot.labels("--format", "png", "--count", "1", "--symbol", "gs1-datamatrix").exit_code == 0
    picture, drawing = (read_pixels(decode_png(data).rows) if name.endswith("png") else read_svg(data.decode())[1]
                        for name, data in lot.files().items())  # fmt: skip
    assert (picture.content.decode(), picture.identifier) == (f"01{GTIN:0>14}21L10000000000", "]d2")
    assert drawing.content.decode() == f"HTTPS://ID.EXAMPLE.CN/01/{GTIN:0>14}/21/L10000000000"
    for options in (("--digital-link",), ("--symbol", "gs1-datamatrix")):
        assert "箱" in lot.refusal("--from", str(UNITS), *options)["reason"]
    both = lot.labels("--digital-link", "--symbol", "gs1-datamatrix")
    assert (both.exit_code, "gs1-datamatrix" in both.stderr) == (2, True)


def test_a_digital_link_comes_with_a_warning(lot: Lot) -> None:
    """That it opens no page before the GTIN is an alias; both languages, not in the JSON; other symbols have none."""
    done = lot.labels("--format", "svg", "--count", "1", "--digital-link", "--json")
    assert json.loads(done.stdout)["written"] == 1
    assert "尚不是别名" in done.stderr
    assert f"saltern alias add PRODUCT gtin:{GTIN.zfill(14)}" in done.stderr
    assert lot.labels("--format", "svg", "--from", "1", "--count", "1").stderr == ""


@pytest.mark.parametrize("form", ["svg", "png", "sheet", "zpl"])
def test_files_are_their_owners_alone(lot: Lot, form: str) -> None:
    """The codes in them are genuine, and their names, too: whatever the umask."""
    before = os.umask(0)
    try:
        lot.labels("--format", form, "--count", "2")
    finally:
        os.umask(before)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in lot.out.iterdir())
    assert lot.out.stat().st_mode & 0o777 == 0o700


def test_the_same_again_changes_nothing(lot: Lot) -> None:
    """And goes on where an earlier one was cut."""
    lot.labels("--format", "svg", "--count", "5")
    before = lot.files()
    (lot.out / "L10000000002.svg").unlink()
    done = lot.labels("--format", "svg", "--count", "5", "--json")
    assert json.loads(done.stdout) == {"folder": str(lot.out), "written": 1, "unchanged": 4}
    assert lot.files() == before


@pytest.mark.parametrize("kind", ["file", "longer", "folder", "link"])
def test_a_file_that_holds_something_else_is_never_overwritten(lot: Lot, tmp_path: Path, kind: str) -> None:
    """It is named; what a link leads to is not written either."""
    lot.out.mkdir()
    path, other = lot.out / "L10000000001.svg", tmp_path / "other"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(other)
    else:
        path.write_bytes(b"mine" if kind == "file" else b"x" * 100_000)
    told = lot.refusal("--format", "svg", "--count", "3")
    assert told["outcome"] == "conflict"
    assert str(path) in told["reason"]
    assert not other.exists()
    if kind == "file":
        assert path.read_bytes() == b"mine"
    assert not (lot.out / "L10000000002.svg").exists()


def test_a_folder_that_cannot_be_made_is_told(lot: Lot) -> None:
    """With its name, not by a traceback."""
    lot.out.parent.joinpath("file").write_bytes(b"")
    lot.out = lot.out.parent / "file" / "below"
    told = lot.refusal("--format", "svg", "--out", str(lot.out))
    assert str(lot.out) in told["reason"]


def test_half_a_file_is_taken_away(lot: Lot) -> None:
    """A file that the system does not let grow is told and leaves nothing; then the command goes on."""
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, most))
    try:
        told = lot.refusal("--format", "svg", "--count", "2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    assert "L10000000000.svg" in told["reason"]
    assert lot.files() == {}
    assert lot.labels("--format", "svg", "--count", "2").exit_code == 0


def test_what_is_not_there_is_told(lot: Lot) -> None:
    """No lot, no codes in the range: nothing is written."""
    assert lot.refusal(lot=f"{PREFIX}/L2")["reason"].endswith("There is no such lot")
    for form in ("svg", "png", "sheet", "zpl"):
        assert lot.refusal("--from", "62", "--format", form)["outcome"] == "not-found"
    assert not lot.out.exists()


def test_the_count_is_bounded(lot: Lot) -> None:
    """By the parser of the command line."""
    for count in (0, limits.LABELS_MAX + 1):
        assert lot.labels("--count", str(count)).exit_code == 2
    assert not lot.out.exists()


@needs_zbar
def test_zbar_reads_the_files(lot: Lot) -> None:
    """As somebody with a scanner would."""
    lot.labels("--format", "png", "--count", "2")
    assert [zbar(path) for path in sorted(lot.out.iterdir())] == [[address(0)], [address(1)]]
