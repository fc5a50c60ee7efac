"""An evaluation as Markdown, and its files: report.json, report.md and pictures.

It knows the JSON of `evaluate.Evaluation`, and measures nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune_lora.evaluate import pictures
from seedbed.files import write_bytes, write_text

_CELL = 80  # characters of a cell of text


def write(
    out: Path,
    result: Mapping[str, Any],
    *,
    run: Mapping[str, Any] | None = None,
    progress: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write the files of a report into a folder, each whole or not at all; report.json comes last.

    confusion.png is there if answers have names, loss.png if there is progress.
    """
    out.mkdir(parents=True, exist_ok=True)
    drawn = {}
    if result["confusion"]:
        drawn["confusion.png"] = pictures.confusion_picture(
            result["confusion"], title=f"{result['system']}: confusion matrix"
        )
    if progress:
        drawn["loss.png"] = pictures.loss_picture(progress)
    for name in {"confusion.png", "loss.png"} - drawn.keys():
        (out / name).unlink(missing_ok=True)  # of an earlier evaluation
    for name, data in drawn.items():
        write_bytes(out / name, data)
    text = to_markdown(result, run=run, images=sorted(drawn))
    write_bytes(out / "report.md", text.encode("utf-8", "replace"))
    write_text(out / "report.json", json.dumps(result, indent=2, allow_nan=False))


def to_markdown(
    result: Mapping[str, Any],
    *,
    run: Mapping[str, Any] | None = None,
    images: Sequence[str] = (),
) -> str:
    """The whole report; `images` are names of pictures beside it."""
    head = [f"# {result['system']} on {Path(result['data']['source']).name or 'the test data'}", ""]
    if run:
        head += [f"Run: {run.get('name') or run.get('base', '')}, state {run.get('state')}.", ""]
    shown = [f"![{Path(name).stem}]({name})\n" for name in images]
    return "\n".join([*head, sections(result), *shown, _errors(result)]).rstrip() + "\n"


def sections(result: Mapping[str, Any]) -> str:
    """Systems, differences, labels, fields, slices, fairness and forgetting, with headings."""
    parts = [
        ("Systems", _systems(result)),
        ("Differences", _differences(result)),
        ("Labels" if result["kind"] == "labels" else "Tools", _scores(result["labels"])),
        ("Fields", _scores(result["fields"])),
        ("Slices", _slices(result)),
        ("Fairness", _fairness(result)),
        ("Forgetting", _forgetting(result)),
    ]
    return "\n".join(f"## {title}\n\n{body}" for title, body in parts if body)


def _systems(result: Mapping[str, Any]) -> str:
    accuracy = "accuracy" if result["kind"] == "labels" else "exact match"
    columns = {
        "field F1": "field_f1",
        "macro F1": "macro_f1",
        "valid": "schema_valid",
        "ECE": "ece",
    }
    systems = result["systems"]
    used = {t: k for t, k in columns.items() if any(s[k] is not None for s in systems.values())}
    rows = [
        [
            name,
            _share(found),
            *(_number(found[key]) for key in used.values()),
            f"{found['latency_p50_ms']:.0f} / {found['latency_p95_ms']:.0f}",
        ]
        for name, found in systems.items()
    ]
    heads = ["system", f"{accuracy} (95 % interval)", *used, "latency p50 / p95, ms"]
    notes = f"{result['n']} examples.{schema_note(result)}{_constraint_note(result)}"
    notes += f"{_notes(result)}\n"
    return table(heads, rows) + "\n" + notes


def schema_note(result: Mapping[str, Any]) -> str:
    schema = result["schema"]
    meaning = {
        "given": "JSON that matches the given schema",
        "help desk": "JSON that matches the help desk's call schema",
        "any object or array": "any JSON object or array",
        "labels": "one of the labels",
    }
    return f" Valid answers: {meaning[schema]}." if schema in meaning else ""


def _constraint_note(result: Mapping[str, Any]) -> str:
    names = [name for name, figures in result["systems"].items() if figures["constrained"]]
    if not names:
        return ""
    return (
        f" Decoding was constrained to valid answers for: {_cell('; '.join(names), 500)}. "
        "Without the constraint, answers of the same models may be invalid, and more often wrong."
    )


def _notes(result: Mapping[str, Any]) -> str:
    notes = ""
    if result["unseen_labels"]:
        found = ", ".join(f"{_cell(k)} ({n})" for k, n in result["unseen_labels"].items())
        notes += f" Labels not in the training data: {found}."
    if result["seen_in_training"] is not None:
        notes += f" Requests that also occur in the training data: {result['seen_in_training']}."
    return notes


def _differences(result: Mapping[str, Any]) -> str:
    lines = []
    for found in result["differences"]:
        low, high = found["interval"]
        verdict = "" if found["significant"] else "; not significant: the interval contains 0"
        lines.append(
            f"- {found['system']} - {found['against']} ({found['role']}): "
            f"{100 * found['difference']:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}, "
            f"paired bootstrap, n = {found['n']}){verdict}.\n"
        )
    return "".join(lines)


def _scores(scores: Mapping[str, Mapping[str, float]]) -> str:
    return table(["", "precision", "recall", "F1", "n"], score_rows(scores)) if scores else ""


def score_rows(scores: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """Name, precision, recall, F1 and n."""
    return [
        [name, *(_number(s[k]) for k in ("precision", "recall", "f1")), str(s["n"])]
        for name, s in scores.items()
    ]


def _slices(result: Mapping[str, Any]) -> str:
    """Every system's share side by side, with the interval of the one the report is about."""
    others = [name for name in result["systems"] if name != result["system"]]
    rows = [
        [
            key,
            value,
            str(figures["n"]),
            *(
                _number(result["systems"][name]["slices"][key][value]["exact_match"])
                for name in others
            ),
            _share(figures),
        ]
        for key, values in result["slices"].items()
        for value, figures in values.items()
    ]
    return table(["slice", "value", "n", *others, result["system"]], rows)


def _fairness(result: Mapping[str, Any]) -> str:
    found = result["fairness"]
    tested = sum("gap" in f for f in found)
    lines = [f"- {_cell(f['slice'])}: {f['conclusion']}\n" for f in found]
    return (
        "The best and worst slices are selected after the fact, which the intervals do not account "
        "for. The p-value does: it is the share of shuffled outcomes with a gap this large. The "
        f"threshold is 0.05 / {max(1, tested)} (number of comparisons).\n\n" + "".join(lines)
    )


def _forgetting(result: Mapping[str, Any]) -> str:
    rows = forgetting_rows(result["forgetting"] or {})
    heads = ["", "base", "adapter", "difference (95 % interval)", "n"]
    return table(heads, rows) if rows else ""


def forgetting_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Measure, base, adapter, difference and n; none of an evaluation without it."""
    rows: list[list[str]] = []
    if not found:
        return rows
    for title, key, n in (
        ("Multiple-choice accuracy on general questions", "choice_accuracy", "n_questions"),
        ("Loss on general text, nats per token", "loss_per_token", "n_texts"),
    ):
        change = found["differences"].get(key)
        between = "–"
        if change:
            between = f"{change['difference']:+.3f} ({change['low']:+.3f} to {change['high']:+.3f})"
        base, adapter = found["base"], found["adapter"]
        rows.append([title, _number(base[key]), _number(adapter[key]), between, str(base[n])])
    return rows


def _errors(result: Mapping[str, Any]) -> str:
    if not result["errors"]:
        return "## Errors\n\nNone.\n"
    rows = [
        [str(e["line"]), *(f"{e[k]}" for k in ("request", "expected", "got"))]
        for e in result["errors"]
    ]
    head = f"## Errors\n\nThe first {len(rows)} wrong answers of {result['system']}.\n\n"
    return head + table(["line", "request", "expected", "got"], rows, width=200)


def _share(figures: Mapping[str, Any]) -> str:
    low, high = figures["interval"]
    return f"{figures['exact_match']:.3f} ({low:.3f} to {high:.3f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], width: int = _CELL) -> str:
    """A Markdown table; cells are cut to `width` characters and cannot break it."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(_cell(c, width) for c in line) + " |\n" for line in lines)


def _cell(text: str, width: int = _CELL) -> str:
    """One line of text that ends no cell and starts no HTML."""
    text = " ".join(text.split())
    text = text if len(text) <= width else text[: width - 1] + "…"
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
