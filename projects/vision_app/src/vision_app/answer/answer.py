"""An answer to a question about an image, or that the image does not tell."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from vision_app.ocr.page import Box, Line, Page

UNKNOWN = "I can't tell from this image."


@dataclass(frozen=True)
class Support:
    """A piece of text that supports an answer; `box` is in pixels of the input image."""

    text: str
    page: int
    box: Box
    confidence: float


@dataclass(frozen=True)
class Answer:
    """`confidence` is 0 to 1; `boxes` is the text that supports it, empty for other evidence."""

    text: str
    boxes: tuple[Support, ...] = ()
    confidence: float = 0.0
    abstained: bool = False

    def as_json(self) -> dict[str, Any]:
        """{"text", "boxes": [{"text", "page", "box", "confidence"}], "confidence", "abstained"}."""
        return asdict(self)


def support(page: Page, *lines: Line) -> tuple[Support, ...]:
    """Lines as support, with boxes in the input image."""
    return tuple(Support(x.text, page.number, page.to_input(x.box), x.confidence) for x in lines)
