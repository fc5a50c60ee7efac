"""BERT sentence encoders on OpenVINO, without torch: MiniLM and multilingual-e5.

model = load_embeddings("minilm")
a, b = model.embed(["a cat", "a kitten"])
a @ b    # cosine similarity
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from seedbed.models.weights.catalog import Model
from seedbed.observe.telemetry import model_call

log = logging.getLogger(__name__)
Vectors = npt.NDArray[np.float32]

_BATCH = 16  # texts; larger batches are not faster and need more memory
_WINDOW = 4096  # texts that are tokenised and sorted by length together
_MAX_CHARS = 16_384  # far more than 512 tokens, so that a huge text need not be tokenised whole


class BertEmbeddings(Embeddings):
    """A converted model of the catalogue: L2-normalised float32 vectors; thread-safe.

    `name` identifies model and precision, as a key for stored vectors. Text after the first
    `max_tokens` tokens, counted as by `count_tokens`, is ignored, as in sentence-transformers.
    """

    def __init__(self, folder: Path, model: Model, *, fast: bool = True) -> None:
        from seedbed.models.weights import bert_graph

        self._graph, self._model, self.scale = bert_graph, model, model.scale
        self._tokenizer = bert_graph.load_tokenizer(folder / "tokenizer.json")
        # The special tokens and the prefix are part of the model's limit.
        added = len(self._tokenizer.encode(f"{model.passage_prefix}.").ids) - self.count_tokens(".")
        self.max_tokens = model.context_window - added
        self.name = f"{folder.name}-{'int8' if fast else 'f32'}"
        self._start(folder / ("fast.xml" if fast else "full.xml"))
        if fast and not self._reproduces(np.load(folder / "probe.npy")):
            log.warning("int8 arithmetic is inexact on this CPU; embedding in float32 instead.")
            self.name = f"{folder.name}-f32"
            self._start(folder / "full.xml")

    def _start(self, path: Path) -> None:
        import openvino as ov

        compiled = ov.Core().compile_model(
            path, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        )
        self.dimension: int = compiled.output(0).partial_shape[1].get_length()
        self._streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(self._streams):
            self._requests.put(compiled.create_infer_request())

    def _reproduces(self, vector: Vectors) -> bool:
        """Whether this CPU computes the vector of PROBE: without VNNI, int8 may saturate."""
        ids = self._token_ids([self._model.passage_prefix + self._graph.PROBE])
        return float(self._infer(ids)[0] @ vector) > 0.99

    def embed(self, texts: Sequence[str], *, queries: int = 0) -> Vectors:
        """Vectors of n texts as float32 (n, dimension), in the order of the texts; n may be 0.

        The first `queries` texts are embedded as questions, the others as passages.
        """
        prefixes = [self._model.query_prefix] * queries
        prefixes += [self._model.passage_prefix] * (len(texts) - queries)
        starts = [prefix + text[:_MAX_CHARS] for prefix, text in zip(prefixes, texts, strict=True)]
        vectors = np.empty((len(texts), self.dimension), np.float32)
        tokens = 0
        with model_call(self._model.name, "embeddings") as call:
            for at in range(0, len(texts), _WINDOW):
                window = starts[at : at + _WINDOW]
                tokens += self._embed_window(window, vectors[at : at + len(window)])
            call.usage(tokens)
        return vectors

    def _embed_window(self, texts: Sequence[str], vectors: Vectors) -> int:
        """Write the texts' vectors into `vectors`; returns the number of tokens."""
        # 1. Tokenise, on all cores.
        ids = self._token_ids(texts)
        # 2. Batch texts of similar length, so that little padding is computed. The longest come
        #    first, so that no thread is still busy with one at the end.
        order = np.argsort([-len(text) for text in ids], kind="stable")
        batches = [order[i : i + _BATCH] for i in range(0, len(order), _BATCH)]

        def embed_batch(batch: npt.NDArray[np.intp]) -> None:
            vectors[batch] = self._infer([ids[i] for i in batch])

        # 3. Infer one batch per thread; a single batch, such as a question, needs no pool.
        if len(batches) == 1:
            embed_batch(batches[0])
        else:
            with ThreadPoolExecutor(self._streams) as pool:
                list(pool.map(embed_batch, batches))
        return sum(map(len, ids))

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        return self._graph.token_ids(self._tokenizer, texts, self._model.context_window)

    def _infer(self, ids: list[list[int]]) -> Vectors:
        request = self._requests.get()  # waits while all are in use
        try:
            request.infer(self._graph.as_inputs(ids), share_inputs=True)
            result: Vectors = request.get_output_tensor(0).data.copy()
            return result
        finally:
            self._requests.put(request)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embed(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.embed([text], queries=1)[0].tolist()
        return vector

    def count_tokens(self, text: str) -> int:
        """Tokens of the whole text, without prefix and special tokens."""
        return self.token_counts([text])[0]

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """`count_tokens` of several texts, on all cores."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]
