"""Runs every benchmark, each in a process of its own, and writes results.json and results.md.

    make bench                     all of them
    make bench ARGS="rag-start"    one
    BEIR=DIR make bench            also retrieval quality on that collection
    PEERS=DIR make bench           also the service's peers (see service_peers.py)

A bar that is not reached is only reported; no benchmark fails because a machine is slow.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import date
from functools import reduce
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"

# The script of each benchmark, with its arguments.
SCRIPTS = {
    "rag-install": "install.py rag",
    "seedbed-embeddings": "embeddings.py",
    "rag-ingest": "ingest.py",
    "rag-retrieval": "retrieval.py",
    "rag-first_token": "first_token.py",
    "rag-start": "start.py rag",
    "rag-answers": "answers.py --json",
    "rag-beir": "beir.py",
    "service-throughput": "service_throughput.py",
    "service-prefix": "service_prefix.py",
    "service-overhead": "service_overhead.py",
    "service-soak": "service_soak.py",
    "finetune-training": "finetune_training.py",
    "finetune-task": "finetune_task.py",
    "finetune-served": "finetune_served.py",
    "service-start": "start.py service",
    "vision-install": "install.py vision",
    "vision-classify": "vision_classify.py",
    "vision-ocr": "vision_ocr.py",
    "vision-fields": "vision_fields.py",
    "workflow-install": "install.py workflow",
    "workflow": "workflow.py",
    "agents": "agents.py",
}
# The figures that have a bar: their paths in results.json, with label, unit and bar.
BARS = {
    "rag-install.first_answer_seconds": ("fresh clone to the first cited answer", "s", "<= 45"),
    "rag-install.installed_mb": ("rag_chatbot: size without torch", "MB", "<= 1400"),
    "rag-ingest.chunks_per_second": ("ingest, everything written", "chunks/s", ">= 140"),
    "rag-ingest.ratio": ("ingest, against sentence-transformers", "×", ">= 2"),
    "rag-ingest.unchanged_seconds": ("ingest of 10,000 unchanged chunks", "s", "<= 2"),
    "rag-retrieval.p50_ms": ("hybrid retrieval at 20,000 chunks, p50", "ms", "<= 8"),
    "rag-retrieval.p95_ms": ("hybrid retrieval at 20,000 chunks, p95", "ms", "<= 15"),
    "rag-first_token.first_token_p50": ("first token after 800 prompt tokens, p50", "s", "<= 1.2"),
    "rag-start.help_seconds": ("`rag-chatbot --help`", "s", "<= 0.5"),
    "rag-start.ready_seconds": ("rag_chatbot: warm start of the server", "s", "<= 4"),
    "rag-start.resident_mb": ("rag_chatbot: resident memory while serving", "MB", "<= 1200"),
    "rag-answers.answer_accuracy": ("held-out questions: expected fact stated", "", ">= 0.75"),
    "rag-answers.citation_precision": ("held-out questions: right citations", "", ">= 0.8"),
    "rag-answers.abstention_recall": ("held-out questions: unanswerable caught", "", ">= 0.65"),
    "rag-answers.abstention_precision": ("held-out questions: right abstentions", "", ">= 0.65"),
    "rag-beir.gain": ("hybrid nDCG@10 above the better arm", "", ">= 0.02"),
    "service-throughput.ratio_engine_16": ("16 streams, against the raw engine", "×", ">= 0.95"),
    "service-throughput.ratio_engine_1": ("1 stream, against the raw engine", "×", ">= 0.95"),
    "service-throughput.ratio_vllm": ("16 streams in 4 bits, against vLLM in float32", "×", ">= 2"),
    "service-throughput.ratio_llamacpp": ("16 streams, against llama.cpp, 4 bits", "×", ">= 3"),
    "service-throughput.ratio_transformers": (
        "16 streams in 4 bits, against transformers in float32",
        "×",
        ">= 2.5",
    ),
    "service-throughput.first_token_p95_16": ("first token at 16 streams, p95", "s", "<= 0.8"),
    "service-prefix.first_token_again": ("first token, known 1000-token prefix", "s", "<= 0.15"),
    **{
        f"service-overhead.service.whole.{rate}.added_{share}_ms": (
            f"added by the service at {rate} requests/s, {share}",
            "ms",
            bar,
        )
        for share, bar in (("p50", "<= 2"), ("p99", "<= 10"))
        for rate in (50, 100, 200)
    },
    "service-soak.growth_percent": ("memory growth in 10 minutes of overload", "%", "<= 5"),
    "service-soak.refused_p99_ms": ("refused with 429 under overload, p99", "ms", "<= 20"),
    "service-soak.unfinished": ("accepted under overload and not finished", "", "<= 0"),
    "finetune-training.ratio": (
        "tokens a second in training, shared prompt computed once, against TRL",
        "×",
        ">= 1.5",
    ),
    "finetune-training.ratio_without_sharing": (
        "tokens a second in training, no prompt shared, against TRL",
        "×",
        ">= 1.5",
    ),
    # Through llm_service, as a user gets it. The bar is that of the earlier figure, which rested on
    # a grammar that no server applied.
    "finetune-task.served_exact_match": (
        "hand-written requests: the whole call right, served",
        "",
        ">= 0.85",
    ),
    "finetune-task.training_minutes": ("help-desk training", "min", "<= 10.1"),
    "finetune-task.peak_memory_mb": ("help-desk training: peak memory", "MB", "<= 3000"),
    "finetune-task.demo_seconds": ("`finetune-lora demo`", "s", "<= 60"),
    "finetune-task.help_seconds": ("`finetune-lora --help`", "s", "<= 0.5"),
    # Exports have 8 bits for their quality, which costs a fifth of the speed of 4 bits.
    "finetune-served.ratio_1": ("1 stream of the tuned model, against its base", "×", ">= 0.75"),
    "finetune-served.ratio_16": ("16 streams of the tuned model, against its base", "×", ">= 0.75"),
    "service-start.help_seconds": ("`llm-service --help`", "s", "<= 0.5"),
    "service-start.ready_seconds": ("llm_service: warm start of the server", "s", "<= 4"),
    "service-start.resident_mb": ("llm_service: resident memory after 16 streams", "MB", "<= 1000"),
    "vision-install.first_answer_seconds": ("fresh clone to the first invoice read", "s", "<= 45"),
    "vision-install.installed_mb": ("vision_app: size without torch", "MB", "<= 1400"),
    "vision-classify.ratio_torch_1": ("EfficientNet, one image, against torch", "×", ">= 2.5"),
    "vision-classify.ratio_torch_16": ("EfficientNet, 16 images, against torch", "×", ">= 2.5"),
    "vision-classify.ratio_onnxruntime_1": ("one image, against onnxruntime", "×", ">= 1"),
    "vision-classify.ratio_onnxruntime_16": ("16 images, against onnxruntime", "×", ">= 1"),
    "vision-ocr.clean_error": ("OCR of clean A4 pages at 150 dpi: character error", "", "<= 0.01"),
    "vision-ocr.degraded_error": ("OCR of degraded pages: character error", "", "<= 0.04"),
    "vision-ocr.ratio": ("OCR, against RapidOCR's default on ONNX Runtime", "×", ">= 1.5"),
    "vision-fields.right_share": ("rules on 115 documents: fields right", "", ">= 0.921"),
    "vision-fields.invented": ("rules on 115 documents: invented fields", "", "<= 1"),
    "workflow-install.first_answer_seconds": ("fresh clone to the first draft", "s", "<= 45"),
    "workflow-install.installed_mb": ("agentic_workflow: size without torch", "MB", "<= 1400"),
    "workflow.step_sqlite_p50_ms": ("a durable step on SQLite, p50", "ms", "<= 4"),
    "workflow.step_postgres_p50_ms": ("a durable step on Postgres, p50", "ms", "<= 4"),
    "workflow.steps_per_second": ("steps of one worker on Postgres", "1/s", ">= 250"),
    "workflow.takeover_max_seconds": ("take-over after SIGKILL, slowest of 40", "s", "<= 3"),
    "agents.node_p50_ms": ("a node of the agents' graph on SQLite, p50", "ms", "<= 10"),
    "agents.three_against_one": ("three slow specialists against one", "×", "<= 1.2"),
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
    """What a benchmark prints, without the cases behind its figures."""
    done = subprocess.run(
        [sys.executable, str(HERE / script.split()[0]), *script.split()[1:]],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout)
    return {name: value for name, value in result.items() if name != "cases"}


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
    for path, (label, unit, bar) in BARS.items():
        value: Any = reduce(lambda part, name: part.get(name, {}), path.split("."), results)
        if value not in ({}, None):  # measured, beside a peer that is there
            verdict = "reached" if reached(value, bar) else "**not reached**"
            measured = f"{value} {unit}".rstrip()
            where = place(results[path.partition(".")[0]]["machine"])
            lines.append(f"| {label} | {measured} | {bar} | {verdict} | {where} |")
    return "\n".join([*lines, ""])


def main(names: list[str]) -> None:
    if unknown := set(names) - set(SCRIPTS):
        raise SystemExit(f"Unknown benchmark {unknown.pop()!r}. Available: {', '.join(SCRIPTS)}")
    results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() and names else {}
    for name in names or SCRIPTS:
        if (variable := NEEDS.get(name)) and variable not in os.environ:
            continue
        print(f"{name} …", flush=True)
        results[name] = {**run(SCRIPTS[name]), "machine": machine()}
        print(json.dumps(results[name], indent=2), flush=True)
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (HERE / "results.md").write_text(table(results), "utf-8")
    print(table(results))


if __name__ == "__main__":
    main(sys.argv[1:])
