"""Embedders: what the classifier's labels mean as text, and CLIP models."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vision_app.config import Config
from vision_app.search.embedders import ClassifierEmbedder, load_embedder
from vision_app.search.kinds import kinds_of
from seedbed.errors import ConfigError, WeightsError
from seedbed.models.hash_embeddings import HashEmbeddings


class OneLabel:
    """Always sees the same label."""

    name = "one-label"
    labels = ("beagle", "sports car", "daisy")

    def __init__(self, index: int) -> None:
        self.index = index

    def infer(self, images: Any) -> tuple[np.ndarray, np.ndarray]:
        probabilities = np.eye(3, dtype=np.float32)[[self.index] * len(images)]
        return probabilities, probabilities + 1


def test_concept_is_near_everyday_words_for_the_label(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    cosines = []
    for index in range(3):
        embedder = ClassifierEmbedder(OneLabel(index), HashEmbeddings(), tmp_path)
        vectors = embedder.embed([pixels])[embedder.text_space]
        cosines.append(float(vectors[0] @ embedder.embed_text("dog")))
    assert cosines[0] > 0.3 > max(cosines[1:])


def test_label_vectors_are_stored_and_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    first = ClassifierEmbedder(OneLabel(0), HashEmbeddings(), tmp_path).embed([pixels])
    [file] = tmp_path.glob("labels-*.npy")
    stored = file.read_bytes()
    file.write_bytes(b"damaged")
    second = ClassifierEmbedder(OneLabel(0), HashEmbeddings(), tmp_path).embed([pixels])
    assert file.read_bytes() == stored
    for space, vectors in first.items():
        np.testing.assert_array_equal(vectors, second[space])


def test_kinds_cover_breeds_and_not_other_labels() -> None:
    assert "dog" in kinds_of("golden retriever")
    assert "cat" in kinds_of("Siamese cat")
    assert "dog" not in kinds_of("timber wolf")
    assert "flower" in kinds_of("daisy")
    assert kinds_of("my own class") == ()


@pytest.mark.parametrize("spec", ["clip", "openai:clip"])
def test_search_model_must_be_a_repository_or_a_folder(spec: str) -> None:
    config = Config(search_model=spec, _env_file=None)
    with pytest.raises(ConfigError, match="hf:ORG/REPO"):
        load_embedder(config, OneLabel(0), HashEmbeddings)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP model with random weights, and a tokenizer of single letters."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    import json

    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(c + "</w>" for c in letters)]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    files = (str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = transformers.CLIPTokenizer(*files, model_max_length=16)
    size = {"shortest_edge": 32}
    processor = transformers.CLIPProcessor(
        transformers.CLIPImageProcessor(size=size, crop_size={"height": 32, "width": 32}), tokenizer
    )
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    layers["num_attention_heads"] = 2
    config = transformers.CLIPConfig(
        text_config={
            **layers,
            **{"vocab_size": len(tokens), "max_position_embeddings": 16},
            **{"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1},
        },
        vision_config={**layers, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_clip_embeds_images_and_texts_in_one_space(clip_folder: Path) -> None:
    config = Config(search_model=f"path:{clip_folder}", _env_file=None)
    embedder = load_embedder(config, SimpleNamespace(), HashEmbeddings)
    assert embedder.image_space == embedder.text_space
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (40, 60, 3)).astype(np.uint8) for _ in range(2)]
    vectors = embedder.embed(images)[embedder.image_space]
    text = embedder.embed_text("a dog " * 20)  # longer than the model reads
    assert vectors.shape == (2, 24)
    assert text.shape == (24,)
    np.testing.assert_allclose(np.linalg.norm([*vectors, text], axis=1), 1, atol=1e-5)
    assert abs(float(vectors[0] @ vectors[1])) < 0.9999
    scores = [embedder.text_score(cosine) for cosine in (-0.1, 0.15, 0.2, 0.3, 0.35, 0.9)]
    assert scores == pytest.approx([0, 0, 0.25, 0.75, 1, 1])


@pytest.mark.slow
def test_folder_without_a_model_is_an_error_of_one_line(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    config = Config(search_model=f"path:{tmp_path}", _env_file=None)
    with pytest.raises(WeightsError, match="Cannot load the search model"):
        load_embedder(config, SimpleNamespace(), HashEmbeddings)
