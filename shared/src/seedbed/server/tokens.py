"""Validates the tokens of an OpenID Connect provider: JWTs, against the provider's published keys.

    provider = Provider(load(OidcSettings))
    claims = await provider.validate(token)    # {"sub": "…", …}; Unauthorized, or Unavailable

Standards: OpenID Connect Core and Discovery 1.0, RFC 7519 (JWT), RFC 8725 (its best practices).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
import jwt

from seedbed.errors import ConfigError, Unauthorized, Unavailable
from seedbed.settings import OidcSettings

log = logging.getLogger(__name__)
# Signatures that need the provider's private key: no HMAC (a public key would be the secret).
_ALGORITHMS = {f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)}
_ALGORITHMS |= {"EdDSA"}
_LEEWAY = 60  # seconds that the clocks of provider and server may differ
_TIMEOUT = 5.0  # seconds for one request to the provider
_PAUSE = 10.0  # seconds until the provider is asked again after a request that brought nothing
_MAX_AGE = 3600.0  # seconds until the keys are read again, so that a withdrawn one expires
_MAX_DOCUMENT = 1_000_000  # bytes
_MAX_TOKEN = 16_384  # characters


class Provider:
    """A sign-in provider: its endpoints and its keys, fetched when they are first needed.

    Raises ConfigError for settings that cannot work.
    """

    def __init__(self, settings: OidcSettings) -> None:
        self.settings = settings
        self.issuer = settings.issuer
        self.audiences = [name.strip() for name in settings.audience.split(",") if name.strip()]
        for name in ("issuer", "url", "keys_url"):
            if (url := getattr(settings, name)) and not _is_safe(url):
                raise ConfigError(
                    f"SEEDBED_OIDC_{name.upper()}={url!r} is not an https URL.",
                    hint="http is allowed for localhost only.",
                )
        if not self.audiences:
            raise ConfigError(
                "SEEDBED_OIDC_AUDIENCE is not set.",
                hint="Set it to the client id of this application at the provider.",
            )
        self._metadata: Mapping[str, Any] = {}
        self._keys: dict[str, jwt.PyJWK] = {}  # by `kid`
        self._fetching = asyncio.Lock()
        self._fetched = -_MAX_AGE  # of `time.monotonic`, as the next
        self._paused_until = 0.0
        self._failure = ""  # of the last request; "" if it succeeded
        self._renewal: asyncio.Task[None] | None = None

    async def validate(self, token: str, *, nonce: str | None = None) -> dict[str, Any]:
        """The claims of a token.

        Raises Unauthorized for one that is not valid here, and Unavailable while the key that it
        names cannot be fetched.
        """
        try:
            # 1. Find the key that the token names.
            if len(token) > _MAX_TOKEN:
                raise jwt.InvalidTokenError("too long")
            header = jwt.get_unverified_header(token)
            algorithm = str(header.get("alg"))
            if algorithm not in _ALGORITHMS:
                raise jwt.InvalidAlgorithmError(f"algorithm {algorithm[:20]!r} is not accepted")
            key = await self._key(header.get("kid"))
            # 2. Verify the signature, by an algorithm that the provider lists and the key fits.
            allowed = self._metadata.get("id_token_signing_alg_values_supported", [algorithm])
            if algorithm not in allowed or key.algorithm_name != algorithm:
                raise jwt.InvalidAlgorithmError(f"algorithm {algorithm!r} is not the provider's")
            # 3. Verify issuer, audience and times.
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.audiences,
                issuer=self.issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            if nonce is not None and claims.get("nonce") != nonce:
                raise jwt.InvalidTokenError("it belongs to another sign-in")
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            reason = " ".join(str(error).split())[:100].rstrip(".")
            raise Unauthorized(f"Invalid token: {reason}.", hint="Sign in again.") from None
        return claims

    async def metadata(self) -> Mapping[str, Any]:
        """The provider's endpoints, by discovery. Raises Unavailable."""
        await self._fetch(lambda: bool(self._metadata))
        if not self._metadata:
            raise self._unavailable()
        return self._metadata

    async def _key(self, kid: str | None) -> jwt.PyJWK:
        """The key that a token names, or the provider's only key for one that names none."""
        if kid is None:  # nothing tells whether the provider has changed its key
            await self._fetch(lambda: time.monotonic() < self._fetched + _PAUSE)
            kid = next(iter(self._keys), "") if len(self._keys) == 1 else ""
        # An unknown key: the first token, or the provider has changed its keys.
        await self._fetch(lambda: kid in self._keys)
        if key := self._keys.get(kid):
            if time.monotonic() > self._fetched + _MAX_AGE and (
                self._renewal is None or self._renewal.done()
            ):
                started = self._fetched  # no request waits for a renewal
                self._renewal = asyncio.create_task(self._fetch(lambda: self._fetched > started))
            return key
        if self._failure:
            raise self._unavailable()
        raise jwt.InvalidKeyError("its key is not one of the provider's")

    async def _fetch(self, complete: Callable[[], bool]) -> None:
        """Fetch endpoints and keys unless that is `complete`, for all concurrent calls at once."""
        if complete():
            return
        async with self._fetching:
            if complete() or time.monotonic() < self._paused_until:
                return
            try:
                async with httpx2.AsyncClient(timeout=_TIMEOUT) as client:
                    keys_url = self.settings.keys_url
                    if not keys_url:
                        self._metadata = await self._discover(client)
                        keys_url = self._metadata["jwks_uri"]
                    self._keys = _read_keys(await _get(client, keys_url))
                self._fetched, self._failure = time.monotonic(), ""
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
                self._failure = f"{type(error).__name__}: {error}"
                log.warning("sign-in provider %s: %s", self.issuer, self._failure)
            if not complete():
                self._paused_until = time.monotonic() + _PAUSE

    async def _discover(self, client: httpx2.AsyncClient) -> Mapping[str, Any]:
        url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        document = await _get(client, url)
        if document.get("issuer") != self.issuer:
            raise ValueError(f"{url} belongs to the issuer {document.get('issuer')!r}")
        for name in ("jwks_uri", "authorization_endpoint", "token_endpoint"):
            if not _is_safe(document[name]):
                raise ValueError(f"{name} is not an https URL")
        return document

    def _unavailable(self) -> Unavailable:
        return Unavailable(
            f"The sign-in provider {self.issuer} is not available.", hint="Try again shortly."
        )


def _is_safe(url: str) -> bool:
    """Whether a URL is encrypted, or on this machine."""
    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and local))


async def _get(client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    """The JSON object at a URL. Raises httpx2.HTTPError or ValueError."""
    body = b""
    async with client.stream("GET", url, follow_redirects=False) as response:
        response.raise_for_status()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _MAX_DOCUMENT:
                raise ValueError(f"{url} has over {_MAX_DOCUMENT:,} bytes")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError(f"{url} is not a JSON object")
    return document


def _read_keys(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """The usable signing keys of a JWKS document by their `kid`."""
    keys = {}
    for entry in document["keys"]:
        try:
            key = jwt.PyJWK(entry)
        except jwt.PyJWTError:
            continue  # a kind of key that is not supported
        if entry.get("use", "sig") == "sig" and key.algorithm_name in _ALGORITHMS:
            keys[str(entry.get("kid"))] = key
    return keys
