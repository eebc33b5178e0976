"""Records for tests of rights and proofs: whatever a function finds."""

from __future__ import annotations

from collections.abc import Callable

from core.ident.handle import HandleKey, HandleRules
from core.records import Values

_FOLDED = HandleRules()


class KnownRecords:
    """See core.admission.Records."""

    def __init__(self, find: Callable[[HandleKey], Values | None], rules: HandleRules = _FOLDED) -> None:
        self._find = find
        self._rules = rules

    def key(self, handle: str) -> HandleKey:
        return self._rules.key(handle)

    def load(self, key: HandleKey) -> Values | None:
        return self._find(key)
