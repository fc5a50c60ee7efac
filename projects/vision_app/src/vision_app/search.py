"""Search over folders: stores what is in images, and finds them by an image or by a text.

    index = ImageIndex(config, classifier, reader)
    index.add([Path("photos")])                   # unchanged files are not read again
    index.search_text("receipt paris")[0]         # {"file": …, "score": 1.0, …}

A text finds words in the images and labels of the classifier; with a CLIP model, also scenes. One
file contains everything. A search compares all vectors, which takes 31 ms for 100,000 images.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image

from vision_app.classify.calibration import Floats
from vision_app.classify.classifier import Classifier
from vision_app.config import Config
from vision_app.files.images import find_files, open_source
from vision_app.files.pixels import Pixels
from vision_app.ocr.engine import Reader
from seedbed.cli import Progress
from seedbed.errors import BadInput, ConfigError, MissingExtra, SeedbedError, Unavailable
from seedbed.files import write_bytes
from seedbed.models.weights.ensure import ensure
from seedbed.safety.secrets import reason

Json = dict[str, Any]

_GLANCE = 640  # pixels of the longer side at which text is looked for
_MIN_LEGIBLE = 0.7  # confidence of a line: OCR imagines others in the texture of photographs
_MIN_LABEL = 0.1  # confidence from which a label is a keyword of an image
_MAX_TEXT = 5000  # characters of an image's text


class ImageIndex:
    """Images by path, in `config.data_dir`; processes that add images take turns."""

    def __init__(self, config: Config, classifier: Classifier, reader: Reader) -> None:
        self.config, self._classifier, self._reader = config, classifier, reader
        self._clip = Clip(config.search_model) if config.search_model else None
        # Vectors of different models are in different files.
        model = re.sub(r"[^A-Za-z0-9.]+", "-", config.search_model or classifier.name)[:200]
        self.path = config.data_dir / f"images-{model}.npz"

    def add(self, paths: Sequence[Path], progress: Progress | None = None) -> Json:
        """Index files, folders and patterns; of a PDF, the first page. Skips unreadable files.

        Removes images whose files were deleted. Returns {"added", "updated", "unchanged",
        "removed", "failed": [{"file", "reason"}]}. Raises BadInput if there are no images.
        """
        files = dict.fromkeys(os.path.normpath(path.absolute()) for path in find_files(paths))
        counts, failed = Counter(added=0, updated=0, unchanged=0, removed=0), list[Json]()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")):
            entries, vectors = self._load()
            rows = {e["file"]: (e, row) for e, row in zip(entries, vectors, strict=True)}
            for file in [file for file in rows if not Path(file).exists()]:
                del rows[file]
                counts["removed"] += 1
            try:
                for done, file in enumerate(files, 1):
                    outcome = "updated" if file in rows else "added"
                    try:
                        if file in rows and rows[file][0]["stamp"] == _stamp(file):
                            outcome = "unchanged"
                        else:
                            rows[file] = self._analyze(file)
                        counts[outcome] += 1
                    except (SeedbedError, OSError, UnicodeError) as error:
                        failed.append({"file": file, "reason": reason(error)})
                    if progress:
                        progress(done, len(files), Path(file).name)
            finally:  # also when interrupted
                self._save(rows)
        return {**counts, "failed": failed}

    def search_image(self, pixels: Pixels, k: int = 10) -> list[Json]:
        """{"file", "score", "labels", "excerpt"} of images, best first; the score is the cosine."""
        entries, vectors = self._load()
        return _hits(entries, vectors @ self._embed(pixels)[0] if entries else vectors, k)

    def search_text(self, query: str, k: int = 10) -> list[Json]:
        """As `search_image`, for images with words of a text, or that CLIP finds similar to it.

        The score is the share of words that occur, or CLIP's cosine. Raises BadInput without words.
        """
        terms = {*_words(query)}
        terms = {term for term in terms if len(term) > 2} or terms
        if not terms:
            raise BadInput("The query is empty.", hint="Describe what you are looking for.")
        entries, vectors = self._load()
        texts = [" ".join([Path(e["file"]).stem, *e["labels"], e["text"]]) for e in entries]
        counts = np.array([len(terms & {*_words(text)}) for text in texts], np.float32)
        scores = counts / len(terms)
        if self._clip and entries:  # its cosines for a text are at most about 0.35
            scores = np.maximum(scores, vectors @ self._clip.embed_text(query))
        return _hits(entries, scores, k)

    def _analyze(self, file: str) -> tuple[Json, Floats]:
        """The entry and the vector of a file."""
        file.encode()  # a name that is not UTF-8 cannot be part of an answer
        stamp = _stamp(file)
        pixels = open_source(Path(file), config=self.config).first()
        vector, probabilities = self._embed(pixels)
        likely = [i for i in np.argsort(-probabilities)[:5] if probabilities[i] >= _MIN_LABEL]
        labels = [self._classifier.labels[i] for i in likely]
        # Text is looked for in a small copy first: OCR of a photograph takes 0.1 s then, not 3 s.
        small = Image.fromarray(pixels)
        small.thumbnail((_GLANCE, _GLANCE))
        text = self._read(pixels)[:_MAX_TEXT] if self._read(np.asarray(small)) else ""
        return {"file": file, "stamp": stamp, "labels": labels, "text": text}, vector

    def _embed(self, pixels: Pixels) -> tuple[Floats, Floats]:
        """The vector of an image, of length 1, and the probabilities of its labels."""
        [probabilities], [features] = self._classifier.infer([pixels])
        vector = self._clip.embed_image(pixels) if self._clip else features
        return vector / max(float(np.linalg.norm(vector)), 1e-9), probabilities

    def _read(self, pixels: Pixels) -> str:
        lines = self._reader.read(pixels).lines
        return "\n".join(line.text for line in lines if line.confidence >= _MIN_LEGIBLE)

    def _load(self) -> tuple[list[Json], Floats]:
        """Entries and vectors (n, d)."""
        try:
            with np.load(self.path) as arrays:
                return json.loads(arrays["entries"].tobytes()), arrays["vectors"]
        except FileNotFoundError:
            return [], np.empty((0, 0), np.float32)
        except Exception as error:  # numpy raises nearly anything for a damaged file
            hint = f"Delete {self.path} and run vision-app index again."
            raise Unavailable(f"The image index is damaged: {reason(error)}.", hint=hint) from None

    def _save(self, rows: dict[str, tuple[Json, Floats]]) -> None:
        entries = json.dumps([entry for entry, _ in rows.values()]).encode()
        vectors = [vector for _, vector in rows.values()]
        buffer = io.BytesIO()
        np.savez(buffer, entries=np.frombuffer(entries, np.uint8), vectors=np.array(vectors, "f4"))
        write_bytes(self.path, buffer.getvalue())


def _hits(entries: list[Json], scores: Any, k: int) -> list[Json]:
    """The `k` images with the highest scores above 0."""
    hits = []
    for row in [row for row in np.argsort(-scores, kind="stable")[:k] if scores[row] > 0]:
        entry, score = entries[row], min(1.0, round(float(scores[row]), 4))
        excerpt = shorten(entry["text"], 160, placeholder="…")
        labels = entry["labels"]
        hits.append({"file": entry["file"], "score": score, "labels": labels, "excerpt": excerpt})
    return hits


def _words(text: str) -> list[str]:
    """The words of a text in lower case, without the "s" of a plural."""
    words = re.findall(r"\w+", text.lower().replace("_", " "))
    return [word.removesuffix("s") if len(word) > 3 else word for word in words]


def _stamp(file: str) -> list[int]:
    """Size and time of a file, which change when it is written."""
    stat = Path(file).stat()
    return [stat.st_size, stat.st_mtime_ns]


class Clip:
    """CLIP or SigLIP of transformers, hf:ORG/REPO or path:DIR: unit vectors of images and texts."""

    def __init__(self, spec: str) -> None:
        MissingExtra.check("torch", "transformers", extra="vision-app[hub]")
        from transformers import AutoModel, AutoProcessor

        folder = ensure(spec)
        try:
            self._model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()
            self._processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
            _ = self._model.get_text_features
        except (OSError, ValueError, AttributeError) as error:
            message = f"{spec!r} is not a CLIP or SigLIP model: {reason(error)}"
            raise ConfigError(message, hint="Change VISION_SEARCH_MODEL.") from error

    def embed_image(self, pixels: Pixels) -> Floats:
        """The vector of an image."""
        return self._infer("get_image_features", images=[pixels])

    def embed_text(self, text: str) -> Floats:
        """The vector of a text of up to 77 tokens; SigLIP was trained on texts padded to 64."""
        return self._infer("get_text_features", text=[text], padding="max_length", truncation=True)

    def _infer(self, method: str, **inputs: Any) -> Floats:
        import torch

        with torch.inference_mode():
            output = getattr(self._model, method)(**self._processor(**inputs, return_tensors="pt"))
        # transformers 5 returns an output object, earlier versions a tensor.
        vector: Floats = getattr(output, "pooler_output", output)[0].numpy()
        return vector / np.linalg.norm(vector)
