"""Facts become fewer items that say the same, cut into batches that never change."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import NodeError, StoreError
from node.line import durable, run
from node.line.batches import Item, decode_items, encode_items, items_of, merge
from node.line.codes import Code, Codes
from node.line.facts import COMMISSIONED, EVENTS, LOOSE, Fact, pack_entry
from node.line.shape import Lot, Span
from node.line.site import Claim, Site, Take
from node.line.upload import Outbox, upload
from tests.kit.line_node import Lot as Model
from tests.kit.line_node import moment

LOT = Lot("88.118.7/L1", 60, 10, 3)
MODEL = Model(LOT.handle, 60, 10, 3)
CODES = Codes(LOT, [Code(n, code, LOT.kind(n), None, None) for n, code in enumerate(MODEL.codes)])
BEGIN = 1_763_712_000_000


@st.composite
def facts(draw: st.DrawFn) -> list[Fact]:
    """Return facts as a run tells them: time runs forwards; nothing else is promised."""
    told, at_ms = [], BEGIN
    for _ in range(draw(st.integers(0, 40))):
        at_ms += draw(st.integers(0, 3))
        event = draw(st.sampled_from(EVENTS))
        first = draw(st.integers(0, LOT.size - 1))
        end = min([space.end for kind in type(LOT.kind(0)) if first < (space := LOT.space(kind)).end])
        span = Span(first, draw(st.integers(1, min(4, end - first))))
        children: tuple[Span, ...] = ()
        if event == COMMISSIONED:
            span = Span(first, 1)
            if first >= LOT.units:
                spans = st.builds(Span, st.integers(0, 50), st.integers(1, 9))
                children = tuple(draw(st.lists(spans, max_size=3)))
        told.append(Fact(event, span, at_ms, draw(st.sampled_from(["", "A", "C"])), children))
    return told


def expand(items: list[Item]) -> dict[int, list[Item]]:
    """Return what happens to each code, in order, as items of one code."""
    found: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        for index in range(item.codes.first, item.codes.end):
            found[index].append(item._replace(codes=Span(index, 1)))
    return found


@given(facts())
def test_merged_items_say_the_same(told: list[Fact]) -> None:
    """The same events of each code in the same order; its time within the range, its grade no worse; no two kinds."""
    items = [item for fact in told for item in items_of(fact)]
    merged = merge(items, LOT)
    assert len(merged) <= len(items)
    before, after = expand(items), expand(merged)
    assert before.keys() == after.keys()
    for index, singles in before.items():
        assert len(singles) == len(after[index])
        for single, item in zip(singles, after[index], strict=True):
            assert (single.event, single.parent, bool(single.grade)) == (item.event, item.parent, bool(item.grade))
            assert item.at_ms <= single.at_ms <= item.until_ms
            assert single.grade <= item.grade
        untils = [item.until_ms for item in after[index]]
        starts = [item.at_ms for item in after[index]]
        assert all(until <= start for until, start in zip(untils, starts[1:], strict=False))
    assert all(LOT.kind(item.codes.first) is LOT.kind(item.codes.end - 1) for item in merged)


def bag(index: int, at_ms: int = BEGIN, grade: str = "A") -> Fact:
    return Fact(COMMISSIONED, Span(index, 1), at_ms, grade)


def test_a_row_of_bags_is_one_item() -> None:
    """In whatever order the camera saw them, cases by rule beside them; the worst grade stands for all."""
    told = [bag(n, BEGIN + t, "ABCA"[n % 4]) for t, n in enumerate([3, 1, 0, 2, 5, 4, 7, 6, 9, 8])]
    told += [Fact(COMMISSIONED, Span(60, 1), BEGIN + 10), *(bag(n, BEGIN + 11 + n) for n in range(10, 14))]
    merged = merge([item for fact in told for item in items_of(fact)], LOT)
    assert merged == [
        Item(COMMISSIONED, Span(0, 14), BEGIN, BEGIN + 24, "C"),
        Item(COMMISSIONED, Span(60, 1), BEGIN + 10, BEGIN + 10),
    ]


def test_a_body_is_what_the_contract_says() -> None:
    """One JSON object a line; ``until`` and ``grade`` only where there is one; an empty parent takes out."""
    told = [bag(0), bag(1, BEGIN + 5, "B"), Fact(COMMISSIONED, Span(61, 1), BEGIN + 6, children=(Span(0, 2),))]
    told.append(Fact(LOOSE, Span(30, 2), BEGIN + 7))
    body = encode_items(merge([item for fact in told for item in items_of(fact)], LOT), "L4", CODES)
    at = "2025-11-21T08:00:00.00"
    assert decode_items(body) == [
        {
            "event": "commissioned",
            "from": 0,
            "count": 2,
            "time": f"{at}0Z",
            "until": f"{at}5Z",
            "place": "L4",
            "grade": "B",
        },
        {"event": "commissioned", "from": 61, "count": 1, "time": f"{at}6Z", "place": "L4"},
        {"event": "packed", "from": 0, "count": 2, "time": f"{at}6Z", "place": "L4", "parent": MODEL.codes[61]},
        {"event": "packed", "from": 30, "count": 2, "time": f"{at}7Z", "place": "L4", "parent": ""},
    ]
    assert moment(f"{at}0Z") == BEGIN


# --- batches --------------------------------------------------------------------


CLAIM = Claim("A", "0" * 32, "L4", LOT.handle, (Take("t", "L4", LOT.handle, 1, Span(0, 60), 60),))


class Model2:
    """A node in process: takes batches as the contract says, and can fail at each step."""

    def __init__(self) -> None:
        self.model = Model(LOT.handle, 60, 10, 3)
        self.kept: dict[str, tuple[bytes, dict[str, Any]]] = {}
        self.fail = ""

    def send_events(self, handle: str, body: bytes, key: str) -> dict[str, Any]:
        if self.fail == "before":
            raise NodeError("cut")
        if key not in self.kept:
            self.kept[key] = (body, self.model.take_events(decode_items(body), BEGIN + 10**9))
        assert self.kept[key][0] == body, "another body under the same key"
        if self.fail == "after":
            raise NodeError("cut")
        return self.kept[key][1]


def written(folder: Path, told: list[Fact]) -> Outbox:
    site = Site(folder)
    durable.make_folder(run.run_folder(site, CLAIM.run))
    path = run.run_folder(site, CLAIM.run) / "events.log"
    appender = durable.Appender(path, durable.read_frames(path, lambda *_: None))
    appender.append([pack_entry(fact) for fact in told])
    appender.close()
    return Outbox(site, CLAIM)


def test_a_batch_has_its_bound_and_is_never_cut_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand items at most; what came since goes into the next one, whatever failed in between."""
    monkeypatch.setattr(limits, "LINE_BATCH_ITEMS_MAX", 4)
    node = Model2()
    outbox = written(tmp_path, [bag(n, BEGIN + n) for n in range(0, 12, 2)])
    for node.fail in ("before", "after"):
        with pytest.raises(NodeError):
            upload(outbox, LOT, CODES, node)
        written(tmp_path, [bag(20 if node.fail == "before" else 22, BEGIN + 50)])
    assert [(batch.first, batch.end) for batch in outbox.batches()] == [(0, 4)]
    node.fail = ""
    done = upload(outbox, LOT, CODES, node)
    assert (done.batches, done.before, done.outcomes, done.refused) == (2, 0, {"ok": 8}, [])
    assert [(batch.first, batch.end) for batch in outbox.batches()] == [(0, 4), (4, 8)]
    assert sorted(node.kept) == [outbox.key(batch) for batch in outbox.batches()]
    assert upload(outbox, LOT, CODES, node).batches == 0
    assert node.model.counts()["unit"]["commissioned"] == 8


def test_a_crash_between_answer_and_acknowledgement_sends_it_again(tmp_path: Path) -> None:
    """The node answers as it did before; nothing is doubled, what it refused is kept once."""
    node = Model2()
    outbox = written(tmp_path, [bag(1), bag(3, BEGIN + 1), Fact("sampled", Span(5, 1), BEGIN + 2)])
    node.model.states[3] = "scrapped"
    first = upload(outbox, LOT, CODES, node)
    assert [each.rule for each in first.refused] == ["event-state"]
    kept = outbox.answer(outbox.batches()[0])
    assert kept is not None
    (tmp_path / "runs" / "A" / "batches" / "000001.json").unlink()
    assert upload(outbox, LOT, CODES, node) == first
    assert outbox.answer(outbox.batches()[0]) == kept
    assert len(node.kept) == 1


def test_alarms_alone_are_no_batch(tmp_path: Path) -> None:
    """An empty run uploads nothing, and says so."""
    outbox = written(tmp_path, [])
    assert upload(outbox, LOT, CODES, Model2()).batches == 0
    assert outbox.batches() == []


@pytest.mark.parametrize("what", ["batch", "events", "answer"])
def test_what_was_altered_by_hand_is_told(tmp_path: Path, what: str) -> None:
    """A missing batch, a run that ends before what was cut, an answer that is none."""
    outbox = written(tmp_path, [bag(0)])
    upload(outbox, LOT, CODES, Model2())
    folder = tmp_path / "runs" / "A"
    if what == "batch":
        batch = outbox.batches()[0].path
        batch.rename(batch.with_name(batch.name.replace("000001-", "000002-")))
    elif what == "events":
        (folder / "events.log").write_bytes(b"")
    else:
        (folder / "batches" / "000001.json").write_text(json.dumps([1]))
    with pytest.raises(StoreError, match="altered"):
        upload(outbox, LOT, CODES, Model2())
