"""The error tree and the protocol-free kinds of ending.

Code raises a :class:`NodeError` kind; ``core.outcomes`` is the only place that
turns an :class:`Outcome` into a status of some protocol. Programmer errors stay
built-in exceptions and are never mapped: a front answers INTERNAL, shows no
detail, and logs them once.

A message is written for the person who reads it: what was wrong, where, and
what would be right. It never carries a secret or personal data.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Outcome(Enum):
    """How a request ended, said without any protocol's numbers."""

    OK = "ok"
    CREATED = "created"
    NO_VALUES = "no-values"
    HANDLE_NOT_FOUND = "handle-not-found"
    HANDLE_EXISTS = "handle-exists"
    VALUE_EXISTS = "value-exists"
    VALUE_NOT_FOUND = "value-not-found"
    INVALID_HANDLE = "invalid-handle"
    INVALID_VALUE = "invalid-value"
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    SERVICE_REFERRAL = "service-referral"
    PREFIX_REFERRAL = "prefix-referral"
    NOT_RESPONSIBLE = "not-responsible"
    NOT_ISSUED = "not-issued"  # a code that was never made for a unit of its lot
    GONE = "gone"  # a unit that was scrapped, returned or destroyed
    HELD = "held"  # what is here is not answered: its prefix is suspended
    AUTHENTICATION_NEEDED = "authentication-needed"
    AUTHENTICATION_FAILED = "authentication-failed"
    CREDENTIAL_MISSING = "credential-missing"
    SESSION_UNKNOWN = "session-unknown"
    SESSION_FAILED = "session-failed"
    SESSION_KEY_INVALID = "session-key-invalid"
    SESSION_REPLAYED = "session-replayed"
    FORBIDDEN = "forbidden"
    ACCESS_DENIED = "access-denied"
    OVERLOADED = "overloaded"
    REGISTRATION_CLOSED = "registration-closed"  # the licence of the node is not in force (Measures art. 6)
    STORE_FULL = "store-full"
    LOG_FULL = "log-full"  # the resolution log cannot be written; an answer without it is unlawful (Measures art. 13)
    NO_ANSWER = "no-answer"  # who was asked elsewhere, for somebody, gave no answer of use
    RATE_LIMITED = "rate-limited"  # too many requests from one source
    INTERNAL = "internal"
    CONFLICT = "conflict"
    NOT_FOUND = "not-found"  # a party, an application, a token
    TOO_LARGE = "too-large"
    NO_SUCH_ENDPOINT = "no-such-endpoint"
    METHOD = "method-not-allowed"
    UNKNOWN_METHOD = "unknown-method"
    MEDIA_TYPE = "media-type"

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is computed in Python


class NodeError(Exception):
    """Root of every error that may be shown to the person who caused it.

    ``message`` is safe to show. ``fields`` are safe to show and machine-readable.
    """

    outcome: ClassVar[Outcome] = Outcome.INTERNAL

    def __init__(self, message: str, *, outcome: Outcome | None = None, **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields
        self.ended: Outcome = outcome if outcome is not None else self.outcome

    def diagnostics(self) -> str:
        """Return one line for operators: kind, message, fields."""
        details = " ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{type(self).__name__}: {self.message}" + (f" ({details})" if details else "")


class IdentifierError(NodeError):
    """The text is no identifier of the kind that was asked for."""

    outcome = Outcome.INVALID_HANDLE


class WireError(NodeError):
    """The bytes do not follow the format that they claim."""

    outcome = Outcome.MALFORMED


class RecordError(NodeError):
    """The record or one of its values breaks a rule."""

    outcome = Outcome.INVALID_VALUE


class AdmissionError(NodeError):
    """The one who asks may not do this."""

    outcome = Outcome.FORBIDDEN


class ResponsibilityError(NodeError):
    """This node does not serve the prefix."""

    outcome = Outcome.NOT_RESPONSIBLE


class LimitError(NodeError):
    """A bound of ``core.limits`` or of the configuration was passed."""

    outcome = Outcome.TOO_LARGE


class RateError(NodeError):
    """One source makes too many requests, or fails too often to prove itself. ``retry_s``: seconds to wait."""

    outcome = Outcome.RATE_LIMITED

    def __init__(
        self, message: str = "Too many requests from this address; try again in a second", *, retry_s: int = 1
    ) -> None:
        super().__init__(message)
        self.retry_s = retry_s


class StoreError(NodeError):
    """The store could not do it."""

    outcome = Outcome.OVERLOADED


class SealError(StoreError):
    """A sealed field does not open: altered, moved, or its key is not here. Trying again is no use."""

    outcome = Outcome.INTERNAL


class ConfigError(NodeError):
    """The configuration is wrong, or a file that it names is."""

    outcome = Outcome.INTERNAL
