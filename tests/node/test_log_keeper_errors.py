"""The keeper's side of the logs: what needs a person is said and counted, and tried again; the keeper goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.dropping import Dropped
from audit.places import LOCK, PENDING
from core.clock import Millis
from core.streams import Stream
from node.log_keeper import Clocks, LogKeeper
from tests.kit.sequencing import Rows, entry_of, logged, run_out, sequencer_of

NOW = Millis(1_795_307_595_000)  # November 2026


class Keeping:
    """A keeper of its own on a data folder; ``failures``: rounds that failed."""

    def __init__(self, data: Path, rows: Rows) -> None:
        self.failures = 0
        self.sequencer = sequencer_of(data, rows)
        clocks = Clocks(lambda: NOW, lambda: 1.0)
        self.keeper = LogKeeper(self.sequencer, clocks, lambda *_: Dropped((), ()), self._failed)

    def _failed(self) -> None:
        self.failures += 1


def damage_pending(data: Path) -> None:
    (data / PENDING).write_bytes((data / PENDING).read_bytes()[:-1] + b"?")


def damage_checkpoint(data: Path) -> None:
    path = next((data / "log/change").glob("*/checkpoint"))
    path.write_bytes(path.read_bytes().replace(b"change", b"chance"))


def take_pending(data: Path) -> None:
    (data / PENDING).unlink()


def leave(_: Path) -> None:
    pass


@pytest.mark.parametrize("harm", [damage_pending, damage_checkpoint, take_pending, leave])
def test_what_needs_a_person_does_not_end_the_keeper(
    harm: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once, each round counted; once it is mended, or the other keeper is gone, the logs go on."""
    rows = Rows()
    first = sequencer_of(tmp_path, rows)
    run_out(first, NOW)
    if harm is not leave:
        first.close()
    content = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != LOCK}
    harm(tmp_path)  # type: ignore[operator]
    rows.add(NOW, entry_of("88.118.7/A"))
    keeping = Keeping(tmp_path, rows)
    for _ in range(3):
        keeping.keeper.run()
    assert keeping.failures == 3
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    for path, octets in content.items():
        path.write_bytes(octets)
    first.close()
    keeping.keeper.run()
    assert keeping.failures == 3
    assert [name for _, name in logged(tmp_path).acts[Stream.REGISTRATION]] == ["88.118.7/A"]
    keeping.sequencer.close()
