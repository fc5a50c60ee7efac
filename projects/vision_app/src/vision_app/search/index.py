"""The image index: adds folders, and finds images by an image, by a text, and by likeness.

    index = ImageIndex(config, classifier, reader)
    index.add([Path("photos")])                  # unchanged files are not read again
    index.search_text("a dog on the beach")[0]   # Hit(path=..., score=0.61, ...)
    index.search_image(pixels)
    index.duplicates()

The catalogue (SQLite) is what counts; Chroma contains copies of its vectors. A process may die
between any two lines here: the next call compares the ids of both, and adds or deletes the rest.
Opening files is left to `images.py`, and what images are compared by to `embedders.py`.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vision_app.answer.describe import legible
from vision_app.config import Config
from vision_app.ocr.page import Pixels
from vision_app.search import duplicates
from vision_app.search.catalog import Catalog, Entry, Vectors
from vision_app.search.embedders import Embedder, load_embedder, space_name
from vision_app.search.kinds import kinds_of
from vision_app.search.vectors import VectorStore
from seedbed.errors import BadInput, Busy, Unavailable, public_message
from seedbed.models.embeddings import embed_texts

if TYPE_CHECKING:
    from vision_app.classify.classifier import Classifier
    from vision_app.ocr.engine import Reader

log = logging.getLogger(__name__)
Progress = Callable[[int, int, str], None]
"""Called with the number of files done, their total, and the last one's name."""

_BATCH = 32  # files between two commits
_LOCK_SECONDS = 60.0
_REBUILD = 2000  # vectors per request while Chroma is rebuilt
_GLANCE = 640  # pixels of the longer side at which text is looked for
_THUMBNAIL = 192  # pixels of the longer side; about 5 kB as JPEG
_LABELS = 5
_MIN_LABEL = 0.1  # confidence from which a label is a keyword of an image


@dataclass
class Summary:
    """What `add` did: numbers of files, and the reason for each file that could not be read."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """{"added", "updated", "unchanged", "failed": [{"file", "reason"}]}."""
        failed = [{"file": file, "reason": reason} for file, reason in self.failed.items()]
        return {**vars(self), "failed": failed}


@dataclass(frozen=True)
class Hit:
    """An image of the index. `score` is 0 to 1; `excerpt` is a part of the text in the image."""

    path: str
    score: float
    labels: tuple[tuple[str, float], ...]
    excerpt: str

    def as_json(self) -> dict[str, Any]:
        """{"file", "score", "labels": [...], "excerpt"}; only labels that are likely."""
        labels = [name for name, confidence in self.labels if confidence >= _MIN_LABEL]
        score = round(self.score, 4)
        return {"file": self.path, "score": score, "labels": labels, "excerpt": self.excerpt}


class ImageIndex:
    """Images by path, in `config.data_dir`. Safe to use from many threads and processes.

    `embeddings` and `embedder` replace the models of the settings.

        index = ImageIndex(config, classifier, reader)
        summary = index.add([Path("photos")])
        print(summary.added, summary.failed)
    """

    def __init__(
        self,
        config: Config,
        classifier: Classifier,
        reader: Reader,
        *,
        embeddings: Any = None,
        embedder: Embedder | None = None,
    ) -> None:
        self.config = config
        self._classifier = classifier
        self._reader = reader
        self._own_embeddings = embeddings
        self._own_embedder = embedder
        self._catalog = Catalog(config.data_dir)
        prefix = f"images-{self._catalog.meta('catalog')[:12]}-"
        self._store = VectorStore(config.data_dir / "chroma", config.chroma_url, prefix)
        self._generation = ""  # of the catalogue when Chroma was last equal to it
        self._lock = threading.RLock()

    # ── adding ──────────────────────────────────────────────────────────────────────────────

    def add(
        self, paths: Sequence[Path], progress: Progress | None = None, *, read_text: bool = True
    ) -> Summary:
        """Index files, folders and patterns; only new and changed files are decoded.

        Of a PDF the first page is indexed. A file that cannot be read is listed in the summary, and
        its old entry stays. `read_text=False` skips OCR. Raises BadInput for a folder without
        images, Busy while another process writes, and DiskError.
        """
        from vision_app.folders.find_files import find_files

        # 1. Leave out files that are indexed already, by size and time, else by content.
        files = [Path(os.path.normpath(path.absolute())) for path in find_files(paths)]
        summary, stamps = Summary(), self._catalog.stamps()
        changed = [path for path in files if not self._is_current(path, stamps, summary)]
        done = len(files) - len(changed)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for start in range(0, len(changed), _BATCH):
                batch = changed[start : start + _BATCH]
                # 2. Decode, read and embed some files.
                analyses = pool.map(lambda path: self._analyse(path, read_text), batch)
                entries = []
                for path, result in zip(batch, analyses, strict=True):
                    done += 1
                    if isinstance(result, str):
                        summary.failed[str(path)] = result
                    else:
                        entries.append(result)
                    if progress:
                        progress(done, len(files), path.name)
                # 3. Commit them; what follows can be repeated from the catalogue.
                self._put(entries)
                summary.updated += sum(entry.path in stamps for entry in entries)
                summary.added += sum(entry.path not in stamps for entry in entries)
        return summary

    def prune(self) -> list[str]:
        """Remove images whose files do not exist any more; returns their paths."""
        missing = [path for path in self._catalog.stamps() if not Path(path).exists()]
        if missing:
            with self._writing():
                self._sync()
                self._delete_vectors(self._catalog.remove(missing))
                self._generation = self._catalog.meta("generation")
        return missing

    def _is_current(
        self, path: Path, stamps: dict[str, tuple[int, int, str, str]], summary: Summary
    ) -> bool:
        """Whether a file need not be read, which is counted in `summary`."""
        size, mtime_ns, sha256, model = stamps.get(str(path), (0, 0, "", ""))
        try:
            if model != self._embedder.name:
                return False
            stat = path.stat()
            if (stat.st_size, stat.st_mtime_ns) != (size, mtime_ns):
                if stat.st_size != size or _sha256(path) != sha256:
                    return False
                self._catalog.touch(str(path), size, stat.st_mtime_ns)
        except OSError:
            return False  # `_analyse` reports it
        summary.unchanged += 1
        return True

    def _analyse(self, path: Path, read_text: bool) -> Entry | str:
        """Everything that is stored of one file, or why it cannot be read."""
        from vision_app.images import open_source

        try:
            stat = path.stat()
            sha256 = _sha256(path)
            pixels = open_source(path, config=self.config).first()
            text = self._read(pixels) if read_text else ""
            vectors = {name: v[0] for name, v in self._embedder.embed([pixels]).items()}
            if text.strip():
                vectors[self._words_space] = embed_texts(self._embeddings, [text])[0]
            [probabilities] = self._classifier.probabilities([pixels])
            best = np.argsort(-probabilities)[:_LABELS].tolist()
            return Entry(
                path=str(path),
                size=stat.st_size,
                mtime_ns=stat.st_mtime_ns,
                sha256=sha256,
                model=self._embedder.name,
                width=pixels.shape[1],
                height=pixels.shape[0],
                labels=tuple((self._classifier.labels[i], float(probabilities[i])) for i in best),
                text=text,
                hash=duplicates.image_hash(pixels),
                thumbnail=_jpeg(pixels),
                vectors=vectors,
            )
        except OSError as error:
            return error.strerror or str(error)
        except Exception as error:
            return public_message(error, log)

    def _read(self, pixels: Pixels) -> str:
        """The text of an image; a small copy of it shows whether there is any.

        A photograph of 12 megapixels then takes 0.1 s instead of 3 s, as OCR tries to read its
        texture. Text that fills less than about a hundredth of the height may be missed in photos.
        """
        [page] = legible([self._reader.read(_shrink(pixels, _GLANCE))])
        if not page.lines or max(pixels.shape[:2]) <= _GLANCE:
            return page.text
        return legible([self._reader.read(pixels)])[0].text

    def _put(self, entries: Sequence[Entry]) -> None:
        """Write entries to the catalogue, then to Chroma."""
        if not entries:
            return
        with self._writing():
            self._sync()
            obsolete, ids = self._catalog.put(entries)
            self._delete_vectors(obsolete)
            for space in self._spaces:
                self._store.upsert(space, *self._catalog.vectors(space, ids))
            self._generation = self._catalog.meta("generation")

    # ── searching ───────────────────────────────────────────────────────────────────────────

    def search_image(self, pixels: Pixels, k: int = 10) -> list[Hit]:
        """The images most similar to an image, best first; `score` is the cosine.

        pixels: RGB, uint8, (height, width, 3).
        """
        space = self._embedder.image_space
        [vector] = self._embedder.embed([pixels])[space]
        return self._hits(dict(self._query(space, vector, k)), k)

    def search_text(self, query: str, k: int = 10) -> list[Hit]:
        """The images that show what the text says, or contain its words, best first.

        Raises BadInput for an empty query.
        """
        if not query.strip():
            raise BadInput("The query is empty.", hint="Describe what you are looking for.")
        # 1. Images that show, or whose text says, something similar. The better of both counts.
        embedder, vector = self._embedder, self._embedder.embed_text(query)
        shown = self._query(embedder.text_space, vector, 3 * k)
        meaning = {i: embedder.text_score(cosine) for i, cosine in shown}
        words = embed_texts(self._embeddings, [query])[0]
        for i, cosine in self._query(self._words_space, words, 3 * k):
            meaning[i] = max(cosine, meaning.get(i, 0.0))
        # 2. Images with the words themselves: numbers and names mean nothing to a model.
        ids = {*meaning, *self._catalog.keywords(query, 3 * k)}
        entries = self._catalog.entries(list(ids))
        # 3. Either is evidence: the score is the probability of "or" of the two.
        scores = {
            i: 1 - (1 - max(0.0, meaning.get(i, 0.0))) * (1 - 0.9 * coverage(query, entry))
            for i, entry in entries.items()
        }
        return self._hits(scores, k, query)

    def duplicates(self, max_distance: int = 8) -> list[list[str]]:
        """Groups of paths whose images look the same, the largest group first.

        `max_distance` is the number of bits, of 64, in which two perceptual hashes may differ.
        """
        pairs = duplicates.near_pairs(self._catalog.hashes(), max_distance)
        texts = self._catalog.texts({path for pair in pairs for path in pair})
        same = [(a, b) for a, b in pairs if duplicates.numbers_agree(texts[a], texts[b])]
        return duplicates.group(same)

    def thumbnail(self, path: str) -> bytes | None:
        """A small JPEG of an indexed image, also after its file was moved; None for other paths."""
        entry = self._catalog.entry(path)
        return entry.thumbnail if entry else None

    def count(self) -> int:
        """The number of images."""
        return len(self._catalog.ids(self._embedder.image_space))

    def close(self) -> None:
        """Close the catalogue and Chroma."""
        self._store.reopen()
        self._catalog.close()

    def _query(self, space: str, vector: Vectors, k: int) -> list[tuple[int, float]]:
        if self._generation != self._catalog.meta("generation"):
            with self._writing():
                self._sync()
        try:
            return self._store.query(space, vector, k)
        except Unavailable:  # a damaged store, or a server that restarted: compare again, once
            self._generation = ""
            with self._writing():
                self._sync()
            return self._store.query(space, vector, k)

    def _hits(self, scores: dict[int, float], k: int, query: str = "") -> list[Hit]:
        best = sorted(scores, key=lambda i: -scores[i])[:k]
        entries = self._catalog.entries(best)
        return [
            Hit(e.path, min(1.0, max(0.0, scores[e.id])), e.labels, excerpt(e.text, query))
            for e in (entries[i] for i in best if i in entries)
        ]

    # ── models and consistency ──────────────────────────────────────────────────────────────

    @cached_property
    def _embeddings(self) -> Any:
        from seedbed.models.embeddings import load_embeddings

        return self._own_embeddings or load_embeddings()

    @cached_property
    def _embedder(self) -> Embedder:
        return self._own_embedder or load_embedder(
            self.config, self._classifier, lambda: self._embeddings
        )

    @cached_property
    def _words_space(self) -> str:
        return space_name("words", getattr(self._embeddings, "name", "texts"))

    @cached_property
    def _spaces(self) -> list[str]:
        return sorted({self._embedder.image_space, self._embedder.text_space, self._words_space})

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the writers' lock of the data folder, across threads and processes."""
        from filelock import FileLock, Timeout

        with self._lock:
            try:
                lock = FileLock(str(self._catalog.path.with_suffix(".lock")), timeout=_LOCK_SECONDS)
                lock.acquire()
            except Timeout:
                message = "Another process is writing the image index."
                raise Busy(message, hint="Try again in a moment.", retry_after=5) from None
            try:
                yield
            finally:
                lock.release()

    def _sync(self) -> None:
        """Make Chroma equal to the catalogue, if another process wrote or one was killed."""
        generation = self._catalog.meta("generation")
        if generation == self._generation:
            return
        self._store.reopen()  # an embedded Chroma does not see what other processes wrote
        try:
            self._fill(surplus=True)
        except Unavailable:
            if self._store.url:
                raise
            self._store.reset()
            self._fill()
        self._generation = generation

    def _fill(self, *, surplus: bool = False) -> None:
        """Add what Chroma lacks, and with `surplus` delete what it has too many."""
        for space in self._spaces:
            expected, actual = self._catalog.ids(space), self._store.ids(space)
            if surplus and actual - expected:
                self._store.delete(space, actual - expected)
            lacking = sorted(expected - actual)
            for at in range(0, len(lacking), _REBUILD):
                ids = lacking[at : at + _REBUILD]
                self._store.upsert(space, *self._catalog.vectors(space, ids))

    def _delete_vectors(self, ids: Sequence[int]) -> None:
        for space in self._spaces:
            self._store.delete(space, ids)


def coverage(query: str, entry: Entry) -> float:
    """The share of the query's words that an image's likely labels, text or name contain, 0 to 1.

    Words may differ by an OCR error or a plural.
    """
    from rapidfuzz import fuzz, process

    likely = [name for name, confidence in entry.labels if confidence >= _MIN_LABEL]
    labels = [word for name in likely for word in (name, *kinds_of(name))]
    content = set(_words(" ".join([*labels, entry.text, Path(entry.path).stem])))
    terms = [word for word in _words(query) if len(word) > 2] or _words(query)
    if not terms or not content:
        return 0.0

    def is_in_content(term: str) -> bool:
        match = process.extractOne(term, content, scorer=fuzz.ratio, score_cutoff=85)
        return term in content or (len(term) > 3 and match is not None)

    return sum(map(is_in_content, terms)) / len(terms)


def excerpt(text: str, query: str = "", length: int = 160) -> str:
    """Up to `length` characters of the text on one line, from the first line with a query's word.

    >>> excerpt("Acme\\nTotal 5.00\\nThanks", "total")
    'Total 5.00 Thanks'
    """
    lines, terms = text.splitlines(), set(_words(query))
    start = next((n for n, line in enumerate(lines) if terms & set(_words(line))), 0)
    line = " ".join(lines[start:])
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower().replace("_", " "))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shrink(pixels: Pixels, side: int) -> Pixels:
    """The image with at most `side` pixels on its longer side."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return np.asarray(image)


def _jpeg(pixels: Pixels) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(_shrink(pixels, _THUMBNAIL)).save(buffer, "JPEG", quality=75)
    return buffer.getvalue()
