"""Decides who a caller is, and what an operator, a member of a group and a stranger may do.

    access = Access(Keys.parse("alice=s3cret"))
    caller = await access.authenticate(headers)    # Unauthorized without a valid key

An operator may read the metrics and administer the server. Whether a caller may use a collection, a
tool or a run is the project's to decide, by `Caller.is_in`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers

from seedbed.errors import Forbidden
from seedbed.server.callers import Caller
from seedbed.server.keys import KeySource


@dataclass
class Access:
    """Which callers a server admits."""

    keys: KeySource  # while there are none, no key is required
    local_only: bool = False  # without keys: requests to localhost only, by the `Host` header
    origins: Sequence[str] = ()  # web sites whose pages may send requests; `*` for all

    async def authenticate(self, headers: Headers) -> Caller:
        """The caller that sent these headers. Raises Unauthorized."""
        return await self.keys.caller(headers)


def require_operator(caller: Caller, action: str) -> None:
    """Raise Forbidden unless the caller is an operator; `action` completes "This caller cannot …".

    Operators are the callers with an API key that names no groups, and everyone on a server that
    requires neither keys nor sign-in.
    """
    if not caller.operator:
        raise Forbidden(f"This caller cannot {action}.", hint="Ask an operator of this server.")
