"""What a line lets in: every alarm, what is known already, cases by rule and not, the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import Millis
from core.errors import StoreError
from node.line.camera import Reading, What
from node.line.codes import Code, Codes
from node.line.facts import (
    COMMISSIONED,
    LOOSE,
    RETURNED,
    SAMPLED,
    SCRAPPED,
    Alarm,
    End,
    Entry,
    Fact,
    pack_entry,
    unpack_entry,
)
from node.line.shape import Kind, Lot, Span, format_serial
from node.line.sightings import serials_in
from node.line.tally import ALARMS, State, Tally
from tests.kit.line_node import Lot as Model

LOT = Lot("88.118.7/L1", 60, 10, 3)
MODEL = Model(LOT.handle, 60, 10, 3)
CODES = Codes(LOT, [Code(n, code, LOT.kind(n), None, None) for n, code in enumerate(MODEL.codes)])
BEGIN = 1_763_712_000_000
NOW = Millis(BEGIN + 86_400_000)
CASE, PALLET = 60, 66


def tally_of(*units: Span) -> Tally:
    return Tally(LOT, CODES, list(units) or [Span(0, 60)])


def reading(what: What, index: int, second: int, grade: str = "", **more: object) -> Reading:
    return Reading(what, CODES[index], BEGIN + second * 1_000, grade, **more)  # type: ignore[arg-type]


def say(tally: Tally, what: What, index: int, second: int, grade: str = "", **more: object) -> Fact | str | None:
    found = tally.read(reading(what, index, second, grade, **more), NOW)
    if isinstance(found, Fact):
        tally.apply(found)
    return found


def fill(tally: Tally, first: int, size: int, second: int = 0) -> None:
    for index in range(first, first + size):
        assert isinstance(say(tally, What.BAG, index, second), Fact)


def test_each_alarm_has_its_cause() -> None:
    """And nothing of what raises one is entered."""
    tally = tally_of(Span(0, 30))
    fill(tally, 0, 10, 5)
    say(tally, What.SCRAP, 0, 6)
    say(tally, What.CASE, CASE, 7)
    before = tally.counts(Kind.UNIT)
    raised = [
        say(tally, What.BAG, 30, 9),
        say(tally, What.CASE, CASE + 3, 9),
        tally.read(Reading(What.BAG, "88.118.7/L12222222222", BEGIN), NOW),
        tally.read(Reading(What.BAG, "", 0), NOW),
        say(tally, What.CASE, 11, 9),
        say(tally, What.BAG, CASE + 1, 9),
        say(tally, What.BAG, 1, 9),
        say(tally, What.BAG, 0, 9),
        say(tally, What.BAG, 1, 9, reject=True),
        say(tally, What.CASE, CASE, 9),
        say(tally, What.SCRAP, 0, 9),
        say(tally, What.SAMPLE, 0, 9),
        say(tally, What.SCRAP, 1, 4),
        tally.read(Reading(What.BAG, CODES[11], NOW + limits.LINE_FUTURE_MS + 1), NOW),
        say(tally, What.CASE, CASE + 1, 9, children=(CODES[12],)),
        say(tally, What.CASE, CASE + 1, 9, children=(CODES[CASE],)),
        say(tally, What.CASE, CASE + 1, 9),
    ]
    assert raised == [
        "unknown", "unknown", "unknown", "no-read", "kind", "kind", "duplicate", "duplicate", "duplicate", "duplicate",
        "state", "state", "order", "future", "child", "child", "children",
    ]  # fmt: skip
    assert tally.counts(Kind.UNIT) == before
    for entry in tally.end(NOW):
        tally.apply(entry)
    assert say(tally, What.SCRAP, 1, 100_000) == "ended"
    assert say(tally, What.BAG, 12, 100_000) == "duplicate"
    assert {*raised, "ended", "malformed"} == set(ALARMS)


def test_what_is_said_again_is_known() -> None:
    """Every kind of line, in any order, also after something else happened to the code; not at another time."""
    tally = tally_of()
    fill(tally, 0, 10)
    said = [
        reading(What.BAG, 10, 1, "F"), reading(What.BAG, 11, 1, reject=True), reading(What.SCRAP, 12, 1),
        reading(What.SAMPLE, 3, 2), reading(What.SCRAP, 4, 2), reading(What.SAMPLE, 13, 2), reading(What.CASE, CASE, 3),
        reading(What.PALLET, PALLET, 3), reading(What.SCRAP, CASE, 4), reading(What.CASE, CASE + 1, 4, reject=True),
    ]  # fmt: skip
    for each in said:
        found = tally.read(each, NOW)
        assert isinstance(found, Fact), each
        tally.apply(found)
    for each in [*said, *(reading(What.BAG, index, 0) for index in range(10))]:
        assert tally.read(each, NOW) is None, each
        later = tally.read(each._replace(at_ms=each.at_ms + 9_000), NOW)
        assert later in ("duplicate", "state"), each


@pytest.mark.parametrize(("grade", "reject"), [("F", False), ("A", True), ("F", True)])
def test_a_reject_is_scrapped(grade: str, reject: bool) -> None:
    """Never commissioned, and in no case."""
    tally = tally_of()
    found = say(tally, What.BAG, 0, 0, grade, reject=reject)
    assert found == Fact(SCRAPPED, Span(0, 1), BEGIN, grade)
    assert list(tally.loose(Kind.UNIT)) == []


def test_a_case_by_rule_says_nothing_of_its_bags() -> None:
    """Whether they were listed or not; nor does a pallet of its cases."""
    tally = tally_of()
    fill(tally, 0, 30)
    listed = tuple(CODES[index] for index in reversed(range(10)))
    for number, children in ((0, listed), (2, tuple(CODES[index] for index in range(20, 30))), (1, None)):
        assert say(tally, What.CASE, CASE + number, 1, children=children) == Fact(
            COMMISSIONED, Span(CASE + number, 1), BEGIN + 1_000
        )
    found = say(tally, What.PALLET, PALLET, 2)
    assert isinstance(found, Fact)
    assert found.children == ()
    assert list(tally.loose(Kind.UNIT)) == []


def test_a_case_with_other_bags_says_which() -> None:
    """One too many, one too few, one of the next case, one that was sampled before it was closed."""
    tally = tally_of()
    fill(tally, 0, 12)
    say(tally, What.SAMPLE, 3, 1)
    found = say(tally, What.CASE, CASE, 1)
    assert isinstance(found, Fact)
    assert found.children == (Span(0, 3), Span(4, 8))
    fill(tally, 12, 8, 2)
    found = say(tally, What.CASE, CASE + 1, 3)
    assert isinstance(found, Fact)
    assert found.children == (Span(12, 8),)


def test_bags_that_were_moved_come_back_by_name() -> None:
    """The node was told another case: that they are where the rule has them must be said."""
    tally = tally_of()
    fill(tally, 0, 10)
    assert isinstance(say(tally, What.CASE, CASE + 1, 1, children=tuple(CODES[n] for n in range(10))), Fact)
    found = say(tally, What.CASE, CASE, 2, children=tuple(CODES[n] for n in range(10)))
    assert isinstance(found, Fact)
    assert found.children == (Span(0, 10),)


def test_the_end_takes_out_what_is_loose_and_returns_what_was_not_used() -> None:
    """Bags without a case, cases without a pallet; units, cases and pallets; once."""
    tally = tally_of(Span(0, 30))
    fill(tally, 0, 12)
    say(tally, What.CASE, CASE, 1, children=tuple(CODES[n] for n in range(10)))
    entries = tally.end(NOW)
    assert entries == [
        Fact(LOOSE, Span(10, 2), NOW),
        Fact(LOOSE, Span(CASE, 1), NOW),
        Fact(RETURNED, Span(12, 18), NOW),
        Fact(RETURNED, Span(CASE + 1, 2), NOW),
        Fact(RETURNED, Span(PALLET, 1), NOW),
        End(NOW),
    ]
    for entry in entries[:3]:  # a crash in the middle
        tally.apply(entry)
    assert tally.end(NOW) == entries[3:]
    for entry in entries[3:]:
        tally.apply(entry)
    assert [tally.counts(kind)["allocated"] for kind in Kind] == [0, 0, 0]
    assert list(tally.those(State.RETURNED)) == [Span(12, 18), Span(CASE + 1, 2), Span(PALLET, 1)]


def test_without_cases_there_is_nothing_loose() -> None:
    """A lot of bags alone ends with what was returned."""
    lot = Lot(LOT.handle, 60)
    tally = Tally(lot, CODES, [Span(0, 20)])
    tally.apply(Fact(COMMISSIONED, Span(0, 20), BEGIN))
    assert tally.end(NOW) == [End(NOW)]


READINGS = st.builds(
    Reading, st.sampled_from(What), st.integers(0, LOT.size - 1).map(lambda index: CODES[index]),
    st.integers(0, 5).map(lambda second: BEGIN + second * 1_000), st.sampled_from(["", "A", "F"]),
)  # fmt: skip


@given(st.lists(READINGS, max_size=60))
def test_the_counts_agree_whatever_is_said(said: list[Reading]) -> None:
    """Issued is the sum of the rest; all of it said again changes nothing; replayed it is the same."""
    tally, replayed = tally_of(Span(0, 35)), tally_of(Span(0, 35))
    taken = []
    for each in said:
        found = tally.read(each, NOW)
        if isinstance(found, Fact):
            tally.apply(found)
            replayed.apply(found)
            taken.append(each)
    for kind, issued in ((Kind.UNIT, 35), (Kind.CASE, 4), (Kind.PALLET, 2)):
        counts = tally.counts(kind)
        assert counts["issued"] == issued == sum(counts.values()) - issued
        assert replayed.counts(kind) == counts
    assert [tally.read(each, NOW) for each in taken] == [None] * len(taken)


@pytest.mark.parametrize(
    "fact",
    [
        Fact(COMMISSIONED, Span(40, 1), BEGIN), Fact(SAMPLED, Span(1, 1), BEGIN), Fact(RETURNED, Span(0, 2), BEGIN),
        Fact(COMMISSIONED, Span(LOT.size, 1), BEGIN), Fact(SCRAPPED, Span(29, 2), BEGIN),
    ],
)  # fmt: skip
def test_a_file_that_says_what_cannot_be_is_refused(fact: Fact) -> None:
    """Of others, of a code that is scrapped, in part, beyond the lot."""
    tally = tally_of(Span(0, 30))
    tally.apply(Fact(SCRAPPED, Span(1, 1), BEGIN))
    with pytest.raises(StoreError):
        tally.apply(fact)


def test_an_alarm_is_raised_once_for_the_same_line() -> None:
    """Said again after a crash it is the same alarm; another line is another one."""
    tally = tally_of()
    alarm = tally.alarm("duplicate", b"X,now\r\n", NOW)
    assert alarm == Alarm("duplicate", NOW, "X,now")
    tally.apply(alarm)
    assert tally.alarm("duplicate", b"X,now\n", Millis(NOW + 1)) is None
    assert tally.alarm("duplicate", b"X,then\n", NOW) is not None
    assert tally.alarms == {"duplicate": 1}


def test_each_blank_line_is_another_bag() -> None:
    """It has no time that could tell one from the next; with a time the same line is the same bag."""
    tally = tally_of()
    for line in (b"\n", b"\n", b" \r\n", b",2026-11-21T08:00:00Z\n", b",2026-11-21T08:00:00Z\n"):
        alarm = tally.alarm("no-read", line, NOW)
        if alarm is not None:
            tally.apply(alarm)
    assert tally.alarms == {"no-read": 4}


# --- seen and refused -------------------------------------------------------------


def alarm(tally: Tally, rule: str, line: str) -> None:
    entry = tally.alarm(rule, line.encode(), NOW)
    if entry is not None:
        tally.apply(unpack_entry(pack_entry(entry)))


def end(tally: Tally) -> list[Entry]:
    entries = tally.end(NOW)
    for entry in entries:
        tally.apply(entry)
    return entries


def test_one_wrong_time_stops_no_other_code() -> None:
    """Order is that of a code: minutes ahead, back again; what happens to the same bag comes after."""
    tally = tally_of()
    for index, second in ((10, 10), (11, 290), (12, 11), (0, 0)):
        assert isinstance(say(tally, What.BAG, index, second), Fact)
    assert say(tally, What.SCRAP, 11, 200) == "order"
    assert isinstance(say(tally, What.SAMPLE, 12, 12), Fact)
    assert say(tally, What.BAG, 12, 11) is None
    assert isinstance(say(tally, What.SCRAP, 11, 291), Fact)
    assert end(tally)[-1] == End(NOW)


@pytest.mark.parametrize(
    "line",
    [
        "{code},tomorrow\n", "{code}", "{small},2026-11-21T08:00:00,G,x,y\n", "]d20106901234567892\x1d21{suffix},\n",
        "https://id.example.cn/01/06901234567892/21/{suffix}?x,now\n", '{{"code": "{suffix}", "tim\n',
        '{{"code":"0106901234567892\\u001d21{suffix}","time":1}}\n', "88.118.7%2F{suffix},\n", "\xff{suffix}\xff\n",
        '{{"code":"X","time":"2026-11-21T08:00:00Z","event":"case","children":["Y","{code}"]}}\n',
        "x" * 9_000 + "{code}\n",
        "(01)06901234567892(21){suffix};now;A\n", "L1L1{suffix}\n", "{code}{code}\n",
        '{{"code":"\\u004C1{serial}"}}\n',
    ],
)  # fmt: skip
def test_a_code_that_was_seen_is_not_returned(line: str) -> None:
    """Wherever it stands in a line that was refused, it stays open, also after the end, until a line is taken."""
    tally = tally_of()
    code = CODES[7]
    alarm(tally, "malformed", line.format(code=code, small=code.lower(), suffix=code[9:], serial=code[-10:]))
    assert list(tally.refused()) == [Span(7, 1)]
    entries = end(tally)
    assert entries[:2] == [Fact(RETURNED, Span(0, 7), NOW), Fact(RETURNED, Span(8, 52), NOW)]
    assert (tally.counts(Kind.UNIT)["allocated"], tally.state(7)) == (1, State.ALLOCATED)
    assert end(tally) == [End(NOW)]
    found = say(tally, What.BAG, 7, 1)
    assert isinstance(found, Fact)
    assert list(tally.refused()) == []
    assert end(tally) == [Fact(LOOSE, Span(7, 1), NOW), End(NOW)]
    assert tally.counts(Kind.UNIT)["allocated"] == 0
    assert say(tally, What.SCRAP, 7, 2) == "ended"


def test_a_code_that_was_seen_before_the_line_had_it_is_not_returned() -> None:
    """Unknown to the run then, of the run now: the file says so when it is read again."""
    raised = tally_of(Span(0, 10)).alarm("unknown", f"{CODES[20]},now\n".encode(), NOW)
    assert raised is not None
    tally = tally_of(Span(0, 10), Span(10, 20))
    tally.apply(unpack_entry(pack_entry(raised)))
    assert list(tally.refused()) == [Span(20, 1)]


def test_long_lines_that_begin_alike_are_not_the_same_alarm() -> None:
    """Else the codes of the second one were seen by nobody."""
    tally = tally_of()
    for index in (3, 5):
        alarm(tally, "children", "{" * 600 + CODES[index] + "\n")
    assert list(tally.refused()) == [Span(3, 1), Span(5, 1)]
    assert tally.alarms == {"children": 2}


def test_a_case_that_is_settled_after_the_end_says_its_bags() -> None:
    """The end told the node that they are in none: by rule is not enough."""
    tally = tally_of()
    fill(tally, 0, 10)
    alarm(tally, "future", f"{CODES[CASE]},2099-01-01T00:00:00Z,,case\n")
    end(tally)
    assert say(tally, What.CASE, CASE, 5) == "children"
    found = say(tally, What.CASE, CASE, 5, children=tuple(CODES[n] for n in range(10)))
    assert isinstance(found, Fact)
    assert found.children == (Span(0, 10),)


@given(st.binary(max_size=300))
def test_any_line_has_its_codes(octets: bytes) -> None:
    """And no fault; a line of a run has room for all that a line of the camera can name."""
    for lot in (LOT.handle, "88/2", "88/-"):
        assert all(len(serial) == 10 for serial in serials_in(octets, lot))
    many = "2" * limits.LINE_INPUT_BYTES_MAX
    assert len(serials_in(many.encode(), "88/2")) == 1


def test_a_line_of_a_run_has_room_for_all_codes_of_a_line() -> None:
    """As many as are searched for, behind a text that takes the most octets."""
    seen = tuple(format_serial(number, "") for number in range(limits.LINE_SEEN_MAX))
    entry = Alarm("children", NOW, "\x01" * limits.LINE_ALARM_CHARS_MAX, seen)
    assert len(pack_entry(entry)) < limits.LINE_FRAME_BYTES_MAX
    assert unpack_entry(pack_entry(entry)) == entry
