"""The HTTP API: classify, read, extract and ask.

    app = create_app(Vision(config, settings), settings)
    service.serve(app, port=8003)               # what `vision-app serve` runs

    curl -F file=@invoice.png -F schema=invoice http://127.0.0.1:8003/v1/extract

Every request is a form with an image or a PDF as `file`. Below are the forms, then a function for
each route; the work is done in `vision.py`. `gate.py` limits how many requests classify, read text,
or wait for a model at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, FastAPI, Form, Request, UploadFile
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from starlette.concurrency import run_in_threadpool

from vision_app import __version__
from vision_app.files.images import Source
from vision_app.serve.gate import Gate
from vision_app.vision import Vision
from seedbed.server import service
from seedbed.server.service import CleanText, CurrentCaller
from seedbed.server.streaming import until_disconnect
from seedbed.settings import Settings

MAX_SCHEMA = 200_000  # characters: a schema of 1 MB takes seconds to check
FORM_MB = 1  # megabytes allowed for the form around an image
CLASSIFIERS = 2  # images classified at a time: decoding a large one takes 500 MB
READERS = 3  # files read at a time; they take turns at the models, so that short ones go on
MODEL_CALLS = 8  # requests that wait for a vision-language model, which must not hold the OCR
EXAMPLE = {
    "file": "a.png",
    "fields": {"total": 12.5, "date": None},
    "evidence": {
        "total": {"text": "12.50", "box": [20, 20, 33, 30], "page": 1, "confidence": 0.98}
    },
    "warnings": [],
}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request or the image is invalid"},
    401: {"description": "Missing or invalid API key"},
    413: {"description": "The body, the file or the image is larger than the limit"},
    429: {"description": "The queue is full; retry after the seconds in `Retry-After`"},
    503: {"description": "An optional part is not installed or not configured"},
    "default": {"description": "Any error"},
}
FORM = Form(media_type="multipart/form-data")
T = TypeVar("T")


def _utf8(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(schema, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("contains text that is not valid Unicode") from None
    return schema


JsonSchema = Annotated[dict[str, Any], AfterValidator(_utf8)]


class ImageForm(BaseModel):
    """An image or a PDF."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile


class ClassifyForm(ImageForm):
    k: int = Field(5, ge=1, le=100, description="Number of labels.")


class ExtractForm(ImageForm):
    # A name only, never a path: callers must not read files of the server.
    json_schema: Literal["invoice", "receipt"] | JsonSchema = Field(
        "invoice", alias="schema", description="`invoice`, `receipt` or a JSON Schema of your own."
    )

    @field_validator("json_schema", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:  # in a form, a schema is text
        if isinstance(value, str) and len(value) > MAX_SCHEMA:
            raise ValueError(f"has {len(value):,} characters; the maximum is {MAX_SCHEMA:,}")
        if isinstance(value, str) and value.lstrip().startswith("{"):
            with suppress(ValueError, RecursionError):
                return json.loads(value)
        return value


class AskForm(ImageForm):
    question: CleanText = Field(min_length=1, max_length=1000, examples=["What is the total?"])


def create_app(vision: Vision, settings: Settings | None = None) -> FastAPI:
    """The FastAPI application with API and page."""
    from vision_app.serve.page import build_page, sample_css
    from seedbed.server import html, ui

    app = service.create_app(
        "vision_app",
        version=__version__,
        settings=settings,
        max_body_mb=vision.config.max_file_mb + FORM_MB,
    )
    app.include_router(routes(vision))
    styles = html.styles("vision_app.serve") + sample_css()
    ui.mount(app, build_page(vision), path="/", extra_css=styles)
    return app


def routes(vision: Vision) -> APIRouter:
    """All routes under `/v1`."""
    router, limit = APIRouter(prefix="/v1", responses=ERRORS), vision.config.queue
    classifying = Gate(CLASSIFIERS, limit, name="classify")
    reading = Gate(READERS, limit, name="read")
    answering = Gate(MODEL_CALLS, limit, name="model") if vision.language_model else reading

    def open_file(file: UploadFile) -> Source:
        """The uploaded file, which is on disk until then; call this in a thread."""
        return vision.open(file.file.read(), file.filename or "image")

    async def interpret(file: UploadFile, work: Callable[[Source], T], schema: Any = None) -> T:
        """Read the file, then do what a vision-language model does if there is one, or rules.

        `vision` remembers the text. A file whose XML fills the schema is not read.
        """

        def read() -> Source:
            source = open_file(file)
            if schema is None or vision.find_exact(source, schema) is None:
                vision.read(source)
            return source

        source = await reading.run(read)
        return await answering.run(lambda: work(source))

    @router.post("/classify")
    async def classify(
        request: Request, _: CurrentCaller, form: Annotated[ClassifyForm, FORM]
    ) -> Any:
        """Name what is in the image, with a calibrated confidence from 0 to 1.

        `sure` is false if the first label is below VISION_MIN_CONFIDENCE, and for pages of text,
        which ImageNet's classes do not describe.
        """
        work = classifying.run(lambda: vision.classify(open_file(form.file), form.k))
        return await until_disconnect(request, work)

    @router.post("/read")
    async def read(request: Request, _: CurrentCaller, form: Annotated[ImageForm, FORM]) -> Any:
        """Read the text: that of each page, and its words with their boxes."""
        work = reading.run(lambda: vision.read_json(open_file(form.file)))
        return await until_disconnect(request, work)

    @router.post(
        "/extract", responses={200: {"content": {"application/json": {"example": EXAMPLE}}}}
    )
    async def extract(
        request: Request, _: CurrentCaller, form: Annotated[ExtractForm, FORM]
    ) -> Any:
        """Extract the fields of a document, each with the words and the box it came from.

        A field that is not on the page is null. Boxes are left, top, right and bottom in pixels.
        """
        await run_in_threadpool(vision.schema, form.json_schema)  # a wrong one fails at once
        work = partial(vision.extract, schema=form.json_schema)
        return await until_disconnect(request, interpret(form.file, work, form.json_schema))

    @router.post("/ask")
    async def ask(request: Request, _: CurrentCaller, form: Annotated[AskForm, FORM]) -> Any:
        """Answer a question by a vision-language model, with the boxes that support it."""
        work = partial(vision.ask, question=form.question)
        return await until_disconnect(request, interpret(form.file, work))

    return router
