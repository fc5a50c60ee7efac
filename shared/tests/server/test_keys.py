"""API keys: parsing, storage as digests, and the three headers that may carry one."""

import base64

import pytest
from starlette.datastructures import Headers

from seedbed import errors
from seedbed.server.keys import Keys

KEYS = Keys.parse("alice=key-a, bob=key=b")


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{key}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "value", "name"),
    [
        ("authorization", "Bearer key-a", "alice"),
        ("authorization", "bearer key=b", "bob"),
        ("x-api-key", "key-a", "alice"),
        ("authorization", basic("key-a"), "alice"),
    ],
)
def test_caller_is_the_name_of_the_key(header, value, name):
    assert KEYS.caller(Headers({header: value})) == name


@pytest.mark.parametrize(
    "headers",
    [
        *({}, {"x-api-key": ""}, {"x-api-key": "alice"}, {"x-api-key": "kéy"}),
        *({"authorization": value} for value in ("Bearer key-b", "Basic !!")),
    ],
)
def test_caller_without_a_valid_key_is_unauthorized(headers):
    with pytest.raises(errors.Unauthorized, match=r"invalid API key.*Bearer KEY"):
        KEYS.caller(Headers(headers))


@pytest.mark.parametrize("name", ["local", "*", "a/b", "a\x1b[31m"])
def test_parse_rejects_names_with_a_meaning_of_their_own(name):
    with pytest.raises(errors.ConfigError, match="pair 2") as caught:
        Keys.parse(f"alice=key-a,{name}=secretkey")
    assert "secretkey" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("secretkey", "=secretkey", "a=", "a=secretkey,b=secretkey", "a=secretkey,a=other"),
        *("a=secretkeyß", "a=secretkey\x7f"),
    ],
)
def test_parse_rejects_invalid_pairs_without_printing_keys(text):
    with pytest.raises(errors.ConfigError, match="name=key") as caught:
        Keys.parse(text)
    assert "secretkey" not in str(caught.value)
