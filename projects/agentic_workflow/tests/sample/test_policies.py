import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

POLICIES = Path(str(files("agentic_workflow") / "sample" / "policies"))
TOPICS = ("returns", "shipping", "billing", "privacy", "technical", "complaints")


def paragraphs(topic: str, language: str) -> dict[int, str]:
    text = (POLICIES / f"{topic}.{language}.md").read_text(encoding="utf-8")
    parts = re.split(r"(?m)^## (\d+)\. ", text)[1:]
    return dict(zip(map(int, parts[::2]), parts[1::2], strict=True))


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_translated_policy_has_the_same_paragraphs_and_figures(topic: str, language: str) -> None:
    english, translation = paragraphs(topic, "en"), paragraphs(topic, language)
    assert list(english) == list(translation) == list(range(1, len(english) + 1))
    for number in english:
        assert _figures(english[number]) == _figures(translation[number]), (topic, number)


def _figures(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d+(?:\.\d+)?", re.sub(r"(\d),(\d)", r"\1.\2", text)))


def test_policies_contain_no_other_topic() -> None:
    names = {path.name for path in POLICIES.iterdir()}
    assert names == {f"{topic}.{lang}.md" for topic in TOPICS for lang in ("en", "de", "fr", "es")}
