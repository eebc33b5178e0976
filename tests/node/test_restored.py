"""What every restore needs: settings that read back as they were, another origin, and no folder that is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.note import ed25519_key
from core import limits
from core.changes import Serial
from core.clock import Millis
from core.config import Config, load
from core.errors import ConfigError, StoreError
from core.log_settings import require_log_settings
from core.store.bounds_row import adopt_bounds, stored_rules, unpack_bounds
from core.store.engine import Batch, Table
from core.store.fsck import check_store
from core.store.lmdb_engine import LmdbEngine
from core.store.memory_engine import MemoryEngine
from core.store.restart import restarted_at, serial_after
from node.restored import building, dump_settings, new_origin, require_empty, restored_values, write_settings
from node.restoring import _bounds

_NOW = Millis(1_795_325_400_000)


def test_settings_written_are_read_as_they_were(tmp_path: Path) -> None:
    values = Config(tmp_path / "x", {}).values | {
        "node.prefix": "88.118.7",
        "about.operator": '盐 "业"\\ \x7f\n',
        "about.fees": ("免费 free", "a'b"),
        "handle.server_admins": (300, "301:0.NA/88"),
        "http.port": 0,
        "handle.case_sensitive": True,
    }
    write_settings(tmp_path / "node.toml", values)
    assert load(tmp_path / "node.toml").values == values
    assert (tmp_path / "node.toml").stat().st_mode & 0o777 == 0o600
    assert "[https]" not in dump_settings(values)


@pytest.mark.parametrize(
    ("former", "wanted"),
    [
        ("88.118", "88.118-20261122T053000Z"),
        ("id.example.cn:8443", "id.example.cn-20261122T053000Z:8443"),
        ("88.118-20251122T053000Z", "88.118-20261122T053000Z"),
        ("a" * limits.ORIGIN_CHARS_MAX, "a" * (limits.ORIGIN_CHARS_MAX - 17) + "-20261122T053000Z"),
    ],
)
def test_an_origin_is_another_one_and_every_verifier_takes_it(former: str, wanted: str) -> None:
    assert new_origin(former, _NOW) == wanted
    require_log_settings(0, 0, wanted)
    assert ed25519_key(wanted, bytes(32)).name == wanted


def test_the_origin_of_a_restored_node_is_made_from_the_one_in_force(tmp_path: Path) -> None:
    config = Config(tmp_path / "node.toml", {"node.public_url": "https://id.example.cn"})
    assert restored_values(config, _NOW)["log.origin"] == "id.example.cn-20261122T053000Z"


def test_a_folder_is_built_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new"
    with pytest.raises(ZeroDivisionError), building(target) as folder:
        (folder / "half").touch()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with building(target) as folder:
        (folder / "whole").touch()
    assert [each.name for each in target.iterdir()] == ["whole"]
    for taken in (target, target / "whole"):
        with pytest.raises(ConfigError):
            require_empty(taken)
    (tmp_path / "empty").mkdir()
    with building(tmp_path / "empty") as folder:
        (folder / "whole").touch()
    with pytest.raises(ConfigError), building(tmp_path / "late") as folder:
        (tmp_path / "late").mkdir()
        (tmp_path / "late" / "another").touch()
    assert [each.name for each in (tmp_path / "late").iterdir()] == ["another"]


def test_serials_go_on_far_behind_and_the_feed_is_empty(tmp_path: Path) -> None:
    store = LmdbEngine(tmp_path, create=True)
    batch = Batch()
    batch.changes = [b"one", b"two"]
    batch.put(Table.SYNC_TABLES, b"k", b"v")
    store.commit(batch)
    store.restart(serial_after(2, Millis(0)), (Table.SYNC_TABLES,))
    with store.snapshot() as snapshot:
        assert snapshot.serial() == restarted_at(snapshot) == serial_after(2, Millis(0))
        assert snapshot.feed(Serial(0), 10) == []
        assert snapshot.get(Table.SYNC_TABLES, b"k") is None
        assert list(check_store(snapshot)) == []
    again = Batch()
    again.changes = [b"three"]
    assert store.commit(again) == serial_after(2, Millis(0)) + 1 > limits.RESTORED_SERIALS
    with pytest.raises(ValueError, match="given already"):
        store.restart(Serial(2))
    store.close()


def test_a_node_that_had_other_bounds_is_put_back_with_them() -> None:
    """A record that nobody can ask for would be lost; a store that tells no bounds has the usual ones."""
    store, usual = MemoryEngine(), (limits.PREFIX_CHARS, limits.HANDLE_CHARS)
    for bounds, wanted in (
        (usual, {}), ((64, 300), {"handle.length_max": 300}), ((20, 255), {"handle.prefix_length_max": 20}),
        (usual, {}),
    ):  # fmt: skip
        adopt_bounds(store, *bounds)
        with store.snapshot() as snapshot:
            assert _bounds(snapshot) == wanted
            rules = stored_rules(snapshot)
            assert (rules.prefix_length_max, rules.length_max) == bounds
            assert list(check_store(snapshot)) == []


@pytest.mark.parametrize("row", [b"", b"\0\1\0", b"\0\0\0\xff", b"\0\x40\0\0", b"\xff\xff\xff\xff", b"\0\x40\0\xff\0"])
def test_what_are_no_bounds_is_told(row: bytes) -> None:
    with pytest.raises(StoreError, match="no bounds"):
        unpack_bounds(row)


def test_a_folder_that_is_named_by_a_dot_is_built_like_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with building(Path()) as folder:
        (folder / "file").touch()
    assert [each.name for each in tmp_path.rglob("*")] == ["here", "file"]
