"""What images are compared by: the classifier's features, or a CLIP or SigLIP model.

    embedder = load_embedder(config, classifier, load_embeddings)
    embedder.embed([pixels])          # {space: float32 (1, dimension)}
    embedder.embed_text("a dog")      # compared with the vectors of `embedder.text_space`

An embedder's spaces carry the name of its model, so vectors of different models never meet. Storing
and comparing vectors is up to the index.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from vision_app.ocr.page import Pixels
from vision_app.search.kinds import kinds_of
from seedbed.errors import ConfigError, MissingExtra, WeightsError
from seedbed.files import write_bytes
from seedbed.models.embeddings import embed_texts

if TYPE_CHECKING:
    from vision_app.classify.classifier import Classifier
    from vision_app.config import Config

Vectors = npt.NDArray[np.float32]
_TOP = 10  # most likely labels that enter an image's concept; more did not help Norouzi et al.


class Embedder(Protocol):
    """Maps images, and texts that describe images, to L2-normalised vectors."""

    @property
    def name(self) -> str:
        """Identifies the models; another name means that images must be embedded again."""

    @property
    def image_space(self) -> str:
        """The space in which images are compared with images."""

    @property
    def text_space(self) -> str:
        """The space in which images are compared with texts."""

    def embed(self, images: Sequence[Pixels]) -> dict[str, Vectors]:
        """Vectors of n images by space, each float32 (n, dimension)."""

    def embed_text(self, text: str) -> Vectors:
        """The vector of a text, float32 (dimension,)."""

    def text_score(self, cosine: float) -> float:
        """The score, 0 to 1, of an image whose vector has this cosine with that of a text."""


class ClassifierEmbedder:
    """Features of the classifier for images; for texts, the mean of the embedded labels.

    A text is compared with the combination of an image's labels, each embedded as text and weighted
    with its probability. So "dog" finds a picture labelled "beagle" without a model that was
    trained on both images and texts. ConSE: Norouzi et al., 2014, https://arxiv.org/abs/1312.5650.
    `cache` is a folder for the vectors of the labels.
    """

    def __init__(self, classifier: Classifier, embeddings: Any, cache: Path) -> None:
        self._classifier = classifier
        self._embeddings = embeddings
        self._cache = cache
        texts = getattr(embeddings, "name", type(embeddings).__name__)
        self.name = f"{classifier.name}+{texts}"
        self.image_space = space_name("features", classifier.name)
        self.text_space = space_name("labels", self.name)

    @cached_property
    def _labels(self) -> Vectors:
        # "beagle, dog": labels are too special for the words that people search for.
        texts = [", ".join([label, *kinds_of(label)[-2:]]) for label in self._classifier.labels]
        key = hashlib.sha256("\n".join([self.name, *texts]).encode()).hexdigest()[:16]
        file = self._cache / f"labels-{key}.npy"
        with suppress(OSError, ValueError):
            return np.asarray(np.load(file, allow_pickle=False), np.float32)
        vectors = embed_texts(self._embeddings, texts)  # two seconds
        buffer = io.BytesIO()
        np.save(buffer, vectors)
        with suppress(OSError):  # a read-only folder
            write_bytes(file, buffer.getvalue())
        return vectors

    def embed(self, images: Sequence[Pixels]) -> dict[str, Vectors]:
        """Features, and concepts in the space of texts."""
        probabilities, features = self._classifier.infer(images)
        return {
            self.image_space: normalize(features),
            self.text_space: self.concepts(probabilities),
        }

    def concepts(self, probabilities: Vectors) -> Vectors:
        """The mean of the labels' vectors, weighted. probabilities: float32 (n, classes)."""
        weights = np.where(
            probabilities >= np.sort(probabilities, axis=1)[:, -_TOP:][:, :1], probabilities, 0
        )
        return normalize(weights @ self._labels)

    def embed_text(self, text: str) -> Vectors:
        """The text in the space of the labels."""
        vector: Vectors = embed_texts(self._embeddings, [text])[0]
        return vector

    def text_score(self, cosine: float) -> float:
        """The cosine; 0 for a negative one."""
        return max(0.0, cosine)


class ClipEmbedder:
    """CLIP or SigLIP through transformers: one space for images and texts.

    `folder` contains the model and its processor. Radford et al., 2021,
    https://arxiv.org/abs/2103.00020; Zhai et al., 2023, https://arxiv.org/abs/2303.15343.
    """

    def __init__(self, folder: Path, name: str) -> None:
        try:
            import torch
            from transformers import AutoModel, AutoProcessor
        except ImportError as error:
            raise MissingExtra(error.name or "transformers", "vision-app[hub]") from error
        try:
            self._model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()
            self._processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise WeightsError(f"Cannot load the search model {name!r}: {reason}") from error
        if not hasattr(self._model, "get_text_features"):
            raise ConfigError(
                f"VISION_SEARCH_MODEL={name} is a {type(self._model).__name__}, which does not"
                " embed texts.",
                hint="Use a CLIP or SigLIP model, e.g. hf:google/siglip2-base-patch16-224.",
            )
        self._torch = torch
        self.name = name
        self.image_space = self.text_space = space_name("clip", name)

    def embed(self, images: Sequence[Pixels]) -> dict[str, Vectors]:
        """Image vectors."""
        inputs = self._processor(images=list(images), return_tensors="pt")
        return {self.image_space: self._infer(self._model.get_image_features, inputs)}

    def embed_text(self, text: str) -> Vectors:
        """Text vector. CLIP reads 77 tokens, SigLIP 64, and was trained on full padding."""
        inputs = self._processor(
            text=[text], padding="max_length", truncation=True, return_tensors="pt"
        )
        vector: Vectors = self._infer(self._model.get_text_features, inputs)[0]
        return vector

    def text_score(self, cosine: float) -> float:
        """The place of the cosine between that of unrelated texts, 0, and of good captions, 1.

        Images and texts of CLIP meet at 0.15 to 0.35, those of SigLIP, which has a bias, at 0 to
        0.2: far less than two related texts, with whose cosines these scores are compared.
        """
        lowest = 0.0 if hasattr(self._model, "logit_bias") else 0.15
        return min(1.0, max(0.0, (cosine - lowest) / 0.2))

    def _infer(self, features: Callable[..., Any], inputs: Any) -> Vectors:
        with self._torch.inference_mode():
            output = features(**inputs)
        # transformers 5 returns an output object, earlier versions a tensor.
        return normalize(getattr(output, "pooler_output", output).numpy())


def load_embedder(
    config: Config, classifier: Classifier, load_texts: Callable[[], Any]
) -> Embedder:
    """The embedder of VISION_SEARCH_MODEL, or of the classifier and the text embeddings.

    Raises MissingExtra, ConfigError or WeightsError.
    """
    spec = config.search_model
    if spec is None:
        return ClassifierEmbedder(classifier, load_texts(), config.data_dir)
    scheme, _, rest = spec.partition(":")
    if scheme == "path":
        return ClipEmbedder(Path(rest), spec)
    if scheme == "hf":
        return ClipEmbedder(_hub_folder(rest, spec), spec)
    raise ConfigError(f"Invalid VISION_SEARCH_MODEL={spec!r}.", hint="Use hf:ORG/REPO or path:DIR.")


def _hub_folder(repo: str, spec: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtra("huggingface_hub", "vision-app[hub]") from error
    name, _, revision = repo.partition("@")
    patterns = ["*.json", "*.safetensors", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except Exception as error:  # of HTTP, the cache, and validation
        reason = str(error).splitlines()[0]
        hint = "Check the name and the connection, or set VISION_SEARCH_MODEL=path:DIR."
        raise WeightsError(f"Cannot download {spec!r}: {reason}", hint=hint) from error


def normalize(vectors: npt.ArrayLike) -> Vectors:
    """Rows of length 1; rows of zeros stay zeros.

    >>> normalize([[3.0, 4.0]]).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    array = np.asarray(vectors, np.float32)
    result: Vectors = array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-12)
    return result


def space_name(kind: str, model: str) -> str:
    """A name that Chroma accepts.

    >>> space_name("clip", "hf:org/repo")
    'clip-hf-org-repo'
    """
    return f"{kind}-{re.sub(r'[^A-Za-z0-9.]+', '-', model)}"[:200].rstrip("-.")
