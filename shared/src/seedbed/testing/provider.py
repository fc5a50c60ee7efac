"""An OpenID Connect provider for tests, at which people sign in by one click.

with launch_provider({"alice": ["hr"], "bob": []}) as provider:
    environment = {**os.environ, **provider.environment}
    headers = {"authorization": f"Bearer {provider.token('alice')}"}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class FakeProvider:
    """A running provider; it knows everybody, and the groups of some."""

    AUDIENCE: ClassVar = "seedbed"
    url: str

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a server at which these people sign in."""
        return {
            "SEEDBED_OIDC_ISSUER": self.url,
            "SEEDBED_OIDC_AUDIENCE": self.AUDIENCE,
            "SEEDBED_OIDC_SECRET": "any",
        }

    def token(self, person: str, audience: str = AUDIENCE) -> str:
        """An id token of a person, as a program gets it."""
        import httpx2

        back = "http://localhost/back"
        query = {
            "client_id": audience,
            "redirect_uri": back,
            "response_type": "code",
            "scope": "openid email",
        }
        with httpx2.Client(base_url=self.url, trust_env=False) as client:
            reply = client.post("/oauth2/authorize", params=query, data={"sub": person})
            code = parse_qs(urlsplit(reply.headers["location"]).query)["code"][0]
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back}
            token = client.post("/oauth2/token", data=form, auth=(audience, "any"))
            return str(token.raise_for_status().json()["id_token"])

    def sign_in(self, page: Any, person: str) -> None:
        """Sign a person in on a page of Playwright that was sent to this provider."""
        page.wait_for_url(f"{self.url}/**")
        page.locator("input[name=sub]").fill(person)
        page.get_by_role("button", name="Authorize").click()


@contextmanager
def launch_provider(
    groups: Mapping[str, Sequence[str]], seconds: float = 3600
) -> Iterator[FakeProvider]:
    """A provider whose tokens are valid for `seconds`; `groups` are those of each person.

    Skips the test if oidc-provider-mock is not installed.
    """
    import pytest

    mock = pytest.importorskip("oidc_provider_mock")
    people = [
        mock.User(sub=name, claims={"groups": list(of), "email": f"{name}@example.org"})
        for name, of in groups.items()
    ]
    lifetime = timedelta(seconds=seconds)
    with mock.run_server_in_thread(user_claims=people, access_token_max_age=lifetime) as server:
        yield FakeProvider(f"http://localhost:{server.server_port}")
