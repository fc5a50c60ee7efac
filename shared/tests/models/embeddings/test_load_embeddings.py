"""The specs of embedding models, and arrays of vectors from any of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from seedbed.errors import ConfigError, ModelAccessError
from seedbed.models.embeddings.load_embeddings import (
    close_embeddings,
    embed_texts,
    load_embeddings,
)
from seedbed.models.weights.catalog import MODELS
from seedbed.settings import Settings
from seedbed.testing.launch import serve_app

pytestmark = pytest.mark.timeout(240)  # loading torch is slow on a busy machine


def requests(model: str) -> float:
    labels = {"model": model, "operation": "embeddings"}
    return REGISTRY.get_sample_value("seedbed_model_requests_total", labels) or 0


def test_embedding_never_imports_torch_or_transformers() -> None:
    code = (
        "import sys; from seedbed.models.embeddings.load_embeddings import load_embeddings\n"
        "load_embeddings('minilm').embed_query('hello')\n"
        "print([m for m in ('torch', 'transformers', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("spec", ["mimilm", "smollm2", "novendor:thing"])
def test_spec_of_another_kind_is_a_config_error(spec: str) -> None:
    pytest.importorskip("langchain")
    with pytest.raises(ConfigError, match=spec):
        load_embeddings(spec)


@pytest.mark.parametrize("own", ["base_url", "embeddings_url", "azure"])
def test_remote_embeddings_have_an_address_and_raise_named_errors(
    own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("langchain_openai")
    bodies: list[dict[str, Any]] = []
    keys: list[str] = []

    async def embed(request: Request) -> JSONResponse:
        bodies.append(await request.json())
        headers = request.headers
        keys.append(headers.get("api-key") or headers["authorization"].removeprefix("Bearer "))
        if "refused" in bodies[-1]["input"]:
            return JSONResponse({"error": {"message": "No.", "type": "x"}}, 401)
        data = [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return JSONResponse({"object": "list", "data": data, "model": "m", "usage": usage})

    azure = "/openai/deployments/own-model/embeddings"
    app = Starlette(routes=[Route(p, embed, methods=["POST"]) for p in ("/v1/embeddings", azure)])
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    with serve_app(app) as url:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", url)
        settings = {
            "base_url": Settings(base_url=f"{url}/v1"),
            "embeddings_url": Settings(
                base_url="http://127.0.0.1:9", embeddings_url=f"{url}/v1", embeddings_key="theirs"
            ),
            "azure": Settings(base_url="http://127.0.0.1:9"),
        }
        spec = "azure_openai:own-model" if own == "azure" else "openai:own-model"
        model = load_embeddings(spec, settings=settings[own])
        before = requests(spec)
        assert model.embed_query("hello") == [0.6, 0.8]
        assert asyncio.run(model.aembed_documents(["hello"])) == [[0.6, 0.8]]
        assert requests(spec) == before + 2
        with pytest.raises(ModelAccessError, match=rf"{spec} .*\(401\)"):
            model.embed_query("refused")
    assert bodies[0]["model"] == "own-model"
    assert {*keys} == {"theirs" if own == "embeddings_url" else "key"}
    assert bodies[0]["input"] == ["hello"]  # not OpenAI's token ids


def test_threads_that_load_at_once_get_one_instance() -> None:
    close_embeddings()
    with ThreadPoolExecutor(4) as threads:
        models = list(threads.map(lambda _: load_embeddings("minilm"), range(4)))
    assert all(model is models[0] for model in models)


@pytest.mark.slow
def test_path_spec_loads_a_sentence_transformers_folder() -> None:
    pytest.importorskip("langchain_huggingface")
    entry = MODELS["minilm"]
    path = Path(str(metadata.distribution(entry.package).locate_file(entry.files[0].path)))
    model = load_embeddings(f"path:{path.parent}")
    # The key for stored vectors, so it differs between folders.
    assert getattr(model, "name", "") == f"path:{path.parent}"
    minilm = load_embeddings("minilm")
    assert np.dot(model.embed_query("hello there"), minilm.embed_query("hello there")) > 0.99


class Asymmetric(Embeddings):
    """Questions become (1, 0), documents (0, 1); `calls` counts the questions."""

    def __init__(self) -> None:
        self.calls = 0

    def embed_query(self, text: str) -> list[float]:  # noqa: ARG002
        self.calls += 1
        return [1.0, 0.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[0.0, 1.0] for _ in texts]


def test_embed_texts_embeds_questions_as_questions() -> None:
    model = Asymmetric()
    vectors = embed_texts(model, ["who?", "who?", "a text"], queries=2)
    assert vectors.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert model.calls == 1  # a question that occurs twice is sent once
    assert embed_texts(model, ["a text"]).tolist() == [[0, 1]]
    assert embed_texts(model, ["who?"], queries=1).tolist() == [[1, 0]]
