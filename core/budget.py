"""A bound on how often something costly is done: a token bucket, time passed in."""

from __future__ import annotations


class Budget:
    """At most ``per_s`` a second over time, at most ``per_s`` at once."""

    __slots__ = ("_at_s", "_left", "_per_s")

    def __init__(self, per_s: int, now_s: float) -> None:
        self._per_s = per_s
        self._left = float(per_s)
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        """Take one; False if none is left."""
        passed_s = max(0.0, now_s - self._at_s)  # a clock that is set back gives nothing and takes nothing
        self._left = min(self._per_s, self._left + passed_s * self._per_s)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
