"""The HTTP API: classify, read, extract, describe, ask, explain, annotate, detect and search.

    app = create_app(open_vision(config, settings), settings)
    service.serve(app, port=8003)               # what `vision-app serve` runs

    curl -F file=@invoice.png -F schema=invoice http://127.0.0.1:8003/v1/extract

Below are the bodies of requests, then a function for each route; the work is done in `vision.py`.
An image arrives as a form's `file`, or in JSON as base64 or a URL: `Api.receive` makes one `Source`
of all three. The queues are in `batching.py`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from inspect import iscoroutinefunction
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.datastructures import UploadFile

from vision_app import __version__
from vision_app.files.images import Source
from vision_app.files.pixels import Pixels, encode_png
from vision_app.ocr.page import Box, as_hocr, as_text
from vision_app.serve.batching import Batcher, Gate
from vision_app.vision import Vision
from seedbed.errors import BadInput, Forbidden
from seedbed.server import service
from seedbed.server.service import Caller, CleanText
from seedbed.server.streaming import until_disconnect
from seedbed.settings import Settings

FORM_MB = 1  # megabytes allowed for the form or the JSON around an image
DECODERS = 2  # images decoded at a time for the classifier: a large one takes 500 MB
READERS = 1  # OCR and saliency maps use all cores
DOWNLOADS = 4
MAX_PIXELS = 2_000_000  # of an image in the classifier's queue
# Dark enough for white text on them, and distinct for the color-blind (Okabe and Ito, 2008).
COLORS = ("#0072b2", "#b84a00", "#007a5a", "#a3417d", "#5b5ea6", "#7a5c00")
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="
)
HOCR = "text/vnd.hocr+html"
PNG = {"image/png": {"schema": {"type": "string", "format": "binary"}}}
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
Open = Callable[[], Source]
Work = Callable[[Any, Open, Any], Any]


# Bodies of requests, as JSON or as a multipart form with the image as `file`


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

    @field_validator("labels", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [label for label in map(str.strip, value.split(",")) if label]
        return value


# Routes


class Route(NamedTuple):
    """A route of the API: its request, its response in the OpenAPI document, and its work."""

    body: type[ImageRequest]
    content: dict[str, Any]
    work: Work


ROUTES: list[Route] = []


def _route(body: type[ImageRequest], example: Any = None, **content: Any) -> Callable[[Work], Work]:
    """Add a function as `/v1/NAME`, described by its docstring and an example of its result.

    It is called with the app's `Api`, a function that opens the image, and the body: in the thread
    of the models, unless it is a coroutine.
    """

    def add(work: Work) -> Work:
        is_json = {"application/json": {"example": example}} if example else {}
        ROUTES.append(Route(body, {**is_json, **content}, work))
        return work

    return add


@_route(
    ClassifyRequest,
    {"file": "a.jpg", "labels": [{"label": "palace", "confidence": 0.87}], "sure": True},
)
async def classify(api: Api, open_image: Open, body: ClassifyRequest) -> Any:
    """Name what is in the image, with a calibrated confidence from 0 to 1.

    `sure` is false if the first label is below VISION_MIN_CONFIDENCE.
    """

    def decode() -> tuple[str, Pixels]:
        source = open_image()
        return source.name, reduced(source.first())

    name, pixels = await api.decoding.run(decode)
    return {"file": name, **await api.batcher.submit((pixels, body.k))}


@_route(ReadRequest, {"file": "a.png", "pages": [], "warnings": []}, **{"text/plain": {}, HOCR: {}})
def read(api: Api, open_image: Open, body: ReadRequest) -> Any:
    """Read the text: words with boxes (`json`), plain text, or hOCR."""
    source = open_image()
    if body.format == "text":
        return PlainTextResponse(as_text(api.vision.read(source)))
    if body.format == "hocr":
        return Response(as_hocr(api.vision.read(source), source.name), media_type=HOCR)
    return api.vision.read_json(source)


@_route(
    ExtractRequest,
    {
        "file": "a.png",
        "fields": {"total": 12.5, "date": None},
        "evidence": {"total": EVIDENCE},
        "warnings": [],
    },
)
def extract(api: Api, open_image: Open, body: ExtractRequest) -> Any:
    """Extract the fields of a document, each with the words and the box it came from.

    A field that is not on the page is null. Boxes are left, top, right and bottom in pixels.
    """
    return api.vision.extract(open_image(), body.json_schema)


@_route(ImageRequest, {"file": "a.png", "description": "An invoice of Northwind Ltd."})
def describe(api: Api, open_image: Open, _: ImageRequest) -> Any:
    """Describe the image in a sentence or two."""
    return api.vision.describe(open_image())


@_route(AskRequest, {"file": "a.png", "answer": "12.50", "evidence": [EVIDENCE]})
def ask(api: Api, open_image: Open, body: AskRequest) -> Any:
    """Answer a question from what was recognized, with the boxes that support it."""
    return api.vision.ask(open_image(), body.question)


@_route(SearchRequest, [{"file": "a.jpg", "score": 0.9, "labels": ["palace"], "excerpt": ""}])
def search(api: Api, open_image: Open, body: SearchRequest) -> Any:
    """Find indexed images by a text or by a similar image, best first."""
    return api.vision.search(body.text or open_image(), body.k)


@_route(DetectRequest, {"detections": [{"label": "cat", "confidence": 0.9, "box": [1, 2, 9, 8]}]})
def detect(api: Api, open_image: Open, body: DetectRequest) -> Any:
    """Find objects by name. Requires a detector, `VISION_DETECTOR`."""
    return api.vision.detect(open_image(), body.labels)


@_route(ExplainRequest, {"label": "palace", "confidence": 0.87, "png": PIXEL}, **PNG)
def explain(api: Api, open_image: Open, body: ExplainRequest) -> Any:
    """Show which pixels speak for a class, as an overlay on the image."""
    result = api.vision.explain(open_image(), body.label)
    if body.format == "png":
        return Response(result["png"], media_type="image/png")
    return {**result, "png": base64.b64encode(result["png"]).decode()}


@_route(AnnotateRequest, **PNG)
def annotate(api: Api, open_image: Open, body: AnnotateRequest) -> Any:
    """A PNG of one page with boxes around its words, or around the evidence of its fields."""
    source = open_image()
    if body.page > source.page_count:
        raise BadInput(f"page: {source.name} has {source.page_count} page(s).")
    pixels = source.decode(body.page - 1)
    if body.marks == "text":
        page = api.vision.reader.read(pixels, body.page)
        marks = [(page.to_input(word.box), "") for word in page.words]
    else:
        evidence = api.vision.extract(source, body.json_schema)["evidence"]
        marks = [
            (item["box"], name) for name, item in evidence.items() if item["page"] == body.page
        ]
    return Response(encode_png(draw(pixels, marks)), media_type="image/png")


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
    api = Api(vision)
    for route in ROUTES:
        app.post(
            f"/v1/{route.work.__name__}",
            name=route.work.__name__,
            description=route.work.__doc__,
            response_model=None,
            responses={200: {"content": route.content}, **ERRORS},
            openapi_extra=_request_body(route.body),
        )(api.endpoint(route))
    styles = html.styles("vision_app.serve") + sample_css()
    ui.mount(app, build_page(vision), path="/", extra_css=styles)
    return app


class Api:
    """Receives images, and queues them for the models; one for all requests."""

    def __init__(self, vision: Vision) -> None:
        limit = vision.config.queue
        self.vision = vision
        self.batcher = Batcher(self._classify, limit)
        self.decoding = Gate(DECODERS, limit, name="decode")
        self.reading = Gate(READERS, limit, name="read")
        self.downloads = Gate(DOWNLOADS, limit, name="download")

    def endpoint(self, route: Route) -> Callable[..., Any]:
        """The function that FastAPI calls for a request."""

        async def endpoint(request: Request, caller: Caller) -> Any:  # noqa: ARG001
            async with self.receive(request, route.body) as (body, open_image):
                if iscoroutinefunction(route.work):
                    job = route.work(self, open_image, body)
                else:
                    job = self.reading.run(lambda: route.work(self, open_image, body))
                return await until_disconnect(request, job)

        return endpoint

    @asynccontextmanager
    async def receive(
        self, request: Request, model: type[ImageRequest]
    ) -> AsyncIterator[tuple[Any, Open]]:
        """The body of a request, and a function that opens its image; call that in a thread.

        An uploaded file is on disk until then, and deleted at the end of the block.
        Raises BadInput for an invalid body, and Forbidden for a URL unless those are allowed.
        """
        is_form = request.headers.get("content-type", "").startswith("multipart/form-data")
        form: Any = request.form(max_files=1, max_fields=20) if is_form else nullcontext({})
        async with form as fields:
            values = dict(fields) if is_form else await _json(request)
            file = values.pop("file", None) if is_form else None
            if file is not None and not isinstance(file, UploadFile):
                raise BadInput("file: should be a file, not a text field.")
            body = _validate(model, values)
            yield body, await self._opener(body, file)

    async def _opener(self, body: ImageRequest, file: UploadFile | None) -> Open:
        text = getattr(body, "text", None)
        if sum(item is not None for item in (file, body.image, body.url, text)) != 1:
            choices = "`file` in a form, `image` (base64) or `url`"
            raise BadInput(f"Send exactly one of {choices}{' or `text`' * hasattr(body, 'text')}.")
        name = body.name or (file and file.filename) or "image"
        if body.url is not None:
            data = await self._download(body.url)
            return lambda: self.vision.open(data, name)
        if file is not None:
            return lambda: self.vision.open(file.file.read(), name)
        return lambda: self.vision.open(_from_base64(body.image or ""), name)

    async def _download(self, url: str) -> bytes:
        if not self.vision.config.allow_urls:
            hint = "Set VISION_ALLOW_URLS=1, or send a file."
            raise Forbidden("URLs are not allowed.", hint=hint)
        from vision_app.serve.fetch import fetch

        limit = self.vision.config.max_file_mb * 1_000_000
        return await self.downloads.run(lambda: fetch(url, max_bytes=limit))

    def _classify(self, items: list[tuple[Pixels, int]]) -> list[dict[str, Any]]:
        most = max(k for _, k in items)
        predictions = self.vision.classifier.classify([pixels for pixels, _ in items], most)
        results = [prediction.as_json() for prediction in predictions]
        return [
            {**result, "labels": result["labels"][:k]}
            for result, (_, k) in zip(results, items, strict=True)
        ]


def _request_body(model: type[ImageRequest]) -> dict[str, Any]:
    """The OpenAPI description of a request in its two forms."""
    schema = model.model_json_schema()
    file = {"type": "string", "format": "binary", "description": "Image or PDF."}
    form = {**schema, "properties": {**schema["properties"], "file": file}}
    del form["properties"]["image"], form["examples"]
    content = {"application/json": {"schema": schema}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


async def _json(request: Request) -> Any:
    data = await request.body()
    try:
        return await asyncio.to_thread(json.loads, data)
    except (ValueError, RecursionError):
        hint = "Send a form with `file`, or JSON with `image`."
        raise BadInput("The body is not valid JSON.", hint=hint) from None


def _validate(model: type[ImageRequest], values: Any) -> Any:
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


def draw(pixels: Pixels, marks: Sequence[tuple[Box, str]]) -> Pixels:
    """A copy of the picture with boxes and their labels; equal labels have the same color.

    Line width and text grow with the picture. Parts of a box outside the picture are cut off. A
    label is above its box, or inside if there is no space above.

    >>> draw(np.full((50, 80, 3), 255, np.uint8), [((10, 10, 40, 40), "total")]).shape
    (50, 80, 3)
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(pixels)
    canvas, side = ImageDraw.Draw(image), max(image.size)
    size = max(10, round(side / 70))
    font = ImageFont.load_default(size)
    colors: dict[str, str] = {}
    for box, label in marks:
        color = colors.setdefault(label, COLORS[len(colors) % len(COLORS)])
        left, right = sorted(np.clip(box[0::2], 0, image.width - 1).tolist())
        top, bottom = sorted(np.clip(box[1::2], 0, image.height - 1).tolist())
        canvas.rectangle((left, top, right, bottom), outline=color, width=max(1, round(side / 500)))
        if label:
            left = max(0, min(left, image.width - canvas.textlength(label, font)))
            anchor = "lb" if top > 1.3 * size else "lt"
            plate = canvas.textbbox((left, top), label, font, anchor)
            canvas.rectangle(plate, fill=color, outline=color, width=2)
            canvas.text((left, top), label, "white", font, anchor)
    return np.asarray(image)


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
