"""API keys of a server: read, kept as hashes, compared in constant time. It knows no route."""

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
    """Who may call a server; false while it has no key, so that everyone is `"local"`."""

    def __bool__(self) -> bool: ...

    def caller(self, headers: Headers) -> str:
        """Who sends these headers; Unauthorized for nobody known."""
        ...


@dataclass(frozen=True)
class Keys:
    """API keys, kept as sha256 only: `{digest: name}`. Empty: everyone is `"local"`."""

    digests: Mapping[bytes, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Keys:
        """Read `name=key,name=key`. ConfigError names the pair, never the key."""
        digests: dict[bytes, str] = {}
        for n, pair in enumerate(filter(None, (p.strip() for p in text.split(","))), 1):
            name, _, key = (part.strip() for part in pair.partition("="))
            digest = hashlib.sha256(key.encode()).digest()
            if not name or not key or digest in digests or name in digests.values():
                raise errors.ConfigError(
                    f"SEEDBED_API_KEYS: pair {n} is no `name=key`, or was there before.",
                    hint="Write name=key,name=key with names and keys that differ.",
                )
            digests[digest] = name
        return cls(digests)

    def __bool__(self) -> bool:
        return bool(self.digests)

    def caller(self, headers: Headers) -> str:
        """The name of the key in the headers, compared in constant time; Unauthorized without."""
        if not self:
            return "local"
        digest = hashlib.sha256(presented(headers).encode(errors="replace")).digest()
        names = [name for known, name in self.digests.items() if hmac.compare_digest(known, digest)]
        if not names:
            raise errors.Unauthorized(
                "No API key, or not a known one.",
                hint="Send `Authorization: Bearer KEY`; in a browser, any name and the key as "
                "password.",
            )
        return names[0]


def presented(headers: Headers) -> str:
    """The key in the headers, "" if there is none: Bearer, Basic (as the password), x-api-key."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return headers.get("x-api-key", "")
