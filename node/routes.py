"""Which handler answers which path, and how long a body it may have.

/api/handles/…                 Handle JSON interface
/api/site, /api/prefixes       the same
/api/sessions, /api/verifications  the same
POST of application/x-hdl-message  a message of the Handle protocol, whatever the path
/v1/records:batch              our own API: many records
/v1/resolve                    our own API: any identifier, of other nodes as well
/v1/…                          our own API: parties, prefixes, lots, tokens, complaints, changes
/openapi.json                  its description
/log/…                         the statutory logs, for those who may read them
/prefixes/{prefix}             public registration data
/complaints                    the form of complaints, and how one stands; /complaints/{ticket} leads there
/favicon.ico                   none: no identifier, and no page of ours has a picture
/healthz, /readyz              for load balancers
/                              home page, ?identifier=… leads to the page of that identifier
/about                         services, time limits, fees, licence, who is responsible: HTML, or JSON by Accept
/{AI}/…                        GS1 Digital Link, where the first segment is a key of GS1; also a compressed one
/.well-known/gs1resolver       the resolver of GS1, described
/oid/{oid}…                    where DNS leads for an OID
/{prefix}/{suffix}             browser address
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from core import limits
from core.caller import Callers, is_bearer
from core.errors import NodeError, Outcome
from core.outcomes import HTTP_FOUND, STATUSES
from core.wire.handlejson import options, refused_credentials, render, render_error
from core.wire.http import CHALLENGED, Request, Response, not_allowed, nothing_there, prefers_html, problem_of
from core.wire.page import KEPT_BY_NOBODY
from node.handle_http import Messages, is_message
from node.log_api import START as LOGS
from node.log_api import LogApi
from node.public_pages import PublicPages, lost, unread
from node.recursion.api import PATH as RESOLVE
from node.recursion.api import ResolveApi
from node.sessions_api import SessionsApi
from registry.batch_api import BatchApi, admit
from registry.complaint_pages import PATH as COMPLAINTS
from registry.complaint_pages import ComplaintPages, ticket_address
from registry.http_api import ManagementApi
from registry.json_api import JsonApi as WritingApi
from registry.json_api import origin_of
from registry.notes import Notes
from registry.rdap_api import SEGMENT as PREFIXES
from registry.rdap_api import RegistrationData
from resolver.browser import Browser
from resolver.gs1.front import RESOLVER, DigitalLinks
from resolver.json_api import JsonApi as ReadingApi
from resolver.oid_pages import SEGMENT as OIDS
from resolver.oid_pages import OidPages

BATCH_PATH: Final = "/v1/records:batch"
_HANDLES: Final = "/api/handles"
_SESSIONS: Final = "/api/sessions"
_VERIFICATIONS: Final = "/api/verifications"
_READS: Final = ("GET", "HEAD", "POST")
_KNOWN_METHODS: Final = (*_READS, "PUT", "DELETE", "OPTIONS")
_OWN_SEGMENTS: Final = frozenset(
    (
        "api",
        "v1",
        "log",
        "prefixes",
        "complaints",
        "about",
        "healthz",
        "readyz",
        "openapi.json",
        ".well-known",
        "favicon.ico",
        OIDS,
    )
)
_BODY_BYTES: Final = {
    BATCH_PATH: limits.BATCH_BODY_BYTES_MAX,
    **dict.fromkeys((COMPLAINTS, f"/v1{COMPLAINTS}"), limits.COMPLAINT_BODY_BYTES_MAX),
}
_TEXT: Final = (("Content-Type", "text/plain;charset=utf-8"),)


def body_bytes_max(path: str) -> int:
    """Return how long the body of a request to this path may be."""
    if _is_events(path):
        return limits.LOT_EVENTS_BODY_BYTES_MAX
    return _BODY_BYTES.get(path, limits.BODY_BYTES_MAX)


def _is_events(path: str) -> bool:
    return path.startswith("/v1/lots/") and path.endswith("/events")


def refused_unread(request: Request, error: NodeError) -> Response:
    """Return what is told of a request whose body was not read."""
    if request.path.startswith("/api"):
        return render_error(request, error)
    return unread(error) if _is_a_persons(request) else problem_of(error, request.path)


class Routes:
    """Hands each request to the part that answers it.

    ``description``: of our own API, JSON. ``ready``: whether the store can be read.
    """

    def __init__(
        self,
        *,
        reading: ReadingApi,
        writing: WritingApi,
        batches: BatchApi,
        browser: Browser,
        digital_links: DigitalLinks,
        oids: OidPages,
        public: PublicPages,
        sessions: SessionsApi,
        callers: Callers,
        messages: Messages,
        management: ManagementApi,
        notes: Notes,
        registrations: RegistrationData,
        complaints: ComplaintPages,
        resolving: ResolveApi,
        logs: LogApi,
        description: bytes,
        ready: Callable[[], bool],
    ) -> None:
        self._reading = reading
        self._writing = writing
        self._batches = batches
        self._browser = browser
        self._digital_links = digital_links
        self._public = public
        self._sessions = sessions
        self._callers = callers
        self._messages = messages
        self._management = management
        self._notes = notes
        self._below = {PREFIXES: registrations.answer, f"/{OIDS}/": oids.answer}
        self._alone = {COMPLAINTS: complaints.answer, RESOLVE: resolving.answer}
        self._logs = logs
        self._description = description
        self._ready = ready

    async def check_head(self, request: Request) -> Response | None:
        """Return the refusal of a request by its head, before its body is read; None if there is none."""
        batch = request.path == BATCH_PATH
        if not (batch or _is_events(request.path)) or request.method != "POST":
            return None
        try:
            caller = await self._callers.identify(request)
            if batch:
                self._batches.check_head(caller)
            else:
                admit(caller)
        except NodeError as error:
            await self._notes.failed(error, origin_of(request))
            return self._challenged(request, problem_of(error, request.path))
        return None

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        return self._challenged(request, await self._answer(request))

    def _challenged(self, request: Request, response: Response) -> Response:
        if response.challenge is None:
            return response
        bearer = _is_ours(request.path) or is_bearer(request.headers.get("authorization", ""))
        offered = self._callers.challenge(response.challenge, bearer=bearer)
        return response._replace(headers=(*offered, *response.headers))

    async def _answer(self, request: Request) -> Response:
        path = request.path
        if is_message(request):
            return await self._messages(request)
        if _proves_itself(request):
            try:
                request = await self._callers.identify(request)
            except NodeError as error:
                await self._notes.failed(error, origin_of(request))
                return _unknown_caller(request, error)
        if path == "/api" or path.startswith("/api/"):
            return await self._api(request)
        first = path[1:].partition("/")[0]
        if path == RESOLVER:
            return self._digital_links.description(request)
        if first in _OWN_SEGMENTS:
            return await self._own(request)
        if self._digital_links.takes(path):
            return await self._digital_links.answer(request)
        return await self._page(request)

    async def _api(self, request: Request) -> Response:
        path, method = request.path, request.method
        if method not in _KNOWN_METHODS:
            return render(request, Outcome.UNKNOWN_METHOD, message=f"Unknown method {method[:40]}")
        if method == "OPTIONS":
            return options(request)
        if path == _HANDLES or path.startswith(_HANDLES + "/"):
            rest = path[len(_HANDLES) + 1 :]
            if method == "PUT":
                return await self._writing.put(request, rest)
            if method == "DELETE":
                return await self._writing.delete(request, rest)
            return await self._reading.handles(request, rest)
        if path == _SESSIONS or path.startswith(_SESSIONS + "/"):
            return await self._sessions.sessions(request)
        if (path == _VERIFICATIONS or path.startswith(_VERIFICATIONS + "/")) and method in _READS:
            return await self._sessions.verifications(request, path[len(_VERIFICATIONS) + 1 :])
        known: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/api/site": self._reading.site,
            "/api/prefixes": self._reading.prefixes,
        }
        handler = known.get(path.removesuffix("/"))
        if handler is not None and method in _READS:
            return await handler(request)
        outcome = Outcome.NO_SUCH_ENDPOINT if handler is None else Outcome.METHOD
        refusal = render(request, outcome, message=f"Unknown HTTP API endpoint {method} {path[:1_024]}")
        if handler is None:
            return refusal
        return refusal._replace(headers=(("Allow", f"{', '.join(_READS)}, OPTIONS"), *refusal.headers))

    async def _own(self, request: Request) -> Response:
        if request.path == "/openapi.json":
            return _told(request, self._description)
        below = next((answer for start, answer in self._below.items() if request.path.startswith(start)), None)
        if below is not None:
            return below(request)
        if request.path in self._alone:
            return await self._alone[request.path](request)
        if request.path.startswith(LOGS):
            return await self._logs.answer(request)
        if _is_ours(request.path) and request.path != BATCH_PATH:
            return await self._management.answer(request)
        match request.path:
            case "/about":
                return self._public.about(request) if _is_read(request) else not_allowed(request.path, "GET, HEAD")
            case "/v1/records:batch":
                if request.method == "POST":
                    return await self._batches.post(request)
                return not_allowed(request.path, "POST")
            case "/healthz" | "/readyz" as path:
                if not _is_read(request):
                    return not_allowed(request.path, "GET, HEAD")
                healthy = path == "/healthz" or self._ready()
                outcome = Outcome.OK if healthy else Outcome.OVERLOADED
                return Response(STATUSES[outcome].http, _TEXT, b"ok\n" if healthy else b"not ready\n")
        ticket = ticket_address(request.path) if _is_read(request) else None
        if ticket is not None:
            return Response(HTTP_FOUND, (("Location", ticket), ("Cache-Control", KEPT_BY_NOBODY)))
        return lost() if _is_a_persons(request) else nothing_there(request.path)

    async def _page(self, request: Request) -> Response:
        if not _is_read(request):
            return not_allowed(request.path, "GET, HEAD")
        if request.path == "/":
            return self._public.home(request)
        return await self._browser.identifier(request)


def _is_read(request: Request) -> bool:
    return request.method in ("GET", "HEAD")


def _is_a_persons(request: Request) -> bool:
    """Whether a person waits for a page, and no program for the answer of an interface."""
    return not _is_ours(request.path) and prefers_html(request.headers.get("accept", ""))


def _told(request: Request, body: bytes) -> Response:
    """The JSON of a page that everybody may read."""
    if not _is_read(request):
        return not_allowed(request.path, "GET, HEAD")
    return Response(STATUSES[Outcome.OK].http, (("Content-Type", "application/json"),), body)


def _proves_itself(request: Request) -> bool:
    """Whether the sender is to be found out first; the session interface looks at log-ins by itself."""
    path = request.path
    if path == _SESSIONS or path.startswith(_SESSIONS + "/"):
        return request.method == "POST" and path.rstrip("/") == _SESSIONS
    return _is_ours(path) or path.startswith("/api/")


def _is_ours(path: str) -> bool:
    """Whether a path is one of our own API, where credentials are looked at."""
    return path == "/v1" or path.startswith(("/v1/", LOGS))


def _unknown_caller(request: Request, error: NodeError) -> Response:
    """The answer to credentials that are wrong; they may also not be looked at just now."""
    if _is_ours(request.path):
        return problem_of(error, request.path)
    if error.ended in CHALLENGED:
        return refused_credentials(request, error.ended)
    return render_error(request, error)
