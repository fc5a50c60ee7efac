"""The image index: adds folders, and finds images by an image, by a text, and near-duplicates.

    index = ImageIndex(config, classifier, reader)
    index.add([Path("photos")])                  # unchanged files are not read again
    index.search_text("a dog on the beach")[0]   # Hit(path=..., score=0.61, ...)

Chroma contains everything. A file's size and time are written last, so that the next `add` reads a
file again whose indexing was killed.
"""

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from rapidfuzz import fuzz, process

from vision_app.classify.classifier import Classifier
from vision_app.classify.kinds import kinds_of
from vision_app.config import Config
from vision_app.files.images import find_files, open_source
from vision_app.files.pixels import Pixels
from vision_app.ocr.engine import Reader
from vision_app.search import duplicates
from vision_app.search.embedders import Clip, Vectors, concept, label_vectors
from vision_app.search.store import Store
from seedbed.cli import Progress
from seedbed.errors import BadInput, SeedbedError, public_message
from seedbed.models.embeddings.load_embeddings import embed_texts, load_embeddings

log = logging.getLogger(__name__)

_REQUEST = 1000  # ids in one request to Chroma
_GLANCE = 640  # pixels of the longer side at which text is looked for
_THUMBNAIL = 192  # pixels of the longer side
_MIN_LABEL = 0.1  # confidence from which a label is a keyword of an image
_MAX_TERMS = 30  # words of a query
_MAX_TEXT = 5000  # characters of an image's text


class Hit(NamedTuple):
    """An image of the index. `score` is 0 to 1; `excerpt` is a part of the text in the image."""

    path: str
    score: float
    labels: list[str]
    excerpt: str

    def as_json(self) -> dict[str, Any]:
        """{"file", "score", "labels": [...], "excerpt"}."""
        return {"file": self.path, **self._asdict(), "score": round(self.score, 4)}


class ImageIndex:
    """Images by path, for many threads and processes; `embeddings` replaces the text model."""

    def __init__(
        self, config: Config, classifier: Classifier, reader: Reader, *, embeddings: Any = None
    ) -> None:
        self.config = config
        self._classifier, self._reader = classifier, reader
        self._embeddings = embeddings or load_embeddings()
        self._clip = Clip(config.search_model) if config.search_model else None
        # Vectors of different models are in different collections.
        text_model = getattr(self._embeddings, "name", type(self._embeddings).__name__)
        model = f"{config.search_model or classifier.name}+{text_model}"
        self._store = Store(config.data_dir, config.chroma_url, model)

    def add(self, paths: Sequence[Path], progress: Progress | None = None) -> dict[str, Any]:
        """Index files, folders and patterns; of a PDF, the first page. Skips unreadable files.

        Returns {"added", "updated", "unchanged", "failed": [{"file", "reason"}]}. Raises BadInput
        for a folder without images, Busy while another process writes, Unavailable.
        """
        files = list({os.path.normpath(path.absolute()): 0 for path in find_files(paths)})
        entries, failed, counts = dict[str, dict[str, Any]](), [], Counter[str]()
        for done, path in enumerate(files):
            if done % _REQUEST == 0:
                part = files[done : done + _REQUEST]
                entries = self._entries([name for name in part if _is_utf8(name)])
            # 1. Leave out a file that is indexed already, by size and time, else by content.
            if path in entries and self._is_current(path, entries[path]):
                counts["unchanged"] += 1
            # 2. Decode, read and embed it, and write it.
            elif reason := self._index(path):
                failed.append({"file": path, "reason": reason})
            else:
                counts["updated" if path in entries else "added"] += 1
            if progress:
                progress(done + 1, len(files), Path(path).name)
        return {name: counts[name] for name in ("added", "updated", "unchanged")} | {
            "failed": failed
        }

    def prune(self) -> list[str]:
        """Remove images whose files do not exist any more; returns their paths."""
        missing = [path for path in self._entries() if not Path(path).exists()]
        for start in range(0, len(missing), _REQUEST):
            part = missing[start : start + _REQUEST]
            with self._store.open(write=True) as (images, texts):
                texts.delete(where={"path": {"$in": part}})
                images.delete(ids=part)
        return missing

    def search_image(self, pixels: Pixels, k: int = 10) -> list[Hit]:
        """The images most similar to an image (RGB, uint8), best first; `score` is the cosine."""
        vector, _ = self._embed(pixels)
        with self._store.open() as (images, _):
            scores = _nearest(images, vector, k)
        return self._hits(scores, k)

    def search_text(self, query: str, k: int = 10) -> list[Hit]:
        """Images that show what the text describes, or contain its words. Refuses an empty text."""
        terms = _words(query)[:_MAX_TERMS]
        terms = [term for term in terms if len(term) > 2] or terms
        if not terms:
            raise BadInput("The query is empty.", hint="Describe what you are looking for.")
        vector = embed_texts(self._embeddings, [query], queries=1)[0]
        clip_vector = self._clip.embed_text(query) if self._clip else None
        with self._store.open() as (images, texts):
            # 1. Images whose labels or text mean something similar, or that CLIP finds similar.
            meaning = _nearest(texts, vector, 6 * k)
            if self._clip and clip_vector is not None:
                for path, cosine in _nearest(images, clip_vector, 3 * k).items():
                    meaning[path] = max(self._clip.score(cosine), meaning.get(path, 0.0))
            # 2. Images with each of the words, and with all: a model does not know names, numbers.
            each = [{"$contains": term.removesuffix("s")} for term in terms]
            for words in [*each, {"$and": each * 2}]:
                for path in images.get(where_document=words, limit=3 * k, include=[])["ids"]:
                    meaning.setdefault(path, 0.0)
        return self._hits(meaning, k, terms)

    def duplicates(self, max_distance: int = 8) -> list[list[str]]:
        """Groups of paths of the same picture, whose hashes differ in up to `max_distance` bits."""
        return duplicates.group(self._entries(), max_distance)

    def thumbnail(self, path: str) -> Pixels | None:
        """A small copy of an indexed image; None for other paths, and if its file is gone."""
        try:
            if self._entries([path]):
                return _shrink(open_source(Path(path), config=self.config).first(), _THUMBNAIL)
        except SeedbedError:
            pass
        return None

    def close(self) -> None:
        """Close Chroma."""
        self._store.close()

    def _is_current(self, path: str, entry: dict[str, Any]) -> bool:
        """Whether a file need not be read; a new time of the same content is stored."""
        if not Path(path).is_file() or (stat := Path(path).stat()).st_size != entry["size"]:
            return False
        if stat.st_mtime_ns != entry["mtime_ns"]:
            if _sha256(path) != entry["sha256"]:
                return False
            with self._store.open(write=True) as (images, _):
                images.update(ids=[path], metadatas=[{"mtime_ns": stat.st_mtime_ns}])
        return True

    def _index(self, path: str) -> str:
        """Analyse a file and write the results; returns why it cannot be read."""
        if not _is_utf8(path):  # Chroma refuses such names
            return "The name is not UTF-8. Rename the file."
        try:
            stat, sha256 = Path(path).stat(), _sha256(path)
            pixels = open_source(Path(path), config=self.config).first()
            text = self._read(pixels)[:_MAX_TEXT].strip()
            image, probabilities = self._embed(pixels)
            likely = [i for i in np.argsort(-probabilities)[:5] if probabilities[i] >= _MIN_LABEL]
            labels = [self._classifier.labels[i] for i in likely]
            kinds = [kind for label in labels for kind in kinds_of(label)]
            metadata = {
                "path": path,
                "size": stat.st_size,
                "mtime_ns": stat.st_mtime_ns,
                "sha256": sha256,
                "hash": duplicates.image_hash(pixels),
                "labels": "\n".join(labels),
                "text": text,
            }
            vectors = {"text:" + path: embed_texts(self._embeddings, [text])[0]} if text else {}
            if not self._clip:
                vectors["labels:" + path] = concept(probabilities, self._label_vectors)
            words = " ".join(_words(" ".join([Path(path).stem, *labels, *kinds, text])))
        except Exception as error:
            return getattr(error, "strerror", "") or public_message(error, log)
        with self._store.open(write=True) as (images, texts):
            if old := texts.get(["labels:" + path, "text:" + path], include=[])["ids"]:
                texts.delete(old)
            if vectors:
                metadatas = [{"path": path}] * len(vectors)
                texts.upsert(list(vectors), list(vectors.values()), metadatas)
            images.upsert([path], [image], [metadata], [words])
        return ""

    def _embed(self, pixels: Pixels) -> tuple[Vectors, Vectors]:
        """The vector of an image, and the probabilities of its labels."""
        [probabilities], [features] = self._classifier.infer([pixels])
        return self._clip.embed_image(pixels) if self._clip else features, probabilities

    @cached_property
    def _label_vectors(self) -> Vectors:
        return label_vectors(self._classifier.labels, self._embeddings)

    def _read(self, pixels: Pixels) -> str:
        """The text of an image, if a small copy shows any: OCR of a photo takes 0.1 s, not 3 s."""
        page = self._reader.read(_shrink(pixels, _GLANCE))
        if page.lines and max(pixels.shape[:2]) > _GLANCE:
            page = self._reader.read(pixels)
        return page.text

    def _entries(self, paths: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
        """What is stored by path, by default of all images, with the `words`."""
        if paths is not None and not paths:
            return {}  # Chroma refuses it
        ids = list(paths) if paths else None
        with self._store.open() as (images, _):
            result = images.get(ids=ids, include=["metadatas", "documents"])
        rows = zip(result["ids"], result["metadatas"], result["documents"], strict=True)
        return {path: {**metadata, "words": words} for path, metadata, words in rows}

    def _hits(self, meaning: dict[str, float], k: int, terms: Sequence[str] = ()) -> list[Hit]:
        """The best images: the score is the probability of "or" of meaning and common words."""
        hits = []
        for path, entry in self._entries(meaning).items():
            score = 1 - (1 - meaning[path]) * (1 - 0.9 * _coverage(terms, entry["words"]))
            # The excerpt is the text in one line, from the first line with a term.
            lines = entry["text"].splitlines()
            start = next((n for n, line in enumerate(lines) if {*terms} & {*_words(line)}), 0)
            excerpt = shorten(" ".join(lines[start:]), 160, placeholder="…")
            hits.append(Hit(path, score, entry["labels"].splitlines(), excerpt))
        return sorted(hits, key=lambda hit: -hit.score)[:k]


def _nearest(collection: Any, vector: Vectors, k: int) -> dict[str, float]:
    """The best cosine of each path among the nearest vectors; a negative one counts as 0."""
    result = collection.query([vector], n_results=k, include=["metadatas", "distances"])
    cosines: dict[str, float] = {}
    for metadata, distance in zip(result["metadatas"][0], result["distances"][0], strict=True):
        cosines.setdefault(metadata["path"], min(1.0, max(0.0, 1 - distance)))
    return cosines


def _coverage(terms: Sequence[str], words: str) -> float:
    """The share of the terms that are among the words; long ones may have an OCR error."""
    content = set(words.split())
    matches = [
        term in content
        or (len(term) > 3 and process.extractOne(term, content, scorer=fuzz.ratio, score_cutoff=85))
        for term in terms
    ]
    return sum(map(bool, matches)) / max(1, len(terms))


def _is_utf8(name: str) -> bool:
    return name.encode(errors="ignore").decode() == name


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower().replace("_", " "))


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shrink(pixels: Pixels, side: int) -> Pixels:
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return np.asarray(image)
