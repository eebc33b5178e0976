"""Verdicts of the national review, brought to the registrar by the process that asked an upstream for them."""

from __future__ import annotations

from core.config import Config
from node.cli.common import writer
from registry.commands import Actor, NationalVerdict, Request, Result
from registry.national_review import ACTOR
from sync.messages import Verdict
from sync.reviews import fitted


def tell_verdict(config: Config, prefix: str, verdict: Verdict, upstream_id: str, filed_ms: int) -> Result:
    """Have the registrar take a verdict: the running node's, or by the store itself where none runs.

    It blocks until the registrar has answered. A refusal is a result, too: CONFLICT where the verdict comes too late,
    FORBIDDEN where the party may not have the prefix now, which then waits on. Errors: NodeError where the registrar
    cannot be reached or the outcome is unknown; telling it again does nothing twice.
    """
    fit = fitted(verdict)
    command = NationalVerdict(prefix, upstream_id, fit.verdict, fit.reason, fit.fields, filed_ms)
    with writer(config) as write:
        return write(Request(command, Actor(local=True, name=ACTOR + upstream_id)))
