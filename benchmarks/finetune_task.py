"""The shipped task as a user meets it: `finetune-lora run`, and how hand-written requests fare.

python benchmarks/finetune_task.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from seedbed.testing.launch import free_port, run_server

COMMAND = str(Path(sys.executable).with_name("finetune-lora"))


def seconds_of(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([COMMAND, *arguments], capture_output=True, check=True)
    return time.perf_counter() - started


def served(run: Path) -> dict[str, Any]:
    """The evaluation through llm_service's `response_format`, with the report's figure."""
    port = free_port()
    with tempfile.TemporaryDirectory() as data:
        env = {**os.environ, "SEEDBED_MODEL": f"path:{run / 'model'}", "SERVICE_DATA_DIR": data}
        serve = [sys.executable, "-m", "llm_service", "serve", "--port", str(port)]
        with run_server(serve, port, "/readyz", timeout=120, env=env):
            address = {"SEEDBED_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": "none"}
            models = httpx.get(f"http://127.0.0.1:{port}/v1/models").json()["data"]
            model = f"openai:{models[0]['id']}"
            ask = ["evaluate", "--data", "helpdesk", "--adapter", str(run), "--model", model]
            ask += ["--quick", "--json", "--output", str(Path(data) / "report")]
            done = subprocess.run(
                [COMMAND, *ask], env={**os.environ, **address}, stdout=subprocess.PIPE, check=True
            )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> dict[str, Any]:
    seconds_of("--help")
    with tempfile.TemporaryDirectory() as data:
        env = {**os.environ, "FINETUNE_DATA_DIR": data}
        started = time.perf_counter()
        subprocess.run([COMMAND, "run", "--no-page"], env=env, stdout=sys.stderr, check=True)
        seconds = time.perf_counter() - started
        (folder,) = Path(data, "runs").iterdir()
        run = json.loads((folder / "run.json").read_text("utf-8"))
        report = json.loads((folder / "report" / "report.json").read_text("utf-8"))
        through_service = served(folder)
    low, high = through_service["interval"]
    systems = {
        name: {"exact_match": row["exact_match"], "interval": row["interval"]}
        for name, row in report["systems"].items()
    }
    return {
        "exact_match": round(report["exact_match"], 4),
        "served_exact_match": round(through_service["exact_match"], 4),
        "served_low": low,
        "served_high": high,
        "system": report["system"],
        "n": report["n"],
        "training_minutes": round(run["seconds"] / 60, 2),
        "minutes_in_all": round(seconds / 60, 2),
        "peak_memory_mb": run["results"]["peak_memory_mb"],
        "tokens_per_second": run["results"]["tokens_per_second"],
        "demo_seconds": round(seconds_of("demo"), 1),
        "help_seconds": round(seconds_of("--help"), 3),
        "systems": systems,
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
