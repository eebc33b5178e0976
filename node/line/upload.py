"""From a run's file to the node, in batches whose content is fixed before the first try.

| name in ``runs/NAME/`` | what |
|---|---|
| ``batches/000001-00000000-00009817.ndjson`` | a batch as it is sent: lines 0 … 9816 of the run's file |
| ``batches/000001.json`` | the node's answer: counts, and what it refused |
| ``upload.lock`` | held by whoever uploads |

1. What is cut into a batch is synced first: the node never knows what a loss of power here takes back.
2. A batch is written whole before it is sent, under a key of the run and its number: sent again it is the same.
3. It is acknowledged once its answer is written. A crash in between sends it again, and the node answers as before.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from core import limits
from core.errors import Outcome, StoreError, WireError
from node.line import durable
from node.line.allocations import Claim
from node.line.batches import Item, decode_items, encode_items, items_of, merge, weight
from node.line.codes import Codes
from node.line.facts import Fact, unpack_entry
from node.line.run import run_folder
from node.line.shape import Lot
from node.line.site import Site
from node.line.words import printable

_NAME: Final = re.compile(r"(\d{6,})-(\d{8,})-(\d{8,})\.ndjson", re.ASCII)
_TAKEN: Final = (Outcome.OK.value, Outcome.CREATED.value, "unchanged")


class Node(Protocol):
    """Where events go. Errors: NodeError."""

    def send_events(self, handle: str, body: bytes, key: str) -> dict[str, Any]:
        """Return the answer to a batch: ``results``, in the order of its items."""


class Batch(NamedTuple):
    """A batch that was cut: lines ``first`` … ``end - 1`` of the run's file."""

    number: int
    first: int
    end: int
    path: Path


class Refusal(msgspec.Struct, frozen=True):
    """An item that the node did not take."""

    batch: int
    item: dict[str, Any]
    outcome: str
    rule: str
    message: str


class Answer(msgspec.Struct, frozen=True):
    """What the node said to a batch. ``outcomes``: how many items ended how."""

    outcomes: dict[str, int]
    refused: list[Refusal]


class Outbox:
    """The batches of one run. Errors of every call: NodeError."""

    def __init__(self, site: Site, claim: Claim) -> None:
        self._claim = claim
        self._run = run_folder(site, claim.run)
        self._folder = self._run / "batches"

    @property
    def lock(self) -> Path:
        """The file that is held while something is cut or sent."""
        return self._run / "upload.lock"

    def batches(self) -> list[Batch]:
        """Return what was cut, in order."""
        try:
            names = sorted(os.listdir(self._folder))  # noqa: PTH208 - names alone
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._damaged(str(error.strerror)) from None
        matches = [match for name in names if (match := _NAME.fullmatch(name)) is not None]
        batches = [Batch(int(match[1]), int(match[2]), int(match[3]), self._folder / match[0]) for match in matches]
        expected = (1, 0)
        for batch in batches:
            if (batch.number, batch.first) != expected or batch.end <= batch.first:
                raise self._damaged(f"缺少第 {expected[0]} 批 batch {expected[0]} is missing")
            expected = (batch.number + 1, batch.end)
        return batches

    def key(self, batch: Batch) -> str:
        """Return the Idempotency-Key of a batch."""
        return f"{self._claim.run_id}-{batch.number:06}"

    def answer(self, batch: Batch) -> Answer | None:
        """Return what the node said, None for a batch that it has not acknowledged."""
        try:
            return msgspec.json.decode(self._answer_path(batch).read_bytes(), type=Answer)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise self._damaged(f"{self._answer_path(batch).name}: {error}") from None

    def _answer_path(self, batch: Batch) -> Path:
        return self._folder / f"{batch.number:06}.json"

    def _damaged(self, why: str) -> StoreError:
        return StoreError(
            f"{self._folder} 已损坏或被改动。{self._folder} is damaged, or was altered: {why}",
            outcome=Outcome.INTERNAL, rule="line-damaged",
        )  # fmt: skip

    def facts(self, first: int) -> Iterator[tuple[int, Fact]]:
        """Yield the facts from a line of the run's file on, each with its number. All of it is synced before."""
        path = self._run / "events.log"
        number = -1
        for number, payload in durable.scan(path, sync=True):
            if number >= first and isinstance(entry := unpack_entry(payload), Fact):
                yield number, entry
        if number + 1 < first:
            raise self._damaged(
                f"{path.name} 止于第 {number} 行，少于已上传的 {first} 行 ends at line {number}, {first} were cut"
            )

    def cut(self, lot: Lot, codes: Codes) -> Iterator[Batch]:
        """Cut what was not cut yet into batches, each durable when it is yielded."""
        batches = self.batches()
        number, first = (batches[-1].number + 1, batches[-1].end) if batches else (1, 0)
        items: list[Item] = []
        end, full = first, 0
        for line, fact in self.facts(first):
            if full + weight(fact) > limits.LINE_BATCH_ITEMS_MAX:
                yield self._write(Batch(number, first, end, self._folder), merge(items, lot), codes)
                number, first, full, items = number + 1, end, 0, []
            items += items_of(fact)
            end, full = line + 1, full + weight(fact)
        if items:
            yield self._write(Batch(number, first, end, self._folder), merge(items, lot), codes)

    def _write(self, batch: Batch, items: list[Item], codes: Codes) -> Batch:
        durable.make_folder(self._folder)
        path = self._folder / f"{batch.number:06}-{batch.first:08}-{batch.end:08}.ndjson"
        durable.write_whole(path, encode_items(items, self._claim.line, codes))
        return batch._replace(path=path)

    def send(self, batch: Batch, node: Node) -> Answer:
        """Send a batch, and keep the answer."""
        try:
            body = batch.path.read_bytes()
        except OSError as error:
            raise self._damaged(f"{batch.path.name}: {error.strerror}") from None
        told = node.send_events(self._claim.lot, body, self.key(batch))
        answer = _read_answer(batch.number, decode_items(body), told["results"])
        durable.write_whole(self._answer_path(batch), msgspec.json.encode(answer) + b"\n")
        return answer


def _read_answer(number: int, items: list[dict[str, Any]], results: list[dict[str, Any]]) -> Answer:
    """Errors: WireError."""
    outcomes: Counter[str] = Counter()
    refused = []
    for item, result in zip(items, results, strict=True):
        outcome, rule, message = (printable(str(result.get(name) or "")) for name in ("outcome", "rule", "message"))
        if not outcome:
            raise WireError("节点的应答缺少 outcome。The node answered an item without an outcome")
        outcomes[outcome] += 1
        if outcome not in _TAKEN:
            refused.append(Refusal(number, item, outcome, rule, message))
    return Answer(dict(outcomes), refused)


class Uploaded(NamedTuple):
    """What one upload did. ``batches``: sent now; ``before``: acknowledged before; ``outcomes``: of items, now."""

    batches: int
    before: int
    outcomes: dict[str, int]
    refused: list[Refusal]


def upload(outbox: Outbox, lot: Lot, codes: Codes, node: Node) -> Uploaded:
    """Send what the node has not acknowledged, oldest first. Errors: NodeError; run it again to go on."""
    outcomes: Counter[str] = Counter()
    refused: list[Refusal] = []
    sent = before = 0
    with durable.locked(outbox.lock):
        for batch in _waiting(outbox, lot, codes):
            if outbox.answer(batch) is not None:
                before += 1
                continue
            answer = outbox.send(batch, node)
            sent += 1
            outcomes.update(answer.outcomes)
            refused += answer.refused
    return Uploaded(sent, before, dict(outcomes), refused)


def _waiting(outbox: Outbox, lot: Lot, codes: Codes) -> Iterator[Batch]:
    yield from outbox.batches()
    yield from outbox.cut(lot, codes)
