"""How a party is verified: what each method finds, who may judge, and what begins it anew."""

from __future__ import annotations

import hashlib
import json

import pytest

from core.errors import Outcome
from core.store.party_rows import Verified
from registry.commands import Actor, AmendParty, ApplyPrefix, ReviewPrefix, VerifyParty
from registry.policy import Policy
from registry.verification import METHODS, Case, Finding
from tests.kit.governance import ANNA, BEN, CARLA, DORA, EVIDENCE, ROWS, Office, person

PRODUCTION = Policy(production=True)
OTHER_NAME = json.dumps({"legal_rep": "别人"}).encode()


def manual(party: str, **given: str) -> VerifyParty:
    return VerifyParty(party, "manual", EVIDENCE, **given)  # type: ignore[arg-type] # failed alone


# --- offline ----------------------------------------------------------------


@pytest.mark.parametrize("number", range(0, len(ROWS), 5))
def test_the_sample_is_of_the_right_form_and_no_more(number: int) -> None:
    """The offline check alone never verifies, however often."""
    office = Office()
    party = office.party(number)
    for _ in range(3):
        assert office.do(VerifyParty(party, "offline"), BEN)["verification"] == "format-ok"


@pytest.mark.parametrize("field", ["name", "uscc", "region"])
def test_offline_finds_what_is_not_as_in_the_document(field: str) -> None:
    """The wrong field is named, and neither what the form nor what the document says."""
    office = Office()
    party = office.party()
    document = {each: ROWS[0][each] for each in ("name", "uscc", "region")}
    right = json.dumps(document).encode()
    told = office.do(VerifyParty(party, "offline", document=right), BEN)
    assert (told["verification"], told["source"].endswith("compared with the document")) == ("format-ok", True)
    wrong = json.dumps(document | {field: ROWS[1][field]}).encode()
    told = office.do(VerifyParty(party, "offline", document=wrong), BEN)
    assert (told["verification"], told["note"]) == ("failed", f"{field}: not as in the document")
    step = office.party_row(party).steps[-1]
    assert step.evidence == hashlib.sha256(wrong).digest()


def test_offline_finds_a_code_of_another_region() -> None:
    """Which is a warning where it is filed, and a failure here."""
    office = Office()
    party = office.party(region=ROWS[1]["region"])
    told = office.do(VerifyParty(party, "offline"), BEN)
    assert (told["verification"], told["note"]) == ("failed", "uscc: uscc.other-region")


@pytest.mark.parametrize("document", [b"\xff\xd8scan", b"{", b"[]", b"{}", b'{"other": 1}'])
def test_a_document_that_says_nothing_is_not_compared(document: bytes) -> None:
    """Only its digest is kept, and the step does not say otherwise."""
    office = Office()
    told = office.do(VerifyParty(office.party(), "offline", document=document), BEN)
    assert (told["verification"], "compared" in told["source"]) == ("format-ok", False)


def test_offline_leaves_a_verified_party_verified_and_fails_a_wrong_one() -> None:
    """Whatever it was before."""
    office = Office()
    party = office.verified()
    assert office.do(VerifyParty(party, "offline"), DORA)["verification"] == "verified"
    wrong = b'{"name": "another"}'
    assert office.do(VerifyParty(party, "offline", document=wrong), DORA)["verification"] == "failed"
    assert office.do(manual(party), BEN)["verification"] == "failed"
    assert office.do(manual(party), CARLA)["verification"] == "verified"


# --- by hand ----------------------------------------------------------------


def test_it_takes_two_people_none_of_whom_filed() -> None:
    """The same name twice may not; letters, blanks and width of it make no other person."""
    office = Office()
    party = office.party()
    for name in ("anna", "Anna", " ANNA ", "ａｎｎａ"):
        assert office.ask(manual(party), person(name, 77)).rule == "separation-of-duties"
    assert office.do(manual(party), BEN)["verification"] == "unverified"
    for name in ("ben", "BEN", "ben ", "ｂｅｎ"):
        assert office.ask(manual(party), person(name, 78)).rule == "two-reviewers"
    assert office.do(manual(party), CARLA)["verification"] == "verified"


@pytest.mark.parametrize("policy", [Policy(), PRODUCTION])
def test_in_production_people_differ_by_uid(policy: Policy) -> None:
    """There a name is not enough; elsewhere one user of the machine may speak for several."""
    office = Office(policy=policy)
    filer, again = person("anna", 1), person("other", 1)
    party = office.party(actor=filer)
    result = office.ask(manual(party), again)
    assert result.rule == ("separation-of-duties" if policy.production else "")
    assert office.ask(manual(party), person("ben", 2)).done
    result = office.ask(manual(party), person("carla", 2))
    assert result.rule == ("two-reviewers" if policy.production else "")


def test_in_production_people_differ_by_token() -> None:
    """One token is one person, two of one holder are one by his name; in another case of it, too."""
    office = Office(policy=PRODUCTION)
    party = office.party()
    rosa, rosa_again, emil = (office.bearer("reviewer", name)[0] for name in ("rosa", "Rosa", "emil"))
    assert office.ask(manual(party), rosa).done
    for actor in (rosa, rosa_again):
        assert office.ask(manual(party), actor).rule == "two-reviewers"
    assert office.do(manual(party), emil)["verification"] == "verified"


def test_whoever_amended_it_may_not_verify_it() -> None:
    """What he would look at is his own."""
    office = Office()
    party = office.party()
    office.do(AmendParty(party, OTHER_NAME), BEN)
    assert office.ask(manual(party), BEN).rule == "separation-of-duties"
    assert office.ask(manual(party), ANNA).rule == "separation-of-duties"
    office.do(manual(party), CARLA)
    assert office.do(manual(party), DORA)["verification"] == "verified"


def test_evidence_is_needed_and_is_a_digest() -> None:
    """32 octets, and of the document where that is sent."""
    office = Office()
    party = office.party()
    assert office.ask(VerifyParty(party, "manual"), BEN).rule == "evidence"
    for evidence, document in ((b"x", b""), (bytes(31), b""), (EVIDENCE, b"another file")):
        assert office.ask(VerifyParty(party, "manual", evidence, document), BEN).rule == "evidence-digest"
    assert office.party_row(party).steps == ()
    assert office.ask(VerifyParty(party, "manual", document=b"a scan"), BEN).done
    assert office.party_row(party).steps[0].evidence == EVIDENCE


def test_a_failed_review_counts_out_those_before() -> None:
    """It takes two again. Only people are told that it failed, with a reason, and the filer does not fail it."""
    office = Office()
    party = office.party()
    office.do(manual(party), BEN)
    assert office.ask(manual(party, failed=" "), CARLA).rule == "reason"
    assert office.ask(VerifyParty(party, "offline", failed="no"), CARLA).rule == "failed-by-hand"
    assert office.ask(manual(party, failed="no"), ANNA).rule == "separation-of-duties"
    assert office.do(manual(party, failed="not the paper's"), CARLA)["verification"] == "failed"
    assert office.do(manual(party), DORA)["verification"] == "failed"
    assert office.do(manual(party), BEN)["verification"] == "verified"


def test_a_change_of_what_was_verified_counts_out_those_before() -> None:
    """Any other change leaves it."""
    office = Office()
    party = office.verified()
    assert office.do(AmendParty(party, b'{"profile": "salt"}'))["verification"] == "verified"
    assert office.do(AmendParty(party, OTHER_NAME))["verification"] == "unverified"
    assert office.do(AmendParty(party, OTHER_NAME))["changed"] == []
    assert office.do(manual(party), DORA)["verification"] == "unverified"
    assert office.do(manual(party), BEN)["verification"] == "verified"


def test_an_approval_of_other_data_counts_no_more() -> None:
    """Of two that a name needs, the first was given before the party was amended."""
    office = Office(policy=Policy(hold=("88.118.9*",)))
    party = office.verified()
    office.do(ApplyPrefix("88.118.9", party))
    assert office.do(ReviewPrefix("88.118.9", approve=True), BEN)["state"] == "verifying"
    office.do(AmendParty(party, OTHER_NAME))
    for reviewer in (BEN, CARLA):
        office.do(manual(party), reviewer)
    assert office.do(ReviewPrefix("88.118.9", approve=True), CARLA)["state"] == "verifying"
    assert office.do(ReviewPrefix("88.118.9", approve=True), BEN)["state"] == "homed"


# --- methods ----------------------------------------------------------------


def test_an_unknown_method_is_told_the_known_ones() -> None:
    """And nothing happens."""
    office = Office()
    party = office.party()
    result = office.ask(VerifyParty(party, "by-oath" * 20, EVIDENCE), BEN)
    assert (result.outcome, result.rule) == (Outcome.INVALID_VALUE, "method")
    assert "offline, manual" in result.message
    assert len(result.message) < 250
    assert office.party_row(party).state is Verified.UNVERIFIED


class Register:
    """A register that knows one name."""

    people = False

    def judge(self, case: Case) -> Finding:
        known = case.values["name"] == ROWS[0]["name"]
        return Finding(Verified.VERIFIED if known else Verified.FAILED, "the register")


def test_a_method_of_somebody_else_is_used() -> None:
    """Its finding is the state; one without a note counts out the reviews before, as any other."""
    office = Office(methods=METHODS | {"register": Register()})
    first, second = office.party(0), office.party(1)
    assert office.do(VerifyParty(first, "register"), BEN)["verification"] == "verified"
    office.do(manual(second), BEN)
    assert office.do(VerifyParty(second, "register"), CARLA)["verification"] == "failed"
    assert office.do(manual(second), CARLA)["verification"] == "failed"
    assert office.do(manual(second), DORA)["verification"] == "verified"
    assert [step.method for step in office.party_row(second).steps] == ["manual", "register", "manual", "manual"]


@pytest.mark.parametrize("grouped", [False, True])
def test_an_application_moves_on_with_the_verification(grouped: bool) -> None:
    """Whether both come in one group or not; a failure moves nothing, nor does an amendment."""
    office = Office()
    party = office.party()
    commands = (ApplyPrefix("88.118.7", party), VerifyParty(party, "offline"))
    if grouped:
        office.run(*commands)
    else:
        office.do(commands[0])
        assert office.application("88.118.7").state == "submitted"
        office.do(commands[1])
    assert office.application("88.118.7").state == "verifying"
    office.do(ApplyPrefix("88.118.8", party))
    assert office.application("88.118.8").state == "verifying"
    office.do(AmendParty(party, OTHER_NAME))
    office.do(ApplyPrefix("88.118.9", party))
    office.do(manual(party, failed="wrong"), CARLA)
    office.do(ApplyPrefix("88.118.10", party))
    assert office.application("88.118.9").state == office.application("88.118.10").state == "submitted"


def test_nobody_else_verifies() -> None:
    """An operator files, an auditor reads, an enterprise is verified."""
    office = Office()
    party = office.party()
    roles = [("operator", ""), ("auditor", ""), ("enterprise", party)]
    for actor in (*(office.bearer(role, "x", own)[0] for role, own in roles), Actor()):
        assert not office.ask(manual(party), actor).done
    assert office.party_row(party).steps == ()
