"""How the identity of a party is verified: methods, and what each of them finds.

A method is anything that fits ``Method``. Two come with the node; others, such as a register that
is asked over the network before the registrar hears of it, are named by the entry-point group
``saltern.verification`` of an installed package.

    unverified ── offline ──▶ format-ok ── manual, twice ──▶ verified
         │                        │                              │
         └── any method that finds it wrong, at any time ──▶  failed ── manual, twice ──▶ verified

Rules:

1. Only ``verified`` counts for a prefix (Measures art. 10). The offline check alone never gets there.
2. By hand it takes REVIEWERS_NEEDED different people, none of whom filed the party, each with a file.
3. A change of what was verified begins anew: the reviews before it count no more.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from core import limits
from core.errors import Outcome, WireError
from core.party.check import check_subject
from core.store.party_rows import Check, PartyRow, Verified
from core.who import Who, same_person
from core.wire.jsontext import parse
from registry.refusals import refusal

AMENDED: Final = "amended"
"""The method of the step that a change of what was verified leaves."""

VERIFIED_FIELDS: Final = frozenset(
    ("name", "cert_type", "uscc", "region", "legal_rep", "legal_rep_cert_type", "legal_rep_id")
)
"""What a verification is about: a change of one of these begins it anew."""

MANUAL: Final = "manual"

_DOCUMENT_FIELDS: Final = ("name", "uscc", "region")


class Case(NamedTuple):
    """What a method looks at. ``values``: all subject data, opened. ``document``: content of the
    evidence, empty if it was not sent. ``failed``: why, where a reviewer says so."""

    party: PartyRow
    values: Mapping[str, Any]
    who: Who
    evidence: bytes
    document: bytes
    failed: str
    today: datetime.date
    by_proof: bool


class Finding(NamedTuple):
    """What a method finds. ``source``: what it rests on. ``note``: why it failed, without what the form holds."""

    result: Verified
    source: str
    note: str = ""


class Method(Protocol):
    """One way to verify. ``people``: whether it is people who judge, so that duties are separated."""

    people: bool

    def judge(self, case: Case) -> Finding:
        """Judge a case. Errors: NodeError where it cannot be judged."""


class DocumentCheck:
    """``offline``: are name, code and region of the right form, do they fit one another and the document?

    The document is a JSON object with ``name``, ``uscc`` or ``region`` as the certificate has them;
    any other file is kept by its digest alone.
    """

    people = False

    def judge(self, case: Case) -> Finding:
        """See Method."""
        source = "form, check digits and region table"
        checked = check_subject(case.values, case.today)
        wrong = [f"{each.path}: {each.rule}" for each in checked.faults]
        wrong += [f"{each.path}: {each.rule}" for each in checked.warnings if each.rule == "uscc.other-region"]
        document = _document(case.document)
        compared = [name for name in _DOCUMENT_FIELDS if name in document]
        if compared:
            source += ", compared with the document"
            wrong += [
                f"{name}: not as in the document"
                for name in compared
                if str(document[name]).strip() != str(case.values.get(name, ""))
            ]
        if wrong:
            return Finding(Verified.FAILED, source, "; ".join(wrong)[: limits.REASON_CHARS_MAX])
        kept = case.party.state is Verified.VERIFIED
        return Finding(Verified.VERIFIED if kept else Verified.FORMAT_OK, source)


class ManualReview:
    """``manual``: people compare the party with its papers, REVIEWERS_NEEDED of them."""

    people = True

    def judge(self, case: Case) -> Finding:
        """See Method."""
        if not case.failed and not case.evidence:
            raise refusal("evidence", Outcome.INVALID_VALUE)
        if any(same_person(case.who, each, by_proof=case.by_proof) for each in case.party.filers):
            raise refusal("separation-of-duties")
        if case.failed:
            return Finding(Verified.FAILED, "review by hand", case.failed)
        before = _reviewers(case.party.steps)
        if any(same_person(case.who, each, by_proof=case.by_proof) for each in before):
            raise refusal("two-reviewers")
        source = f"review by hand, {len(before) + 1} of {limits.REVIEWERS_NEEDED}"
        enough = len(before) + 1 >= limits.REVIEWERS_NEEDED
        return Finding(Verified.VERIFIED if enough else case.party.state, source)


METHODS: Final[dict[str, Method]] = {"offline": DocumentCheck(), MANUAL: ManualReview()}


def is_begun(party: PartyRow) -> bool:
    """Whether somebody has looked at a party as it is now, and has not found it wrong."""
    return bool(party.steps) and party.steps[-1].method != AMENDED and not _is_wrong(party.steps[-1])


def _reviewers(steps: tuple[Check, ...]) -> list[Who]:
    """Return who has found the party right since it was last amended or found wrong."""
    found: list[Who] = []
    for step in reversed(steps):
        if step.method == AMENDED or _is_wrong(step):
            break
        if step.method == MANUAL:
            found.append(step.who)
    return found


def _is_wrong(step: Check) -> bool:
    """Whether a step found the party wrong; of two reviews that undo it the first leaves it failed, without a note."""
    return step.result == Verified.FAILED.value and (step.method != MANUAL or bool(step.note))


def _document(content: bytes) -> Mapping[str, Any]:
    try:
        document = parse(content) if content else None
    except WireError:
        return {}
    return document if isinstance(document, Mapping) else {}
