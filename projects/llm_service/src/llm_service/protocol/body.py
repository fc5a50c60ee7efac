"""What the bodies of all routes share: their checks, and the fields that several of them have.

Routes and models are left to other modules. Every error is a `BadParameter` that names the field.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler

from llm_service.request import Ask, Kind
from seedbed.errors import BadInput

MAX_DEPTH = 64
Code = Literal["invalid_value", "unknown_parameter", "unsupported_parameter"]
_BAD = re.compile("[\0\ud800-\udfff]")
_FIELD = re.compile(r"[a-z][a-z0-9_]*")
_NOT_ASKED = ("model", "stream", "stream_options")  # an `Ask` has them outside its body
# Names that pydantic puts into a place where a field may be of several types.
_TYPES = {"str", "int", "float", "bool", "dict", "list", "constrained"}


class BadParameter(BadInput):
    """A field of a request that can't be used. `param` is its name, `code` OpenAI's word for why.

    Its `type` stays `bad_input`, so that clients need to know one name only.
    """

    type = "bad_input"

    def __init__(
        self, message: str, *, param: str, code: Code = "invalid_value", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.param = param
        self.code = code
        self.details = {"param": param, "code": code}


def invalid(param: str, why: str, hint: str = "") -> BadParameter:
    return BadParameter(f"{param}: {why}.", param=param, hint=hint)


def unknown(name: str) -> BadParameter:
    name = name.encode(errors="replace").decode()[:100]
    message = f"Unknown parameter: {name!r}."
    return BadParameter(message, param=name, code="unknown_parameter", hint="Remove it.")


def refuse_unsupported(names: Sequence[str]) -> None:
    """Raise BadParameter with the names of unsupported fields, if there are any."""
    if names:
        raise BadParameter(
            f"Not supported by this model: {', '.join(names)}.",
            param=names[0].split(" ")[0],
            code="unsupported_parameter",
            hint="Remove it, or use a model that supports it.",
        )


def new_id(prefix: str) -> str:
    """`prefix` (chatcmpl, cmpl, resp, …) and 32 hex digits that cannot be guessed."""
    separator = "_" if prefix in ("resp", "msg", "fc", "call") else "-"
    return f"{prefix}{separator}{uuid.uuid4().hex}"


def check_json(value: Any, param: str) -> None:
    """Raise BadParameter for NUL characters, lone surrogates, numbers that aren't finite, and
    more than MAX_DEPTH levels. Works level by level: no depth of input can overflow the stack.
    """
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise invalid(param, f"is nested deeper than {MAX_DEPTH} levels")
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if "\0" in item or (not item.isascii() and _BAD.search(item)):
                    raise invalid(param, "contains a NUL character or half a surrogate pair")
            elif isinstance(item, dict):
                below += item
                below += item.values()
            elif isinstance(item, list):
                if set(map(type, item)) != {int}:  # a long list of token ids has nothing to check
                    below += item
            elif isinstance(item, float) and not math.isfinite(item):
                raise invalid(param, f"{item} is not a valid JSON number")
        level = below


def call_arguments(text: str, param: str) -> str:
    """The arguments of an earlier tool call, which some models leave empty instead of `{}`.

    Raises BadParameter, without repeating them, unless they are a JSON object.
    """
    try:
        if isinstance(json.loads(text or "{}"), dict):
            return text or "{}"
    except (ValueError, RecursionError):
        pass
    raise invalid(param, "should be a JSON object")


def bad_parameter(complaints: Sequence[Mapping[str, Any]]) -> BadParameter:
    """Pydantic's complaints as one error: the deepest, which is the most exact of a union's."""
    error = max(complaints, key=lambda e: len(e["loc"]))
    place = [p for p in error["loc"] if isinstance(p, int) or _FIELD.fullmatch(str(p))]
    if error["type"] == "extra_forbidden":
        return unknown(".".join(map(str, error["loc"])))
    param = ".".join(str(p) for p in place if p not in _TYPES) or "body"
    if error["type"] == "missing":
        return invalid(param, "is missing")
    why = str(error["msg"]).removeprefix("Input ").rstrip(".")
    if error["type"] in ("model_type", "dict_type"):
        why = "should be an object"
    value = error.get("input")
    if isinstance(value, str | int | float):
        why += f", not {value!r}" if len(repr(value)) <= 60 else f", not {repr(value)[:57]}…"
    return invalid(param, why)


class Part(BaseModel):
    """An object of a body. JSON types are not converted: "1" is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StreamOptions(Part):
    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None
    continuous_usage_stats: Literal[False] | None = None


class Body(Part):
    """A request's body. Raises BadParameter, never pydantic's own error.

    Which fields a local model refuses is in `models.local.unsupported`.
    """

    kind: ClassVar[Kind] = "chat"
    passed_on: ClassVar[frozenset[str]] = frozenset()
    """Further fields, which upstreams know and which are not looked into here."""
    model: str | None = Field(
        None, max_length=256, description="Default: the server's default model."
    )
    user: Annotated[str | None, Field(max_length=512)] = None
    _fields: dict[str, Any] = PrivateAttr(default_factory=dict)  # as sent, without nulls
    _chat: dict[str, Any] = PrivateAttr(default_factory=dict)  # of another protocol, by `check`

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, cls):
            return data
        if not isinstance(data, dict):
            hint = "Send it with `content-type: application/json`."  # else it comes as bytes
            why = "should be a JSON object"
            raise invalid("body", why, hint if isinstance(data, bytes) else "")
        fields = {}
        for name, value in data.items():
            if name in cls.model_fields:
                fields[name] = value
            elif name not in cls.passed_on:
                raise unknown(str(name))
            check_json(value, name)
        try:
            body = handler(fields)
        except ValidationError as error:
            raise bad_parameter(error.errors(include_url=False)) from None
        body._fields = {name: value for name, value in data.items() if value is not None}
        body.check()
        return body

    def check(self) -> None:
        """Raise BadParameter for fields that don't go together."""

    @property
    def streams(self) -> bool:
        return bool(self._fields.get("stream"))

    @property
    def include_usage(self) -> bool:
        return bool((self._fields.get("stream_options") or {}).get("include_usage"))

    def ask(self, *, user: str = "", request_id: str = "") -> Ask:
        """What the client asks; its own `user` goes before the caller's."""
        return Ask(
            kind=self.kind,
            model=self.model or "",
            body=self._chat or {k: v for k, v in self._fields.items() if k not in _NOT_ASKED},
            stream=self.streams,
            user=self.user or user,
            request_id=request_id,
        )


# A list of a million wrong things must not make a million complaints.
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Texts = Annotated[list[str], Field(fail_fast=True)]
TokenIds = Annotated[list[TokenId], Field(fail_fast=True)]
TokenLists = Annotated[list[TokenIds], Field(fail_fast=True)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(fail_fast=True),
]


class Sampled(Body):
    """How the answer of a chat is sampled and sent: OpenAI's fields, and vLLM's beside them."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=1_000_000, description="0 or -1 disables it.")
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: str | Texts | None = Field(None, description="Up to 4 strings at which the answer ends.")
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    ignore_eos: bool | None = None
    min_tokens: int | None = Field(None, ge=0, le=10_000_000)
    logit_bias: Annotated[dict[str, float], Field(fail_fast=True)] | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    parallel_tool_calls: bool | None = None
    metadata: Metadata | None = Field(None, max_length=16)
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None

    def check(self) -> None:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stops) > 4 or "" in stops:
            raise invalid("stop", "should be one to four non-empty strings")
        if self.stream_options is not None and not self.stream:
            raise invalid("stream_options", "requires stream=true")
        if self.min_tokens and self.most_tokens and self.min_tokens > self.most_tokens:
            raise invalid("min_tokens", f"{self.min_tokens} is more than {self.most_tokens}")

    @property
    def most_tokens(self) -> int | None:
        """The limit of the answer, if the request sets one."""
        raise NotImplementedError


NEUTRAL: dict[str, Sequence[Any]] = {
    **dict.fromkeys(("n", "repetition_penalty", "length_penalty"), (1,)),
    **dict.fromkeys(("frequency_penalty", "presence_penalty", "min_tokens", "min_p"), (0,)),
    **dict.fromkeys(("top_logprobs", "prompt_logprobs", "priority"), (0,)),
    **dict.fromkeys(("logprobs", "ignore_eos", "store", "include_stop_str_in_output"), (False,)),
    **dict.fromkeys(("skip_special_tokens", "add_generation_prompt"), (True,)),
    "continue_final_message": (False,),
    "spaces_between_special_tokens": (True, False),
    "top_k": (0, -1),
    "logit_bias": ({},),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    **dict.fromkeys(("audio", "moderation", "prediction", "prompt_cache_options"), ()),
    **dict.fromkeys(("prompt_cache_retention", "web_search_options"), ()),
    # vLLM's.
    **dict.fromkeys(("stop_token_ids", "bad_words", "allowed_token_ids", "echo"), ()),
    **dict.fromkeys(("truncate_prompt_tokens", "structured_outputs", "chat_template"), ()),
    **dict.fromkeys(("guided_json", "guided_regex", "guided_choice", "guided_grammar"), ()),
    **dict.fromkeys(("chat_template_kwargs", "documents", "mm_processor_kwargs"), ()),
}
"""Fields that not every model supports, with the values that have no effect. Those that are not in
the class of a body are passed on to upstreams without a check."""


def asked_beyond(body: Mapping[str, Any], can: frozenset[str]) -> list[str]:
    """The fields of `body` that are not in `can` and whose value has an effect."""
    return [
        name
        for name, value in body.items()
        if name not in can and value not in NEUTRAL.get(name, ())
    ]
