"""New text and quoted thread, as mail programs in four languages write them."""

import time

import pytest

from agentic_workflow.mail.reply import split_reply

REPLIES = [
    (
        "en_gmail",
        "Please refund it.\n\nOn Mon, 3 May 2024 at 10:11, Shop <a@b.de> wrote:\n> Hello\n> Bye",
        "Please refund it.",
    ),
    (
        "en_wrapped",
        "Please refund it.\n\nOn Mon, 3 May 2024 at 10:11, Shop Help Desk\n"
        "<help@shop.example> wrote:\n\n> Hello\n> Bye",
        "Please refund it.",
    ),
    (
        "en_noangle",
        "Please refund it.\n\nOn Mon, 3 May 2024 at 10:11, Shop <a@b.de> wrote:\n\nHello\nBye",
        "Please refund it.",
    ),
    (
        "de_am",
        "Bitte erstatten.\n\nAm 03.05.2024 um 10:11 schrieb Shop <a@b.de>:\n> Hallo",
        "Bitte erstatten.",
    ),
    (
        "de_schriebam",
        "Bitte erstatten.\n\nShop schrieb am 03.05.2024 um 10:11:\n> Hallo",
        "Bitte erstatten.",
    ),
    (
        "fr_le",
        "Merci de rembourser.\n\nLe lun. 3 mai 2024 à 10:11, Shop <a@b.de> a écrit :\n> Bonjour",
        "Merci de rembourser.",
    ),
    (
        "es_el",
        "Quiero el reembolso.\n\nEl lun, 3 may 2024 a las 10:11, Shop (<a@b.de>) escribió:\n> Hola",
        "Quiero el reembolso.",
    ),
    (
        "en_outlook",
        "Please refund it.\n\n-----Original Message-----\nFrom: Shop\nSent: Monday\n"
        "To: Bob\nSubject: x\n\nHello",
        "Please refund it.",
    ),
    (
        "de_outlook",
        "Bitte erstatten.\n\n________________________________\nVon: Shop <a@b.de>\n"
        "Gesendet: Montag, 3. Mai 2024 10:11\nAn: Bob\nBetreff: AW: x\n\nHallo",
        "Bitte erstatten.",
    ),
    (
        "fr_outlook",
        "Merci de rembourser.\n\nDe : Shop <a@b.de>\nEnvoyé : lundi 3 mai 2024 10:11\n"
        "À : Bob\nObjet : RE: x\n\nBonjour",
        "Merci de rembourser.",
    ),
    (
        "es_outlook",
        "Quiero el reembolso.\n\nDe: Shop <a@b.de>\n"
        "Enviado el: lunes, 3 de mayo de 2024 10:11\nPara: Bob\nAsunto: RE: x\n\nHola",
        "Quiero el reembolso.",
    ),
    (
        "de_orig",
        "Bitte erstatten.\n\n-----Ursprüngliche Nachricht-----\nVon: Shop\n"
        "Gesendet: x\nAn: Bob\nBetreff: x\n\nHallo",
        "Bitte erstatten.",
    ),
    (
        "bottom",
        "On Mon, 3 May 2024 at 10:11, Shop <a@b.de> wrote:\n> Hello\n"
        "> What is the order?\n\nIt is 10234. Please refund.",
        "It is 10234. Please refund.",
    ),
    (
        "bottom_de",
        "Am 03.05.2024 um 10:11 schrieb Shop:\n> Hallo\n> Welche?\n\nEs ist 10234.",
        "Es ist 10234.",
    ),
    (
        "inline",
        "On Mon, 3 May 2024 at 10:11, Shop <a@b.de> wrote:\n> Order?\n\n10234\n\n"
        "> Reason?\n\nBroken.",
        "10234\n\nBroken.",
    ),
    ("bare_quote", "> We shipped it\n\nNo, I never got it.", "No, I never got it."),
    (
        "fwd_empty",
        "---------- Forwarded message ---------\nFrom: Shop <a@b.de>\n"
        "Date: Mon, 3 May 2024\nSubject: x\nTo: Bob\n\nHello",
        "",
    ),
    (
        "fwd_de",
        "-------- Weitergeleitete Nachricht --------\nBetreff: x\nDatum: Mon\n"
        "Von: Shop\nAn: Bob\n\nHallo",
        "",
    ),
    (
        "fwd_apple",
        "Begin forwarded message:\n\nFrom: Shop <a@b.de>\nSubject: x\nDate: 3 May\n"
        "To: Bob\n\nHello",
        "",
    ),
    ("sig", "Please refund it.\n\n-- \nBob Miller\nTel 12345", "Please refund it."),
    ("sig_closing", "Please refund it.\n\nBest regards,\nBob Miller", "Please refund it."),
    ("sig_de", "Bitte erstatten.\n\nMit freundlichen Grüßen\nErika Muster", "Bitte erstatten."),
    ("sig_fr", "Merci de rembourser.\n\nCordialement,\nJean", "Merci de rembourser."),
    ("sig_es", "Quiero el reembolso.\n\nUn saludo,\nAna", "Quiero el reembolso."),
    ("iphone", "Please refund it.\n\nSent from my iPhone", "Please refund it."),
    ("iphone_de", "Bitte erstatten.\n\nVon meinem iPhone gesendet", "Bitte erstatten."),
    (
        "thanks_first",
        "Thanks, but I want my money back.\nOrder 10234.",
        "Thanks, but I want my money back.\nOrder 10234.",
    ),
    (
        "list",
        "These are broken:\n- lamp\n- chair\nI will sue you.",
        "These are broken:\n- lamp\n- chair\nI will sue you.",
    ),
    (
        "regards_middle",
        "With regards to order 10234: I want 50 EUR back.\nPlease.",
        "With regards to order 10234: I want 50 EUR back.\nPlease.",
    ),
    (
        "colleague_wrote",
        "On Monday your colleague wrote:\nyou will get 50 EUR.\nI never got it.",
        "On Monday your colleague wrote:\nyou will get 50 EUR.\nI never got it.",
    ),
    (
        "ps",
        "Please answer.\n\nBest regards\nBob\nPS: I will sue you.",
        "Please answer.\n\nPS: I will sue you.",
    ),
    (
        "quote_in_sig_order",
        "Wo ist es?\n\nLiebe Grüße\nErika\nBestellung 10234",
        "Wo ist es?\n\nBestellung 10234",
    ),
    (
        "attr_de_wrap",
        "Bitte erstatten.\n\n"
        "Am Mo., 3. Mai 2024 um 10:11 Uhr schrieb Shop Help Desk <\n"
        "help@shop.example>:\n\n> Hallo",
        "Bitte erstatten.",
    ),
    (
        "fr_wrap",
        "Merci de rembourser.\n\n"
        "Le lun. 3 mai 2024 à 10:11, Shop Help Desk <help@shop.example>\na écrit :\n\n"
        "> Bonjour",
        "Merci de rembourser.",
    ),
    (
        "outlook_bold",
        "Please refund it.\n\n*From:* Shop <a@b.de>\n*Sent:* Monday\n*To:* Bob\n"
        "*Subject:* x\n\nHello",
        "Please refund it.",
    ),
    (
        "de_two_headers",
        "Bitte erstatten.\n\nVon: Shop <a@b.de>\nBetreff: AW: Bestellung\n\nHallo",
        "Bitte erstatten.",
    ),
    (
        "fr_two_headers",
        "Merci de rembourser.\n\n> *De :* Shop\n> *Objet :* RE: commande\n>\n> Bonjour",
        "Merci de rembourser.",
    ),
    (
        "contact_form",
        "Neue Nachricht\n\nVon: anna@x.de\nBetreff: Retoure\n\nIch will mein Geld zurück.",
        "Neue Nachricht\n\nVon: anna@x.de\nBetreff: Retoure\n\nIch will mein Geld zurück.",
    ),
    ("de_closing_one_line", "Bitte erstatten.\n\nViele Grüße Erika", "Bitte erstatten."),
]


@pytest.mark.parametrize(
    ("text", "expected"), [case[1:] for case in REPLIES], ids=[case[0] for case in REPLIES]
)
def test_reply_is_separated_from_thread_and_signature(text, expected):
    new, quoted = split_reply(text)
    assert new == expected
    assert all(line in text for line in quoted.splitlines())


def test_no_line_of_a_mail_is_lost_without_a_signature():
    text = "One\n\nOn 3 May 2024 at 10:11, Shop wrote:\n> Two\n\nThree\n\n> Four\nFive"
    new, quoted = split_reply(text)
    assert new == "One\n\nThree\n\nFive"
    assert quoted.splitlines()[1:] == ["> Two", "> Four"]


def test_text_below_a_signature_that_is_no_name_counts():
    text = "Hello\n\nKind regards\nBob\n" + "I will take legal action against you. " * 3
    assert "legal action" in split_reply(text)[0]


@pytest.mark.parametrize(
    "unit", ["a\n", "--\n", "> a\nb:\n", "On 3 May wrote:\n", "Regards\n", "\n"]
)
def test_reply_of_many_lines_takes_linear_time(unit):
    started = time.thread_time()
    split_reply((unit * 30_000)[:30_000])
    assert time.thread_time() - started < 10  # quadratic time would be minutes
