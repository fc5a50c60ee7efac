"""The HTTP API: classify, read, extract, ask, explain and search.

    app = create_app(Vision(config, settings), settings)
    service.serve(app, port=8003)               # what `vision-app serve` runs

    curl -F file=@invoice.png -F schema=invoice http://127.0.0.1:8003/v1/extract

Every request is a form with an image or a PDF as `file`. Below are the forms, then a function for
each route; the work is done in `vision.py`. The queues are in `batching.py`: the classifier's, and
gates for what reads text on all cores, and for what waits for a vision-language model.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from fastapi import APIRouter, FastAPI, Form, Request, Response, UploadFile
from fastapi.responses import PlainTextResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from starlette.concurrency import run_in_threadpool

from vision_app import __version__
from vision_app.files.images import Source
from vision_app.files.pixels import Pixels
from vision_app.ocr.page import as_text
from vision_app.serve.batching import Batcher, Gate
from vision_app.vision import Vision
from seedbed.errors import BadInput
from seedbed.server import service
from seedbed.server.service import Caller, CleanText
from seedbed.server.streaming import until_disconnect
from seedbed.settings import Settings

MAX_SCHEMA = 200_000  # characters: a schema of 1 MB takes seconds to check
FORM_MB = 1  # megabytes allowed for the form around an image
DECODERS = 2  # images decoded at a time for the classifier: a large one takes 500 MB
READERS = 3  # files read at a time; they take turns at the models, so that short ones go on
MODEL_CALLS = 8  # requests that wait for a vision-language model, which must not hold the OCR
MAX_PIXELS = 2_000_000  # of an image in the classifier's queue
PNG: dict[str, Any] = {"image/png": {"schema": {"type": "string", "format": "binary"}}}
EVIDENCE = {"text": "12.50", "box": [20, 20, 33, 30], "page": 1, "confidence": 0.98}
ERROR = {"error": {"type": "too_large", "message": "…", "request_id": "…"}}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request or the image is invalid"},
    401: {"description": "Missing or invalid API key"},
    413: {"description": "The body, the file or the image is larger than the limit"},
    429: {"description": "The queue is full; retry after the seconds in `Retry-After`"},
    503: {"description": "An optional part is not installed or not configured"},
    "default": {"description": "Any error", "content": {"application/json": {"example": ERROR}}},
}
FORM = Form(media_type="multipart/form-data")
T = TypeVar("T")


# Forms


def _utf8(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(schema, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("contains text that is not valid Unicode") from None
    return schema


JsonSchema = Annotated[dict[str, Any], AfterValidator(_utf8)]
Label = Annotated[CleanText, Field(min_length=1, max_length=200)]
Text = Annotated[CleanText, Field(min_length=1, max_length=1000)]
Count = Annotated[int, Field(ge=1, le=100)]


class ImageForm(BaseModel):
    """An image or a PDF."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile


class ClassifyForm(ImageForm):
    k: Count = Field(5, description="Number of labels.")


class ReadForm(ImageForm):
    format: Literal["json", "text"] = "json"


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
    question: Text = Field(examples=["What is the total?"])


class ExplainForm(ImageForm):
    label: Label | None = Field(None, description="Class to explain. Default: the most likely one.")
    format: Literal["png", "json"] = Field("png", description="`json` has the PNG as base64.")


class SearchForm(BaseModel):
    """A text or an image."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile | None = None
    text: Text | None = Field(None, description="Words to search for, instead of an image.")
    k: Count = Field(10, description="Number of images.")


# Routes


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
    app.include_router(routes(Queues(vision)))
    styles = html.styles("vision_app.serve") + sample_css()
    ui.mount(app, build_page(vision), path="/", extra_css=styles)
    return app


class Queues:
    """Where requests wait: for the classifier, a decoder, the OCR, or a vision-language model."""

    def __init__(self, vision: Vision) -> None:
        limit = vision.config.queue
        self.vision = vision
        self.batcher = Batcher(self._classify, limit)
        self.decoding = Gate(DECODERS, limit, name="decode")
        self.reading = Gate(READERS, limit, name="read")
        model = vision.language_model
        self.answering = Gate(MODEL_CALLS, limit, name="model") if model else self.reading

    def _classify(self, items: list[tuple[Pixels, int]]) -> list[dict[str, Any]]:
        most = max(k for _, k in items)
        predictions = self.vision.classifier.classify([pixels for pixels, _ in items], most)
        results = [prediction.as_json() for prediction in predictions]
        return [
            {**result, "labels": result["labels"][:k]}
            for result, (_, k) in zip(results, items, strict=True)
        ]

    def open(self, file: UploadFile) -> Source:
        """The uploaded file, which is on disk until then; call this in a thread."""
        return self.vision.open(file.file.read(), file.filename or "image")

    async def read(
        self, file: UploadFile, is_exact: Callable[[Source], bool] = lambda _: False
    ) -> Source:
        """The uploaded file with its text recognized, which `vision` then remembers."""

        def read() -> Source:
            source = self.open(file)
            if not is_exact(source):
                self.vision.read(source)
            return source

        return await self.reading.run(read)

    async def interpret(
        self,
        file: UploadFile,
        work: Callable[[Source], T],
        is_exact: Callable[[Source], bool] = lambda _: False,
    ) -> T:
        """Read the file, then do what a vision-language model does if there is one, or rules.

        A file that `is_exact` is not read: its fields are in embedded XML.
        """
        source = await self.read(file, is_exact)
        return await self.answering.run(lambda: work(source))


def routes(queues: Queues) -> APIRouter:
    """All routes under `/v1`."""
    router = APIRouter(prefix="/v1", responses=ERRORS)
    _add_picture_routes(router, queues)
    _add_document_routes(router, queues)
    return router


def _example(value: Any, **content: Any) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": value}, **content}}}


LABELS = {"file": "a.jpg", "labels": [{"label": "palace", "confidence": 0.87}], "sure": True}
EXPLANATION = {"label": "palace", "confidence": 0.87, "png": "iVBORw0KGgo…"}
HITS = [{"file": "a.jpg", "score": 0.9, "labels": ["palace"], "excerpt": ""}]
FIELDS = {
    "file": "a.png",
    "fields": {"total": 12.5, "date": None},
    "evidence": {"total": EVIDENCE},
    "warnings": [],
}


def _add_picture_routes(router: APIRouter, queues: Queues) -> None:
    vision = queues.vision

    @router.post("/classify", responses=_example(LABELS))
    async def classify(request: Request, _: Caller, form: Annotated[ClassifyForm, FORM]) -> Any:
        """Name what is in the image, with a calibrated confidence from 0 to 1.

        `sure` is false if the first label is below VISION_MIN_CONFIDENCE, and for pages of text,
        which ImageNet's classes do not describe.
        """

        def decode() -> tuple[str, Pixels]:
            source = queues.open(form.file)
            return source.name, reduced(source.first())

        async def work() -> Any:
            name, pixels = await queues.decoding.run(decode)
            return {"file": name, **await queues.batcher.submit((pixels, form.k))}

        return await until_disconnect(request, work())

    @router.post("/search", responses=_example(HITS))
    async def search(request: Request, _: Caller, form: Annotated[SearchForm, FORM]) -> Any:
        """Find indexed images by a text or by a similar image, best first."""
        if (form.file is None) == (form.text is None):
            raise BadInput("Send exactly one of `file` and `text`.")

        def work() -> Any:
            return vision.search(queues.open(form.file) if form.file else form.text or "", form.k)

        return await until_disconnect(request, queues.reading.run(work))

    @router.post(
        "/explain",
        responses=_example({"label": "palace", "confidence": 0.87, "png": "iVBORw0KGgo…"}, **PNG),
    )
    async def explain(request: Request, _: Caller, form: Annotated[ExplainForm, FORM]) -> Any:
        """Show which pixels speak for a class, as an overlay on the image."""

        def work() -> Any:
            return vision.explain(queues.open(form.file), form.label)

        result = await until_disconnect(request, queues.reading.run(work))
        if form.format == "png":
            return Response(result["png"], media_type="image/png")
        return {**result, "png": base64.b64encode(result["png"]).decode()}


def _add_document_routes(router: APIRouter, queues: Queues) -> None:
    vision = queues.vision

    @router.post("/read", responses=_example({"file": "a.png", "pages": []}, **{"text/plain": {}}))
    async def read(request: Request, _: Caller, form: Annotated[ReadForm, FORM]) -> Any:
        """Read the text: words with boxes (`json`), or plain text."""
        source = await until_disconnect(request, queues.read(form.file))
        if form.format == "text":
            return PlainTextResponse(as_text(vision.read(source)))
        return vision.read_json(source)

    @router.post("/extract", responses=_example(FIELDS))
    async def extract(request: Request, _: Caller, form: Annotated[ExtractForm, FORM]) -> Any:
        """Extract the fields of a document, each with the words and the box it came from.

        A field that is not on the page is null. Boxes are left, top, right and bottom in pixels.
        """
        await run_in_threadpool(vision.schema, form.json_schema)  # a wrong one fails at once
        work = partial(vision.extract, schema=form.json_schema)

        def is_exact(source: Source) -> bool:
            return vision.find_exact(source, form.json_schema) is not None

        return await until_disconnect(request, queues.interpret(form.file, work, is_exact))

    @router.post("/ask", responses=_example({"answer": "12.50", "evidence": [EVIDENCE]}))
    async def ask(request: Request, _: Caller, form: Annotated[AskForm, FORM]) -> Any:
        """Answer a question by a vision-language model, with the boxes that support it."""
        work = partial(vision.ask, question=form.question)
        return await until_disconnect(request, queues.interpret(form.file, work))


def reduced(pixels: Pixels) -> Pixels:
    """The picture, averaged over blocks of whole pixels if it has more than MAX_PIXELS.

    For a classifier that resizes to 224 pixels this makes no visible difference (it is the first
    step of Pillow's own `reducing_gap`), and a queue of such pictures takes little memory.

    >>> reduced(np.zeros((3000, 4000, 3), np.uint8)).shape
    (1000, 1334, 3)
    """
    from PIL import Image

    factor = int(np.ceil((pixels.shape[0] * pixels.shape[1] / MAX_PIXELS) ** 0.5))
    return pixels if factor <= 1 else np.asarray(Image.fromarray(pixels).reduce(factor))
