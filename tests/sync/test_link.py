"""Questions to a top node: numbers that rise whatever the clock does, and answers of nobody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.signature import Signer, key_id
from sync.envelope import ANSWER, NUMBER_MAX, QUESTION, open_envelope, seal
from sync.form import encode
from sync.link import Link, RefusalError, UpstreamError
from sync.messages import Connect, Differing, ListKeys, Refusal, State, Wanted

NODE, TOP, OTHER = (Signer(Ed25519PrivateKey.from_private_bytes(bytes([each] * 32))) for each in (1, 2, 3))
HELLO = Connect("88.118", (), "", "", "", "")
STATE = State("enrolled", "", 0, ())


class Answering:
    """A top node that takes each number once, and then answers as it was told."""

    def __init__(self, last: int = 0) -> None:
        self.last, self.numbers, self.now_us = last, [], 1_000  # type: tuple[int, list[int], int]
        self.link = Link(NODE, TOP.public_key, self, lambda: self.now_us)

    def __call__(self, octets: bytes) -> bytes:
        asked = open_envelope(QUESTION, octets)
        assert (asked.sender, asked.to) == (NODE.public_key, key_id(TOP.public_key))
        self.numbers.append(asked.number)
        answer = STATE if asked.number > self.last else Refusal("replayed", "", "", self.last)
        self.last = max(self.last, asked.number)
        return seal(ANSWER, TOP, asked.number, asked.sender_id, encode(answer))


def test_numbers_rise_when_the_clock_jumps_back() -> None:
    top = Answering()
    for now_us in (5_000, 4_000, 4_000, 9_000):
        top.now_us = now_us
        assert top.link.ask(HELLO, State) == STATE
    assert top.numbers == [5_000, 5_001, 5_002, 9_000]


def test_a_number_that_was_used_is_replaced_once() -> None:
    """Our clock was ahead before, by a year: the top node says which number it saw last."""
    top = Answering(last=10**15)
    assert top.link.ask(HELLO, State) == STATE
    assert top.link.ask(HELLO, State) == STATE
    assert top.numbers == [1_000, 10**15 + 1, 10**15 + 2]
    top = Answering(last=NUMBER_MAX)
    with pytest.raises(RefusalError):
        top.link.ask(HELLO, State)
    assert len(top.numbers) == 1


def sealed(
    signer: Signer = TOP, purpose: str = ANSWER, more: int = 0, to: Signer = NODE, payload: bytes = encode(STATE)
) -> Callable[[bytes], bytes]:
    """Return a way to a top node that answers so."""

    def carry(octets: bytes) -> bytes:
        return seal(purpose, signer, open_envelope(QUESTION, octets).number + more, key_id(to.public_key), payload)

    return carry


@pytest.mark.parametrize(
    "carry",
    [
        sealed(OTHER), sealed(NODE), sealed(purpose=QUESTION), sealed(more=1), sealed(more=-1), sealed(to=OTHER),
        sealed(payload=b""), sealed(payload=encode(STATE)[:-1]), sealed(payload=encode(HELLO)),
        sealed(payload=encode(ListKeys("T9", b"", None))), sealed(payload=encode(Differing(0, ()))),
        sealed(payload=encode(Wanted(True, "", 0, ""))),
        lambda octets: octets, lambda _: b"", lambda octets: sealed()(octets)[:-1],
        lambda octets: sealed()(octets) + b"x",
    ],
)  # fmt: skip
def test_what_is_no_answer_to_this_question(carry: Callable[[bytes], bytes]) -> None:
    with pytest.raises(UpstreamError):
        Link(NODE, TOP.public_key, carry, lambda: 7).ask(HELLO, State)


def test_an_answer_that_was_recorded_is_none() -> None:
    recorded: list[bytes] = []

    def carry(octets: bytes) -> bytes:
        recorded.append(sealed()(octets))
        return recorded[0]

    link = Link(NODE, TOP.public_key, carry, lambda: 7)
    assert link.ask(HELLO, State) == STATE
    with pytest.raises(UpstreamError, match="another question"):
        link.ask(HELLO, State)
