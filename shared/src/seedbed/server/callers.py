"""Who sent a request: a person who signed in, the owner of an API key, or this machine's user.

caller = Caller("alice", frozenset({"hr"}))
caller.is_in(["bob", "group:hr"])    # True
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Caller:
    """The caller of a request, as its API key or the sign-in provider identifies it.

    >>> caller = Caller("alice", frozenset({"hr"}))
    >>> str(caller), caller.is_in(["group:hr"]), caller.is_in(["group:it", "bob"])
    ('alice', True, False)
    """

    name: str
    """Unique on this server. It contains none of `*`, `/` and `:`."""
    groups: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What the sign-in provider states about a person, such as `email`; empty for API keys."""
    operator: bool = False
    """Whether it may administer the server and read its metrics, see `access.Access`."""

    @property
    def display_name(self) -> str:
        """What to show people: the name, e-mail address or user name that was signed in with."""
        known = (self.claims.get(claim) for claim in ("name", "email", "preferred_username"))
        return next((str(text) for text in known if text), self.name)

    def __str__(self) -> str:
        return self.name

    def is_in(self, names: Collection[str]) -> bool:
        """Whether an access rule includes this caller.

        A rule lists callers by name, groups as `group:NAME`, and everyone as `*`.
        """
        return (
            "*" in names
            or self.name in names
            or any(f"group:{group}" in names for group in self.groups)
        )


LOCAL = Caller("local", operator=True)
"""Every caller of a server that requires neither API keys nor sign-in."""
