"""Fills a schema with a vision-language model, and finds its values among the words of the OCR.

    model = load_chat_model("openai:gpt-4o-mini")
    extraction = extract(pages, images, load_schema("invoice"), model=model)

The model sees the images. Its values are normalized: amounts and dates may be written as they are
printed. One that OCR did not read anywhere gets a warning and no box: it may be invented.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vision_app.extract.extraction import (
    FINDERS,
    MAX_AMOUNT,
    Evidence,
    Extraction,
    check_sums,
    locate,
    to_json,
)
from vision_app.extract.schemas import Field, Schema
from vision_app.extract.values import Context, clean, find_currencies, squeeze
from vision_app.files.pixels import MAX_IMAGES, Pixels, message
from vision_app.ocr.page import Page
from seedbed.models.prompts import load_prompt
from seedbed.models.structured_reply import structured_reply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MAX_ITEMS, MAX_NUMBER = 1000, 100  # line items of a document, characters of an amount
CONFIDENCE, UNCONFIRMED = 0.9, 0.5  # of a value that OCR read too, and of one that it did not
NOTHING = ("", "-", "n/a", "null", "none")  # how a model writes that there is no value
_ITEM = {"description": "string", "quantity": "number", "unit_price": "number", "amount": "number"}
_WITHOUT_WORDS = ("items", "texts", "flag", "document_type")  # kinds of fields without evidence


def extract(
    pages: Sequence[Page], images: Sequence[Pixels], schema: Schema, *, model: BaseChatModel
) -> Extraction:
    """The fields of `schema` as `model` reads them in the images, with boxes from the OCR `pages`.

    Raises the model's errors, and InvalidReply if its reply does not follow the schema.
    """
    # 1. Ask the model, under the JSON schema.
    prompt = load_prompt("vision_app.extract", "extract")
    question = [message(prompt.text, images)]
    accept = accepted_schema(schema)
    reply = structured_reply(model, question, model_schema(schema), accept=accept)
    # 2. Normalize every value.
    context = Context.of("\n".join(page.text for page in pages))
    warnings: list[str] = []
    fields = {
        field.name: to_json(
            field, _normalize(field, reply.get(field.name), context, warnings), warnings
        )
        for field in schema.fields
    }
    # 3. Find the values in what OCR read.
    evidence = {}
    for field in schema.fields:
        value = fields[field.name]
        if value is None or field.kind in _WITHOUT_WORDS:
            continue
        target = Decimal(str(value)) if field.kind in ("amount", "integer") else str(value)
        place = locate(field, target, pages)
        confidence = CONFIDENCE * place.confidence if place else UNCONFIRMED
        where = (place.text, place.box, place.page) if place else (str(value), None, 1)
        evidence[field.name] = Evidence(*where, confidence)
        if place is None:
            warnings.append(f"{field.name}: OCR did not read {str(value)[:80]} on the page")
    # 4. Check the sums.
    warnings += check_sums(fields, pages)
    if len(pages) > MAX_IMAGES:
        warnings.append(f"the model was sent the first {MAX_IMAGES} of {len(pages)} pages")
    return Extraction(fields, evidence, tuple(warnings))


def model_schema(schema: Schema) -> dict[str, Any]:
    """The schema as vendors accept it: every property required and nullable.

    Labels, formats and permitted values, which vendors do not accept, go into the description.
    """
    properties: dict[str, Any] = {}
    for field in schema.fields:
        types = field.types or ("number" if field.kind == "amount" else "string",)
        properties[field.name] = {"description": _description(field), "type": [*types, "null"]}
        if field.kind == "items":
            properties[field.name]["items"] = _object(
                {name: {"type": [kind, "null"]} for name, kind in _ITEM.items()}
            )
        elif field.kind == "texts":
            properties[field.name]["items"] = {"type": "string"}
    return {
        "title": schema.json.get("title", schema.name),
        "description": schema.json.get("description", "Fields of a document"),
        **_object(properties),
    }


def accepted_schema(schema: Schema) -> dict[str, Any]:
    """The least that a reply must be: an object with one of the fields, and lists where required.

    Missing fields count as null, others are ignored, and `_normalize` reads numbers in texts.
    """
    scalar = {"type": ["string", "number", "boolean", "null"]}
    lists = {
        "items": {"type": ["array", "null"], "items": {"type": ["object", "null"]}},
        "texts": {"type": ["array", "null"], "items": scalar},
    }
    properties = {field.name: lists.get(field.kind, scalar) for field in schema.fields}
    named = [{"required": [name]} for name in properties]
    return {"type": "object", "properties": properties, "anyOf": named}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _description(field: Field) -> str:
    data = field.json
    hints = [str(data.get("description") or data.get("title") or field.name.replace("_", " "))]
    if labels := data.get("x-labels"):
        hints.append(f"printed next to: {', '.join(labels)}")
    if field.enum:
        hints.append(f"one of: {', '.join(field.enum)}")
    hints += [f"{name}: {data[name]}" for name in ("format", "pattern") if name in data]
    return "; ".join(hints)


def _normalize(field: Field, raw: Any, context: Context, warnings: list[str]) -> Any:
    """The model's value as JSON; None, with a warning, if the field does not permit it."""
    if raw is None or raw == [] or (isinstance(raw, str) and clean(raw).casefold() in NOTHING):
        return None
    if field.kind == "items":
        return _items(field, raw, warnings)
    if field.kind == "texts":
        return [clean(str(text)) for text in raw if text is not None] or None
    value = _value(field, raw, context)
    if value is None:
        kinds = {"amount": "an amount", "integer": "an integer", "flag": "true or false"}
        problem = f"not one of: {', '.join(field.enum)}" if field.enum else ""
        problem = problem or f"not {kinds.get(field.kind, f'a {field.kind}')}"
        warnings.append(f"{field.name}: the model's {str(raw)[:80]!r} is {problem}")
    return value


def _value(field: Field, raw: Any, context: Context) -> Any:
    text = clean(str(raw))
    if field.kind == "flag":
        words = {"true": True, "yes": True, "false": False, "no": False}
        return words.get(text.casefold())
    if field.kind == "amount":
        return _amount(raw)
    if field.kind == "integer":
        amount = _amount(raw)
        return int(amount) if amount is not None and amount.is_integer() else None
    if field.kind == "date":
        return next((context.date(x) for x in FINDERS["date"](text)), None)
    if field.kind == "currency":
        code = text.upper() if len(text) == 3 else text
        values = find_currencies(f"{code} 1")  # codes count next to a number
        return context.currency(values[0].readings) if values else None
    if field.kind in FINDERS:
        return next((x.readings[""] for x in FINDERS[field.kind](text)), None)
    if field.enum:
        return next((value for value in field.enum if squeeze(value) == squeeze(text)), None)
    return text if text and (not field.pattern or field.pattern.search(text)) else None


def _amount(raw: Any) -> float | None:
    """A number of JSON, or one in a text as it is printed; None if it is not finite.

    >>> [_amount(raw) for raw in (1.5, "1.234,50 €", "CHF 1'200.00", "1.234", "2 of 3", "1e3")]
    [1.5, 1234.5, 1200.0, 1234.0, None, 1000.0]
    >>> _amount("1e99999999999999999999")
    """
    text = clean(str(raw))[:MAX_NUMBER]
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    if isinstance(raw, str) and not re.fullmatch(r"-?\d+(\.\d+)?e[-+]?\d+", text, re.I):
        text = re.sub(r"([.,]\d)(?!\d)", r"\g<1>0", text)  # 5.4 is not an amount of money
        matches = FINDERS["amount"](text)
        amount = Decimal(str(matches[0].readings[""])) if len(matches) == 1 else Decimal("NaN")
    else:
        amount = Decimal(str(float(text)))  # infinite, where Decimal would raise
    return float(amount) if amount.is_finite() and abs(amount) < MAX_AMOUNT else None


def _items(field: Field, raw: Sequence[Any], warnings: list[str]) -> list[dict[str, Any]] | None:
    """The line items that have a description and an amount; a warning counts the others."""
    items = []
    for entry in ({} if entry is None else entry for entry in raw[:MAX_ITEMS]):
        numbers = {name: _amount(entry.get(name)) for name in _ITEM if name != "description"}
        description = clean(str(entry.get("description") or ""))
        if description and numbers["amount"] is not None:
            items.append({"description": description, **numbers})
    if left_out := len(raw) - len(items):
        reason = "without a description or an amount"
        warnings.append(f"{field.name}: {left_out} of {len(raw)} line items left out, {reason}")
    return items or None
