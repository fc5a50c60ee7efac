"""Answers of a vision-language model, with the words of the page that support them.

result = ask(model, "Who signed it?", images, pages)
result["answer"], result["evidence"]      # no evidence for what is not written on the page
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic import Field as Described

from vision_app.extract.extraction import locate
from vision_app.extract.schemas import Field
from vision_app.extract.values import clean
from vision_app.files.pixels import Pixels, message
from vision_app.ocr.page import Page
from seedbed.models.prompts import as_data, load_prompt
from seedbed.models.structured_reply import structured_reply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

UNKNOWN = "I can't tell from this image."
QUOTED, SEEN = 0.9, 0.5  # confidence of an answer whose words OCR read too, and of another
_QUOTE = Field("quote", "text", {}, {})


class Reply(BaseModel):
    """What the model is asked for."""

    answer: str | None = Described(
        description="The answer in a few words; null if it is not shown."
    )
    quote: str | None = Described(description="The printed words that show it; null if none do.")


def ask(
    model: BaseChatModel, question: str, images: Sequence[Pixels], pages: Sequence[Page]
) -> dict[str, Any]:
    """{"answer", "evidence", "confidence", "abstained"} from the images. Raises the model's errors.

    `evidence` is [{"text", "box", "page", "confidence"}], empty for what no printed words support;
    `confidence` is 0 to 1.
    """
    prompt = load_prompt("vision_app", "ask").render(question=as_data(question, "question"))
    reply = structured_reply(model, [message(prompt, images)], Reply)
    text = clean(reply.answer or "")
    place = locate(_QUOTE, clean(reply.quote or ""), pages) if text else None
    confidence = QUOTED * place.confidence if place else SEEN
    return {
        "answer": text or UNKNOWN,
        "evidence": [place.as_json()] if place else [],
        "confidence": round(confidence, 3) if text else 0.0,
        "abstained": not text,
    }
