"""What DNS leads to for an OID: what is below it, and who registered it, no more than RDAP shows."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import Outcome
from core.party.fields import identity_names
from registry.commands import AddParty, ApplyPrefix, PlaceHold, ReviewPrefix, VerifyParty
from resolver.oid_documents import OidDocument, Operator, children_document, registrant_document
from tests.kit.governance import BEN, CARLA, EVIDENCE, ROWS, Office, form
from tests.kit.zones import HELD, TARGETS, ZoneStore

OPERATOR = Operator("盐业标识中心", "https://id.example.cn")
REST = st.lists(st.sampled_from(["0", "1", "7", "10", "70", str(2**128 - 1)]), max_size=3)


def children(store: ZoneStore, oid: str) -> tuple[dict[str, bool], bool]:
    """Return what is below an OID and whether it is registered, and whether that is all."""
    with store.engine.snapshot() as snapshot:
        document = children_document(snapshot, oid, root=False)
    assert document.outcome is Outcome.OK
    root = ElementTree.fromstring(document.xml)
    assert (root.tag, root.get("oid")) == ("children", oid)
    return {str(each.get("oid")): each.get("registered") == "true" for each in root}, root.get("complete") == "true"


def registrant(store: ZoneStore, oid: str) -> OidDocument:
    with store.engine.snapshot() as snapshot:
        return registrant_document(snapshot, oid, OPERATOR, root=False)


@given(st.dictionaries(REST.map(lambda rest: ".".join(["1.2.156", *rest])), st.sampled_from(TARGETS), max_size=12))
def test_what_is_below_is_what_is_answered(aliases: dict[str, str]) -> None:
    """Each arc once, in the order of keys, registered where it is answered itself."""
    aliases["1.2.156"] = TARGETS[0]
    store = ZoneStore({f"oid:{oid}": target for oid, target in aliases.items()})
    answered = [oid for oid, target in aliases.items() if target in (TARGETS[0], TARGETS[2]) and oid != "1.2.156"]
    expected = {".".join(oid.split(".")[:4]) for oid in answered}
    assert children(store, "1.2.156") == ({oid: oid in answered for oid in expected}, True)


def test_a_long_list_says_that_it_is_cut() -> None:
    """After so many rows, answered or not; exactly so many are all."""
    most = limits.OID_CHILDREN_MAX
    aliases = {f"oid:1.2.{number}": "88.1/A" for number in range(1_000, 1_000 + most)}
    store = ZoneStore({**aliases, "oid:1.2": "88.1/A"})
    assert children(store, "1.2") == (dict.fromkeys((alias[4:] for alias in aliases), True), True)
    store.name({"oid:1.2.9999": HELD})
    found, complete = children(store, "1.2")
    assert (len(found), complete) == (most, False)


@pytest.mark.parametrize(
    ("target", "outcome"),
    [
        (HELD, Outcome.HELD),
        ("88.2/A", Outcome.HELD),
        ("88.4/A", Outcome.HANDLE_NOT_FOUND),
        (None, Outcome.HANDLE_NOT_FOUND),
    ],
)
def test_there_is_none_where_dns_has_none(target: str | None, outcome: Outcome) -> None:
    """On hold, suspended, of no prefix here, no alias."""
    store = ZoneStore({"oid:1.2.156": "88.1/A"} | ({"oid:1.2.3": target} if target else {}))
    with store.engine.snapshot() as snapshot:
        assert children_document(snapshot, "1.2.3", root=False) == OidDocument(outcome)
    assert registrant(store, "1.2.3") == OidDocument(outcome)


def test_an_organisation_is_shown_as_it_registered() -> None:
    """As RDAP does; text is text, not XML."""
    office = Office()
    name = office.do(AddParty(form(6, profile='<b>盐</b> & "salt"', website="https://salt.example/?a=1&b=2")))["party"]
    for reviewer in (BEN, CARLA):
        office.do(VerifyParty(name, "manual", EVIDENCE), reviewer)
    office.do(ApplyPrefix("88.118.7", name))
    office.do(ReviewPrefix("88.118.7", approve=True), BEN)
    store = ZoneStore({"oid:1.2.3": "88.118.7/A", "oid:1.2.4": "0.NA/88.118.7.9"}, office.store)
    for oid in ("1.2.3", "1.2.4"):
        root = ElementTree.fromstring(registrant(store, oid).xml)
        assert (root.tag, root.get("oid"), root.get("prefix")) == ("registrant", oid, "88.118.7")
        told = {each.tag: each.text for each in root}
        assert told["name"] == ROWS[6]["name"]
        assert told["profile"] == '<b>盐</b> & "salt"'
        assert told["website"] == "https://salt.example/?a=1&b=2"
        assert told["registration"] == "https://id.example.cn/prefixes/88.118.7"
    office.do(PlaceHold(name, "1", "because"))
    assert registrant(store, "1.2.3").outcome is Outcome.HELD


@pytest.mark.parametrize("kind", ["organisation", "person"])
@pytest.mark.parametrize("number", range(len(ROWS)))
def test_nothing_personal_is_ever_shown(number: int, kind: str) -> None:
    """Of each sample party, as an organisation and as a person."""
    office = Office()
    name = str(office.do(AddParty(form(number, **({"kind": "person"} if kind == "person" else {}))))["party"])
    for reviewer in (BEN, CARLA):
        office.do(VerifyParty(name, "manual", EVIDENCE), reviewer)
    office.do(ApplyPrefix("88.118.7", name))
    office.do(ReviewPrefix("88.118.7", approve=True), BEN)
    document = registrant(ZoneStore({"oid:1.2.3": "88.118.7/A"}, office.store), "1.2.3")
    fields = identity_names(person=kind == "person") & set(ROWS[number])
    assert [field for field in fields if ROWS[number][field] in document.xml.decode()] == []
    assert b"anna" not in document.xml


def test_the_operators_own_prefix_is_held_by_the_operator() -> None:
    """By name, if it has one."""
    store = ZoneStore({"oid:1.2.3": "88.1/A"})
    assert {each.tag: each.text for each in ElementTree.fromstring(registrant(store, "1.2.3").xml)} == {
        "name": "盐业标识中心", "registration": "https://id.example.cn/prefixes/88.1",
    }  # fmt: skip
    with store.engine.snapshot() as snapshot:
        bare = registrant_document(snapshot, "1.2.3", Operator("", ""), root=False)
    assert len(ElementTree.fromstring(bare.xml)) == 0
