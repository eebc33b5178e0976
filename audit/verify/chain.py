"""The chain of months: each begins with the final checkpoint of the one before; what is gone was deleted on record.

The oldest month of a stream begins with ``log.begin``, or names a month that is not there. That is in order only if
the maintenance log, which is never deleted, has the entry ``log.drop`` of exactly that checkpoint, and not before the
six months of the Measures were over.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Final, NamedTuple

from audit.checkpoint import Checkpoint
from audit.verify.findings import Findings
from audit.verify.leaves import Drop
from audit.verify.month import Tree
from audit.verify.trust import Keys, open_checkpoint, stream_and_month

KEPT_MONTHS: Final = 6  # whole calendar months that a log is kept at least (Measures art. 13-15)
_SHANGHAI: Final = datetime.timezone(datetime.timedelta(hours=8))


Checkpoints = Mapping[str, Checkpoint]
"""By origin."""


class Month(NamedTuple):
    """A month that was read, as far as it could be."""

    label: str
    stream: str
    month: str
    checkpoint: Checkpoint
    keys: Keys
    tree: Tree


def check_chain(
    months: list[Month], drops: dict[str, Drop], maintenance: bool, findings: Findings, left_out: Checkpoints
) -> None:  # fmt: skip
    """Check the months of one stream, ascending. ``drops``: deletions on record, by origin.

    ``maintenance``: whether a maintenance log was there to be asked. ``left_out``: of months that a pack leaves out.
    """
    there = {month.checkpoint.origin: month for month in months}
    before: Month | None = None
    for month in months:
        named = _named(month, before, findings)
        where = f"{month.label} index 0"
        if named is None:
            if before is not None:
                findings.problem(
                    where, f"首条不是上一个月 {before.label} 的最终检查点：月份的链断了，更早的日志可能被替换",
                    f"the first entry is not the final checkpoint of {before.label}: the chain of months is broken, "
                    "what came before may have been replaced",
                )  # fmt: skip
            _check_begin(month, drops, where, findings)
        elif named.origin in there and there[named.origin] is not month:
            _check_link(month, there[named.origin], before, named, findings)
        else:
            _check_gone(month, before, named, findings, drops=drops, maintenance=maintenance, left_out=left_out)
        before = month


def _named(month: Month, before: Month | None, findings: Findings) -> Checkpoint | None:
    """Return the checkpoint that a month begins with; None for the first month of a stream, or what is told.

    It is signed by the key of the month before: where none is trusted, that may be another than that of this one.
    """
    where = f"{month.label} index 0"
    if month.tree.previous is None:
        if not month.tree.begins and month.tree.whole:
            findings.problem(
                where, "首条既不是上月的最终检查点，也不是 log.begin",
                "the first entry is neither the final checkpoint of the month before nor log.begin",
            )  # fmt: skip
        return None
    try:
        keys = month.keys if before is None else month.keys.with_those(before.keys)
        opened = open_checkpoint(month.tree.previous, keys)
    except ValueError as error:
        findings.problem(where, f"条目无法读取：{error}", f"the leaf cannot be read: {error}")
        return None
    if opened.fault is not None:
        findings.problem(
            where, f"上月的检查点：{opened.fault[0]}", f"the checkpoint of the month before: {opened.fault[1]}"
        )
    named = stream_and_month(opened.checkpoint.origin)
    if named is None or named[0] != month.stream or not named[1] < month.month:
        findings.problem(
            where, f"首条的检查点不属于此日志更早的月份：{opened.checkpoint.origin}",
            f"the checkpoint of the first entry is of no earlier month of this stream: {opened.checkpoint.origin}",
        )  # fmt: skip
        return None
    return opened.checkpoint


def _check_begin(month: Month, drops: dict[str, Drop], where: str, findings: Findings) -> None:
    for drop in drops.values():
        named = stream_and_month(drop.checkpoint.origin)
        if named is not None and named[0] == month.stream and named[1] < month.month:
            findings.problem(
                where, f"此日志声称自此开始，但维护日志记有更早的月份 {named[1]}（{drop.where}）：历史被替换",
                f"the log says that it begins here, but the maintenance log knows an earlier month, {named[1]} "
                f"({drop.where}): history was replaced",
            )  # fmt: skip


def _check_link(month: Month, old: Month, before: Month | None, named: Checkpoint, findings: Findings) -> None:
    if before is not old and before is not None:
        findings.problem(
            f"{before.label}", f"{month.label} 的首条跳过了此月，直接指向 {old.label}",
            f"the first entry of {month.label} passes over this month and names {old.label}",
        )  # fmt: skip
    if named == old.checkpoint:
        return
    where = f"{old.label}/checkpoint"
    if named.size == old.checkpoint.size:
        findings.problem(
            where, f"与 {month.label} 首条记下的最终检查点不同（大小同为 {named.size}，根不同）：整月被替换",
            f"this is not the final checkpoint that {month.label} begins with (size {named.size} in both, another "
            "root): the month was replaced",
        )  # fmt: skip
    elif named.size > old.checkpoint.size:
        findings.problem(
            where,
            f"{month.label} 首条记有 {named.size} 条，此检查点只有 {old.checkpoint.size} 条：被回退，或尾部被删除",
            f"{month.label} begins with {named.size} entries of this month, the checkpoint has {old.checkpoint.size}: "
            "it was rolled back, or the tail was dropped",
        )  # fmt: skip
    else:
        findings.problem(
            where,
            f"{month.label} 首条记有 {named.size} 条，此检查点有 {old.checkpoint.size} 条：月份结束后又加了条目",
            f"{month.label} begins with {named.size} entries of this month, the checkpoint has {old.checkpoint.size}: "
            "entries were added after the month was closed",
        )  # fmt: skip


def _check_gone(
    month: Month, before: Month | None, named: Checkpoint, findings: Findings, *, drops: dict[str, Drop],
    maintenance: bool, left_out: Checkpoints,
) -> None:  # fmt: skip
    """Check a month that is named and not there."""
    where = f"{month.label} index 0"
    if before is not None and (stream_and_month(named.origin) or ("", ""))[1] < before.month:
        findings.problem(
            before.label, f"{month.label} 的首条跳过了此月，指向 {named.origin}",
            f"the first entry of {month.label} passes over this month and names {named.origin}",
        )  # fmt: skip
    drop, left = drops.get(named.origin), left_out.get(named.origin)
    if drop is None and left is not None:
        _check_left_out(month, left, named, findings)
    elif drop is None:
        found = (
            ("维护日志中没有其删除记录", "the maintenance log has no entry of its deletion") if maintenance
            else ("此处没有维护日志可查其删除记录", "there is no maintenance log here that could tell of its deletion")
        )  # fmt: skip
        findings.problem(
            where, f"月份缺失：{named.origin}（{named.size} 条）不在此处，{found[0]}：此月被移走",
            f"a month is missing: {named.origin} ({named.size} entries) is not here, {found[1]}: it was taken away",
        )  # fmt: skip
    elif drop.checkpoint != named:
        findings.problem(
            drop.where, f"删除记录的检查点与 {month.label} 首条的不同：删除的不是原来的月份",
            f"the checkpoint of the deletion is not the one that {month.label} begins with: what was deleted is not "
            "the month that was published",
        )  # fmt: skip


def _check_left_out(month: Month, left: Checkpoint, named: Checkpoint, findings: Findings) -> None:
    """Check a month that a pack leaves out, whose checkpoint it has."""
    if left != named:
        findings.problem(
            f"{month.label} index 0", f"首条的检查点不是清单中 {named.origin} 的那个：月份的链断了",
            f"the first entry is not the checkpoint of {named.origin} that the manifest has: the chain is broken",
        )  # fmt: skip
    else:
        findings.note(
            f"{named.origin} 未收入此包，其检查点与 {month.label} 首条相符",
            f"{named.origin} is not in this pack; its checkpoint is the one that {month.label} begins with",
        )


def check_drops(drops: list[Drop], there: dict[str, Month], findings: Findings) -> dict[str, Drop]:
    """Check deletions on record; return them by origin. ``there``: months that are there, by origin."""
    by_origin: dict[str, Drop] = {}
    for drop in drops:
        origin = drop.checkpoint.origin
        stream, month = stream_and_month(origin) or ("", "")
        if stream == "maintenance":
            findings.problem(drop.where, "维护日志不得删除", "the maintenance log must never be deleted")
        _check_age(drop, month, findings)
        known = by_origin.setdefault(origin, drop)
        left = there.get(origin)
        other = known.checkpoint if known is not drop else left.checkpoint if left is not None else drop.checkpoint
        if other != drop.checkpoint:
            findings.problem(
                drop.where, f"{origin} 的删除记录与此月的另一个检查点不符",
                f"the entry of the deletion of {origin} does not fit another checkpoint of that month",
            )  # fmt: skip
        elif left is not None:
            findings.note(
                f"{left.label}：维护日志记有其删除，但它还在这里",
                f"{left.label}: its deletion is in the maintenance log, yet it is still here",
            )  # fmt: skip
        else:
            findings.note(f"{origin} 已按记录删除（{drop.at}）", f"{origin} was deleted on record ({drop.at})")
    return by_origin


def _check_age(drop: Drop, month: str, findings: Findings) -> None:
    """A month may go from the first day, in Shanghai, of the month six whole ones later."""
    try:
        at = datetime.datetime.fromisoformat(drop.at)
        if at.tzinfo is None:
            raise ValueError(drop.at)
        at = at.astimezone(_SHANGHAI)
    except (ValueError, OverflowError):
        findings.problem(
            drop.where, f"删除记录的时间无法读取：{drop.at}", f"the time of the deletion cannot be read: {drop.at}"
        )
        return
    if f"{at.year:04}-{at.month:02}" > drop.written:
        findings.problem(
            drop.where, f"删除记录的时间 {drop.at} 晚于其所在的 {drop.written}：时间是伪造的",
            f"the time of the deletion, {drop.at}, lies behind the month that has it, {drop.written}: it is made up",
        )  # fmt: skip
    elif at.year * 12 + at.month <= int(month[:4]) * 12 + int(month[5:]) + KEPT_MONTHS:
        findings.problem(
            drop.where, f"{month} 于 {drop.at} 删除，不足六个月：早于法定保存期限",
            f"{month} was deleted at {drop.at}, before it had been kept for six months: too early by the Measures",
        )  # fmt: skip
