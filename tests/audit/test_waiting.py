"""What waits for the sequencer is seen: by whoever reads the logs, and by `saltern doctor`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from audit.frame import encode_frame
from audit.pending import Pending, pack_pending
from audit.spool import MAGIC
from audit.waiting import look
from core import clock
from node.cli.main import cli
from node.lock import DataLock
from tests.kit.log_folders import row

SEGMENT = "worker-0-1795307289070.spool"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    assert saltern("init", tmp_path / "node", "--prefix", "88.118.7").exit_code == 0
    return tmp_path / "node" / "node.toml"


def saltern(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def spool(data: Path, at_ms: int) -> Path:
    """Write a segment with one entry, as a worker that was killed leaves it."""
    (data / "spool").mkdir(exist_ok=True)
    path = data / "spool" / SEGMENT
    path.write_bytes(MAGIC + encode_frame(at_ms, [row("88.118.7/SKU01")]))
    return path


def pending(data: Path, read: int) -> None:
    month = clock.shanghai_month(clock.now_ms())
    state = Pending(month, "node.example", 0, 0, {SEGMENT: read}, {}, {}, [], [])
    (data / "log.pending").write_bytes(pack_pending(state))


def test_what_no_log_shows_yet_is_told(config: Path) -> None:
    """Behind what was read; by query and doctor, once it is older than a running node leaves it."""
    data, now = config.parent / "data", clock.now_ms()
    assert look(data).since_ms is None
    path = spool(data, now - 60_000)
    assert look(data)[:2] == (path.stat().st_size - len(MAGIC), now - 60_000)
    lock = DataLock(data)  # as a node whose keeper publishes nothing
    ended = saltern("log", "query", "--config", config, "--json")
    assert (ended.exit_code, ended.stdout, "not published yet" in ended.stderr) == (0, "", True)
    assert "! logs: " in saltern("doctor", "--config", config).stdout
    lock.close()
    ended = saltern("log", "query", "--config", config, "--json")
    assert ("88.118.7/SKU01" in ended.stdout, ended.stderr) == (True, "")  # no node runs: it was published now
    assert look(data) == (0, None, None)
    assert "✓ logs: " in saltern("doctor", "--config", config).stdout


def test_a_record_that_is_damaged_or_gone_is_told(config: Path) -> None:
    """Nothing is published then, however well all else is."""
    data = config.parent / "data"
    pending(data, 0)
    (data / "log.pending").write_bytes((data / "log.pending").read_bytes()[:-1] + b"x")
    ended = saltern("doctor", "--config", config)
    assert (ended.exit_code, "✗ logs: log.pending" in ended.stdout) == (1, True)
    (data / "log.pending").unlink()
    (data / "log/change/2026-11").mkdir(parents=True)
    (data / "log/change/2026-11/checkpoint").write_bytes(b"x")
    assert "✗ logs: " in saltern("doctor", "--config", config).stdout
