"""MiniLM on OpenVINO gives sentence-transformers' vectors, without torch; specs reach the rest."""

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
from langchain_tests.unit_tests import EmbeddingsUnitTests
from prometheus_client import REGISTRY

from seedbed.errors import ConfigError, MissingExtra
from seedbed.models import embeddings
from seedbed.models.catalog import MODELS
from seedbed.models.embeddings import MiniLM, load_embeddings
from seedbed.models.rerank import load_reranker
from seedbed.models.weights import ensure
from seedbed.settings import Settings
from seedbed.testing import HashEmbeddings

pytestmark = pytest.mark.timeout(240)  # loading torch is slow on a busy machine
# Not the texts that the int8 ranges were measured on.
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
    embeddings._minilm.cache_clear()  # or it would stay in memory


@pytest.mark.own_process
@pytest.mark.slow
def test_float32_vectors_are_those_of_sentence_transformers(full: MiniLM) -> None:
    reference = pytest.importorskip("sentence_transformers")
    entry = MODELS["minilm"]
    path = Path(str(metadata.distribution(entry.package).locate_file(entry.files[0].path)))
    model = reference.SentenceTransformer(str(path.parent), device="cpu")
    expected = model.encode(TEXTS, normalize_embeddings=True)
    cosine = (full.embed(TEXTS) * expected).sum(axis=1)
    assert cosine.min() > 0.9999, cosine


@pytest.mark.slow
def test_fast_vectors_are_near_the_float32_ones(fast: MiniLM, full: MiniLM) -> None:
    cosine = (fast.embed(TEXTS) * full.embed(TEXTS)).sum(axis=1)
    assert cosine.min() > 0.985 and np.median(cosine) > 0.995, cosine


def test_vectors_are_normalised_and_in_the_order_of_the_texts(fast: MiniLM) -> None:
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


def test_no_texts_give_no_vectors(fast: MiniLM) -> None:
    assert fast.embed([]).shape == (0, 384)
    assert fast.embed_documents([]) == []


def test_a_huge_text_is_cut_at_the_limit_and_quick(fast: MiniLM) -> None:
    start = "One line without an end: " + "word " * 300
    assert np.allclose(fast.embed([start + "x" * 5_000_000]), fast.embed([start]), atol=1e-6)


def test_tokens_are_counted_without_marks_and_beyond_the_limit(fast: MiniLM) -> None:
    assert fast.count_tokens("hello world") == 2
    assert fast.token_counts(["hello", "", "word " * 500]) == [1, 0, 500]


def test_threads_share_the_model(fast: MiniLM) -> None:
    texts = [f"text number {i} " * (1 + i % 9) for i in range(64)]
    expected = fast.embed(texts)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: fast.embed(texts), range(8)))
    assert all(np.allclose(result, expected, atol=1e-5) for result in results)


@pytest.mark.slow
def test_names_tell_the_precision_and_loading_twice_shares(fast: MiniLM, full: MiniLM) -> None:
    assert fast.name.endswith("-int8") and full.name.endswith("-f32")
    assert load_embeddings("minilm") is fast


@pytest.mark.slow
def test_a_cpu_that_multiplies_wrongly_falls_back_to_float32(tmp_path: Path) -> None:
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
        "import sys; from seedbed.models.embeddings import load_embeddings\n"
        "load_embeddings('minilm').embed_query('hello')\n"
        "print([m for m in ('torch', 'transformers', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_hash_spec() -> None:
    model = load_embeddings("hash:16")
    assert isinstance(model, HashEmbeddings) and model.dimension == 16


@pytest.mark.parametrize("spec", ["mimilm", "smollm2", "novendor:thing"])
def test_a_spec_that_is_no_embedding_model_is_a_config_error(spec: str) -> None:
    with pytest.raises(ConfigError, match=spec):
        load_embeddings(spec)


def test_remote_embeddings_respect_the_base_url() -> None:
    pytest.importorskip("langchain_openai")
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
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
    assert seen[0]["model"] == "own-model"
    assert seen[0]["input"] == ["hello"]  # text, which every server of this protocol reads


def test_embedding_is_counted_with_its_tokens(fast: MiniLM) -> None:
    def read() -> float:
        return REGISTRY.get_sample_value("seedbed_model_tokens_total", labels) or 0

    labels = {"model": "minilm", "direction": "input"}
    calls, tokens = requests("minilm"), read()
    fast.embed(["hello", "hello world"])
    assert requests("minilm") == calls + 1
    assert read() == tokens + 3 + 4  # each text with the two marks that the model adds


def test_loading_as_a_library_silences_the_dependencies_first() -> None:
    code = (
        "import os, sys; from seedbed import load_embeddings; load_embeddings('minilm')\n"
        "print(sys.modules['openvino_telemetry'], os.environ['HF_HUB_DISABLE_TELEMETRY'])"
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith("HF_HUB_")}
    done = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True)
    assert done.stdout.strip() == "None 1", done.stderr


@pytest.mark.own_process
@pytest.mark.slow
def test_a_folder_of_sentence_transformers_loads(fast: MiniLM) -> None:
    pytest.importorskip("langchain_huggingface")
    entry = MODELS["minilm"]
    path = Path(str(metadata.distribution(entry.package).locate_file(entry.files[0].path)))
    model = load_embeddings(f"path:{path.parent}")
    # Vectors are cached under it: two folders must not share them.
    assert getattr(model, "name", "") == f"path:{path.parent}"
    assert np.dot(model.embed_query("hello there"), fast.embed_query("hello there")) > 0.99


def test_a_reranker_must_be_one() -> None:
    with pytest.raises(ConfigError, match="'minilm' is a model for embedding"):
        load_reranker("minilm")
    with pytest.raises(ConfigError, match="No reranker 'nonsense'"):
        load_reranker("nonsense")


@pytest.mark.slow
def test_a_cross_encoder_scores_in_the_order_of_the_texts(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("sentence_transformers")
    config = transformers.BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_labels=1
    )
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    entry = MODELS["minilm"]
    source = Path(str(metadata.distribution(entry.package).locate_file(entry.files[0].path))).parent
    transformers.AutoTokenizer.from_pretrained(str(source)).save_pretrained(tmp_path)
    reranker = load_reranker(f"path:{tmp_path}")
    both = reranker.score("question", ["one text", "another, longer text"])
    assert reranker.score("question", []) == [] and len(both) == 2
    labels = {"model": f"path:{tmp_path}", "operation": "rerank"}
    assert REGISTRY.get_sample_value("seedbed_model_requests_total", labels) == 2
    assert both[1] == pytest.approx(reranker.score("question", ["another, longer text"])[0], 1e-4)


def test_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "langchain_huggingface", None)
    with pytest.raises(MissingExtra, match=r"'langchain_huggingface'.*seedbed\[torch\]"):
        load_embeddings(f"path:{tmp_path}")


class TestStandard(EmbeddingsUnitTests):
    """LangChain's own conformance tests."""

    @property
    def embeddings_class(self) -> type[MiniLM]:
        return MiniLM

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"folder": ensure("minilm")}
