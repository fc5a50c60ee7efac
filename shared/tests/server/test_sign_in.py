"""Sign-in by tokens and in a browser, against a provider that is really started."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import gradio as gr
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from seedbed import errors
from seedbed.server import ui
from seedbed.server.service import CurrentCaller, caller_of, create_app
from seedbed.settings import Settings
from seedbed.testing.contract import expect_error
from seedbed.testing.launch import launch_chromium, serve_app
from seedbed.testing.provider import FakeProvider, launch_provider

RSA = [rsa.generate_private_key(65537, 2048) for _ in range(3)]
HTML = {"accept": "text/html"}


class Issuer:
    """A provider that publishes keys and counts how often they are fetched."""

    def __init__(self) -> None:
        self.keys, self.fetches, self.down = {"one": RSA[0]}, 0, False
        self.url = ""
        self.app = FastAPI()

        @self.app.get("/.well-known/openid-configuration")
        def configuration() -> dict[str, Any]:
            if self.down:
                raise RuntimeError("down")
            return {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "id_token_signing_alg_values_supported": ["RS256"],
            }

        @self.app.get("/keys")
        def keys() -> dict[str, Any]:
            self.fetches += 1
            public = {kid: key.public_key() for kid, key in self.keys.items()}
            jwks = {kid: jwt.algorithms.RSAAlgorithm.to_jwk(key) for kid, key in public.items()}
            return {"keys": [{**json.loads(text), "kid": kid} for kid, text in jwks.items()]}

    def claims(self, **other: Any) -> dict[str, Any]:
        person = {"sub": "alice", "groups": ["hr"], "iss": self.url, "aud": "app"}
        return {**person, "exp": time.time() + 600, **other}

    def token(self, kid: str = "one", key: Any = None, alg: str = "RS256", **claims: Any) -> str:
        content = {k: value for k, value in self.claims(**claims).items() if value is not None}
        return jwt.encode(content, key or self.keys[kid], alg, {"kid": kid})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    with serve_app(issuer.app) as issuer.url:
        yield issuer


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, issuer: Issuer) -> Callable[..., TestClient]:
    """Makes a client of a server with sign-in; arguments are its settings."""

    def make_one(api_keys: str = "", **oidc: str) -> TestClient:
        required = {"oidc_issuer": issuer.url, "oidc_audience": "app"}
        for name, value in (required | oidc).items():
            monkeypatch.setenv(f"SEEDBED_{name.upper()}", value)
        app = create_app("demo", version="1", settings=Settings(api_keys=api_keys))

        @app.get("/v1/who")
        def who(caller: CurrentCaller) -> dict[str, Any]:
            return {
                "name": caller.name,
                "groups": sorted(caller.groups),
                "operator": caller.operator,
            }

        return TestClient(app, base_url="http://localhost", follow_redirects=False)

    return make_one


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_token_names_the_person_and_groups(make: Any, issuer: Issuer) -> None:
    client = make("ops=key-o,carol:it=key-c", oidc_operators="bob, group:admins")
    who = lambda headers: client.get("/v1/who", headers=headers).json()  # noqa: E731
    assert who(bearer(issuer.token())) == {"name": "alice", "groups": ["hr"], "operator": False}
    assert who(bearer(issuer.token(sub="bob")))["operator"]
    assert who(bearer(issuer.token(groups=["admins"])))["operator"]
    assert who(bearer(issuer.token(groups=["operator", "ops"])))["operator"] is False
    assert who(bearer("key-o")) == {"name": "ops", "groups": [], "operator": True}
    assert who({"x-api-key": "key-c"}) == {"name": "carol", "groups": ["it"], "operator": False}
    assert client.get("/metrics", headers=bearer(issuer.token())).status_code == 403
    assert client.get("/metrics", headers=bearer(issuer.token(sub="bob"))).status_code == 200
    assert issuer.fetches == 1


def test_claims_may_be_nested_or_have_dots_in_their_name(make: Any, issuer: Issuer) -> None:
    client = make(oidc_groups="realm_access.roles", oidc_name="https://x.org/id")
    token = issuer.token(**{"realm_access": {"roles": ["a", 7]}, "https://x.org/id": "auth0|4/2"})
    who = client.get("/v1/who", headers=bearer(token)).json()
    assert (who["name"], who["groups"]) == ("auth0|4%2F2", ["a"])


@pytest.mark.parametrize("name", ["local", "ops", "", " ", "a\nb", 7, None, "x" * 300])
def test_name_that_is_not_a_persons_is_refused(make: Any, issuer: Issuer, name: Any) -> None:
    token = issuer.token(nick=name)
    response = make("ops=key-o", oidc_name="nick").get("/v1/who", headers=bearer(token))
    expect_error(response, 403, "forbidden")


def wrong_tokens(issuer: Issuer) -> dict[str, str]:
    public = (
        RSA[0]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    signed = issuer.token()
    head, body, signature = signed.split(".")
    unsigned = jwt.encode(issuer.claims(), None, "none", {"kid": "one"})
    as_secret = jwt.api_jws.PyJWS()
    as_secret._algorithms["HS256"].prepare_key = lambda key: key  # PyJWT refuses to make this
    return {
        "audience": issuer.token(aud="another"),
        "issuer": issuer.token(iss="https://example.org"),
        "expired": issuer.token(exp=time.time() - 120),
        "not yet": issuer.token(nbf=time.time() + 120),
        "no expiry": issuer.token(exp=None),
        "no subject": issuer.token(sub=None),
        "key": issuer.token(key=RSA[1]),
        "unknown key": issuer.token("two", key=RSA[1]),
        "kind of key": issuer.token(key=ec.generate_private_key(ec.SECP256R1()), alg="ES256"),
        "algorithm": issuer.token(alg="PS256"),
        "unsigned": unsigned,
        "unsigned, signature kept": unsigned + signature,
        "HMAC": as_secret.encode(
            json.dumps(issuer.claims()).encode(), public, "HS256", {"kid": "one"}
        ),
        "signature": f"{head}.{body}.{signature[:-6]}AAAAAA",
        "claims": f"{head}.{body[:-4]}AAAA.{signature}",
        "no kid": jwt.encode(issuer.claims(), RSA[1], "RS256"),
        "long": issuer.token(text="x" * 20_000),
        "nested": jwt.utils.base64url_encode(b"[" * 9000).decode() + "..",
    }


def test_wrong_token_is_unauthorized(make: Any, issuer: Issuer) -> None:
    client = make("ops=key-o")
    for reason, token in wrong_tokens(issuer).items():
        response = client.get("/v1/who", headers=bearer(token))
        assert response.status_code == 401, reason
        assert "resource_metadata=" in response.headers["www-authenticate"]
    assert client.get("/v1/who", headers=bearer(issuer.token())).status_code == 200


def test_changed_token_is_unauthorized(make: Any, issuer: Issuer) -> None:
    client, token, chance = make(), issuer.token(), random.Random(7)
    # The last character of a part has bits that mean nothing.
    ends = [match.start() - 1 for match in re.finditer(r"\.|$", token)]
    places = [place for place in range(len(token)) if place not in ends and token[place] != "."]
    for place in chance.sample(places, 200):
        letter = chance.choice([c for c in "Aa0_-.=~{" if c != token[place]])
        changed = token[:place] + letter + token[place + 1 :]
        assert client.get("/v1/who", headers=bearer(changed)).status_code == 401, changed


def test_token_without_kid_means_the_only_key(
    make: Any, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make()
    for key in RSA:  # the provider changes its key each time
        issuer.keys = {"named": key}
        token = jwt.encode(issuer.claims(), key, "RS256")
        assert client.get("/v1/who", headers=bearer(token)).status_code == 200
        monkeypatch.setattr("seedbed.server.tokens._PAUSE", 0.0)
    issuer.keys |= {"other": RSA[0]}
    assert client.get("/v1/who", headers=bearer(token)).status_code == 401


async def test_keys_are_fetched_once_for_each_rotation(make: Any, issuer: Issuer) -> None:
    client = make()
    transport = httpx.ASGITransport(client.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as caller:
        for kid, key in (("one", RSA[0]), ("two", RSA[1]), ("three", RSA[2])):
            issuer.keys = {kid: key}
            issuer.fetches = 0
            requests = [caller.get("/v1/who", headers=bearer(issuer.token(kid))) for _ in range(50)]
            assert {r.status_code for r in await asyncio.gather(*requests)} == {200}
            assert issuer.fetches == 1
        # A key that nobody has published costs one fetch, then a pause.
        strange = [issuer.token(f"x{number}", key=RSA[0]) for number in range(50)]
        refused = [caller.get("/v1/who", headers=bearer(token)) for token in strange]
        assert {r.status_code for r in await asyncio.gather(*refused)} == {401}
        assert issuer.fetches == 2
        # What was published stays valid.
        answer = await caller.get("/v1/who", headers=bearer(issuer.token("three")))
        assert answer.status_code == 200


def test_withdrawn_key_expires_and_no_request_waits(
    make: Any, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make() as client:
        token = issuer.token()
        assert client.get("/v1/who", headers=bearer(token)).status_code == 200
        issuer.keys = {"two": RSA[1]}
        monkeypatch.setattr("seedbed.server.tokens._MAX_AGE", 0.0)
        statuses = [200]
        while statuses[-1] == 200 and len(statuses) < 500:
            statuses.append(client.get("/v1/who", headers=bearer(token)).status_code)
        assert statuses[-1] == 401


def test_provider_that_is_down_is_named(make: Any, issuer: Issuer) -> None:
    issuer.down = True
    client = make("ops=key-o")
    response = client.get("/v1/who", headers=bearer(issuer.token()))
    assert issuer.url in expect_error(response, 503, "unavailable")
    page = client.get("/auth/login", headers=HTML)
    assert page.status_code == 503 and issuer.url in page.text
    assert client.get("/v1/who", headers=bearer("key-o")).status_code == 200
    assert client.get("/readyz").status_code == 200


def test_signed_in_people_go_on_while_the_provider_is_down(make: Any, issuer: Issuer) -> None:
    client = make()
    token = issuer.token()
    assert client.get("/v1/who", headers=bearer(token)).status_code == 200
    issuer.down = True
    assert client.get("/v1/who", headers=bearer(token)).status_code == 200
    assert client.get("/v1/who", headers=bearer(issuer.token("two", RSA[1]))).status_code == 503


def test_header_of_a_proxy_is_validated_too(make: Any, issuer: Issuer) -> None:
    client = make("ops=key-o", oidc_header="X-Proxy-Token")
    get = lambda **headers: client.get("/v1/who", headers=headers)  # noqa: E731
    assert get(**{"x-proxy-token": issuer.token()}).json()["name"] == "alice"
    assert get(**{"x-proxy-token": "alice"}).status_code == 401
    assert get(**{"x-proxy-token": "alice", "authorization": "Bearer key-o"}).status_code == 401
    for header in ("x-forwarded-user", "x-goog-authenticated-user-email", "remote-user"):
        assert get(**{header: "alice"}).status_code == 401
    unset = make(oidc_header="")
    assert unset.get("/v1/who", headers={"x-proxy-token": issuer.token()}).status_code == 401


def test_keys_of_a_provider_without_discovery(make: Any, issuer: Issuer) -> None:
    issuer.down = True  # it has no configuration to discover
    client = make(oidc_keys_url=f"{issuer.url}/keys", oidc_header="x-proxy-token")
    token = issuer.token()
    assert client.get("/v1/who", headers={"x-proxy-token": token}).json()["name"] == "alice"
    assert client.get("/v1/who", headers=HTML).status_code == 401, "a proxy signs people in"


def test_clients_find_the_provider(make: Any, issuer: Issuer) -> None:
    client = make()
    challenge = client.get("/v1/mcp").headers["www-authenticate"]
    url = re.search(r'resource_metadata="([^"]+)"', challenge)[1]
    assert url == "http://localhost/.well-known/oauth-protected-resource/v1/mcp"
    found = client.get(url).json()
    assert found["resource"] == "http://localhost/v1/mcp"
    assert found["authorization_servers"] == [issuer.url]
    for path in ("/auth/loginx", "/auth/login/", "/auth/me", "/.well-known/other", "/openapi.json"):
        assert client.get(path).status_code == 401
    assert client.post("/auth/login").status_code == 401


@pytest.mark.parametrize(
    ("target", "back"),
    [
        ("/chat?a=1&b=2", "/chat?a=1&b=2"),
        ("//evil.org", "/"),
        ("/\\evil.org", "/"),
        ("https://evil.org", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/auth/logout", "/"),
    ],
)
def test_page_that_was_asked_for_is_kept(make: Any, target: str, back: str) -> None:
    client = make()
    sent = client.get("/auth/login", params={"next": target})
    query = parse_qs(urlsplit(sent.headers["location"]).query)
    assert sent.status_code == 303 and query["code_challenge_method"] == ["S256"]
    assert {"nonce", "state", "code_challenge"} <= {*query}
    [name] = client.cookies.keys()
    sign_in = client.app.state.access.sign_in
    assert sign_in._read(client.cookies, name)["next"] == back
    cookie = sent.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie


def test_opened_page_leads_to_sign_in_and_other_requests_do_not(make: Any) -> None:
    client = make()
    sent = client.get("/some/page?q=a%20b", headers=HTML)
    assert (sent.status_code, sent.headers["location"]) == (
        303,
        "/auth/login?next=/some/page%3Fq%3Da%2520b",
    )
    assert client.post("/some/page", headers=HTML).status_code == 401
    assert client.get("/some/page").status_code == 401


def test_sign_in_of_another_browser_is_refused(make: Any) -> None:
    mine, other = make(), make()
    state = parse_qs(urlsplit(other.get("/auth/login").headers["location"]).query)["state"][0]
    answer = mine.get("/auth/callback", params={"code": "c", "state": state})
    assert answer.status_code == 401 and "another browser" in answer.text
    denied = other.get(
        "/auth/callback",
        params={"error": "access_denied", "error_description": "<b>No</b>", "state": state},
    )
    assert denied.status_code == 403 and "&lt;b&gt;No&lt;/b&gt;" in denied.text


def test_cookies_are_secure_and_bound_to_their_name(make: Any) -> None:
    plain = make(oidc_session_secret="s" * 32)
    remote = TestClient(plain.app, base_url="http://chat.example.org", follow_redirects=False)
    refused = remote.get("/auth/login")
    assert refused.status_code == 400 and "SEEDBED_OIDC_URL" in refused.text
    secure = make(oidc_session_secret="s" * 32, oidc_url="https://chat.example.org")
    cookie = secure.get("/auth/login").headers["set-cookie"]
    assert cookie.startswith("__Host-") and "; Secure" in cookie
    # A sibling domain could set the unprotected cookie, but not with what https issued.
    name, value = cookie.partition(";")[0].split("=", 1)
    sign_in = secure.app.state.access.sign_in
    short = name.removeprefix("__Host-")
    assert sign_in._read({name: value}, short)
    assert not sign_in._read({short: value}, short)
    assert not make(oidc_session_secret="t" * 32).app.state.access.sign_in._read(
        {name: value}, short
    )


@pytest.mark.parametrize(
    ("oidc", "named"),
    [
        ({"oidc_audience": ""}, "SEEDBED_OIDC_AUDIENCE"),
        ({"oidc_issuer": "http://login.example.org"}, "SEEDBED_OIDC_ISSUER"),
        ({"oidc_session_secret": "short"}, "SEEDBED_OIDC_SESSION_SECRET"),
        ({"oidc_url": "chat.example.org"}, "SEEDBED_OIDC_URL"),
    ],
)
def test_setting_that_cannot_work_is_a_config_error(make: Any, oidc: Any, named: str) -> None:
    with pytest.raises(errors.ConfigError, match=named):
        make(**oidc)


# ── In a browser


def page_app() -> FastAPI:
    app = create_app("page", version="1", settings=Settings(api_keys=""))

    def greet(word: str, request: gr.Request) -> str:
        caller = caller_of(request)
        if not caller.is_in(["group:hr"]):
            raise gr.Error(f"{caller} is not in hr.")
        return f"{word} from {caller}"

    with gr.Blocks(title="Page") as blocks:
        word = gr.Textbox(label="Word")
        reply = gr.Textbox(label="Reply")
        gr.Button("Send").click(greet, word, reply)
    return ui.mount(app, blocks)


@pytest.fixture
def visit() -> Iterator[Callable[[str], Any]]:
    """Opens a page in a new browser profile."""
    with launch_chromium() as browser:

        def open_page(url: str) -> Any:
            page = browser.new_context().new_page()
            page.set_default_timeout(45_000)
            page.goto(url)
            return page

        yield open_page


def signed_in_server(monkeypatch: pytest.MonkeyPatch, provider: FakeProvider) -> Any:
    assert provider.environment["SEEDBED_OIDC_SECRET"], "it refuses clients without"
    for name, value in provider.environment.items():
        monkeypatch.setenv(name, value)
    return serve_app(page_app())


def send(page: Any, text: str) -> None:
    page.get_by_label("Word").fill("Hello")
    page.get_by_role("button", name="Send").click()
    page.wait_for_function(
        "(text) => document.body.innerText.includes(text) || "
        "[...document.querySelectorAll('textarea, input')].some((e) => e.value.includes(text))",
        arg=text,
    )


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(240)
def test_person_signs_in_asks_and_signs_out(monkeypatch: pytest.MonkeyPatch, visit: Any) -> None:
    with (
        launch_provider({"alice": ["hr"], "bob": ["it"]}) as provider,
        signed_in_server(monkeypatch, provider) as url,
    ):
        url = url.replace("127.0.0.1", "localhost")
        # 1. The page that was asked for is shown after the sign-in.
        page = visit(f"{url}/?from=mail")
        provider.sign_in(page, "alice")
        page.wait_for_url(f"{url}/?from=mail")
        send(page, "Hello from alice")
        page.get_by_text("alice@example.org").wait_for()
        cookies = page.context.cookies(url)
        assert cookies and all(c["httpOnly"] and c["sameSite"] == "Lax" for c in cookies)
        # 2. A person of another group is refused.
        other = visit(url)
        provider.sign_in(other, "bob")
        send(other, "bob is not in hr.")
        # 3. After signing out, the page needs a new sign-in.
        page.get_by_role("link", name="Sign out").click()
        page.wait_for_url(f"{provider.url}/**")
        assert not page.context.cookies(url)
        page.goto(url)
        page.wait_for_url(f"{provider.url}/**")
        # 4. Deleted cookies are an expired session: the open page says so.
        other.context.clear_cookies()
        other.get_by_role("button", name="Send").click()
        other.get_by_role("link", name="Sign in again").click()
        provider.sign_in(other, "alice")
        send(other, "Hello from alice")


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(240)
def test_session_ends_with_the_token(monkeypatch: pytest.MonkeyPatch, visit: Any) -> None:
    with (
        launch_provider({"alice": ["hr"]}, seconds=4) as provider,
        signed_in_server(monkeypatch, provider) as url,
    ):
        url = url.replace("127.0.0.1", "localhost")
        page = visit(url)
        provider.sign_in(page, "alice")
        page.wait_for_url(f"{url}/")
        [cookie] = page.context.cookies(url)
        assert cookie["expires"] < time.time() + 5
        while page.context.cookies(url):
            page.wait_for_timeout(200)
        assert (
            httpx.get(f"{url}/config", cookies={cookie["name"]: cookie["value"]}).status_code == 401
        )
