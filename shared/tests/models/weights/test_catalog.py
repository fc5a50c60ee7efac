"""The catalogue of models: pinned sources, and lookup by name or hub spec."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from seedbed.models.load import local_models
from seedbed.models.weights.catalog import MODELS, Model, find

MODELS_TXT = Path(__file__).parents[3] / "models.txt"


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_entry_has_one_pinned_source(model: Model) -> None:
    assert bool(model.files) != bool(model.repo)
    if model.files:
        assert model.version and all(re.fullmatch(r"[0-9a-f]{64}", f.sha256) for f in model.files)
    else:
        assert re.fullmatch(r"[0-9a-f]{40}", model.revision)
    assert model.license and model.size_mb > 0


def test_models_txt_lists_every_package_without_an_extra() -> None:
    lines = [line.partition("#")[0].strip() for line in MODELS_TXT.read_text().splitlines()]
    usable = [m for m in MODELS.values() if m.kind != "chat" or m.name in local_models()]
    packages = {f"{m.package}=={m.version}" for m in usable if m.files and not m.extra}
    assert {line for line in lines if line} == packages


def test_extra_of_a_model_pins_its_package() -> None:
    about = tomllib.loads(MODELS_TXT.with_name("pyproject.toml").read_text("utf-8"))
    extras = about["project"]["optional-dependencies"]
    for model in MODELS.values():
        if model.extra:
            (requirement,) = extras[model.extra]
            assert requirement.partition(" ")[0] == f"{model.package}=={model.version}"


@pytest.mark.skipif(not local_models(), reason="this copy has remote chat models only")
def test_context_window_of_smollm2_equals_that_of_its_file() -> None:
    model = MODELS["smollm2"]
    path = Path(str(metadata.distribution(model.package).locate_file(model.files[0].path)))
    with path.open("rb") as stream:
        head = stream.read(4096)
    key = b"llama.context_length"
    value = head[head.index(key) + len(key) + 4 :][:4]  # after the type, little-endian uint32
    assert model.context_window == int.from_bytes(value, "little") == 8192


def test_find_accepts_names_and_hub_specs() -> None:
    assert find("minilm") is MODELS["minilm"]
    assert all(find(spec) is None for spec in ("openai:gpt-5", "nonsense", "hf:", "hf:@main"))
    own = find("hf:acme/encoder@abc", "embedding")
    assert own is not None
    assert (own.repo, own.revision, own.kind) == ("acme/encoder", "abc", "embedding")


def test_find_keeps_the_pinned_revision_of_a_repository() -> None:
    model = MODELS["qwen3-8b"]
    assert find(f"hf:{model.repo}") is model
    other = find(f"hf:{model.repo}@main")
    assert other is not None and other.revision == "main"
