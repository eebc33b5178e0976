"""Labels are read back: symbols by two readers, sheets by their measures, ZPL by the commands that a printer sees."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import ean

from core import limits
from core.errors import ConfigError, LimitError, NodeError, Outcome, RecordError
from node.labels import drawing, gs1, sheet, symbols, zpl
from node.labels.symbols import Carrier, symbol
from node.labels.text import check_text, lines
from tests.kit.symbols import (  # fmt: skip
    RSVG,
    SVG,
    decode_png,
    needs_rsvg,
    needs_zbar,
    parse_zpl,
    read_path,
    read_pixels,
    read_svg,
    zbar,
)

IDENTIFIER = "88.118.7/L1ABCDEFGHJK"
SUFFIX = "L1ABCDEFGHJK"
BASE = "https://id.example.cn"
ADDRESS = "HTTPS://ID.EXAMPLE.CN/88.118.7/L1ABCDEFGHJK"
GTIN = "6901234567892"
ELEMENTS = "010690123456789221L1ABCDEFGHJK"
HOSTILE = ("\"><script>'&amp;</text>", "^XZ~JA^FD_5E\\", "盐业/批次 é", "]]><!--", "L1,^FS,_1", "x" * 200)

visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FFF), min_size=1, max_size=60).filter(
    str.isprintable
)
ascii_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=100)
serials = st.text("0123456789ABCDEFGHJKLMNPQRSTUVWXYZ-", min_size=11, max_size=20)


@pytest.fixture(params=["zxing-cpp", "segno"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The library that makes QR codes: without zxing-cpp it is segno."""
    if request.param == "segno":
        monkeypatch.setattr(symbols, "_zxing", None)
    return str(request.param)


# --- what a symbol holds ----------------------------------------------------


def test_an_address_is_what_the_resolver_answers_at() -> None:
    """Scheme and host in capitals, or the bare identifier where the node has no address."""
    assert gs1.address(BASE, IDENTIFIER) == f"{BASE}/{IDENTIFIER}"
    assert gs1.address(BASE + "/", IDENTIFIER) == f"{BASE}/{IDENTIFIER}"
    assert gs1.address("", IDENTIFIER) == IDENTIFIER
    assert gs1.address(BASE, '88.1/a b/%?#"é') == f"{BASE}/88.1/a%20b%2F%25%3F%23%22%C3%A9"
    assert gs1.printed(gs1.address(BASE, IDENTIFIER)) == ADDRESS
    assert gs1.printed("http://id.example.cn:8000/Salt/x") == "HTTP://ID.EXAMPLE.CN:8000/Salt/x"
    assert gs1.printed("https://id.example.cn") == "HTTPS://ID.EXAMPLE.CN"
    for other in (IDENTIFIER, "88.1/a://b", "ftp://a/b"):
        assert gs1.printed(other) == other
    with pytest.raises(RecordError):
        gs1.address(BASE, "88.1/\ud800")


def test_a_code_of_capitals_is_a_version_smaller(library: str) -> None:
    """The reason for the capitals: a Digital Link has 29 modules for 33."""
    link = gs1.digital_link(BASE, GTIN, SUFFIX)
    assert [len(symbol(Carrier.QR, each).rows) for each in (link, gs1.printed(link))] == [33, 29], library


@pytest.mark.parametrize("gtin", [GTIN, "06901234567892", "036000291452", "96385074", "00000096385074"])
def test_a_gtin_is_padded_to_fourteen_digits(gtin: str) -> None:
    """The check digit stays right under zeros in front."""
    padded = gs1.gtin14(gtin)
    assert (len(padded), padded[-len(gtin) :]) == (14, gtin)
    assert ean.is_valid(padded)


@pytest.mark.parametrize(
    "gtin",
    ["", "690123456789", "6901234567893", "69012345678 2", "690123456789２", "-901234567892", "1" * 15, "x" * 13],
)
def test_a_wrong_gtin_is_refused(gtin: str) -> None:
    """Wrong check digit, other lengths, blanks, full-width digits."""
    with pytest.raises(RecordError, match="GTIN"):
        gs1.element_string(gtin, SUFFIX)
    with pytest.raises(RecordError, match="GTIN"):
        gs1.digital_link(BASE, gtin, SUFFIX)


@given(st.text("0123456789", min_size=13, max_size=13))
def test_check_digits_agree_with_another_implementation(gtin: str) -> None:
    """python-stdnum has its own."""
    if ean.is_valid(gtin):
        assert gs1.gtin14(gtin) == "0" + gtin
    else:
        with pytest.raises(RecordError):
            gs1.gtin14(gtin)


def test_forms_of_gs1() -> None:
    """Element string and Digital Link; marks of the serial are percent-encoded in the link alone."""
    assert gs1.element_string(GTIN, SUFFIX) == ELEMENTS
    assert gs1.digital_link(BASE + "/", GTIN, SUFFIX) == f"{BASE}/01/06901234567892/21/{SUFFIX}"
    assert gs1.digital_link(BASE, GTIN, "a/%'") == f"{BASE}/01/06901234567892/21/a%2F%25%27"
    with pytest.raises(ConfigError, match=r"node\.public_url"):
        gs1.digital_link("", GTIN, SUFFIX)


def test_a_serial_has_at_most_twenty_characters_of_gs1() -> None:
    """The longest lot code and ten characters are exactly twenty."""
    longest = "L123456789" + "ABCDEFGHJK"
    assert gs1.serial(longest) == longest
    for wrong in ("", longest + "X", "盐", "a b", "a^b", "a~b", "a#b", "\n"):
        with pytest.raises(RecordError, match="GS1"):
            gs1.serial(wrong)


# --- symbols ----------------------------------------------------------------


@pytest.mark.parametrize("content", [ADDRESS, IDENTIFIER, *HOSTILE])
def test_a_qr_code_is_read_back(library: str, content: str) -> None:
    """SVG and PNG of either library hold the same text, at level M, whatever is in it."""
    matrix = symbol(Carrier.QR, content)
    title, seen = read_svg(drawing.svg(matrix, content))
    assert (title, seen.content, seen.identifier, seen.level) == (content, _octets(content, library), "]Q1", "M")
    assert read_pixels(decode_png(drawing.png(matrix)).rows) == seen


def _octets(content: str, library: str) -> bytes:
    """Return what is in the symbol: of zxing-cpp Latin-1 where that is enough, as readers expect; else UTF-8."""
    if library == "segno" or content.isascii():
        return content.encode()
    try:
        return content.encode("latin-1")
    except UnicodeEncodeError:
        return content.encode()


@needs_zbar
def test_zbar_reads_the_qr_codes(library: str, tmp_path: Path) -> None:
    """A second reader, which shares no code with the first."""
    for number, content in enumerate((ADDRESS, IDENTIFIER, gs1.printed(gs1.digital_link(BASE, GTIN, SUFFIX)))):
        picture = tmp_path / f"{number}.png"
        picture.write_bytes(drawing.png(symbol(Carrier.QR, content)))
        assert zbar(picture) == [content], library


@pytest.mark.parametrize("content", [ADDRESS, IDENTIFIER, *HOSTILE])
def test_a_datamatrix_is_read_back(content: str) -> None:
    """Nothing in the text is taken for an escape."""
    matrix = symbol(Carrier.DATAMATRIX, content)
    _, seen = read_svg(drawing.svg(matrix, content))
    assert (seen.content, seen.identifier) == (_octets(content, "zxing-cpp"), "]d1")
    assert read_pixels(decode_png(drawing.png(matrix)).rows) == seen


@given(serials)
def test_a_gs1_datamatrix_is_read_back_as_gs1(serial: str) -> None:
    """The reader says ]d2: FNC1 stands in front."""
    content = gs1.element_string(GTIN, serial)
    _, seen = read_svg(drawing.svg(symbol(Carrier.GS1_DATAMATRIX, content), serial))
    assert (seen.content, seen.identifier) == (content.encode(), "]d2")


@pytest.mark.parametrize("content", ["", ADDRESS, ELEMENTS[:18], "01069012345678932100A", ELEMENTS + "(10)A", "x\x00"])
def test_what_is_no_element_string_is_not_drawn_as_one(content: str) -> None:
    """Nor one whose serial the library would read as another element."""
    with pytest.raises(RecordError):
        symbol(Carrier.GS1_DATAMATRIX, content)


@given(st.text(max_size=80) | st.text("^~_\\", max_size=600))
def test_any_text_makes_a_symbol_or_is_refused(content: str) -> None:
    """Totality: no other error comes out."""
    for carrier in Carrier:
        try:
            symbol(carrier, content)
        except (RecordError, LimitError):
            assert carrier is Carrier.GS1_DATAMATRIX or not content.isprintable() or not 0 < len(content) <= 512


def test_a_text_is_bounded_in_octets() -> None:
    """Not in characters."""
    assert len(check_text("é" * 256)) == limits.LABEL_TEXT_BYTES_MAX
    for long in ("é" * 257, "x" * 513):
        with pytest.raises(LimitError):
            check_text(long)
    for wrong in ("", "a\nb", "\ud800", "\u202e", "\ufffe"):
        with pytest.raises(RecordError):
            check_text(wrong)


def test_datamatrix_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a traceback."""
    monkeypatch.setattr(symbols, "_zxing", None)
    with pytest.raises(NodeError, match=r"saltern\[labels\]") as caught:
        symbol(Carrier.DATAMATRIX, ADDRESS)
    assert caught.value.ended is Outcome.UNSUPPORTED


def test_a_picture_has_its_size_and_quiet_zone() -> None:
    """29 + 8 modules of 0.5 mm, in SVG and PNG; four modules of white on each side."""
    matrix = symbol(Carrier.QR, ADDRESS)
    root = ElementTree.fromstring(drawing.svg(matrix, IDENTIFIER))
    assert (root.attrib["width"], root.attrib["viewBox"]) == ("18.5mm", "0 0 37 37")
    picture = decode_png(drawing.png(matrix))
    assert len(picture.rows) / picture.per_metre == pytest.approx(0.0185)
    pixels = len(picture.rows) // 37
    dark = [(x, y) for y, row in enumerate(picture.rows) for x, value in enumerate(row) if value == 0]
    for axis in (0, 1):
        assert min(place[axis] for place in dark) == 4 * pixels
        assert max(place[axis] for place in dark) == 33 * pixels - 1


# --- sheets -----------------------------------------------------------------


def labels(count: int) -> list[sheet.Label]:
    matrix = symbol(Carrier.QR, ADDRESS)
    return [sheet.Label(matrix, f"88.118.7/L1{number:010}", "unit") for number in range(count)]


@pytest.mark.parametrize(("count", "pages"), [(0, []), (1, [1]), (24, [24]), (25, [24, 1]), (49, [24, 24, 1])])
def test_a_page_has_24_labels(count: int, pages: list[int]) -> None:
    """In order, the last page with what is left."""
    made = [ElementTree.fromstring(page) for page in sheet.pages(iter(labels(count)))]
    assert [len(page.findall(f".//{SVG}path")) for page in made] == pages
    texts = [text.text for page in made for text in page.iter(f"{SVG}text")]
    assert texts[::2] == [label.identifier for label in labels(count)]
    assert set(texts[1::2]) <= {"单元 unit"}


def test_a_page_is_print_true() -> None:
    """A4; every symbol is readable, of modules of 0.4 mm and more, inside its own label and off the edge."""
    matrix = symbol(Carrier.QR, ADDRESS)
    long = sheet.Label(matrix, "88.118.7/" + "L" * 100, "pallet")
    (page,) = sheet.pages([*labels(20), *[long] * 4])
    root = ElementTree.fromstring(page)
    assert (root.attrib["width"], root.attrib["height"]) == ("210mm", "297mm")
    assert root.attrib["viewBox"] == "0 0 210 297"
    for place, group in enumerate(root.findall(f".//{SVG}g[@transform]")):
        found = re.fullmatch(r"translate\((\S+) (\S+)\) scale\((\S+)\)", group.attrib["transform"])
        assert found is not None
        left, top, module = map(float, found.groups())
        assert limits.LABEL_MODULE_MM_MIN <= module <= 0.6
        row, column = divmod(place, 3)
        assert column * 70 + 4 <= left
        assert left + 37 * module <= column * 70 + 66
        assert row * 37 + 4 <= top
        assert top + 37 * module <= row * 37 + 34
        assert read_path(group[0].attrib["d"], 37).content == ADDRESS.encode()
    lowest = max(float(text.attrib["y"]) for text in root.iter(f"{SVG}text"))
    assert lowest <= 297 - 4


@pytest.mark.parametrize("identifier", HOSTILE[:-1])
def test_no_identifier_leaves_its_text(identifier: str) -> None:
    """The page is the same XML, with the identifier as text."""
    label = sheet.Label(symbol(Carrier.QR, ADDRESS), identifier, "case")
    (page,) = sheet.pages([label])
    root = ElementTree.fromstring(page)
    assert [text.text for text in root.iter(f"{SVG}text")] == [identifier, "箱 case"]
    assert len(list(root.iter())) == len(list(ElementTree.fromstring(next(sheet.pages(labels(1)))).iter()))


def test_what_has_no_room_is_refused() -> None:
    """A symbol of too many modules, or a text of too many lines; the message names it."""
    for label in (
        sheet.Label(symbol(Carrier.QR, "x" * 300), IDENTIFIER, "unit"),
        sheet.Label(symbol(Carrier.QR, ADDRESS), "88.118.7/" + "L" * 400, "unit"),
    ):
        with pytest.raises(LimitError, match=re.escape("88.118.7/L")):
            list(sheet.pages([label]))


@needs_zbar
@needs_rsvg
def test_a_printed_page_is_read_by_zbar(tmp_path: Path) -> None:
    """As another program rasters it, at the 300 dpi of an office printer."""
    assert RSVG is not None
    contents = [f"{ADDRESS[:-2]}{number:02}" for number in range(24)]
    (page,) = sheet.pages(sheet.Label(symbol(Carrier.QR, each), IDENTIFIER, "unit") for each in contents)
    (tmp_path / "page.svg").write_text(page, "utf-8")
    picture = tmp_path / "page.png"
    subprocess.run([RSVG, "-d", "300", "-p", "300", "-o", picture, tmp_path / "page.svg"], check=True)
    assert sorted(zbar(picture)) == contents


@given(visible, st.integers(2, 60))
def test_lines_put_together_are_the_identifier(identifier: str, columns: int) -> None:
    """Nothing is left out, nothing added, and no line is longer than it may be."""
    broken = list(lines(identifier, columns))
    assert "".join(broken) == identifier
    assert all(0 < len(line) <= columns for line in broken)


def test_lines_break_behind_the_prefix() -> None:
    """Then wherever a line is full; a Chinese character takes two columns."""
    assert list(lines(IDENTIFIER, 21)) == [IDENTIFIER]
    assert list(lines(IDENTIFIER, 20)) == ["88.118.7/", SUFFIX]
    assert list(lines(IDENTIFIER, 10)) == ["88.118.7/", "L1ABCDEFGH", "JK"]
    assert list(lines("88/盐盐盐", 4)) == ["88/", "盐盐", "盐"]


# --- ZPL --------------------------------------------------------------------

FIELD = ["FO", "A0", "FH", "FD", "FS"]


@given(visible, ascii_text, st.sampled_from([Carrier.QR, Carrier.DATAMATRIX]))
def test_no_text_leaves_its_field(identifier: str, content: str, carrier: Carrier) -> None:
    """A printer sees the same commands whatever the texts are, and in the fields exactly these texts."""
    text = zpl.label(identifier, content, kind="unit", carrier=carrier)
    assert text.isascii()
    commands = parse_zpl(text)
    broken = list(lines(identifier, 32))
    command = "BQ" if carrier is Carrier.QR else "BX"
    fields = [*FIELD * (len(broken) + 1), "FO", command, "FH", "FD", "FS"]
    assert [each.name for each in commands] == ["XA", "CI", *fields, "XZ"]
    *shown, kind, held = (each.rest for each in commands if each.name == "FD")
    assert (b"".join(shown).decode(), kind) == (identifier, b"unit")
    in_symbol = b"MA," + content.encode() if carrier is Carrier.QR else content.replace("_", "__").encode()
    assert held == in_symbol


@given(st.text(max_size=600), st.text(max_size=600))
def test_any_text_is_a_label_or_is_refused(identifier: str, content: str) -> None:
    """Totality, control characters and halves of pairs included."""
    try:
        commands = parse_zpl(zpl.label(identifier, content))
    except (RecordError, LimitError):
        return
    assert commands[0].name == "XA"
    assert [each.name for each in commands].count("XZ") == 1


def test_a_label_in_full() -> None:
    """Byte by byte, as a printer of 203 dpi gets it."""
    assert zpl.label(IDENTIFIER, ADDRESS, kind="unit") == (
        "^XA\n^CI28\n"
        "^FO16,16^A0N,20,20^FH^FD88.118.7/L1ABCDEFGHJK^FS\n"
        "^FO16,40^A0N,20,20^FH^FDunit^FS\n"
        "^FO16,72^BQN,2,4,M^FH^FDMA,HTTPS://ID.EXAMPLE.CN/88.118.7/L1ABCDEFGHJK^FS\n"
        "^XZ\n"
    )


def test_a_gs1_datamatrix_begins_with_fnc1() -> None:
    """_1 behind the escapes of the field; a _ of the serial is doubled."""
    text = zpl.label(IDENTIFIER, "010690123456789221A_B", carrier=Carrier.GS1_DATAMATRIX, dots_mm=12)
    assert "^BXN,5,200,,,,_^FH^FD_5F1010690123456789221A_5F_5FB^FS" in text
    assert [each.rest for each in parse_zpl(text) if each.name == "FD"][-1] == b"_1010690123456789221A__B"


@pytest.mark.parametrize(("dpi", "dots"), [(203, 4), (300, 5), (600, 10)])
def test_a_module_is_never_under_its_least_size(dpi: int, dots: int) -> None:
    """The magnification that is enough, of at most 10."""
    dots_mm = zpl.DOTS_MM[dpi]
    assert f"^BQN,2,{dots},M" in zpl.label(IDENTIFIER, ADDRESS, dots_mm=dots_mm)
    assert dots / dots_mm >= limits.LABEL_MODULE_MM_MIN


def test_a_printer_is_not_sent_what_it_would_draw_wrongly() -> None:
    """Octets above 7F in a symbol; in the text above it they may stand."""
    with pytest.raises(RecordError, match=r"node\.public_url"):
        zpl.label(IDENTIFIER, "88.1/盐")
    assert "_E7_9B_90" in zpl.label("88.1/盐", gs1.address(BASE, "88.1/盐"))
    with pytest.raises(LimitError):
        zpl.label(IDENTIFIER, "x" * 513)
