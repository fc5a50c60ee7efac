"""Zero-shot detection with a tiny OWL-ViT of random weights: its boxes mean nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vision_app.classify.detect import MAX_QUERIES, Detector, load_detector
from vision_app.config import Config
from vision_app.files.pixels import Pixels
from seedbed.errors import BadInput, ConfigError, WeightsError
from seedbed.settings import Settings

SETTINGS = Settings(_env_file=None)  # type: ignore[call-arg]


def config(detector: str | None = None) -> Config:
    return Config(detector=detector, _env_file=None)  # type: ignore[call-arg]


def make_owlvit(folder: Path) -> None:
    """Save a model of one layer, and a tokenizer of letters."""
    import torch
    import transformers

    torch.manual_seed(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2}
    end = vocabulary["<|endoftext|>"]
    text = {**size, **heads, "vocab_size": len(tokens), "max_position_embeddings": 16}
    text |= {"bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": 0}
    vision = {**size, **heads, "image_size": 32, "patch_size": 8}
    model = transformers.OwlViTForObjectDetection(
        transformers.OwlViTConfig(text_config=text, vision_config=vision, projection_dim=16)
    )
    model.save_pretrained(folder)
    transformers.OwlViTImageProcessor(
        size={"height": 32, "width": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("owlvit")
    make_owlvit(folder)
    return load_detector(config(f"path:{folder}"), SETTINGS)


@pytest.fixture(scope="module")
def picture() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)


@pytest.mark.slow
def test_detect_returns_best_objects_first_with_boxes_in_the_image(
    detector: Detector, picture: Pixels
) -> None:
    detections = detector.detect(picture, ["a cat", " a dog ", "", "a cat"], min_score=0.0)
    assert detections
    scores = [detection.score for detection in detections]
    assert scores == sorted(scores, reverse=True)
    assert {detection.label for detection in detections} == {"a cat", "a dog"}
    for left, top, right, bottom in (detection.box for detection in detections):
        assert 0 <= left < right <= 100
        assert 0 <= top < bottom <= 60


@pytest.mark.slow
def test_detect_leaves_out_low_scores(detector: Detector, picture: Pixels) -> None:
    scores = [item.score for item in detector.detect(picture, ["a cat"], min_score=0.0)]
    middle = sorted(scores)[len(scores) // 2]
    above = [item.score for item in detector.detect(picture, ["a cat"], min_score=middle)]
    assert above == [score for score in scores if score > middle]
    assert detector.detect(picture, ["a cat"], min_score=1.0) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("queries", "problem"),
    [
        ([], "No object"),
        (["", "  "], "No object"),
        ([f"thing {n}" for n in range(MAX_QUERIES + 1)], "maximum is 20"),
        (["word " * 50], "maximum is 16"),
    ],
)
def test_detect_refuses_queries(
    detector: Detector, picture: Pixels, queries: list[str], problem: str
) -> None:
    with pytest.raises(BadInput, match=problem):
        detector.detect(picture, queries)


@pytest.mark.slow
def test_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(WeightsError, match=r"not a zero-shot object detector.*VISION_DETECTOR"):
        load_detector(config(f"path:{tmp_path}"), SETTINGS)


def test_missing_detector_names_its_setting() -> None:
    with pytest.raises(ConfigError, match=r"Set VISION_DETECTOR, e\.g\. to hf:google/owlv2"):
        load_detector(config(), SETTINGS)
