"""The page of `finetune-lora serve`: runs and their curves, evaluations, a question to a model.

Read-only: each of its parts has a command. The browser polls every two seconds, and gets the parts
again only if something has changed.

app = create_app(load(Config))    # for seedbed.server.service.serve
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd
from fastapi import FastAPI

from finetune_lora import __version__
from finetune_lora.config import Config
from finetune_lora.page.playground import Playground
from finetune_lora.runs.progress_bar import clock_time
from finetune_lora.runs.run_folder import (
    evaluate_command,
    find_run,
    list_runs,
    read_progress,
    state_of,
)
from seedbed.cli import command_line
from seedbed.errors import BadInput, public_message
from seedbed.server import service, ui
from seedbed.settings import Settings

log = logging.getLogger(__name__)
POLL_SECONDS = 2.0
SIDES = {"before": "Before: the base model", "after": "After: with the adapter"}
# Wide tables of a report scroll; Gradio's own style breaks them within words and numbers.
_STYLES = """
#report table { display: block; overflow-x: auto; border: 0; padding: 0; }
#report :is(th, td) { word-break: normal; overflow-wrap: normal; }
"""
_COLUMNS = ("run", "state", "base", "step", "loss", "eval loss", "result")


def create_app(
    config: Config, settings: Settings | None = None, *, playground: Playground | None = None
) -> FastAPI:
    """The FastAPI application with the page over the runs of `config.data_dir`."""
    app = service.create_app("finetune_lora", version=__version__, settings=settings, max_body_mb=1)
    page = _build_page(config.data_dir, playground or Playground())
    ui.mount(app, page, path="/", extra_css=_STYLES)
    return app


def _build_page(data_dir: Path, playground: Playground) -> gr.Blocks:
    private: Any = {"api_visibility": "private"}
    quiet: Any = {"show_progress": "hidden", **private}
    page: gr.Blocks
    with gr.Blocks(title="finetune_lora", analytics_enabled=False) as page:
        shown = gr.State()  # the runs that the browser shows
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
            question = gr.Textbox(label="Request", max_lines=6, max_length=8000, elem_id="question")
            examples = gr.Dataset(
                components=[gr.Textbox(visible=False)], samples=[], label="Examples", type="values"
            )
            send = gr.Button("Ask", variant="primary", elem_id="ask")
            example = examples.click(lambda sample: sample[0], examples, question, **quiet)
            with gr.Row():
                for side, title in SIDES.items():
                    with gr.Column(elem_id=side):
                        answer = [
                            gr.Textbox(label=title, interactive=False, lines=3, max_lines=12),
                            gr.Label(visible=False, label="Probability of each label"),
                            gr.Markdown(),
                        ]
                    ask = partial(_ask, data_dir, playground, side)
                    gr.on([question.submit, send.click], ask, [run, question], answer, **private)
                    example.then(ask, [run, question], answer, **private)

        update = partial(_update, data_dir)
        parts = [run, shown, table, examples, status, curve, report]
        page.load(update, [run, shown], parts, **quiet)
        gr.Timer(POLL_SECONDS).tick(update, [run, shown], parts, **quiet)
        run.change(update, run, parts, **quiet)
    return page


def _update(data_dir: Path, name: str | None, shown: Any = None) -> tuple[Any, ...]:
    """All parts for the run, the newest if it is gone; nothing if the runs are as `shown`."""
    runs = list_runs(data_dir)
    if runs == shown:
        return tuple(gr.skip() for _ in range(7))
    names = [run["name"] for run in runs]
    name = name if name in names else next(iter(names), None)
    choice, table = gr.Dropdown(choices=names, value=name), [_row(run) for run in runs]
    if name is None:
        start = command_line("finetune-lora", "run")
        empty = f"No runs yet. Start one:\n\n```\n{start}\n```"
        return choice, runs, table, gr.Dataset(samples=[]), empty, None, ""
    run = runs[names.index(name)]
    samples = gr.Dataset(samples=[[text] for text in run.get("requests", ())])
    return choice, runs, table, samples, _status(run), _curve(run), _report(run)


def _ask(
    data_dir: Path, playground: Playground, side: str, name: str | None, text: str
) -> tuple[str, Any, str]:
    """The answer of one side: its text, the probabilities of labels, and a note."""
    try:
        if not text.strip():
            raise BadInput("The text is empty.", hint="Enter a request.")
        if not name:
            raise BadInput("No run is selected.", hint="Train a model first.")
        folder = find_run(data_dir, name, adapter=True)["folder"]
        answer = playground.answer(Path(folder), text, bare=side == "before")
    except Exception as error:
        return "", gr.Label(visible=False), f"**{public_message(error, log)}**"
    scores = answer["scores"]
    return answer["text"], gr.Label(scores, visible=bool(scores)), _note(answer)


def _note(answer: Mapping[str, Any]) -> str:
    notes = [f"{answer['seconds']:.1f} s"]
    if answer["problems"] is not None:
        problems = "; ".join(answer["problems"])
        notes.insert(0, f"Does not match the schema: `{problems}`" if problems else "Valid JSON")
    return " · ".join(notes)


def _row(run: Mapping[str, Any]) -> list[str]:
    """The run's line in the table of runs."""
    last, result = run["last"], run.get("exact_match")
    losses = (last.get("loss"), last.get("eval_loss"))
    return [
        run["name"],
        state_of(run),
        run.get("base", ""),
        f"{last.get('step', 0)} / {last.get('of') or run.get('planned_steps') or '–'}",
        *(f"{loss:.3f}" if isinstance(loss, (int, float)) else "–" for loss in losses),
        "–" if result is None else f"{100 * result:.1f} %",
    ]


def _status(run: Mapping[str, Any]) -> str:
    """State, progress, and how to continue, as Markdown."""
    last, state = run["last"], run.get("state")
    parts = [f"**{state_of(run)}**", f"step {last.get('step', 0)} of {last.get('of', '–')}"]
    if state == "running" and last.get("left") is not None:
        parts.append(f"{clock_time(last['left'])} left")
    if last.get("tokens_per_second"):
        parts.append(f"{last['tokens_per_second']:.0f} tokens/s")
    lines = [" · ".join(parts)]
    if run.get("error"):
        lines.append(f"```\n{run['error']}\n```")
    if state in ("stopped", "failed") and run.get("args"):
        resume = command_line("finetune-lora", "train", "--resume", "--output", run["folder"])
        lines.append(f"Continue with:\n\n```\n{resume}\n```")
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
    if run["in_use"] and run["state"] == "finished":
        return "Being evaluated …"
    if report.exists():
        lines = report.read_text("utf-8", errors="replace").splitlines()
        return "\n".join(line for line in lines if not line.startswith("!["))
    if not run["has_adapter"]:
        return "No adapter yet: it is evaluated after the training."
    return f"Not evaluated yet. Evaluate it:\n\n```\n{evaluate_command(folder)}\n```"
