"""What lives between two messages of the Handle protocol: rows, challenges, sessions, log-ins, and their time."""

from __future__ import annotations

import contextlib
import random
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.admission import Identity
from core.clock import Millis
from core.errors import StoreError
from core.hdl.challenge import Challenge, pack_challenge, unpack_challenge
from core.hdl.dialogues import Dialogues
from core.hdl.logins import Logins
from core.hdl.session import Session, pack_session, unpack_session
from core.store.run_store import CHALLENGE, LOGIN, SESSION, Kind, RunStore
from core.wire.codepoints import VERSION, Version

ADMIN = Identity("0.NA/88.118.7", 301)
KEY, NONCE = bytes(range(32)), bytes(range(16))
SESSION_NEW = Session(KEY, ADMIN, 86_400)
MARK = bytes(range(32))
INT32 = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


# --- rows ---------------------------------------------------------------------------

SESSIONS = st.builds(
    Session, st.binary(min_size=32, max_size=32), st.builds(Identity, TEXT, INT32), INT32, st.booleans(),
    st.integers(0, 2**31), st.integers(0, 2**31), st.lists(st.integers(1, 2**31), max_size=6).map(tuple),
)  # fmt: skip
CHALLENGES = st.builds(
    Challenge, st.binary(max_size=16), st.binary(max_size=100),
    st.builds(Version, st.integers(0, 255), st.integers(0, 255)), st.integers(0, 2**32 - 1), st.booleans(),
)  # fmt: skip
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=8) | TEXT | st.floats(),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
ROWS = st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda octets: b"\1" + octets),
                 JUNK.map(lambda junk: b"\1" + msgpack.packb(junk)))  # fmt: skip


@given(SESSIONS, CHALLENGES)
def test_rows_round_trip(session: Session, challenge: Challenge) -> None:
    """What is kept comes back, types included."""
    assert unpack_session(pack_session(session)) == session
    assert unpack_challenge(pack_challenge(challenge)) == challenge
    assert isinstance(unpack_challenge(pack_challenge(challenge)).version, Version)
    assert isinstance(unpack_session(pack_session(session)).identity, Identity)


@given(ROWS)
def test_rows_total_on_any_bytes(row: bytes) -> None:
    """A row of another version, or a torn one: StoreError, and nothing else."""
    for unpack in (unpack_session, unpack_challenge):
        with contextlib.suppress(StoreError):
            unpack(row)


# --- what lives between two messages -------------------------------------------------------


class Clock:
    """The time that is passed in."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> Millis:
        return Millis(self.now)

    def pass_s(self, seconds: float) -> None:
        self.now += int(seconds * 1_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunStore]:
    store = RunStore(tmp_path / "run")
    yield store
    store.close()


@pytest.fixture
def dialogues(run: RunStore, clock: Clock) -> Dialogues:
    return Dialogues(run, clock)


ASKED = Challenge(NONCE, b"request", VERSION)


def test_a_challenge_is_taken_once(dialogues: Dialogues) -> None:
    """And by its own id alone."""
    first, second = dialogues.challenge(ASKED), dialogues.challenge(ASKED._replace(nonce=b"2"))
    assert first != second
    assert 0 < first < 2**31
    assert dialogues.challenged(first)
    assert [dialogues.take_challenge(first) for _ in range(2)] == [ASKED, None]
    assert not dialogues.challenged(first)
    assert dialogues.take_challenge(second) == ASKED._replace(nonce=b"2")
    assert dialogues.take_challenge(0) is dialogues.take_challenge(2**32 - 1) is None


def test_a_challenge_dies_after_its_time(dialogues: Dialogues, clock: Clock, run: RunStore) -> None:
    """CHALLENGE_S; then it counts for nothing, and is swept."""
    for waited, there in ((limits.CHALLENGE_S - 0.001, True), (limits.CHALLENGE_S, False)):
        made = dialogues.challenge(ASKED)
        clock.pass_s(waited)
        assert dialogues.challenged(made) == there
        assert (dialogues.take_challenge(made) is not None) == there
    dialogues.challenge(ASKED)
    clock.pass_s(limits.CHALLENGE_S)
    run.sweep(clock())
    assert run.count(CHALLENGE) == 0


def test_in_a_session_there_is_one_challenge_under_the_session_id(dialogues: Dialogues) -> None:
    """A newer one takes its place; the end of the session ends it too."""
    opened = dialogues.open(SESSION_NEW)
    for nonce in (b"1", b"2"):
        assert dialogues.challenge(ASKED._replace(nonce=nonce, session_id=opened)) == opened
    taken = dialogues.take_challenge(opened)
    assert taken is not None
    assert taken.nonce == b"2"
    assert dialogues.take_challenge(opened) is None
    dialogues.challenge(ASKED._replace(session_id=opened))
    dialogues.end(opened)
    assert not dialogues.challenged(opened)
    assert dialogues.session(opened) is None


def test_a_session_that_is_not_proven_dies_soon(dialogues: Dialogues, clock: Clock) -> None:
    """After SESSION_NEW_S, or what was asked if that is less; proven, after what was asked, at most SESSION_S_MAX."""
    for asked, new, proven in ((10**9, limits.SESSION_NEW_S, limits.SESSION_S_MAX), (5, 5, 5), (3_600, 600, 3_600)):
        for authenticated, life_s in ((False, new), (True, proven)):
            opened = dialogues.open(SESSION_NEW._replace(life_s=asked))
            if authenticated:
                assert dialogues.authenticate(opened, ADMIN, MARK) is not None
            clock.pass_s(life_s - 0.001)
            assert dialogues.session(opened) is not None
            clock.pass_s(0.001)
            assert dialogues.session(opened) is None
            assert dialogues.take_counter(opened, 1) is None
            assert dialogues.next_answer(opened) == 0
            assert dialogues.authenticate(opened, ADMIN, MARK) is None


def test_a_session_does_not_live_longer_by_being_used(dialogues: Dialogues, clock: Clock) -> None:
    """Nor by proving itself again: it ends when it was said to end."""
    opened = dialogues.open(SESSION_NEW._replace(life_s=100))
    dialogues.authenticate(opened, ADMIN, MARK)
    for counter in range(1, 100):
        clock.pass_s(1)
        assert dialogues.take_counter(opened, counter) is not None
        assert dialogues.next_answer(opened) == counter
        assert dialogues.authenticate(opened, ADMIN, MARK) is not None
    clock.pass_s(1)
    assert dialogues.session(opened) is None


def test_a_session_stands_for_whom_it_was_set_up_for(dialogues: Dialogues) -> None:
    """Byte for byte; anybody else leaves it as it was."""
    opened = dialogues.open(SESSION_NEW)
    for other in (ADMIN._replace(value_index=300), ADMIN._replace(handle=ADMIN.handle.lower()), Identity("", 0)):
        assert dialogues.authenticate(opened, other, MARK) is None
    session = dialogues.session(opened)
    assert session is not None
    assert not session.authenticated
    session = dialogues.authenticate(opened, ADMIN, MARK)
    assert session is not None
    assert session.authenticated


def test_a_counter_is_taken_once_whoever_asks(run: RunStore, clock: Clock) -> None:
    """Two workers have the same window; a refused counter changes nothing."""
    workers = [Dialogues(run, clock) for _ in range(2)]
    opened = workers[0].open(SESSION_NEW)
    order = [*range(1, 300), *range(1, 300)]
    random.Random(3).shuffle(order)
    taken = [counter for n, counter in enumerate(order) if workers[n % 2].take_counter(opened, counter) is not None]
    assert len(set(taken)) == len(taken)
    session = workers[1].session(opened)
    assert session is not None
    assert set(session.counters) <= set(taken)
    assert [worker.next_answer(opened) for worker in workers * 2] == [1, 2, 3, 4]


def test_ids_never_clash(dialogues: Dialogues, run: RunStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where chance draws the same again and again: another is drawn, and at last StoreError; nothing is overwritten."""
    draws: list[int] = []
    monkeypatch.setattr(secrets, "randbelow", lambda _: draws.pop(0) if len(draws) > 1 else draws[0])
    draws[:] = [6]
    session = dialogues.open(SESSION_NEW)
    draws[:] = [6, 6, 7]
    challenge = dialogues.challenge(ASKED)
    assert (session, challenge) == (7, 8)
    makers: tuple[Callable[[], int], ...] = (lambda: dialogues.open(SESSION_NEW), lambda: dialogues.challenge(ASKED))
    for taken in (6, 7):
        for make in makers:
            draws[:] = [taken]
            with pytest.raises(StoreError, match="try again"):
                make()
            draws[:] = [taken, taken, 100 + run.count(SESSION) + run.count(CHALLENGE)]
            assert make() == draws[0] + 1
    draws[:] = [7]
    clock.pass_s(limits.CHALLENGE_S)
    assert dialogues.open(SESSION_NEW) == 8


def test_a_flood_of_challenges_leaves_sessions_alone(
    dialogues: Dialogues, run: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so many are kept, those that end first go; the number of rows says so."""
    monkeypatch.setattr("core.hdl.dialogues.CHALLENGE", Kind(b"c", 100, 10**6))
    opened = dialogues.open(SESSION_NEW)
    for _ in range(300):
        dialogues.challenge(ASKED)
    assert run.count(CHALLENGE) == 100
    assert dialogues.session(opened) == SESSION_NEW


@given(st.integers(0, 2**32 - 1))
def test_dialogues_total_on_any_session_id(session_id: int) -> None:
    """Any id of an envelope is looked up without an error; the folder is that of the whole run."""
    assert DIALOGUES is not None
    assert DIALOGUES.session(session_id) is None
    assert DIALOGUES.take_challenge(session_id) is None
    assert not DIALOGUES.challenged(session_id)
    assert DIALOGUES.take_counter(session_id, 1) is None
    DIALOGUES.end(session_id)


DIALOGUES: Dialogues | None = None


@pytest.fixture(autouse=True, scope="module")
def empty_dialogues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    global DIALOGUES
    store = RunStore(tmp_path_factory.mktemp("dialogues") / "run")
    DIALOGUES = Dialogues(store, Clock())
    yield
    store.close()


# --- sessions of the JSON interface --------------------------------------------------------


def test_a_login_lives_as_long_as_it_is_used(run: RunStore, clock: Clock) -> None:
    """LOGIN_NEW_S before it is proven, however often it is asked for; then LOGIN_S since it was used last."""
    logins = Logins(run, clock)
    new = logins.make()
    for _ in range(limits.LOGIN_NEW_S - 1):
        clock.pass_s(1)
        assert logins.find(new.session_id) == new
    clock.pass_s(1)
    assert logins.find(new.session_id) is None
    proven = logins.prove(logins.make(), ADMIN, MARK)
    for _ in range(5):
        clock.pass_s(limits.LOGIN_S - 1)
        assert logins.find(proven.session_id) == proven
    clock.pass_s(limits.LOGIN_S)
    assert logins.find(proven.session_id) is None


@pytest.mark.parametrize("session_id", ["", "x" * 65, "é", "x" * 64, "\0"])
def test_a_login_that_nobody_made_is_none(run: RunStore, clock: Clock, session_id: str) -> None:
    """And cannot be ended."""
    logins = Logins(run, clock)
    made = logins.make(ADMIN)
    assert logins.find(session_id) is None
    assert not logins.end(session_id)
    assert [logins.end(made.session_id) for _ in range(2)] == [True, False]
    assert run.count(LOGIN) == 0


def test_a_login_that_ended_is_not_proven_again(run: RunStore, clock: Clock) -> None:
    """A proof that comes behind the end of its session brings nothing back."""
    logins = Logins(run, clock)
    made = logins.make()
    logins.end(made.session_id)
    logins.prove(made, ADMIN, MARK)
    assert logins.find(made.session_id) is None
