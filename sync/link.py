"""Questions to one top node: numbered, signed, and answers believed as far as its signature goes.

``carry`` is the adapter of the transport: it takes the octets of an envelope to the top node and brings its answer
back. Another transport, or a translator for another top node, is another ``carry``, or another ``Asks``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from core import limits
from core.errors import NodeError, Outcome, WireError
from core.signature import Signer, key_id
from sync import envelope, form
from sync.messages import Answer, Question, Refusal
from sync.words import visible

A = TypeVar("A", bound=Answer)

REPLAYED: Final = "replayed"
_OF_THE_NODE: Final = frozenset({REPLAYED, "not-connected", "not-enrolled", "nodes", "connect"})
Carry = Callable[[bytes], bytes]
"""Takes an envelope to the top node, brings one back. Errors: UpstreamError."""


class UpstreamError(NodeError):
    """The top node is away, or its answer is no answer. Trying again later may help; at once, unless ``refused``."""

    outcome = Outcome.OVERLOADED

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class RefusalError(NodeError):
    """The top node does not take this message. ``rule``: a word that stands for the reason."""

    outcome = Outcome.FORBIDDEN

    def __init__(self, message: str, *, rule: str = "") -> None:
        super().__init__(message)
        self.rule = rule


def is_of_all(error: NodeError) -> bool:
    """Whether an error keeps all tables from being sent, and not the one alone in whose turn it came."""
    if isinstance(error, RefusalError):
        return error.rule in _OF_THE_NODE
    return isinstance(error, UpstreamError)


class Asks(Protocol):
    """Something that takes questions to a top node."""

    def ask(self, question: Question, kind: type[A]) -> A:
        """Return its answer, which is of this kind. Errors: UpstreamError, RefusalError."""


class Persistent:
    """Asks again, a few times in short order, where an answer was lost on its way. A top node that is away for longer
    is left to whoever asks.
    """

    def __init__(self, link: Asks, pause: Callable[[float], None], chance: Callable[[], float]) -> None:
        self._link = link
        self._pause = pause
        self._chance = chance

    def ask(self, question: Question, kind: type[A]) -> A:
        """See Asks."""
        for tries in range(limits.UPSTREAM_TRIES - 1):
            try:
                return self._link.ask(question, kind)
            except UpstreamError as error:
                if error.refused:
                    raise
                self._pause(limits.UPSTREAM_TRY_S * 2**tries * (0.5 + self._chance() / 2))
        return self._link.ask(question, kind)


class Link:
    """The way to one top node. ``public_key``: its, 32 octets; ``now_us``: the time of day in microseconds."""

    def __init__(self, signer: Signer, public_key: bytes, carry: Carry, now_us: Callable[[], int]) -> None:
        self._signer = signer
        self._public_key = public_key
        self._to = key_id(public_key)
        self._carry = carry
        self._now_us = now_us
        self._number = 0

    def ask(self, question: Question, kind: type[A]) -> A:
        """See Asks. A number that the top node has seen is replaced once by one that it has not."""
        payload = form.encode(question)
        answer = self._exchange(payload)
        if isinstance(answer, Refusal) and answer.rule == REPLAYED and answer.number < envelope.NUMBER_MAX - 1:
            self._number = max(self._number, answer.number)
            answer = self._exchange(payload)
        if isinstance(answer, Refusal):
            zh, en = (visible(text, limits.UPSTREAM_REASON_CHARS_MAX) for text in (answer.zh, answer.en))
            raise RefusalError(f"{zh}。{en}", rule=answer.rule)
        if not isinstance(answer, kind):
            raise UpstreamError(f"上级节点答非所问。The top node answers with a {type(answer).__name__}")
        return answer

    def _exchange(self, payload: bytes) -> Answer:
        self._number = min(max(self._number + 1, self._now_us()), envelope.NUMBER_MAX)
        number = self._number
        octets = self._carry(envelope.seal(envelope.QUESTION, self._signer, number, self._to, payload))
        try:
            opened = envelope.open_envelope(envelope.ANSWER, octets)
            if opened.sender != self._public_key:
                raise WireError("签名者不是所连接的上级节点。It is signed by another key than that of the top node")
            if opened.number != number or opened.to != key_id(self._signer.public_key):
                raise WireError("这是对另一问题的应答。It answers another question")
            answer = form.decode(opened.payload)
        except WireError as error:
            raise UpstreamError(f"上级节点的应答无效：{error.message}") from None
        if not isinstance(answer, Answer):
            raise UpstreamError("上级节点答非所问。The top node asks instead of answering")
        return answer
