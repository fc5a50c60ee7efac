"""Fills a schema with a vision-language model, and finds its values among the words of the OCR.

    model = load_chat_model("openai:gpt-4o-mini")
    extraction = extract_with_model(images, pages, load_schema("invoice"), model)

The model sees the images; its values are normalized like those of the rules in `extract`. A value
that OCR did not read anywhere gets a warning and no box: it may be invented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from vision_app.extract.document import Document
from vision_app.extract.extract import Evidence, Extraction, as_number, lexicon_of
from vision_app.extract.schemas import Field, Schema
from vision_app.extract.values import (
    Context,
    Value,
    find_amounts,
    find_currencies,
    find_dates,
    find_times,
    squeeze,
)
from vision_app.files.pixels import Pixels, message_part
from vision_app.ocr.page import Page
from seedbed.models.prompts import load_prompt
from seedbed.models.structured_reply import structured_reply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MAX_IMAGES = 8  # pages that are sent
CONFIDENCE, UNCONFIRMED = 0.9, 0.5  # of a value that OCR read too, and of one that it did not
_FINDERS: dict[str, Callable[[str], list[Value]]] = {
    "date": partial(find_dates, compact=True),
    "time": find_times,
    "amount": find_amounts,
    "integer": find_amounts,
    "currency": find_currencies,
}


def extract_with_model(
    images: Sequence[Pixels], pages: Sequence[Page], schema: Schema, model: BaseChatModel
) -> Extraction:
    """The fields of `schema` as `model` reads them in the images, with boxes from the OCR `pages`.

    Raises the model's errors, and InvalidReply if its reply does not follow the schema.
    """
    from langchain_core.messages import HumanMessage

    # 1. Ask the model, under the JSON schema.
    prompt = load_prompt("vision_app.extract", "extract")
    content: list[str | dict[str, Any]] = [{"type": "text", "text": prompt.text}]
    content += [message_part(pixels) for pixels in images[:MAX_IMAGES]]
    reply = structured_reply(model, [HumanMessage(content)], model_schema(schema))
    # 2. Normalize every value like those of the rules.
    document = Document.of(pages, lexicon_of(()))
    warnings, evidence = [], {}
    fields: dict[str, Any] = {}
    for field in schema.fields:
        raw = reply.get(field.name)
        value = raw if field.value == "items" else _normalize(field, raw, document.context)
        fields[field.name] = as_number(value) if isinstance(value, Decimal) else value
        if value is None and raw not in (None, ""):
            warnings.append(f"{field.name}: the model's {raw!r} is not a {field.value}")
        if value is None or field.value == "items":
            continue
        # 3. Find the value in what OCR read.
        evidence[field.name] = _find(field, value, document)
        if evidence[field.name].box is None:
            warnings.append(f"{field.name}: OCR did not read {value} on the page")
    if len(images) > MAX_IMAGES:
        warnings.append(f"the model was sent the first {MAX_IMAGES} of {len(images)} pages")
    return Extraction(fields, evidence, tuple(warnings))


def model_schema(schema: Schema) -> dict[str, Any]:
    """The schema as vendors accept it: every property required, nullable, without our keywords."""
    properties: dict[str, Any] = {}
    for name, data in schema.json["properties"].items():
        types = data.get("type", "string")
        types = [types] if isinstance(types, str) else types
        dropped = ("format", "pattern", "x-labels", "enum")
        properties[name] = {k: v for k, v in data.items() if k not in dropped}
        properties[name]["type"] = [*dict.fromkeys([*types, "null"])]
    return {
        "title": schema.json.get("title", schema.name),
        "description": schema.json.get("description", "Fields of a document"),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _normalize(field: Field, raw: Any, context: Context) -> Any:
    """What the model wrote as a value of the field; None if it is not one."""
    if raw is None or isinstance(raw, (list, dict, bool)):
        return None
    text = str(raw).strip()
    if field.value in ("amount", "integer"):
        with suppress(ArithmeticError):
            return Decimal(text)  # a number of JSON, whose point is the decimal separator
    if field.value == "currency":
        values = find_currencies(f"{text} 1")  # codes count next to a number
        return context.currency(values[0].readings) if values else None
    if field.value in _FINDERS:
        values = _FINDERS[field.value](text)
        is_date = field.value == "date"
        return next((context.date(v) if is_date else v.readings[""] for v in values), None)
    valid = not field.pattern or field.pattern.search(text)
    return text if text and valid and (not field.enum or text in field.enum) else None


def _find(field: Field, value: Any, document: Document) -> Evidence:
    """Where OCR read the value; evidence without a box if it did not."""
    for cell in document.cells:
        for start, end in _places(field, value, cell.text):
            words, page = cell.words_in(start, end), document.page_of(cell)
            text = " ".join(word.text for word in words)
            confidence = CONFIDENCE * min(word.confidence for word in words)
            return Evidence(text, page.to_input(cell.box_of(start, end)), page.number, confidence)
    return Evidence(str(value), None, 1, UNCONFIRMED)


def _places(field: Field, value: Any, text: str) -> Iterable[tuple[int, int]]:
    """Where a text contains the value, as spans of characters."""
    if field.value in _FINDERS:
        for match in _FINDERS[field.value](text):
            if value in match.readings.values():
                yield match.start, match.end
    elif squeeze(value) and squeeze(value) in squeeze(text):
        start = text.casefold().find(value.casefold())
        yield (start, start + len(value)) if start >= 0 else (0, len(text))
