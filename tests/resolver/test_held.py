"""Holds as the fronts see them: the quick ways and the long one agree, whatever is on hold; and what a page tells."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.errors import Outcome
from core.ident.handle import HandleRules
from core.records import HandleValue
from core.store.engine import Table
from core.store.memory_engine import MemoryEngine
from core.wire.http import Request as HttpRequest
from registry.commands import OPERATOR, Command, Home, LiftHold, PlaceHold, Put, Request
from registry.service import Registry
from resolver.browser import Browser
from resolver.plain import PlainReads
from resolver.service import Question, Resolver
from tests.kit.logs import NoLog

NOW = Millis(1_700_000_000_000)
RULES = HandleRules()
URL = (HandleValue(1, "URL", b"https://a.example"),)
HANDLES = ("88.1/A", "88.1/B", "88.1.2/A", "88.2/A")
TARGETS = (*HANDLES, "0.NA/88.1", "88.1", "88.1.2", "88.2")
PEER = bytes.fromhex("0fa0c0000201")


def run(store: MemoryEngine, *commands: Command) -> None:
    results = Registry(store, RULES, founding=True).run([Request(command, OPERATOR) for command in commands], NOW)
    assert all(result.done for result in results), results


@pytest.fixture
def store() -> MemoryEngine:
    made = MemoryEngine()
    run(made, *(Home(prefix) for prefix in ("88.1", "88.1.2", "88.2")), *(Put(handle, URL) for handle in HANDLES))
    return made


def is_held(handle: str, targets: set[str]) -> bool:
    """The model: the handle itself, its prefix, or one above it."""
    prefix = handle.partition("/")[0]
    above = {prefix, prefix.rpartition(".")[0]}
    return handle in targets or bool(above & targets)


STEPS = st.lists(st.tuples(st.sampled_from(TARGETS), st.booleans()), max_size=12)


@given(STEPS)
def test_the_quick_way_finds_what_the_long_way_answers(steps: list[tuple[str, bool]]) -> None:
    """With one reader that is kept over all states, as a worker keeps it; however orders come and go."""
    made = MemoryEngine()
    run(made, *(Home(prefix) for prefix in ("88.1", "88.1.2", "88.2")), *(Put(handle, URL) for handle in HANDLES))
    reads, resolver = PlainReads(made, RULES), Resolver(RULES)
    targets: set[str] = set()
    for target, place in steps:
        if place:
            run(made, PlaceHold(target, "1", "because"))
            targets.add(target)
        elif target in targets:
            run(made, LiftHold(target, "1"))
            targets.remove(target)
        for _ in range(2):
            assert reads.begin()
            for handle in HANDLES:
                held = is_held(handle, targets)
                assert (reads.row(Table.RECORDS, handle.encode()) is None) is held
                answer = resolver.resolve(reads.snapshot, Question(handle))
                assert (answer.outcome is Outcome.HELD) is held
                assert (answer.json is None) is held
            reads.end()


def page_of(store: MemoryEngine, handle: str) -> tuple[int, str]:
    browser = Browser(Resolver(RULES), store, NoLog())
    request = HttpRequest("GET", f"/{handle}", "", {}, b"", credentials_safe=True, peer=PEER)
    reply = asyncio.run(browser.identifier(request))
    return reply.status, reply.body.decode()


def test_a_reason_is_told_only_where_the_order_says_so(store: MemoryEngine) -> None:
    """Of two orders the public one; its text is text, not HTML."""
    run(store, PlaceHold("88.1/A", "令1", "secret matter"))
    status, text = page_of(store, "88.1/A")
    assert status == 451
    assert "已停止解析" in text
    assert "is stopped" in text
    for hidden in ("令1", "secret matter", "a.example"):
        assert hidden not in text
    run(store, PlaceHold("88.1/A", "令2", "<b>抽检不合格</b>", public=True))
    status, text = page_of(store, "88.1/A")
    assert status == 451
    assert "令2：&lt;b&gt;抽检不合格&lt;/b&gt;" in text
    assert "secret matter" not in text


def test_a_public_reason_of_a_prefix_is_told_of_all_below_it(store: MemoryEngine) -> None:
    run(store, PlaceHold("88.1", "令3", "停产整顿", public=True))
    for handle in ("88.1/A", "88.1/NONE", "88.1.2/A", "0.NA/88.1"):
        assert "令3：停产整顿" in page_of(store, handle)[1]


# --- what is made of something that is on hold -----------------------------------

SITE = (HandleValue(1, "HS_SITE", b"site"), HandleValue(2, "HS_SITE.PREFIX", b"above"))
SPACE = (
    b'<namespace><template delimiter="@"><value index="1" type="URL" data="https://b.example"/></template></namespace>'
)


def ask(store: MemoryEngine, handle: str) -> Outcome:
    with store.snapshot() as snapshot:
        return Resolver(RULES).resolve(snapshot, Question(handle, want="values")).outcome


@pytest.mark.parametrize("target", ["0.NA/88.2", "0.NA/88.1"])
def test_no_referral_gives_what_is_on_hold(store: MemoryEngine, target: str) -> None:
    """The sites in the prefix handle, below a delegated prefix and for prefix handles that are not here."""
    run(store, Home("88.2", "delegated"), Put("0.NA/88.2", SITE), Put("0.NA/88.1", SITE))
    before = {handle: ask(store, handle) for handle in ("88.2/X", "0.NA/88.2.9", "0.NA/88.1.9")}
    assert before == {
        "88.2/X": Outcome.SERVICE_REFERRAL,
        "0.NA/88.2.9": Outcome.PREFIX_REFERRAL,
        "0.NA/88.1.9": Outcome.PREFIX_REFERRAL,
    }
    run(store, PlaceHold(target, "1", "x"))
    stopped = {"0.NA/88.2": {"88.2/X", "0.NA/88.2.9"}, "0.NA/88.1": {"0.NA/88.1.9"}}[target]
    for handle, ended in before.items():
        assert ask(store, handle) is (Outcome.HELD if handle in stopped else ended)


@pytest.mark.parametrize("target", ["88.1/A", "0.NA/88.1"])
def test_no_template_makes_an_answer_of_what_is_on_hold(store: MemoryEngine, target: str) -> None:
    """Neither of a base that is, nor by a prefix handle that is."""
    run(store, Put("0.NA/88.1", (HandleValue(1, "HS_NAMESPACE", SPACE),)))
    assert ask(store, "88.1/A@1") is ask(store, "88.1/B@1") is Outcome.OK
    run(store, PlaceHold(target, "1", "x"))
    assert ask(store, "88.1/A@1") is Outcome.HELD
    assert ask(store, "88.1/B@1") is (Outcome.OK if target == "88.1/A" else Outcome.HELD)
