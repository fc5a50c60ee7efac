"""The body of `/v1/responses` (text and functions), translated into an Ask of kind "chat".

Nothing is stored: `store` may be true or absent, and the answer has `"store": false`. What needs
a store or OpenAI's own tools is refused here by name; no backend ever sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from llm_service.protocol.body import Part, Sampled, invalid, refuse_unsupported
from llm_service.protocol.chat import check_functions
from llm_service.protocol.responses.input import messages_of

_REFUSED = (
    *("previous_response_id", "conversation", "include", "prompt", "max_tool_calls", "moderation"),
    *("context_management", "access_programs", "image", "background_options"),
    "prompt_cache_options",
)
# These mean in a chat's body what they mean here.
_SAME = (
    *("temperature", "top_p", "top_k", "min_p", "seed", "stop", "ignore_eos", "min_tokens"),
    *("frequency_penalty", "presence_penalty", "repetition_penalty", "logit_bias"),
    *("parallel_tool_calls", "metadata", "user", "service_tier", "safety_identifier"),
    *("prompt_cache_key", "prompt_cache_retention", "top_logprobs"),
)


class FunctionTool(Part):
    """A function in the flat form; other types are tools that only OpenAI runs."""

    model_config = ConfigDict(extra="allow", strict=True)
    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionChoice(Part):
    model_config = ConfigDict(extra="allow", strict=True)
    type: str
    name: str | None = None


class TextFormat(Part):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = Field(None, pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class Text(Part):
    format: TextFormat | None = None
    verbosity: Any = None


class Reasoning(Part):
    effort: Any = None
    summary: None = None
    generate_summary: None = None


class ResponsesRequest(Sampled):
    """OpenAI's Responses API with text and tools. Responses are not stored."""

    passed_on: ClassVar[frozenset[str]] = frozenset(_REFUSED)
    input: str | Annotated[list[dict[str, Any]], Field(fail_fast=True)]
    instructions: str | None = None
    tools: Annotated[list[FunctionTool], Field(fail_fast=True)] | None = Field(None, max_length=128)
    tool_choice: Literal["auto", "none", "required"] | FunctionChoice | None = None
    text: Text | None = None
    max_output_tokens: int | None = Field(None, ge=1, le=10_000_000)
    truncation: Literal["auto", "disabled"] | None = None
    store: bool | None = Field(
        None, description="Accepted for compatibility; responses are never stored."
    )
    reasoning: Reasoning | None = None
    service_tier: Any = None
    prompt_cache_retention: Any = None
    background: bool | None = None

    @property
    def most_tokens(self) -> int | None:
        return self.max_output_tokens

    def check(self) -> None:
        super().check()
        refuse_unsupported(self._beyond())
        self._chat = {"messages": messages_of(self.input, self.instructions)}
        self._chat |= self._sampling() | self._functions()

    def _beyond(self) -> list[str]:
        unsupported = [name for name in _REFUSED if self._fields.get(name) not in (None, [])]
        unsupported += ["background"] if self.background else []
        unsupported += ["truncation"] if self.truncation == "auto" else []
        tools = enumerate(self.tools or ())
        unsupported += [
            f"tools.{at}.type ({tool.type[:40]})" for at, tool in tools if tool.type != "function"
        ]
        choice = self.tool_choice
        if isinstance(choice, FunctionChoice) and choice.type != "function":
            unsupported.append("tool_choice.type")
        return unsupported

    def _sampling(self) -> dict[str, Any]:
        body = {name: self._fields[name] for name in _SAME if name in self._fields}
        if self.max_output_tokens is not None:
            body["max_completion_tokens"] = self.max_output_tokens
        if self.top_logprobs:
            body["logprobs"] = True
        if self.reasoning is not None and self.reasoning.effort is not None:
            body["reasoning_effort"] = self.reasoning.effort
        text = self.text or Text()
        if text.verbosity is not None:
            body["verbosity"] = text.verbosity
        if text.format is not None and text.format.type != "text":
            body["response_format"] = _response_format(text.format)
        return body

    def _functions(self) -> dict[str, Any]:
        tools = self.tools or []
        names = check_functions(
            [(f"tools.{at}", t.name, t.parameters) for at, t in enumerate(tools)]
        )
        choice: Any = self.tool_choice
        if choice == "required" and not tools:
            raise invalid("tool_choice", "'required' needs at least one tool")
        if isinstance(choice, FunctionChoice):
            if choice.name not in names:
                raise invalid("tool_choice", f"{str(choice.name)[:60]!r} is not among the tools")
            choice = {"type": "function", "function": {"name": choice.name}}
        body: dict[str, Any] = {"tools": [_as_chat(tool) for tool in tools]} if tools else {}
        return body | ({"tool_choice": choice} if choice is not None else {})

    def echo(self) -> dict[str, Any]:
        """What the response repeats of the request."""
        return {
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "metadata": self.metadata or {},
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "temperature": self.temperature,
            "reasoning": {"effort": None, "summary": None, **self._fields.get("reasoning", {})},
            "text": {"format": {"type": "text"}} | _without_nulls(self._fields.get("text", {})),
            "tool_choice": self._fields.get("tool_choice", "auto"),
            "tools": [
                {"description": None, "parameters": None, "strict": None, **tool}
                for tool in self._fields.get("tools", ())
            ],
            "top_p": self.top_p,
            "truncation": "disabled",
            "user": self.user,
        }


def _without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _response_format(form: TextFormat) -> dict[str, Any]:
    if form.type != "json_schema":
        return {"type": form.type}
    if form.schema_ is None:
        raise invalid("text.format.schema", "is missing")
    inner: dict[str, Any] = {"name": form.name or "answer", "schema": form.schema_}
    inner |= {"description": form.description} if form.description is not None else {}
    inner |= {"strict": form.strict} if form.strict is not None else {}
    return {"type": "json_schema", "json_schema": inner}


def _as_chat(tool: FunctionTool) -> Mapping[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": _without_nulls(function)}
