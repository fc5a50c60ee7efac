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

from finetune_lora.data.card import public_name, render
from finetune_lora.evaluate import report
from seedbed.files import write_bytes
from seedbed.models.weights.catalog import find

_UPSTREAM = {"smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct"}
"""The repository on the hub that has the original of a base that is packaged."""
_HEADER = re.compile(r"\A---\n.*?^---$", re.DOTALL | re.MULTILINE)  # of a card, in YAML
_TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
_ELSEWHERE = ("data", "eval_data", "output", "resume", "base")  # arguments that are paths
_OUTCOME = {
    "stopped by": "stopped_by",
    "tokens trained on": "tokens",
    "tokens per second": "tokens_per_second",
    "peak memory, MB": "peak_memory_mb",
    "training loss": "train_loss",
    "evaluation loss": "eval_loss",
}
_ENVIRONMENT = {
    "commit": "git_commit",
    "prompt hash": "prompt_hash",
    "base hash": "base_hash",
    "seed": "seed",
    "Python": "python",
    "platform": "platform",
    "cores": "cores",
}

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
    args, results = dict(run.get("args") or {}), run.get("results") or {}
    outcome = {"state": run.get("state"), "steps": run.get("steps")}
    outcome |= {"wall-clock seconds": run.get("seconds")}
    outcome |= {title: results.get(key) for title, key in _OUTCOME.items()}
    environment = {title: run.get(key) for title, key in _ENVIRONMENT.items()}
    environment |= run.get("versions") or {}
    body = render(
        _TEMPLATE,
        name=name,
        run=run,
        args=args,
        result=result,
        measure=report.measure(result) if result else "",
        task={"labels": [], "system": None, "schema": None, **(task or {})},
        upstream=hub_id(base),
        packaged=base in _UPSTREAM,
        sources=_sources(run),
        data_card=_deeper(_HEADER.sub("", data_card).strip(), 2),
        arguments=[[k, _value(v)] for k, v in args.items() if k not in _ELSEWHERE],
        outcome=[[k, _value(v)] for k, v in outcome.items() if v is not None],
        environment=[[k, str(v)] for k, v in environment.items() if v is not None],
        evaluation=_deeper(report.sections(result), 1) if result else "",
        title=_title,
        quoted=lambda text: json.dumps(text, ensure_ascii=False),
    )
    header = _header(run, result).to_yaml()
    return str(ModelCard(f"---\n{header}\n---\n\n{body}"))


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
        tags=["lora", "peft", "seedbed", str((run.get("args") or {}).get("method", "lora"))],
        datasets=[data] if data else None,
        metrics=_metrics(result),
    )


def hub_id(spec: str) -> str | None:
    """ORG/NAME of a spec on the hub; None for local folders and files."""
    if spec in _UPSTREAM:
        return _UPSTREAM[spec]
    entry = find(spec)
    repo = entry.repo if entry else ""
    if not repo and spec.startswith("hf:"):
        repo = spec.removeprefix("hf:").split("@")[0].split(":")[0]
    return repo or None


def _title(data: Facts | None) -> str:
    """The public name of a dataset, given by `path` (in run.json) or `source` (in a result)."""
    source = str((data or {}).get("path") or (data or {}).get("source") or "")
    return hub_id(source) or public_name(source) or "unnamed"


def _sources(run: Facts) -> list[list[str]]:
    titles = {"training": "data", "evaluation during training": "eval_data"}
    return [
        [title, _title(run[key]), str(run[key].get("n", "")), str(run[key].get("sha256", ""))[:16]]
        for title, key in titles.items()
        if run.get(key)
    ]


def _deeper(markdown: str, levels: int) -> str:
    """Headings so many levels down, below this card's own ones."""
    lines = markdown.splitlines()
    return "\n".join("#" * levels + line if line.startswith("#") else line for line in lines)


def _metrics(result: Facts | None) -> list[str] | None:
    if not result:
        return None
    if result["kind"] == "labels":
        return ["accuracy", "f1"]
    return ["exact_match"] + ["f1"] * (result["field_f1"] is not None)


def _value(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
