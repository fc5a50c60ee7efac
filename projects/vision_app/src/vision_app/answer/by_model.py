"""Answers and captions of a vision-language model, with the words of the page that support them.

    answer = ask(model, "Who signed it?", images, pages)
    answer.text, answer.boxes         # no boxes for what is not written on the page
    describe(model, images)

Answers by rules, without a model, are in `rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from vision_app.answer.answer import UNKNOWN, Answer, Support, support
from vision_app.extract.values import clean, squeeze
from vision_app.files.pixels import Pixels, message
from vision_app.ocr.page import Page
from seedbed.models.prompts import load_prompt, quote
from seedbed.models.structured_reply import structured_reply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

QUOTED, SEEN = 0.9, 0.5  # confidence of an answer whose words OCR read too, and of another


class Reply(BaseModel):
    """What the model is asked for."""

    answer: str | None = Field(description="The answer in a few words; null if it is not shown.")
    quote: str | None = Field(description="The printed words that show it; null if none do.")


def ask(
    model: BaseChatModel, question: str, images: Sequence[Pixels], pages: Sequence[Page]
) -> Answer:
    """Answer a question from the images, or abstain. Raises the model's errors."""
    prompt = load_prompt("vision_app.answer", "ask").render(question=quote(question, "question"))
    reply = structured_reply(model, [message(prompt, images)], Reply)
    text = clean(reply.answer or "")
    if not text:
        return Answer(UNKNOWN, abstained=True)
    boxes = _find(clean(reply.quote or ""), pages)
    confidence = min((item.confidence for item in boxes), default=1.0)
    return Answer(text, boxes, round((QUOTED if boxes else SEEN) * confidence, 3))


def describe(model: BaseChatModel, images: Sequence[Pixels]) -> str:
    """A caption of one or two sentences. Raises the model's errors."""
    prompt = load_prompt("vision_app.answer", "describe").text
    return clean(str(model.invoke([message(prompt, images)]).text))


def _find(text: str, pages: Sequence[Page]) -> tuple[Support, ...]:
    """The lines that contain the words, or that together make them up."""
    sought = squeeze(text)
    if not sought:
        return ()
    for page in pages:
        if line := next((x for x in page.lines if sought in squeeze(x.text)), None):
            return support(page, line)
        parts = [x for x in page.lines if squeeze(x.text) and squeeze(x.text) in sought]
        if sum(len(squeeze(x.text)) for x in parts) >= 0.8 * len(sought):
            return support(page, *parts)
    return ()
