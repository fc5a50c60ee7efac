"""An evaluation as Markdown, and its files: report.json, report.md and pictures.

It renders the result of `evaluate.evaluate`, and measures nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune_lora.answer.prediction import ADAPTER
from finetune_lora.evaluate import pictures
from finetune_lora.evaluate.baselines import MAJORITY
from seedbed.cli import markdown_table
from seedbed.files import write_bytes, write_text

FILES = ("confusion.png", "loss.png", "report.json", "report.md")
_CELL = 80  # characters of a cell of text


def write(
    out: Path,
    result: Mapping[str, Any],
    *,
    run: Mapping[str, Any] | None = None,
    progress: Sequence[Mapping[str, Any]] = (),
    names: tuple[Sequence[str], Sequence[str | None]] = ((), ()),
) -> None:
    """Write the files of a report into a folder, each whole or not at all; report.json comes last.

    confusion.png is there if there are `names`, expected and answered, loss.png if there is
    progress.
    """
    out.mkdir(parents=True, exist_ok=True)
    drawn = {}
    if names[0]:
        title = f"{result['system']}: confusion matrix"
        drawn["confusion.png"] = pictures.confusion_picture(*names, title=title)
    if progress:
        drawn["loss.png"] = pictures.loss_picture(progress)
    if (out / "report.json").exists():  # of an earlier evaluation, as its pictures are
        for name in {"confusion.png", "loss.png"} - drawn.keys():
            (out / name).unlink(missing_ok=True)
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
    figures = [f"![{Path(name).stem}]({name})\n" for name in images]
    parts = [*head, headline(result), sections(result), *figures, _errors(result)]
    return "\n".join(parts).rstrip() + "\n"


def sections(result: Mapping[str, Any]) -> str:
    """Systems, differences, labels, fields, slices and forgetting, with headings."""
    parts = [
        ("Systems", _systems(result)),
        ("Differences", _differences(result)),
        ("Labels" if result["kind"] == "labels" else "Tools", _scores(result["labels"])),
        ("Fields", _scores(result["fields"])),
        ("Slices", _slices(result)),
        ("Forgetting", _forgetting(result)),
    ]
    return "\n".join(f"## {title}\n\n{body}" for title, body in parts if body)


def _systems(result: Mapping[str, Any]) -> str:
    columns = {
        "field F1": "field_f1",
        "macro F1": "macro_f1",
        "valid": "schema_valid",
    }
    systems = result["systems"]
    used = {t: k for t, k in columns.items() if any(s[k] is not None for s in systems.values())}
    rows = [
        [
            name,
            _share(figures),
            *(_number(figures[key]) for key in used.values()),
            f"{figures['latency_p50_ms']:.0f} / {figures['latency_p95_ms']:.0f}",
        ]
        for name, figures in systems.items()
    ]
    heads = ["system", f"{measure(result)} (95 % interval)", *used, "latency p50 / p95, ms"]
    notes = f"{result['n']} examples.{_schema_note(result)}{_constraint_note(result)}"
    notes += f"{_notes(result)}\n"
    return table(heads, rows) + "\n" + notes


def _schema_note(result: Mapping[str, Any]) -> str:
    meaning = {
        "learned": "JSON that matches the schema learned from the training data",
        "any object or array": "any JSON object or array",
        "labels": "one of the labels",
    }
    schema = result["schema"]
    return f" Valid answers: {meaning[schema]}." if schema in meaning else ""


def _constraint_note(result: Mapping[str, Any]) -> str:
    names = [name for name, figures in result["systems"].items() if figures["constrained"]]
    if not names:
        return ""
    return (
        f" Answers were constrained to valid ones for: {_cell('; '.join(names), 500)}. "
        "Without the constraint, answers of the same models may be invalid, and more often wrong."
    )


def _notes(result: Mapping[str, Any]) -> str:
    notes = ""
    if result["unseen_labels"]:
        labels = ", ".join(f"{_cell(k)} ({n})" for k, n in result["unseen_labels"].items())
        notes += f" Labels not in the training data: {labels}."
    if result["seen_in_training"] is not None:
        notes += (
            " Requests that also occur in the training data, apart from case, punctuation and "
            f"numbers: {result['seen_in_training']}."
        )
    return notes


def headline(result: Mapping[str, Any]) -> str:
    """The figure of the last system, and the verdict where nothing was learned."""
    low, high = result["interval"]
    line = (
        f"**{result['system']}: {100 * result['exact_match']:.0f} % {measure(result)}** "
        f"(95 % interval {100 * low:.0f} to {100 * high:.0f} %, n = {result['n']})."
    )
    if result["system"] == ADAPTER and result["kind"] in ("calls", "json"):
        line += (
            " The model as it is served was not evaluated: export it with `--output RUN/model` "
            "and evaluate again."
        )
    if result["learned"] is False:
        share = result["systems"][MAJORITY]["exact_match"]
        line += (
            f"\n\n**Nothing was learned**: always giving the {MAJORITY} of the training data "
            f"scores {100 * share:.0f} %, and {result['system']} is not significantly better."
        )
    return line + "\n"


def measure(result: Mapping[str, Any]) -> str:
    """What `exact_match` is called for this kind of answers."""
    return "accuracy" if result["kind"] == "labels" else "exact match"


def _differences(result: Mapping[str, Any]) -> str:
    lines = []
    for entry in result["differences"]:
        low, high = entry["interval"]
        verdict = "" if entry["significant"] else "; not significant: the interval contains 0"
        lines.append(
            f"- {entry['system']} - {entry['against']} ({entry['role']}): "
            f"{100 * entry['difference']:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}, "
            f"paired bootstrap, n = {entry['n']}){verdict}.\n"
        )
    return "".join(lines)


def _scores(scores: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [name, *(_number(s[k]) for k in ("precision", "recall", "f1")), str(s["n"])]
        for name, s in scores.items()
    ]
    return table(["", "precision", "recall", "F1", "n"], rows) if rows else ""


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
    gap = result["largest_gap"]
    note = gap and (
        f"\nThe largest gap is between {_cell(gap['best'])} and {_cell(gap['worst'])} "
        f"({_cell(gap['slice'])}): {100 * gap['gap']:.0f} points. With many values some gap is to "
        "be expected.\n"
    )
    return table(["slice", "value", "n", *others, result["system"]], rows) + (note or "")


def _forgetting(result: Mapping[str, Any]) -> str:
    rows = _forgetting_rows(result["forgetting"] or {})
    heads = ["", "base", "adapter", "difference (95 % interval)", "n"]
    return table(heads, rows) if rows else ""


def _forgetting_rows(figures: Mapping[str, Any]) -> list[list[str]]:
    """Measure, base, adapter, difference and n; none of an evaluation without it."""
    rows: list[list[str]] = []
    if not figures:
        return rows
    for title, key, n in (
        ("Multiple-choice accuracy on general questions", "choice_accuracy", "n_questions"),
        ("Loss on general text, nats per token", "loss_per_token", "n_texts"),
    ):
        change = figures["differences"].get(key)
        between = "–"
        if change:
            between = f"{change['difference']:+.3f} ({change['low']:+.3f} to {change['high']:+.3f})"
        base, adapter = figures["base"], figures["adapter"]
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
    """A Markdown table; cells are shortened to `width` characters and cannot break it."""
    return markdown_table(heads, [[_text(c, width) for c in row] for row in rows]) + "\n"


def _cell(text: str, width: int = _CELL) -> str:
    return _text(text, width).replace("|", "\\|")


def _text(text: str, width: int) -> str:
    """One line of text that starts neither HTML nor code."""
    text = " ".join(text.split())
    text = text if len(text) <= width else text[: width - 1] + "…"
    return text.replace("\\", "\\\\").replace("<", "&lt;").replace("`", "\\`")
