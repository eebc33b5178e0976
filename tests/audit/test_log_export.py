"""Exports of the logs: exactly the entries of the days, in files that say so and that no spreadsheet runs."""

from __future__ import annotations

import base64
import csv
import datetime
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from audit.entry import Software, dump
from audit.export import Days, ExportError, export
from audit.export_files import COLUMNS, FORMS, safe_cell
from audit.mirror import Comparison, bring_up_to_date
from audit.query import LogReader
from audit.reading import LogReadError
from core import limits
from core.clock import DAY_MS, month_start
from core.ident.handle import HandleRules
from core.signature import Signer, verify_document
from core.streams import Stream
from tests.kit.log_folders import SEED, LogFolder, document, row

START = month_start("2026-11")
COMPARISON = Comparison(HandleRules().fold, False)
ODD = ("=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "'=1", "＝1", 'a"b,c\r\nd', "", "盐", "a\x00b", "x=1")


def made_log(data: Path) -> list[dict[str, Any]]:
    """Make two months of changes and resolutions; return the entries of the change log."""
    entries: list[dict[str, Any]] = []
    before = b""
    for month, begin in (("2026-10", START - 3 * DAY_MS), ("2026-11", START)):
        folder = LogFolder(data / "log", Stream.CHANGE, month, before=before)
        some = [
            document(Stream.CHANGE, begin + day * DAY_MS, f"{odd}act", odd, reason=odd or None)
            for day in range(3)
            for odd in ODD
        ]
        if month == "2026-11":  # came late: it lies in the log of the month behind its own
            some.insert(0, document(Stream.CHANGE, START - 1, "record.change", "late"))
        folder.entries(*some)
        entries += some
        before = folder.checkpoint
        resolutions = LogFolder(data / "log", Stream.RESOLUTION, month)
        resolutions.resolutions(
            [begin + number * DAY_MS // 4 for number in range(12)],
            [row(f"88.1/{odd}", address="" if number % 3 else "192.0.2.7") for number, odd in enumerate(ODD[:12])],
        )
    return entries


def exported(
    data: Path, out: Path, form: str, first: str = "2026-10-01", last: str = "2026-11-30",
    stream: Stream = Stream.CHANGE,
) -> dict[str, Any]:  # fmt: skip
    signer = Signer(Ed25519PrivateKey.from_private_bytes(SEED))
    days = Days(datetime.date.fromisoformat(first), datetime.date.fromisoformat(last))
    return export(
        LogReader(data, COMPARISON), stream, days, form, out,
        signer=signer, software=Software("88.118", "0.1.0"), now_ms=START,
    )  # fmt: skip


def read_rows(out: Path, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of an export as the columns have them, read by what reads such files."""
    rows: list[dict[str, Any]] = []
    for each in manifest["files"]:
        path = out / each["name"]
        match manifest["form"]:
            case "parquet":
                found = duckdb.execute(f"SELECT * FROM read_parquet('{path}')")
                names = [column[0] for column in found.description]
                rows += [dict(zip(names, values, strict=True)) for values in found.fetchall()]
            case "csv":
                text = path.read_bytes().decode("utf-8-sig")
                heads, *lines = csv.reader(io.StringIO(text, newline=""))
                names = [head.split(" ")[1] for head in heads]
                rows += [dict(zip(names, map(unsafe, line), strict=True)) for line in lines]
            case "jsonl":
                rows += map(flat, map(json.loads, path.read_bytes().splitlines()))
    return rows


def unsafe(cell: str) -> str:
    return cell.removeprefix("'")


def flat(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a line of JSON as columns; the one that only repeats the time is left out."""
    who, origin, ended = entry.pop("who"), entry.pop("from"), entry.pop("res")
    entry |= {f"who_{name}": value for name, value in who.items()}
    return {**entry, **origin, **ended}


def plain(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return rows as texts, empty for nothing: all that a spreadsheet tells apart."""
    names = [column.name for column in COLUMNS if column.name != "shanghai"]
    return [{name: "" if each.get(name) is None else str(each.get(name)) for name in names} for each in rows]


@pytest.mark.parametrize("form", FORMS)
def test_an_export_holds_exactly_the_entries_of_its_days(tmp_path: Path, form: str) -> None:
    """Late ones too, in the order of the log; digests, counts and indexes are those of the files."""
    entries = made_log(tmp_path)
    out = tmp_path / "out"
    manifest = exported(tmp_path, out, form, "2026-10-30", "2026-11-02")
    wanted = [entry for entry in entries if "2026-10-29T16" <= entry["t"] < "2026-11-02T16"]
    assert manifest["entries"] == len(wanted) == 4 * len(ODD) + 1
    rows = read_rows(out, manifest)
    places = [dict(flat(dict(entry))) for entry in wanted]
    assert [{**each, "month": "", "index": ""} for each in plain(rows)] == plain(places)
    for each in manifest["files"]:
        octets = (out / each["name"]).read_bytes()
        assert (each["bytes"], each["sha256"]) == (len(octets), hashlib.sha256(octets).hexdigest())
        assert each["sm3"] == hashlib.new("sm3", octets).hexdigest()
    first, second = manifest["months"]
    assert (first["month"], first["first_leaf"], first["last_leaf"]) == ("2026-10", len(ODD) + 1, 3 * len(ODD))
    assert (second["month"], second["first_leaf"], second["last_leaf"]) == ("2026-11", 1, 1 + 2 * len(ODD))
    for month in manifest["months"]:
        note = (tmp_path / "log" / "change" / month["month"] / "checkpoint").read_bytes()
        assert month["checkpoint"].encode() == note == (out / month["checkpoint_file"]).read_bytes()
        assert (month["size"], month["first_row"]) == (int(note.split(b"\n")[1]), None)
    files = [each["name"] for each in manifest["files"]] + [each["checkpoint_file"] for each in manifest["months"]]
    assert sorted(path.name for path in out.iterdir()) == sorted(["manifest.json", *files])


@pytest.mark.parametrize("form", FORMS)
def test_a_resolution_has_its_row(tmp_path: Path, form: str) -> None:
    """And what is not known of its client stays empty."""
    made_log(tmp_path)
    manifest = exported(tmp_path, tmp_path / "out", form, stream=Stream.RESOLUTION)
    rows = read_rows(tmp_path / "out", manifest)
    assert [(each["month"], int(each["index"]), int(each["row"])) for each in rows] == [
        (month, 1, number) for month in ("2026-10", "2026-11") for number in range(12)
    ]
    assert [each["obj"] for each in rows[:12]] == [f"88.1/{odd}" for odd in ODD[:12]]
    assert [each["net"] or "" for each in rows[:3]] == ["192.0.2.0/24", "", ""]
    month = manifest["months"][0]
    assert [month[name] for name in ("first_leaf", "first_row", "last_leaf", "last_row")] == [1, 0, 1, 11]


def test_the_manifest_is_checked_without_the_node(tmp_path: Path) -> None:
    """By the canonical form and the octets that the manual names; one changed member, and it is not good any more."""
    made_log(tmp_path)
    exported(tmp_path, tmp_path / "out", "jsonl")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert verify_document("log-export", manifest) is not None
    signature = manifest.pop("signature")
    public = base64.b64decode(signature["public_key"])
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    key = Ed25519PublicKey.from_public_bytes(public)
    key.verify(base64.b64decode(signature["value"]), b"saltern log-export\n" + text)
    assert signature["key_id"] == hashlib.sha256(public).hexdigest()[:32]
    assert verify_document("log-export", manifest | {"entries": 1, "signature": signature}) is None


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_same_days_give_the_same_octets(tmp_path: Path, form: str) -> None:
    """With a mirror and without one, and whatever was logged since."""
    made_log(tmp_path)
    for stream in (Stream.CHANGE, Stream.RESOLUTION):
        first = exported(tmp_path, tmp_path / f"1-{stream.value}", form, stream=stream)
        bring_up_to_date(tmp_path / "log", tmp_path / "mirror", COMPARISON, START)
        second = exported(tmp_path, tmp_path / f"2-{stream.value}", form, stream=stream)
        assert first["files"] == second["files"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stream", [Stream.CHANGE, Stream.RESOLUTION, Stream.MAINTENANCE])
def test_days_without_entries_are_exported_as_such(tmp_path: Path, form: str, stream: Stream) -> None:
    """One file with nothing in it; a month that is there is told, with its checkpoint."""
    made_log(tmp_path)
    manifest = exported(tmp_path, tmp_path / "out", form, "2026-11-20", "2026-11-21", stream)
    assert (manifest["entries"], [each["entries"] for each in manifest["files"]]) == (0, [0])
    assert read_rows(tmp_path / "out", manifest) == []
    there = [] if stream is Stream.MAINTENANCE else ["2026-11"]
    assert [(m["month"], m["entries"], m["first_leaf"]) for m in manifest["months"]] == [(m, 0, None) for m in there]


@pytest.mark.parametrize("form", FORMS)
def test_a_large_export_is_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Each one opens in Excel; together they are the whole."""
    entries = made_log(tmp_path)
    monkeypatch.setattr(limits, "EXPORT_FILE_ROWS", 20)
    manifest = exported(tmp_path, tmp_path / "out", form)
    assert [each["entries"] for each in manifest["files"]] == [20, 20, 20, 20, len(entries) - 80]
    rows = read_rows(tmp_path / "out", manifest)
    assert [each["obj"] or "" for each in rows] == [entry["obj"] for entry in entries]


def test_a_line_of_json_is_the_entry_of_the_log(tmp_path: Path) -> None:
    """Without the place it is the leaf, octet by octet."""
    made_log(tmp_path)
    out = tmp_path / "out"
    manifest = exported(tmp_path, out, "jsonl", "2026-11-01", "2026-11-03")
    log = LogReader(tmp_path, COMPARISON)
    leaves = {
        f.leaf: dump(f.document) for f in log.find(Stream.CHANGE, Days(*[datetime.date(2026, 11, 1)] * 2).question)
    }
    for line in (out / manifest["files"][0]["name"]).read_bytes().splitlines()[: len(ODD)]:
        entry = json.loads(line)
        del entry["month"]
        assert dump({name: value for name, value in entry.items() if name != "index"}) == leaves[entry["index"]]


@given(st.text() | st.sampled_from(ODD))
def test_no_cell_begins_with_what_a_spreadsheet_runs(text: str) -> None:
    """And the cell can be had back."""
    cell = safe_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert cell.removeprefix("'") == text


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A folder that was there stays, empty; one that is not empty is refused, and nothing in it is touched."""
    made_log(tmp_path)
    (tmp_path / "log" / "change" / "2026-11" / "tile" / "entries" / "000.p" / "44").unlink()
    for there in (False, True):
        out = tmp_path / f"out-{there}"
        if there:
            out.mkdir()
        with pytest.raises(LogReadError, match=r"000\.p/44"):
            exported(tmp_path, out, "csv")
        assert (out.exists(), there and any(out.iterdir())) == (there, False)
    (out / "mine").write_text("x")
    with pytest.raises(ExportError, match="not empty"):
        exported(tmp_path, out, "csv", last="2026-10-31")
    assert [path.name for path in out.iterdir()] == ["mine"]
    with pytest.raises(ExportError, match="no folder"):
        exported(tmp_path, out / "mine", "csv", last="2026-10-31")
