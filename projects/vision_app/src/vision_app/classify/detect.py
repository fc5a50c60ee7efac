"""Find arbitrary objects, named in words, with a zero-shot detector such as OWLv2.

    detector = load_detector(Config(detector="hf:google/owlv2-base-patch16-ensemble"), Settings())
    detections = detector.detect(pixels, ["a cat", "a remote control"])

Needs the extra `hub` (transformers and torch). Without a detector in the settings the rest of the
app works as always. Classes of whole images are left to `classify`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from vision_app.config import Config
from vision_app.files.pixels import Pixels
from vision_app.ocr.page import Box
from seedbed.errors import BadInput, ConfigError, MissingExtra, WeightsError
from seedbed.models.weights.ensure import ensure
from seedbed.safety.secrets import reason
from seedbed.settings import Settings

MAX_QUERIES = 20
MAX_DETECTIONS = 100


class Detection(NamedTuple):
    """An object; `label` is the query it matches, `score` from 0 to 1, `box` in pixels."""

    label: str
    score: float
    box: Box


class Detector:
    """A zero-shot object detector; safe to use from many threads, one image at a time.

    `pipeline` is one of transformers for the task `zero-shot-object-detection`. The method of
    OWL-ViT: https://arxiv.org/abs/2205.06230
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._lock = threading.Lock()

    def detect(
        self, pixels: Pixels, queries: Sequence[str], *, min_score: float = 0.1
    ) -> list[Detection]:
        """Objects that match one of `queries`, best first, at most MAX_DETECTIONS.

        Raises BadInput for no query, for more than MAX_QUERIES, and for one that is too long.

            detector.detect(pixels, ["a cat"])[0].box    # (54.0, 20.0, 315.0, 472.0)
        """
        from PIL import Image

        # 1. Check the queries.
        queries = list(dict.fromkeys(text.strip() for text in queries if text.strip()))
        self._check(queries)
        # 2. Run the model once per query.
        limits = {"threshold": min_score, "top_k": MAX_DETECTIONS}
        with self._lock:
            objects = self._pipeline(Image.fromarray(pixels), candidate_labels=queries, **limits)
        # 3. Cut the boxes at the edges: detectors that pad an image also search in the padding.
        height, width, _ = pixels.shape
        detections = []
        for item in objects:
            left, right = (float(min(max(item["box"][x], 0), width)) for x in ("xmin", "xmax"))
            top, bottom = (float(min(max(item["box"][y], 0), height)) for y in ("ymin", "ymax"))
            if left < right and top < bottom:
                box = left, top, right, bottom
                detections.append(Detection(item["label"], float(item["score"]), box))
        return detections

    def _check(self, queries: Sequence[str]) -> None:
        if not queries:
            raise BadInput("No object to look for.", hint="Name at least one, such as 'a cat'.")
        if len(queries) > MAX_QUERIES:
            message = f"{len(queries)} objects to look for; the maximum is {MAX_QUERIES}."
            raise BadInput(message, hint="Split them into several requests.")
        limit = self._pipeline.model.config.text_config.max_position_embeddings
        for query in queries:
            tokens = len(self._pipeline.tokenizer(query)["input_ids"])
            if tokens > limit:
                message = f"The query {query[:40]!r} has {tokens} tokens; the maximum is {limit}."
                raise BadInput(message, hint="Use a shorter one.")


def load_detector(config: Config, settings: Settings) -> Detector:
    """The detector of VISION_DETECTOR; loads its weights.

    Raises ConfigError if none is set, MissingExtra without transformers or torch, and WeightsError
    for a model that cannot be loaded or is not a zero-shot detector.
    """
    hint = "Set VISION_DETECTOR, e.g. to hf:google/owlv2-base-patch16-ensemble."
    if config.detector is None:
        raise ConfigError("Object detection is off, as no detector is set.", hint=hint)
    try:
        import torch  # noqa: F401  # transformers reports it only when the model loads
        from transformers import pipeline
    except ImportError as error:
        raise MissingExtra(error.name or "transformers", "vision-app[hub]") from None
    folder = ensure(config.detector, settings=settings)
    try:
        return Detector(pipeline("zero-shot-object-detection", model=str(folder), device="cpu"))
    except (OSError, ValueError, KeyError) as error:
        message = f"{config.detector} is not a zero-shot object detector: {reason(error)}"
        raise WeightsError(message, hint=hint) from error
