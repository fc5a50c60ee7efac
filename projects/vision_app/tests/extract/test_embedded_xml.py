"""The XML in ZUGFeRD and Factur-X invoices."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pypdfium2
import pytest
from fastapi.testclient import TestClient

from vision_app.config import Config
from vision_app.extract.embedded_xml import MAX_BYTES, read_xml
from vision_app.extract.schemas import load_schema
from vision_app.serve.api import create_app
from vision_app.vision import Vision
from seedbed.settings import Settings

INVOICE = load_schema("invoice")
XML = """<?xml version="1.0" encoding="UTF-8"?>
<rsm:CrossIndustryInvoice xmlns:rsm="urn:rsm" xmlns:ram="urn:ram" xmlns:udt="urn:udt">
 <rsm:ExchangedDocument><ram:ID>R-17</ram:ID><ram:TypeCode>380</ram:TypeCode>
  <ram:IssueDateTime><udt:DateTimeString format="102">20250304</udt:DateTimeString>
  </ram:IssueDateTime></rsm:ExchangedDocument>
 <rsm:SupplyChainTradeTransaction>
  <ram:IncludedSupplyChainTradeLineItem>
   <ram:SpecifiedTradeProduct><ram:Name>Oak shelf</ram:Name></ram:SpecifiedTradeProduct>
   <ram:NetPriceProductTradePrice><ram:ChargeAmount>50.00</ram:ChargeAmount>
   </ram:NetPriceProductTradePrice><ram:BilledQuantity>2</ram:BilledQuantity>
   <ram:LineTotalAmount>100.00</ram:LineTotalAmount>
  </ram:IncludedSupplyChainTradeLineItem>
  <ram:SellerTradeParty><ram:Name>Nordhaus GmbH</ram:Name></ram:SellerTradeParty>
  <ram:BuyerTradeParty><ram:Name>Anna Kowalska</ram:Name></ram:BuyerTradeParty>
  <ram:InvoiceCurrencyCode>EUR</ram:InvoiceCurrencyCode>
  <ram:TaxBasisTotalAmount>100.00</ram:TaxBasisTotalAmount>
  <ram:TaxTotalAmount>19.00</ram:TaxTotalAmount>
  <ram:GrandTotalAmount>119.00</ram:GrandTotalAmount>
  <ram:DuePayableAmount>0.00</ram:DuePayableAmount>
 </rsm:SupplyChainTradeTransaction>
</rsm:CrossIndustryInvoice>"""


def with_xml(pdf: bytes) -> bytes:
    """The PDF with the XML as an attachment."""
    document = pypdfium2.PdfDocument(pdf)
    document.new_attachment("factur-x.xml").set_data(XML.encode())
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


@pytest.fixture
def vision() -> Vision:
    return Vision(Config(), Settings())


def test_pdf_with_xml_has_exact_fields_without_ocr(
    vision: Vision, make_pdf: Callable[..., bytes]
) -> None:
    result = vision.extract(vision.open(with_xml(make_pdf("")), "invoice.pdf"), "invoice")
    assert result["fields"] == {
        "vendor": "Nordhaus GmbH",
        "invoice_number": "R-17",
        "date": "2025-03-04",
        "due_date": None,
        "order_number": None,
        "customer": "Anna Kowalska",
        "subtotal": 100.0,
        "tax": 19.0,
        "total": 119.0,
        "currency": "EUR",
        "line_items": [
            {"description": "Oak shelf", "quantity": 2.0, "unit_price": 50.0, "amount": 100.0}
        ],
        "document_type": "invoice",
    }
    assert result["evidence"]["total"]["text"] == "embedded XML: 119.0"
    assert result["evidence"]["total"]["box"] is None


@pytest.mark.parametrize(
    "xml",
    [
        b"not XML",
        b"<note/>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><CrossIndustryInvoice>&a;</CrossIndustryInvoice>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><CrossIndustryInvoice/>',
        XML.encode() + b" " * MAX_BYTES,
    ],
)
def test_other_or_hostile_xml_is_ignored(xml: bytes) -> None:
    assert read_xml(xml, INVOICE) is None


@pytest.mark.parametrize("amount", ["NaN", "1e400", "ten"])
def test_amount_that_is_not_finite_is_null(amount: str) -> None:
    extraction = read_xml(XML.replace("19.00</ram:TaxT", f"{amount}</ram:TaxT").encode(), INVOICE)
    assert extraction is not None
    assert extraction.fields["tax"] is None


def test_pdf_with_xml_needs_no_ocr_over_http(make_pdf: Callable[..., bytes]) -> None:
    class NoOcr(Vision):
        @property
        def reader(self) -> Any:
            raise AssertionError("OCR was called")

    app = create_app(NoOcr(Config(), Settings()), Settings(api_keys=""))
    with TestClient(app) as client:
        files = {"file": ("a.pdf", with_xml(make_pdf("0 0 9 9 re f")))}
        response = client.post("/v1/extract", files=files)
    assert response.json()["fields"]["total"] == 119.0


def test_credit_note_with_a_negative_amount_due_has_its_type_and_gross_total() -> None:
    xml = XML.replace(">0.00</ram:DuePay", ">-529.87</ram:DuePay").replace(">380<", ">381<")
    extraction = read_xml(xml.encode(), INVOICE)
    assert extraction is not None and extraction.fields["total"] == 119.0
    assert extraction.fields["document_type"] == "credit_note"
