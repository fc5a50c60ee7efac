"""MiniLM on OpenVINO, compared with sentence-transformers, and the specs of other embeddings."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.embeddings import load as embeddings
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.embeddings.load import MiniLM, load_embeddings
from seedbed.models.weights.catalog import MODELS
from seedbed.models.weights.ensure import ensure
from seedbed.settings import Settings

pytestmark = pytest.mark.timeout(240)  # loading torch is slow on a busy machine
# Other texts than those that the int8 ranges were measured on.
TEXTS = [
    "",
    "No",
    "What is a vector database?",
    "Ein Satz auf Deutsch über Öfen, Straßen und 25 °C.",
    "日本語の文章 and an emoji 🙂",
    "x = [i ** 2 for i in range(10) if i % 2]",
    "The court found that the contract had been broken and awarded damages of $12,500.00.",
    "Enzymes lower the activation energy of a reaction without being consumed by it. " * 3,
    "retrieval augmented generation " * 90,
    "A long line about ships, harbours and the price of grain in 1901, told slowly. " * 60,
]


def requests(model: str) -> float:
    labels = {"model": model, "operation": "embeddings"}
    return REGISTRY.get_sample_value("seedbed_model_requests_total", labels) or 0


@pytest.fixture(scope="module")
def fast() -> MiniLM:
    model = load_embeddings("minilm")
    assert isinstance(model, MiniLM)
    return model


@pytest.fixture(scope="module")
def full() -> Iterator[MiniLM]:
    model = load_embeddings("minilm", fast=False)
    assert isinstance(model, MiniLM)
    yield model
    embeddings._minilm.cache_clear()  # frees its memory


@pytest.mark.own_process
@pytest.mark.slow
def test_float32_vectors_equal_those_of_sentence_transformers(full: MiniLM) -> None:
    reference = pytest.importorskip("sentence_transformers")
    entry = MODELS["minilm"]
    path = Path(str(metadata.distribution(entry.package).locate_file(entry.files[0].path)))
    model = reference.SentenceTransformer(str(path.parent), device="cpu")
    expected = model.encode(TEXTS, normalize_embeddings=True)
    cosine = (full.embed(TEXTS) * expected).sum(axis=1)
    assert cosine.min() > 0.9999, cosine


@pytest.mark.slow
def test_int8_vectors_are_close_to_float32(fast: MiniLM, full: MiniLM) -> None:
    cosine = (fast.embed(TEXTS) * full.embed(TEXTS)).sum(axis=1)
    assert cosine.min() > 0.985 and np.median(cosine) > 0.995, cosine


def test_embed_returns_normalised_vectors_in_order(fast: MiniLM) -> None:
    texts = [f"{word} " * (1 + i * 7 % 60) for i, word in enumerate(["cat", "tax", "sea"] * 30)]
    together = fast.embed(texts)
    assert together.shape == (90, fast.dimension) and together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for index in (0, 17, 89):
        assert together[index] @ fast.embed([texts[index]])[0] > 0.999


@pytest.mark.slow
def test_padding_does_not_change_a_vector(full: MiniLM) -> None:
    alone = full.embed(["short"])[0]
    beside = full.embed(["short", "a far longer text than the other one " * 10])[0]
    assert np.allclose(alone, beside, atol=1e-5)


def test_embed_accepts_an_empty_list(fast: MiniLM) -> None:
    assert fast.embed([]).shape == (0, 384)
    assert fast.embed_documents([]) == []


def test_embed_truncates_a_huge_text(fast: MiniLM) -> None:
    start = "One line without an end: " + "word " * 300
    assert np.allclose(fast.embed([start + "x" * 5_000_000]), fast.embed([start]), atol=1e-6)


def test_token_counts_ignore_special_tokens_and_the_limit(fast: MiniLM) -> None:
    assert fast.count_tokens("hello world") == 2
    assert fast.token_counts(["hello", "", "word " * 500]) == [1, 0, 500]


def test_embed_is_thread_safe(fast: MiniLM) -> None:
    texts = [f"text number {i} " * (1 + i % 9) for i in range(64)]
    expected = fast.embed(texts)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: fast.embed(texts), range(8)))
    assert all(np.allclose(result, expected, atol=1e-5) for result in results)


@pytest.mark.slow
def test_name_contains_the_precision_and_instances_are_shared(fast: MiniLM, full: MiniLM) -> None:
    assert fast.name.endswith("-int8") and full.name.endswith("-f32")
    assert load_embeddings("minilm") is fast


@pytest.mark.slow
def test_inexact_int8_falls_back_to_float32(tmp_path: Path) -> None:
    ready = ensure("minilm")
    for path in ready.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "probe.npy").unlink()
    np.save(tmp_path / "probe.npy", -np.load(ready / "probe.npy"))  # int8 "disagrees" with it
    model = MiniLM(tmp_path)
    assert model.name == f"{tmp_path.name}-f32"
    assert np.allclose(model.embed(["a"]), load_embeddings(fast=False).embed(["a"]), atol=1e-5)  # type: ignore[attr-defined]


def test_calibration_texts_ship_with_the_package() -> None:
    lines = (resources.files("seedbed.models") / "calibration.txt").read_text("utf-8").splitlines()
    assert len(lines) > 20


def test_embedding_never_imports_torch_or_transformers() -> None:
    code = (
        "import sys; from seedbed.models.embeddings.load import load_embeddings\n"
        "load_embeddings('minilm').embed_query('hello')\n"
        "print([m for m in ('torch', 'transformers', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_hash_spec_sets_the_dimension() -> None:
    model = load_embeddings("hash:16")
    assert isinstance(model, HashEmbeddings) and model.dimension == 16


@pytest.mark.parametrize("spec", ["mimilm", "smollm2", "novendor:thing"])
def test_spec_of_another_kind_is_a_config_error(spec: str) -> None:
    pytest.importorskip("langchain")
    with pytest.raises(ConfigError, match=spec):
        load_embeddings(spec)


def test_base_url_applies_to_remote_embeddings() -> None:
    pytest.importorskip("langchain_openai")
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            data = [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}]
            usage = {"prompt_tokens": 1, "total_tokens": 1}
            body = json.dumps({"object": "list", "data": data, "model": "m", "usage": usage})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/v1"
        model = load_embeddings("openai:own-model", settings=Settings(base_url=url))
        before = requests("openai:own-model")
        assert model.embed_query("hello") == [0.6, 0.8]
        assert asyncio.run(model.aembed_documents(["hello"])) == [[0.6, 0.8]]
        assert requests("openai:own-model") == before + 2
    finally:
        server.shutdown()
        server.server_close()
    assert bodies[0]["model"] == "own-model"
    assert bodies[0]["input"] == ["hello"]  # not OpenAI's token ids


def test_embed_updates_the_metrics(fast: MiniLM) -> None:
    def read() -> float:
        return REGISTRY.get_sample_value("seedbed_model_tokens_total", labels) or 0

    labels = {"model": "minilm", "direction": "input"}
    calls, tokens = requests("minilm"), read()
    fast.embed(["hello", "hello world"])
    assert requests("minilm") == calls + 1
    assert read() == tokens + 3 + 4  # each text with two special tokens


def test_load_embeddings_silences_dependencies_first() -> None:
    code = (
        "import os, sys; from seedbed.models.embeddings.load import load_embeddings\n"
        "load_embeddings('minilm')\n"
        "print(sys.modules['openvino_telemetry'], os.environ['HF_HUB_DISABLE_TELEMETRY'])"
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith("HF_HUB_")}
    done = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True)
    assert done.stdout.strip() == "None 1", done.stderr


@pytest.mark.own_process
@pytest.mark.slow
def test_path_spec_loads_a_sentence_transformers_folder(fast: MiniLM) -> None:
    pytest.importorskip("langchain_huggingface")
    entry = MODELS["minilm"]
    path = Path(str(metadata.distribution(entry.package).locate_file(entry.files[0].path)))
    model = load_embeddings(f"path:{path.parent}")
    # The key for stored vectors, so it differs between folders.
    assert getattr(model, "name", "") == f"path:{path.parent}"
    assert np.dot(model.embed_query("hello there"), fast.embed_query("hello there")) > 0.99


def test_missing_extra_contains_the_install_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "langchain_huggingface", None)
    with pytest.raises(MissingExtra, match=r"'langchain_huggingface'.*seedbed\[torch\]"):
        load_embeddings(f"path:{tmp_path}")
