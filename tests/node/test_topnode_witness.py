"""The witness of the reference top node over HTTP: of the logs of enrolled nodes, and of nobody else's."""

from __future__ import annotations

import hashlib
from pathlib import Path

from audit.note import open_note, parse_vkey
from audit.witness import AddCheckpoint, dump_request
from core.streams import Stream
from sync import messages
from tests.kit.log_folders import LogFolder
from tests.kit.topnodes import Below, TopNode


def add(top: TopNode, log: LogFolder, old: int = 0) -> tuple[int, bytes]:
    reply = top.ask("POST", "/witness/add-checkpoint", dump_request(AddCheckpoint(old, (), log.checkpoint)))
    return reply.status, reply.body


def test_it_cosigns_the_logs_of_enrolled_nodes_alone(tmp_path: Path) -> None:
    """By the key that the node told; the same state as by messages: what was cosigned is told again there."""
    with TopNode(tmp_path / "top") as top:
        key = parse_vkey((top.folder / "keys" / "witness.vkey").read_text().strip())
        log = LogFolder(tmp_path / "log", Stream.CHANGE, "2026-11")
        forged = LogFolder(tmp_path / "forged", Stream.CHANGE, "2026-11", seed=bytes(32))
        assert add(top, log)[0] == 404
        below = Below(top)
        below.say(messages.Connect("88.118", ("88.118",), "n", "s", "node.example", log.key.vkey))
        assert add(top, forged)[0] == 403
        status, line = add(top, log)
        assert status == 200
        assert open_note(log.checkpoint + line, [key]).signed_by == (key,)
        assert add(top, log)[0] == 409
        digest = hashlib.sha256(log.origin.encode()).hexdigest()
        held = top.ask("GET", f"/witness/{digest}/checkpoint")
        assert (held.status, line in held.body) == (200, True)
        again = below.say(messages.Checkpoint(dump_request(AddCheckpoint(1, (), log.checkpoint))))
        assert again.status == 200
        assert top.ask("POST", "/witness/add-checkpoint", b"none").status == 400
