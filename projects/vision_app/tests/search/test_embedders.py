"""Labels as text vectors, and CLIP models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vision_app.classify.kinds import kinds_of
from vision_app.search.embedders import Clip, concept, label_vectors
from seedbed.errors import ConfigError, WeightsError
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.embeddings.load_embeddings import embed_texts


def test_concept_is_near_everyday_words_for_the_likely_label() -> None:
    embeddings = HashEmbeddings()
    vectors = label_vectors(("beagle", "sports car", "daisy"), embeddings)
    query = embed_texts(embeddings, ["dog"])[0]
    cosines = [
        float(mean @ query / np.linalg.norm(mean))
        for mean in (concept(row, vectors) for row in np.eye(3, dtype=np.float32) * 0.9 + 0.03)
    ]
    assert cosines[0] > 0.3 > max(cosines[1:])


def test_kinds_cover_breeds_and_not_other_labels() -> None:
    assert "dog" in kinds_of("golden retriever")
    assert "cat" in kinds_of("Siamese cat")
    assert "dog" not in kinds_of("timber wolf")
    assert "flower" in kinds_of("daisy")
    assert kinds_of("my own class") == ()


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP model with random weights, and a tokenizer of single letters."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
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
    clip = Clip(f"path:{clip_folder}")
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (40, 60, 3)).astype(np.uint8) for _ in range(2)]
    first, second = (clip.embed_image(image) for image in images)
    text = clip.embed_text("a dog " * 20)  # longer than the model reads
    assert first.shape == second.shape == text.shape == (24,)
    assert abs(first @ second) < 0.9999 * np.linalg.norm(first) * np.linalg.norm(second)
    scores = [clip.score(cosine) for cosine in (-0.1, 0.15, 0.2, 0.3, 0.35, 0.9)]
    assert scores == pytest.approx([0, 0, 0.25, 0.75, 1, 1])


@pytest.mark.slow
def test_folder_without_a_model_is_an_error_of_one_line(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(WeightsError) as error:
        Clip(f"path:{tmp_path}")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.slow
def test_search_model_must_be_a_repository_or_a_folder() -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="hf:ORG/REPO"):
        Clip("clip")
