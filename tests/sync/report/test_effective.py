"""From approval to resolution: which entries count, and which are of something else."""

from __future__ import annotations

from audit.entry import dump
from core.clock import Millis
from core.streams import Stream
from sync.report.figures import Effective, Span, effective
from sync.report.gathering import Gathered
from tests.kit.log_folders import document

SPAN = Span("1970-01", Millis(0), Millis(1_000_000), Millis(1_000_000))


def found(*told: tuple[int, str, str, str]) -> list[Effective]:
    """Return what comes of entries: request, act, object, reason; each request a second."""
    gathered = Gathered()
    for request, act, about, reason in told:
        entry = document(Stream.REGISTRATION, request * 1_000, act, about, reason=reason or None)
        gathered.take(Stream.REGISTRATION, dump(entry | {"req": str(request)}))
    return effective(gathered.steps, SPAN)


def test_the_last_approval_counts() -> None:
    """Of two reviewers, or of the national node; with the case of the prefix as it was asked for."""
    assert found(
        (1, "prefix.review", "88.118.a", "approve"), (2, "prefix.review", "88.118.A", "correct: name: x"),
        (5, "prefix.review", "88.118.A", "approve"), (5, "record.create", "0.NA/88.118.A", ""),
    ) == [Effective("88.118.A", Millis(5_000), Millis(5_000))]  # fmt: skip
    assert found(
        (1, "prefix.review", "88.118.7", "approve"), (4, "prefix.verdict", "88.118.7", "approved; fine"),
        (4, "record.change", "0.NA/88.118.7", ""),
    ) == [Effective("88.118.7", Millis(4_000), Millis(4_000))]  # fmt: skip


def test_a_new_route_and_a_change_by_hand_are_nothing() -> None:
    assert not found(
        (1, "prefix.review", "88.118.7", "approve"), (2, "prefix.site", "88.118.7", ""),
        (2, "record.change", "0.NA/88.118.7", ""), (3, "record.create", "0.NA/88.118.7", ""),
        (4, "prefix.home", "88.118.8", ""), (4, "record.create", "0.NA/88.118.8", ""),
    )  # fmt: skip


def test_each_allocation_of_a_prefix_has_its_own_approval() -> None:
    """One that no log tells of is told as such."""
    assert found(
        (1, "prefix.site", "88.118.7", ""), (1, "record.create", "0.NA/88.118.7", ""),
        (2, "prefix.review", "88.118.7", "approve"), (9, "prefix.site", "88.118.7", ""),
        (9, "record.create", "0.NA/88.118.7", ""),
    ) == [Effective("88.118.7", None, Millis(1_000)), Effective("88.118.7", Millis(2_000), Millis(9_000))]  # fmt: skip
