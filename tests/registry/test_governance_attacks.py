"""Ways around the rules of governance that were found, each tried again."""

from __future__ import annotations

import hashlib
import json

import pytest

from core import limits
from core.admission import Identity
from core.clock import Millis
from core.errors import Outcome
from core.records import ADMIN_PERMISSIONS_ALL, AdminPermission, AdminRecord, HandleValue
from core.store.engine import Batch, Table
from core.who import Role
from core.wire.admin import encode_admin
from core.wire.valuetypes import HS_ADMIN
from registry.commands import (
    Actor,
    AddParty,
    AmendParty,
    ApplyPrefix,
    Home,
    MovePrefix,
    Put,
    ReadIdentity,
    Request,
    ReviewPrefix,
    Token,
    VerifyParty,
)
from registry.service import Registry
from registry.standing import standing_of
from registry.verification import METHODS
from tests.kit.governance import ADMINS, ANNA, BEN, CARLA, EVIDENCE, NOW, OWN, RULES, Office, form


def admin(handle: str, permissions: int = ADMIN_PERMISSIONS_ALL) -> tuple[HandleValue, ...]:
    """Values in which a key of the handle itself is its administrator."""
    record = AdminRecord(permissions, handle, 300)
    return (
        HandleValue(100, HS_ADMIN, encode_admin(record)),
        HandleValue(300, "HS_SECKEY", b"secret", permissions=0b1100),
    )


def standing(office: Office, handle: str) -> Role | None:
    """The role of key 300 of a handle."""
    with office.store.snapshot() as snapshot:
        records = office.registry.records(snapshot)
        return standing_of(Actor(Identity(handle, 300)), records, ADMINS, office.now).role


def test_whoever_made_the_prefix_handle_before_does_not_hold_the_prefix() -> None:
    """It was made by a right to derive that ended with the prefix above; the new holder begins afresh."""
    office = Office()
    office.allocated("88.118.7", 0)
    office.do(Put("0.NA/88.118.7.1", admin("0.NA/88.118.7.1")))
    office.do(MovePrefix("88.118.7", "delete", "ended", EVIDENCE))
    office.allocated("88.118.7.1", 1)
    assert standing(office, "0.NA/88.118.7.1") is None
    assert all(value.type != "HS_SECKEY" for value in office.values("0.NA/88.118.7.1"))


@pytest.mark.parametrize(
    ("permissions", "role"), [(AdminPermission.ADD_HANDLE, None), (ADMIN_PERMISSIONS_ALL, Role.ENTERPRISE)]
)
def test_a_key_that_may_register_is_not_the_enterprise(permissions: int, role: Role | None) -> None:
    """A production line's key amends no party; who may appoint administrators does."""
    office = Office()
    office.allocated("88.118.7", 0)
    office.do(Put("0.NA/88.118.7", admin("0.NA/88.118.7", permissions), overwrite=True))
    assert standing(office, "0.NA/88.118.7") is role


def test_a_draft_reserves_nothing() -> None:
    """Another party applies for it; a reviewer may reject it; below it others apply."""
    office = Office()
    first, second = office.party(0), office.party(1)
    office.do(ApplyPrefix("88.118.7", first, draft=True))
    assert office.ask(ApplyPrefix("88.118.7.1", second)).done
    assert office.ask(ApplyPrefix("88.118.7", second)).done
    office.do(ApplyPrefix("88.118.8", first, draft=True))
    assert office.do(ReviewPrefix("88.118.8", reject="never sent"), BEN)["state"] == "rejected"


def test_a_party_has_so_many_prefixes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts count; one that it has is filed again."""
    monkeypatch.setattr(limits, "PARTY_PREFIXES_MAX", 2)
    office = Office()
    first = office.party(0)
    for prefix in ("88.118.7", "88.118.8"):
        office.do(ApplyPrefix(prefix, first, draft=True))
    refused = office.ask(ApplyPrefix("88.118.9", first))
    assert [each["rule"] for each in json.loads(refused.body)["faults"]] == ["prefix-count"]
    assert office.ask(ApplyPrefix("88.118.8", first)).done


@pytest.mark.parametrize("prefix", ["88.118.７", "88.118.é", "88.118.ｓａｌｔ"])
def test_no_prefix_looks_like_another(prefix: str) -> None:
    """ASCII alone."""
    office = Office()
    refused = office.ask(ApplyPrefix(prefix, office.party(0)))
    assert "prefix-characters" in [each["rule"] for each in json.loads(refused.body)["faults"]]


def test_who_filed_is_remembered_whatever_follows() -> None:
    """Not pushed out by steps that are cheap to make."""
    office = Office()
    party = office.party(0)
    office.do(AmendParty(party, json.dumps({"legal_rep": "测试人员甲"}).encode()), BEN)
    office.do(ApplyPrefix("88.118.7", party, draft=True), CARLA)
    for _ in range(limits.PARTY_STEPS + 1):
        office.do(VerifyParty(party, "offline"))
        office.do(ApplyPrefix("88.118.7", party, draft=True))
    assert office.ask(VerifyParty(party, "manual", EVIDENCE), BEN).rule == "separation-of-duties"
    office.do(ApplyPrefix("88.118.7", party))
    assert office.ask(ReviewPrefix("88.118.7", reject="x"), CARLA).rule == "separation-of-duties"


def test_only_so_many_people_file_one_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then one of them goes on; nobody is forgotten instead."""
    monkeypatch.setattr(limits, "FILERS_MAX", 2)
    office = Office()
    party = office.party(0)
    change = [AmendParty(party, json.dumps({"legal_rep": f"测试人员{each}"}).encode()) for each in "甲乙丙"]
    office.do(change[0], BEN)
    assert office.ask(change[1], CARLA).rule == "filers"
    office.do(change[2], ANNA)


def test_an_idempotency_key_keeps_nothing_that_tells_a_form() -> None:
    """The digest of a form with few likely values would tell which; the same request has the same answer."""
    office = Office()
    party = office.party(0)
    body = b'{"phone":"19911112222"}'
    for command in (AmendParty(party, body), AddParty(form(1))):
        digest = hashlib.sha256(body).digest()
        first, second = (office.run(command, token=Token(type(command).__name__, digest))[0] for _ in range(2))
        assert first == second
        with office.store.snapshot() as snapshot:
            rows = [row for _, row in snapshot.scan(Table.TOKENS, b"")]
        assert rows
        assert not [row for row in rows if digest in row]
    other = office.run(AmendParty(party, b"{}"), token=Token("AmendParty", bytes(32)))[0]
    assert other.outcome is Outcome.CONFLICT


class Broken:
    """A method of a package that is broken."""

    people = False

    def judge(self, case: object) -> object:
        raise KeyError("phone")


def test_a_method_that_breaks_fails_its_own_act_alone() -> None:
    """What is in the same group is done."""
    office = Office(methods={**METHODS, "broken": Broken()})
    first, second = office.party(0), office.party(1)
    broken, confirmed = office.run(VerifyParty(first, "broken"), ApplyPrefix("88.118.7", second))
    assert (broken.outcome, broken.rule) == (Outcome.INTERNAL, "method-failed")
    assert "phone" not in broken.message
    assert confirmed.done


def test_a_row_that_cannot_be_read_fails_its_own_act_alone() -> None:
    """A damaged application; others go on, and so does what is in the same group."""
    office = Office()
    first = office.party(0)
    office.do(ApplyPrefix("88.118.7", first))
    batch = Batch()
    batch.put(Table.APPLICATIONS, b"88.118.7", b"\x01broken")
    office.store.commit(batch)
    damaged, other = office.run(ReviewPrefix("88.118.7", approve=True), ApplyPrefix("88.118.8", first), actor=BEN)
    assert damaged.outcome is Outcome.INTERNAL
    assert other.done


def test_a_prefix_that_serves_an_administrator_is_not_suspended() -> None:
    """Nobody could log in to resume it."""
    office = Office()
    registry = Registry(office.store, RULES, founding=True, server_admins=frozenset({(RULES.key(f"{OWN}/ADM"), 300)}))
    registry.run([Request(Put(f"{OWN}/ADM", admin(f"{OWN}/ADM")), ANNA)], NOW)
    (result,) = registry.run([Request(MovePrefix(OWN, "suspend", "x", EVIDENCE), ANNA)], Millis(NOW + 1))
    assert result.rule == "locked-out"


def test_the_codes_of_a_node_are_known_without_looking_at_every_prefix() -> None:
    """Written when the node is made; one that was given stays given."""
    office = Office()
    with office.store.snapshot() as snapshot:
        assert snapshot.get(Table.META, b"codes") == b"88.118"
    Registry(office.store, RULES, founding=True).run([Request(Home("86.1000.2"), ANNA)], NOW)
    party = office.party(0)
    assert office.ask(ApplyPrefix("86.1000.7", party)).done


def test_whoever_reads_identity_data_is_written_down() -> None:
    """Who and whose, and nothing of it; no idempotency key keeps the answer."""
    office = Office()
    party = office.party(0)
    result = office.run(ReadIdentity(party), token=Token("k", bytes(32)))[0]
    identity = json.loads(result.body)["identity"]
    assert identity["phone"] == json.loads(form(0))["phone"]
    entry = office.journal()[-1]
    assert (entry.who.name, entry.action, entry.object, entry.outcome) == ("anna", "party.identity", party, "ok")
    rows = [row for table in office.dump().values() for row in table.values()]
    assert not [row for row in rows for value in identity.values() if value.encode() in row]
