"""A top node that stands in for a node, and the node, in the process of the test: deposits, takeover, hand-back."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from core.clock import Millis
from core.guard import UNCOUNTED, Guard
from core.records import HandleValue, Values
from core.signature import key_id
from node.emergency_desk import Asked, EmergencyDesk, Registered
from node.emergency_tokens import EmergencyTokens
from node.handed import tell_change
from node.topnode_copies import Copies
from node.topnode_serving import Serving
from registry.commands import Request, Result
from registry.upstream_commands import ConnectUpstream
from sync.escrow.deposit import write_deposit
from sync.escrow.head import DIFF, FULL, Opening
from sync.escrow.item import Head
from sync.escrow.making import Keys, items
from sync.escrow.sealing import load_opener, load_recipient, make_escrow_key
from sync.handing import take_back
from sync.link import Carry, Link
from sync.messages import HandBack, Made
from sync.topnode.handing import Handing, takeover_of
from sync.topnode.referral import Server
from sync.topnode.takeover import Takeovers
from tests.kit.governance import LOT_KEYS, NOW, OWN, SEALS, Office
from tests.kit.topnode import Peer, Top

PEER = bytes((192, 0, 2, 1, 0, 9))


class StandIn:
    """Both sides. ``own``: where clients of the top node are sent; ``owner_of``: of prefixes beside those of the copy.

    ``reopen``: the top node is killed and starts again.
    """

    def __init__(
        self, folder: Path, own: Server, owner_of: Callable[[bytes], str | None] = lambda prefix: None
    ) -> None:
        self.folder = folder
        self.office = Office()
        self.now = NOW
        self._own, self._owner_of = own, owner_of
        make_escrow_key(folder / "escrow.pem", folder / "escrow.pub")
        self.handing: Handing
        self.top = Top(
            folder / "store", takers={HandBack: lambda node, question, now: self.handing.hand(node, question, now)}
        )
        self.peer = Peer(self.top, prefix=OWN)
        assert self.peer.connect().enrolment == "enrolled"
        self.node_id = self.peer.node_id
        self.upstream = key_id(self.top.signer.public_key)
        self._last: Head | None = None
        self._open()

    def _open(self) -> None:
        self.takeovers = Takeovers(self.folder / "takeover")
        self.copies = Copies(
            self.folder, load_opener(self.folder / "escrow.pem"),
            lambda node_id: takeover_of(self.takeovers, node_id) is not None,
        )  # fmt: skip
        self.tokens = EmergencyTokens(self.folder)
        self.handing = Handing(self.takeovers, self.copies)
        self.desk = EmergencyDesk(self.takeovers, self.copies, self.tokens, Guard(UNCOUNTED), lambda: self.now)
        self.serving = Serving(self.takeovers, self.copies, self._own, self._owner_of)

    def reopen(self) -> None:
        self.close()
        self.top._open()
        self._open()

    def close(self) -> None:
        self.copies.close()
        self.takeovers.close()
        self.top.close()

    # --- deposits and the takeover
    def written(self) -> tuple[Path, Head]:
        """Write the next deposit: a FULL, then DIFFs."""
        self.now = Millis(self.now + 60_000)
        last = self._last
        keys = Keys(SEALS.load_keys, LOT_KEYS, secrets.token_bytes(32), SEALS.make_nonce)
        with self.office.store.snapshot() as snapshot:
            since = None if last is None else last.watermark
            opening = Opening(
                OWN, FULL if last is None else DIFF, snapshot.serial(), since or 0, 0,
                "" if last is None else last.deposit, self.now,
            )  # fmt: skip
            recipient = load_recipient(self.folder / "escrow.pub")
            return write_deposit(
                self.folder / "out", items(snapshot, keys, since), opening, recipient, self.peer.signer  # type: ignore[arg-type]
            )  # fmt: skip

    def deposit(self) -> Head:
        """Make the next deposit, and take it."""
        path, head = self.written()
        self.copies.take(self.node_id, path)
        self._last = head
        return head

    def begin(self) -> None:
        """Take the node over; it is connected by then, so that prefixes are allocated before without a review."""
        self.office.do(ConnectUpstream("http://127.0.0.1:1", self.top.signer.public_key))
        node = self.top.store.node(self.node_id)
        assert node is not None
        self.takeovers.begin(node, "anna", "drill", self.now)

    def back(self) -> None:
        """Find the node back."""
        self.takeovers.release(self.node_id, "anna", "drill", self.now)

    # --- emergency registration
    def token(self, prefix: str = OWN) -> str:
        return self.tokens.issue(self.node_id, prefix, "李雷", self.now)[1]

    def register(self, handle: str, values: Values | None, token: str) -> Registered:
        self.now = Millis(self.now + 1_000)
        return self.desk.register(Asked(self.node_id, handle, values, token, PEER))

    # --- the hand-back
    def hand_back(self, carry: Carry | None = None, tell: Callable[[str, Made], None] | None = None) -> bool:
        """Have the node ask once; return whether the takeover is still on."""
        link = Link(self.peer.signer, self.top.signer.public_key, carry or self.carry, self._number)
        return take_back(self.office.store, self.upstream, link, tell or self.tell, lambda: self.now)

    def carry(self, octets: bytes) -> bytes:
        """Take a message to the top node."""
        return self.top.desk.answer(octets, self.now)

    def tell(self, takeover: str, made: Made) -> None:
        """Have the registrar take a change."""
        tell_change(self._write, self.upstream, takeover, made)

    def _write(self, request: Request) -> Result:
        self.office.now = Millis(self.office.now + 1_000)
        return self.office.registry.run([request], self.office.now)[0]

    def _number(self) -> int:
        self.peer.number += 1
        return self.peer.number


def url(text: str) -> Values:
    """Return the values of a record."""
    return (HandleValue(1, "URL", text.encode(), ttl=86_400),)
