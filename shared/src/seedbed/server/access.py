"""Decides who a caller is, and what an operator, a member of a group and a stranger may do.

    access = Access(Keys.parse("alice=s3cret"))
    caller = await access.authenticate(headers)    # Unauthorized without a valid key

An operator may read the metrics and administer the server. Whether a caller may use a collection, a
tool or a run is the project's to decide, by `Caller.is_in`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.datastructures import Headers

from seedbed.errors import Forbidden, Unauthorized
from seedbed.observe.logs_and_traces import Requester
from seedbed.server.callers import LOCAL, Caller
from seedbed.server.keys import KeySource, presented_key
from seedbed.server.limits import Limits

if TYPE_CHECKING:
    from seedbed.server.sign_in import SignIn

_MAX_NAME = 200  # characters


@dataclass
class Access:
    """Which callers a server admits."""

    keys: KeySource
    sign_in: SignIn | None = None
    local_only: bool = False  # while anyone is admitted: to localhost only, by the `Host` header
    origins: Sequence[str] = ()  # web sites whose pages may send requests; `*` for all
    limits: Limits | None = None
    log_plain: bool = False  # whether logs and traces have the names of callers and groups

    @property
    def admits_anyone(self) -> bool:
        """Whether neither a key nor sign-in is required: then every caller is `LOCAL`."""
        return not self.keys and self.sign_in is None

    def requester(self, caller: Caller) -> Requester:
        """The caller as logs and traces name it; `LOCAL` and no others have no name to hide."""
        add = partial(self.limits.add_tokens, caller.name) if self.limits else None
        if self.log_plain or caller is LOCAL:
            return Requester(caller.name, tuple(sorted(caller.groups)), False, add)
        groups = tuple(sorted(map(_hash, caller.groups)))
        return Requester(_hash(caller.name), groups, True, add)

    async def authenticate(self, headers: Headers) -> Caller:
        """The caller that sent these headers. Raises Unauthorized, Forbidden or Unavailable."""
        if self.sign_in is None:
            return await self.keys.caller(headers)
        claims = await self.sign_in.claims(headers)
        if claims is not None:
            return self._person(claims, self.sign_in)
        if self.keys and presented_key(headers):
            return await self.keys.caller(headers)
        hint = "Sign in, or send `Authorization: Bearer` with a token or an API key."
        raise Unauthorized("You are not signed in.", hint=hint)

    def _person(self, claims: Mapping[str, Any], sign_in: SignIn) -> Caller:
        """The caller with these claims. Raises Forbidden if they name nobody."""
        settings = sign_in.settings
        # 1. The name, in the characters that names may have.
        text = _claim(claims, settings.name)
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            raise Forbidden(f"The token has no claim {settings.name!r} with a name.")
        if settings.name == "email" and claims.get("email_verified") is False:
            raise Forbidden("The sign-in provider has not verified this e-mail address.")
        name = "".join(quote(c, safe="") if c in "%*/:," else c for c in text.strip())
        # 2. A person is never taken for the owner of a key, nor for a caller without one.
        if len(name) > _MAX_NAME or name == LOCAL.name or name in self.keys:
            raise Forbidden(f"The name {name[:_MAX_NAME]!r} is not allowed for a person.")
        # 3. The groups. A provider may leave out a list that is too long for its tokens.
        listed = _claim(claims, settings.groups)
        groups = [listed] if isinstance(listed, str) else listed if isinstance(listed, list) else []
        caller = Caller(name, frozenset(g for g in groups if isinstance(g, str)), claims)
        # 4. What the person may do beyond the rules of a project.
        operators = [entry.strip() for entry in settings.operators.split(",")]
        return replace(caller, operator=caller.is_in(operators))


@lru_cache(10_000)
def _hash(name: str) -> str:
    """The first 48 bits of the SHA-256 digest: enough to find a caller's lines again."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """The claim with this name, which may contain dots, or at this path."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def require_operator(caller: Caller, action: str) -> None:
    """Raise Forbidden unless the caller is an operator; `action` completes "This caller cannot …".

    Operators are the callers with an API key that names no groups, the people that
    `SEEDBED_OIDC_OPERATORS` names, and everyone on a server that requires neither.
    """
    if not caller.operator:
        raise Forbidden(f"This caller cannot {action}.", hint="Ask an operator of this server.")
