"""The account of a run: issued = commissioned + scrapped + sampled + returned, here and at the node."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Final, NamedTuple, Protocol

from core import limits
from node.line.shape import Kind, Lot, Span
from node.line.tally import State, Tally
from node.line.upload import Outbox, Refusal

KINDS: Final = {"unit": "单元", "case": "箱", "pallet": "托盘"}
STATES: Final = {
    "issued": "发出", "allocated": "未用", "commissioned": "启用", "scrapped": "报废", "sampled": "抽样",
    "returned": "退回",
}  # fmt: skip
"""Kinds and states of codes in Chinese."""


class Compared(Enum):
    """What of the node's counts was compared: nothing; that none is less than here; that all are as here."""

    NO = "no"
    LEAST = "at-least"
    EQUAL = "equal"


class Node(Protocol):
    """Whose counts are compared. Errors: NodeError."""

    def show(self, handle: str) -> tuple[Lot, dict[str, dict[str, int]]]:
        """Return a lot and the states of its codes."""


class Difference(NamedTuple):
    """A code whose account does not close. ``here``: its state on the line; ``why``: what is wrong with it."""

    code: str
    here: str
    why: str


class Account(NamedTuple):
    """The balance. ``waiting``: facts that the node has not acknowledged.

    ``differences``: at most LINE_DIFFERENCES_TOLD of the ``different`` codes. ``node``: its counts of the lot, None
    where it was not asked; ``compared``: how; ``counts_differ``: by kind and state, what stands here and at the node.
    """

    counts: dict[str, dict[str, int]]
    different: int
    differences: list[Difference]
    waiting: int
    node: dict[str, dict[str, int]] | None
    compared: Compared
    counts_differ: list[str]

    @property
    def balanced(self) -> bool:
        """Whether everything agrees."""
        return not (self.different or self.waiting or self.counts_differ)


def reconcile(tally: Tally, outbox: Outbox, node: Node | None) -> Account:
    """Balance a run; with a node, also against what it says. Errors: NodeError.

    The counts of a node are of the whole lot: they are the same as here where the run has the whole of it, and no
    less where it has a part. What the node acknowledged, item by item, is compared in any case.
    """
    batches = outbox.batches()
    answers = [(batch, outbox.answer(batch)) for batch in batches]
    refused = [refusal for _, answer in answers if answer is not None for refusal in answer.refused]
    unanswered = next((batch.first for batch, answer in answers if answer is None), None)
    first = unanswered if unanswered is not None else (batches[-1].end if batches else 0)
    waiting = sum(1 for _ in outbox.facts(first))
    lot = tally.lot
    counts = {kind.value: tally.counts(kind) for kind in Kind if lot.space(kind).size}
    told = None if node is None else node.show(lot.handle)[1]
    whole = Compared.EQUAL if tally.spans == [Span(0, lot.size)] else Compared.LEAST
    compared = Compared.NO if told is None else whole
    found = itertools.chain(_open(tally), _refused(tally, refused))
    differences = list(itertools.islice(found, limits.LINE_DIFFERENCES_TOLD))
    different = len(differences) + sum(1 for _ in found)
    differ = [] if told is None else _compare(counts, told, compared)
    return Account(counts, different, differences, waiting, told, compared, differ)


def unsettled(tally: Tally) -> Iterator[Difference]:
    """Yield the codes that were seen and refused, and what to do; what was packed after the end, and into nothing."""
    why = (
        "相机读到，但该行未被采纳；请以正确的时间重报，或报废 the camera saw it, and its line was refused: "
        "say it again with its right time, or scrap it"
    )
    for index in _indexes(tally.refused()):
        yield Difference(tally.codes[index], "allocated", why)
    inner = [kind for kind, outer in ((Kind.UNIT, Kind.CASE), (Kind.CASE, Kind.PALLET)) if tally.lot.space(outer).size]
    for index in _indexes(span for kind in inner if tally.ended for span in tally.loose(kind)):
        yield Difference(
            tally.codes[index], tally.state(index).name.lower(),
            "结束后补报，未装箱；请再次结束班次 said after the end, and in no case: end the run again",
        )  # fmt: skip


def _open(tally: Tally) -> Iterator[Difference]:
    """Yield the codes of which nothing was said, or nothing that was taken."""
    yield from unsettled(tally)
    for index in _indexes(tally.unused()):
        yield Difference(tally.codes[index], "allocated", "没有下落 not accounted for")


def _indexes(spans: Iterable[Span]) -> Iterator[int]:
    for span in spans:
        yield from range(span.first, span.end)


def _refused(tally: Tally, refused: list[Refusal]) -> Iterator[Difference]:
    """Yield the codes of which the node refused something, each once for every item."""
    for each in refused:
        why = (
            f"节点拒绝 refused by the node: {each.item.get('event')} {each.outcome} {each.rule} {each.message}".strip()
        )
        for index in range(each.item["from"], each.item["from"] + each.item["count"]):
            yield Difference(tally.codes[index], tally.state(index).name.lower(), why)


def _compare(counts: dict[str, dict[str, int]], told: dict[str, dict[str, int]], how: Compared) -> list[str]:
    """Return where counts differ, as ``unit commissioned: 10 here, 9 at the node``, in both languages."""
    least = how is Compared.LEAST
    states = [state.name.lower() for state in State if state is not State.OTHERS]
    if least:  # a code that has no event here may be encoded at the node
        states.remove(State.ALLOCATED.name.lower())
    differs: Callable[[int, int], bool] = operator.gt if least else operator.ne
    return [
        f"{KINDS[kind]} {kind} {STATES[state]} {state}: 本地 {here} here, 节点 {there} at the node"
        for kind in counts
        for state in states
        if differs(here := counts[kind][state], there := told.get(kind, {}).get(state, 0))
    ]
