"""Reads the XML that a ZUGFeRD or Factur-X invoice (a PDF) contains: exact fields, without OCR.

    extraction = read_xml(xml, load_schema("invoice"))     # None if it is not such an invoice

Both are UN/CEFACT's Cross Industry Invoice, whose element names are the same in all versions but
for a few; namespaces are ignored. No library fits: `factur-x` only extracts the file, and
`drafthorse` rejects ZUGFeRD 1.0 and unknown elements. defusedxml rejects entities and DTDs.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from vision_app.extract.extraction import Evidence, Extraction, as_number
from vision_app.extract.schemas import Schema

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_BYTES = 5_000_000
TEXTS = {
    "vendor": ("SellerTradeParty/Name",),
    "customer": ("BuyerTradeParty/Name",),
    "invoice_number": ("ExchangedDocument/ID", "HeaderExchangedDocument/ID"),
    "order_number": (
        "BuyerOrderReferencedDocument/IssuerAssignedID",
        "BuyerOrderReferencedDocument/ID",
    ),
    "currency": ("InvoiceCurrencyCode",),
}
DATES = {
    "date": ("IssueDateTime/DateTimeString",),
    "due_date": ("SpecifiedTradePaymentTerms/DueDateDateTime/DateTimeString",),
}
AMOUNTS = {
    "subtotal": ("TaxBasisTotalAmount",),
    "tax": ("TaxTotalAmount",),
    "total": ("DuePayableAmount", "GrandTotalAmount"),
}
ITEM = {
    "quantity": "BilledQuantity",
    "unit_price": "NetPriceProductTradePrice/ChargeAmount",
    "amount": "LineTotalAmount",
}
# UNTDID 1001; all others are invoices.
TYPES = {**dict.fromkeys(("261", "381", "396"), "credit_note"), "325": "pro_forma"}


def read_xml(xml: bytes, schema: Schema) -> Extraction | None:
    """The fields of `schema` in the XML; None for anything but an invoice below MAX_BYTES.

    >>> from vision_app.extract.schemas import load_schema
    >>> read_xml(b"<note/>", load_schema("invoice")) is None
    True
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root = fromstring(xml, forbid_dtd=True) if len(xml) <= MAX_BYTES else None
    except (ParseError, DefusedXmlException, ValueError):
        return None
    if root is None or not root.tag.endswith(("CrossIndustryInvoice", "CrossIndustryDocument")):
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    values: dict[str, Any] = {name: _first(root, paths) for name, paths in TEXTS.items()}
    values |= {name: _date(_first(root, paths)) for name, paths in DATES.items()}
    for name, paths in AMOUNTS.items():
        amounts = [_amount(_first(root, (path,))) for path in paths]
        # Of an invoice that is paid, nothing is due: its total is the gross amount.
        values[name] = next((x for x in amounts if x and x > 0), amounts[-1])
    values["line_items"] = [*map(_item, root.iter("IncludedSupplyChainTradeLineItem"))] or None
    code = _first(root, ("ExchangedDocument/TypeCode", "HeaderExchangedDocument/TypeCode"))
    values["document_type"] = TYPES.get(code or "", "invoice")
    fields = {field.name: values.get(field.name) for field in schema.fields}
    evidence = {
        name: Evidence(f"embedded XML: {value}"[:200], None, 1, 1.0)
        for name, value in fields.items()
        if value is not None and name != "line_items"
    }
    return Extraction(fields, evidence)


def _first(parent: Element, paths: tuple[str, ...]) -> str | None:
    texts = (parent.findtext(f".//{path}") or "" for path in paths)
    return next((" ".join(text.split()) for text in texts if text.strip()), None)


def _date(text: str | None) -> str | None:
    try:
        return datetime.strptime((text or "")[:8], "%Y%m%d").date().isoformat()
    except ValueError:
        return None


def _amount(text: str | None) -> float | None:
    try:
        return as_number(Decimal(text or "NaN"))
    except InvalidOperation:
        return None


def _item(line: Element) -> dict[str, Any]:
    description = _first(line, ("SpecifiedTradeProduct/Name",)) or ""
    return {"description": description, **{n: _amount(_first(line, (p,))) for n, p in ITEM.items()}}
