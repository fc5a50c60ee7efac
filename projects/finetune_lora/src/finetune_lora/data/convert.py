"""One row's columns → one Example: which format they are, and what is wrong with a row."""

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
    "completion": ("prompt", "completion"),
    "labelled": ("text", "label"),
}
_KNOWN = ("messages", "prompt", "completion", "text", "label")
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


def detect(names: Iterable[str]) -> str:
    """The format with these columns. Raises BadInput, with their names, if there is none."""
    there = set(names)
    for name, needed in FORMATS.items():
        if there.issuperset(needed):
            return name
    columns = ", ".join(repr(c) for c in sorted(there, key=str)[:12]) or "none"
    raise BadInput(
        f"The columns {columns} match no known format.",
        hint="Known formats: messages · prompt, completion · text, label. Rename columns with "
        "--columns, e.g. text=description,label=section.",
    )


def parse_columns(spec: str) -> dict[str, str]:
    """`text=description,label=section` as {name in the file: known name}. Raises BadInput.

    >>> parse_columns("text=description,label=section")
    {'description': 'text', 'section': 'label'}
    """
    columns: dict[str, str] = {}
    for pair in filter(None, spec.split(",")):
        name, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not column or name not in _KNOWN:
            raise BadInput(
                f"Invalid --columns {spec!r}: {pair!r}.",
                hint=f"Use NAME=COLUMN with the names {', '.join(_KNOWN)}.",
            )
        columns[column] = name
    return columns


def renamed(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The row with known names: those of `columns`, and others in any case, such as Text and LABEL.

    Raises BadInput for a column of `columns` that the row does not have.
    """
    missing = [column for column in columns if column not in row]
    if missing:
        there = ", ".join(repr(column) for column in list(row)[:12])
        raise BadInput(f"Unknown column {missing[0]!r} in --columns.", hint=f"Available: {there}.")
    names = {column: columns.get(column, column) for column in row}
    for column in row:
        folded = str(column).strip().casefold()
        if folded in _KNOWN and folded not in names.values():
            names[column] = folded
    # A column that is replaced by a renamed one is left out.
    return {
        name: row[column]
        for column, name in names.items()
        if column in columns or name not in columns.values()
    }


def convert(row: Mapping[str, Any], format: str, line: int = 0) -> Example | None:
    """The example of a row; None for an answer rated down and not corrected (feedback only).

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
    if row.get("correction"):  # it is the last message
        return True
    rating, score = row["rating"], row.get("score")
    if rating is not None:
        return bool(rating == "up")
    return isinstance(score, int | float) and score >= 0.5


def _tags(value: object) -> dict[str, str]:
    """Other datasets have a column of this name too: anything but a mapping is not ours."""
    if isinstance(value, str):
        value = _decoded(value)
    if not isinstance(value, dict):
        return {}
    return {str(key): str(tag) for key, tag in value.items() if tag is not None}


def _decoded(value: object) -> object:
    """A cell of CSV contains lists and objects as JSON text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _chat(row: Mapping[str, Any]) -> list[Message]:
    messages = _messages(row["messages"])
    if not messages or messages[-1]["role"] != "assistant":
        last = messages[-1]["role"] if messages else "nothing"
        raise BadInput(
            f"The last message is from {last!r}, not from the assistant.",
            hint="Training learns the last message, so it must be the answer.",
        )
    if len(messages) < 2:
        raise BadInput(
            "The conversation contains only the answer.", hint="Add the question before it."
        )
    return messages


def _messages(value: object) -> list[Message]:
    value = _decoded(value)
    if not isinstance(value, list) or not value:
        raise BadInput(
            f"'messages' is {_shown(value)}, not a list of messages.",
            hint='Use [{"role": "user", "content": "…"}, {"role": "assistant", …}].',
        )
    messages = [_message(each, f"messages[{index}]") for index, each in enumerate(value)]
    # Many datasets carry an empty instruction in every row: it is left out.
    return [m for m in messages if m["content"].strip() or m["role"] != "system"]


def _message(value: object, where: str) -> Message:
    if not isinstance(value, dict):
        raise BadInput(
            f"{where} is {_shown(value)}, not an object.",
            hint='Use {"role": "user", "content": "…"}.',
        )
    author = value.get("role") or value.get("from")
    role = _ROLES.get(author) if isinstance(author, str) else None
    if role is None:
        raise BadInput(
            f"{where} has the unknown role {author!r}.",
            hint="Use system, user or assistant (in ShareGPT also human and gpt).",
        )
    content = value["content"] if "content" in value else value.get("value")
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
    prompt = _conversation(row["prompt"]) or [
        {"role": "user", "content": _text(row["prompt"], "prompt")}
    ]
    answer = _conversation(row["completion"]) or [
        {"role": "assistant", "content": _text(row["completion"], "completion")}
    ]
    return _chat({"messages": [*prompt, *answer]})


def _conversation(value: object) -> list[Any] | None:
    """A list of messages; None for other values, such as an answer that happens to be JSON."""
    messages = _decoded(value)
    if isinstance(messages, list) and all(isinstance(m, dict) and "role" in m for m in messages):
        return messages
    return None


def _labelled(row: Mapping[str, Any]) -> list[Message]:
    label = row["label"]
    if isinstance(label, list):
        raise BadInput(
            f"The row has a list of labels: {_shown(label)}.",
            hint="A row has one label; several per row are not supported.",
        )
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
    "completion": _completion,
    "labelled": _labelled,
}
