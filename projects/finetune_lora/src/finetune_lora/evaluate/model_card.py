"""README.md of an adapter's folder, in the hub's format: what it is, what it cost, what it can do.

It knows a run's `run.json`, `task.json` and an evaluation as JSON; it measures nothing and sends
nothing anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune_lora.data.card import public_name
from finetune_lora.evaluate import report
from seedbed.files import write_bytes
from seedbed.models.weights.catalog import find

_UPSTREAM = {"smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct"}
"""Where the hub has the original of a base that is packaged."""
_SHOWN = 2000  # characters of a system prompt that is written out
_HEADER = re.compile(r"\A---\n.*?^---$", re.DOTALL | re.MULTILINE)  # of a card, in YAML


def write_model_card(
    folder: Path,
    *,
    run: Mapping[str, Any],
    result: Mapping[str, Any] | None = None,
    task: Mapping[str, Any] | None = None,
    data_card: str = "",
    language: Sequence[str] = (),
    license: str | None = None,
) -> Path:
    """Write README.md into an adapter's folder, whole or not at all; returns its path.

    `result` is `Evaluation.as_json()`; `data_card` is Markdown about the training data, whose YAML
    header is left out; `language` are codes such as "en". Without `license` it is that of the base,
    where the catalogue has it.
    """
    text = model_card(
        folder.resolve().name,
        run=run,
        result=result,
        task=task,
        data_card=data_card,
        language=language,
        license=license,
    )
    path = folder / "README.md"
    write_bytes(path, text.encode("utf-8", "replace"))
    return path


def model_card(
    name: str,
    *,
    run: Mapping[str, Any],
    result: Mapping[str, Any] | None = None,
    task: Mapping[str, Any] | None = None,
    data_card: str = "",
    language: Sequence[str] = (),
    license: str | None = None,
) -> str:
    """The card as text: YAML that the hub reads, then Markdown; see `write_model_card`."""
    from huggingface_hub import ModelCard, ModelCardData

    base = str(run.get("base", ""))
    known = find(base)
    upstream = hub_id(base)
    # Only Seedbed constrains decoding; the weights loaded elsewhere give other figures.
    figures = _eval_results(result) if result and not result["constrained"] else None
    data = ModelCardData(
        base_model=upstream,
        library_name="peft",
        license=license or (known.license.lower() if known else None),
        language=list(language) or None,
        pipeline_tag="text-generation",
        tags=["lora", "peft", "seedbed", str(run.get("args", {}).get("method", "lora"))],
        datasets=[i for i in [hub_id(_data(run, "data"))] if i] or None,
        metrics=_metrics(result),
        model_name=name if figures else None,
        eval_results=figures,
    )
    parts = [
        ("", f"# {name}\n\n{_intro(run, result)}"),
        ("Intended use", _intended(result, task)),
        ("How to use", _usage(upstream, task)),
        ("Training data", _training_data(run, data_card)),
        ("Training", _training(run)),
        ("Evaluation", _evaluation(result)),
        ("Limits", _limits(result, upstream, base)),
        ("Environment", _environment(run)),
    ]
    body = "\n".join(f"## {title}\n\n{text}" if title else text for title, text in parts if text)
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def hub_id(spec: str) -> str | None:
    """ORG/NAME of a spec that the hub has; None for folders and files, which are nobody else's."""
    if spec in _UPSTREAM:
        return _UPSTREAM[spec]
    known = find(spec)
    repo = known.repo if known else ""
    if not repo and spec.startswith("hf:"):
        repo = spec.removeprefix("hf:").split("@")[0].split(":")[0]
    return repo or None


def _data(run: Mapping[str, Any], key: str) -> str:
    return str((run.get(key) or {}).get("path", ""))


def _title(source: str) -> str:
    """What to call a dataset."""
    return hub_id(source) or public_name(source) or "unnamed"


def _metrics(result: Mapping[str, Any] | None) -> list[str] | None:
    if not result:
        return None
    if result["kind"] == "labels":
        return ["accuracy", "f1"]
    return ["exact_match"] + ["f1"] * (result["field_f1"] is not None)


def _eval_results(result: Mapping[str, Any]) -> list[Any]:
    """The figures for the hub's model index."""
    from huggingface_hub import EvalResult

    source = str(result["data"]["source"])
    labels = result["kind"] == "labels"
    figures = [
        ("accuracy", "exact_match", "Accuracy")
        if labels
        else ("exact_match", "exact_match", "Exact match"),
        ("f1", "macro_f1", "Macro F1") if labels else ("f1", "field_f1", "Field F1"),
        ("schema_valid", "schema_valid", "Share of valid answers"),
    ]
    return [
        EvalResult(
            task_type="text-classification" if labels else "text-generation",
            dataset_type=hub_id(source) or "json",
            dataset_name=_title(source),
            metric_type=kind,
            metric_name=title,
            metric_value=round(float(result[key]), 4),
        )
        for kind, key, title in figures
        if result[key] is not None
    ]


def _intro(run: Mapping[str, Any], result: Mapping[str, Any] | None) -> str:
    method = str(run.get("args", {}).get("method", "lora"))
    text = (
        f"A {method} adapter of `{public_name(str(run.get('base', '')))}`, trained on "
        f"{_title(_data(run, 'data'))}."
    )
    if result:
        share = "accuracy" if result["kind"] == "labels" else "exact match"
        low, high = result["interval"]
        text += (
            f" On {_title(str(result['data']['source']))}: {share} "
            f"**{result['exact_match']:.3f}** (95 % interval {low:.3f} to {high:.3f}, "
            f"n = {result['n']}){_constraint(result)}."
        )
    return text + "\n"


def _constraint(result: Mapping[str, Any]) -> str:
    if not result["constrained"]:
        return ""
    allowed = "the labels" if result["kind"] == "labels" else "valid answers"
    return f", with decoding constrained to {allowed}"


def _intended(result: Mapping[str, Any] | None, task: Mapping[str, Any] | None) -> str:
    labels = (task or {}).get("labels") or []
    if labels:
        listed = ", ".join(map(str, labels[:50])) + (", …" if len(labels) > 50 else "")
        use = f"Classify a text with one of {len(labels)} labels: {listed}."
    elif result and result["kind"] == "calls":
        use = "Turn a request into one tool call: a line of JSON with a name and arguments."
    else:
        use = "Answer requests similar to the training data."
    return (
        f"{use} Validate each answer before acting on it. The model is not a general assistant: it "
        "is not intended for requests unlike the training data or for decisions about people.\n"
    )


def _usage(upstream: str | None, task: Mapping[str, Any] | None) -> str:
    """Recipes that run as pasted, in the folder of the card."""
    task = task or {}
    system, imports, first = task.get("system"), "", ""
    if system:
        content = json.dumps(system, ensure_ascii=False)
        if len(system) > _SHOWN:
            imports, content = "import json\n\n", 'json.load(open("task.json"))["system"]'
        first = f'    {{"role": "system", "content": {content}}},\n'
    if upstream:
        load = f"""\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{upstream}")
model = PeftModel.from_pretrained(model, ".").eval()"""
    else:  # adapter_config.json has the folder of the base, which is not for the public
        load = """\
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained(".").eval()"""
    return f"""With transformers and peft, in this folder:

```python
{imports}{load}
tokenizer = AutoTokenizer.from_pretrained(".")
messages = [
{first}    {{"role": "user", "content": "…"}},
]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
output = model.generate(**inputs, max_new_tokens=128, do_sample=False)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))
```

{_freely(task)}As a model for OpenVINO, with Seedbed's virtual environment active:

```bash
finetune-lora export --adapter . --to openvino --output openvino
```

`SEEDBED_MODEL=path:openvino` then selects it, and `openvino_genai.LLMPipeline` reads it too.
"""


def _freely(task: Mapping[str, Any]) -> str:
    """What to expect of answers that are not constrained as those of the evaluation are."""
    if not task.get("labels") and not task.get("answers"):
        return ""
    allowed = "one of the labels" if task.get("labels") else "valid"
    return (
        "This generates freely, while the evaluation below constrains decoding to valid answers. "
        f"Check that each answer is {allowed}.\n\n"
    )


def _training_data(run: Mapping[str, Any], data_card: str) -> str:
    rows = []
    for title, key in (("training", "data"), ("evaluation during training", "eval_data")):
        about = run.get(key) or {}
        if about:
            digest = str(about.get("sha256", ""))[:16]
            rows.append(
                [title, _title(str(about.get("path", ""))), str(about.get("n", "")), digest]
            )
    text = _HEADER.sub("", data_card).strip()
    card = f"\n{_deeper(text, 2)}\n" if text else ""
    return (report.table(["", "source", "rows", "sha256"], rows) if rows else "") + card


def _deeper(markdown: str, levels: int) -> str:
    """Headings so many levels down, below this card's own ones."""
    lines = markdown.splitlines()
    return "\n".join("#" * levels + line if line.startswith("#") else line for line in lines)


def _training(run: Mapping[str, Any]) -> str:
    args = dict(run.get("args") or {})
    for key in ("data", "eval_data", "output", "resume", "base"):  # said elsewhere, or paths
        args.pop(key, None)
    results = run.get("results") or {}
    cost = {
        "state": run.get("state"),
        "stopped by": results.get("stopped_by"),
        "steps": run.get("steps"),
        "wall-clock seconds": run.get("seconds"),
        "tokens trained on": results.get("tokens"),
        "tokens per second": results.get("tokens_per_second"),
        "peak memory, MB": results.get("peak_memory_mb"),
        "training loss": results.get("train_loss"),
        "evaluation loss": results.get("eval_loss"),
    }
    rows = [[k, _value(v)] for k, v in args.items()]
    spent = [[k, _value(v)] for k, v in cost.items() if v is not None]
    return "\n".join(
        report.table(heads, lines)
        for heads, lines in ((["argument", "value"], rows), (["cost and outcome", ""], spent))
        if lines
    )


def _value(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _evaluation(result: Mapping[str, Any] | None) -> str:
    if not result:
        return "Not evaluated yet. Run `finetune-lora evaluate --data FILE --adapter .` here.\n"
    source = _title(str(result["data"]["source"]))
    figures = _deeper(report.sections(result), 1)
    return f"Evaluated on {source}; all systems on the same examples.\n\n{figures}\n"


def _limits(result: Mapping[str, Any] | None, upstream: str | None, base: str) -> str:
    lines = [
        "It only learned requests of the kind in the training data. It answers any other request "
        "in the same form and with the same confidence.",
        "All figures are from one run with one seed; another seed gives different figures.",
    ]
    if base in _UPSTREAM:
        lines.append(
            f"It was trained on dequantized 4-bit weights, not on the original ones of {upstream}; "
            "with those its answers can differ."
        )
    if result:
        lines.append(
            f"The test set has only {result['n']} examples: see the intervals, and the slices with "
            "too few examples for a conclusion."
        )
        if result["unseen_labels"]:
            lines.append("Examples with labels that were not in the training data count as errors.")
    return "".join(f"- {line}\n" for line in lines)


def _environment(run: Mapping[str, Any]) -> str:
    versions = run.get("versions") or {}
    known = {
        "commit": run.get("git_commit"),
        "prompt hash": run.get("prompt_hash"),
        "base hash": run.get("base_hash"),
        "seed": run.get("seed"),
        "Python": run.get("python"),
        "platform": run.get("platform"),
        "cores": run.get("cores"),
        **versions,
    }
    rows = [[k, str(v)] for k, v in known.items() if v is not None]
    return report.table(["", ""], rows) if rows else ""
