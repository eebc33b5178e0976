"""The tutorials: whoever types what they say sees what they say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kit.tutorial import ROOT, File, Reader, Step, agrees, renewed, steps

PAGES = sorted((ROOT / "docs" / "tutorial").glob("*.md"))


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tutorials use curl")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_tutorial_does_what_it_says(page: Path, tmp_path: Path) -> None:
    """Every command in its order, on a node of its own."""
    with Reader(tmp_path) as reader:
        reader.follow(page.read_text("utf-8"))


def test_there_is_a_tutorial() -> None:
    """The test above looks at real pages."""
    assert [page.name for page in PAGES] == ["first-enterprise.md"]
    assert sum(isinstance(each, Step) for each in steps(PAGES[0].read_text("utf-8"))) > 10


def console(block: str) -> str:
    return f"```console\n{block}```\n"


def test_files_and_commands_of_a_page_are_found() -> None:
    """Named blocks are files; other languages are for the reader."""
    page = (
        "# T\n```sh\nls\n```\n```json a.json\n{}\n```\n```console\n$ cat <<X\n> 1\n> X\n1\n$ false\n$ echo $?\n1\n```\n"
    )
    assert list(steps(page)) == [
        File("a.json", "{}\n"),
        Step("cat <<X\n1\nX", "1\n", 9),
        Step("false", "", 13),
        Step("echo $?", "1\n", 14),
    ]


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n", "", False),
        ("", "", True),
        ("at 12:30, 5 rows\n", "at …, 5 rows\n", True),
        ("at 12:30\n5 rows\n", "at …5 rows\n", False),
        ("1\n2\n3\n", "1\n…\n3\n", True),
        ("1\n3\n", "1\n…\n3\n", True),
        ("1\n2\n", "1\n…\n3\n", False),
        ("(.*)\n", "(.*)\n", True),
        ("x\n", "(.*)\n", False),
    ],
)
def test_an_ellipsis_is_any_text(printed: str, expected: str, same: bool) -> None:
    """Within a line, or any number of lines."""
    assert agrees(printed, expected) is same


def test_a_page_that_says_something_else_fails(tmp_path: Path) -> None:
    """In its output, and in how a command ends."""
    with Reader(tmp_path) as reader:
        reader.follow(console("$ mkdir x && cd x\n$ false\n$ echo $?\n1\n"))
        reader.follow("```text a\nhere\n```\n" + console("$ cat a\nhere\n"))
        for block in ("$ echo 1\n2\n", "$ false\n", "$ cat a\n"):
            with pytest.raises(AssertionError, match="line 2"):
                reader.follow(console(block))


def test_a_page_is_renewed(tmp_path: Path) -> None:
    """What is no longer so is written anew, what a command still prints stays as it is."""
    old = console("$ echo 1\n2\n3\n$ echo \\\n> 4\n$ echo 5\n…\n") + "end\n"
    assert renewed(old, tmp_path) == console("$ echo 1\n1\n$ echo \\\n> 4\n4\n$ echo 5\n…\n") + "end\n"
