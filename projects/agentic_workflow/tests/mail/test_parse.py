"""Mails as they arrive: broken MIME, wrong charsets, missing headers, robots, large ones."""

import base64
import time
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_workflow.mail.parse import MAX_BYTES, parse_mail
from seedbed.errors import TooLarge

MAIL = b"""Message-ID: <1@mail.example>
From: =?utf-8?q?J=C3=BCrgen_Beispiel?= <Juergen@Example.org>
Date: Mon, 6 May 2024 10:11:12 +0200
Subject: =?iso-8859-1?q?Bestellung_10234=3A_zur=FCck?=
In-Reply-To: <0@shop.example>
References: <a@shop.example> <0@shop.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=XX

--XX
Content-Type: multipart/alternative; boundary=YY

--YY
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Bitte erstatten Sie mir die Lampe, sie kam zerbrochen an. Gr=FC=DFe
--YY
Content-Type: text/html

<p>ignored</p>
--YY--
--XX
Content-Type: image/jpeg; name="=?utf-8?q?T=C3=BCr.jpg?="
Content-Disposition: attachment
Content-Transfer-Encoding: base64

/9j/4AAQ
--XX--
"""


def test_mail_is_parsed_into_its_fields():
    mail = parse_mail(MAIL)
    assert mail.message_id == "1@mail.example"
    assert (mail.sender, mail.sender_name) == ("juergen@example.org", "Jürgen Beispiel")
    assert mail.subject == "Bestellung 10234: zurück"
    assert mail.text == "Bitte erstatten Sie mir die Lampe, sie kam zerbrochen an. Grüße"
    assert mail.sent_at == datetime(2024, 5, 6, 8, 11, 12, tzinfo=UTC)
    assert mail.in_reply_to == ("0@shop.example", "a@shop.example")
    assert mail.attachments == ("Tür.jpg",) and mail.language == "de"
    assert not mail.automatic and mail.warnings == ()


def multipart(*parts: str) -> bytes:
    head = "Subject: x\nContent-Type: multipart/mixed; boundary=REAL\n\n"
    return (head + "".join(f"--REAL\n{part}\n" for part in parts) + "--REAL--\n").encode()


TEXT = "Content-Type: text/plain; charset=utf-8\n\nWhere is it?"
BASE64 = base64.b64encode(b"Where is it?").decode()
BROKEN = {
    "unknown charset": TEXT.replace("utf-8", "x-unknown").encode(),
    "unknown encoding": f"Content-Transfer-Encoding: rot13\n{TEXT}".encode(),
    "base64 with garbage": (
        f"Content-Transfer-Encoding: base64\n\n{BASE64[:8]}!*%\n{BASE64[8:]}".encode()
    ),
    "NUL bytes": b"Subject: x\0y\n\nWhere\0 is it?",
    "broken headers": b"From: <<<@@>>\nDate: yesterday\nMessage-ID: <[x\nTo: (((\n\nWhere is it?",
    "long header": b"Subject: " + b"=?utf-8?q?a?= " * 50_000 + b"\n\nWhere is it?",
    "nested": b"".join(
        b"Content-Type: multipart/mixed; boundary=B%d\n\n--B%d\n" % (n, n) for n in range(300)
    )
    + TEXT.encode(),
    "HTML with empty text": multipart(
        "Content-Type: text/plain\n\n \n", "Content-Type: text/html\n\n<p>Where is it?</p>"
    ),
    "invisible characters": "Subject: x\n\nWh\u200bere\u2060 is\ufeff\u00ad it?".encode(),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_broken_mail_is_parsed_as_far_as_possible(data):
    mail = parse_mail(data)
    assert mail.text.endswith("Where is it?"), mail


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"Content-Type: text/plain; charset=utf-8\n\nzur\xfcck", "zurück"),
        (b"Content-Type: text/plain; charset=iso-8859-1\n\nzur\xc3\xbcck", "zurück"),
        (b"Content-Type: text/plain; charset=utf-16\n\n" + "zurück".encode("utf-16"), "zurück"),
        (b"Subject: x\n\n\x80 zur\xfcck", "€ zurück"),
    ],
)
def test_text_with_a_wrong_charset_is_readable(data, text):
    assert parse_mail(data).text == text


@given(st.binary(max_size=400), st.integers(0, len(MAIL)), st.integers(0, 60))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_damage_raises(noise, place, length):
    parse_mail(noise)
    assert parse_mail(MAIL[:place] + noise + MAIL[place + length :]).message_id


def test_other_photo_or_other_thread_is_other_content():
    def mail(name: str, content: bytes, parent: str = "1@shop.example") -> str:
        message = EmailMessage()
        message["From"], message["Subject"] = "a@b.de", "Re: Your message"
        message["In-Reply-To"] = f"<{parent}>"
        message.set_content("Yes please.")
        message.add_attachment(content, maintype="image", subtype="png", filename=name)
        return parse_mail(message.as_bytes()).content_hash

    first, again = mail("photo.png", b"front"), mail("photo.png", b"front")
    others = {
        mail("photo.png", b"back!"),
        mail("two.png", b"front"),
        mail("photo.png", b"front", "2@x"),
    }
    assert first == again and first not in others and len(others) == 3


def test_mail_above_25_mb_is_refused():
    with pytest.raises(TooLarge, match="limit is 26,214,400"):
        parse_mail(b"a" * (MAX_BYTES + 1))


AUTOMATIC = [
    "Auto-Submitted: auto-replied",
    "Return-Path: <>",
    "Content-Type: multipart/report; report-type=delivery-status; boundary=x",
]
LOOKS_AUTOMATIC = [
    "Precedence: bulk",
    "List-Id: <news.example>",
    "X-Auto-Response-Suppress: All",
    "From: MAILER-DAEMON@mx.example",
    "Subject: Automatic reply: Order 10234",
    "Subject: Re: Re: AW: Re: Re: Re: Hello",
]


@pytest.mark.parametrize("header", AUTOMATIC)
def test_mail_of_a_program_is_recognized_by_evidence(header):
    assert parse_mail(f"{header}\n\nHello".encode()).automatic


@pytest.mark.parametrize("header", LOOKS_AUTOMATIC)
def test_what_people_and_lists_send_too_is_a_sign_and_no_evidence(header):
    mail = parse_mail(f"{header}\n\nHello".encode())
    assert mail.looks_automatic == (header.partition(":")[0].lower(),) and not mail.automatic


@pytest.mark.parametrize(
    "header", ["Auto-Submitted: no", "Subject: I am back in the office, where is my order?"]
)
def test_mail_of_a_person_has_no_sign(header):
    mail = parse_mail(f"{header}\n\nHello".encode())
    assert not mail.automatic and not mail.looks_automatic


@pytest.mark.parametrize(
    ("text", "spoken", "language"),
    [
        ("I want my money back, the lamp arrived broken.", "en", "en"),
        ("La lampe est arrivée cassée, je veux être remboursé.", "fr", "fr"),
        ("La lámpara llegó rota, quiero que me devuelvan el dinero.", "es", "es"),
        ("Ordine 59807 mai arrivato. Potete dirmi dove si trova il pacco?", "it", "en"),
        ("10234", "", "en"),
    ],
)
def test_language_is_detected_and_replies_are_in_one_of_four(text, spoken, language):
    mail = parse_mail(f"From: a@b.de\n\n{text}".encode())
    assert (mail.spoken, mail.language) == (spoken, language)


SIZE = 24 * 1024**2
HOSTILE = {
    "one line": b"\n" + b"a" * SIZE,
    "parts": b'Content-Type: multipart/mixed; boundary="x"\n\n' + b"--x\n\n\n" * 400_000,
    "headers": b"A: b\n" * (SIZE // 5) + b"\nHello",
    "lines": b"\n" + b"a\n" * (SIZE // 2),
    "digits": b"\n" + b"4111 " * (SIZE // 5),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_large_mail_takes_bounded_time(kind):
    parse_mail(b"From: a@b.de\n\nWhere is my order?")  # loads what is loaded once
    start = time.process_time()
    mail = parse_mail(b"From: a@b.de\n" + HOSTILE[kind])
    assert time.process_time() - start < 10  # 2 to 5 s; 29 s and more before
    assert mail.warnings
