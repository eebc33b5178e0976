"""``/oid/{oid}…``: where DNS leads for an OID, over HTTP.

/oid/{oid}                  the page of what the OID names, by a redirect
/oid/{oid}/children.xml     what is below it (CINF)
/oid/{oid}/registrant.xml   who registered it (RINF)

Each is a resolution, and logged as one. Source: ITU-T X.672 annexes C and D.
"""

from __future__ import annotations

from typing import Final, Protocol
from urllib.parse import quote

from core.errors import NodeError, Outcome
from core.events import ResolutionLog, Via
from core.ident.alias import Alias, AliasKind
from core.ident.oid import check_oid
from core.outcomes import HTTP_FOUND, STATUSES
from core.store.engine import Snapshot
from core.wire.http import Request, Response, decode_path, not_allowed, nothing_there, problem_of
from resolver.oid_documents import OidDocument, Operator, children_document, registrant_document
from resolver.zone_rows import find_target
from resolver.zone_services import CHILDREN, REGISTRANT

SEGMENT: Final = "oid"
_START: Final = f"/{SEGMENT}/"
_XML: Final = (("Content-Type", "application/xml;charset=utf-8"),)
_UNKNOWN: Final = "本节点没有这个 OID。This node has nothing under this OID"


class Store(Protocol):
    """What these pages need of a store."""

    def snapshot(self) -> Snapshot:
        """Begin to read."""


class OidPages:
    """Answers addresses of OIDs. ``operator``: who runs this node, and its address."""

    def __init__(self, store: Store, log: ResolutionLog, operator: Operator, *, root: bool) -> None:
        self._store = store
        self._log = log
        self._operator = operator
        self._root = root

    def answer(self, request: Request) -> Response:
        """Answer one request. Errors: LogFullError."""
        if request.method not in ("GET", "HEAD"):
            return not_allowed(request.path, "GET, HEAD")
        name, _, document = request.path.removeprefix(_START).partition("/")
        if not request.path.startswith(_START) or document not in ("", CHILDREN, REGISTRANT):
            return nothing_there(request.path)
        try:
            oid = check_oid(decode_path(name))
            with self._store.snapshot() as snapshot:
                outcome, response = self._found(snapshot, oid, document)
        except NodeError as error:
            return problem_of(error, request.path)
        self._log.record(Via.ALIAS, outcome, request.peer, f"oid:{oid}".encode(), None)
        if outcome is not Outcome.OK:
            return problem_of(NodeError(_UNKNOWN, outcome=outcome), request.path)
        return response

    def _found(self, snapshot: Snapshot, oid: str, document: str) -> tuple[Outcome, Response]:
        if document == CHILDREN:
            return _shown(children_document(snapshot, oid, root=self._root))
        if document == REGISTRANT:
            return _shown(registrant_document(snapshot, oid, self._operator, root=self._root))
        target = find_target(snapshot, Alias(AliasKind.OID, oid), root=self._root)
        address = f"/{quote(target.key, safe='/')}"
        return target.outcome, Response(HTTP_FOUND, (("Location", address),))


def _shown(found: OidDocument) -> tuple[Outcome, Response]:
    return found.outcome, Response(STATUSES[Outcome.OK].http, _XML, found.xml)
