"""What a backup is: whole or not there; what is damaged is named; what is put back has the same rows and other logs."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import node.backup
from audit.retention import Clocks
from core import clock, limits
from core.changes import Serial
from core.clock import DAY_MS, Millis, month_start, parse_instant
from core.config import Config, load
from core.errors import ConfigError, NodeError, Outcome
from core.settings import SETTINGS
from core.store.engine import Table
from core.store.fsck import check_store
from core.store.log_rows import LAST_LOG_KEY, LogEntry, unpack_log_row
from core.store.lot_rows import unpack_block
from core.store.monitor_rows import last_event
from core.streams import Stream
from node.backing_up import Backups
from node.backup import remove_old
from node.backup_file import KEYS, BackupError, find, newest_ms, read_manifest, whole_backups
from node.catching_up import publish_waiting
from node.cli.doctor_backup import look_at_backups
from node.cli.main import cli
from node.keeping import drop_logs
from node.nightly import night_before
from node.restore_backup import restore_backup
from registry.commands import OPERATOR, AddParty, Command, OpenIncident, Request, TakeBlock
from registry.service import Registry
from sync.monitor.happening import Happening, Kind, Status
from sync.monitor.storing import write_happening
from sync.monitor.watch import Watch
from tests.kit.backups import (
    LOT,
    PREFIX,
    WHO,
    assert_verifies,
    back_up,
    entries,
    make_node,
    opened,
    put_back,
    put_lot,
    put_records,
    rows_of,
)
from tests.kit.governance import INCIDENT, form
from tests.kit.log_folders import LogFolder

NAMES = [f"{PREFIX}/R{number}" for number in range(20)]
REMADE = (Table.META, Table.LOG_QUEUE, Table.SYNC_TABLES, Table.LOT_BLOCKS)
"""Tables that a node which was put back has other rows in."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A node that does not run, with records and a lot; none of it is published yet."""
    config = make_node(tmp_path_factory.mktemp("made") / "node")
    with opened(config) as (_, registry):
        put_records(registry, NAMES)
        put_lot(registry)
    return config


@pytest.fixture
def config(made: Config, tmp_path: Path) -> Config:
    """One of its own."""
    shutil.copytree(made.path.parent, tmp_path / "node")
    return load(tmp_path / "node" / "node.toml")


def test_a_node_that_is_put_back_has_the_rows_the_keys_and_another_beginning(config: Config, tmp_path: Path) -> None:
    backup = back_up(config, tmp_path / "backups")
    done, restored = put_back(tmp_path / "backups", tmp_path / "new")
    assert (done.backup, done.missing) == (backup.folder, ())
    for name in KEYS:
        before, after = config.file(name), restored.file(name)
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            assert after.read_bytes() == before.read_bytes()
            assert after.is_relative_to(tmp_path / "new")
            assert after.stat().st_mode & 0o777 == 0o600
    with opened(config) as (store, _), opened(restored) as (other, registry):
        assert rows_of(other, *REMADE) == rows_of(store, *REMADE)
        with store.snapshot() as former, other.snapshot() as snapshot:
            assert former.serial() == backup.serial
            assert snapshot.serial() == done.serial >= backup.serial + limits.RESTORED_SERIALS
            assert snapshot.feed(Serial(0), 10) == []
            assert list(check_store(snapshot)) == []
        put_records(registry, [f"{PREFIX}/NEW"])
        with other.snapshot() as snapshot:
            assert [serial for serial, _ in snapshot.feed(Serial(0), 10)] == [done.serial + 1]
    publish_waiting(restored)
    root = restored.data / "log-before" / PREFIX
    for log in (root / "log", restored.data / "log"):
        assert_verifies(log)
    acts = [(each["act"], each["obj"]) for each in entries(restored, Stream.MAINTENANCE)]
    assert acts[0] == ("restore", backup.folder.name)
    assert ("restore.log", f"{PREFIX}/log/change/{clock.shanghai_month(clock.now_ms())}") in acts
    assert [each["obj"] for each in entries(restored, Stream.REGISTRATION)] == [f"{PREFIX}/NEW"]
    assert {each["obj"] for each in entries(restored, Stream.REGISTRATION, root)} >= {*NAMES, LOT}


def test_an_entry_goes_to_a_log_once_whichever_was_copied_first(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that the store's copy has waiting, and that are published before the logs are copied, are not told again."""
    with opened(config) as (store, _):
        rows = rows_of(store)[Table.LOG_QUEUE.value]
    names = {each.object for row in rows.values() for each in unpack_log_row(row).entries}
    assert names >= {*NAMES, LOT}
    back_up(config, tmp_path / "none", publish=False)
    copy = node.backup.copy_logs

    def publish_first(*arguments: object) -> object:
        publish_waiting(config)
        return copy(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(node.backup, "copy_logs", publish_first)
    back_up(config, tmp_path / "all", publish=False)
    for source, waiting in (("none", names), ("all", set())):
        _, restored = put_back(tmp_path / source, tmp_path / f"{source}-new")
        with opened(restored) as (store, _):
            queue = [unpack_log_row(row) for row in rows_of(store)[Table.LOG_QUEUE.value].values()]
            with store.snapshot() as snapshot:
                assert list(check_store(snapshot)) == []
                last = int.from_bytes(snapshot.get(Table.META, LAST_LOG_KEY) or b"", "big")
        assert queue[0].entries[0].action == "restore"
        assert {each.object for row in queue[1:] for each in row.entries} == waiting
        assert last > len(rows)


def test_a_node_that_was_put_back_is_backed_up_and_put_back_again(config: Config, tmp_path: Path) -> None:
    moment = clock.now_ms()
    back_up(config, tmp_path / "one", at_ms=moment)
    first, restored = put_back(tmp_path / "one", tmp_path / "first", moment + 1_000)
    back_up(restored, tmp_path / "two", at_ms=moment + 2_000)
    second, again = put_back(tmp_path / "two", tmp_path / "second", moment + 3_000)
    assert second.serial >= first.serial + limits.RESTORED_SERIALS
    publish_waiting(again)
    for root in (PREFIX, first.origin):
        assert_verifies(again.data / "log-before" / root / "log")
        assert (again.data / "log-before" / root / "clients").is_dir()
    assert_verifies(again.data / "log")
    assert len({PREFIX, first.origin, second.origin}) == 3


def ids(registry: Registry, *commands: Command) -> list[str]:
    """Do something; return the ids that were given."""
    done = registry.run([Request(each, OPERATOR) for each in commands], clock.now_ms())
    assert all(each.done for each in done), done
    return [each.handle for each in done]


@pytest.mark.parametrize("stopped", [False, True])
def test_nothing_that_the_former_node_gave_after_the_backup_is_given_again(
    config: Config, tmp_path: Path, stopped: bool
) -> None:
    """Units of lots, ids of parties, incidents and events; units are, where it had been stopped before."""
    told = Happening("E00000001", Status.ANOMALY, "node", "disk", Kind.SYSTEM, Millis(1_000))
    before, after = (TakeBlock(LOT, "line-1", 10, token=token) for token in ("before", "after"))
    with opened(config) as (store, registry):
        ids(registry, before, OpenIncident(INCIDENT))
        write_happening(store, told, told.at_ms)
    back_up(config, tmp_path / "backups", publish=False)
    with opened(config) as (_, registry):
        given = ids(registry, after, OpenIncident(INCIDENT), AddParty(form(1)))
    done = restore_backup(tmp_path / "backups", tmp_path / "new", WHO, clock.now_ms(), stopped=stopped)
    with opened(load(done.config)) as (store, registry):
        other = ids(registry, before, OpenIncident(INCIDENT), AddParty(form(2)))
        assert (other[0], not set(given[1:]) & set(other[1:])) == (LOT, True)
        with store.snapshot() as snapshot:
            watch = Watch((), late_ms=1, last=last_event(snapshot))
            assert list(check_store(snapshot)) == []
            assert unpack_block(next(snapshot.scan(Table.LOT_BLOCKS, b""))[1]).token == "before"
        assert watch.was_away(0, Millis(DAY_MS), planned=False)[0].number == "E00100002"
        (block,) = registry.run([Request(after._replace(line="line-2", token="x"), OPERATOR)], clock.now_ms())
        assert (block.done, done.withheld) == ((True, 0) if stopped else (False, 1))


# --- what is damaged
def _flip(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


def _tile(backup: Path) -> Path:
    return next(each for each in sorted(backup.rglob("tile/entries/**/*")) if each.is_file())


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "store": (lambda backup: _flip(backup / "store/data.mdb"), "store/data.mdb"),
    "log": (lambda backup: _flip(_tile(backup)), "tile/entries"),
    "key": (lambda backup: _flip(backup / "keys/lots.keys"), "keys/lots.keys"),
    "shorter": (lambda backup: os.truncate(backup / "store/data.mdb", 4_096), "store/data.mdb"),
    "missing": (lambda backup: (backup / "node.toml").unlink(), "node.toml"),
    "extra": (lambda backup: (backup / "keys/more.pem").touch(), "keys/more.pem"),
    "link": (lambda backup: (backup / "log/extra").symlink_to("/"), "log/extra"),
    "manifest": (lambda backup: _alter(backup / "backup.json"), "backup.json"),
    "no manifest": (lambda backup: (backup / "backup.json").unlink(), ""),
    "no json": (lambda backup: (backup / "backup.json").write_bytes(b"{"), "backup.json"),
}


def _alter(path: Path) -> None:
    document = json.loads(path.read_bytes())
    document["files"] = document["files"][1:]
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_named_and_nothing_is_put_back(damage: str, backup: Path, tmp_path: Path) -> None:
    harm, name = DAMAGES[damage]
    shutil.copytree(backup, tmp_path / "b" / backup.name, symlinks=True)
    harm(tmp_path / "b" / backup.name)
    with pytest.raises(NodeError) as caught:
        put_back(tmp_path / "b", tmp_path / "new")
    assert name in caught.value.message
    assert [each.name for each in tmp_path.iterdir()] == ["b"]


@pytest.fixture(scope="module")
def backup(made: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return back_up(made, tmp_path_factory.mktemp("backup")).folder


def test_a_name_that_leads_out_of_the_backup_is_refused(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever signed it."""
    shutil.copytree(backup, tmp_path / "b")
    document = json.loads((backup / "backup.json").read_bytes())
    document["files"][0]["name"] = "../../etc/x"
    (tmp_path / "b" / "backup.json").write_text(json.dumps(document))
    monkeypatch.setattr("node.backup_file.verify_document", lambda *_: object())
    with pytest.raises(BackupError, match=r"etc/x"):
        read_manifest(tmp_path / "b")


def test_a_folder_that_is_not_empty_stays_as_it_is(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").touch()
    with pytest.raises(ConfigError):
        put_back(backup, tmp_path / "new")
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["mine"]


# --- without keys
def test_without_keys_it_says_where_they_go_and_doctor_explains(config: Config, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli, ["backup", "--config", str(config.path), "--to", str(tmp_path / "b"), "--without-keys", "--json"]
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    folder = Path(told["backup"])
    assert not told["keys"]
    assert not (folder / "keys").exists()
    secrets = [path.read_bytes() for name in KEYS if (path := config.file(name)) is not None]
    assert not any(each.read_bytes() in secrets for each in folder.rglob("*") if each.is_file())
    note = entries(config, Stream.MAINTENANCE)
    publish_waiting(config)
    (note,) = [each for each in entries(config, Stream.MAINTENANCE) if each["act"] == "backup"]
    assert note["obj"] == f"{folder.name} serial {told['serial']} sha256 {told['sha256']}"
    put = CliRunner().invoke(cli, ["restore", "--from", str(tmp_path / "b"), "--to", str(tmp_path / "new"), "--json"])
    assert put.exit_code == 0, put.output
    missing = {each["setting"]: Path(each["file"]) for each in json.loads(put.stdout)["missing"]}
    assert set(missing) == {name for name in KEYS if config.file(name)}
    looked = CliRunner().invoke(cli, ["doctor", "--config", str(tmp_path / "new/node.toml"), "--json"])
    said = " ".join(each["message"] for each in json.loads(looked.stdout) if each["level"] != "ok")
    (https,) = [each["message"] for each in json.loads(looked.stdout) if each["check"] == "https"]
    assert "tls.key" in https and "tls.crt" not in https, "what is missing, not what is there"
    for name, path in missing.items():
        assert path.name in said
        source = config.file(name)
        assert source is not None
        path.parent.mkdir(exist_ok=True)
        shutil.copy2(source, path)
    looked = CliRunner().invoke(cli, ["doctor", "--deep", "--config", str(tmp_path / "new/node.toml")])
    assert looked.exit_code == 0, looked.output


def test_every_setting_that_names_a_secret_is_known() -> None:
    """Each says 0600 in its help; what is new has to be judged."""
    assert {each.name for each in SETTINGS if each.kind == "path" and "0600" in each.help_en} == set(KEYS)


# --- what ends in the middle
def test_a_full_disk_ends_it_with_the_reason_and_leaves_nothing(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "b"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # the store is larger
    try:
        with pytest.raises(NodeError) as caught:
            back_up(config, to, publish=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.ended is Outcome.STORE_FULL

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(node.backup, "copy_logs", fail)
    with pytest.raises(NodeError) as later:
        back_up(config, to)
    assert later.value.ended is Outcome.STORE_FULL
    monkeypatch.setattr(node.backup, "free_bytes", lambda _: 1 << 20)
    with pytest.raises(NodeError, match="MiB") as before:
        back_up(config, to)
    assert before.value.ended is Outcome.STORE_FULL
    assert [each.name for each in to.iterdir()] == [".lock"]


def test_one_that_was_killed_is_none_and_the_next_one_takes_it_away(config: Config, tmp_path: Path) -> None:
    to = tmp_path / "b"
    child = os.fork()
    if child == 0:
        try:
            node.backup.make_backup(
                config, to, with_keys=True, actor="anna", now_ms=clock.now_ms(),
                note=lambda _: os.kill(os.getpid(), signal.SIGKILL),
            )  # fmt: skip
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert [each.name[:9] for each in to.iterdir() if each.is_dir()] == [".partial-"]
    assert (whole_backups(to, clock.now_ms()), newest_ms(to, clock.now_ms())) == ([], None)
    with pytest.raises(BackupError):
        put_back(to, tmp_path / "new")
    made = back_up(config, to)
    assert [each for each in to.iterdir() if each.is_dir()] == [made.folder]


def test_what_lies_in_the_folder_under_such_a_name_stops_none(config: Config, tmp_path: Path) -> None:
    """A file, or a link, whose name is that of a part; what the link leads to stays."""
    to, other = tmp_path / "b", tmp_path / "other"
    to.mkdir()
    other.mkdir()
    (to / ".partial-file").touch()
    (to / ".partial-link").symlink_to(other)
    (to / "lost+found").mkdir(mode=0)
    made = back_up(config, to)
    assert other.is_dir()
    assert {each.name for each in to.iterdir()} == {".lock", "lost+found", made.folder.name}


@pytest.mark.parametrize("own", ["log", "log-before", "log-before/x", "run", "store/b"])
def test_a_folder_of_the_node_itself_is_refused(config: Config, own: str) -> None:
    """It would be copied with the next backup, or emptied with the next start."""
    with pytest.raises(BackupError, match="of the node itself"):
        back_up(config, config.data / own)


def test_two_at_once_in_one_folder_are_refused(config: Config, tmp_path: Path) -> None:
    def another(_: str) -> None:
        with pytest.raises(BackupError, match="Another backup"):
            back_up(config, tmp_path / "b", publish=False)

    node.backup.make_backup(config, tmp_path / "b", with_keys=True, actor="anna", now_ms=clock.now_ms(), note=another)
    assert len(whole_backups(tmp_path / "b", clock.now_ms())) == 1


# --- every night
def test_only_the_last_whole_ones_are_kept(tmp_path: Path) -> None:
    for day in range(1, 6):
        folder = tmp_path / f"2026110{day}T020000Z"
        folder.mkdir()
        if day != 4:
            (folder / "backup.json").touch()
    gone = remove_old(tmp_path, 2, month_start("2026-12"))
    assert [each.name[:8] for each in gone] == ["20261101", "20261102"]
    assert sorted(each.name[6:8] for each in tmp_path.iterdir()) == ["03", "04", "05"]


def test_one_that_was_made_while_the_clock_was_ahead_is_not_the_newest(config: Config, tmp_path: Path) -> None:
    """Else none would be made any more, none be told to be old, and just the new ones be taken away."""
    now = parse_instant("2026-11-22T05:30:00.000Z") or Millis(0)
    config.values["backup.folder"] = str(tmp_path / "b")
    for name in ("20361122T053000Z", "20261120T180000Z", "20261119T180000Z"):
        (tmp_path / "b" / name).mkdir(parents=True)
        (tmp_path / "b" / name / "backup.json").touch()
    backups = Backups(config, lambda: now, lambda *told: None)
    told = {sample.name: sample.value for metric in backups.collect() for sample in metric.samples}
    assert (backups.is_due(), told["saltern_backup_age_seconds"]) == (True, 35.5 * 3_600)
    assert look_at_backups(config, Millis(now + DAY_MS))[0] == "warning"
    assert find(tmp_path / "b", now).name == "20261120T180000Z"
    assert [each.name[:8] for each in remove_old(tmp_path / "b", 2, now)] == ["20361122"]


def test_one_is_due_once_a_night_and_again_an_hour_after_it_failed(config: Config, tmp_path: Path) -> None:
    now = parse_instant("2026-11-22T05:30:00.000Z") or Millis(0)
    folder = tmp_path / "b"
    config.values["backup.folder"] = str(folder)
    noted: list[tuple[str, ...]] = []
    backups = Backups(config, lambda: now, lambda *told: noted.append(told))
    assert night_before(now, limits.BACKUP_HOUR_MS) == parse_instant("2026-11-21T18:00:00.000Z")
    assert look_at_backups(config, now)[0] == "warning"
    assert backups.is_due()
    (folder / "20261121T180000Z").mkdir(parents=True)
    assert backups.is_due(), "it is not whole"
    (folder / "20261121T180000Z" / "backup.json").touch()
    assert not backups.is_due()
    assert look_at_backups(config, now)[0] == "ok"
    now = Millis(now + DAY_MS)
    assert backups.is_due()
    assert look_at_backups(config, now)[0] == "ok"
    assert look_at_backups(config, Millis(now + DAY_MS))[0] == "warning"
    shutil.rmtree(folder)
    folder.touch()
    asyncio.run(backups.make(asyncio.Event()))
    assert noted[0][0] == "backup.failed"
    assert not backups.is_due()
    told = {sample.name: sample.value for metric in backups.collect() for sample in metric.samples}
    assert told == {"saltern_backup_failed": 1, "saltern_backup_failures_total": 1}
    now = Millis(now + limits.BACKUP_RETRY_MS)
    assert backups.is_due()
    folder.unlink()
    by_hand = folder / "20261123T060000Z"
    by_hand.mkdir(parents=True)
    (by_hand / "backup.json").touch()
    told = {sample.name: sample.value for metric in backups.collect() for sample in metric.samples}
    assert told["saltern_backup_failed"] == 0, "one was made by hand meanwhile"
    shutil.rmtree(folder)
    now = clock.now_ms()
    asyncio.run(backups.make(asyncio.Event()))
    told = {sample.name: sample.value for metric in backups.collect() for sample in metric.samples}
    assert told["saltern_backup_failed"] == 0
    assert 0 <= told["saltern_backup_age_seconds"] < 120
    assert len(whole_backups(folder, now)) == 1


def test_logs_of_before_are_dropped_in_their_time(config: Config) -> None:
    """With the addresses to them; the maintenance log stays."""
    root = config.data / "log-before" / "old.example"
    for stream in Stream:
        LogFolder(root / "log", stream, "2025-01")
    (root / "clients/2025-01").mkdir(parents=True)
    (root / "clients/2025-01/resolution").write_bytes(b"x")
    published: list[LogEntry] = []
    now_ms = month_start("2026-11")
    with opened(config) as (store, _):
        dropped = drop_logs(config, store, lambda: Clocks(now_ms, now_ms), published.append)
    assert dropped.problems == ()
    assert sorted(dropped.logs) == ["change/2025-01", "registration/2025-01", "resolution/2025-01"]
    assert [each.name for each in (root / "log").iterdir() if any(each.iterdir())] == ["maintenance"]
    assert not (root / "clients/2025-01/resolution").exists()
    assert len(published) == 3
