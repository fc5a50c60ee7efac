"""The page: runs and their curves while they train, evaluations, a question before and after.

It only shows; everything here has its verb on the command line. A browser asks for news every two
seconds and gets what changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import gradio as gr

from finetune_lora.page import answer_view, report_view, runs_view
from finetune_lora.page.library import Library
from finetune_lora.page.playground import MOST_CHARACTERS, SIDES, Playground, check, is_help_desk
from finetune_lora.runs.run_folder import evaluate_command
from seedbed.errors import public_message
from seedbed.server import html

log = logging.getLogger(__name__)
POLL_SECONDS = 2.0
_PARTS = ("table", "live", "evaluation", "about", "asked")
_MOST_COMPARED = runs_view.COLOURS
HELP_DESK = (
    "I forgot my vpn password again, user anna.k",
    "where is my order A-2211?",
    "two monitors for the new desk please",
    "call me back friday at 3 pm on 555 0142",
    "thanks, that solved it!",
)

# A click tells the server which runs are chosen, and the address bar, so that it can be kept.
CHOOSE = """
const tell = (names) => {
  const query = names.map((name) => "run=" + encodeURIComponent(name)).join("&");
  history.replaceState(null, "", query ? "?" + query : location.pathname);
  trigger("click", {names});
};
element.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-run]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  tell([link.dataset.run]);
});
element.addEventListener("change", () => {
  tell([...element.querySelectorAll("input[data-run]:checked")].map((box) => box.dataset.run));
});
"""
ASK = """
element.addEventListener("click", (event) => {
  const example = event.target.closest("button[data-text]");
  if (example) trigger("click", {text: example.dataset.text});
});
"""


def build_page(library: Library, playground: Playground) -> gr.Blocks:
    """The page over a folder of runs, to be mounted by `seedbed.server.ui`."""
    page: gr.Blocks
    with gr.Blocks(title="finetune_lora", analytics_enabled=False) as page:
        at = SimpleNamespace(chosen=gr.State([]), shown=gr.State({}))
        at.where = gr.Textbox(visible="hidden")  # the address, which only the browser knows
        gr.Markdown("# Fine-tuning runs")
        at.table = _html("runs", CHOOSE)
        with gr.Tabs():
            with gr.Tab("Training"):
                at.live = _html("live")
            with gr.Tab("Evaluation"):
                at.evaluation = _html("evaluation")
            with gr.Tab("Try it"):
                _ask(at)
            with gr.Tab("Details"):
                at.about = _html("about")
        _connect(page, at, Handlers(library, playground))
    return page


def _html(name: str, script: str | None = None) -> gr.HTML:
    return gr.HTML(js_on_load=script, elem_id=name, apply_default_css=False)


def _ask(at: SimpleNamespace) -> None:
    at.asked = _html("asked", ASK)
    with gr.Row(elem_id="question-row"):
        at.box = gr.Textbox(
            placeholder="Type a request as a user would",
            show_label=False,
            container=False,
            scale=8,
            max_lines=6,
            max_length=MOST_CHARACTERS,
            elem_id="question",
        )
        at.send = gr.Button("Ask", variant="primary", scale=1, min_width=90)
    at.answers = _html("answers")


def _connect(page: gr.Blocks, at: SimpleNamespace, do: Handlers) -> None:
    parts = [getattr(at, name) for name in _PARTS]
    quiet: Any = {"show_progress": "hidden", "api_visibility": "private"}
    timer = gr.Timer(POLL_SECONDS, active=False)
    page.load(
        do.open, at.where, [timer, at.chosen, at.shown, *parts], js="() => location.search", **quiet
    )
    every: Any = {"trigger_mode": "multiple", **quiet}  # also a click right after another one
    at.table.click(do.choose, None, [at.chosen, at.shown, at.answers, *parts], **every)
    # A tick does not say what is chosen: one that was under way would take back a click.
    timer.tick(do.tick, [at.chosen, at.shown], [at.shown, *parts], **quiet)
    ask: Any = {"trigger_mode": "always_last", "concurrency_id": "ask", **quiet}
    gr.on([at.box.submit, at.send.click], do.ask, [at.box, at.chosen], at.answers, **ask)
    example = at.asked.click(do.example, None, at.box, **every)
    example.then(do.ask, [at.box, at.chosen], at.answers, **ask)


class Handlers:
    """What happens on the page; each method returns new values for the components it is wired to.

    `shown` is what a browser shows by now, so that a tick sends only what is new.
    """

    def __init__(self, library: Library, playground: Playground) -> None:
        self.library = library
        self.playground = playground

    def open(self, where: str) -> tuple[Any, ...]:
        """Show the runs that the address names, or the newest."""
        chosen = self._there(parse_qs(where.lstrip("?")).get("run", []))
        return gr.Timer(active=True), chosen, *self.tick(chosen, {})

    def choose(self, event: gr.EventData) -> tuple[Any, ...]:
        """Show other runs; answers of the run before are gone."""
        chosen = self._there([str(name) for name in event.names])
        shown, *parts = self.tick(chosen, {})
        return chosen, shown, "", *parts

    def tick(self, chosen: list[str], shown: dict[str, int]) -> tuple[Any, ...]:
        """Returns shown and the parts, where they changed."""
        runs = self.library.runs()
        chosen = self._there(chosen)
        parts = {"table": lambda: self._table(runs, chosen)}
        for name in _PARTS[1:]:
            parts[name] = _bound(getattr(self, f"_{name}"), chosen)
        texts = {name: _tried(make) for name, make in parts.items()}
        now = {name: hash(text) for name, text in texts.items()}
        if now == shown:
            return tuple(gr.skip() for _ in range(1 + len(_PARTS)))
        new = (texts[n] if now[n] != shown.get(n) else gr.skip() for n in _PARTS)
        return now, *new

    def ask(self, text: str, chosen: list[str]) -> Iterator[str]:
        """Answer with the base, then with the adapter, each as soon as it is there."""
        found: dict[str, Any] = {}
        try:
            check(text)
            folder = self.library.adapter(next(iter(self._there(chosen)), ""))
            if not self.playground.holds(folder):
                yield answer_view.loading()
            for side in SIDES:
                if found or self.playground.holds(folder):
                    yield answer_view.answers(found, waiting="Answering …")
                found[side] = self.playground.answer(folder, text, side)
                yield answer_view.answers(found, waiting="Answering …")
        except Exception as error:
            yield html.error(public_message(error, log))

    def example(self, event: gr.EventData) -> str:
        """Put a clicked example into the box."""
        return str(event.text)[:MOST_CHARACTERS]

    def _there(self, chosen: list[str]) -> list[str]:
        """The chosen runs that exist; the newest where there is none of them."""
        runs = [run["name"] for run in self.library.runs()]
        return [name for name in chosen if name in runs][:_MOST_COMPARED] or runs[:1]

    def _table(self, runs: list[dict[str, Any]], chosen: list[str]) -> str:
        return runs_view.table(runs, chosen) if runs else runs_view.empty(str(self.library.root))

    def _live(self, chosen: list[str]) -> str:
        runs = [self.library.run(name) for name in chosen]
        lines = {name: self.library.progress(name) for name in chosen}
        if len(runs) > 1:
            return runs_view.compared(runs, lines)
        return runs_view.live(runs[0], lines[chosen[0]])

    def _evaluation(self, chosen: list[str]) -> str:
        if len(chosen) > 1:
            return report_view.compared({name: self.library.report(name) for name in chosen})
        report = self.library.report(chosen[0])
        if report is None:
            run = self.library.run(chosen[0])
            if not run["has_adapter"]:
                return answer_view.no_adapter(run)
            return report_view.missing(evaluate_command(self.library.folder(chosen[0])))
        return report_view.evaluation(report)

    def _about(self, chosen: list[str]) -> str:
        runs = [self.library.run(name) for name in chosen]
        if len(runs) > 1:
            return runs_view.differences(runs)
        has_card = self.library.model_card(chosen[0]) is not None
        evaluate = evaluate_command(self.library.folder(chosen[0]))
        return runs_view.about(runs[0], self.library.card(chosen[0]), has_card, evaluate=evaluate)

    def _asked(self, chosen: list[str]) -> str:
        """Who answers, and requests to try."""
        run = self.library.run(chosen[0])
        if not run["has_adapter"]:
            return answer_view.no_adapter(run)
        task = self.library.task(self.library.adapter(chosen[0]))
        texts = HELP_DESK if is_help_desk(task) else self.library.examples(run)
        return answer_view.examples(run, texts)


def _bound(make: Callable[[list[str]], str], chosen: list[str]) -> Callable[[], str]:
    return lambda: make(chosen) if chosen else ""


def _tried(make: Callable[[], str]) -> str:
    """A file that somebody damaged spoils its own part of the page alone."""
    try:
        return make()
    except Exception as error:
        return html.error(public_message(error, log))
