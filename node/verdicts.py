"""Verdicts of the national review, brought to the registrar by the process that asked an upstream for them."""

from __future__ import annotations

from collections.abc import Callable

from registry.commands import Actor, NationalVerdict, Request, Result
from registry.national_review import ACTOR
from sync.messages import Review, Verdict
from sync.reviews import fitted

Write = Callable[[Request], Result]


def tell_verdict(write: Write, review: Review, verdict: Verdict, upstream_id: str) -> Result:
    """Have the registrar take a verdict. ``write``: blocks until the registrar has answered.
    A refusal is a result, too: CONFLICT where the verdict comes too late,
       FORBIDDEN where the party may not have the prefix now, which then waits on. Errors: NodeError where the registrar
       cannot be reached or the outcome is unknown; telling it again does nothing twice.
    """
    fit = fitted(verdict)
    command = NationalVerdict(
        review.prefix, upstream_id, fit.verdict, fit.reason, fit.fields, review.filed_ms
    )  # fmt: skip
    return write(Request(command, Actor(local=True, name=ACTOR + upstream_id)))
