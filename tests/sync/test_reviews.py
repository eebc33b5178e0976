"""What a node asks the national review for, and how a verdict is made fit to be kept."""

from __future__ import annotations

from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.signature import key_id
from registry.commands import ApplyPrefix, NationalVerdict, ReviewPrefix
from registry.upstream_commands import ConnectUpstream
from sync.messages import Review, Verdict
from sync.reviews import fitted, waiting
from tests.kit.governance import BEN, Office, person

TOP = key_id(bytes(32))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text(
    min_size=500, max_size=600, alphabet="长\n"
)


def office_with(*prefixes: str) -> Office:
    """Return a node of which these prefixes wait; others are homed, waited before, or are not approved."""
    office = Office()
    party = office.allocated("88.118.1")
    office.do(ConnectUpstream("https://top.example.cn", bytes(32)))
    for prefix in (*prefixes, "88.118.2", "88.118.3", "88.118.4"):
        office.do(ApplyPrefix(prefix, party))
    for prefix in (*prefixes, "88.118.2", "88.118.3"):
        office.do(ReviewPrefix(prefix, approve=True), BEN)
    for prefix, verdict in (("88.118.2", "approved"), ("88.118.3", "rejected")):
        filed = office.application(prefix).filed_ms
        office.do(NationalVerdict(prefix, TOP, verdict, "because", (), filed), person(f"upstream:{TOP}"))
    return office


def test_what_waits_is_asked_for_in_the_order_of_filing() -> None:
    """And nothing else; more than so many are asked for when the first of them are through."""
    office = office_with("88.118.9", "88.118.7", "88.118.8")
    asked = [
        Review(prefix, "P000001", "hosted", office.application(prefix).filed_ms)
        for prefix in ("88.118.9", "88.118.7", "88.118.8")
    ]
    with office.store.snapshot() as snapshot:
        assert waiting(snapshot) == asked
        with mock.patch.object(limits, "UPSTREAM_REVIEWS_MAX", 2):
            assert waiting(snapshot) == asked[:2]


def test_nothing_waits() -> None:
    office = office_with()
    with office.store.snapshot() as snapshot:
        assert waiting(snapshot) == []


@given(
    st.sampled_from(["approved", "rejected", "asked"]), TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=60).map(tuple)
)
def test_the_registrar_takes_what_was_fitted(said: str, reason: str, fields: tuple[tuple[str, str], ...]) -> None:
    """Whatever the top node wrote: it is done, and says what can be said of it."""
    office = WAITS.fork()
    verdict = fitted(Verdict(said, reason, fields))
    filed = office.application("88.118.7").filed_ms
    told = office.do(NationalVerdict("88.118.7", TOP, *verdict, filed), person(f"upstream:{TOP}"))
    assert told["state"] == {"approved": "homed", "rejected": "rejected", "asked": "needs-correction"}[said]
    assert len(told["corrections"]) == (min(max(len(fields), 1), limits.CORRECTIONS_MAX) if said == "asked" else 0)
    assert fitted(verdict) == verdict


def test_what_is_right_stays_as_it_is() -> None:
    right = Verdict("asked", "请更正", (("address", "与证照不符"),))
    assert fitted(right) == right
    assert fitted(Verdict("approved", "", ())) == Verdict("approved", "", ())
    bare = fitted(Verdict("asked", "", ()))
    assert bare.fields == (("prefix", bare.reason),)
    assert "国家顶级节点" in bare.reason


WAITS = office_with("88.118.7")
