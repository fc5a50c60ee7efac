"""One row's columns → one Example: which format they are, and what is wrong with a row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from finetune_lora.example import Example, Message
from seedbed.errors import BadInput

# Required columns: a file has the first format whose columns are all in its first row.
FORMATS: dict[str, tuple[str, ...]] = {
    "feedback": ("messages", "response_id", "rating"),  # rated answers of a chat service
    "chat": ("messages",),
    "completion": ("prompt", "completion"),
    "labelled": ("text", "label"),
}
_KNOWN = ("messages", "prompt", "completion", "text", "label")


def detect(names: Iterable[str]) -> str:
    """The format with these columns. Raises BadInput, with their names, if there is none."""
    available = set(names)
    for name, needed in FORMATS.items():
        if available.issuperset(needed):
            return name
    columns = ", ".join(repr(c) for c in sorted(available, key=str)[:12]) or "none"
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
    for column in columns:
        if column not in row:
            available = ", ".join(map(repr, list(row)[:12]))
            hint = f"Available: {available}."
            raise BadInput(f"Unknown column {column!r} in --columns.", hint=hint)
    # 1. The columns of --columns; another column of the same name is left out.
    result = {name: row[column] for column, name in columns.items()}
    # 2. Columns that have a known name as they are, before those in another case.
    others = [column for column in row if column not in columns]
    for column in sorted(others, key=lambda column: column not in _KNOWN):
        folded = str(column).strip().casefold()
        is_known = folded in _KNOWN and folded not in result
        result.setdefault(folded if is_known else column, row[column])
    return result


def convert(row: Mapping[str, Any], format: str, line: int = 0) -> Example | None:
    """The example of a row; None for an answer rated down and not corrected (feedback only).

    A row of text and label has its text as the only message of the user: the instruction with the
    labels comes before it once all labels are known. Raises BadInput.
    """
    if not row.keys() >= set(FORMATS[format]):
        raise BadInput(
            f"The row has the format {detect(row)!r}, but earlier rows have {format!r}.",
            hint="Put each format into its own file.",
        )
    if format == "feedback" and not _liked(row):
        return None
    to_messages = {"completion": _completion, "labelled": _labelled}.get(format, _chat)
    messages = tuple(to_messages(row))
    label = messages[-1]["content"] if format == "labelled" else None
    value = row.get("tags")
    # Other datasets have a column of this name too: anything but an object is not ours.
    pairs = value.items() if isinstance(value, dict) else ()
    tags = {_text(k, "tags"): _text(str(v), "tags") for k, v in pairs if v not in (None, "")}
    return Example(messages, label, tags, line)


def _liked(row: Mapping[str, Any]) -> bool:
    if row.get("correction"):  # it is the last message
        return True
    rating, score = row["rating"], row.get("score")
    if rating is not None:
        return bool(rating == "up")
    return isinstance(score, int | float) and score >= 0.5


def _chat(row: Mapping[str, Any]) -> list[Message]:
    value = row["messages"]
    if not isinstance(value, list) or not value:
        raise BadInput(
            f"'messages' is {_short(value)}, not a list of messages.",
            hint='Use [{"role": "user", "content": "…"}, {"role": "assistant", …}].',
        )
    messages = [_message(each, f"messages[{index}]") for index, each in enumerate(value)]
    # Many datasets carry an empty instruction in every row: it is left out.
    messages = [m for m in messages if m["content"] or m["role"] != "system"]
    last = messages[-1]["role"] if messages else "nothing"
    if last != "assistant":
        raise BadInput(
            f"The last message is from {last!r}, not from the assistant.",
            hint="Training learns the last message, so it must be the answer.",
        )
    if len(messages) < 2:
        raise BadInput(
            "The conversation contains only the answer.", hint="Add the question before it."
        )
    return messages


def _message(value: object, where: str) -> Message:
    if not isinstance(value, dict):
        hint = 'Use {"role": "user", "content": "…"}.'
        raise BadInput(f"{where} is {_short(value)}, not an object.", hint=hint)
    role, content = value.get("role"), value.get("content")
    if role not in ("system", "user", "assistant"):
        hint = "Use system, user or assistant."
        raise BadInput(f"{where} has the unknown role {role!r}.", hint=hint)
    if role == "system" and isinstance(content, str) and not content.strip():
        return {"role": role, "content": ""}
    return {"role": role, "content": _text(content, f"{where}.content")}


def _completion(row: Mapping[str, Any]) -> list[Message]:
    messages: list[Any] = []
    for name, role in (("prompt", "user"), ("completion", "assistant")):
        value = row[name]
        if isinstance(value, list):
            messages += value
        else:
            messages.append({"role": role, "content": _text(value, name)})
    return _chat({"messages": messages})


def _labelled(row: Mapping[str, Any]) -> list[Message]:
    label = row["label"]
    if isinstance(label, bool):
        label = str(label).lower()
    elif isinstance(label, int | float) and math.isfinite(label):
        label = str(int(label) if label == int(label) else label)
    return [
        {"role": "user", "content": _text(row["text"], "text")},
        {"role": "assistant", "content": _text(label, "label").strip()},
    ]


def _text(value: object, where: str) -> str:
    hint = "Fill it in, or remove the row."
    if not isinstance(value, str):
        is_missing = value is None or value != value
        kind = "missing" if is_missing else f"{_short(value)}, not text"
        raise BadInput(f"{where!r} is {kind}.", hint=hint)
    if not value.strip():
        raise BadInput(f"{where!r} is empty.", hint=hint)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        problem = f"{where!r} is not valid UTF-8 at character {error.start + 1}."
        raise BadInput(problem, hint="Save the file as UTF-8.") from None
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
