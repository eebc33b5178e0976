"""A witness decides: every answer, by the vectors of the facts page; what it holds survives kills; a fork is caught."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import Checkpoint, cosignature_time
from audit.files import Files
from audit.merkle import consistency_proof, leaf_hash, root_of
from audit.note import NoteKey, ed25519_key, open_note, sign_note
from audit.witness import (
    OK,
    SIZE,
    AddCheckpoint,
    Answer,
    Held,
    RequestError,
    Witness,
    dump_request,
    parse_request,
    parse_size,
)
from audit.witness_state import FileState, StateError
from core import limits
from tests.kit.witnesses import KEY, NOW_S, witness

ORIGIN = "node.example/log/2026-11"
LOG = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = LOG.public_key().public_bytes_raw()
COSIGNATURE = "IDJKvgAAAABpH6uAhs2SuGdMtzPBrvVN2hOFlw6/UiLldFsnOMYd0Oc7oghrE3Cbpy6VYZd37wKt8japCAWCxV/SGtN+pf+b2mUDCA=="


def leaves(count: int, fork_at: int | None = None) -> list[bytes]:
    """Return hashes of the fixed log of the facts page; another history from a leaf on."""
    names = [f"{'fork' if fork_at is not None and n >= fork_at else 'entry'}-{n}" for n in range(count)]
    return [leaf_hash(name.encode()) for name in names]


def signed(
    count: int, *, fork_at: int | None = None, origin: str = ORIGIN, private: Ed25519PrivateKey = LOG, name: str = ""
) -> bytes:
    """Return a checkpoint of a size, signed."""
    key = ed25519_key(name or origin, private.public_key().public_bytes_raw())
    text = Checkpoint(origin, count, root_of(leaves(count, fork_at))).text
    return sign_note(text, key, private.sign)


def proof(old: int, new: int, fork_at: int | None = None) -> tuple[bytes, ...]:
    hashes = leaves(new, fork_at)
    return tuple(consistency_proof(old, new, lambda level, n: root_of(hashes[n << level : (n + 1) << level])))


def ask(asked: Witness, old: int, note: bytes, hashes: tuple[bytes, ...] = ()) -> Answer:
    return asked.add_checkpoint(dump_request(AddCheckpoint(old, hashes, note)), NOW_S)


def told(answer: Answer) -> tuple[int, bytes]:
    return answer.status, answer.body if answer.media_type == SIZE else b""


@pytest.fixture
def asked(tmp_path: Path) -> Witness:
    """One that knows the log, and holds nothing of it."""
    return witness(tmp_path, ed25519_key(ORIGIN, PUBLIC))


def test_the_vector(asked: Witness, tmp_path: Path) -> None:
    """Checkpoint of size 3, cosigned at 1763683200; it is served below the digest of the origin."""
    note = signed(3)
    answer = ask(asked, 0, note)
    assert (answer.status, answer.body.decode()) == (200, f"\u2014 witness.example/w1 {COSIGNATURE}\n")
    held = asked.cosigned(hashlib.sha256(ORIGIN.encode()).hexdigest())
    assert held == note + answer.body
    log = ed25519_key(ORIGIN, PUBLIC)
    opened = open_note(held, [log, KEY])
    assert set(opened.signed_by) == {log, KEY}
    assert cosignature_time(opened, KEY) == NOW_S
    for digest in ("0" * 64, "../" + "0" * 61, "", hashlib.sha256(b"x").hexdigest()):
        assert asked.cosigned(digest) is None


def test_a_log_that_grows(asked: Witness) -> None:
    """Each checkpoint with the proof from the one before; the same one again, without a proof."""
    for old, new in ((0, 2), (2, 3), (3, 3), (3, 256), (256, 257), (257, 300)):
        hashes = proof(old, new) if 0 < old < new else ()
        assert ask(asked, old, signed(new), hashes).status == 200


def test_each_refusal(asked: Witness) -> None:
    """As the facts page lists them; what is held stays what it was."""
    assert ask(asked, 0, signed(3)).status == 200
    rest = proof(3, 7)
    assert told(ask(asked, 3, signed(7, private=OTHER), rest)) == (403, b"")
    assert told(ask(asked, 3, signed(7, name="other.example/log"), rest)) == (403, b"")
    spoilt = signed(7)[:-10] + b"AAAAAAA=\n"
    assert told(ask(asked, 3, spoilt, rest))[0] in (400, 403)
    assert told(ask(asked, 3, signed(7, origin="other.example/log"), rest)) == (404, b"")
    assert told(ask(asked, 8, signed(7), rest)) == (400, b"")
    for old in (0, 2, 5, 7):
        assert told(ask(asked, old, signed(7), rest)) == (409, b"3\n")
    assert told(ask(asked, 0, signed(3))) == (409, b"3\n")
    for wrong in ((), rest[1:], rest[:-1], (*rest, rest[0]), tuple(reversed(rest)), (bytes(32), *rest[1:])):
        assert told(ask(asked, 3, signed(7), wrong)) == (422, b"")
    assert told(ask(asked, 3, signed(3), rest)) == (422, b"")  # of equal sizes nothing is to be proven
    assert told(ask(asked, 3, signed(3, fork_at=2))) == (422, b"")
    assert ask(asked, 3, signed(7), rest).status == 200
    assert told(ask(asked, 7, signed(3))) == (400, b"")


def test_from_size_0_nothing_is_proven(asked: Witness) -> None:
    """A proof that is not empty is wrong."""
    assert told(ask(asked, 0, signed(7), proof(3, 7))) == (422, b"")
    assert told(ask(asked, 1, signed(7), proof(1, 7))) == (409, b"0\n")


@pytest.mark.parametrize("fork_at", [0, 1, 2])
@pytest.mark.parametrize("size", [3, 4, 7, 300])
def test_two_checkpoints_that_fork(asked: Witness, fork_at: int, size: int) -> None:
    """Whatever proof comes along: the second history is not cosigned, the first one goes on."""
    assert ask(asked, 0, signed(3)).status == 200
    for hashes in (proof(3, size, fork_at), proof(3, size)):
        assert told(ask(asked, 3, signed(size, fork_at=fork_at), hashes)) == (422, b"")
    assert ask(asked, 3, signed(301), proof(3, 301)).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\n", b"old 0", b"old 0\n", b"old 0\n\n", b"old -1\n\nx", b"old 01\n\nx", b"old  1\n\nx", b"OLD 1\n\nx",
        b"old 0\n\nnode.example\n", b"old 0\nAAAA\n\nx", b"old 0\n%\n\nx", b"old 0\n" + base64.b64encode(bytes(32)),
        b"old 0\n" + (base64.b64encode(bytes(32)) + b"\n") * 64 + b"\nx", b"\xff\n\n", b"old 99999999999999999999\n\nx",
        b"old 0\n\n" + b"x" * limits.WITNESS_BODY_BYTES_MAX, b"old 0\r\n\r\nx",
    ],
)  # fmt: skip
def test_what_is_no_request(asked: Witness, body: bytes) -> None:
    """400, and nothing is held."""
    assert asked.add_checkpoint(body, NOW_S).status == 400


@given(st.binary(max_size=400))
def test_any_octets_are_read_or_refused(body: bytes) -> None:
    """A request or a RequestError; what was read is written as it was."""
    try:
        request = parse_request(b"old " + body)
    except RequestError:
        return
    assert dump_request(request) == b"old " + body


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63), st.binary(max_size=100))
def test_a_request_is_read_as_it_was_written(old: int, hashes: list[bytes], note: bytes) -> None:
    """Round trip."""
    request = AddCheckpoint(old, tuple(hashes), note)
    assert parse_request(dump_request(request)) == request


def test_the_size_of_a_conflict() -> None:
    """A number and a line feed, nothing else."""
    assert [parse_size(body) for body in (b"0\n", b"70000\n")] == [0, 70_000]
    for body in (b"", b"3", b"03\n", b"-1\n", b"3\n\n", b"\xff\n", b"9" * 20 + b"\n"):
        assert parse_size(body) is None


def test_a_key_is_trusted_for_all_months_and_streams_of_its_host(tmp_path: Path) -> None:
    """The vkey of one month opens the next one; another host, and another form of name, is another log."""
    asked = witness(tmp_path, ed25519_key("node.example/log/change/2026-11", PUBLIC))
    for origin, status in {
        "node.example/log/change/2026-11": 200, "node.example/log/change/2026-12": 200,
        "node.example/log/maintenance/2027-01": 200, "node.example/log/change/2026-13": 404,
        "node.example/log/other/2026-11": 404, "other.example/log/change/2026-11": 404,
        "node.example/log/change": 404, "node.example": 404,
    }.items():  # fmt: skip
        assert ask(asked, 0, signed(3, origin=origin)).status == status, origin
    assert ask(asked, 0, signed(3, origin="node.example/log/change/2027-02", private=OTHER)).status == 403


# --- what is held ------------------------------------------------------------
def test_it_is_held_by_whoever_comes_next(tmp_path: Path) -> None:
    """A new process goes on where the one before stopped."""
    key = ed25519_key(ORIGIN, PUBLIC)
    assert ask(witness(tmp_path, key), 0, signed(3)).status == 200
    assert told(ask(witness(tmp_path, key), 0, signed(7))) == (409, b"3\n")


class Breaking(Files):
    """Fails in one operation, before or after it was done."""

    def __init__(self, name: str, after: bool) -> None:
        for each in ("write", "rename", "sync_folder"):
            if each == name:
                setattr(self, each, self._failing(getattr(Files, each), after))

    def _failing(self, done: object, after: bool) -> object:
        def fail(*arguments: object) -> None:
            if after:
                done(self, *arguments)  # type: ignore[operator]
            raise OSError(28, "No space left on device")

        return fail


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["write", "rename", "sync_folder"])
def test_what_is_not_stored_is_not_answered(tmp_path: Path, name: str, after: bool) -> None:
    """At each step of a disk that fails: no signature, and what is held is the one before or the one after, whole."""
    key = ed25519_key(ORIGIN, PUBLIC)
    assert ask(witness(tmp_path, key), 0, signed(3)).status == 200
    state = FileState(tmp_path)
    state._files = Breaking(name, after)
    with pytest.raises(OSError, match="No space"):
        ask(witness(tmp_path, key, state=state), 3, signed(7), proof(3, 7))
    held = FileState(tmp_path).held(ORIGIN)
    assert held is not None
    assert held.size in (3, 7)
    assert ask(witness(tmp_path, key), held.size, signed(9), proof(held.size, 9)).status == 200


def test_a_witness_that_was_killed_holds_what_it_answered(tmp_path: Path) -> None:
    """Killed while it cosigns one after the other: it holds the last answer, or one that had not left."""
    program = (
        "import sys; from pathlib import Path; from tests.audit.test_witness import *\n"
        "asked = witness(Path(sys.argv[1]), ed25519_key(ORIGIN, PUBLIC))\n"
        "for n in range(1, 5000):\n"
        "    assert ask(asked, n - 1, signed(n), proof(n - 1, n) if n > 1 else ()).status == 200\n"
        "    print(n, flush=True)\n"
    )
    for round_ in range(3):
        folder = tmp_path / str(round_)
        with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(5 + round_):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            answered = max([4 + round_, *map(int, process.stdout.read().split())])
        held = FileState(folder).held(ORIGIN)
        assert held is not None
        assert held.size in (answered, answered + 1)
        assert held.root == root_of(leaves(held.size))


def test_two_who_ask_at_once(tmp_path: Path) -> None:
    """Of two histories that both follow what is held, one is cosigned, by whichever process or thread."""
    key = ed25519_key(ORIGIN, PUBLIC)
    assert ask(witness(tmp_path, key), 0, signed(3)).status == 200
    answers: list[Answer] = []
    start = threading.Barrier(8)

    def race(number: int) -> None:
        asked = witness(tmp_path, key)
        fork_at = 3 + number
        note, hashes = signed(20, fork_at=fork_at), proof(3, 20, fork_at)
        start.wait()
        answers.append(ask(asked, 3, note, hashes))

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told(each)[0] for each in answers) == [200] + [409] * 7
    assert {each.body for each in answers if each.status == 409} == {b"20\n"}


def test_compare_and_store(tmp_path: Path) -> None:
    """Only what is still held is replaced."""
    state = FileState(tmp_path)
    three, seven = signed(3), signed(7)
    held = Held(3, root_of(leaves(3)))
    assert not state.replace(ORIGIN, held, seven)
    assert state.replace(ORIGIN, None, three)
    assert not state.replace(ORIGIN, None, seven)
    assert not state.replace(ORIGIN, held._replace(root=bytes(32)), seven)
    assert state.held(ORIGIN) == held
    assert state.replace(ORIGIN, held, seven)
    assert state.note(hashlib.sha256(ORIGIN.encode()).hexdigest()) == seven


@pytest.mark.parametrize("content", [b"", b"x", signed(3)[:-5], signed(3, origin="other.example/log")])
def test_a_witness_that_cannot_read_what_it_holds_cosigns_nothing(tmp_path: Path, content: bytes) -> None:
    """It never takes a spoilt note for none: it would cosign a fork."""
    key = ed25519_key(ORIGIN, PUBLIC)
    asked = witness(tmp_path, key)
    assert ask(asked, 0, signed(3)).status == 200
    (tmp_path / hashlib.sha256(ORIGIN.encode()).hexdigest() / "checkpoint").write_bytes(content)
    with pytest.raises(StateError):
        ask(asked, 0, signed(7, fork_at=0))


def test_lines_of_strangers_are_not_kept(tmp_path: Path) -> None:
    """The log's and the witness's own: a note does not grow by what others put under it."""
    key: NoteKey = ed25519_key(ORIGIN, PUBLIC)
    asked = witness(tmp_path, key)
    other = ed25519_key("other.example/x", OTHER.public_key().public_bytes_raw())
    note = signed(3)
    note += sign_note(open_note(note, ()).text, other, OTHER.sign).partition(b"\n\n")[2]
    assert ask(asked, 0, note).status == OK
    held = asked.cosigned(hashlib.sha256(ORIGIN.encode()).hexdigest())
    assert held is not None
    assert [line.name for line in open_note(held, ()).lines] == [ORIGIN, KEY.name]
    assert os.listdir(tmp_path) == [hashlib.sha256(ORIGIN.encode()).hexdigest()]
