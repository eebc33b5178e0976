"""A node is rebuilt from the newest deposit and all that it builds on; what is missing is named, not passed over."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core import limits
from sync.escrow.chain import find_chain
from sync.escrow.deposit import HEAD, read_head
from sync.escrow.faults import DepositError
from tests.kit import deposits as kit


def refused(folder: Path, node: str = "") -> tuple[str, str]:
    """Return the rule and the words of the error."""
    with pytest.raises(DepositError) as caught:
        find_chain(folder, node)
    return caught.value.rule, caught.value.message


def test_the_chain_is_in_order(tmp_path: Path) -> None:
    """A FULL and its DIFFs, from any folder above them; then the next FULL alone, and what comes behind it."""
    week = kit.week(tmp_path)
    chain = [path for path, _ in week]
    for folder in (tmp_path, tmp_path / kit.PREFIX):
        assert find_chain(folder) == chain
    assert find_chain(chain[0]) == chain[:1]
    second = kit.write(tmp_path, kit.full(104, days=4))
    third = kit.write(tmp_path, kit.diff(second[1], 104, days=5))
    assert find_chain(tmp_path) == [second[0], third[0]]
    shutil.rmtree(third[0])
    assert find_chain(tmp_path) == [second[0]]


def test_a_diff_sent_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    """The revision that was made last counts, and a DIFF builds on the one that it names."""
    week = kit.week(tmp_path)
    again = kit.write(tmp_path, kit.diff(week[2][1], 103, days=4)._replace(revision=1))
    assert find_chain(tmp_path) == [week[0][0], week[1][0], week[2][0], again[0]]
    last = kit.write(tmp_path, kit.diff(week[3][1], 104, days=5))
    assert find_chain(tmp_path) == [path for path, _ in week] + [last[0]]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """The FULL, a DIFF between, a volume, a head; all of it."""
    assert refused(tmp_path)[0] == "none"
    assert refused(tmp_path / "nowhere")[0] == "disk"
    week = kit.week(tmp_path)
    for place, rule in ((0, "chain"), (2, "chain")):
        path, head = week[place]
        away = path.rename(tmp_path / ".away")
        assert refused(tmp_path)[0] == rule
        assert head.deposit in refused(tmp_path)[1]
        away.rename(path)
    for name, rule in (("0001.vol", "missing"), (HEAD, "missing")):
        file = week[3][0] / name
        away = file.rename(tmp_path / ".away")
        assert refused(tmp_path)[0] == rule
        assert str(file) in refused(tmp_path)[1]
        away.rename(file)
    (week[1][0] / "0001.vol").write_bytes(b"")
    assert refused(tmp_path)[0] == "cut"
    (week[1][0] / HEAD).write_bytes(b"{}")
    assert refused(tmp_path)[0] == "chain"


def test_damage_that_is_older_does_not_matter(tmp_path: Path) -> None:
    """A newer FULL stands alone; damage that is newer than all does matter."""
    week = kit.week(tmp_path)
    newest = kit.write(tmp_path, kit.full(104, days=4))
    for path, _ in week:
        (path / HEAD).write_bytes(b"x")
    assert find_chain(tmp_path) == [newest[0]]
    (kit.write(tmp_path, kit.full(105, days=5))[0] / HEAD).write_bytes(b"x")
    assert refused(tmp_path)[0] == "head"


def test_another_signer_is_no_part_of_it(tmp_path: Path) -> None:
    """A DIFF or a FULL that another key signed: refused, unless it is said whose deposits are meant."""
    week = kit.week(tmp_path)
    chain = [path for path, _ in week]
    kit.write(tmp_path, kit.diff(week[3][1], 900, days=5), signer=kit.OTHER_SIGNER)
    assert refused(tmp_path)[0] == "several"
    assert find_chain(tmp_path, kit.NODE) == chain
    kit.sign_again(chain[1], kit.OTHER_SIGNER)
    assert refused(tmp_path, kit.NODE)[0] == "chain"
    assert refused(tmp_path, "f" * 32)[0] == "none"


def test_two_deposits_of_one_id_are_told(tmp_path: Path) -> None:
    """A copy of the same is no matter."""
    path, _ = kit.write(tmp_path, kit.full())
    shutil.copytree(path, tmp_path / "copy")
    assert len(find_chain(tmp_path)) == 1
    kit.sign_again(tmp_path / "copy", watermark=101)
    assert refused(tmp_path)[0] == "twice"


def test_a_diff_that_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another watermark than what it builds on; itself; too many of them."""
    week = kit.week(tmp_path)
    path, head = week[3]
    kit.sign_again(path, since=head.since - 1)
    assert refused(tmp_path)[0] == "chain"
    kit.sign_again(path, since=head.watermark, previous=head.deposit)
    assert refused(tmp_path)[0] == "too-large"
    kit.sign_again(path, since=head.since, previous=head.previous)
    assert read_head(path) == head
    monkeypatch.setattr(limits, "ESCROW_CHAIN_MAX", 3)
    assert refused(tmp_path)[0] == "too-large"
    monkeypatch.setattr(limits, "ESCROW_FOLDERS_MAX", 3)
    assert refused(tmp_path)[0] == "too-large"
