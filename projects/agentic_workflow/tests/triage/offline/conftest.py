from __future__ import annotations

import json
from pathlib import Path

import pytest

WORDS = {
    "billing": "invoice charged",
    "refund": "money back broken",
    "shipping": "parcel courier",
    "technical": "app crashes",
    "account": "password login",
    "complaint": "disgrace rude",
    "spam": "lottery prize",
    "other": "opening hours catalogue",
}


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A file with a few examples of each category, of which one could be any other's."""
    rows = [
        {"subject": word, "text": f"{word} {words} {n}", "category": category}
        for category, words in WORDS.items()
        for n, word in enumerate(words.split() * 3)
    ]
    rows += [{"subject": "Hello", "text": "hello", "category": category} for category in WORDS]
    path = tmp_path / "examples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
