"""A structured reply of any chat model: asked for by its schema, validated, and repaired once.

    plan = structured_reply(model, prompt, Plan)                     # a pydantic class
    plan = structured_reply(model, prompt, Plan, check=problem_of)   # and a rule of your own
    data = structured_reply(model, prompt, schema, accept=wider)     # "9,50 €" for 9.5

A model that follows the schema can still be wrong about values: `check` names the problem, and the
model gets one more turn that quotes it. Errors of the call itself are left to the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from seedbed.errors import InvalidReply
from seedbed.structured.schemas import parse_reply
from seedbed.structured.validator import Schema

_MAX_PROBLEM = 1000  # characters of a problem that are sent back
_MAX_REPLY = 20_000  # and of the reply that has it


def structured_reply(
    model: BaseChatModel,
    prompt: str | Sequence[BaseMessage],
    schema: Schema | type[Any],
    *,
    check: Callable[[Any], str | None] | None = None,
    accept: Schema | None = None,
    **options: Any,
) -> Any:
    """The reply as an instance of a pydantic class, or as plain data for another schema.

    `check` returns the problem of a valid reply, or None; `accept` is a wider schema than the one
    that the model is sent, for a caller that can repair values. `options` are passed to each call
    (`config`, `timeout` …). Raises InvalidReply if the second reply is invalid, too, and whatever
    the model raises.

    >>> from seedbed.models.scripted import ScriptedChatModel
    >>> model = ScriptedChatModel(replies=["[1]", "[1, 2]"])
    >>> rule = lambda numbers: None if len(numbers) == 2 else "There must be two."
    >>> structured_reply(model, "Two numbers.", {"type": "array"}, check=rule)
    [1, 2]
    """
    messages = [HumanMessage(prompt)] if isinstance(prompt, str) else list(prompt)
    structured = model.with_structured_output(schema, include_raw=True)
    for attempt in (1, 2):
        # 1. Ask.
        reply: Any = structured.invoke(messages, **options)
        parsed, problem = reply["parsed"], reply["parsing_error"]
        if problem and accept is not None:
            parsed, problem = _parse(reply["raw"].text, accept)
        # 2. Check what the schema cannot express.
        if problem is None and check is not None:
            problem = check(parsed)
        if not problem:
            return parsed
        # 3. Quote the problem in another turn. The reply goes back as text, as a tool call without
        #    its result is refused.
        if attempt == 1:
            messages += [
                AIMessage(str(reply["raw"].text).strip()[:_MAX_REPLY] or "(empty)"),
                HumanMessage(
                    f"This answer cannot be used: {str(problem)[:_MAX_PROBLEM]}\n"
                    "Answer again, with the mistake corrected."
                ),
            ]
    raise problem if isinstance(problem, InvalidReply) else InvalidReply(str(problem))


def _parse(text: str, schema: Schema) -> tuple[Any, InvalidReply | None]:
    try:
        return parse_reply(text, schema), None
    except InvalidReply as error:
        return None, error
