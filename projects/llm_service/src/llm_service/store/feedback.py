"""Stores users' feedback on answers, and exports rated answers as training data.

Answers are identified by their response id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import select

from llm_service.store import tables
from llm_service.store.accounting import Accounting
from llm_service.store.database import Database, storable
from seedbed.database.database import upsert
from seedbed.errors import BadInput, NotFound

Rating = Literal["up", "down"]
MAX_CORRECTION = 100_000
"""Characters of the answer that would have been right."""
_PAGE = 200


def add(
    database: Database,
    response_id: str,
    rating: Rating | None = None,
    score: float | None = None,
    comment: str = "",
    correction: str = "",
    *,
    key_id: str | None = None,
    accounting: Accounting | None = None,
) -> None:
    """Store feedback; a second one for the same answer replaces the first.

    `key_id`: only answers of this key may be rated; None: all. With `accounting`, records that are
    still to be written count too (this may wait 2 s: call it in a thread). Raises BadInput, also
    for an answer whose content was not stored, and NotFound for an unknown answer.
    """
    comment = storable(comment, "comment", 4000)
    correction = storable(correction, "correction", MAX_CORRECTION)
    if rating is None and score is None and not comment and not correction:
        hint = "Send a rating, a score, a comment or a correction."
        raise BadInput("The feedback is empty.", hint=hint)
    has_content = _is_kept(database, storable(response_id, "response_id"), key_id, accounting)
    if has_content is None:
        raise NotFound(
            f"Unknown response_id {response_id!r}, or the answer belongs to another key."
        )
    if not has_content:
        raise BadInput(
            f"The answer {response_id!r} was not kept, so it cannot be rated.",
            hint="The operator sets SERVICE_KEEP_CONTENT=rated.",
        )
    row = {"response_id": response_id, "at": datetime.now(UTC), "rating": rating}
    row |= {"score": score, "comment": comment, "correction": correction}
    with database.writing() as connection:
        connection.execute(upsert(connection, tables.feedback, row))


def export(database: Database, rating: Rating | None = "up") -> Iterator[dict[str, Any]]:
    """Chat answers with stored content: those with `rating` or a correction; None: with feedback.

    Each: {"messages" (the last is the correction, or else the answer), "rating", "score",
    "comment", "correction", "model", "response_id", "prompt"}, in no special order. Read page by
    page: no transaction is open between them.
    """
    usage, feedback = tables.usage.c, tables.feedback.c
    query = (
        select(feedback.response_id, feedback.rating, feedback.score, feedback.comment)
        .add_columns(feedback.correction)
        .add_columns(usage.model_used.label("model"), usage.prompt, usage.messages, usage.answer)
        .join_from(tables.feedback, tables.usage, usage.response_id == feedback.response_id)
        .where(usage.kind == "chat", usage.messages.is_not(None), usage.answer.is_not(None))
        .order_by(feedback.response_id)
        .limit(_PAGE)
    )
    if rating is not None:
        query = query.where((feedback.rating == rating) | (feedback.correction != ""))
    last = ""
    while True:
        with database.reading() as connection:
            page = connection.execute(query.where(feedback.response_id > last)).mappings().all()
        for record in page:
            row = dict(record)
            answer, correction = row.pop("answer"), row["correction"]
            last_message = {"role": "assistant", "content": correction or answer}
            yield {"messages": [*json.loads(row.pop("messages")), last_message], **row}
        if len(page) < _PAGE:
            return
        last = page[-1]["response_id"]


def _is_kept(
    database: Database, response_id: str, key_id: str | None, accounting: Accounting | None
) -> bool | None:
    """Whether an answer's text is stored; None for an answer that is not known."""
    column = tables.usage.c
    query = select(column.answer.is_not(None)).where(column.response_id == response_id)
    if key_id is not None:
        query = query.where(column.key_id == key_id)
    if not response_id:  # refused requests have none
        return None
    if accounting is not None:
        accounting.flush()
    with database.reading() as connection:
        has_content = connection.execute(query).scalar()
    return None if has_content is None else bool(has_content)
