"""Labels in spite of lost spaces."""

from __future__ import annotations

import pytest

from vision_app.extract.rules.document import Lexicon


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon({"field:iban": ["Bank account"]})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Invoicenumber:INV-1", "invoice_number"),
        ("Rechnungs-Nr.: 2024/118", "invoice_number"),
        ("Facture n° FA2023-0045", "invoice_number"),
        ("Total (incl. VAT)", "gross_total"),
        ("bank account", "field:iban"),
    ],
)
def test_label_is_found_whatever_its_spaces(lexicon: Lexicon, text: str, kind: str) -> None:
    assert kind in lexicon.find(text)[0].kinds


@pytest.mark.parametrize("text", ["Widget blue", "pour le dessert", "INVOICE-0001"])
def test_other_words_are_not_labels(lexicon: Lexicon, text: str) -> None:
    assert lexicon.find(text) == []


@pytest.mark.timeout(60)
def test_label_of_a_user_is_taken_literally() -> None:
    lexicon = Lexicon({"field:code": ["Code {no}", "{no}" * 12, "{unknown}"]})
    assert "field:code" in lexicon.find("Code no: 5")[0].kinds
    assert not any("field:code" in label.kinds for label in lexicon.find("Code reference: 5"))
