"""People sign in at an OpenID Connect provider: in a browser, through a proxy, or by a token.

    sign_in = SignIn(load(OidcSettings))
    claims = await sign_in.claims(headers)    # of the token or the session; None without either
    sign_in.add_routes(app)                   # /auth/login, …/callback, …/logout, …/me

In a browser: the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636). The
session is the claims of the id token in an encrypted cookie, so that replicas share nothing but
`SEEDBED_OIDC_SESSION_SECRET`. Other clients find the provider by RFC 9728.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import secrets
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from html import escape
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from cryptography.fernet import Fernet, InvalidToken
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from seedbed.errors import ConfigError, Forbidden, SeedbedError, Unauthorized, Unavailable
from seedbed.server.tokens import Provider
from seedbed.settings import OidcSettings

log = logging.getLogger(__name__)
LOGIN, CALLBACK, LOGOUT = "/auth/login", "/auth/callback", "/auth/logout"
RESOURCE = "/.well-known/oauth-protected-resource"
_SIGN_IN_SECONDS = 600  # that a person has at the provider
_CHUNK = 3800  # characters of a cookie: browsers keep 4,096 with its name and attributes
_TIMEOUT = 10.0  # seconds for the request that exchanges the code
_LOCAL = ("localhost", "127.0.0.1", "[::1]")


class SignIn:
    """Finds out which person sent a request, and signs people in and out in a browser."""

    def __init__(self, settings: OidcSettings) -> None:
        self.settings = settings
        self.provider = Provider(settings)
        secret = settings.session_secret.get_secret_value()
        if 0 < len(secret) < 32:
            raise ConfigError(
                "SEEDBED_OIDC_SESSION_SECRET has fewer than 32 characters.",
                hint="Create one with: python -c 'import secrets; print(secrets.token_urlsafe())'",
            )
        # A session is valid for this issuer and audience only.
        basis = "\0".join((secret or secrets.token_hex(), settings.issuer, settings.audience))
        key = hashlib.sha256(basis.encode()).digest()
        self._box = Fernet(base64.urlsafe_b64encode(key))
        # Browsers send cookies to all ports of a host, so servers with other keys use other names.
        self._cookie = f"seedbed-{hashlib.sha256(key).hexdigest()[:8]}"

    def is_open(self, scope: Scope) -> bool:
        """Whether a request needs no caller, as it is part of signing in."""
        path = scope["path"]
        ours = path in (LOGIN, CALLBACK, LOGOUT, RESOURCE) or path.startswith(RESOURCE + "/")
        return ours and scope.get("method") == "GET"

    async def claims(self, headers: Headers) -> dict[str, Any] | None:
        """The claims of the token or the session in the headers; None if there is neither.

        A token may come from a proxy, in `SEEDBED_OIDC_HEADER`, or as `Authorization: Bearer`.
        Raises Unauthorized or Unavailable as `Provider.validate` does.
        """
        token = headers.get(self.settings.header, "") if self.settings.header else ""
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if not token and scheme.lower() == "bearer" and _is_jwt(value.strip()):
            token = value.strip()
        if token:
            return await self.provider.validate(token.removeprefix("Bearer ").strip())
        if "authorization" in headers or "x-api-key" in headers:
            return None
        return self._read(cookie_parser(headers.get("cookie", "")), self._cookie).get("claims")

    def challenge(self, scope: Scope, error: SeedbedError) -> Response | str:
        """How a request without a caller is answered: by a redirect to sign in where a browser
        opens a page, else by this value of the header `WWW-Authenticate`."""
        request = Request(scope)
        path = scope.get("raw_path", b"/").decode("ascii", "replace")
        target = path + (f"?{request.url.query}" if request.url.query else "")
        opens_a_page = "text/html" in request.headers.get("accept", "") and scope["method"] == "GET"
        if opens_a_page and not self.settings.keys_url:
            return RedirectResponse(f"{LOGIN}?next={quote(target, safe='/')}", 303)
        problem = ', error="invalid_token"' if error.message.startswith("Invalid token") else ""
        where = f"{self._base(request)}{RESOURCE}{quote(path, safe='/%')}"
        return f'Bearer realm="seedbed", resource_metadata="{where}"{problem}'

    def add_routes(self, app: FastAPI) -> None:
        """Add the routes of the sign-in to an app."""

        @app.get(LOGIN, include_in_schema=False)
        async def login(request: Request, next: str = "/") -> Response:
            return await self._show_errors(self._begin(request, next))

        @app.get(CALLBACK, include_in_schema=False)
        async def callback(request: Request) -> Response:
            return await self._show_errors(self._finish(request))

        @app.get(LOGOUT, include_in_schema=False)
        async def logout(request: Request) -> Response:
            return await self._show_errors(self._sign_out(request))

        @app.get("/auth/me", include_in_schema=False)
        async def me(request: Request) -> dict[str, Any]:
            session = self._read(request.cookies, self._cookie)
            return {"name": request.state.caller.display_name, "can_sign_out": bool(session)}

        @app.get(RESOURCE, include_in_schema=False)
        @app.get(RESOURCE + "/{path:path}", include_in_schema=False)
        async def resource(request: Request, path: str = "") -> JSONResponse:
            where = f"{self._base(request)}/{path}".rstrip("/")
            return JSONResponse(
                {
                    "resource": where,
                    "authorization_servers": [self.settings.issuer],
                    "scopes_supported": ["openid"],
                    "bearer_methods_supported": ["header"],
                }
            )

    async def _begin(self, request: Request, target: str) -> Response:
        """Send the browser to the provider, and remember in a cookie what it must bring back."""
        endpoint = (await self.provider.metadata())["authorization_endpoint"]
        nonce, verifier = secrets.token_urlsafe(), secrets.token_urlsafe(48)
        async with self._client(request) as client:
            url, state = client.create_authorization_url(
                endpoint, code_verifier=verifier, nonce=nonce
            )
        response = RedirectResponse(url, 303)
        kept = {"nonce": nonce, "verifier": verifier, "next": _local_target(target)}
        self._keep(request, response, f"{self._cookie}-{state}", kept, _SIGN_IN_SECONDS)
        return response

    async def _finish(self, request: Request) -> Response:
        """Exchange the code that the provider sent for a token, and keep its claims."""
        query = request.query_params
        # 1. Only the browser that began this sign-in has its cookie (against login CSRF).
        name = f"{self._cookie}-{query.get('state', '')}"
        kept = self._read(request.cookies, name)
        if not kept:
            raise Unauthorized("This sign-in has expired, or was begun in another browser.")
        if "code" not in query:
            reason = query.get("error_description") or query.get("error", "no code")
            raise Forbidden(f"The sign-in provider refused: {reason[:200]}.")
        # 2. Exchange the code, with the secret of PKCE.
        endpoint = (await self.provider.metadata())["token_endpoint"]
        try:
            async with self._client(request) as client:
                token = await client.fetch_token(
                    endpoint, code=query["code"], code_verifier=kept["verifier"]
                )
        except OAuthError as error:
            raise Unauthorized(f"The sign-in provider refused the code: {error}.") from error
        except (httpx2.HTTPError, ValueError) as error:
            raise Unavailable(
                f"The sign-in provider {self.settings.issuer} is not available.",
                hint="Try again shortly.",
            ) from error
        # 3. Validate the id token; its nonce binds it to this sign-in.
        claims = await self.provider.validate(str(token.get("id_token")), nonce=kept["nonce"])
        # 4. Keep the claims as the session, and return to the page that was asked for.
        response = RedirectResponse(kept["next"], 303)
        lifetime = int(claims["exp"] - time.time())
        self._keep(request, response, self._cookie, {"claims": claims}, lifetime)
        self._forget(request, response, name)
        return response

    async def _sign_out(self, request: Request) -> Response:
        """End the session here and, if it offers that, at the provider."""
        if request.headers.get("sec-fetch-site") == "cross-site":
            raise Forbidden("Cross-site requests are not allowed.")
        try:
            end = (await self.provider.metadata()).get("end_session_endpoint")
        except Unavailable:
            end = None
        back = {
            "client_id": self.provider.audiences[0],
            "post_logout_redirect_uri": self._base(request) + "/",
        }
        page = _page("You are signed out.", f"<a href='{LOGIN}'>Sign in</a>", 200)
        response = RedirectResponse(f"{end}?{urlencode(back)}", 303) if end else page
        self._forget(request, response, self._cookie)
        return response

    async def _show_errors(self, answer: Any) -> Response:
        """The answer, or the error as a page: people open these routes."""
        try:
            response: Response = await answer
        except SeedbedError as error:
            log.warning("sign-in failed: %s", error)
            again = f"<a href='{LOGIN}'>Sign in again</a>"
            response = _page(str(error), again, error.status)
        response.headers["cache-control"] = "no-store"
        return response

    def _client(self, request: Request) -> AsyncOAuth2Client:
        secret = self.settings.secret.get_secret_value()
        return AsyncOAuth2Client(
            self.provider.audiences[0],
            secret or None,
            token_endpoint_auth_method=None if secret else "none",
            scope="openid profile email",
            redirect_uri=self._base(request) + CALLBACK,
            code_challenge_method="S256",
            timeout=_TIMEOUT,
        )

    def _base(self, request: Request) -> str:
        """The public URL of the server."""
        return self.settings.url.rstrip("/") or str(request.base_url).rstrip("/")

    def _prefix(self, request: Request) -> str:
        """`__Host-` where the server is reached by https: no other host can set such a cookie.

        Raises ConfigError for http from another machine, where a cookie would travel in the clear.
        """
        base = urlsplit(self._base(request))
        if base.scheme == "https":
            return "__Host-"
        if base.netloc.rpartition(":")[0] in _LOCAL or base.netloc in _LOCAL:
            return ""
        raise ConfigError(
            f"People cannot sign in at {base.geturl()}, which is not encrypted.",
            hint="Set SEEDBED_OIDC_URL to the https URL of the proxy in front of this server.",
        )

    def _read(self, cookies: Mapping[str, str], name: str) -> dict[str, Any]:
        """What `_keep` has kept under this name; empty if it has expired or is not ours."""
        for full in (f"__Host-{name}", name):
            sealed = "".join(cookies[part] for part in _parts(cookies, full))
            with suppress(InvalidToken, ValueError, zlib.error):
                kept: dict[str, Any] = json.loads(zlib.decompress(self._box.decrypt(sealed)))
                # The name is part of the content: nobody can set what this server issued under
                # another name, such as the session of an unprotected cookie.
                if kept.pop("cookie") == full and kept.pop("until") > time.time():
                    return kept
        return {}

    def _keep(
        self, request: Request, response: Response, name: str, content: Mapping[str, Any], age: int
    ) -> None:
        """Keep `content` in encrypted cookies of the browser for `age` seconds."""
        prefix = self._prefix(request)
        text = json.dumps({**content, "cookie": prefix + name, "until": time.time() + age})
        sealed = self._box.encrypt(zlib.compress(text.encode())).decode()
        self._forget(request, response, name)  # what was there may have had more parts
        for number, start in enumerate(range(0, len(sealed), _CHUNK)):
            response.set_cookie(
                _part(prefix + name, number),
                sealed[start : start + _CHUNK],
                max_age=age,
                secure=bool(prefix),
                httponly=True,
                samesite="lax",
            )

    def _forget(self, request: Request, response: Response, name: str) -> None:
        prefix = self._prefix(request)
        for part in _parts(request.cookies, prefix + name):
            response.delete_cookie(part, secure=bool(prefix), httponly=True)


def _part(name: str, number: int) -> str:
    return f"{name}.{number}" if number else name


def _parts(cookies: Mapping[str, str], name: str) -> list[str]:
    """The names of the cookies that together have the value of `name`."""
    names: list[str] = []
    while (part := _part(name, len(names))) in cookies:
        names.append(part)
    return names


def _is_jwt(value: str) -> bool:
    """Whether this is a token rather than an API key: three parts, of which the first is JSON."""
    return value.startswith("eyJ") and value.count(".") == 2


def _local_target(target: str) -> str:
    """A path of this server to return to; "/" for anything that could lead elsewhere."""
    local = target.startswith("/") and not target.startswith(("//", "/\\", "/auth/"))
    return target if local and target.isprintable() else "/"


def _page(message: str, link: str, status: int) -> Response:
    style = "font:1rem/1.6 system-ui;max-width:40rem;margin:20vh auto;padding:0 1rem"
    return HTMLResponse(
        "<!doctype html><html lang='en'><meta name='viewport' content='width=device-width'>"
        "<meta name='color-scheme' content='light dark'><title>Sign in</title>"
        f"<body style='{style}'><p>{escape(message)}</p><p>{link}</p></body></html>",
        status,
        {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )
