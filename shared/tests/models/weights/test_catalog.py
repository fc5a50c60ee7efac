"""The catalogue of models: pinned sources, and lookup by name or hub spec."""

from __future__ import annotations

import re
import tomllib
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
    assert model.license


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


def test_find_accepts_names_and_hub_specs() -> None:
    assert find("minilm") is MODELS["minilm"]
    assert all(find(spec) is None for spec in ("openai:gpt-5", "nonsense", "hf:", "hf:@main"))
    own = find("hf:acme/encoder@abc", "embedding")
    assert own is not None
    assert (own.repo, own.revision, own.kind) == ("acme/encoder", "abc", "embedding")
    pinned = MODELS["qwen3-8b"]
    assert find(f"hf:{pinned.repo}") is pinned
    other = find(f"hf:{pinned.repo}@main")
    assert other is not None and other.revision == "main"
