"""The web page: give a task, follow its plan, answer questions, read the answer with its evidence.

    ui.mount(app, Page(team).blocks)    # with `seedbed.server.ui`

Once a second, `look` reads the run that the page's address names; `show_run` draws it again if it
has changed. Tasks, documents, database values and results of tools are untrusted: only components
that print plain text show them, never Markdown or HTML.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gradio as gr

from multi_agent.runs.state import Result, Step, readable
from multi_agent.runs.store import RunRecord
from multi_agent.serve.terminal import usage_text
from multi_agent.team.team import MAX_TASK, Team
from seedbed.errors import public_message
from seedbed.server import html
from seedbed.server.callers import LOCAL
from seedbed.server.service import caller_of

Json = dict[str, Any]
EXAMPLES = (
    "How many products are tents, and how long is the warranty on tents?",
    "What is the price of the Single rope 60 m after a discount of 8 percent?",
    "Which product is the heaviest? How long is the warranty on tents? What is 15 % of 240?",
)
EVIDENCE = {
    "quote": "Quote from",
    "query": "Query on",
    "calculation": "Calculation by",
    "tool": "Result of",
}
"""The title of evidence, by its kind."""
PLAN = ["id", "specialist", "task", "status", "answer"]  # columns
STATES = {"running": "working", "waiting": "waiting for your answer"}
SECONDS, RUNS = 1.0, 15
QUIET: Json = {"show_progress": "hidden", "api_visibility": "private"}
SHOW_ADDRESS = "(run) => (history.replaceState(null, '', `?run=${encodeURIComponent(run)}`), run)"
_log = logging.getLogger(__name__)


class Page:
    """The page of one team; `blocks` is what Gradio serves."""

    def __init__(self, team: Team) -> None:
        self.team, self.store = team, team.store
        with gr.Blocks(title="Ask the team", analytics_enabled=False) as self.blocks:
            gr.Markdown("# Ask the team")
            self.run = gr.Textbox(visible="hidden")  # the id of the run on the page
            view, runs = gr.State(None), gr.State([])  # see `look`
            with gr.Row():
                with gr.Column(scale=3):
                    hint = "A question over the database, the documents, or numbers"
                    task = gr.Textbox(
                        label="Task", placeholder=hint, max_length=MAX_TASK, max_lines=8
                    )
                    label = "May refer to the task below (“And in 2024?”)"
                    follow_up = gr.Checkbox(label=label, visible=False)
                    with gr.Row():
                        solve = gr.Button("Run", variant="primary", scale=0)
                        stop = gr.Button("Stop", variant="stop", scale=0, visible=False)
                        resume = gr.Button("Resume", scale=0, visible=False)
                    gr.render(view, show_progress="hidden")(self.show_run)
                    usage = text("Used")
                with gr.Column(scale=1, min_width=280):
                    if not (team.config.database or team.config.documents):
                        gr.Markdown("Examples over the sample shop")
                        for example in EXAMPLES:
                            button = gr.Button(example, size="sm")
                            button.click(lambda text: text, button, task, **QUIET)
                    gr.render([runs, self.run], show_progress="hidden")(self.show_runs)
            inputs: list[Any] = [task, follow_up, self.run]
            outputs: list[Any] = [self.run, task, follow_up]
            gr.on([task.submit, solve.click], self.start, inputs, outputs, **QUIET)
            stop.click(self.stop, self.run, **QUIET)
            resume.click(self.resume, self.run, **QUIET)
            outputs = [view, runs, usage, stop, resume, follow_up]
            self.blocks.load(opened_run, None, self.run, **QUIET)
            self.run.change(self.look, self.run, outputs, js=SHOW_ADDRESS, **QUIET)
            gr.Timer(SECONDS).tick(self.look, self.run, outputs, **QUIET)

    def _record(self, run_id: str, request: gr.Request) -> RunRecord:
        return self.store.run(run_id, owner_of(request))

    def start(self, task: str, follow_up: bool, run_id: str, request: gr.Request) -> list[Any]:
        """Begin a run, in the thread of the run on the page if it is a follow-up."""
        with errors_shown():
            thread = self._record(run_id, request).thread if follow_up and run_id else None
            return [self.team.start(task, thread, owner=owner_of(request)), "", False]

    def stop(self, run_id: str, request: gr.Request) -> None:
        with errors_shown():
            self.team.stop(self._record(run_id, request).id)
        gr.Info("The run stops after the calls in progress.")

    def resume(self, run_id: str, request: gr.Request) -> None:
        with errors_shown():
            self.team.resume(self._record(run_id, request).id)

    def look(self, run_id: str, request: gr.Request) -> list[Any]:
        """What `show_run` and `show_runs` draw; whether `usage` and what follows it show."""
        try:
            latest = self.store.runs(RUNS, owner=owner_of(request))
            runs = [(f"{r.task[:100]} ({STATES.get(r.status, r.status)})", r.id) for r in latest]
            if not run_id:
                return [None, runs, *[gr.update(visible=False)] * 4]
            run = self._record(run_id, request)
            ended = run.status not in STATES
            question = self.team.question(run_id) if run.status == "waiting" else None
            asking = question["step"] if question else ""
            view = run.model_dump(include={"id", "task", "full_task", "answer"})
            view |= {"status": STATES.get(run.status, run.status), "question": question}
            view["reason"] = run.reason if ended else ""
            view["steps"] = step_views(*self.team.progress(run_id), asking, ended)
            usage = usage_text(run.model_copy(update={"usage": self.team.usage(run_id)}))
        except Exception as error:
            return [{"error": public_message(error, _log)}, *[gr.skip()] * 5]
        shown = [not ended, run.status in ("failed", "stopped"), True]
        updates = [gr.update(visible=visible) for visible in shown]
        return [view, runs, gr.update(value=usage, visible=True), *updates]

    def show_run(self, view: Json | None) -> None:
        """The run. How the task was understood, and the evidence, are directly below the answer."""
        if not view or "error" in view:
            text("Error", view["error"] if view else "")
            return
        text(view["status"].capitalize(), view["task"])
        text("In full", view["full_task"])
        if view["question"]:
            self._show_question(view["id"], view["question"])
        text("Reason", view["reason"])
        if answer := view["answer"]:
            text("Answer" if answer["confident"] else "No confident answer", answer["text"])
        for step in view["steps"]:
            if step["result"] and step["result"]["evidence"]:
                show_evidence(step)
        if view["steps"]:
            rows = [[step[column] for column in PLAN] for step in view["steps"]]
            gr.Dataframe(rows, headers=PLAN, label="Plan", interactive=False, wrap=True)

    def _show_question(self, run_id: str, question: Json) -> None:
        """A permission, a call to repeat or to skip, a choice, or a request for other words."""

        def reply(words: str, request: gr.Request) -> None:
            with errors_shown():  # the key: a second click must not answer the next question
                self.team.reply(self._record(run_id, request).id, words, question["key"])

        text("The team asks", question["question"])
        with gr.Row():
            for option in question["options"]:
                button = gr.Button(option)
                button.click(reply, button, **QUIET)
        words = gr.Textbox(label="In your own words", interactive=True, max_length=MAX_TASK)
        send = gr.Button("Answer", scale=0)
        gr.on([words.submit, send.click], reply, words, **QUIET)

    def show_runs(self, runs: list[tuple[str, str]], run_id: str) -> None:
        """The latest runs, to be opened."""
        if runs:
            value = run_id if run_id in [id for _, id in runs] else None
            radio = gr.Radio(runs, value=value, label="Recent runs", interactive=True)
            radio.input(lambda id: id, radio, self.run, **QUIET)


def opened_run(request: gr.Request) -> str:
    """The run that the address of the page names."""
    return str(request.query_params.get("run", ""))


def show_evidence(step: Json) -> None:
    """How a step was understood, and what its result rests on."""
    result = step["result"]
    text(f"Understood as ({step['id']}, {step['specialist']})", result["reading"] or step["task"])
    for evidence in result["evidence"]:
        title, check = EVIDENCE[evidence["kind"]], evidence["checked"] or "not checked"
        # Not gr.Code, which hangs the browser when it is drawn again (Gradio 6.31).
        text(f"{title} {evidence['source']}: {check}", evidence["text"])
        text("Result", evidence["output"])


def text(label: str, value: str = "") -> gr.Textbox:
    """A text to read, hidden while it is empty."""
    return gr.Textbox(value, label=label, visible=bool(value), interactive=False, max_lines=20)


def owner_of(request: Any) -> str:
    """The owner of what a request starts: the name of its caller.

    "" without API keys, as for runs of the command line.
    """
    caller = caller_of(request)
    return "" if caller is LOCAL else caller.name


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an error as a message on the page, escaped: Gradio's messages are HTML."""
    try:
        yield
    except Exception as error:
        message = html.multiline(public_message(error, _log))
        raise gr.Error(message, print_exception=False) from error


def step_views(
    plan: Sequence[Step], results: Mapping[str, Result], asking: str, ended: bool
) -> list[Json]:
    """The columns of PLAN for each step, and its `result`; `asking` is the id of one that waits."""
    views = []
    for step in plan:
        result = results.get(step.id)
        if result:
            status = "done" if result.answer else "failed"
        elif ended:
            status = "skipped"
        else:
            ready = all(id in results and results[id].answer for id in step.after)
            status = "asking" if step.id == asking else "working" if ready else "waiting"
        after = f" after {', '.join(step.after)}" if step.after else ""
        view: Json = {"id": step.id + after, "specialist": step.specialist, "status": status}
        view["task"] = readable(step, results)
        view["answer"] = (result.answer or result.problem) if result else ""
        views.append({**view, "result": result.model_dump() if result else None})
    return views
