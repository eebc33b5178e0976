"""Bearer tokens: what is stored of them, how long they live, and what their roles may do to records."""

from __future__ import annotations

import hashlib
import json

import pytest

from core.clock import Millis
from core.errors import Outcome
from core.records import HandleValue
from core.store.bearer_rows import parse_bearer, proves, unpack_bearer
from core.store.engine import Table
from registry.commands import (
    Add,
    AmendParty,
    Command,
    ConfirmParty,
    Delete,
    Home,
    IssueBearer,
    Modify,
    MovePrefix,
    Put,
    PutBatch,
    Remove,
    RevokeBearer,
    Token,
    Unhome,
)
from tests.kit.governance import ANNA, DAY_MS, EVIDENCE, NOW, OWN, Office

URL = (HandleValue(1, "URL", b"https://a.example"),)
OTHER = (HandleValue(1, "URL", b"https://b.example"),)
ANYONES = (HandleValue(1, "URL", b"https://a.example", permissions=0b1111),)
PREFIX = "88.118.7"


def batch(*handles: str) -> PutBatch:
    items = [{"handle": handle, "values": [{"index": 1, "type": "URL", "data": "x"}]} for handle in handles]
    return PutBatch(json.dumps(items).encode(), lines=False)


WRITES: tuple[Command, ...] = (
    Put(f"{PREFIX}/new", URL),
    Put(f"{PREFIX}/old", URL, overwrite=True),
    Put(f"{PREFIX}/", URL, mint=True),
    Add(f"{PREFIX}/old", (HandleValue(2, "X", b""),)),
    Modify(f"{PREFIX}/old", URL),
    Remove(f"{PREFIX}/old", (1,)),
    Delete(f"{PREFIX}/old"),
    batch(f"{PREFIX}/a", f"{PREFIX}/b"),
)


@pytest.fixture
def office() -> Office:
    """Two parties with a prefix and a record each, which anyone may write one value of."""
    made = Office()
    made.allocated(PREFIX, 0)
    made.allocated("88.118.8", 1)
    for prefix in (PREFIX, "88.118.8"):
        made.do(Put(f"{prefix}/old", ANYONES))
    return made


def lives(office: Office, secret: str, now_ms: int) -> bool:
    presented = parse_bearer(secret)
    assert presented is not None
    row = office.rows(Table.BEARERS).get(presented.name)
    return proves(presented, None if row is None else unpack_bearer(row), Millis(now_ms))


# --- what is stored -----------------------------------------------------------


def test_only_the_digest_is_stored() -> None:
    """No row of any table holds the text or the secret in it, whoever asks with whatever idempotency key."""
    office = Office()
    secrets = []
    for number in range(2):  # the same key twice makes two tokens: an answer with a secret is not kept
        (result,) = office.run(IssueBearer("operator", "hans"), token=Token("key", bytes(32)))
        told = json.loads(result.body)
        secrets.append(told["secret"])
        assert (result.outcome, len(office.rows(Table.BEARERS))) == (Outcome.CREATED, number + 1)
    for text in secrets:
        secret = text.rsplit("_", 1)[1] if text.count("_") == 2 else text[len("saltern_") + 13 :]
        for table, rows in office.dump().items():
            for key, row in rows.items():
                for needle in (text, secret):
                    assert needle.encode() not in key + row, table
        presented = parse_bearer(text)
        assert presented is not None
        bearer = unpack_bearer(office.rows(Table.BEARERS)[presented.name])
        assert bearer.digest == hashlib.sha256(secret.encode()).digest()
        assert lives(office, text, NOW)
    assert secrets[0] != secrets[1]
    with office.store.snapshot() as snapshot:
        assert list(snapshot.scan(Table.TOKENS, b"")) == []


def test_a_token_is_shown_to_whoever_issued_it_alone() -> None:
    """Its end is told without it, and a dry run makes none."""
    office = Office()
    (result,) = office.run(IssueBearer("auditor", "eva"), dry_run=True)
    assert result.done
    assert office.rows(Table.BEARERS) == {}
    actor, secret = office.bearer("auditor")
    told = office.do(RevokeBearer(actor.bearer))
    assert "secret" not in told
    assert secret not in json.dumps(told)


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        (IssueBearer("local", "x"), "token-role"),
        (IssueBearer("", "x"), "token-role"),
        (IssueBearer("root", "x"), "token-role"),
        (IssueBearer("enterprise", "x"), "token-party"),
        (IssueBearer("auditor", "x", "P000001"), "token-party"),
        (IssueBearer("enterprise", "x", "P000009"), "party-not-found"),
        (IssueBearer("operator", "x", days=0), "token-days"),
        (IssueBearer("operator", "x", days=367), "token-days"),
        (IssueBearer("operator", " "), "actor"),
        (IssueBearer("operator", "x" * 101), "actor"),
        (IssueBearer("operator", "a\nb"), "actor"),
        (RevokeBearer("0" * 12), "token-not-found"),
        (RevokeBearer(""), "token-not-found"),
        (RevokeBearer("x" * 1_000), "token-not-found"),
    ],
)
def test_what_is_no_token_is_refused(office: Office, command: Command, rule: str) -> None:
    """With its rule."""
    assert office.ask(command).rule == rule
    assert office.rows(Table.BEARERS) == {}


# --- how long it lives ---------------------------------------------------------


def test_it_expires_by_the_time_that_is_passed_in() -> None:
    """At the millisecond; then it proves nothing, and whoever still comes with it is refused, which is written down."""
    office = Office()
    actor, secret = office.bearer("operator", days=3)
    issued = office.now
    assert lives(office, secret, issued + 3 * DAY_MS - 1)
    assert not lives(office, secret, issued + 3 * DAY_MS)
    office.now = Millis(issued + 3 * DAY_MS - 2_000)
    assert office.ask(Put(f"{OWN}/x", URL), actor).done
    result = office.ask(Put(f"{OWN}/y", URL), actor)
    assert (result.outcome, result.rule) == (Outcome.AUTHENTICATION_FAILED, "token-not-known")
    entry = office.journal()[-1]
    assert (entry.who.token, entry.action, entry.object, entry.rule) == (
        actor.bearer, "record.put", f"{OWN}/y", "token-not-known",
    )  # fmt: skip


def test_it_is_revoked_at_once_and_for_good() -> None:
    """Within the group that revokes it; a second time changes nothing."""
    office = Office()
    actor, secret = office.bearer("operator")
    requests = office.run(RevokeBearer(actor.bearer), Put(f"{OWN}/x", URL), actor=actor)
    assert [result.rule for result in requests] == ["", "token-not-known"]
    assert not lives(office, secret, office.now)
    before = office.rows(Table.BEARERS)
    office.do(RevokeBearer(actor.bearer))
    assert office.rows(Table.BEARERS) == before


def test_another_secret_or_id_proves_nothing() -> None:
    """Nor does what is no token at all."""
    office = Office()
    _, first = office.bearer("operator")
    _, second = office.bearer("operator")
    mixed = first[: len("saltern_") + 13] + second[len("saltern_") + 13 :]
    assert not lives(office, mixed, office.now)
    for text in ("", "saltern_", first[:-1], first + "x", first.upper(), " " + first, first + "\n"):
        assert parse_bearer(text) is None


# --- what the roles may do to records -------------------------------------------


@pytest.mark.parametrize("command", WRITES, ids=repr)
def test_an_enterprise_writes_below_its_own_prefix(office: Office, command: Command) -> None:
    """All of it."""
    actor, _ = office.bearer("enterprise", party="P000001")
    assert office.ask(command, actor).done


def elsewhere(command: Command, prefix: str) -> Command:
    if isinstance(command, PutBatch):
        return command._replace(body=command.body.replace(PREFIX.encode(), prefix.encode()))
    return command._replace(handle=command.handle.replace(PREFIX, prefix))  # type: ignore[attr-defined, no-any-return] # all have one


@pytest.mark.parametrize("command", WRITES, ids=repr)
def test_and_nowhere_else(office: Office, command: Command) -> None:
    """Not below that of another, not the operator's, not the prefix handle that names its own administrators."""
    actor, _ = office.bearer("enterprise", party="P000001")
    office.do(Put(f"{OWN}/old", OTHER))
    office.do(Put("0.NA/88.118.7.1", URL))
    for place in ("88.118.8", OWN):
        before = office.dump(Table.JOURNAL, Table.META)
        moved = elsewhere(command, place)
        result = office.ask(moved, actor)
        if isinstance(moved, Modify) and place == "88.118.8":  # a value that anyone may write
            continue
        assert not result.done or set(json.loads(result.body)["counts"]) == {"forbidden"}
        assert office.dump(Table.JOURNAL, Table.META) == before
        assert office.journal()[-1].outcome == "forbidden"
    for handle in ("0.NA/88.118.7", "0.NA/88.118.7.1", "0.NA/88.118.8", "0.NA/88.118"):
        before = office.dump(Table.JOURNAL, Table.META)
        for change in (
            Put(handle, OTHER, overwrite=True), Add(handle, (HandleValue(9, "X", b""),)), Delete(handle),
            Remove(handle, (1,)), Modify(handle, (HandleValue(100, "X", b""),)), batch(handle),
        ):  # fmt: skip
            result = office.ask(change, actor)
            assert not result.done or set(json.loads(result.body)["counts"]) == {"forbidden"}, change
        assert office.dump(Table.JOURNAL, Table.META) == before


def test_what_an_enterprise_may_not_manage(office: Office) -> None:
    """Another party is not even looked for; homing, moving and tokens are not its own to do."""
    actor, _ = office.bearer("enterprise", party="P000001")
    for command in (
        AmendParty("P000002", b"{}"), ConfirmParty("P000002"), ConfirmParty("P999999"), Home(PREFIX), Unhome(PREFIX),
        MovePrefix(PREFIX, "suspend", "x", EVIDENCE), MovePrefix(PREFIX, "apply", "x", EVIDENCE),
        IssueBearer("enterprise", "x", "P000001"), RevokeBearer(actor.bearer),
    ):  # fmt: skip
        result = office.ask(command, actor)
        assert result.rule in ("own-party", "role", "record-right", "event"), (command, result)
    assert office.ask(ConfirmParty("P000001"), actor).done


@pytest.mark.parametrize("role", ["auditor", "reviewer"])
@pytest.mark.parametrize("command", [*WRITES, Home(PREFIX), Unhome(PREFIX)], ids=repr)
def test_an_auditor_and_a_reviewer_write_nothing(office: Office, role: str, command: Command) -> None:
    """Not even a value that anyone may write; each try is written down."""
    actor, _ = office.bearer(role)
    before = office.dump(Table.JOURNAL, Table.META)
    result = office.ask(command, actor)
    assert (result.outcome, result.rule) == (Outcome.FORBIDDEN, "role")
    assert office.dump(Table.JOURNAL, Table.META) == before
    assert (office.journal()[-1].who.name, office.journal()[-1].rule) == ("hans", "role")


@pytest.mark.parametrize("command", WRITES, ids=repr)
def test_nobody_writes_below_a_suspended_prefix(office: Office, command: Command) -> None:
    """HELD, whoever asks; and again after it was resumed."""
    enterprise, _ = office.bearer("enterprise", party="P000001")
    operator, _ = office.bearer("operator")
    office.do(MovePrefix(PREFIX, "suspend", "wrong data", EVIDENCE))
    for actor in (enterprise, operator, ANNA):
        result = office.ask(command, actor)
        counts = json.loads(result.body)["counts"] if result.done else {result.outcome.value: 1}
        assert set(counts) == {"held"}
    office.do(MovePrefix(PREFIX, "resume", "right again"))
    assert office.ask(command, enterprise).done


def test_an_operator_writes_everywhere(office: Office) -> None:
    """As a person at this machine does."""
    actor, _ = office.bearer("operator")
    for handle in (f"{PREFIX}/x", f"{OWN}/x", "0.NA/88.118.7"):
        assert office.ask(Put(handle, URL, overwrite=True), actor).done


def test_a_token_ends_with_what_it_was_made_for(office: Office) -> None:
    """After its prefix has gone it writes there no more; nor if the prefix was never its own."""
    actor, _ = office.bearer("enterprise", party="P000001")
    office.do(MovePrefix(PREFIX, "delete", "end", EVIDENCE))
    assert office.ask(Put(f"{PREFIX}/x", URL), actor).outcome is Outcome.NOT_RESPONSIBLE


def test_an_answer_is_given_again_with_its_rule(office: Office) -> None:
    """And written down once."""
    actor, _ = office.bearer("auditor")
    entries = len(office.journal())
    first, second = (office.run(Home(PREFIX), actor=actor, token=Token("k", bytes(32)))[0] for _ in range(2))
    assert first == second
    assert first.rule == "role"
    assert len(office.journal()) == entries + 1


def test_the_names_of_two_tokens_are_two_owners() -> None:
    """One idempotency key of two tokens stands for two requests."""
    office = Office()
    one, two = (office.bearer("operator")[0] for _ in range(2))
    token = Token("k", bytes(32))
    results = [office.run(Put(f"{OWN}/x", URL), actor=actor, token=token)[0].outcome for actor in (one, two, one)]
    assert results == [Outcome.CREATED, Outcome.HANDLE_EXISTS, Outcome.CREATED]
