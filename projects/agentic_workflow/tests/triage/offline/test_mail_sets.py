"""The labelled examples and the mails of `eval/` do not overlap."""

import json
from email import message_from_bytes
from email.policy import default
from importlib.resources import files
from pathlib import Path
from re import findall
from typing import Any

EXAMPLES = Path(str(files("agentic_workflow") / "triage/offline/examples.jsonl"))
EVAL = Path(__file__).parents[3] / "eval"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def runs(text: str, words: int = 7) -> set[tuple[str, ...]]:
    parts = findall(r"\w+", text.lower())
    return {tuple(parts[i : i + words]) for i in range(len(parts) - words + 1)}


def test_evaluation_mails_do_not_repeat_examples() -> None:
    known = set[tuple[str, ...]]().union(*(runs(row["text"]) for row in rows(EXAMPLES)))
    for row in rows(EVAL / "gold.jsonl"):
        mail = message_from_bytes((EVAL / "mails" / row["file"]).read_bytes(), policy=default)
        part = mail.get_body(("plain",)) or mail
        data = part.get_payload(decode=True)
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else ""
        assert not known & runs(text), row["file"]
