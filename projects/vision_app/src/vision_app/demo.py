"""Run the main job once, without a server: sample pictures in, checked results out.

    vision-app demo      # exits with status 1 if a result is wrong

Replace the samples and what is expected of them with your own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vision_app.files.samples import samples
from vision_app.serve import terminal
from vision_app.vision import Vision

# What must be read from the sample documents.
FIELDS: dict[str, dict[str, Any]] = {
    "invoice": {
        "vendor": "Halden Paper & Print",
        "invoice_number": "HP-20418",
        "date": "2026-03-14",
        "total": 669.0,
        "currency": "GBP",
    },
    "receipt": {"vendor": "CAFÉ MIRABEL", "date": "2026-02-21", "total": 28.0, "currency": "EUR"},
}
# Asked if a vision-language model is set.
QUESTIONS = (
    ("invoice", "When is it due?", "13 April 2026"),
    ("palace", "How much does it cost?", "I can't tell from this image."),
)


def check(vision: Vision) -> Iterator[tuple[str, str]]:
    """Yield each result as a line of text, and an empty string or what was expected instead."""
    sources = {sample.name: vision.open(sample.path, sample.path.name) for sample in samples()}
    result = vision.classify(sources["palace"])
    yield terminal.labels(result), "" if result["labels"][0]["label"] == "palace" else "palace"
    for name, expected in FIELDS.items():
        fields = vision.extract(sources[name], name)["fields"]
        values = {field: fields.get(field) for field in expected}
        line = ", ".join(f"{field} {value}" for field, value in values.items())
        yield f"{name}: {line}", "" if values == expected else str(expected)
    for name, question, words in QUESTIONS if vision.language_model else ():
        answer = vision.ask(sources[name], question)["answer"]
        yield f"{name}: {question} {answer}", "" if words in answer else words
