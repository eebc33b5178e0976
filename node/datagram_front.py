"""What all fronts over UDP share: datagrams come a batch a wake-up, and the answers of a turn leave together.

They leave behind the log; where it cannot be written they are dropped, and the clients ask again.
"""

from __future__ import annotations

import asyncio
import socket

from node.datagrams import Datagram, Datagrams, open_datagrams
from node.turn import Turn


class DatagramFront:
    """One worker's datagrams of one protocol. ``bytes_max``: of one that is sent."""

    def __init__(self, turn: Turn, bytes_max: int) -> None:
        self._turn = turn
        self._bytes_max = bytes_max
        self._datagrams: Datagrams | None = None
        self._descriptor = -1
        self._out: list[Datagram] = []
        self._leaving = False

    def listen(self, channel: socket.socket) -> None:
        """Serve on a socket that is bound and does not block."""
        self._descriptor = channel.fileno()
        self.serve(open_datagrams(channel, self._bytes_max))
        asyncio.get_running_loop().add_reader(self._descriptor, self.take)

    def serve(self, datagrams: Datagrams) -> None:
        """Take and send by these."""
        self._datagrams = datagrams

    def take(self) -> None:
        """Answer what waits, at most one batch; all answers that need not wait go out together."""
        raise NotImplementedError

    def close(self) -> None:
        """Receive nothing more; what is answered leaves."""
        if self._leaving:
            self._turn.end()
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._datagrams = None

    def let_go(self) -> None:
        """See Leaving."""
        self._leaving = False
        out, self._out = self._out, []
        if self._datagrams is not None:
            self._datagrams.send(out)

    def hold_back(self) -> None:
        """See Leaving. The clients ask again."""
        self._leaving = False
        self._out = []

    def _leave(self, came_ns: int = 0) -> None:
        """Let what is answered leave at the end of this turn. ``came_ns``: when what it answers came, 0 for now."""
        if self._out and not self._leaving:
            self._leaving = True
            self._turn.leave(self, came_ns)
