"""SIGKILL at random moments under write load: what was acknowledged is there, what was refused is not."""

from __future__ import annotations

from pathlib import Path

from tests.kit.killing import KillRounds

ROUNDS = 6


def test_every_acknowledged_write_survives(tmp_path: Path, seed: int) -> None:
    """Six rounds; SALTERN_SEED repeats them."""
    rounds = KillRounds(tmp_path / "node", seed)
    for _ in range(ROUNDS):
        rounds.run()
    rounds.check_all()
    assert rounds.acknowledged > 0
    assert rounds.refused > 0
    assert len(rounds.killed) > 1, "more than one kind of process was killed"
