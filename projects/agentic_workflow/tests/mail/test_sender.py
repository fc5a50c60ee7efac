"""Who wrote a mail, and what proves it."""

import pytest

from agentic_workflow.mail.parse import parse_mail

PASS = "Authentication-Results: mx.shop.example; dmarc=pass header.from=mail.example"


def parse(*headers: str):
    return parse_mail("\n".join([*headers, "", "Where is my order?"]).encode(), "mx.shop.example")


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("Tom Baker <TOM@mail.example>", "tom@mail.example"),
        ("victim@mail.example <evil@attacker.example>", "evil@attacker.example"),
        ('"victim@mail.example" <evil@attacker.example>', "evil@attacker.example"),
        ("(victim@mail.example) evil@attacker.example", "evil@attacker.example"),
        (
            "=?utf-8?q?=3Cv=40mail.example=3E?= <evil@attacker.example>",
            "evil@attacker.example",
        ),
    ],
)
def test_sender_is_the_address_in_brackets(header: str, address: str) -> None:
    assert parse(f"From: {header}").sender == address


def test_several_addresses_in_from_are_reported_and_not_verified() -> None:
    for headers in (
        ["From: victim@mail.example <tom@mail.example>"],
        ["From: tom@mail.example, victim@mail.example"],
        ["From: tom@mail.example", "From: victim@mail.example"],
    ):
        mail = parse(PASS, *headers)
        assert not mail.verified
        assert len(mail.warnings) <= 1


def test_sender_is_verified_by_the_configured_server() -> None:
    sender = "From: Tom <tom@mail.example>"
    assert parse(PASS, sender).verified
    folded = PASS.replace("; ", ";\n spf=fail (no ( nested ) rule) smtp.mailfrom=x@y.example;\n\t")
    assert parse(folded, sender).verified
    dkim = "Authentication-Results: mx.shop.example 1; dkim=pass (2048 bit) header.d=mail.example"
    assert parse(dkim, sender).verified
    assert not parse_mail(f"{PASS}\n{sender}\n\nHello".encode()).verified  # none configured


@pytest.mark.parametrize(
    "results",
    [
        "mx.shop.example; dmarc=fail header.from=mail.example",
        "mx.shop.example; dmarc=pass header.from=attacker.example",
        "mx.shop.example; spf=pass smtp.mailfrom=mail.example",
        "mx.shop.example; dkim=pass header.d=mail.example; dmarc=fail header.from=mail.example",
        "mx.shop.example; dkim=pass header.d=attacker.example",
        "mx.attacker.example; dmarc=pass header.from=mail.example",
        'mx.shop.example; spf=pass smtp.mailfrom="; dmarc=pass header.from=mail.example;"@x',
        "mx.shop.example; spf=none (; dmarc=pass header.from=mail.example;)",
        'mx.shop.example; spf=none (a ")" ; dmarc=pass header.from=mail.example)',
        "",
    ],
)
def test_sender_without_proof_is_not_verified(results: str) -> None:
    assert not parse(f"Authentication-Results: {results}", "From: tom@mail.example").verified


def test_topmost_results_of_the_server_count() -> None:
    sender, fail = "From: tom@mail.example", PASS.replace("pass", "fail")
    assert not parse(fail, PASS, sender).verified
    assert parse(PASS.replace("mx.shop", "mx.other"), PASS, fail, sender).verified


def test_other_address_in_reply_to_is_a_doubt_and_not_the_sender() -> None:
    mail = parse(PASS, "From: noreply@mail.example", "Reply-To: Bob <bob@x.org>")
    assert (mail.sender, mail.verified) == ("noreply@mail.example", True)
    assert mail.looks_automatic == ("from",)
    assert mail.warnings == ("Reply-To names bob@x.org",)
