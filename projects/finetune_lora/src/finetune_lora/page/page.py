"""The page: runs and their curves while they train, evaluations, a question before and after.

It only shows; everything on it has a command. A browser asks for news every two seconds, and gets
the parts of the page again only if something has changed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from finetune_lora.page.playground import MOST_CHARACTERS, SIDES, Playground, check
from finetune_lora.runs.progress_bar import clock_time
from finetune_lora.runs.run_folder import (
    evaluate_command,
    find_run,
    is_being_evaluated,
    list_runs,
    read_progress,
)
from finetune_lora.train.arguments import resume_command
from seedbed.cli import command_line
from seedbed.errors import public_message

log = logging.getLogger(__name__)
POLL_SECONDS = 2.0
# Wide tables of a report scroll; Gradio's own style breaks them within words and numbers.
STYLES = """
#report table { display: block; overflow-x: auto; border: 0; padding: 0; }
#report :is(th, td) { word-break: normal; overflow-wrap: normal; }
"""
_COLUMNS = ("run", "state", "base", "step", "loss", "eval loss", "result")


def build_page(data_dir: Path, playground: Playground) -> gr.Blocks:
    """The page over the runs of a data folder, to be mounted by `seedbed.server.ui`."""
    show = Views(data_dir, playground)
    page: gr.Blocks
    with gr.Blocks(title="finetune_lora", analytics_enabled=False) as page:
        summary = gr.State("")  # of what the browser shows
        gr.Markdown("# Fine-tuning runs")
        table = gr.Dataframe(headers=list(_COLUMNS), interactive=False, elem_id="runs", wrap=True)
        run = gr.Dropdown(label="Run", choices=[], elem_id="run")
        with gr.Tab("Training"):
            status = gr.Markdown(elem_id="status")
            curve = gr.LinePlot(
                x="step", y="loss", color="data", title="Loss (nats per token)", elem_id="curve"
            )
        with gr.Tab("Evaluation"):
            report = gr.Markdown(elem_id="report")
        with gr.Tab("Try it"):
            question = gr.Textbox(
                label="Request", max_lines=6, max_length=MOST_CHARACTERS, elem_id="question"
            )
            examples = gr.Dataset(
                components=[gr.Textbox(visible=False)], samples=[], label="Examples", type="values"
            )
            send = gr.Button("Ask", variant="primary", elem_id="ask")
            with gr.Row():
                answers = [part for side in SIDES for part in _answer(side)]
        with gr.Tab("Details"):
            details = gr.JSON(elem_id="details", label="run.json")

        parts = [table, status, curve, report, details]
        quiet: Any = {"show_progress": "hidden", "api_visibility": "private"}
        page.load(show.choices, run, [run], **quiet)
        run.change(show.run, run, [summary, examples, *parts], **quiet)
        table.select(show.selected, None, run, **quiet)
        gr.Timer(POLL_SECONDS).tick(show.tick, [run, summary], [run, summary, *parts], **quiet)
        gr.on([question.submit, send.click], show.ask, [run, question], answers, **quiet)
        examples.click(lambda sample: sample[0], examples, question, **quiet).then(
            show.ask, [run, question], answers, **quiet
        )
    return page


def _answer(side: str) -> tuple[Any, Any, Any]:
    """Text, label probabilities and a note, of which the answer fills those that fit."""
    title = {"before": "Before: the base model", "after": "After: with the adapter"}[side]
    with gr.Column(elem_id=side):
        text = gr.Textbox(label=title, interactive=False, lines=3, max_lines=12)
        label = gr.Label(visible=False, label="Probability of each label", num_top_classes=5)
        note = gr.Markdown()
    return text, label, note


class Views:
    """The values of the page's components for a run."""

    def __init__(self, data_dir: Path, playground: Playground) -> None:
        self.data_dir, self.playground = data_dir, playground

    def choices(self, name: str | None) -> Any:
        """The runs to choose from, the newest selected if the selected one is gone."""
        names = [run["name"] for run in list_runs(self.data_dir)]
        return gr.Dropdown(choices=names, value=name if name in names else next(iter(names), None))

    def selected(self, event: gr.SelectData) -> str:
        """The run of the row that was clicked."""
        return str(event.row_value[0])

    def run(self, name: str | None) -> tuple[Any, ...]:
        """Everything about a run that was selected."""
        run = self._find(name)
        samples = [[text] for text in (run or {}).get("requests", ())]
        return self._summary(name), gr.Dataset(samples=samples), *self._parts(name)

    def tick(self, name: str | None, summary: str) -> tuple[Any, ...]:
        """The parts again, if anything has changed since the last time."""
        now = self._summary(name)
        if now == summary:
            return tuple(gr.skip() for _ in range(7))
        return self.choices(name), now, *self._parts(name)

    def ask(self, name: str | None, text: str) -> Iterator[tuple[Any, ...]]:
        """Answer with the base model, then with the adapter, each as soon as it is ready."""
        notes = dict.fromkeys(SIDES, "Loading the model …")
        answers: dict[str, Any] = {}
        try:
            check(text)
            yield self._answers(answers, notes)
            folder = find_run(self.data_dir, name or "", adapter=True)["folder"]
            for side in SIDES:
                answers[side] = self.playground.answer(Path(folder), text, side)
                yield self._answers(answers, dict.fromkeys(SIDES, "Answering …"))
        except Exception as error:
            message = f"**{public_message(error, log)}**"
            yield self._answers(answers, dict.fromkeys(SIDES, message))

    def _answers(self, answers: Mapping[Any, Any], notes: Mapping[Any, str]) -> tuple[Any, ...]:
        values: list[Any] = []
        for side in SIDES:
            answer = answers.get(side)
            if answer is None:
                values += ["", gr.Label(visible=False), notes[side]]
                continue
            scores = answer["scores"]
            label = gr.Label(scores, visible=True) if scores else gr.Label(visible=False)
            values += [answer["text"], label, _note(answer)]
        return tuple(values)

    def _find(self, name: str | None) -> dict[str, Any] | None:
        runs = {run["name"]: run for run in list_runs(self.data_dir)}
        return runs.get(name or "")

    def _summary(self, name: str | None) -> str:
        return json.dumps([self._rows(), self._find(name)], default=str)

    def _rows(self) -> list[list[Any]]:
        rows = []
        for run in list_runs(self.data_dir):
            last, result = run["last"], run.get("exact_match")
            rows.append(
                [
                    run["name"],
                    run.get("state", ""),
                    run.get("base", ""),
                    f"{last.get('step', 0)} / {last.get('of') or run.get('planned_steps') or '–'}",
                    _figure(last.get("loss")),
                    _figure(last.get("eval_loss")),
                    "–" if result is None else f"{100 * result:.1f} %",
                ]
            )
        return rows

    def _parts(self, name: str | None) -> tuple[Any, ...]:
        run = self._find(name)
        if run is None:
            start = command_line("finetune-lora", "run")
            return self._rows(), f"No runs yet. Start one:\n\n```\n{start}\n```", None, "", None
        return self._rows(), _status(run), _curve(run), _report(run), _details(run)


def _status(run: Mapping[str, Any]) -> str:
    """State, progress, and how to continue, as Markdown."""
    last, state = run["last"], run.get("state")
    parts = [f"**{state}**", f"step {last.get('step', 0)} of {last.get('of', '–')}"]
    if state == "running" and last.get("left") is not None:
        parts.append(f"{clock_time(last['left'])} left")
    if last.get("tokens_per_second"):
        parts.append(f"{last['tokens_per_second']:.0f} tokens/s")
    lines = [" · ".join(parts)]
    if run.get("error"):
        lines.append(f"```\n{run['error']}\n```")
    if state in ("stopped", "failed") and run.get("args"):
        lines.append(f"Continue with:\n\n```\n{resume_command(run)}\n```")
    if is_being_evaluated(run):
        lines.append("The adapter is being evaluated; its report appears when that has finished.")
    return "\n\n".join(lines)


def _curve(run: Mapping[str, Any]) -> Any:
    """Training and evaluation loss by step."""
    rows = [
        {"step": line["step"], "loss": line[key], "data": data}
        for line in read_progress(Path(run["folder"]))
        for key, data in (("loss", "training"), ("eval_loss", "evaluation"))
        if isinstance(line.get(key), float)
    ]
    return pd.DataFrame(rows, columns=["step", "loss", "data"])


def _report(run: Mapping[str, Any]) -> str:
    folder = Path(run["folder"])
    report = folder / "report" / "report.md"
    if is_being_evaluated(run):
        return "Being evaluated …"
    if report.exists():
        lines = report.read_text("utf-8", errors="replace").splitlines()
        return "\n".join(line for line in lines if not line.startswith("!["))
    if not run["has_adapter"]:
        return "No adapter yet: it is evaluated after the training."
    return f"Not evaluated yet. Evaluate it:\n\n```\n{evaluate_command(folder)}\n```"


def _details(run: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in run.items() if name != "last"}


def _note(answer: Mapping[str, Any]) -> str:
    notes = [f"{answer['seconds']:.1f} s"]
    if answer["problems"] is not None:
        problems = "; ".join(answer["problems"])
        notes.insert(0, f"Does not match the schema: `{problems}`" if problems else "Valid JSON")
    return " · ".join(notes)


def _figure(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else "–"
