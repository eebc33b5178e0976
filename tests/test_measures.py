"""The table of the Measures says of the node what is so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from core.settings import BY_NAME
from node import routes
from node.cli.main import cli
from registry.management import OPERATIONS

ROOT = Path(__file__).parent.parent
ARTICLES = 19
NOTHING = "–"
PATHS = {operation.path for operation in OPERATIONS}
OTHER_PATHS = {*re.findall(r"^(/\S+)", routes.__doc__ or "", re.MULTILINE), "/metrics"}


class Row(NamedTuple):
    """One article."""

    article: str
    duty: str
    feature: str
    means: str
    tests: str


def rows(page: str) -> list[Row]:
    cells = [re.split(r"\s*\|\s*", line.strip("| \n")) for line in page.splitlines() if line.startswith("|")]
    return [Row(*each) for each in cells[2:]]


ROWS = rows((ROOT / "docs" / "standards" / "measures.md").read_text("utf-8"))
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"article {row.article}")


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def is_command(words: list[str]) -> bool:
    """Whether the words before the first option or argument are a command."""
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            return True
        if word not in command.commands:
            return False
        command = command.commands[word]
    return command is not cli


def is_path(path: str) -> bool:
    """Whether the node answers at a path."""
    return path in PATHS or any(path.rstrip("/") == known.rstrip("/…") for known in OTHER_PATHS)


def is_test(name: str) -> bool:
    """Whether there is such a file, and in it such a function or class."""
    path, _, function = name.partition("::")
    file = ROOT / path
    if not path.startswith("tests/") or not file.is_file():
        return False
    if not function:
        return file.name.startswith("test_")
    tree = ast.parse(file.read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == function for node in ast.walk(tree))


def untrue(row: Row) -> Iterator[str]:
    """Yield what a row names and is not there."""
    for each in quoted(row.means):
        command = each.split()
        known = (
            is_command(command[1:]) if command[0] == "saltern"
            else is_path(each) if each.startswith("/")
            else each in BY_NAME
        )  # fmt: skip
        if not known:
            yield each
    yield from (each for each in quoted(row.tests.partition("later:")[0]) if not is_test(each))


def test_each_article_stands_there_once_and_in_its_order() -> None:
    """1 to 19; the 20th says when the Measures begin to hold."""
    assert [row.article for row in ROWS] == [str(number) for number in range(1, ARTICLES + 1)]


@every_row
def test_a_row_names_what_is_there(row: Row) -> None:
    """Tests, commands, endpoints, settings."""
    assert list(untrue(row)) == []


@every_row
def test_a_row_is_whole(row: Row) -> None:
    """A duty in both languages; what is done about it is tested, or comes later and says from which part."""
    assert re.search(r"[a-z]", row.duty)
    assert re.search(r"[一-鿿]", row.duty)
    now, later, what = row.tests.partition("later:")
    if row.feature == NOTHING:
        assert (row.means, row.tests) == (NOTHING, NOTHING)
    else:
        assert quoted(now) or later
        assert not later or re.search(r"\(design §\d+\)", what)
        assert quoted(row.means) or not quoted(now)


@pytest.mark.parametrize(
    ("means", "tests"),
    [
        ("`saltern nosuch`", "–"),
        ("`saltern party nosuch`", "–"),
        ("`saltern`", "–"),
        ("`node.nosuch`", "–"),
        ("`/v1/nosuch`", "–"),
        ("–", "`tests/test_nosuch.py`"),
        ("–", "`tests/test_measures.py::test_nosuch`"),
        ("–", "`core/config.py`"),
    ],
)
def test_what_is_not_there_is_found(means: str, tests: str) -> None:
    """Of each kind."""
    assert len(list(untrue(Row("1", "a", "b", means, tests)))) == 1
