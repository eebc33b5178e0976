"""Bearer tokens as a request proves them: shown once, a digest at rest, their time, their end, their role."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from core import limits
from core.caller import Callers
from core.clock import Millis
from core.errors import AdmissionError, NodeError, Outcome
from core.guard import Failures, claim_of
from core.hdl.prover import Prover
from core.store.bearer_rows import parse_bearer
from core.store.engine import Table
from core.store.homing import ServedRecords
from core.store.lmdb_engine import LmdbEngine
from core.wire.http import Request
from registry.commands import Actor, AddParty, Home, IssueBearer, RevokeBearer
from registry.service import Registry
from resolver.failures import LoginFailures
from resolver.ratelimit import shared_table
from tests.kit.logs import NoNotes
from tests.kit.management import ADMIN, FORMS, NOW, RULES, Desk
from tests.kit.node import basic

DAY_MS = 86_400_000
TRIES = limits.LOGIN_FAILURES // limits.TOKEN_FAILURE_COST
HERE, THERE = b"\x12\x34\x7f\0\0\x01", b"\x12\x34\x0a\0\0\x01"


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1_000_000_000)


class NoLogins:
    """No session is known."""


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failures(clock: Clock) -> Failures:
    return LoginFailures(shared_table(), clock)


@pytest.fixture
def callers(desk: Desk, failures: Failures) -> Callers:
    """What a worker finds out with; time is the desk's."""
    return callers_of(desk, failures, lambda: desk.now)


def callers_of(desk: Desk, failures: Failures, now_ms: Callable[[], Millis]) -> Callers:
    def records(snapshot: object) -> ServedRecords:
        return ServedRecords(snapshot, RULES, False)  # type: ignore[arg-type]

    prover = Prover(desk.store, records)
    return Callers(
        desk.store, records, prover, NoLogins(), failures=failures, now_ms=now_ms, note_login=NoNotes().logged_in
    )  # type: ignore[arg-type]


def ask(header: str, *, safe: bool = True, peer: bytes = HERE) -> Request:
    return Request("GET", "/v1/parties", "", {"authorization": header}, b"", credentials_safe=safe, peer=peer)


def identified(callers: Callers, header: str, *, safe: bool = True, peer: bytes = HERE) -> Request:
    return asyncio.run(callers.identify(ask(header, safe=safe, peer=peer)))


def ended(callers: Callers, header: str, peer: bytes = HERE) -> Outcome:
    with pytest.raises(NodeError) as caught:
        identified(callers, header, peer=peer)
    return caught.value.ended


def issued(desk: Desk, role: str = "auditor", days: int = 1) -> tuple[str, str]:
    """Return the id of a new token, and its header."""
    told = desk.done(IssueBearer(role, "持有人", "", days))
    return told["token"], f"Bearer {told['secret']}"


def test_a_token_is_who_asks(desk: Desk, callers: Callers) -> None:
    """By its id alone, whatever the case of the scheme; never on a channel where credentials are not safe."""
    name, header = issued(desk)
    assert identified(callers, header).bearer == name
    assert identified(callers, header.replace("Bearer ", "bearer  ")).bearer == name
    assert identified(callers, header, safe=False) == ask(header, safe=False)


@pytest.mark.parametrize("change", [lambda h: h[:-1], lambda h: h + "A", lambda h: h[:-1] + "!", lambda h: h[:20]])
def test_a_token_with_another_secret_is_none(desk: Desk, callers: Callers, change: Callable[[str], str]) -> None:
    _, header = issued(desk)
    assert ended(callers, change(header)) is Outcome.AUTHENTICATION_FAILED


def test_two_tokens_do_not_prove_each_other(desk: Desk, callers: Callers) -> None:
    (one, _), (_, second) = issued(desk), issued(desk)
    mixed = f"Bearer saltern_{one}_{second.split('_', 2)[2]}"
    assert ended(callers, mixed) is Outcome.AUTHENTICATION_FAILED


def test_a_token_is_shown_once_and_kept_as_a_digest(tmp_path: Path) -> None:
    """Not in the store's file, not in the journal, not in the feed; its digest is."""
    store = LmdbEngine(tmp_path / "store", create=True)
    registry = Registry(store, RULES, founding=True)
    desk = Desk.__new__(Desk)
    desk.store, desk.registry, desk.now = store, registry, NOW  # type: ignore[assignment]
    desk.done(Home("88.118"))
    name, header = issued(desk)
    secret = header.removeprefix(f"Bearer saltern_{name}_")
    store.close()
    octets = b"".join(path.read_bytes() for path in (tmp_path / "store").iterdir())
    presented = parse_bearer(header.removeprefix("Bearer "))
    assert presented is not None
    assert presented.digest in octets
    assert name.encode() in octets
    assert secret.encode() not in octets


def test_a_list_of_tokens_proves_nothing(desk: Desk) -> None:
    _, header = issued(desk)
    answer = desk.ask("GET", "/v1/tokens", by=Actor(ADMIN))
    assert [set(row) for row in answer.json["tokens"]] == [
        {"token", "role", "holder", "party", "issued", "expires", "revoked"}
    ]
    assert header.split("_", 2)[2] not in str(answer.json)
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_token_that_is_issued_again_is_another_one(desk: Desk) -> None:
    """An idempotency key keeps no answer with a secret in it."""
    headers = {"content-type": "application/json", "idempotency-key": "k"}
    desk.done(AddParty(json.dumps(FORMS[0]).encode()))
    body = {"role": "enterprise", "holder": "经办人", "party": "P000001"}
    answers = [desk.ask("POST", "/v1/tokens", body, by=Actor(ADMIN), headers=headers).json for _ in range(2)]
    assert answers[0]["token"] != answers[1]["token"]
    with desk.store.snapshot() as snapshot:
        assert not [row for _, row in snapshot.scan(Table.TOKENS, b"")]


def test_a_token_expires_to_the_millisecond(desk: Desk, callers: Callers) -> None:
    """In the worker that proves it, and in the registrar that had it proven before."""
    name, header = issued(desk, days=2)
    desk.now = Millis(NOW + 2 * DAY_MS - 1)
    assert identified(callers, header).bearer == name
    desk.now = Millis(NOW + 2 * DAY_MS)
    assert ended(callers, header) is Outcome.AUTHENTICATION_FAILED
    answer = desk.ask("GET", "/v1/parties", by=Actor(bearer=name))
    assert (answer.json["outcome"], answer.rule) == ("authentication-failed", "token-not-known")
    assert desk.run(RevokeBearer(name), Actor(bearer=name)).outcome is Outcome.AUTHENTICATION_FAILED


def test_a_token_that_is_revoked_ends_at_once(desk: Desk, callers: Callers) -> None:
    """Also for a request that was proven already and waits; revoking it again changes nothing."""
    name, header = issued(desk, "operator")
    answers = [desk.ask("DELETE", f"/v1/tokens/{name}", by=Actor(ADMIN)) for _ in range(2)]
    assert answers[0].json == answers[1].json
    assert answers[0].json["revoked"] is not None
    assert ended(callers, header) is Outcome.AUTHENTICATION_FAILED
    for method, path, body in (("GET", "/v1/parties", None), ("POST", "/v1/parties", {})):
        answer = desk.ask(method, path, body, by=Actor(bearer=name))
        assert (answer.json["outcome"], answer.rule) == ("authentication-failed", "token-not-known")


# --- guessing ----------------------------------------------------------------


def test_guessing_is_made_slow(desk: Desk, callers: Callers, clock: Clock) -> None:
    """After so many failures even the right one is not looked at, until one is forgotten; each guess costs one."""
    name, right = issued(desk)
    wrong = f"Bearer saltern_{name}_{'x' * 43}"
    for _ in range(TRIES):
        assert ended(callers, wrong) is Outcome.AUTHENTICATION_FAILED
    for header in (wrong, right):
        with pytest.raises(NodeError) as caught:
            identified(callers, header)
        assert (caught.value.ended, caught.value.retry_s) == (Outcome.RATE_LIMITED, limits.LOGIN_FAILURE_S)  # type: ignore[attr-defined]
    clock.wait(limits.LOGIN_FAILURE_S)
    assert identified(callers, right).bearer == name
    assert ended(callers, wrong) is Outcome.AUTHENTICATION_FAILED
    assert ended(callers, right) is Outcome.RATE_LIMITED
    clock.wait(limits.LOGIN_FAILURE_S * limits.LOGIN_FAILURES)
    for _ in range(TRIES):
        assert ended(callers, wrong) is Outcome.AUTHENTICATION_FAILED


def test_guesses_count_by_source_and_claim(desk: Desk, callers: Callers) -> None:
    """Nobody locks out another one from elsewhere, nor another token; IPv6 counts by /64."""
    (one, first), (other, second) = issued(desk), issued(desk)
    wrong = f"Bearer saltern_{one}_{'x' * 43}"
    network = b"\0\1" + bytes.fromhex("20010db8 00000001")
    while ended(callers, wrong) is not Outcome.RATE_LIMITED:
        pass
    assert identified(callers, first, peer=THERE).bearer == one
    assert identified(callers, second).bearer == other
    while ended(callers, wrong, peer=network + bytes(8)) is not Outcome.RATE_LIMITED:
        pass
    assert ended(callers, first, peer=network + b"\xff" * 8) is Outcome.RATE_LIMITED


def test_all_workers_count_together(desk: Desk, failures: Failures) -> None:
    """The table is shared."""
    name, _ = issued(desk)
    workers = [callers_of(desk, failures, lambda: desk.now) for _ in range(4)]
    wrong = f"Bearer saltern_{name}_{'x' * 43}"
    for number in range(TRIES):
        assert ended(workers[number % 4], wrong) is Outcome.AUTHENTICATION_FAILED
    assert {ended(worker, wrong) for worker in workers} == {Outcome.RATE_LIMITED}


def test_secrets_of_handles_are_guarded_too(callers: Callers) -> None:
    """However the identity is spelt; what claims nobody is no guess."""
    spellings = ("301:0.NA/88.118", "301:0.na/88.118")
    for number in range(limits.LOGIN_FAILURES // limits.HTTP_FAILURE_COST):
        with pytest.raises(AdmissionError):
            identified(callers, basic(spellings[number % 2], "wrong")["Authorization"])
    assert {ended(callers, basic(each, "wrong")["Authorization"]) for each in spellings} == {Outcome.RATE_LIMITED}
    assert claim_of(ADMIN) == "301:0.NA/88.118"
    for garbage in ("Basic", "Digest"):
        for _ in range(limits.LOGIN_FAILURES // limits.HTTP_FAILURE_COST + 5):
            assert ended(callers, garbage) is Outcome.AUTHENTICATION_FAILED


def test_what_is_no_token_is_slow_too(desk: Desk, callers: Callers) -> None:
    """For whoever sends it; a token from there is still looked at."""
    name, right = issued(desk)
    found = [ended(callers, "Bearer x") for _ in range(TRIES + 1)]
    assert found == [Outcome.AUTHENTICATION_FAILED] * TRIES + [Outcome.RATE_LIMITED]
    assert identified(callers, right).bearer == name


def test_failures_forget_a_clock_that_was_set_back(clock: Clock) -> None:
    """Slots of another time hold nobody longer than a full bucket does."""
    table = shared_table()
    failures = LoginFailures(table, clock)
    table[: len(table) - 4] = memoryview(bytes(8 * (len(table) - 4))).cast("Q")
    for slot in range(len(table) - 4):
        table[slot] = clock.now_ns + 10**15
    failures.note(b"x", 1)
    assert 0 < failures.wait_s(b"x") <= limits.LOGIN_FAILURE_S
