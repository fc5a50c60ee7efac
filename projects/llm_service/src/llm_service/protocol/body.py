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
    """Raise BadParameter naming what `unsupported` of a route found, if anything."""
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

    kind: ClassVar[Kind]
    passed_on: ClassVar[frozenset[str]] = frozenset()
    """Further fields, which upstreams know and which are not looked into here."""
    passes_unknown: ClassVar[bool] = False
    """Whether the gateway decides by the model what happens to unknown fields."""
    model: str | None = Field(
        None, max_length=256, description="Default: the server's default model."
    )
    user: Annotated[str | None, Field(max_length=512)] = None
    _fields: dict[str, Any] = PrivateAttr(default_factory=dict)

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
            elif name not in cls.passed_on and not (cls.passes_unknown and _FIELD.fullmatch(name)):
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
        out = ("model", "stream", "stream_options")
        return Ask(
            kind=self.kind,
            model=self.model or "",
            body={name: value for name, value in self._fields.items() if name not in out},
            stream=self.streams,
            user=self.user or user,
            request_id=request_id,
            unknown=tuple(self._fields.keys() - type(self).model_fields.keys() - self.passed_on),
        )


class ForChat(Body):
    """A body of another protocol, which `check` translates into that of a chat."""

    kind: ClassVar[Kind] = "chat"
    _chat: dict[str, Any] = PrivateAttr(default_factory=dict)

    def ask(self, *, user: str = "", request_id: str = "") -> Ask:
        return Ask(
            kind="chat",
            model=self.model or "",
            body=self._chat,
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


def check_stops(stop: str | list[str] | None) -> None:
    stops = [stop] if isinstance(stop, str) else stop or []
    if len(stops) > 4 or "" in stops:
        raise invalid("stop", "should be one to four non-empty strings")


class Sampled(Body):
    """How an answer is sampled and sent."""

    passes_unknown: ClassVar[bool] = True
    # vLLM's.
    passed_on: ClassVar[frozenset[str]] = frozenset(
        (
            *("stop_token_ids", "include_stop_str_in_output", "skip_special_tokens", "bad_words"),
            *("spaces_between_special_tokens", "length_penalty", "prompt_logprobs", "priority"),
            *("allowed_token_ids", "truncate_prompt_tokens", "structured_outputs"),
            *("guided_json", "guided_regex", "guided_choice", "guided_grammar"),
        )
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=1_000_000, description="0 or -1 disables it.")
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: str | Texts | None = Field(None, description="Up to 4 strings at which the answer ends.")
    n: int | None = Field(None, ge=1, le=16)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    ignore_eos: bool | None = None
    min_tokens: int | None = Field(None, ge=0, le=10_000_000)
    logit_bias: Annotated[dict[str, float], Field(fail_fast=True)] | None = None
    metadata: Metadata | None = Field(None, max_length=16)

    def check(self) -> None:
        check_stops(self.stop)
        if self.stream_options is not None and not self.stream:
            raise invalid("stream_options", "requires stream=true")
        if self.min_tokens and self.most_tokens and self.min_tokens > self.most_tokens:
            raise invalid(
                "min_tokens", f"{self.min_tokens} is more than max_tokens={self.most_tokens}"
            )

    @property
    def most_tokens(self) -> int | None:
        return self.max_tokens


SAMPLING = frozenset(
    (
        *("max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "n", "logprobs"),
        *("frequency_penalty", "presence_penalty", "repetition_penalty"),
        *("ignore_eos", "min_tokens", "user", "metadata"),
    )
)
"""What a local model does of the fields of `Sampled`."""

_NEUTRAL: dict[str, Sequence[Any]] = {
    "logit_bias": ({},),
    "top_logprobs": (0,),
    "min_p": (0,),
    "best_of": (1,),
    "length_penalty": (1,),
    "prompt_logprobs": (0,),
    "priority": (0,),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "store": (False,),
    "suffix": ("",),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True, False),
    "include_stop_str_in_output": (False,),
    "add_generation_prompt": (True,),
    "continue_final_message": (False,),
}


def asked_beyond(body: Mapping[str, Any], can: frozenset[str]) -> list[str]:
    """The fields of `body` outside `can` whose value asks for something."""
    return [
        name
        for name, value in body.items()
        if name not in can and value not in _NEUTRAL.get(name, ())
    ]


def models_list(entries: Sequence[tuple[str, str]], created: int) -> dict[str, Any]:
    """The body of `/v1/models` from (name, owner) pairs; `created` in Unix seconds."""
    return {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": created, "owned_by": owner}
            for name, owner in entries
        ],
    }
