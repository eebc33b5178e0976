"""The operator's file of applications becomes T5 and T10, or an error that tells every wrong line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import limits
from core.errors import ConfigError
from core.store.memory_engine import MemoryEngine
from sync.sources.overview import COLUMNS, _applications, overviews
from sync.table import unpack_row
from sync.tables import TABLES, check_row

HEAD = ",".join(COLUMNS)
FILE = f"""{HEAD}
,盐溯源,2,扫码查真伪,12000,192.0.2.1;https://r.example.cn,甲公司
88.118.7,b应用,1,,,,
88.118.7,a应用,5,"含,逗号",0,,乙
"""
SNAPSHOT = MemoryEngine().snapshot()


def written(folder: Path, text: str | bytes) -> Path:
    """Return a file with this text."""
    path = folder / "applications.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_lines_become_rows_of_t5_and_t10(tmp_path: Path) -> None:
    """By their prefix; in the order of keys; each row right. A BOM and another order of columns change nothing."""
    node, enterprises = overviews(written(tmp_path, "\ufeff" + FILE))
    assert [key.decode() for key, _ in node.rows(SNAPSHOT, b"", None)] == ["node/盐溯源"]
    assert [key.decode() for key, _ in enterprises.rows(SNAPSHOT, b"", None)] == ["88.118.7/a应用", "88.118.7/b应用"]
    for source in (node, enterprises):
        for key, row in source.rows(SNAPSHOT, b"", None):
            assert check_row(source.table, key, row) == [] and source.row(SNAPSHOT, key) == row
    [(_, row)] = node.rows(SNAPSHOT, b"", None)
    assert unpack_row(row) == ["盐溯源", 2, "扫码查真伪", 12_000, ["192.0.2.1", "https://r.example.cn"], "甲公司"]
    assert [key for key, _ in enterprises.rows(SNAPSHOT, b"88.118.7/b", None)] == ["88.118.7/b应用".encode()]
    turned = "name,prefix,type,introduction,users,resolvers,developer\n盐溯源,,2,扫码查真伪,12000,192.0.2.1;https://r.example.cn,甲公司\n"
    other, _ = overviews(written(tmp_path, turned))
    assert other.context(SNAPSHOT) == node.context(SNAPSHOT)


def test_the_context_follows_the_file(tmp_path: Path) -> None:
    """Each table its own; without a file both are empty."""
    path = written(tmp_path, FILE)
    node, enterprises = overviews(path)
    before = node.context(SNAPSHOT), enterprises.context(SNAPSHOT)
    path.write_text(FILE + ",第二,3,,,,\n", "utf-8")
    assert node.context(SNAPSHOT) != before[0] and enterprises.context(SNAPSHOT) == before[1]
    none, _ = overviews(None)
    assert list(none.rows(SNAPSHOT, b"", None)) == [] and len(none.context(SNAPSHOT)) == 32
    assert none.table is TABLES["T5"] and none.latest(SNAPSHOT) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "第一行"),
        ("prefix,name\n", "第一行"),
        (HEAD + "\n,a,1,,,\n", "第 2 行应有 7 列"),
        (HEAD + '\n,"a,1,,,,\n', "不是 CSV"),
        (HEAD + "\n,,1,,,,\n", "第 2 行：name"),
        (HEAD + "\n,a,app,,,,\n", "第 2 行：type"),
        (HEAD + "\n\n,a,9,,-1,,\n", "第 3 行：type"),
        (HEAD + "\n,a,1,,-1,,\n", "第 2 行：users"),
        (HEAD + "\n88..7,a,1,,,,\n", "第 2 行：prefix"),
        (HEAD + "\n,a,1,,,,\n,a,2,,,,\n", "第 3 行：与第 2 行"),
        (HEAD + "\n,a\u202eb,1,,,,\n", "不可见字符"),
        (HEAD + f"\n,{'长' * 65},1,,,,\n", "第 2 行：name"),
        (b"\xff\xfe", "UTF-8"),
        (HEAD.encode() + b" " * limits.APPLICATIONS_BYTES_MAX, "最大"),
    ],
)
def test_a_faulty_file_is_an_error_with_its_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    """And none of it is sent."""
    node, enterprises = overviews(written(tmp_path, text))
    for source in (node, enterprises):
        with pytest.raises(ConfigError, match=r"^sync\.applications") as caught:
            source.context(SNAPSHOT)
        assert said in caught.value.message


def test_all_faults_are_told_and_no_more_than_some(tmp_path: Path) -> None:
    """Two lines, two faults; a file of wrong lines tells the first ones."""
    node, _ = overviews(written(tmp_path, HEAD + "\n,a,7,,,,\n,b,1,,x,,\n"))
    with pytest.raises(ConfigError) as caught:
        node.context(SNAPSHOT)
    assert "第 2 行" in caught.value.message and "第 3 行" in caught.value.message
    node, _ = overviews(written(tmp_path, HEAD + "\n" + ",a,7,,,,\n" * 1_000))
    with pytest.raises(ConfigError) as caught:
        node.context(SNAPSHOT)
    assert caught.value.message.count("\n") < limits.UPSTREAM_FAULTS_TOLD


def test_a_file_that_was_good_and_is_gone_or_faulty_is_an_error(tmp_path: Path) -> None:
    """What was read before is not sent on as if it stood there; put right, it is read again."""
    path = written(tmp_path, FILE)
    node, _ = overviews(path)
    good = node.context(SNAPSHOT)
    for spoil in (lambda: path.write_text(HEAD + "\n,a,7,,,,\n"), path.unlink, path.mkdir):
        spoil()
        for _ in range(2):
            with pytest.raises(ConfigError):
                node.context(SNAPSHOT)
    path.rmdir()
    path.write_text(FILE, "utf-8")
    assert node.context(SNAPSHOT) == good


def test_a_file_of_too_many_applications_is_refused(tmp_path: Path) -> None:
    """One too many; so many are taken."""
    text = HEAD + "\n" + "".join(f",a{number},1,,,,\n" for number in range(limits.APPLICATIONS_MAX + 1))
    node, _ = overviews(written(tmp_path, text))
    with pytest.raises(ConfigError, match="最多"):
        node.context(SNAPSHOT)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: f"{HEAD}\n{text}".encode()))
def test_any_octets_are_applications_or_an_error(octets: bytes) -> None:
    """Whatever comes of it passes the receiver's check."""
    try:
        applications = _applications(Path("a.csv"), octets)
    except ConfigError:
        return
    for name, found in (("T5", applications.node), ("T10", applications.enterprises)):
        assert all(check_row(TABLES[name], key, row) == [] for key, row in found.items())
