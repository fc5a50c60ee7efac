"""An evaluation as Markdown, and its files: report.json, report.md and pictures.

It renders the result of `evaluate.evaluate` with two templates: `report.md.jinja`, and in it
`evaluation.md.jinja`, which the model card contains too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune_lora.answer.prediction import ADAPTER
from finetune_lora.data.card import render
from finetune_lora.evaluate import pictures
from finetune_lora.evaluate.baselines import MAJORITY
from seedbed.files import write_bytes, write_text

FILES = ("confusion.png", "loss.png", "report.json", "report.md")
_CELL = 80  # characters of a cell of text


def write(
    out: Path,
    result: Mapping[str, Any],
    *,
    progress: Sequence[Mapping[str, Any]] = (),
    names: Sequence[tuple[str, str | None]] = (),
) -> None:
    """Write the files of a report into a folder, each whole or not at all; report.json comes last.

    With `names` (expected, answered) it includes confusion.png, and with `progress` loss.png.
    """
    out.mkdir(parents=True, exist_ok=True)
    drawn = {}
    if names:
        title = f"{result['system']}: confusion matrix"
        drawn["confusion.png"] = pictures.confusion_picture(*zip(*names, strict=True), title=title)
    if progress:
        drawn["loss.png"] = pictures.loss_picture(progress)
    if (out / "report.json").exists():  # of an earlier evaluation, as its pictures are
        for name in {"confusion.png", "loss.png"} - drawn.keys():
            (out / name).unlink(missing_ok=True)
    for name, data in drawn.items():
        write_bytes(out / name, data)
    text = to_markdown(result, images=sorted(drawn))
    write_bytes(out / "report.md", text.encode("utf-8", "replace"))
    write_text(out / "report.json", json.dumps(result, indent=2, allow_nan=False))


def to_markdown(result: Mapping[str, Any], *, images: Sequence[str] = ()) -> str:
    """The whole report; `images` are names of pictures beside it."""
    return _render("report", result, images=images, sections=sections(result))


def sections(result: Mapping[str, Any]) -> str:
    """Systems, differences, allowed values, labels, fields, slices and forgetting."""
    return _render("evaluation", result)


def _render(template: str, result: Mapping[str, Any], **values: Any) -> str:
    return render(
        Path(__file__).with_name(f"{template}.md.jinja"),
        **{"r": result, "adapter": ADAPTER, "majority": MAJORITY, "measure": measure(result)},
        **{"training": training_note(result["training"]), "cell": cell, "number": _number},
        share=_share,
        **values,
    )


def measure(result: Mapping[str, Any]) -> str:
    """What `exact_match` is called for this kind of answers."""
    return "accuracy" if result["kind"] == "labels" else "exact match"


def training_facts(run: Mapping[str, Any]) -> dict[str, Any]:
    """How long the training of a run (run.json) was, and why it ended."""
    facts = {name: run.get(name) for name in ("steps", "planned_steps")}
    return facts | {"stopped_by": (run.get("results") or {}).get("stopped_by")}


def training_note(training: Mapping[str, Any]) -> str:
    """A sentence if the training was cut by its time limit; otherwise empty."""
    if training["stopped_by"] != "time":
        return ""
    return (
        f"Its training stopped at its time limit, after {training['steps']} of "
        f"{training['planned_steps']} steps."
    )


def _share(figures: Mapping[str, Any]) -> str:
    low, high = figures["interval"]
    return f"{figures['exact_match']:.3f} ({low:.3f} to {high:.3f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def cell(text: object, width: int = _CELL) -> str:
    """Text in one line that starts neither HTML nor code, and cannot break a table."""
    line = " ".join(str(text).split())
    line = line if len(line) <= width else line[: width - 1] + "…"
    for old, new in (("\\", "\\\\"), ("<", "&lt;"), ("`", "\\`"), ("|", "\\|")):
        line = line.replace(old, new)
    return line
