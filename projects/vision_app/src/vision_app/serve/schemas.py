"""Request and response bodies of the HTTP API, with the examples in its OpenAPI document.

    AskRequest.model_validate({"image": "data:image/png;base64,…", "question": "Who sent it?"})

Each request is sent as JSON, with `image` or `url`, or as a multipart form with the picture as
`file` and the other fields beside it. Responses may have more fields than are described here.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from seedbed.server.service import CleanText

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="
)
Label = Annotated[CleanText, Field(min_length=1, max_length=200)]
Text = Annotated[CleanText, Field(min_length=1, max_length=1000)]
Count = Annotated[int, Field(ge=1, le=100)]


def _utf8(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(schema, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("contains text that is not valid Unicode") from None
    return schema


JsonSchema = Annotated[dict[str, Any], AfterValidator(_utf8)]
BoxJson = Annotated[
    list[float],
    Field(
        min_length=4, max_length=4, description="Left, top, right, bottom in pixels of the image."
    ),
]


class ImageRequest(BaseModel):
    """The image: exactly one of `image`, `url` and, in a form, `file`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"image": PIXEL}]})

    image: str | None = Field(None, description="Image or PDF as base64 or as a data URL.")
    url: CleanText | None = Field(
        None, max_length=2000, description="Address of the image. Only with VISION_ALLOW_URLS=1."
    )
    name: CleanText = Field("", max_length=200, description="File name, for messages and results.")


class ClassifyRequest(ImageRequest):
    k: Count = Field(5, description="Number of labels.")


class ReadRequest(ImageRequest):
    format: Literal["json", "text", "hocr"] = "json"


class ExtractRequest(ImageRequest):
    # A name only, never a path: callers must not read files of the server.
    json_schema: Literal["invoice", "receipt"] | JsonSchema = Field(
        "invoice", alias="schema", description="`invoice`, `receipt` or a JSON Schema of your own."
    )

    @field_validator("json_schema", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:  # in a form, a schema is text
        if isinstance(value, str) and value.lstrip().startswith("{"):
            with suppress(ValueError, RecursionError):
                return json.loads(value)
        return value


class AskRequest(ImageRequest):
    question: Text = Field(examples=["What is the total?"])


class ExplainRequest(ImageRequest):
    label: Label | None = Field(None, description="Class to explain. Default: the most likely one.")
    format: Literal["png", "json"] = Field("png", description="`json` has the PNG as base64.")


class SearchRequest(ImageRequest):
    text: Text | None = Field(None, description="Words to search for, instead of an image.")
    k: Count = Field(10, description="Number of images.")


class AnnotateRequest(ImageRequest):
    marks: Literal["text", "fields"] = Field(
        "text", description="Mark all words, or the evidence of the fields of `schema`."
    )
    json_schema: Literal["invoice", "receipt"] = Field("invoice", alias="schema")
    page: int = Field(1, ge=1, description="Page of a PDF, from 1.")


class DetectRequest(ImageRequest):
    labels: list[Label] = Field(
        min_length=1, max_length=50, description="What to look for; in a form, separated by commas."
    )

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("labels"), str):
            labels = [label.strip() for label in data["labels"].split(",")]
            return {**data, "labels": [label for label in labels if label]}
        return data


class _Response(BaseModel):
    model_config = ConfigDict(extra="allow")


class LabelJson(_Response):
    label: str
    confidence: float = Field(description="Calibrated, 0 to 1.")


class Classification(_Response):
    file: str
    labels: list[LabelJson] = Field(description="Most likely first.")
    sure: bool = Field(description="False if the first is below VISION_MIN_CONFIDENCE.")


class Evidence(_Response):
    text: str
    box: BoxJson
    page: int = Field(description="From 1.")
    confidence: float = Field(description="0 to 1.")


class Extraction(_Response):
    file: str
    fields: dict[str, Any] = Field(description="A field that is not on the page is null.")
    evidence: dict[str, Evidence] = Field(description="The words each field came from.")
    warnings: list[str]


class Description(_Response):
    file: str
    description: str


class AnswerJson(_Response):
    answer: str


class Hit(_Response):
    file: str
    score: float = Field(description="Higher is more similar.")


class Detection(_Response):
    label: str
    confidence: float
    box: BoxJson


class Detections(_Response):
    detections: list[Detection]


class ErrorDetail(BaseModel):
    type: str = Field(description="Machine-readable kind of the error, e.g. `too_large`.")
    message: str = Field(description="What went wrong, and what to do about it.")
    request_id: str = Field(description="Also in the `X-Request-Id` header and in the log.")


class ErrorResponse(BaseModel):
    error: ErrorDetail


_ERROR_STATUS = {
    400: "The request or the image is invalid",
    401: "Missing or invalid API key",
    413: "The body, the file or the image is larger than the limit",
    429: "The queue is full; retry after the seconds in `Retry-After`",
    503: "An optional part is not installed or not configured",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text} for status, text in _ERROR_STATUS.items()
} | {"default": {"model": ErrorResponse, "description": "Any other error"}}
PNG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}


def request_body(model: type[ImageRequest]) -> dict[str, Any]:
    """The OpenAPI description of a request in its two forms, for a route's `openapi_extra`.

    >>> list(request_body(ClassifyRequest)["requestBody"]["content"])
    ['application/json', 'multipart/form-data']
    """
    schema = model.model_json_schema()
    form = {**schema, "properties": {**schema["properties"]}}
    form["properties"]["file"] = {
        "type": "string",
        "format": "binary",
        "description": "Image or PDF.",
    }
    del form["properties"]["image"]
    form.pop("examples", None)
    content = {"application/json": {"schema": schema}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}
