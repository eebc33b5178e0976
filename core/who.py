"""Who did something: what is stored beside every act, and what a separation of duties compares.

No field holds identity data: a name is what somebody chose to be called, at the command line or
as the holder of a token.
"""

from __future__ import annotations

import unicodedata
from enum import Enum
from typing import Any, Final, NamedTuple


class Role(Enum):
    """What somebody is here. The value is stored: never rename one. Resolving needs no role."""

    LOCAL = "local"  # a person at this machine, by the registrar's socket
    OPERATOR = "operator"
    REVIEWER = "reviewer"
    ENTERPRISE = "enterprise"  # its own party and prefixes alone
    AUDITOR = "auditor"  # reads, never writes

    __hash__ = object.__hash__  # members are singletons


class Who(NamedTuple):
    """Somebody, as far as it was proven.

    ``role``: value of Role, empty for anybody. ``name``: as given with ``--actor``, of the token's
    holder, or the Handle identity ``INDEX:HANDLE``. ``uid``: of the process at the other end of
    the socket, -1 if it came from elsewhere. ``token``: id of the bearer token, empty without.
    """

    role: str = ""
    name: str = ""
    uid: int = -1
    token: str = ""

    def __str__(self) -> str:
        """Return it for people."""
        proof = f"token {self.token}" if self.token else f"uid {self.uid}" if self.uid >= 0 else self.role
        return f"{self.name or 'anybody'} ({proof})" if proof else self.name or "anybody"

    @property
    def proof(self) -> str:
        """Return what cannot be chosen freely: the token, the uid, or else the Handle identity."""
        if self.token:
            return f"token:{self.token}"
        return f"uid:{self.uid}" if self.uid >= 0 else f"name:{self.name.casefold()}"


NODE: Final = Who("node")
"""The node by itself."""


def same_person(one: Who, other: Who, *, by_proof: bool) -> bool:
    """Whether two may be one person: the same name, or, ``by_proof``, the same uid or token."""
    if _folded(one.name) == _folded(other.name):
        return True
    return by_proof and one.proof == other.proof


def _folded(name: str) -> str:
    """Return a name without regard to case, blanks and width: "ＡＮＮＡ " is anna."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def unpack_who(packed: Any) -> Who:
    """Read the members of a stored Who. Errors: ValueError, TypeError."""
    role, name, uid, token = packed
    if not (isinstance(role, str) and isinstance(name, str) and isinstance(uid, int) and isinstance(token, str)):
        raise ValueError("no person")
    return Who(role, name, uid, token)
