"""A project that only runs models installs neither torch nor anything that requires it."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "triton", "transformers", "sentence-transformers", "accelerate"}


def closure(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Every distribution that `name[extras]` requires on this machine, by their metadata."""
    done: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    while waiting:
        item = waiting.pop()
        if item in done:
            continue
        done.add(item)
        try:
            needs = metadata.distribution(item[0]).requires or []
        except metadata.PackageNotFoundError:
            continue  # for another platform
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": item[1]}):
                found = re.sub(r"[-_.]+", "-", need.name).lower()
                waiting += [(found, extra) for extra in ("", *need.extras)]
    return {name for name, _ in done}


NEEDED = {
    "rag-chatbot": {"seedbed", "chromadb", "gradio", "openvino-genai", "langchain-core"},
    "llm-service": {"seedbed", "aiohttp", "sqlalchemy", "openvino-genai", "langchain-core"},
    "vision-app": {"seedbed", "rapidocr", "pypdfium2", "chromadb", "openvino-genai"},
    "multi-agent": {"seedbed", "langgraph", "duckdb", "wasmtime", "gradio"},
    "agentic-workflow": {"seedbed", "dbos", "scikit-learn", "gradio", "openvino-genai"},
}


@pytest.mark.parametrize("name", NEEDED)
def test_default_install_has_no_torch(name: str) -> None:
    found = closure(name)
    assert NEEDED[name] <= found
    assert found & HEAVY == set()
    assert [name for name in found if name.startswith("nvidia-")] == []


def test_closure_follows_dependencies_to_torch() -> None:
    if not _installed("sentence-transformers"):
        pytest.skip("sentence-transformers is not installed")
    assert "torch" in closure("sentence-transformers")


def _installed(name: str) -> bool:
    return any(metadata.distributions(name=name))


def test_constraints_omit_torch() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    names = {re.split(r"[=\[ ]", line)[0] for line in lines if not line.startswith("#")}
    assert "chromadb" in names
    assert names & {"torch", "torchvision", "triton"} == set()
    assert [name for name in names if name.startswith(("nvidia-", "cuda-"))] == []
    # No addresses and no paths, so that it works with any package index.
    assert [line for line in lines if re.search(r"https?:|file:|--|^-e|@", line)] == []
