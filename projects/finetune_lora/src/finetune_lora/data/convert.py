"""One row's columns → one Example: which format they are, and what is wrong with a row.

It knows no file: whoever calls puts file and line before the texts of the errors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from finetune_lora.example import Example, Message
from seedbed.errors import BadInput

# Needed columns; the first that fits the columns of a file's first row is the file's format.
FORMATS: dict[str, tuple[str, ...]] = {
    "feedback": ("messages", "response_id", "rating"),  # rated answers of a chat service
    "chat": ("messages",),
    "sharegpt": ("conversations",),
    "completion": ("prompt", "completion"),
    "alpaca": ("instruction", "output"),
    "labelled": ("text", "label"),
}
_ACCEPTED = (
    "messages · conversations · prompt, completion · instruction, (input,) output · text, label"
)
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
}


def detect(columns: Iterable[str]) -> str:
    """The name of the format with these columns; BadInput names them if there is none."""
    there = set(columns)
    for name, needed in FORMATS.items():
        if there.issuperset(needed):
            return name
    found = ", ".join(repr(c) for c in sorted(there, key=str)[:12]) or "none"
    raise BadInput(
        f"The columns {found} match no known format.", hint=f"Known formats: {_ACCEPTED}."
    )


def convert(row: Mapping[str, Any], format: str, line: int = 0) -> Example | None:
    """The example of a row; None for an answer that its users did not like (feedback only).

    A row of text and label has its text as the only message of the user: the instruction with the
    labels comes before it once all labels are known. Raises BadInput.
    """
    if not row.keys() >= set(FORMATS[format]):
        other = detect(row)
        raise BadInput(
            f"The row has the format {other!r}, but earlier rows have {format!r}.",
            hint="Put each format into its own file.",
        )
    if format == "feedback" and not _liked(row):
        return None
    messages = tuple(_CONVERTERS[format](row))
    label = messages[-1]["content"] if format == "labelled" else None
    return Example(messages, label, _tags(row.get("tags")), line)


def _liked(row: Mapping[str, Any]) -> bool:
    rating, score = row["rating"], row.get("score")
    if rating is not None:
        return bool(rating == "up")
    return isinstance(score, int | float) and score >= 0.5


def _tags(found: object) -> dict[str, str]:
    """Other datasets have a column of this name too: what is no mapping is not ours."""
    if isinstance(found, str):
        found = _decoded(found)
    if not isinstance(found, dict):
        return {}
    return {str(key): str(value) for key, value in found.items() if value is not None}


def _decoded(value: object) -> object:
    """A cell of CSV holds lists and objects as JSON text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _chat(row: Mapping[str, Any], column: str = "messages") -> list[Message]:
    messages = _messages(row[column], column)
    if not messages or messages[-1]["role"] != "assistant":
        last = messages[-1]["role"] if messages else "nothing"
        raise BadInput(
            f"The last message of {column!r} is from {last!r}, not from the assistant.",
            hint="Training learns the last message, so it must be the answer.",
        )
    if len(messages) < 2:
        raise BadInput(
            "The conversation contains only the answer.", hint="Add the question before it."
        )
    return messages


def _messages(found: object, column: str) -> list[Message]:
    found = _decoded(found)
    if not isinstance(found, list) or not found:
        raise BadInput(
            f"{column!r} is {_shown(found)}, not a list of messages.",
            hint='Use [{"role": "user", "content": "…"}, {"role": "assistant", …}].',
        )
    messages = [_message(each, f"{column}[{index}]") for index, each in enumerate(found)]
    # Many datasets carry an empty instruction in every row: it says nothing.
    return [m for m in messages if m["content"].strip() or m["role"] != "system"]


def _message(found: object, where: str) -> Message:
    if not isinstance(found, dict):
        raise BadInput(
            f"{where} is {_shown(found)}, not an object.",
            hint='Use {"role": "user", "content": "…"}.',
        )
    said = found.get("role") or found.get("from")
    role = _ROLES.get(said) if isinstance(said, str) else None
    if role is None:
        raise BadInput(
            f"{where} has the unknown role {said!r}.",
            hint="Use system, user or assistant (in ShareGPT also human and gpt).",
        )
    content = found["content"] if "content" in found else found.get("value")
    if isinstance(content, list):
        content = _joined(content, where)
    if role == "system" and content == "":
        return {"role": role, "content": ""}
    return {"role": role, "content": _text(content, f"{where}.content")}


def _joined(parts: list[Any], where: str) -> str:
    """The text of OpenAI's content parts; a picture can't be learned from here."""
    for part in parts:
        if not (isinstance(part, dict) and part.get("type") == "text"):
            raise BadInput(
                f"{where} contains {_shown(part)}.", hint="Only text parts are supported."
            )
    return "".join(_text(part.get("text"), where) for part in parts)


def _completion(row: Mapping[str, Any]) -> list[Message]:
    asked = _conversation(row["prompt"]) or [
        {"role": "user", "content": _text(row["prompt"], "prompt")}
    ]
    answer = _conversation(row["completion"]) or [
        {"role": "assistant", "content": _text(row["completion"], "completion")}
    ]
    return _chat({"messages": [*asked, *answer]})


def _conversation(value: object) -> list[Any] | None:
    """A list of messages. Text that merely is JSON, as an answer may be, is none."""
    found = _decoded(value)
    if isinstance(found, list) and all(isinstance(m, dict) and "role" in m for m in found):
        return found
    return None


def _alpaca(row: Mapping[str, Any]) -> list[Message]:
    question = _text(row["instruction"], "instruction")
    if row.get("input"):
        question += "\n\n" + _text(row["input"], "input")
    messages = _asked(question, _text(row["output"], "output"))
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": _text(row["system"], "system")})
    return messages


def _labelled(row: Mapping[str, Any]) -> list[Message]:
    label = row["label"]
    if isinstance(label, bool):
        label = str(label).lower()
    elif isinstance(label, float) and label.is_integer():
        label = str(int(label))
    elif isinstance(label, int | float) and math.isfinite(label):
        label = str(label)
    label = _text(label, "label").strip()
    if "\n" in label:
        raise BadInput(
            f"The label {_shown(label)} contains a line break.", hint="Use a single line."
        )
    return _asked(_text(row["text"], "text"), label)


def _asked(question: str, answer: str) -> list[Message]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        kind = "missing" if value is None or value != value else f"{_shown(value)}, not text"
        raise BadInput(f"{where!r} is {kind}.", hint="Fill it in, or remove the row.")
    if not value.strip():
        raise BadInput(f"{where!r} is empty.", hint="Fill it in, or remove the row.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"{where!r} is not valid UTF-8 at character {error.start + 1}.",
            hint="Save the file as UTF-8.",
        ) from None
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


_CONVERTERS: dict[str, Callable[[Mapping[str, Any]], list[Message]]] = {
    "feedback": _chat,
    "chat": _chat,
    "sharegpt": lambda row: _chat(row, "conversations"),
    "completion": _completion,
    "alpaca": _alpaca,
    "labelled": _labelled,
}
