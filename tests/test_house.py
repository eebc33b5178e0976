"""The source read as data: rules of the house that no type checker or linter knows."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("core", "audit", "registry", "resolver", "sync", "node")
MODULES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
CODECS = ("core/wire/", "core/ident/")

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500
STATUS_TABLE = "core/outcomes.py"
CLOCK = "core/clock.py"
MAY_PRINT = ("node/demo_stage.py", "node/serve.py", "node/topnode.py")
BANNED_NAMES = re.compile(r"util|helper|manager|common_stuff|misc")
CLOCK_READERS = {
    "time",
    "time_ns",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "sleep",
    "now",
    "utcnow",
    "today",
}
FRAMEWORKS = {"asyncio": asyncio, "click": click}
Function = ast.FunctionDef | ast.AsyncFunctionDef

Rule = Callable[[str, ast.Module], list[str]]
"""Returns where a module breaks it."""
RULES: list[Rule] = []


def rule(found: Rule) -> Rule:
    """Have every module judged by it."""
    RULES.append(found)
    return found


def places(name: str, found: Iterator[ast.AST]) -> list[str]:
    """Return file:line of each node, to be shown where the list should be empty."""
    return [f"{name}:{getattr(node, 'lineno', 0)}" for node in found]


def functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for a name with attributes, else what there is of it."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(parts))


def test_the_source_was_found() -> None:
    """The rules below look at the real modules."""
    assert {STATUS_TABLE, CLOCK, "core/config.py", "registry/service.py", "resolver/service.py"} <= set(MODULES)
    assert len(MODULES) > 50


# --- one place for each thing -----------------------------------------------


def is_status_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and 200 <= node.value <= 599


def status_numbers(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield numbers that are given as a status, returned as one, or compared with one for equality."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "status" and is_status_number(node.value):
            yield node.value
        elif isinstance(node, ast.Call) and dotted(node.func).endswith("Response") and node.args:
            yield from filter(is_status_number, node.args[:1])
        elif isinstance(node, ast.Assign) and any(dotted(target).endswith("status") for target in node.targets):
            yield from filter(is_status_number, [node.value])
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn):
            sides = [node.left, *node.comparators]
            if any(dotted(side).split(".")[-1] == "status" for side in sides):
                yield from (part for side in sides for part in ast.walk(side) if is_status_number(part))


@rule
def no_status_number_stands_outside_the_table(name: str, tree: ast.Module) -> list[str]:
    """An Outcome is raised; core/outcomes.py alone knows its number."""
    return [] if name == STATUS_TABLE else places(name, status_numbers(tree))


def test_the_search_for_status_numbers_finds_them() -> None:
    """Each form in which a number could hide, and none that is no status."""
    found = "f(status=404)", "Response(404)", "web.Response(503, b'')", "a.status == 404", "status in (200, 201)"
    for text in (*found, "status = 404"):
        assert list(status_numbers(ast.parse(text))), text
    for text in ("f(port=404)", "status < 300", "x == 404", "f(status=status)", "Response(status)"):
        assert not list(status_numbers(ast.parse(text))), text


def clock_readings(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
            yield node
        elif isinstance(node, ast.Attribute):
            owner, _, attribute = dotted(node).rpartition(".")
            if owner.split(".")[-1] in ("time", "datetime", "date") and attribute in CLOCK_READERS:
                yield node


@rule
def only_the_clock_reads_time(name: str, tree: ast.Module) -> list[str]:
    """Everything else is told the time, or asks core.clock."""
    return [] if name == CLOCK else places(name, clock_readings(tree))


def test_the_search_for_clocks_finds_them() -> None:
    """Modules and classes, however they were imported."""
    for text in (
        "time.time()",
        "from time import monotonic",
        "datetime.datetime.now()",
        "datetime.now(UTC)",
        "time.sleep(1)",
    ):
        assert list(clock_readings(ast.parse(text))), text
    for text in ("clock.now_ms()", "row.time", "asyncio.sleep(1)", "loop.time()"):
        assert not list(clock_readings(ast.parse(text))), text


@rule
def prints_are_where_the_output_is_the_product(name: str, tree: ast.Module) -> list[str]:
    """The servers print the ready line, the demo talks; commands use click, all else logs."""
    prints = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and dotted(node.func) == "print")
    return [] if name in MAY_PRINT else places(name, prints)


# --- what input must never meet ---------------------------------------------


@rule
def codecs_and_grammars_never_assert(name: str, tree: ast.Module) -> list[str]:
    """An assert disappears under -O; what comes from outside is checked by a raise."""
    asserts = (node for node in ast.walk(tree) if isinstance(node, ast.Assert))
    return places(name, asserts) if name.startswith(CODECS) else []


def dangers(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs or unpacks code out of data."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules = {(node.module or "").split(".")[0]}
        else:
            modules = set()
        if modules & {"pickle", "marshal", "shelve", "yaml", "dill"}:
            yield node
        if isinstance(node, ast.Call) and dotted(node.func) in ("eval", "exec", "compile", "os.system", "os.popen"):
            yield node
        if isinstance(node, ast.keyword) and node.arg == "shell" and getattr(node.value, "value", True) is not False:
            yield node.value


@rule
def no_data_is_ever_run(name: str, tree: ast.Module) -> list[str]:
    """No pickle, yaml, eval, exec, or shell."""
    return places(name, dangers(tree))


def test_the_search_for_dangers_finds_them() -> None:
    """Each form, and not re.compile."""
    for text in ("import pickle", "from yaml import load", "eval('1')", "run('ls', shell=True)", "os.system('ls')"):
        assert list(dangers(ast.parse(text))), text
    for text in ("re.compile('a')", "run(['ls'], shell=False)", "import json"):
        assert not list(dangers(ast.parse(text))), text


# --- size and names ---------------------------------------------------------


@rule
def no_module_is_too_long(name: str, _: ast.Module) -> list[str]:
    """One subject a module."""
    lines = len(MODULES[name].splitlines())
    return [] if lines <= MODULE_LINES_MAX else [f"{name}: {lines} lines"]


@rule
def no_function_is_too_long(name: str, tree: ast.Module) -> list[str]:
    """It fits on a screen."""
    return places(
        name, (each for each in functions(tree) if (each.end_lineno or 0) - each.lineno >= FUNCTION_LINES_MAX)
    )


@rule
def a_module_is_named_after_what_is_in_it(name: str, _: ast.Module) -> list[str]:
    """Not utils, helpers, or manager."""
    return [name] if BANNED_NAMES.search(name) else []


# --- docstrings -------------------------------------------------------------


def bare_names(tree: ast.Module, documented: set[str]) -> Iterator[ast.AST]:
    """Yield what is public and has no docstring.

    Left out: what begins with "_"; what stands inside a function; methods that are
    documented where they are declared: by a Protocol of ours, in a class whose
    docstring refers to one ("See Engine."), or by a base class of asyncio or click.
    """
    if not ast.get_docstring(tree):
        yield tree
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield node
            if isinstance(node, ast.ClassDef):
                fulfils = re.match(r"See \w+\.", ast.get_docstring(node) or "")
                known = (documented if fulfils else set()).union(*map(framework_methods, node.bases))
                for method in node.body:
                    public = isinstance(method, Function) and not method.name.startswith("_")
                    if public and not ast.get_docstring(method) and method.name not in known:
                        yield method


def framework_methods(base: ast.AST) -> set[str]:
    """Return what a base class of asyncio or click declares; nothing for any other."""
    package, _, name = dotted(base).partition(".")
    return set(dir(getattr(FRAMEWORKS[package], name))) if package in FRAMEWORKS else set()


@lru_cache(maxsize=1)
def protocol_methods() -> set[str]:
    """Return the names of the methods of every Protocol, each with its docstring."""
    return {
        method.name
        for text in MODULES.values() if "Protocol)" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and any(dotted(base).endswith("Protocol") for base in node.bases)
        for method in node.body
        if isinstance(method, Function) and ast.get_docstring(method)
    }  # fmt: skip


@rule
def everything_public_says_what_it_is(name: str, tree: ast.Module) -> list[str]:
    """Modules, classes, functions, methods; dunder methods are known."""
    return places(name, bare_names(tree, protocol_methods()))


@rule
def a_docstring_is_a_sentence(name: str, tree: ast.Module) -> list[str]:
    """It begins with a capital, a quoted name or a sign, and ends with a full stop, on one line or the first."""
    texts = (
        ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, Function | ast.ClassDef | ast.Module)
    )
    firsts = [text.partition("\n\n")[0].strip() for text in texts if text]
    return [f"{name}: {first!r}" for first in firsts if first[-1] not in ".:)?"]


# --- citations --------------------------------------------------------------

CITED = re.compile(r"(docs/[\w/-]+\.md)(?:#([\w-]+))?")
CITATIONS = sorted({(name, *match.groups()) for name, text in MODULES.items() for match in CITED.finditer(text)})


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ +(.+?) *$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("name", "page", "anchor"), CITATIONS, ids=lambda value: str(value))
def test_a_page_that_the_code_cites_is_there(name: str, page: str, anchor: str | None) -> None:
    """And so is the heading."""
    path = ROOT / page
    if not path.exists():
        pytest.skip(f"{page} is not there")
    if anchor:
        assert anchor in anchors(path), f"{name} cites {page}#{anchor}"


@rule
def a_divergence_names_its_place_in_the_manual(name: str, _: ast.Module) -> list[str]:
    """DIVERGES: is followed by a heading of docs/standards/divergences.md."""
    text = MODULES[name]
    said = (text[match.end() : match.end() + 300] for match in re.finditer(r"DIVERGES:", text))
    return [f"{name}: {each[:40]!r}" for each in said if "docs/standards/divergences.md#" not in each]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_keeps_the_rules(name: str) -> None:
    """All of the above, each named where it is broken."""
    tree = ast.parse(MODULES[name])
    assert {each.__name__: broken for each in RULES if (broken := each(name, tree))} == {}
