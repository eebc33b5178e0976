"""Exports are verified: manifest, digests, every row beside the entry of the log, by whoever signs them."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.entry import Software
from audit.export import PURPOSE, Days, export
from audit.mirror import Comparison
from audit.query import LogReader
from audit.tile import unpack_bundle
from audit.verify import Report, read_keys, verify
from core.clock import DAY_MS, month_start
from core.ident.handle import HandleRules
from core.signature import Signer
from core.streams import Stream
from tests.kit.log_folders import SEED, LogFolder, document, row

START = month_start("2026-11")
ODD = ("=1+1", "-1", "\tx", "\rx", "'=1", "''", 'a"b,c\r\nd', "", "盐", "a\x00b", "x=1")
OTHER = bytes(range(1, 33))
Change = Callable[[list[str]], list[str]]


def make(data: Path) -> str:
    """Make two months of changes and resolutions, an entry of the one late in the other; return the key."""
    for stream in (Stream.CHANGE, Stream.RESOLUTION):
        before = b""
        for month, begin in (("2026-10", START - 3 * DAY_MS), ("2026-11", START)):
            made = LogFolder(data / "log", stream, month, before=before)
            if stream is Stream.CHANGE:
                times = [START - 1, *(begin + step * DAY_MS // 2 for step in range(6))]
                made.entries(*[document(stream, at, "record.change", f"88.1/{odd}", reason=odd or None)
                               for at in times for odd in ODD])  # fmt: skip
            else:
                times = [begin + step * DAY_MS // 400 for step in range(1_200)]
                rows = [row(f"88.1/{ODD[step % 11]}", address="" if step % 3 else "192.0.2.7") for step in range(1_200)]
                made.resolutions(times, rows)
            before = made.checkpoint
    return made.key.vkey


def write_export(data: Path, form: str, stream: Stream, first: str = "2026-10-31", last: str = "2026-11-01") -> Path:
    out = data / "exports" / f"{stream.value}-{form}"
    days = Days(datetime.date.fromisoformat(first), datetime.date.fromisoformat(last))
    reader = LogReader(data, Comparison(HandleRules().fold, False))
    signer = Signer(Ed25519PrivateKey.from_private_bytes(SEED))
    export(reader, stream, days, form, out, signer=signer, software=Software("88.118", "0.1.0"), now_ms=START)
    return out


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    data = tmp_path_factory.mktemp("exported")
    vkey = make(data)
    for stream in (Stream.CHANGE, Stream.RESOLUTION):
        for form in ("csv", "jsonl", "parquet"):
            write_export(data, form, stream)
    return data, vkey


@pytest.fixture
def spoilt(pattern: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy with the log and one export of changes as JSON lines."""
    shutil.copytree(pattern[0] / "log", tmp_path / "log")
    shutil.copytree(pattern[0] / "exports/change-jsonl", tmp_path / "export")
    return tmp_path


def sign_again(folder: Path, change: Callable[[dict[str, Any]], None], seed: bytes = SEED) -> None:
    """Change a manifest, and sign it with a key."""
    told = json.loads((folder / "manifest.json").read_text())
    change(told)
    told.pop("signature")
    signed = Signer(Ed25519PrivateKey.from_private_bytes(seed)).sign_document(PURPOSE, told)
    (folder / "manifest.json").write_text(json.dumps(signed))


def rewrite(folder: Path, change: Change, seed: bytes = SEED) -> None:
    """Change the lines of the file, and have the manifest say so: digests, length, counts of the file and in all."""
    path = folder / "change-0001.jsonl"
    lines = change(path.read_text().splitlines(keepends=True))
    octets = "".join(lines).encode()
    path.write_bytes(octets)

    def said(told: dict[str, Any]) -> None:
        told["files"][0] |= {
            "entries": len(lines), "bytes": len(octets), "sha256": hashlib.sha256(octets).hexdigest(),
            "sm3": hashlib.new("sm3", octets).hexdigest(),
        }  # fmt: skip
        told["entries"] = len(lines)
        for month in told["months"]:
            leaves = [told["index"] for told in map(json.loads, lines) if told["month"] == month["month"]]
            month |= {"entries": len(leaves), "first_leaf": leaves[0], "last_leaf": leaves[-1]}

    sign_again(folder, said, seed)


def words(report: Report) -> str:
    return " ".join(f"{problem.where}: {problem.what}" for problem in report.problems)


def test_honest_exports_verify_beside_their_log_and_alone(pattern: tuple[Path, str]) -> None:
    """Every form of every stream; odd texts, late entries, unknown clients; rows are compared where the log is."""
    data, vkey = pattern
    report = verify(data, read_keys(vkey))
    assert report.problems == []
    for label, told in report.exports.items():
        assert told["trusted"], label
        assert told["entries"] > 50
        assert told["compared"] == (0 if told["form"] == "parquet" else told["entries"]), label
    assert any("parquet were not compared" in note for note in report.notes)
    for folder in (data / "exports").iterdir():
        alone = verify(folder, read_keys(vkey))
        assert alone.problems == []
        assert [told["compared"] for told in alone.exports.values()] == [0]
    assert list(verify(data / "exports/change-csv").exports) == ["change-csv"]
    assert any("the log is not here" in note for note in verify(data / "exports/change-csv").notes)
    assert "consistent with itself only" in verify(data / "exports/change-csv").trust


@given(st.data())
def test_every_octet_of_an_export_matters(pattern: tuple[Path, str], data: st.DataObject) -> None:
    """Of each file by its digests, of the manifest by its signature; but for blanks between the manifest's members."""
    form = data.draw(st.sampled_from(("csv", "jsonl", "parquet")))
    folder = pattern[0] / "exports" / f"change-{form}"
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    octets = path.read_bytes()
    at = data.draw(st.integers(0, len(octets) - 1))
    changed = octets[:at] + bytes([octets[at] ^ data.draw(st.integers(1, 255))]) + octets[at + 1 :]
    path.write_bytes(changed)
    try:
        report = verify(folder, read_keys(pattern[1]))
    finally:
        path.write_bytes(octets)
    try:
        redundant = path.name == "manifest.json" and json.loads(changed) == json.loads(octets)
    except ValueError:
        redundant = False
    assert report.ok is redundant


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda lines: [*lines[:7], lines[7].replace("Li", "Wu"), *lines[8:]], "line 8, 2026-10 index"),
        (lambda lines: [*lines[:7], *lines[8:]], "line 8, 2026-10 index"),
        (lambda lines: [*lines[:7], lines[7], *lines[7:]], "line 9, 2026-10 index"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1, 2026-10 index"),
        (lambda lines: lines[:-1], "what follows are missing"),
        (lambda lines: [*lines, lines[-1]], "this row was added"),
        (lambda lines: [*lines[:7], "{}\n", *lines[8:]], "line 8"),
    ],
    ids=("altered", "left out", "twice", "swapped", "the last one left out", "the last one twice", "no entry"),
)
def test_a_row_that_is_not_the_log_is_named_even_if_the_node_signed_it(
    spoilt: Path, pattern: tuple[Path, str], change: Change, what: str
) -> None:
    """Digests, counts and signature fit: only the log says otherwise."""
    if what == "line 8":
        lines = (spoilt / "export/change-0001.jsonl").read_text().splitlines(keepends=True)
        octets = "".join(change(lines)).encode()
        (spoilt / "export/change-0001.jsonl").write_bytes(octets)
        digests = {
            "bytes": len(octets),
            "sha256": hashlib.sha256(octets).hexdigest(),
            "sm3": hashlib.new("sm3", octets).hexdigest(),
        }
        sign_again(spoilt / "export", lambda told: told["files"][0].update(digests))
    else:
        rewrite(spoilt / "export", change)
        assert verify(spoilt / "export", read_keys(pattern[1])).ok
    report = verify(spoilt, read_keys(pattern[1]))
    assert what in words(report)
    assert len(report.problems) == 1


def test_another_key_does_not_sign_an_export(spoilt: Path, pattern: tuple[Path, str]) -> None:
    """Whatever it says; and the log beside it shows the altered row."""
    rewrite(spoilt / "export", lambda lines: [lines[0].replace("Li", "Wu"), *lines[1:]], OTHER)
    report = verify(spoilt, read_keys(pattern[1]))
    assert "manifest is not signed by a trusted key" in words(report)
    assert "the row was altered" in words(report)


def test_an_export_of_a_log_that_was_rewritten_shows_it(spoilt: Path, pattern: tuple[Path, str]) -> None:
    """Its checkpoints are held against the log: rolled back, or another history."""
    month = spoilt / "log/change/2026-11"
    shutil.rmtree(month)
    made = LogFolder(
        spoilt / "log", Stream.CHANGE, "2026-11", before=(spoilt / "log/change/2026-10/checkpoint").read_bytes()
    )
    assert "rolled back" in words(verify(spoilt, read_keys(pattern[1])))
    made.entries(*[document(Stream.CHANGE, START, "x", "y") for _ in range(100)])
    assert "history was rewritten" in words(verify(spoilt, read_keys(pattern[1])))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda told: told.update(entries=told["entries"] + 1), "the counts differ"),
        (lambda told: told["months"][1].update(last_leaf=9), "not those that the manifest says"),
        (lambda told: told["months"].pop(), "leaves out log/change/2026-11"),
        (lambda told: told["months"][0].update(size=3), "manifest cannot be read"),
        (lambda told: told["files"][0].update(name="../export/change-0001.jsonl"), "manifest cannot be read"),
        (lambda told: told["files"].clear(), "the manifest does not have this file"),
        (lambda told: told.update(stream="registration"), "of another log"),
        (lambda told: told.update(version=2), "manifest cannot be read"),
    ],
)  # fmt: skip
def test_a_manifest_that_contradicts_itself_is_told(
    spoilt: Path, pattern: tuple[Path, str], change: Callable[[dict[str, Any]], None], what: str
) -> None:
    """Also if the node signed it."""
    sign_again(spoilt / "export", change)
    assert what in words(verify(spoilt, read_keys(pattern[1])))


def test_files_of_an_export_that_are_missing_or_strange_are_named(spoilt: Path, pattern: tuple[Path, str]) -> None:
    """Each, by its name."""
    keys = read_keys(pattern[1])
    for name in ("change-0001.jsonl", "checkpoint-2026-10"):
        octets = (spoilt / "export" / name).read_bytes()
        (spoilt / "export" / name).unlink()
        assert f"{name}: " in words(verify(spoilt / "export", keys))
        (spoilt / "export" / name).write_bytes(octets)
    (spoilt / "export/more.csv").write_text("x")
    assert "more.csv: " in words(verify(spoilt / "export", keys))
    for text in ("[" * 100_000, '{"format": "saltern-log-export", "version": 1, "entries": 1e999}', "[]", "{}", "\xff"):
        (spoilt / "export/manifest.json").write_text(text, "latin-1")
        assert "manifest cannot be read" in words(verify(spoilt / "export", keys))


def test_a_block_that_cannot_be_opened_is_told(pattern: tuple[Path, str], tmp_path: Path) -> None:
    """Its head is in order, and so is the tree; what it should say is in the export."""
    shutil.copytree(pattern[0] / "log", tmp_path / "log")
    shutil.copytree(pattern[0] / "exports/resolution-csv", tmp_path / "export")
    month = tmp_path / "log/resolution/2026-11"
    leaves = unpack_bundle((month / "tile/entries/000.p/4").read_bytes())
    shutil.rmtree(month)
    made = LogFolder(tmp_path / "log", Stream.RESOLUTION, "2026-11", before=leaves[0])
    made.publish(leaves[1][:40] + bytes(40), *leaves[2:])
    assert verify(tmp_path / "log", read_keys(pattern[1])).ok
    assert "rows behind it were not compared" in words(verify(tmp_path, read_keys(pattern[1])))
    shutil.rmtree(month)
    made = LogFolder(tmp_path / "log", Stream.RESOLUTION, "2026-11", before=leaves[0])
    made.publish(b"{}", *leaves[1:])
    assert "rows behind it were not compared" in words(verify(tmp_path, read_keys(pattern[1])))


def test_exports_of_single_entries_need_nothing_of_the_node(pattern: tuple[Path, str]) -> None:
    """Only blocks of resolutions do."""
    program = (
        "import sys; from audit.verify import verify; "
        f"report = verify({str(pattern[0] / 'exports/change-csv')!r}); "
        f"assert report.ok and verify({str(pattern[0] / 'log/change')!r}).problems == []; "
        "assert not {'core', 'node', 'msgpack', 'audit.block'} & set(sys.modules)"
    )
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env={"PYTHONPATH": root}
    )
    assert ended.returncode == 0, ended.stderr
