"""API keys: parsed from a setting, stored as hashes, compared in constant time.

    keys = Keys.parse("alice=s3cret,bob:hr:it=another")
    await keys.caller(request.headers)  # Caller("alice"), or Unauthorized

A project with keys in a database implements `KeySource` itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from starlette.datastructures import Headers

from seedbed import errors
from seedbed.server.callers import LOCAL, Caller


class KeySource(Protocol):
    """The API keys of a server. False while there are none: then every caller is `LOCAL`."""

    def __bool__(self) -> bool: ...

    def __contains__(self, name: object) -> bool:
        """Whether a key has this caller's name. People who sign in never get the name of a key."""
        ...

    async def caller(self, headers: Headers) -> Caller:
        """The caller that sent these headers. Raises Unauthorized."""
        ...


@dataclass(frozen=True)
class Keys:
    """A fixed set of API keys, of which only the SHA-256 digests are stored."""

    callers: Mapping[bytes, Caller] = field(default_factory=dict)
    """The caller of each digest."""

    @classmethod
    def parse(cls, text: str) -> Keys:
        """Parse `name=key,name:group:group=key`.

        A key without groups is an operator's; one with groups may do what its groups may do. The
        ConfigError for a wrong pair shows its position only, as the text contains keys.
        """
        callers: dict[bytes, Caller] = {}
        pairs = filter(None, (pair.strip() for pair in text.split(",")))
        for position, pair in enumerate(pairs, 1):
            who, _, key = (part.strip() for part in pair.partition("="))
            name, *groups = (part.strip() for part in who.split(":"))
            digest = hashlib.sha256(key.encode()).digest()
            key_ok = key and key.isascii() and key.isprintable()  # in a header
            duplicate = digest in callers or name in map(str, callers.values())
            # "local" stands for callers without a key.
            name_ok = name != LOCAL.name and who.isprintable() and not set(who) & set("*/")
            if not key_ok or duplicate or not (name_ok and all([name, *groups])):
                raise errors.ConfigError(
                    f"SEEDBED_API_KEYS: pair {position} is not of the form name=key or "
                    "name:group=key, repeats a name or key, or has characters that are not "
                    "allowed.",
                    hint="Use ASCII in keys, and names other than 'local' without * and /.",
                )
            callers[digest] = Caller(name, frozenset(groups), operator=not groups)
        return cls(callers)

    def __bool__(self) -> bool:
        return bool(self.callers)

    def __contains__(self, name: object) -> bool:
        return any(caller.name == name for caller in self.callers.values())

    async def caller(self, headers: Headers) -> Caller:
        """The caller by the key in the headers. Raises Unauthorized.

        Digests are compared in constant time, so that timing does not reveal a part of a key.
        """
        if not self:
            return LOCAL
        digest = hashlib.sha256(presented_key(headers).encode(errors="replace")).digest()
        callers = [
            caller for stored, caller in self.callers.items() if hmac.compare_digest(stored, digest)
        ]
        if not callers:
            raise errors.Unauthorized(
                "Missing or invalid API key.",
                hint="Send `Authorization: Bearer KEY`; in a browser, enter any user name and the "
                "key as the password.",
            )
        return callers[0]


def presented_key(headers: Headers) -> str:
    """The API key in the headers; "" if there is none.

    It may be the token of `Authorization: Bearer`, the password of `Authorization: Basic` (what a
    browser sends), or the value of `x-api-key` (Anthropic's clients).
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return headers.get("x-api-key", "")
