"""Personal data and secrets: what is found, and that ordinary text passes."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.safety.personal_data import redact
from seedbed.safety.secrets import Finding

PRIVATE = [
    ("write to Bob.O-x+tag@mail.example.co.uk.", "write to [EMAIL]."),
    ("call +49 30 1234567 or (555) 123-4567", "call [PHONE] or [PHONE]"),
    ("call 555-123-4567, 030/1234 567", "call [PHONE], [PHONE]"),
    ("pay to DE89 3704 0044 0532 0130 00 today", "pay to [IBAN] today"),
    ("card 4111 1111 1111 1111, amex 378282246310005", "card [CARD], amex [CARD]"),
    ("from 203.0.113.9 and 2001:db8::ff00:42", "from [IP] and [IP]"),
    ("key sk-proj-abcdefghijklmnop1234", "key [SECRET]"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[SECRET]"),
    ("Authorization: Bearer abc.DEF-123456789", "Authorization: [SECRET]"),
    ('"api_key": "a1b2c3d4e5f6g7h8"', '"[SECRET]"'),
    ("postgres://app:hunter2@db/x", "postgres://[SECRET]@db/x"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc/+=\n-----END RSA PRIVATE KEY-----!", "[SECRET]!"),
    (
        "sort code 12-34-56, account number: 123456",
        "sort code [ACCOUNT], account number: [ACCOUNT]",
    ),
    ("Kontonummer 532013000, BLZ 370 400 44", "Kontonummer [ACCOUNT], BLZ [ACCOUNT]"),
    ("Steuer-ID 12 345 678 901 vom 12.03.2024", "Steuer-ID [TAX] vom 12.03.2024"),
    ("n° de sécurité sociale 1 85 05 78 006 084 36", "n° de sécurité sociale [TAX]"),
    ("my social security number is 123-45-6789", "my social security number is [TAX]"),
    ("Das Kennwort lautet Sommer2024, PIN 0815", "Das Kennwort lautet [PASSWORD], PIN [PASSWORD]"),
    ("born on 3 May 1985, DOB: 1985-05-03", "born on [BIRTH_DATE], DOB: [BIRTH_DATE]"),
    ("née le 3 mai 1985; geboren am 3. Mai 1985", "née le [BIRTH_DATE]; geboren am [BIRTH_DATE]"),
    ("nacida el 3 de mayo de 1985", "nacida el [BIRTH_DATE]"),
    ("passport XDA-123456 of 12.03.2024", "passport [PASSPORT] of 12.03.2024"),
]
HARMLESS = [
    "passport photos for order 10234567; my passport was in the parcel of order 12345678",
    "ich habe nie 12345678 bestellt; order id number 10234567; 12345678A",
    "chromadb 1.5.9, openvino 2026.4.1.0, v1.2.3.4 and pip install x==1.2.3.4",
    "on 2026-11-24 at 15:20:01, 24.11.2026, 2026-11-24T15:20:01.123456+00:00",
    "sha256 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "commit 2cb60e8, uuid 550e8400-e29b-41d4-a716-446655440000",
    "listen on 127.0.0.1:8001 or 0.0.0.0; std::vector<int> x{1}; a[1:2], ::",
    "card 4111 1111 1111 1112 (wrong checksum), order 1234567890123456",
    "DE89 3704 0044 0532 0130 01 has a wrong checksum",
    "timestamps 1700000000000 and 1700000000.123456; 10,000,000 tokens; 0.0001",
    "api_key=YOUR_API_KEY token: str = None, max_tokens=1024, password = get_password_now()",
    "the decorator @app.get and user@localhost; doi 10.1145/582415.582418",
    "the account number is missing on invoice 10234567; my bank account was charged on 12.03.2024",
    "the password has 8 characters; password: str = row[1]; GPIO pin 13; reset your password today",
    "for her birthday on 12.12.2026, born in Berlin; geboren in Wien, bestellt am 03.05.2024",
    "a shelf born of 3 months of work, newborn gift of 12.12.2026, mein Geburtstag am 12.12.2026",
    "income tax 2024, tax number of order ORD-2024-10234; a passport valid until 12.03.2030",
]


@pytest.mark.parametrize(("text", "expected"), PRIVATE)
def test_redact_replaces_private_data_by_its_kind(text, expected):
    assert redact(text) == expected


@pytest.mark.parametrize("text", HARMLESS)
def test_redact_leaves_lookalikes(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("passport no. C01X00T47", "C01X00T47 is my passport number"),
        *("Reisepassnummer: C01 X00 T47", "passeport n° 12AB34567", "pasaporte XDA-123456"),
        *("carte d'identité 880692310285", "DNI 12.345.678-Z"),
    ],
)
def test_redact_replaces_numbers_of_identity_documents(text):
    masked = redact(text, ["passport"])
    assert "[PASSPORT]" in masked and not any(c.isdigit() for c in masked)


def test_findings_of_the_caller_are_replaced_too():
    text = "badge C01X00T47 of a@b.de"
    assert redact(text, more=[Finding("badge", "", 6, 15)]) == "badge [BADGE] of [EMAIL]"


def test_overlapping_findings_leave_nothing_in_clear():
    assert redact("postgres://app:hunter2@203.0.113.9/x") == "postgres://[SECRET]/x"


@given(st.text(max_size=200))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_redact_is_idempotent(text):
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize("unit", ["a", "x.y@", "://a:", "passport 1", "pin: ", "sort code 1-"])
def test_redact_takes_linear_time(unit):
    text = (unit * 200_000)[:200_000]
    started = time.thread_time()  # not slowed by other processes and threads
    redact(text)
    assert time.thread_time() - started < 15  # at most 1 s; quadratic time would be minutes
