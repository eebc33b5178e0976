"""Who asks over HTTP: the identity that a request proves, if it offers one.

Only HTTP Basic is offered yet. Credentials on a channel where they are not safe
are not looked at, as in the reference server: what needs them is then refused.
"""

from __future__ import annotations

from core.admission import Identity, Load
from core.authentication import parse_basic, proves
from core.errors import AdmissionError, Outcome
from core.wire.http import Request


def caller(request: Request, load: Load) -> Identity | None:
    """Return the proven identity, None for an anonymous request.

    Errors: AdmissionError(AUTHENTICATION_FAILED) for credentials that are wrong.
    """
    header = request.headers.get("authorization")
    if header is None or not request.credentials_safe:
        return None
    credentials = parse_basic(header)
    if credentials is None or not proves(credentials, load):
        raise AdmissionError("Identity not verified", outcome=Outcome.AUTHENTICATION_FAILED)
    return credentials.identity
