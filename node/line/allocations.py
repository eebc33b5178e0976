"""Which line has which sub-blocks of a site, and which run uses them, as the file of allocations says."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

from core.errors import NodeError, Outcome
from node.line.shape import Span


class Take(NamedTuple):
    """A sub-block that a line was given. ``block``: the number of the site's block; ``asked``: how many it wanted."""

    token: str
    line: str
    lot: str
    block: int
    units: Span
    asked: int


class Given(NamedTuple):
    """What a line gets. ``again``: it was given before; ``more``: units of the lot that the site has left."""

    take: Take
    again: bool
    more: int


class Claim(NamedTuple):
    """A run. ``run_id``: 32 hexadecimal digits, of no other run anywhere; ``takes``: the sub-blocks that it uses."""

    run: str
    run_id: str
    line: str
    lot: str
    takes: tuple[Take, ...]


class Allocations(NamedTuple):
    """What the file of allocations says: sub-blocks by token, runs by name."""

    takes: dict[str, Take]
    runs: dict[str, Claim]

    def users(self) -> dict[str, str]:
        """Return which run uses a sub-block, by token."""
        return {take.token: claim.run for claim in self.runs.values() for take in claim.takes}


def refusal(outcome: Outcome, rule: str, message: str) -> NodeError:
    """Return an error with the rule that refuses."""
    return NodeError(message, outcome=outcome, rule=rule)


def next_claim(
    known: Allocations, run: str, line: str, lot: str | None, has_ended: Callable[[], bool]
) -> Claim:  # fmt: skip
    """Return the run of this name as it is, or with what it takes now. Errors: NodeError."""
    before = known.runs.get(run)
    if before is not None and (before.line != line or lot not in (None, before.lot)):
        raise refusal(
            Outcome.CONFLICT, "line-run",
            f"班次 {run} 属于生产线 {before.line}，批次 {before.lot}；班次名称在站点内唯一，请另取名称。"
            f"The run {run} is of the line {before.line}, the lot {before.lot}; a site has each name once: "
            "choose another name",
        )  # fmt: skip
    lot = before.lot if before is not None else lot
    users = known.users()
    whole = [take for take in known.takes.values() if take.line == line and lot in (None, take.lot)]
    free = [take for take in whole if take.token not in users]
    if before is not None:
        if not free or has_ended():
            return before
        return before._replace(takes=(*before.takes, *free))
    if len({take.lot for take in free}) == 1:
        return Claim(run, uuid.uuid4().hex, line, free[0].lot, tuple(free))
    if free:
        raise _several(line, free)
    if whole:
        user = users[whole[-1].token]
        raise refusal(
            Outcome.CONFLICT, "block-none",
            f"生产线 {line} 的号段已由班次 {user} 使用：用 --run {user} 继续；它已结束时执行 saltern line take 再取。"
            f"The codes of the line {line} are of the run {user}: go on with --run {user} or, where that has ended, "
            "give the line more by saltern line take",
        )  # fmt: skip
    raise _nothing(line)


def choose(known: Allocations, line: str, *, lot: str | None, run: str | None, token: str | None) -> Sequence[Take]:
    """Return sub-blocks of a line, all of one lot: those that no run uses yet, so that nothing is printed twice.

    ``run``: those of this run. ``token``: from this sub-block on, whoever uses it. Errors: NodeError.
    """
    users = known.users()
    mine = [take for take in known.takes.values() if take.line == line and lot in (None, take.lot)]
    if token is not None:
        places = [place for place, take in enumerate(mine) if take.token == token]
        if not places:
            raise refusal(
                Outcome.NOT_FOUND, "line-token",
                f"生产线 {line} 没有此令牌的号段：{token}。The line {line} has no block of the token {token}",
            )  # fmt: skip
        mine = mine[places[0] :]
    if run is not None:
        chosen = [take for take in mine if users.get(take.token) == run]
    else:
        chosen = mine if token is not None else [take for take in mine if take.token not in users]
    if not chosen:
        raise _none(line, run, [users[take.token] for take in mine if take.token in users])
    if len({take.lot for take in chosen}) > 1:
        raise _several(line, chosen)
    return chosen


def _none(line: str, run: str | None, users: list[str]) -> NodeError:
    if run is not None:
        return refusal(
            Outcome.NOT_FOUND, "line-run",
            f"生产线 {line} 的班次 {run} 没有号段。There is no run {run} of the line {line} with a block",
        )  # fmt: skip
    if users:
        return refusal(
            Outcome.CONFLICT, "block-none",
            f"生产线 {line} 的号段均已由班次使用；再次输出请用 --run {users[-1]}。"
            f"Runs use all blocks of the line {line}; to write theirs again name one: --run {users[-1]}",
        )  # fmt: skip
    return _nothing(line)


def _several(line: str, takes: Sequence[Take]) -> NodeError:
    return refusal(
        Outcome.CONFLICT, "line-lot",
        f"生产线 {line} 有多个批次的号段，请用 --lot 指明。The line {line} has blocks of several lots; "
        "name one with --lot: " + ", ".join(sorted({take.lot for take in takes})),
    )  # fmt: skip


def _nothing(line: str) -> NodeError:
    return refusal(
        Outcome.CONFLICT, "block-none",
        f"生产线 {line} 没有号段，请执行 saltern line take。"
        f"The line {line} has no block; saltern line take gives it one",
    )  # fmt: skip
