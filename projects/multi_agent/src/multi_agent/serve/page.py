"""The web page: a task, its plan at work, the answer with evidence; memory and team.

    ui.mount(app, Page(team).blocks)    # with `seedbed.server.ui`

The HTML is in `page.jinja`. A browser asks for news every second and gets the parts that changed,
never a box that a person types in. The address names the run, so that a page that is loaded again
shows it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import cached_property, partial
from importlib import resources
from typing import Any

import gradio as gr

from multi_agent import graph as nodes
from multi_agent.runs.store import RunRecord
from multi_agent.serve.owner import owner_of
from multi_agent.serve.page_html import layout, render, step_views, timeline
from multi_agent.team.team import MAX_TASK, Team
from seedbed.errors import public_message
from seedbed.server import html
from seedbed.server.service import caller_of

Values = dict[Any, Any]
Json = dict[str, Any]
POLL_SECONDS, RUNS, EVENTS = 1.0, 40, 100_000
QUIET: Json = {"show_progress": "hidden", "api_visibility": "private"}
SAMPLES = (
    "How many orders were placed in May 2025, and how long is the return window for gold members?",
    "What is the price of the Single rope 60 m after a discount of 8 percent?",
    "Which product is the heaviest? How long is the warranty on tents? What is 15 % of 240?",
)
RUN_PARTS = ("head", "question", "answer", "plan", "steps", "budget", "timeline")
_log = logging.getLogger(__name__)


class Page:
    """The page of one team; `blocks` is what Gradio serves."""

    def __init__(self, team: Team) -> None:
        self.team, self.store = team, team.store
        self.parts: dict[str, gr.HTML] = {}
        with gr.Blocks(title="Team of agents", analytics_enabled=False) as self.blocks:
            self.shown = gr.State({})  # hashes of the parts that a browser has
            self.run = gr.Textbox(visible="hidden", elem_id="run")  # the id; page.js shows it
            self.action = gr.Textbox(visible="hidden", elem_id="action")  # filled by page.js
            gr.Markdown("# Ask the team")
            self._add_html("note")
            with gr.Tabs() as self.tabs:
                with gr.Tab("Task", id="task"), gr.Row(elem_id="columns"):
                    with gr.Column(scale=4, elem_id="main"):
                        hint = "A question over the database, the documents, or numbers"
                        limits: Json = {"max_length": MAX_TASK, "max_lines": 8}
                        gr.Textbox(label="Task", placeholder=hint, elem_id="task", **limits)
                        self._add_html("ask", "samples", *RUN_PARTS)
                    with gr.Column(scale=1, elem_id="side"):
                        self._add_html("runs")
                with gr.Tab("Memory") as self.memory_tab:
                    self._add_html("memory")
                with gr.Tab("Team"):
                    self._add_html("team")
            self._connect()

    def _add_html(self, *names: str) -> None:
        for name in names:
            self.parts[name] = gr.HTML(elem_id=name, js_on_load=None, apply_default_css=False)

    def _connect(self) -> None:
        place = [self.run, self.shown]
        view = [*self.parts.values(), *place, self.tabs]
        script = resources.files(__package__).joinpath("page.js").read_text("utf-8")
        self.blocks.load(self.load, self.action, view, js=script, **QUIET)
        self.action.change(self.act, [self.action, *place], view, trigger_mode="multiple", **QUIET)
        self.run.change(None, self.run, js="(run) => window.showRun(run)")
        self.memory_tab.select(self.memory, None, self.parts["memory"], **QUIET)
        gr.Timer(POLL_SECONDS).tick(self.refresh, place, view, **QUIET)

    def load(self, run_id: str, request: gr.Request) -> Values:
        """A run, or an empty page without one, in the tab that is open."""
        return {**self.refresh(run_id, {}, request), self.parts["note"]: "", self.run: run_id}

    def open(self, run_id: str, request: gr.Request) -> Values:
        """Show a run, or an empty page without one, in the tab where tasks are given."""
        return {**self.load(run_id, request), self.tabs: gr.Tabs(selected="task")}

    def refresh(self, run_id: str, shown: Json, request: gr.Request) -> Values:
        """The parts that have changed since `shown`, which is empty for a run just opened."""
        owner = owner_of(caller_of(request))
        texts = dict.fromkeys(self.parts, "") | {"team": self._team}
        runs = partial(self.store.runs, RUNS, owner=owner)
        texts |= {"runs": _attempt(lambda: render("runs", runs(), run_id))}
        config = self.team.config
        sample = not (run_id or config.database or config.documents)
        texts |= {"ask": render("ask", ""), "samples": render("samples", SAMPLES) if sample else ""}
        try:
            texts |= self._run(self.store.run(run_id, owner)) if run_id else {}
        except Exception as error:
            texts["head"] = html.error(public_message(error, _log))
        del texts["note"], texts["memory"]
        now = {name: hash(text) for name, text in texts.items()} | {"run": run_id}
        before = shown if shown.get("run") == run_id else {}
        changes = {self.parts[n]: text for n, text in texts.items() if now[n] != before.get(n)}
        return {**changes, self.shown: now}

    def act(self, action: str, run_id: str, shown: Json, request: gr.Request) -> Values:
        """A button in the HTML: `do` is what to do, `key` with what, and `text` what was typed."""
        item = json.loads(action)
        key, text, team, note = item["key"], item["text"], self.team, self.parts["note"]
        owner = owner_of(caller_of(request))
        if item["do"] == "open":
            return self.open(key, request)

        def own(run: str) -> str:
            return self.store.run(run, owner).id

        actions: dict[str, Callable[[], str | None]] = {
            "start": lambda: team.start(text, key or None, owner=owner),
            "fork": lambda: team.fork(own(run_id), key, text),
            "stop": lambda: team.stop(own(key)),
            "answer": lambda: team.answer(own(key), text),
            "replay": lambda: self._replay(own(key)),
            "forget": lambda: team.memory.forget(owner, key),
            "forget_all": lambda: team.memory.forget(owner),
        }
        try:
            stopping = "The run stops after the calls in progress." if item["do"] == "stop" else ""
            result = actions[item["do"]]() or stopping
        except Exception as error:
            problem = html.error(public_message(error, _log))
            return {**self.refresh(run_id, shown, request), note: problem}
        if item["do"] in ("start", "fork"):
            return self.open(str(result), request)
        values = {**self.refresh(run_id, shown, request), note: result and html.hint(result)}
        return values | (
            {self.parts["memory"]: self.memory(request)} if "forget" in item["do"] else {}
        )

    def memory(self, request: gr.Request) -> str:
        """The tab Memory, loaded when it is opened."""
        memory, owner = self.team.memory, owner_of(caller_of(request))
        return _attempt(lambda: render("memory", memory.kinds, memory.items(owner)))

    def _replay(self, run_id: str) -> str:
        replay = self.team.replay(run_id)
        if replay.missing:
            return f"Replay: the record lacks a call: {replay.missing}"
        verdict = "The same answer" if replay.same else f"Another answer ({replay.answer})"
        return f"Replay: {verdict} from {replay.calls} recorded calls, without a model or a tool."

    def _run(self, record: RunRecord) -> dict[str, str]:
        """The parts that show a run."""
        events = self.store.events(record.id, limit=EVENTS)
        steps = step_views(events, record.status)
        asked = [event for event in events if event.kind == "question"]
        thread = self.store.runs(RUNS, owner=record.owner, thread=record.thread)
        earlier = [one for one in reversed(thread) if one.created_at < record.created_at]
        at_rest = record.status in ("done", "stopped", "failed")
        follow_up = at_rest and "thread" in self.team.memory.kinds
        plan = layout([(step["id"], step["after"]) for step in steps])
        return {
            "ask": render("ask", record.thread if follow_up else ""),
            "head": render("head", record, steps, earlier),
            "question": render("question", record, asked[-1]) if record.status == "waiting" else "",
            "answer": render("answer", record),
            "plan": render("plan", steps, plan) if steps else "",
            "steps": render("steps", record, steps),
            "budget": render("budget", self.team.usage(record.id), dict(record.limits)),
            "timeline": render("timeline", timeline(record, events)),
        }

    @cached_property
    def _team(self) -> str:
        """The tab Team, which does not change."""
        picture = self.team.graph.get_graph()
        names = [name for name in picture.nodes if not name.startswith("__")]
        before = {n: [e.source for e in picture.edges if e.target == n] for n in names}
        docs = {name: str(getattr(nodes, name).__doc__).split("\n")[0] for name in names}
        boxes = [{"id": name, "title": name, "task": docs[name]} for name in names]
        placed = layout(list(before.items()))
        return _attempt(lambda: render("team", self.team, boxes, placed))


def _attempt(work: Callable[[], str]) -> str:
    """The result of `work`, or its error as HTML: it spoils its own part of the page alone."""
    try:
        return work()
    except Exception as error:
        return html.error(public_message(error, _log))
