"""``saltern report inspection``: the pack for an inspector holds what it says, proves itself, and has no secret."""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import audit.inspection
import node.inspection
from audit.block import is_block, open_body, pack_blocks
from audit.checkpoint import Checkpoint
from audit.clients import Client
from audit.export import Days
from audit.inspection import needed, read_parts, take_months
from audit.note import ed25519_key, sign_note
from audit.reading import LogReadError
from audit.side import KEY_FILE, read_side
from audit.tile import unpack_bundle
from audit.verify import Keys, Report, verify
from core.clock import Millis, month_start
from core.config import load
from core.errors import Outcome
from core.events import Via
from core.signature import verify_document
from core.store.engine import Table
from core.store.log_rows import unpack_log_row
from core.streams import Stream
from node import wiring
from node.cli.main import cli
from node.inspection import make_pack
from node.leaks import LeakError
from node.signing import load_signer, signing_key_pem
from tests.kit.governance import ROWS
from tests.kit.log_folders import NODE, SEED, LogFolder, document, row
from tests.kit.node import Node
from tests.kit.node import saltern as run_saltern

MONTHS = ("2026-04", "2026-05", "2026-10", "2026-11")
DROPPED = "2026-04"
DAY_MS = 86_400_000
NOW = Millis(month_start("2026-12") - DAY_MS)
TRUSTED = Keys((Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw(),))


def saltern(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def month_of(at_ms: int, months: tuple[str, ...] = MONTHS) -> str:
    return max(month for month in months if month_start(month) <= at_ms)


def write_logs(log: Path) -> dict[tuple[Stream, str], LogFolder]:
    """Write the logs of some months; April was dropped on record in November, of all streams but maintenance."""
    folders: dict[tuple[Stream, str], LogFolder] = {}
    for stream in Stream:
        before = b""
        for month in MONTHS:
            made = folders[stream, month] = LogFolder(log, stream, month, before=before, clients_key=b"c" * 32)
            begin = month_start(month)
            if stream is Stream.RESOLUTION:
                rows = [row(f"88.118/{at}", via=Via(at % 2 + 3), address=f"203.0.113.{at % 200}") for at in range(900)]
                made.resolutions([begin + at * 1_000 for at in range(900)], rows)
            else:
                made.entries(*[document(stream, begin + at, f"{stream.value}.act", f"X{at}") for at in range(300)])
            before = made.checkpoint
    for stream in (Stream.REGISTRATION, Stream.RESOLUTION, Stream.CHANGE):
        gone = folders.pop((stream, DROPPED))
        text = " ".join(gone.checkpoint.decode().split("\n")[:3])
        entry = document(
            Stream.MAINTENANCE, month_start("2026-11") + DAY_MS, "log.drop", f"{stream.value}/{DROPPED}", reason=text
        )  # fmt: skip
        folders[Stream.MAINTENANCE, "2026-11"].entries(entry)
        subprocess.run(["rm", "-r", str(gone.folder)], check=True)
    return folders


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node whose logs are signed with its key."""
    assert saltern("init", tmp_path / "node", "--prefix", NODE).exit_code == 0
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    (tmp_path / "node/keys/node.pem").write_bytes(signing_key_pem(key))
    return tmp_path / "node" / "node.toml"


@pytest.fixture
def logs(config: Path) -> dict[tuple[Stream, str], LogFolder]:
    return write_logs(config.parent / "data/log")


def inspect(config: Path, first: str, last: str, out: Path, *more: str) -> Result:
    return saltern("report", "inspection", "--config", config, "--from", first, "--to", last, "--out", out, *more)


def unpacked(pack: Path, folder: Path) -> Path:
    with zipfile.ZipFile(pack) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def told(report: Report) -> list[str]:
    return [f"{each.where}: {each.what}" for each in report.problems]


def make(config: Path, first: str, last: str, file: IO[bytes]) -> dict[str, Any]:
    loaded = load(config)

    @contextlib.contextmanager
    def reading() -> Iterator[Any]:
        store = wiring.open_store(loaded, read_only=True)
        with store.snapshot() as snapshot:
            yield snapshot
        store.close()

    days = Days(datetime.date.fromisoformat(first), datetime.date.fromisoformat(last))
    return make_pack(
        file, loaded, reading, days, signer=load_signer(loaded), actor="Li", now_ms=NOW, begin=lambda _: lambda _: None
    ).manifest  # fmt: skip


# --- what is in it


@pytest.mark.parametrize(
    ("first", "last", "included"),
    [
        ("2026-11-03", "2026-11-03", ("2026-11",)),
        ("2026-10-31", "2026-11-01", ("2026-10", "2026-11")),
        ("2026-05-10", "2026-05-20", ("2026-05",)),
        ("2026-04-01", "2026-04-30", ()),
        ("2026-01-01", "2026-12-31", MONTHS[1:]),
        ("2025-01-01", "2025-01-31", ()),
    ],
)
def test_a_pack_has_the_months_of_the_days_and_is_verified(
    config: Path, logs: object, tmp_path: Path, first: str, last: str, included: tuple[str, ...]
) -> None:
    """Of maintenance all later ones, too. The whole pack, its log folder, and one stream of it."""
    ended = inspect(config, first, last, tmp_path / "pack.zip", "--json")
    assert ended.exit_code == 0, ended.output
    folder = unpacked(tmp_path / "pack.zip", tmp_path / "unpacked")
    for stream in Stream:
        there = sorted(each.name for each in (folder / "log" / stream.value).glob("*"))
        later = tuple(month for month in MONTHS if month >= first[:7])
        assert tuple(there) == (later if stream is Stream.MAINTENANCE else included)
        assert {each.name for each in (folder / "checkpoints").glob(f"{stream.value}-*")} == {
            f"{stream.value}-{month}" for month in MONTHS if month != DROPPED or stream is Stream.MAINTENANCE
        }
    for path in (folder, folder / "log", *(folder / "log").iterdir()):
        report = verify(path, TRUSTED)
        assert report.ok, told(report)
    assert verify(folder).ok
    assert verify(folder, TRUSTED).exports == {"unpacked": {
        "from": first, "to": last, "files": len(json.loads((folder / "manifest.json").read_text())["files"]),
        "signed": True, "trusted": True,
    }}  # fmt: skip


def test_the_checkpoints_of_the_pack_are_checkpoints_to_verify_by(config: Path, logs: object, tmp_path: Path) -> None:
    """Also those of months that are left out."""
    make(config, "2026-10-01", "2026-10-31", (tmp_path / "pack.zip").open("wb"))
    folder = unpacked(tmp_path / "pack.zip", tmp_path / "unpacked")
    given = [(each.name, each.read_bytes()) for each in sorted((folder / "checkpoints").iterdir())]
    assert len(given) == 13
    report = verify(folder, TRUSTED, given)
    assert report.ok, told(report)


def test_the_manifest_has_each_file(config: Path, logs: object, tmp_path: Path) -> None:
    """By length and digests; tiles by the lists, which other tools read; nothing is named that is not there."""
    with (tmp_path / "pack.zip").open("wb") as file:
        manifest = make(config, "2026-11-01", "2026-11-30", file)
    assert verify_document("inspection", manifest) is not None
    folder = unpacked(tmp_path / "pack.zip", tmp_path / "unpacked")
    assert json.loads((folder / "manifest.json").read_text()) == manifest
    assert (manifest["node"], manifest["actor"], manifest["from"]) == (NODE, "Li", "2026-11-01")
    files = {each["name"]: each for each in manifest["files"]}
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {name for name in names if "/tile/" not in name} == files.keys() | {"manifest.json"}
    for name, each in files.items():
        octets = (folder / name).read_bytes()
        assert each["bytes"] == len(octets)
        assert each["sha256"] == hashlib.sha256(octets).hexdigest()
        assert each["sm3"] == hashlib.new("sm3", octets).hexdigest()
    listed = names - {"manifest.json", "README.txt", "SHA256SUMS", "SM3SUMS"}
    for sums, kind in (("SHA256SUMS", "sha256"), ("SM3SUMS", "sm3")):
        lines = dict(line.split("  ")[::-1] for line in (folder / sums).read_text().splitlines())
        assert lines == {name: hashlib.new(kind, (folder / name).read_bytes()).hexdigest() for name in listed}
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder).returncode == 0


def test_the_same_pack_has_the_same_octets(config: Path, logs: object) -> None:
    """Order and times are fixed; no name leads out of the folder."""
    packs = [io.BytesIO(), io.BytesIO()]
    for pack in packs:
        make(config, "2026-10-01", "2026-11-30", pack)
    assert packs[0].getvalue() == packs[1].getvalue()
    with zipfile.ZipFile(packs[0]) as archive:
        for each in archive.infolist():
            assert each.date_time == (1980, 1, 1, 0, 0, 0)
            assert not each.filename.startswith("/")
            assert ".." not in each.filename


def test_the_statistics_count_the_days_in_shanghai(config: Path, logs: dict[Any, LogFolder], tmp_path: Path) -> None:
    """The last millisecond of a day counts, the next one is another day."""
    midnight = month_start("2026-11") + 10 * DAY_MS
    times = [midnight - 1, midnight, midnight + DAY_MS - 1, midnight + DAY_MS]
    rows = [
        row("88.118/x", via=Via.HANDLE_UDP, outcome=outcome)
        for outcome in (Outcome.OK, Outcome.OK, Outcome.HANDLE_NOT_FOUND, Outcome.OK)
    ]
    logs[Stream.RESOLUTION, "2026-11"].resolutions(times, rows)
    change = logs[Stream.CHANGE, "2026-11"]
    change.entries(*[document(Stream.CHANGE, at, "record.change", "88.118/x") for at in times])
    day = "2026-11-11"
    assert inspect(config, day, day, tmp_path / "pack.zip").exit_code == 0
    with zipfile.ZipFile(tmp_path / "pack.zip") as archive:
        counted = json.loads(archive.read("statistics.json"))
    assert counted["resolutions"] == [
        {"month": "2026-11", "protocol": "udp", "outcome": outcome, "count": 1}
        for outcome in ("handle-not-found", "ok")
    ]
    assert counted["entries"] == [
        {"stream": "resolution", "act": "resolve", "count": 2},
        {"stream": "change", "act": "record.change", "count": 2},
    ]
    assert inspect(config, "2026-11-01", "2026-11-30", tmp_path / "whole.zip").exit_code == 0
    with zipfile.ZipFile(tmp_path / "whole.zip") as archive:
        counted = json.loads(archive.read("statistics.json"))
    assert {(each["protocol"], each["outcome"]): each["count"] for each in counted["resolutions"]} == {
        ("http/handle", "ok"): 450, ("http/json", "ok"): 450, ("udp", "ok"): 3, ("udp", "handle-not-found"): 1,
    }  # fmt: skip


def test_that_a_pack_is_made_is_an_act(config: Path, logs: object, tmp_path: Path) -> None:
    """In the maintenance log, with who made it; refused ones that were no act are none."""
    assert inspect(config, "2026-11-01", "2026-11-30", tmp_path / "pack.zip", "--actor", "张经办").exit_code == 0
    inspect(config, "2026-11-01", "2026-11-30", tmp_path / "pack.zip", "--actor", "李四")
    store = wiring.open_store(load(config), read_only=True)
    with store.snapshot() as snapshot:
        rows = [unpack_log_row(each) for _, each in snapshot.scan(Table.LOG_QUEUE, b"")]
    store.close()
    acts = [(each.who.name, entry) for each in rows for entry in each.entries if entry.action == "report.inspection"]
    assert [(name, entry.stream, entry.object) for name, entry in acts] == [
        ("张经办", "maintenance", "2026-11-01/2026-11-30")
    ]


# --- logs that grow


def test_a_log_that_grows_is_taken_as_its_checkpoint_counts_it(
    logs: dict[tuple[Stream, str], LogFolder], config: Path, tmp_path: Path
) -> None:
    """Also where partial files have gone meanwhile, and a new month began."""
    log = config.parent / "data/log"
    taken = needed(take_months(log), "2026-11", "2026-11")
    for stream in Stream:
        made = logs[stream, "2026-11"]
        entries = [document(stream, NOW, "more", str(number)) for number in range(700)]
        if stream is Stream.RESOLUTION:
            made.resolutions([NOW] * 140_000, [row("88.118/x")] * 140_000)
        else:
            made.entries(*entries)
        made.remove_partials()
        LogFolder(log, stream, "2026-12", before=made.checkpoint)
    for month in taken:
        for part in read_parts(log, month):
            path = tmp_path / "taken" / month.path / part.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(part.octets)
        report = verify(tmp_path / "taken" / month.path, TRUSTED)
        assert report.ok, told(report)
        assert not any("behind" in note for note in report.notes)


def test_a_month_that_ends_while_checkpoints_are_read(
    config: Path, logs: dict[Any, LogFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was listed before is taken, consistent in itself; the month that began meanwhile is not."""
    log = config.parent / "data/log"
    read, reads = audit.inspection._read_or_nothing, 0

    def reading(path: Path) -> bytes:
        nonlocal reads
        reads += 1
        if reads == 3:
            for stream in Stream:
                made = logs[stream, "2026-11"]
                if stream is Stream.RESOLUTION:
                    made.resolutions([NOW], [row("88.118/last")])
                else:
                    made.entries(document(stream, NOW, "last", "x"))
                LogFolder(log, stream, "2026-12", before=made.checkpoint).publish(b"{}")
        return read(path)

    monkeypatch.setattr("audit.inspection._read_or_nothing", reading)
    folder = _packed(config, tmp_path, "2026-05-01", "2026-12-31")
    assert not (folder / "log/change/2026-12").exists()
    report = verify(folder, TRUSTED)
    assert report.ok, told(report)


# --- bad input


@pytest.mark.parametrize(
    ("first", "last"),
    [("2026-11-02", "2026-11-01"), ("2026-02-30", "2026-11-01"), ("yesterday", "today"), ("", ""),
     ("2026-11", "2026-12"), ("0001-01-01", "9999-12-31")],
)  # fmt: skip
def test_days_that_are_none(config: Path, tmp_path: Path, first: str, last: str) -> None:
    """A usage error that names the day, and no file."""
    ended = inspect(config, first, last, tmp_path / "pack.zip")
    assert ended.exit_code == 2
    assert first in ended.output
    assert not list(tmp_path.glob("*.zip"))


def test_a_file_that_is_there_is_kept(config: Path, logs: object, tmp_path: Path) -> None:
    """It is refused before anything is done."""
    (tmp_path / "pack.zip").write_text("mine")
    ended = inspect(config, "2026-11-01", "2026-11-30", tmp_path / "pack.zip")
    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["outcome"] == "conflict"
    assert (tmp_path / "pack.zip").read_text() == "mine"
    missing = inspect(config, "2026-11-01", "2026-11-30", tmp_path / "no" / "pack.zip")
    assert (missing.exit_code, json.loads(missing.stdout)["outcome"]) == (1, "not-found")


def _drop_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[1:])


def _flip(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


@pytest.mark.parametrize("damage", [_drop_byte, _flip, Path.unlink], ids=["cut", "flipped", "missing"])
@pytest.mark.parametrize(
    "file", ["tile/entries/000", "tile/entries/001.p/45", "tile/0/000", "tile/0/001.p/45", "tile/1/000.p/1", "vkey",
             "checkpoint"]
)  # fmt: skip
def test_a_damaged_log_is_named_and_nothing_is_left(
    config: Path, logs: dict[Any, LogFolder], tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    """Whatever of a month is not as it was published."""
    place = logs[Stream.CHANGE, "2026-11"].folder / file
    damage(place)
    (tmp_path / "out").mkdir()
    ended = inspect(config, "2026-11-01", "2026-11-30", tmp_path / "out/pack.zip")
    if damage is Path.unlink and file == "checkpoint":
        assert ended.exit_code == 0  # a month without one is not published yet
        return
    assert ended.exit_code == 1
    reason = json.loads(ended.stdout)["reason"]
    assert "change/2026-11" in reason
    assert file in reason or file in ("vkey", "tile/entries/000", "tile/entries/001.p/45")
    assert not list((tmp_path / "out").iterdir())


TELLING = document(Stream.CHANGE, NOW, "x", "y", client="ab" * 8, net="203.0.113.0/24")
ENTRIES = {
    "empty": b"{}",
    "no JSON": b"no entry",
    "no time": json.dumps(TELLING | {"t": "today"}).encode(),
    "an address": json.dumps(TELLING | {"from": TELLING["from"] | {"client": "203.0.113.7"}}).encode(),
    "a narrow network": json.dumps(TELLING | {"from": TELLING["from"] | {"net": "203.0.113.7/32"}}).encode(),
    "more of a client": json.dumps(TELLING | {"from": TELLING["from"] | {"address": "203.0.113.7"}}).encode(),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_an_entry_that_is_none_or_tells_an_address_is_named(
    config: Path, logs: dict[Any, LogFolder], kind: str
) -> None:  # fmt: skip
    """The log is as it was signed, and still nothing that tells a client leaves the node."""
    logs[Stream.CHANGE, "2026-11"].entries(TELLING)
    make(config, "2026-11-01", "2026-11-30", io.BytesIO())
    logs[Stream.CHANGE, "2026-11"].publish(ENTRIES[kind])
    with pytest.raises(LogReadError, match="change/2026-11 index 302"):
        make(config, "2026-11-01", "2026-11-30", io.BytesIO())


def test_a_block_that_tells_an_address_is_named(config: Path, logs: dict[Any, LogFolder]) -> None:
    """Its networks are /24 and /48, or the pack is not made."""
    made = logs[Stream.RESOLUTION, "2026-11"]
    whole = {bytes((192, 0, 2, 1)): Client(b"h" * 8, bytes((192, 0, 2, 1)))}
    ((leaf, _),) = pack_blocks([(NOW, 1)], [row("88.118/x")], whole, NODE, "0.1.0")
    made.publish(leaf)
    with pytest.raises(LogReadError, match="resolution/2026-11 index 3"):
        make(config, "2026-11-01", "2026-11-30", io.BytesIO())


def test_a_checkpoint_over_other_entries_is_named(config: Path, logs: dict[Any, LogFolder]) -> None:
    """Signed by the right key, and not the root of what is there."""
    made = logs[Stream.CHANGE, "2026-11"]
    text = Checkpoint(made.origin, len(made.leaves), bytes(32)).text
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    (made.folder / "checkpoint").write_bytes(sign_note(text, made.key, key.sign))
    with pytest.raises(LogReadError, match="change/2026-11/checkpoint"):
        make(config, "2026-11-01", "2026-11-30", io.BytesIO())


def test_a_full_disk_leaves_nothing(
    config: Path, logs: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """At each write; the exit is 1, and says what it was."""
    made = node.inspection.make_pack
    (tmp_path / "out").mkdir()

    class Full:
        def __init__(self, file: IO[bytes], room: int) -> None:
            self._file, self._room = file, room

        def write(self, octets: bytes) -> int:
            self._room -= len(octets)
            if self._room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self._file.write(octets)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    for room in (0, 100, 10_000, 30_000):
        monkeypatch.setattr(
            "node.cli.report.make_pack", lambda file, *more, room=room, **by: made(Full(file, room), *more, **by)
        )
        ended = inspect(config, "2026-11-01", "2026-11-30", tmp_path / "out/pack.zip")
        assert (ended.exit_code, json.loads(ended.stdout)["outcome"]) == (1, Outcome.STORE_FULL.value), room
        assert not list((tmp_path / "out").iterdir())


# --- what an inspector finds out


def _packed(config: Path, tmp_path: Path, first: str = "2026-10-01", last: str = "2026-10-31") -> Path:
    with (tmp_path / "pack.zip").open("wb") as file:
        make(config, first, last, file)
    return unpacked(tmp_path / "pack.zip", tmp_path / "unpacked")


def test_each_file_that_is_altered_or_gone_is_named(config: Path, logs: object, tmp_path: Path) -> None:
    """Whatever file it is; and one that was added."""
    folder = _packed(config, tmp_path)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(files) > 40
    for file in files:
        kept = file.read_bytes()
        name = str(file.relative_to(folder))
        for damage in (_flip, _drop_byte, Path.unlink):
            if damage is Path.unlink and name == "manifest.json":
                continue
            damage(file)
            problems = told(verify(folder, TRUSTED))
            named = "/".join(name.split("/")[:3]) if "/tile/" in name else name  # of a tile the month at least
            assert any(named in each for each in problems), (name, damage, problems)
            file.write_bytes(kept)
    assert verify(folder, TRUSTED).ok
    (folder / "added").write_text("more")
    assert [each.partition(": ")[0] for each in told(verify(folder, TRUSTED))] == ["unpacked/added"]


def test_a_whole_month_that_is_taken_out_is_missed(config: Path, logs: object, tmp_path: Path) -> None:
    """Even the last one of a stream; also if its checkpoint goes with it."""
    folder = _packed(config, tmp_path)
    subprocess.run(["rm", "-r", str(folder / "log/resolution")], check=True)
    assert any("resolution/2026-10" in each for each in told(verify(folder, TRUSTED)))


def test_a_pack_of_another_key_is_not_believed(config: Path, logs: object, tmp_path: Path) -> None:
    """Its manifest fits itself, and is no inspection of this node."""
    folder = _packed(config, tmp_path)
    other = Keys((Ed25519PrivateKey.generate().public_key().public_bytes_raw(),))
    problems = told(verify(folder, other))
    assert any("manifest.json" in each and "trusted key" in each for each in problems)
    assert any("another" in each for each in told(verify(folder / "log", other)))


def test_a_month_that_is_left_out_must_be_the_one_that_the_chain_names(
    config: Path, logs: dict[Any, LogFolder], tmp_path: Path
) -> None:
    """Its checkpoint in the manifest is another one: the chain is broken, though all is signed by the right key."""
    log = config.parent / "data/log"
    subprocess.run(["rm", "-r", str(log / "change/2026-05")], check=True)
    LogFolder(log, Stream.CHANGE, "2026-05").entries(document(Stream.CHANGE, month_start("2026-05"), "other", "x"))
    problems = told(verify(_packed(config, tmp_path), TRUSTED))
    assert len(problems) == 1
    assert "change/2026-10 index 0" in problems[0]
    assert "chain is broken" in problems[0]
    subprocess.run(["rm", "-r", str(log / "change/2026-05")], check=True)
    subprocess.run(["rm", "-r", str(tmp_path / "unpacked")], check=True)
    problems = told(verify(_packed(config, tmp_path), TRUSTED))
    assert "taken away" in problems[0]


@pytest.mark.parametrize(("first", "gone", "where"), [
    ("2026-05-01", "2026-10", "manifest.json change/2026-10"),  # within the days that it is for
    ("2026-11-01", "2026-05", "change/2026-10/checkpoint"),  # outside of them: then no other is in it, either
])  # fmt: skip
def test_a_manifest_beside_a_log_excuses_no_month_that_was_taken_away(
    config: Path, logs: dict[Any, LogFolder], tmp_path: Path, first: str, gone: str, where: str
) -> None:
    """Whoever has the key can sign one that leaves a month out, and lay it into the data folder."""
    folder = _packed(config, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["signature"]
    for month in manifest["months"]:
        month["included"] = month["month"] >= first[:7] and (month["stream"], month["month"]) != ("change", gone)
    data = config.parent / "data"
    signed = load_signer(load(config)).sign_document("inspection", manifest | {"from": first})
    (data / "manifest.json").write_text(json.dumps(signed))
    subprocess.run(["rm", "-r", str(data / "log/change" / gone)], check=True)
    for path in (data / "log", data / "log/change"):
        assert any(where in each for each in told(verify(path, TRUSTED)))
    subprocess.run(["rm", "-r", str(folder / "log")], check=True)
    subprocess.run(["cp", "-r", str(data / "log"), str(data / "manifest.json"), str(folder)], check=True)
    assert any(where in each for each in told(verify(folder, TRUSTED)))


def test_a_node_that_got_another_key_makes_a_pack(config: Path, logs: dict[Any, LogFolder], tmp_path: Path) -> None:
    """The month has both keys, a line each; its checkpoint is signed by one of them."""
    for made in logs.values():
        beside = made.folder / "vkey"
        other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        beside.write_text(f"{ed25519_key(made.origin, other).vkey}\n{beside.read_text()}")
    folder = _packed(config, tmp_path)
    assert told(verify(folder, TRUSTED)) == []
    assert told(verify(folder)) == []


# --- secrets


def test_a_secret_in_a_reason_stops_the_pack(config: Path, logs: object, tmp_path: Path) -> None:
    """An order quotes a key: the pack is not made, and what is told names file and key, not the secret."""
    key = (config.parent / "keys/identity.keys").read_text().split()[-1]
    placed = saltern(
        "hold", "place", NODE, "--order", "1", "--reason", f"as {key} says", "--config", config
    )  # fmt: skip
    assert placed.exit_code == 0, placed.output
    ended = inspect(config, "2026-11-01", "2026-11-30", tmp_path / "pack.zip")
    assert ended.exit_code == 1
    reason = json.loads(ended.stdout)["reason"]
    assert "holds.json" in reason
    assert "identity.keys" in reason
    assert key not in ended.output
    assert not list(tmp_path.glob("*.zip"))
    assert not list(tmp_path.glob(".*.partial"))


def test_the_key_of_a_month_is_a_secret(config: Path, logs: dict[Any, LogFolder]) -> None:
    """Who has it finds out the addresses of clients."""
    key = bytes(range(7, 39))
    place = config.parent / "data/clients/2026-11" / KEY_FILE
    place.parent.mkdir(parents=True)
    place.write_bytes(key)
    logs[Stream.RESOLUTION, "2026-11"].resolutions([NOW], [row(b"88.118/" + key.hex().encode())])
    with pytest.raises(LeakError, match="clients/2026-11/key"):
        make(config, "2026-11-01", "2026-11-30", io.BytesIO())


CONTACT = {"name": "投诉人王五", "phone": "13912345678", "email": "wangwu@complains.example"}
CLIENT = "127.0.83.19"


def test_nothing_secret_or_personal_is_in_the_pack_of_a_node_that_was_used(tmp_path: Path) -> None:
    """A running node, with parties, tokens, complaints, keys, clients: its pack is searched octet by octet."""
    with Node(tmp_path / "node", NODE) as served:
        config = str(tmp_path / "node/node.toml")
        form = tmp_path / "party.json"
        form.write_text(json.dumps(ROWS[0], ensure_ascii=False))
        run_saltern("party", "add", "--file", str(form), "--config", config)
        issued = run_saltern("token", "issue", "--role", "auditor", "--holder", "检查员", "--json", "--config", config)
        token = json.loads(issued.stdout)["secret"]
        complaint = {"kind": "other", "text": "不能解析", **CONTACT}
        filed = served.ask("POST", "/v1/complaints", complaint)
        assert filed.status == 201, filed.body
        for number in range(20):
            connection = served.connection()
            connection.source_address = (CLIENT, 0)
            connection.request("GET", f"/api/handles/{NODE}/{number}")
            assert connection.getresponse().status == 404
            connection.close()
    data = tmp_path / "node/data"
    day = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=8))).date().isoformat()
    run_saltern(
        "report", "inspection", "--from", day, "--to", day, "--out", str(tmp_path / "p.zip"), "--config", config
    )
    folder = unpacked(tmp_path / "p.zip", tmp_path / "unpacked")
    assert verify(folder, Keys((load_signer(load(Path(config))).public_key,))).ok
    addresses = {each for side in data.glob("clients/*/resolution") for _, found in read_side(side) for each in found}
    assert bytes(map(int, CLIENT.split("."))) in addresses
    keys = [*(tmp_path / "node/keys").iterdir(), *data.glob("clients/*/key")]
    assert len(keys) > 6
    secrets = {*addresses, *(each.hex().encode() for each in addresses), CLIENT.encode()}
    for key in keys:
        if key.name == KEY_FILE:
            secrets |= {key.read_bytes(), key.read_bytes().hex().encode()}
        elif key.suffix != ".crt":
            secrets |= {word for word in key.read_bytes().split() if len(word) > 30}
    secrets |= {value.encode() for value in CONTACT.values()} | {token.encode(), token[20:].encode()}
    secrets |= {ROWS[0][field].encode() for field in ("legal_rep", "legal_rep_id", "contact", "phone", "email")}
    content = b"\0".join(_opened(path) for path in sorted(folder.rglob("*")) if path.is_file())
    assert b"127.0.83.0/24" not in content  # of a block the octets of the network alone
    assert bytes((127, 0, 83)) in content
    for secret in secrets:
        assert secret not in content, secret
        assert secret.lower() not in content.lower(), secret


def _opened(path: Path) -> bytes:
    """Return the octets of a file; of a bundle the blocks in it, opened, too."""
    octets = path.read_bytes()
    if "/tile/entries/" not in str(path):
        return octets
    return octets + b"".join(open_body(leaf) for leaf in unpack_bundle(octets) if is_block(leaf))
