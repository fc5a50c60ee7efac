"""New text and quoted thread, as mail programs in four languages write them."""

import time

import pytest

from agentic_workflow.mail.reply import split_reply

THREADS = [  # below the new text
    "On Mon, 3 May 2024 at 10:11, Shop Help Desk\n<help@shop.example> wrote:\n\n> Hello\n> Bye",
    "On Mon, 3 May 2024 at 10:11, Shop <a@b.de> wrote:\n\nHello\nBye",
    "Am 03.05.2024 um 10:11 schrieb Shop <a@b.de>:\n> Hallo",
    "Shop schrieb am 03.05.2024 um 10:11:\n> Hallo",
    "Le lun. 3 mai 2024 à 10:11, Shop Help Desk <help@shop.example>\na écrit :\n\n> Bonjour",
    "El lun, 3 may 2024 a las 10:11, Shop (<a@b.de>) escribió:\n> Hola",
    "-----Original Message-----\nFrom: Shop\nSent: Monday\nTo: Bob\nSubject: x\n\nHello",
    "____________\nVon: Shop <a@b.de>\nGesendet: 3. Mai 2024\nAn: Bob\nBetreff: AW: x\n\nHallo",
    "De : Shop <a@b.de>\nEnvoyé : lundi 3 mai 2024\nÀ : Bob\nObjet : RE: x\n\nBonjour",
    "-- \nBob Miller\nTel 12345",
    "Mit freundlichen Grüßen\nErika Muster",
    "Sent from my iPhone",
]
NEW = [  # all of it is new
    "On Monday your colleague wrote:\nyou will get 50 EUR.\nI never got it.",
    "Neue Nachricht\n\nVon: anna@x.de\nBetreff: Retoure\n\nIch will mein Geld zurück.",
    "Hello\n\nKind regards\nBob\n" + "I will take legal action against you. " * 3 + "Bye",
]


@pytest.mark.parametrize("thread", THREADS)
def test_thread_and_signature_are_not_new(thread):
    text = f"Please refund it.\n\n{thread}"
    new, quoted = split_reply(text)
    assert new == "Please refund it."
    assert all(line in text for line in quoted.splitlines())


@pytest.mark.parametrize("text", NEW)
def test_what_only_looks_like_a_thread_is_new(text):
    assert split_reply(text) == (text, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{THREADS[2]}\n> Order?\n\n10234\n\n> Reason?\n\nBroken.", "10234\n\nBroken."),
        ("> We shipped it\n\nNo, I never got it.", "No, I never got it."),
        ("---------- Forwarded message ---------\nFrom: Shop <a@b.de>\n\nHello", ""),
        ("Please.\n\nBest regards\nBob\nPS: I will sue you.", "Please.\n\nPS: I will sue you."),
    ],
)
def test_answers_between_quotes_and_below_a_name_are_new(text, expected):
    assert split_reply(text)[0] == expected


@pytest.mark.parametrize(
    "unit", ["a\n", "--\n", "> a\nb:\n", "On 3 May wrote:\n", "Regards\n", "\n"]
)
def test_reply_of_many_lines_takes_linear_time(unit):
    started = time.thread_time()
    split_reply((unit * 30_000)[:30_000])
    assert time.thread_time() - started < 10  # quadratic time would be minutes
