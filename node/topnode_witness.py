"""The witness of the reference top node: of the logs of the nodes that are enrolled, whichever way a checkpoint comes.

By a message it comes to ``sync/topnode/logs.py`` with the node that says it. Over HTTP nobody says who he is: the node
is the one whose logs have the name, and the checkpoint counts by the signature of its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from audit.checkpoint import parse_checkpoint
from audit.note import open_note
from audit.witness import CONFLICT, OK, SIZE, TEXT, Answer, Witness, parse_request
from core.clock import Millis, UnixSeconds
from sync import messages
from sync.topnode.desk import Taker
from sync.topnode.logs import LogDesk, LogNode
from sync.topnode.rows import ENROLLED, Node
from sync.topnode.store import TopStore

_ANSWERED: Final = (OK, CONFLICT)


def log_takers(logs: LogDesk) -> Mapping[type, Taker]:
    """Return what answers the messages about logs."""

    def checkpoint(node: Node, message: Any, now_ms: Millis) -> messages.Answer:
        return logs.checkpoint(_log_node(node), message, UnixSeconds(now_ms // 1_000))

    def month(node: Node, message: Any, _: Millis) -> messages.Answer:
        return logs.month(_log_node(node), message)

    def month_file(node: Node, message: Any, _: Millis) -> messages.Answer:
        return logs.month_file(_log_node(node), message)

    return {messages.Checkpoint: checkpoint, messages.Month: month, messages.MonthFile: month_file}


def _log_node(node: Node) -> LogNode:
    return LogNode(node.node_id, node.origin, (node.vkey,))


class NodesWitness:
    """See Cosigner. ``nobody``: a witness that knows no log, and holds what ``logs`` holds."""

    def __init__(self, store: TopStore, logs: LogDesk, nobody: Witness) -> None:
        self._store = store
        self._logs = logs
        self._nobody = nobody

    def add_checkpoint(self, body: bytes, now_s: int) -> Answer:
        answer = self._nobody.add_checkpoint(body, now_s)  # it is none, or its origin is not known
        try:
            origin = parse_checkpoint(open_note(parse_request(body).note, ()).text).origin
        except ValueError:
            return answer
        for node in self._store.nodes():
            if node.enrolment == ENROLLED and node.origin and origin.startswith(f"{node.origin}/log/"):
                said = self._logs.checkpoint(_log_node(node), messages.Checkpoint(body), UnixSeconds(now_s))
                answer = Answer(said.status, SIZE if said.status == CONFLICT else TEXT, said.body)
                if said.status in _ANSWERED:
                    break
        return answer

    def cosigned(self, origin_sha256: str) -> bytes | None:
        return self._nobody.cosigned(origin_sha256)
