"""API keys: parsed from a setting, stored as hashes, compared in constant time.

    keys = Keys.parse("alice=s3cret,bob=another")
    keys.caller(request.headers)  # "alice", or Unauthorized

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


class KeySource(Protocol):
    """The API keys of a server. False while there are none: then every caller is "local"."""

    def __bool__(self) -> bool: ...

    def caller(self, headers: Headers) -> str:
        """The name of the caller that sent these headers. Raises Unauthorized."""
        ...


@dataclass(frozen=True)
class Keys:
    """A fixed set of API keys, of which only the SHA-256 digests are stored."""

    digests: Mapping[bytes, str] = field(default_factory=dict)
    """The name of the caller for each digest."""

    @classmethod
    def parse(cls, text: str) -> Keys:
        """Parse `name=key,name=key`. The ConfigError for a wrong pair shows its position only, as
        the text contains keys."""
        digests: dict[bytes, str] = {}
        pairs = filter(None, (pair.strip() for pair in text.split(",")))
        for position, pair in enumerate(pairs, 1):
            name, _, key = (part.strip() for part in pair.partition("="))
            digest = hashlib.sha256(key.encode()).digest()
            key_ok = key and key.isascii() and key.isprintable()  # in a header
            duplicate = digest in digests or name in digests.values()
            # "local" stands for callers without a key.
            name_ok = name not in ("", "local") and name.isprintable() and not set(name) & set("*/")
            if not key_ok or duplicate or not name_ok:
                raise errors.ConfigError(
                    f"SEEDBED_API_KEYS: pair {position} is not of the form name=key, repeats a "
                    "name or key, or has characters that are not allowed.",
                    hint="Use ASCII in keys, and names other than 'local' without * and /.",
                )
            digests[digest] = name
        return cls(digests)

    def __bool__(self) -> bool:
        return bool(self.digests)

    def caller(self, headers: Headers) -> str:
        """The name of the caller by the key in the headers. Raises Unauthorized.

        Digests are compared in constant time, so that timing does not reveal a part of a key.
        """
        if not self:
            return "local"
        digest = hashlib.sha256(presented_key(headers).encode(errors="replace")).digest()
        names = [
            name for stored, name in self.digests.items() if hmac.compare_digest(stored, digest)
        ]
        if not names:
            raise errors.Unauthorized(
                "Missing or invalid API key.",
                hint="Send `Authorization: Bearer KEY`; in a browser, enter any user name and the "
                "key as the password.",
            )
        return names[0]


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
