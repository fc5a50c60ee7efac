"""The edition of one file: what is read, what is booked once, and two SIGKILLs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seedbed.testing.launch import import_file

FILE = Path(__file__).parents[1] / "nano.py"
nano = import_file(FILE)
MAIL = (
    b"From: a@b.example\nSubject: Order 59688\n\nThe pot arrived broken. Refund me 23.40, please.\n"
)


def test_category_is_the_nearest_description() -> None:
    assert nano.read_mail(MAIL) == "refund"


@pytest.mark.parametrize(
    ("text", "amount"),
    [("23.40", "23.40"), ("23,40", "23.40"), ("23", "23.00"), ("1000", "1000.00")]
    + [(text, None) for text in ("nan", "-5", "1e12", "0", "0.00", "1000.01", "1.234,50", "", "٣")],
)
def test_amount_is_parsed_or_refused(text: str, amount: str | None) -> None:
    parsed = nano.parse_amount(text)
    assert amount == (None if parsed is None else str(parsed))


def test_html_and_attachments_are_left_unread() -> None:
    mail = b'Subject: Hi\nContent-Type: text/html; charset="utf-8"\n\n<p>Text</p>\n'
    assert nano.read_text(mail) == "Subject: Hi\n\n"
    assert nano.read_text(MAIL).endswith("Refund me 23.40, please.\n")


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "x-unknown-8bit", "ascii"])
def test_mail_in_any_charset_is_read(charset: str) -> None:
    header = f"Subject: Hi\nContent-Type: text/plain; charset={charset}\n\n"
    text = nano.read_text(header.encode() + "Bestellung übergeben".encode())
    assert text.startswith("Subject: Hi\n\nBestellung ")
    assert text.endswith("bergeben")


@pytest.mark.slow
def test_refund_survives_two_kills(tmp_path: Path) -> None:
    env = {**os.environ, "NANO_DATA": str(tmp_path), "SEEDBED_MODEL": "smollm2"}
    done = subprocess.run(
        [sys.executable, str(FILE)], env=env, capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stderr
    assert "SIGKILL before the step is recorded" in done.stdout
    assert "refund: 23.40 EUR refunded" in done.stdout
    assert "called 2 times and booked 1 time" in done.stdout
