"""Fills a schema with a vision-language model, and finds its values among the words of the OCR.

    model = load_chat_model("openai:gpt-4o-mini")
    extraction = extract(pages, images, load_schema("invoice"), model=model)

The model sees the images. Its values are normalized; one that OCR did not read anywhere gets a
warning and no box: it may be invented.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vision_app.extract.extraction import (
    FINDERS,
    Evidence,
    Extraction,
    as_number,
    check_sums,
    locate,
)
from vision_app.extract.schemas import Field, Schema
from vision_app.extract.values import Context, clean, find_currencies
from vision_app.files.pixels import MAX_IMAGES, Pixels, message
from vision_app.ocr.page import Page
from seedbed.models.prompts import load_prompt
from seedbed.models.structured_reply import structured_reply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MAX_AMOUNT = Decimal(10) ** 12
CONFIDENCE, UNCONFIRMED = 0.9, 0.5  # of a value that OCR read too, and of one that it did not
_ITEM = {"description": "string", "quantity": "number", "unit_price": "number", "amount": "number"}


def extract(
    pages: Sequence[Page], images: Sequence[Pixels], schema: Schema, *, model: BaseChatModel
) -> Extraction:
    """The fields of `schema` as `model` reads them in the images, with boxes from the OCR `pages`.

    Raises the model's errors, and InvalidReply if its reply does not follow the schema.
    """
    # 1. Ask the model, under the JSON schema.
    prompt = load_prompt("vision_app.extract", "extract")
    reply = structured_reply(model, [message(prompt.text, images)], model_schema(schema))
    # 2. Normalize every value.
    context = Context.of("\n".join(page.text for page in pages), {})
    warnings: list[str] = []
    fields = {
        field.name: _normalize(field, reply.get(field.name), context, warnings)
        for field in schema.fields
    }
    # 3. Find the values in what OCR read.
    evidence = {}
    for field in schema.fields:
        value = fields[field.name]
        if value is None or field.value in ("items", "texts", "flag", "document_type"):
            continue
        sought = Decimal(str(value)) if field.value in ("amount", "integer") else value
        found = locate(field, sought, pages)
        confidence = CONFIDENCE * found.confidence if found else UNCONFIRMED
        place = (found.text, found.box, found.page) if found else (str(value), None, 1)
        evidence[field.name] = Evidence(*place, confidence)
        if found is None:
            warnings.append(f"{field.name}: OCR did not read {value} on the page")
    # 4. Check the sums.
    warnings += check_sums(fields, pages)
    if len(images) > MAX_IMAGES:
        warnings.append(f"the model was sent the first {MAX_IMAGES} of {len(images)} pages")
    return Extraction(fields, evidence, tuple(warnings))


def model_schema(schema: Schema) -> dict[str, Any]:
    """The schema as vendors accept it: every property required and nullable.

    What vendors do not know is part of the description: labels, formats and permitted values.
    """
    properties: dict[str, Any] = {}
    for field in schema.fields:
        data = schema.json["properties"][field.name]
        types = data.get("type", "string")
        types = [types] if isinstance(types, str) else types
        properties[field.name] = {
            "description": _description(field, data),
            "type": [*dict.fromkeys([*types, "null"])],
        }
        if field.value == "items":
            properties[field.name]["items"] = _object(
                {name: {"type": [kind, "null"]} for name, kind in _ITEM.items()}
            )
        elif field.value == "texts":
            properties[field.name]["items"] = {"type": "string"}
    return {
        "title": schema.json.get("title", schema.name),
        "description": schema.json.get("description", "Fields of a document"),
        **_object(properties),
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _description(field: Field, data: Mapping[str, Any]) -> str:
    hints = [str(data.get("description") or data.get("title") or field.name.replace("_", " "))]
    if labels := data.get("x-labels"):
        hints.append(f"printed next to: {', '.join(labels)}")
    if field.enum:
        hints.append(f"one of: {', '.join(field.enum)}")
    hints += [f"{name}: {data[name]}" for name in ("format", "pattern") if name in data]
    return "; ".join(hints)


def _normalize(field: Field, raw: Any, context: Context, warnings: list[str]) -> Any:
    """What the model wrote as the JSON value of the field; None, with a warning, if it is not one.

    >>> total = Field("total", "amount", {})
    >>> _normalize(total, "NaN", Context.of("", {}), found := []), found
    (None, ["total: the model's 'NaN' is not an amount"])
    """
    if field.value == "items":
        value: Any = _items(raw)
    elif field.value == "texts" and isinstance(raw, list):
        value = [clean(text) for text in raw if isinstance(text, str)] or None
    elif field.value == "flag":
        value = raw if isinstance(raw, bool) else None
    elif raw is None or isinstance(raw, list | dict | bool):
        value = None
    else:
        value = _value(field, clean(str(raw)), context)
    if value is None and raw not in (None, "", []):
        article = "an" if field.value in ("amount", "integer") else "a"
        kind = "a list of positions" if field.value == "items" else f"{article} {field.value}"
        warnings.append(f"{field.name}: the model's {str(raw)[:80]!r} is not {kind}")
    return value


def _value(field: Field, text: str, context: Context) -> Any:
    if field.value == "amount":
        return as_number(_amount(text))
    if field.value == "integer":
        amount = _amount(text)
        return None if amount is None else int(amount)
    if field.value == "date":
        try:
            return date.fromisoformat(text).isoformat()  # as it was asked for
        except ValueError:
            return next((context.date(found) for found in FINDERS["date"](text)), None)
    if field.value == "currency":
        values = find_currencies(f"{text} 1")  # codes count next to a number
        return context.currency(values[0].readings) if values else None
    if field.value in FINDERS:
        return next((found.readings[""] for found in FINDERS[field.value](text)), None)
    valid = not field.pattern or field.pattern.search(text)
    return text if text and valid and (not field.enum or text in field.enum) else None


def _amount(text: str) -> Decimal | None:
    """A number of JSON, or an amount as it is printed; None if it is not finite."""
    try:
        amount = Decimal(text)
    except ArithmeticError:
        found = FINDERS["amount"](text)
        amount = Decimal(str(found[0].readings[""])) if found else Decimal("NaN")
    return amount if amount.is_finite() and abs(amount) < MAX_AMOUNT else None


def _items(raw: Any) -> list[dict[str, Any]] | None:
    """The positions that have a description and an amount."""
    items = []
    for entry in raw if isinstance(raw, list) else ():
        if not isinstance(entry, dict) or not isinstance(entry.get("description"), str):
            continue
        numbers = {
            name: as_number(_amount(str(entry[name]))) if entry.get(name) is not None else None
            for name in ("quantity", "unit_price", "amount")
        }
        if numbers["amount"] is not None:
            items.append({"description": clean(entry["description"]), **numbers})
    return items or None
