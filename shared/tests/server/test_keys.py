"""API keys: parsing, storage as digests, and the three headers that may carry one."""

import base64

import pytest
from starlette.datastructures import Headers

from seedbed import errors
from seedbed.server.callers import Caller
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
async def test_caller_is_the_owner_of_the_key(header, value, name):
    caller = await KEYS.caller(Headers({header: value}))
    assert caller == Caller(name, operator=True)


@pytest.mark.parametrize(
    "headers",
    [
        *({}, {"x-api-key": ""}, {"x-api-key": "alice"}, {"x-api-key": "kéy"}),
        *({"authorization": value} for value in ("Bearer key-b", "Basic !!")),
    ],
)
async def test_caller_without_a_valid_key_is_unauthorized(headers):
    with pytest.raises(errors.Unauthorized, match=r"invalid API key.*Bearer KEY"):
        await KEYS.caller(Headers(headers))


async def test_key_with_groups_belongs_to_their_member_and_not_to_an_operator():
    keys = Keys.parse("ann:hr: it =key:a,ops=key-b")
    ann = await keys.caller(Headers({"x-api-key": "key:a"}))
    assert ann == Caller("ann", frozenset({"hr", "it"}))
    assert ann.is_in(["group:hr"]) and ann.is_in(["ann"]) and not ann.is_in(["hr", "group:ann"])
    assert "ann" in keys and "hr" not in keys


@pytest.mark.parametrize("name", ["local", "*", "a/b", "a\x1b[31m", ":hr", "a:", "a:*"])
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
