"""The HTTP API: classify, read, extract, describe, ask, explain, annotate, detect and search.

    app = create_app(open_vision(config, settings), settings)
    service.serve(app, port=8003)               # what `vision-app serve` runs

    curl -F file=@invoice.png -F schema=invoice http://127.0.0.1:8003/v1/extract

Routes only; the work is done in `vision.py`. An image arrives as a form's `file`, or in JSON as
base64 or a URL; `Queues.receive` makes one `Source` of all three. The queues are in `batching.py`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from vision_app import __version__
from vision_app.files.images import Source
from vision_app.ocr.page import Pixels
from vision_app.serve import schemas
from vision_app.serve.annotate import Mark, draw, reduced
from vision_app.serve.batching import Batcher, Gate
from vision_app.vision import Vision
from seedbed.errors import BadInput, Forbidden
from seedbed.models.images import encode_png
from seedbed.server import service
from seedbed.server.service import Caller
from seedbed.server.streaming import until_disconnect
from seedbed.settings import Settings

FORM_MB = 1  # megabytes allowed for the form or the JSON around an image
DECODERS = 2  # images decoded at a time for the classifier: a large one takes 500 MB
READERS = 1  # OCR and saliency maps use all cores
DOWNLOADS = 4
HOCR = "text/vnd.hocr+html"
Result = TypeVar("Result")
Body = TypeVar("Body", bound=schemas.ImageRequest)
Open = Callable[[], Source]


def create_app(vision: Vision, settings: Settings | None = None) -> FastAPI:
    """The FastAPI application with API and page. Its shutdown closes `vision`."""
    from vision_app.serve.page import build_page, sample_css
    from seedbed.server import html, ui

    app = service.create_app(
        "vision_app",
        version=__version__,
        settings=settings,
        max_body_mb=vision.config.max_file_mb * 4 / 3 + FORM_MB,  # as base64
        on_shutdown=vision.close,
    )
    app.include_router(routes(vision))
    styles = html.styles("vision_app.serve") + sample_css()
    ui.mount(app, build_page(vision), path="/", extra_css=styles)
    return app


class Queues:
    """Receives images, and queues them for the models; one for all requests."""

    def __init__(self, vision: Vision) -> None:
        limit = vision.config.queue
        self.vision = vision
        self.batcher = Batcher(self._classify, limit)
        self.decoding = Gate(DECODERS, limit, name="decode")
        self.reading = Gate(READERS, limit, name="read")
        self.downloads = Gate(DOWNLOADS, limit, name="download")

    @asynccontextmanager
    async def receive(
        self, request: Request, model: type[Body]
    ) -> AsyncIterator[tuple[Body, Open]]:
        """The body of a request, and a function that opens its image; call that in a thread.

        An uploaded file is on disk until then, and deleted at the end of the block.
        Raises BadInput for an invalid body, and Forbidden for a URL unless those are allowed.
        """
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form(max_files=1, max_fields=20) as form:
                values: dict[str, Any] = dict(form)
                file = values.pop("file", None)
                if file is not None and not isinstance(file, UploadFile):
                    raise BadInput("file: should be a file, not a text field.")
                body = _validate(model, values)
                yield body, await self._opener(body, file)
        else:
            body = _validate(model, await _json(request))
            yield body, await self._opener(body, None)

    async def _opener(self, body: schemas.ImageRequest, file: UploadFile | None) -> Open:
        text = getattr(body, "text", None)
        if sum(item is not None for item in (file, body.image, body.url, text)) != 1:
            choices = "`file` in a form, `image` (base64) or `url`"
            raise BadInput(f"Send exactly one of {choices}{' or `text`' * hasattr(body, 'text')}.")
        name = body.name or (file and file.filename) or ""
        if body.url is not None:
            data = await self._download(body.url)
            return lambda: self.vision.open(data, name or "image")
        if file is not None:
            return lambda: self.vision.open(file.file.read(), name or "image")
        return lambda: self.vision.open(_from_base64(body.image or ""), name or "image")

    async def _download(self, url: str) -> bytes:
        if not self.vision.config.allow_urls:
            raise Forbidden(
                "URLs are not allowed.", hint="Set VISION_ALLOW_URLS=1, or send a file."
            )
        from vision_app.serve.fetch import fetch

        limit = self.vision.config.max_file_mb * 1_000_000
        return await self.downloads.run(lambda: fetch(url, max_bytes=limit))

    async def classify(self, open_image: Open, k: int) -> dict[str, Any]:
        """Classify an image together with those of other requests."""

        def decode() -> tuple[str, Pixels]:
            source = open_image()
            return source.name, reduced(source.first())

        name, pixels = await self.decoding.run(decode)
        return {"file": name, **await self.batcher.submit((pixels, k))}

    def _classify(self, items: list[tuple[Pixels, int]]) -> list[dict[str, Any]]:
        most = max(k for _, k in items)
        predictions = self.vision.classifier.classify([pixels for pixels, _ in items], most)
        results = [prediction.as_json() for prediction in predictions]
        return [
            {**result, "labels": result["labels"][:k]}
            for result, (_, k) in zip(results, items, strict=True)
        ]


def routes(vision: Vision) -> APIRouter:
    """All routes under `/v1`, bound to one app."""
    router = APIRouter(prefix="/v1", responses=schemas.ERRORS)
    queues = Queues(vision)
    _add_documents(router, vision, queues)
    _add_labels(router, vision, queues)
    _add_questions(router, vision, queues)
    _add_annotate(router, vision, queues)
    return router


def _add_documents(router: APIRouter, vision: Vision, queues: Queues) -> None:
    @router.post("/read", openapi_extra=schemas.request_body(schemas.ReadRequest))
    async def read(request: Request, caller: Caller) -> Any:  # noqa: ARG001
        """Read the text: words with boxes (`json`), plain text, or hOCR."""
        async with queues.receive(request, schemas.ReadRequest) as (body, open_image):
            work = queues.reading.run(lambda: _text(vision, open_image(), body.format))
            return await until_disconnect(request, work)

    @router.post(
        "/extract",
        response_model=schemas.Extraction,
        openapi_extra=schemas.request_body(schemas.ExtractRequest),
    )
    async def extract(request: Request, caller: Caller) -> Any:  # noqa: ARG001
        """Extract the fields of a document, each with the words and the box it came from."""
        async with queues.receive(request, schemas.ExtractRequest) as (body, open_image):
            work = queues.reading.run(lambda: vision.extract(open_image(), body.json_schema))
            return await until_disconnect(request, work)


def _add_labels(router: APIRouter, vision: Vision, queues: Queues) -> None:
    @router.post(
        "/classify",
        response_model=schemas.Classification,
        openapi_extra=schemas.request_body(schemas.ClassifyRequest),
    )
    async def classify(request: Request, caller: Caller) -> Any:  # noqa: ARG001
        """Name what is in the image, with a calibrated confidence."""
        async with queues.receive(request, schemas.ClassifyRequest) as (body, open_image):
            return await until_disconnect(request, queues.classify(open_image, body.k))

    @router.post(
        "/explain",
        responses=schemas.PNG,
        openapi_extra=schemas.request_body(schemas.ExplainRequest),
    )
    async def explain(request: Request, caller: Caller) -> Any:  # noqa: ARG001
        """Show which pixels speak for a class, as an overlay on the image."""
        async with queues.receive(request, schemas.ExplainRequest) as (body, open_image):
            work = queues.reading.run(lambda: vision.explain(open_image(), body.label))
            result = await until_disconnect(request, work)
        if body.format == "png":
            return Response(result["png"], media_type="image/png")
        return {**result, "png": base64.b64encode(result["png"]).decode()}

    @router.post(
        "/detect",
        response_model=schemas.Detections,
        openapi_extra=schemas.request_body(schemas.DetectRequest),
    )
    async def detect(request: Request, caller: Caller) -> Any:  # noqa: ARG001
        """Find objects by name. Requires a detector, `VISION_DETECTOR`."""
        async with queues.receive(request, schemas.DetectRequest) as (body, open_image):
            work = queues.reading.run(lambda: vision.detect(open_image(), body.labels))
            return await until_disconnect(request, work)


def _add_questions(router: APIRouter, vision: Vision, queues: Queues) -> None:
    @router.post(
        "/describe",
        response_model=schemas.Description,
        openapi_extra=schemas.request_body(schemas.ImageRequest),
    )
    async def describe(request: Request, caller: Caller) -> Any:  # noqa: ARG001
        """Describe the image in a sentence or two."""
        async with queues.receive(request, schemas.ImageRequest) as (_, open_image):
            work = queues.reading.run(lambda: vision.describe(open_image()))
            return await until_disconnect(request, work)

    @router.post(
        "/ask",
        response_model=schemas.AnswerJson,
        openapi_extra=schemas.request_body(schemas.AskRequest),
    )
    async def ask(request: Request, caller: Caller) -> Any:  # noqa: ARG001
        """Answer a question from what was recognized, with the boxes that support it."""
        async with queues.receive(request, schemas.AskRequest) as (body, open_image):
            work = queues.reading.run(lambda: vision.ask(open_image(), body.question))
            return await until_disconnect(request, work)

    @router.post(
        "/search",
        response_model=list[schemas.Hit],
        openapi_extra=schemas.request_body(schemas.SearchRequest),
    )
    async def search(request: Request, caller: Caller) -> Any:  # noqa: ARG001
        """Find indexed images by a text or by a similar image, best first."""
        async with queues.receive(request, schemas.SearchRequest) as (body, open_image):
            work = queues.reading.run(lambda: vision.search(body.text or open_image(), body.k))
            return await until_disconnect(request, work)


def _add_annotate(router: APIRouter, vision: Vision, queues: Queues) -> None:
    @router.post(
        "/annotate",
        response_class=Response,
        responses=schemas.PNG,
        openapi_extra=schemas.request_body(schemas.AnnotateRequest),
    )
    async def annotate(request: Request, caller: Caller) -> Response:  # noqa: ARG001
        """A PNG of one page with boxes around its words, or around the evidence of its fields."""
        async with queues.receive(request, schemas.AnnotateRequest) as (body, open_image):
            work = queues.reading.run(lambda: annotated(vision, open_image(), body))
            return Response(await until_disconnect(request, work), media_type="image/png")


def _text(vision: Vision, source: Source, kind: str) -> Any:
    from vision_app.ocr import formats

    if kind == "text":
        return PlainTextResponse(formats.as_text(vision.read(source)))
    if kind == "hocr":
        return Response(formats.as_hocr(vision.read(source), source.name), media_type=HOCR)
    return vision.read_json(source)


def annotated(vision: Vision, source: Source, body: schemas.AnnotateRequest) -> bytes:
    """A page of `source` with its marks, as PNG. Raises BadInput if there is no such page."""
    if body.page > source.page_count:
        raise BadInput(f"page: {source.name} has {source.page_count} page(s).")
    pixels = source.decode(body.page - 1)
    if body.marks == "text":
        page = vision.reader.read(pixels, body.page)
        marks = [Mark(page.to_input(word.box)) for word in page.words]
    else:
        evidence = vision.extract(source, body.json_schema)["evidence"]
        marks = [
            Mark(item["box"], name)
            for name, item in evidence.items()
            if item and item["page"] == body.page
        ]
    return encode_png(draw(pixels, marks))


async def _json(request: Request) -> Any:
    data = await request.body()
    try:
        return await asyncio.to_thread(json.loads, data)
    except (ValueError, RecursionError):
        raise BadInput(
            "The body is not valid JSON.", hint="Send a form with `file`, or JSON with `image`."
        ) from None


def _validate(model: type[Body], values: Any) -> Body:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        details = [{**item, "loc": ("body", *item["loc"][:1])} for item in error.errors()]
        raise BadInput(service.validation_message(details)) from None


def _from_base64(text: str) -> bytes:
    """The content of base64 or of a data URL. Raises BadInput.

    >>> _from_base64("data:text/plain;base64,SGk=")
    b'Hi'
    """
    content = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("image: is not base64.", hint="Send `data:image/png;base64,…`.") from None
