"""The one table from kinds of ending to the numbers of each protocol."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import core
import registry
import resolver
from core import errors
from core.errors import NodeError, Outcome
from core.outcomes import STATUSES, HandleCode, handles_http_status
from core.wire.handlejson import render
from core.wire.http import Request, problem


def error_kinds() -> list[type[NodeError]]:
    """Return NodeError and every kind below it that the node defines."""
    for package in (core, registry, resolver):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)

    def below(kind: type[NodeError]) -> Iterator[type[NodeError]]:
        yield kind
        for each in kind.__subclasses__():
            yield from below(each)

    return sorted(set(below(NodeError)), key=lambda kind: kind.__name__)


def test_every_outcome_has_a_row_and_every_row_an_outcome() -> None:
    """The table is total: no ending is without a status in some protocol."""
    assert set(STATUSES) == set(Outcome)


@pytest.mark.parametrize("outcome", Outcome, ids=lambda outcome: outcome.value)
def test_a_row_holds_numbers_of_each_protocol(outcome: Outcome) -> None:
    """HTTP statuses, a Handle response code, a DNS rcode of four bits."""
    row = STATUSES[outcome]
    assert 200 <= row.http < 600
    assert 200 <= row.http_handles < 600
    assert row.handle in HandleCode
    assert 0 <= row.dns <= 10


@pytest.mark.parametrize("kind", error_kinds(), ids=lambda kind: kind.__name__)
def test_every_kind_of_error_ends_with_an_outcome_of_the_table(kind: type[NodeError]) -> None:
    """Whatever is raised, a front finds its status; no error of ours ends as a success."""
    error = kind.__new__(kind)  # whatever else it takes
    NodeError.__init__(error, "why")
    assert error.ended is kind.outcome
    assert STATUSES[kind.outcome].http >= 400
    assert STATUSES[kind.outcome].http_handles >= 400


def test_the_kinds_of_errors_were_found() -> None:
    """The walk above sees the direct kinds and those that a service defines."""
    names = {kind.__name__ for kind in error_kinds()}
    assert {"IdentifierError", "WireError", "RecordError", "ExpectationError", "UnsupportedTemplateError"} <= names


def test_an_error_can_end_otherwise_than_its_kind() -> None:
    """``outcome=`` overrides for one error, not for the kind; fields are for operators."""
    error = errors.StoreError("full", outcome=Outcome.STORE_FULL, table="records")
    assert error.ended is Outcome.STORE_FULL
    assert errors.StoreError("busy").ended is Outcome.OVERLOADED
    assert error.diagnostics() == "StoreError: full (table='records')"
    assert errors.StoreError("busy").diagnostics() == "StoreError: busy"
    assert str(error) == error.message == "full"


def test_the_reference_servers_statuses_hold_on_its_interface() -> None:
    """Situations of the reference interface where it differs from our own API."""
    told = {outcome: handles_http_status(outcome, secure=True) for outcome in Outcome}
    assert told[Outcome.NO_VALUES] == 200
    assert told[Outcome.NOT_RESPONSIBLE] == 400
    assert told[Outcome.VALUE_NOT_FOUND] == 400
    assert told[Outcome.MEDIA_TYPE] == 400
    assert told == {outcome: row.http_handles for outcome, row in STATUSES.items()}


def test_credentials_are_never_asked_for_over_plain_http() -> None:
    """The reference server answers 403 where it would answer 401 over TLS; all else is the same."""
    for outcome in Outcome:
        plain, secure = (handles_http_status(outcome, secure=secure) for secure in (False, True))
        if outcome is Outcome.AUTHENTICATION_NEEDED:
            assert (plain, secure) == (403, 401)
        else:
            assert plain == secure


def test_what_may_succeed_a_moment_later_says_when() -> None:
    """RFC 6585 s4, RFC 9110 s10.2.3: Retry-After with 429 and with an overload, in both forms; not with a full disk."""
    request = Request("GET", "/api/handles/88.118.7/X", "", {}, b"", credentials_safe=True)
    for outcome in Outcome:
        expected = "1" if outcome in (Outcome.RATE_LIMITED, Outcome.OVERLOADED) else None
        for response in (problem(outcome, "why", "/"), render(request, outcome, message="why")):
            assert dict(response.headers).get("Retry-After") == expected


def test_a_source_that_is_too_fast_and_a_log_that_is_full() -> None:
    """429, busy, REFUSED; 503, busy, SERVFAIL: the same on both HTTP interfaces."""
    assert STATUSES[Outcome.RATE_LIMITED] == (429, 429, HandleCode.SERVER_BUSY, 5)
    assert STATUSES[Outcome.LOG_FULL] == STATUSES[Outcome.OVERLOADED] == (503, 503, HandleCode.SERVER_BUSY, 2)


def test_what_is_held_is_unavailable_for_legal_reasons() -> None:
    """RFC 7725 s3; whoever asks by a protocol that has no such word is told that there is nothing."""
    assert STATUSES[Outcome.HELD] == (451, 404, HandleCode.HANDLE_NOT_FOUND, 3)


def test_a_closed_registration_is_no_question_of_rights() -> None:
    """Denied on every protocol; by the Handle protocol not as an administrator without the right."""
    assert STATUSES[Outcome.REGISTRATION_CLOSED] == (403, 403, HandleCode.OPERATION_DENIED, 5)


def test_handle_response_codes_are_those_of_the_protocol() -> None:
    """RFC 3652 s2.2.2.2 and the reference server: the codes that clients test for."""
    codes = {outcome: int(row.handle) for outcome, row in STATUSES.items()}
    assert codes[Outcome.OK] == codes[Outcome.CREATED] == 1
    assert codes[Outcome.HANDLE_NOT_FOUND] == 100
    assert codes[Outcome.HANDLE_EXISTS] == 101
    assert codes[Outcome.INVALID_HANDLE] == 102
    assert codes[Outcome.NO_VALUES] == codes[Outcome.VALUE_NOT_FOUND] == 200
    assert codes[Outcome.VALUE_EXISTS] == 201
    assert codes[Outcome.INVALID_VALUE] == 202
    assert codes[Outcome.NOT_RESPONSIBLE] == 301
    assert codes[Outcome.SERVICE_REFERRAL] == 302
    assert codes[Outcome.PREFIX_REFERRAL] == 303
    assert codes[Outcome.FORBIDDEN] == 400
    assert codes[Outcome.ACCESS_DENIED] == 401
    assert codes[Outcome.AUTHENTICATION_NEEDED] == 402
    assert codes[Outcome.AUTHENTICATION_FAILED] == 403
