"""An evaluation as HTML: systems side by side, slices, fairness, confusion, errors.

It knows the JSON of `evaluate.Evaluation`, and measures nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from finetune_lora.evaluate.report import forgetting_rows, schema_note, score_rows
from finetune_lora.page.markup import command, number, percent, section, share_bar
from seedbed.server.html import escape, hint, table

Report = Mapping[str, Any]
_MOST_NAMES = 40  # of a confusion matrix that a person can read


def missing(evaluate: str) -> str:
    """What a run that has not been evaluated shows; `evaluate` is the command that does it."""
    return (
        "<div class='empty'><h2>Not evaluated yet</h2><p>Evaluate it against the base model:</p>"
        f"{command(evaluate)}</div>"
    )


def evaluation(report: Report) -> str:
    """A whole report."""
    source = PurePath(str(report["data"]["source"])).name or "the test data"
    head = f"<div class='head'><h2>{escape(report['n'])} examples of {escape(source)}</h2></div>"
    return (
        head
        + _systems(report)
        + section("Differences", _differences(report))
        + section("Slices", _slices(report))
        + section("Fairness", _fairness(report))
        + section("Forgetting", _forgetting(report))
        + section("Confusion matrix", _confusion(report))
        + section("Labels" if report["kind"] == "labels" else "Tools", _scores(report["labels"]))
        + section("Fields", _scores(report["fields"]))
        + section("Errors", _errors(report))
    )


def compared(reports: Mapping[str, Report | None]) -> str:
    """The figures of several runs side by side; they compare where the data is the same."""
    rows = []
    for name, report in reports.items():
        if report is None:
            rows.append([escape(name), "<span class='hint'>not evaluated</span>", *[""] * 5])
        else:
            rows.append([escape(name), *_figures(report), escape(report["n"])])
    heads = ["Run", "Exact match", "95 % interval", "Field F1", "Valid", "Latency", "n"]
    sources = {r["data"]["sha256"] for r in reports.values() if r}
    note = hint("These runs were evaluated on different data.") if len(sources) > 1 else ""
    return section("Evaluations", table(heads, rows, "figures") + note)


def _systems(report: Report) -> str:
    what = "Accuracy" if report["kind"] == "labels" else "Exact match"
    rows = [
        [f"<b>{escape(name)}</b>" if name == report["system"] else escape(name), *_figures(found)]
        for name, found in report["systems"].items()
    ]
    heads = ["System", what, "95 % interval", "Field F1", "Valid", "Latency"]
    if report["kind"] == "labels":
        heads[3] = "Macro F1"
    notes = f"{schema_note(report)} Latency: median and 95th percentile.".strip()
    if report["unseen_labels"]:
        notes += (
            f" Labels not in the training data: {', '.join(map(str, report['unseen_labels']))}."
        )
    if report["seen_in_training"]:
        notes += f" Requests that also occur in the training data: {report['seen_in_training']}."
    return table(heads, rows, "figures") + hint(notes)


def _figures(found: Report) -> list[str]:
    low, high = found["interval"]
    share = found["exact_match"]
    f1 = found["field_f1"] if found["field_f1"] is not None else found["macro_f1"]
    return [
        f"<span class='share'>{share_bar(share, low, high)}<span>{percent(share)}</span></span>",
        f"{low * 100:.1f} – {high * 100:.1f}",
        number(f1),
        percent(found["schema_valid"]),
        f"{number(found['latency_p50_ms'], '.0f')} / {number(found['latency_p95_ms'], '.0f')} ms",
    ]


def _differences(report: Report) -> str:
    lines = []
    for found in report["differences"]:
        low, high = found["interval"]
        verdict = "" if found["significant"] else " Not significant: the interval contains 0."
        lines.append(
            f"<li><b>{found['difference'] * 100:+.1f} points</b> ({low * 100:+.1f} to "
            f"{high * 100:+.1f}): {escape(found['system'])} against {escape(found['against'])}, "
            f"the {escape(found['role'])}.{verdict}</li>"
        )
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def _slices(report: Report) -> str:
    others = [name for name in report["systems"] if name != report["system"]]
    parts = []
    for key, values in report["slices"].items():
        rows = []
        for value, found in values.items():
            low, high = found["interval"]
            rows.append(
                [
                    escape(value),
                    escape(found["n"]),
                    f"<span class='share'>{share_bar(found['exact_match'], low, high)}"
                    f"<span>{percent(found['exact_match'])}</span></span>",
                    *(percent(_of(report, name, key, value)) for name in others),
                ]
            )
        heads = [escape(key), "n", escape(report["system"]), *map(escape, others)]
        parts.append(table(heads, rows, "figures"))
    return "".join(parts)


def _of(report: Report, system: str, key: str, value: str) -> Any:
    return report["systems"][system]["slices"].get(key, {}).get(value, {}).get("exact_match")


def _fairness(report: Report) -> str:
    lines = [
        f"<li><b>{escape(found['slice'])}</b>: {escape(found['conclusion'])}</li>"
        for found in report["fairness"]
    ]
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def _forgetting(report: Report) -> str:
    rows = [row[:-1] for row in forgetting_rows(report.get("forgetting") or {})]
    heads = ["", "Base", "Adapter", "Difference (95 % interval)"]
    return table(heads, rows, "figures") if rows else ""


def _confusion(report: Report) -> str:
    found = report.get("confusion")
    if not found:
        return ""
    if len(found["rows"]) > _MOST_NAMES:
        return hint(f"{len(found['rows'])} classes: see report/confusion.png in the run folder.")
    head = "".join(f"<th scope='col'><span>{escape(name)}</span></th>" for name in found["columns"])
    rows = []
    for name, counts in zip(found["rows"], found["counts"], strict=True):
        cells = "".join(
            _cell(count, sum(counts), name == column)
            for count, column in zip(counts, found["columns"], strict=True)
        )
        rows.append(f"<tr><th scope='row'>{escape(name)}</th>{cells}</tr>")
    return (
        hint("Rows: expected. Columns: predicted.")
        + "<div class='scroll'><table class='confusion'>"
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(count: int, total: int, right: bool) -> str:
    if not count:
        return "<td></td>"
    kind = "right" if right else "wrong"
    return f"<td class='{kind}' style='--part:{12 + 48 * count / max(1, total):.0f}%'>{count}</td>"


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [[*map(escape, row)] for row in score_rows(scores)]
    if not rows:
        return ""
    body = table(["", "Precision", "Recall", "F1", "n"], rows, "figures")
    return f"<details><summary>Show all {len(rows)}</summary>{body}</details>"


def _errors(report: Report) -> str:
    found: Sequence[Mapping[str, Any]] = report["errors"]
    if not found:
        return hint("None.")
    items = "".join(
        f"<li><p>{escape(of['request'])}</p><dl><dt>Expected</dt><dd>{escape(of['expected'])}</dd>"
        f"<dt>Answered</dt><dd>{escape(of['got']) or '–'}</dd></dl></li>"
        for of in found
    )
    wrong = report["n"] - round(report["exact_match"] * report["n"])
    shown = f"The first {len(found)} of {wrong}" if wrong > len(found) else f"All {len(found)}"
    return (
        f"<details><summary>{shown} wrong answers of {escape(report['system'])}</summary>"
        f"<ol class='errors'>{items}</ol></details>"
    )
