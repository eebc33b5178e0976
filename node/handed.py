"""Changes that an upstream registered during a takeover, brought to the registrar by what asked for them."""

from __future__ import annotations

from collections.abc import Callable

from registry.commands import Actor, Request, Result
from registry.national_review import ACTOR
from registry.upstream_commands import TakeChange
from sync.handing import HandingError
from sync.messages import Made

Write = Callable[[Request], Result]


def tell_change(write: Write, upstream: str, takeover: str, made: Made) -> None:
    """Have the registrar take a change; taking it twice does nothing. ``write``: blocks until it has answered.

    Errors: HandingError where it does not take any just now; NodeError where it cannot be reached.
    """
    command = TakeChange(
        upstream, takeover, made.number, made.handle, made.values is None, made.values or b"", made.before,
        made.at_ms, made.who,
    )  # fmt: skip
    result = write(Request(command, Actor(local=True, name=ACTOR + upstream)))
    if not result.done:
        raise HandingError(
            f"{made.handle}: 接管期间的登记暂未移入。A change of the takeover is not taken just now: {result.message}"
        )
