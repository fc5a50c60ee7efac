"""The picture in the README is the graph."""

from __future__ import annotations

import re
from pathlib import Path

from multi_agent.graph import build_graph

README = Path(__file__).parents[2] / "README.md"


def edges(mermaid: str) -> set[str]:
    return set(re.findall(r"^\s*(\w+ -(?:\.-|-)> \w+);$", mermaid, re.MULTILINE))


def test_picture_in_readme_is_the_graph() -> None:
    picture = re.search(r"```mermaid\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    drawn = build_graph().get_graph().draw_mermaid()
    assert edges(drawn) and picture
    assert edges(picture[1]) == edges(drawn), f"Copy this into the README:\n{drawn}"
