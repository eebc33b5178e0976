"""The manual says what the code does: pages made from tables, commands, settings, divergences, links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.settings import SETTINGS
from node.reference import PAGES

ROOT = Path(__file__).parent.parent
SOURCES = [
    path for name in ("core", "audit", "registry", "resolver", "sync", "node") for path in (ROOT / name).rglob("*.py")
]
HIDDEN = (".", "bench-out")
MARKDOWN = [
    path for path in ROOT.rglob("*.md") if not any(part.startswith(HIDDEN) for part in path.relative_to(ROOT).parts)
]


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    """Run `python -m node.reference docs/reference` where this fails."""
    assert (ROOT / "docs" / "reference" / name).read_text("utf-8") == PAGES[name]()


def test_both_readmes_show_the_same_commands() -> None:
    """The Chinese and the English one have the same blocks of commands."""

    def blocks(name: str) -> list[str]:
        text = (ROOT / name).read_text("utf-8")
        found = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        return [re.sub(r"\s*#.*", "", block) for block in found]

    assert blocks("README.md") == blocks("README.zh-CN.md")


def test_every_setting_that_a_page_names_exists() -> None:
    """In backquotes or after --set, anywhere in the manual."""
    families = {setting.name.partition(".")[0] for setting in SETTINGS}
    names = {setting.name for setting in SETTINGS}
    pattern = re.compile(rf"--set ((?:{'|'.join(families)})\.[a-z_]+)=")
    for page in MARKDOWN:
        for name in pattern.findall(page.read_text("utf-8")):
            assert name in names, f"{page.name}: {name}"


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links name files that are there, anchors name headings."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file) if file else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), target


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_fences_are_closed_and_headings_stand_alone(page: Path) -> None:
    """Or all that follows renders as code; a heading has a blank line on both sides."""
    lines = page.read_text("utf-8").splitlines()
    fence = ""
    for number, line in enumerate(lines):
        mark = re.match(r" *(`{3,})(.*)", line)
        if mark and fence:
            fence = "" if mark[1] >= fence and not mark[2] else fence
            assert not mark[2], f"line {number + 1}: a fence within a fence"
        elif mark:
            fence = mark[1]
        elif re.match(r"#{1,6} ", line) and not fence:
            around = lines[max(number - 1, 0) : number] + lines[number + 1 : number + 2]
            assert not any(around), f"line {number + 1}: {line}"
    assert not fence, "a fence is not closed"


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_what_the_code_cites_is_in_the_manual() -> None:
    """docs/standards/… with an anchor."""
    cited = {
        (path, anchor)
        for source in SOURCES
        for path, anchor in re.findall(r"(docs/standards/[\w-]+\.md)#([\w-]+)", source.read_text("utf-8"))
    }
    for path, anchor in cited:
        assert anchor in anchors(ROOT / path), f"{path}#{anchor}"
