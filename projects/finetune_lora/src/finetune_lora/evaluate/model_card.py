"""README.md of an adapter's folder, in the hub's format: what it is, what it cost, what it can do.

The text is `model_card.md.jinja`; this module provides the values: a run's `run.json`, `task.json`,
and an evaluation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune_lora.data.card import render
from finetune_lora.evaluate import report
from seedbed.files import write_bytes
from seedbed.models.weights.catalog import find

_UPSTREAM = {"smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct"}
"""The hub repository of the original of each packaged base."""
_HEADER = re.compile(r"\A---\n.*?^---$", re.DOTALL | re.MULTILINE)  # of a card, in YAML
_TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
_PATHS = ("data", "eval_data", "output", "resume", "base")  # arguments that are not published
_FACTS = (
    *("state", "steps", "seconds", "git_commit", "base_hash"),
    *("python", "platform", "cores"),
)

Facts = Mapping[str, Any]


def write_model_card(
    folder: Path,
    *,
    run: Facts,
    result: Facts | None = None,
    task: Facts | None = None,
    data_card: str = "",
) -> Path:
    """Write README.md into an adapter's folder, atomically; returns its path.

    `result` is that of `evaluate.evaluate`; `data_card` is Markdown about the training data.
    """
    text = model_card(folder.resolve().name, run=run, result=result, task=task, data_card=data_card)
    path = folder / "README.md"
    write_bytes(path, text.encode("utf-8", "replace"))
    return path


def model_card(
    name: str,
    *,
    run: Facts,
    result: Facts | None = None,
    task: Facts | None = None,
    data_card: str = "",
) -> str:
    """The card as text: YAML that the hub reads, then Markdown; see `write_model_card`."""
    from huggingface_hub import ModelCard

    base = str(run.get("base", ""))
    args = run.get("args") or {}
    facts = {key: value for key, value in args.items() if key not in _PATHS}
    facts |= {key: run.get(key) for key in _FACTS}
    results = run.get("results") or {}
    facts |= {key: results[key] for key in sorted(results) if key not in ("folder", *facts)}
    facts |= run.get("versions") or {}
    body = render(
        _TEMPLATE,
        name=name,
        run=run,
        method=args.get("method", "lora"),
        result=result,
        measure=report.measure(result) if result else "",
        task={"labels": [], "system": None, "schema": None, **(task or {})},
        upstream=hub_id(base),
        packaged=base in _UPSTREAM,
        data_card=_deeper(_HEADER.sub("", data_card).strip(), 2),
        facts=[(key, value) for key, value in facts.items() if value is not None],
        training=report.training_note(report.training_facts(run)),
        evaluation=_deeper(report.sections(result), 1) if result else "",
        json=lambda value: json.dumps(value, ensure_ascii=False),
    )
    return str(ModelCard(f"---\n{_header(run, result).to_yaml()}\n---\n\n{body}"))


def _header(run: Facts, result: Facts | None) -> Any:
    """The metadata that the hub reads."""
    from huggingface_hub import ModelCardData

    base = str(run.get("base", ""))
    entry = find(base)
    data = hub_id(str((run.get("data") or {}).get("path", "")))
    return ModelCardData(
        base_model=hub_id(base),
        library_name="peft",
        license=entry.license.lower() if entry else None,
        pipeline_tag="text-generation",
        tags=["lora", "peft", "seedbed"],
        datasets=[data] if data else None,
        metrics=[report.measure(result).replace(" ", "_")] if result else None,
    )


def hub_id(spec: str) -> str | None:
    """ORG/NAME of a spec on the hub; None for local folders and files."""
    if spec in _UPSTREAM:
        return _UPSTREAM[spec]
    entry = find(spec)
    if entry and entry.repo:
        return entry.repo
    return re.split("[@:]", spec[3:])[0] if spec.startswith("hf:") else None


def _deeper(markdown: str, levels: int) -> str:
    """Markdown with its headings `levels` deeper, below the card's own headings."""
    return re.sub("^#", "#" * (levels + 1), markdown, flags=re.MULTILINE)
