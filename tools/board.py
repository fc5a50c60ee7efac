"""The handbook's page of benchmarks: a bar for each system, drawn from `benchmarks/results.json`.

python -m tools.docs        # puts `board()` into docs/reference/benchmarks.md
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.docs import find
from tools.provenance import note

RESULTS = Path(__file__).parents[1] / "benchmarks/results.json"
WIDTH = 24
"""Characters of the longest bar of a plot."""

Systems = dict[str, str]
# Title and unit; is less better; the place of each system in the results.
PLOTS: list[tuple[str, str, bool, Systems]] = [
    (
        "Embeddings, one core",
        "texts/s",
        False,
        {
            "seedbed, 8 bits": "seedbed-embeddings.texts_per_second.seedbed int8",
            "seedbed, float32": "seedbed-embeddings.texts_per_second.seedbed float32",
            "sentence-transformers": "seedbed-embeddings.texts_per_second.sentence-transformers",
        },
    ),
    (
        "rag_chatbot: reading, cutting, embedding and storing documents",
        "chunks/s",
        False,
        {
            "rag_chatbot": "rag-ingest.chunks_per_second",
            "sentence-transformers, embedding only": (
                "rag-ingest.sentence_transformers_chunks_per_second"
            ),
        },
    ),
    (
        "rag_chatbot: retrieval quality on CISI",
        "nDCG@10",
        False,
        {kind: f"rag-beir.ndcg@10.{kind}" for kind in ("hybrid", "dense", "bm25")},
    ),
    (
        "llm_service: 16 streams at once",
        "tokens/s",
        False,
        {
            name: f"service-throughput.tokens_per_second.{key}.16"
            for name, key in {
                "llm_service, 4 bits": "service",
                "its engine alone, 4 bits": "engine",
                "llama.cpp, 4 bits (it answers the check question wrongly)": "llama.cpp",
                "vLLM, float32": "vllm",
                "transformers, float32": "transformers",
            }.items()
        },
    ),
    (
        "llm_service: time added to each of 50 requests a second, median",
        "ms",
        True,
        {
            "llm_service": "service-overhead.service.whole.50.added_p50_ms",
            "LiteLLM": "service-overhead.litellm.whole.50.added_p50_ms",
        },
    ),
    (
        "finetune_lora: training on two cores",
        "tokens/s",
        False,
        {
            "finetune_lora": "finetune-training.ways.ours.tokens_per_second",
            "finetune_lora, prefix not shared": (
                "finetune-training.ways.ours, prefix not shared.tokens_per_second"
            ),
            "TRL": "finetune-training.ways.trl.tokens_per_second",
            "TRL, packed": "finetune-training.ways.trl, packed.tokens_per_second",
        },
    ),
    (
        "vision_app: classifying one image",
        "ms",
        True,
        {
            "vision_app": "vision-classify.images_1.seedbed_ms",
            "ONNX Runtime": "vision-classify.images_1.onnxruntime_ms",
            "torch": "vision-classify.images_1.torch_ms",
        },
    ),
    (
        "vision_app: searching 100,000 images, median",
        "ms",
        True,
        {
            "vision_app": "vision-search.p50_ms",
            "brute force": "vision-search.brute_force_p50_ms",
        },
    ),
    (
        "vision_app: reading a page",
        "s",
        True,
        {
            "vision_app": "vision-ocr.seconds_per_page.vision_app",
            "RapidOCR": "vision-ocr.seconds_per_page.rapidocr",
        },
    ),
    (
        "agentic_workflow: a step that survives SIGKILL, in SQLite",
        "ms",
        True,
        {
            "agentic_workflow": "workflow.step_sqlite_ms.p50",
            "an empty step of DBOS": "workflow.step_sqlite_ms.empty_dbos_step",
        },
    ),
]


def board() -> str:
    """The page's generated part: a table of bars for each plot, and what it was measured on."""
    results = json.loads(RESULTS.read_text("utf-8"))
    return "\n".join(plot(results, *entry) for entry in PLOTS)


def plot(results: dict[str, Any], title: str, unit: str, less: bool, systems: Systems) -> str:
    """One plot as Markdown.

    >>> speed = {"us": {"median": 20, "low": 18, "high": 22}, "them": 10}
    >>> machine = {"processor": "EPYC", "cores": 2, "date": "2026-11-24"}
    >>> results = {"speed": speed | {"measured": {"before": "3ff31a5"}, "machine": machine}}
    >>> print(plot(results, "Speed", "1/s", False, {"us": "speed.us", "them": "speed.them"}))
    ## Speed
    <BLANKLINE>
    1/s; more is better.
    <BLANKLINE>
    | system | | median | lowest to highest |
    |---|---|---:|---|
    | us | `████████████████████████` | 20 | 18 to 22 |
    | them | `████████████` | 10 | |
    <BLANKLINE>
    Measured before 3ff31a5 (speed); the code has changed since. EPYC, 2 cores, 2026-11-24.
    <BLANKLINE>
    """
    figures = {name: figure(results, path) for name, path in systems.items()}
    longest = max(value for value, _ in figures.values())
    rows = [
        f"| {name} | `{'█' * max(1, round(WIDTH * value / longest))}` | {value:,.4g} |{spread} |"
        for name, (value, spread) in figures.items()
    ]
    (benchmark,) = {path.split(".")[0] for path in systems.values()}
    machine = results[benchmark]["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['date']}."
    return "\n".join(
        [
            f"## {title}\n",
            f"{unit}; {'less' if less else 'more'} is better.\n",
            "| system | | median | lowest to highest |",
            "|---|---|---:|---|",
            *rows,
            f"\n{note(RESULTS.parents[1], results, [benchmark])} {where}\n",
        ]
    )


def figure(results: dict[str, Any], path: str) -> tuple[float, str]:
    """The figure at a dotted path, and its range as text."""
    place, key = find(results, path)
    if isinstance(value := place[key], dict):
        return float(value["median"]), f" {value['low']:,.4g} to {value['high']:,.4g}"
    return float(value), ""
