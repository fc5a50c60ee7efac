"""The web page: inbox, case, search and operation of the desk.

    ui.mount(app, Page(actions, policy).blocks)    # with `seedbed.server.ui`

`Page` places the components and connects them with its methods, which return new values for
components. The HTML is in `page.jinja`; what people may do, in `actions.py`. The browser polls and
receives only the parts that changed; a text box that is being edited is never overwritten.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache, partial
from importlib import resources
from typing import Any

import gradio as gr

from agentic_workflow.decide.policy import PolicyFile
from agentic_workflow.serve.actions import Actions
from agentic_workflow.serve.page_html import diff, render, steps
from agentic_workflow.store.case import CATEGORIES, STATUSES
from agentic_workflow.store.records import Verdict
from seedbed.errors import public_message
from seedbed.server import html
from seedbed.server.service import caller_of

Values = dict[Any, Any]
Json = dict[str, Any]
POLL_SECONDS, ROWS, HITS = 3.0, 25, 100
QUIET: Json = {"show_progress": "hidden", "api_visibility": "private"}
NO_CASE = html.hint("Choose a case in the inbox or in the search.")
_log = logging.getLogger(__name__)


class Page:
    """The page of one desk; `blocks` is what Gradio serves."""

    def __init__(self, actions: Actions, policy: PolicyFile) -> None:
        self.actions, self.store, self.policy = actions, actions.store, policy
        self.parts: dict[str, gr.HTML] = {}
        self._row = lru_cache(500)(self._load_row)
        with gr.Blocks(title="Help desk", analytics_enabled=False) as self.blocks:
            # What a browser shows: the case, and hashes of the parts.
            self.case_id, self.sent = gr.State(""), gr.State({})
            self.action = gr.Textbox(visible="hidden", elem_id="action")  # filled by page.js
            gr.Markdown("# Help desk")
            self._add_html("banner", "note")
            with gr.Tabs(selected="inbox") as self.tabs:
                with gr.Tab("Inbox", id="inbox"):
                    self._add_html("inbox")
                with gr.Tab("Case", id="case"):
                    self._add_case()
                with gr.Tab("Search", id="search") as self.search_tab:
                    self._add_search()
                with gr.Tab("Operate", id="operate") as self.operate_tab:
                    self._add_operate()
            self._connect()

    # ── components ──────────────────────────────────────────────────────────────────────────

    def _add_html(self, *names: str) -> None:
        for name in names:
            self.parts[name] = gr.HTML(elem_id=name, js_on_load=None, apply_default_css=False)

    def _add_case(self) -> None:
        box = partial(gr.Textbox, max_length=20_000, max_lines=30)
        self._add_html("top")
        with gr.Row(elem_id="columns"):
            with gr.Column():
                self._add_html("left")
            with gr.Column():
                self._add_html("right")
                with gr.Column(visible=False) as self.form:
                    self.subject = box(label="Subject", elem_id="subject")
                    self.body = box(label="Reply", lines=10, elem_id="body")
                    self.comment = box(label="Comment for the record (optional)")
                    self._add_html("problem")
                with gr.Column(visible=False) as self.buttons:
                    with gr.Row():
                        self.approve = gr.Button("Approve", variant="primary", scale=3)
                        self.reject = gr.Button("Reject", elem_id="reject", min_width=100)
                    with gr.Accordion("Change the request", open=False):
                        with gr.Row():
                            short = partial(gr.Textbox, max_length=64, min_width=100)
                            self.about = gr.Dropdown(list(CATEGORIES), label="Category")
                            self.order, self.amount = short(label="Order"), short(label="Amount")
                        self.change = gr.Button("Decide again")
                    with gr.Accordion("Ask the sender instead", open=False):
                        self.question = box(label="Question, sent in place of the reply", lines=4)
                        self.ask = gr.Button("Send the question")
        self._add_html("log")

    def _add_search(self) -> None:
        def choice(label: str, names: tuple[str, ...]) -> gr.Dropdown:
            choices = [("all", ""), *((name.replace("_", " "), name) for name in names)]
            return gr.Dropdown(choices, value="", label=label, min_width=120)

        with gr.Row():
            hint = "beginnings of words: name, order, subject …"
            self.text = gr.Textbox(label="Words", placeholder=hint, max_length=500, scale=3)
            self.status, self.category = choice("Status", STATUSES), choice("Category", CATEGORIES)
        self._add_html("hits")

    def _add_operate(self) -> None:
        self._add_html("switches", "rules")

    def _connect(self) -> None:
        """Connect each event to its method: `event(method, inputs, outputs)`."""
        boxes: list[Any] = [self.subject, self.body, self.comment, self.question, self.approve]
        request: list[Any] = [self.about, self.order, self.amount]
        place = [self.case_id, self.sent]
        view = [*self.parts.values(), *boxes, *request, *place, self.form, self.buttons, self.tabs]
        script = resources.files(__package__).joinpath("page.js").read_text("utf-8")
        self.blocks.load(self.open, self.action, view, js=script, **QUIET)
        self.action.change(self.act, [self.action, *place], view, trigger_mode="multiple", **QUIET)
        gr.Timer(POLL_SECONDS).tick(self.refresh, place, view, **QUIET)

        # Decide.
        draft = [self.case_id, self.subject, self.body]
        buttons = {"approve": self.approve, "reject": self.reject, "ask": self.ask}
        for verdict, button in buttons.items():
            text = self.question if verdict == "ask" else self.comment
            button.click(self.decide, [gr.State(verdict), *draft, text], view, **QUIET)
        self.change.click(self.decide_again, [self.case_id, *request], view, **QUIET)

        # Search, operation.
        filters: list[Any] = [self.text, self.status, self.category]
        changes = [self.search_tab.select, *(box.change for box in filters)]
        latest = {"trigger_mode": "always_last", **QUIET}
        gr.on(changes, self.find, filters, self.parts["hits"], **latest)
        self.operate_tab.select(self.operate, None, self.parts["rules"], **QUIET)

    # ── inbox and case ──────────────────────────────────────────────────────────────────────

    def open(self, case_id: str, request: gr.Request) -> Values:
        """Show a case, or the inbox without one."""
        fresh = {self.parts[name]: "" for name in ("note", "problem")}
        tab = {self.tabs: gr.Tabs(selected="case")} if case_id else {}
        return {**self.refresh(case_id, {}, request), **fresh, **tab, self.case_id: case_id}

    def refresh(self, case_id: str, sent: Json, request: gr.Request) -> Values:
        """The parts that have changed since `sent`, which is empty for a case just opened."""
        by, values = caller_of(request), Values()
        switches = cache(self.actions.switches)
        texts = {
            "banner": _attempt(lambda: self._banner(by, switches())),
            "inbox": _attempt(self._inbox),
            "switches": _attempt(lambda: render("switches", switches())),
            **{"top": NO_CASE, "left": "", "right": "", "log": ""},
        }
        waiting = False
        try:
            if case_id:
                details = self.actions.details(case_id)
                waiting = details["case"]["status"] == "waiting"
                texts |= self._case(details)
                if waiting and not sent.get("waiting"):
                    values |= self._boxes(details["case"])
        except Exception as error:
            texts["top"] = html.error(public_message(error, _log))
        if not (sent or waiting):  # later on, typed text remains
            values[self.form] = gr.Column(visible=False)
        if waiting != sent.get("waiting"):
            values[self.buttons] = gr.Column(visible=waiting)
        now = {name: hash(text) for name, text in texts.items()}
        changes = {self.parts[n]: text for n, text in texts.items() if now[n] != sent.get(n)}
        return {**values, **changes, self.sent: {**now, "waiting": waiting}}

    def act(self, action: str, case_id: str, sent: Json, request: gr.Request) -> Values:
        """A link or button in the HTML: `data-do` is what to do, and `data-key` with what."""
        item, by = json.loads(action), caller_of(request)
        key, note = item["key"], self.parts["note"]
        if item["do"] == "open":
            return self.open(key, request)
        actions: dict[str, Callable[[], Any]] = {
            "happened": lambda: self.actions.resolve(key, True, by),
            "repeat": lambda: self.actions.resolve(key, False, by),
            "replay": lambda: self.actions.replay(key, by),
            "reopen": lambda: self.actions.reopen(key, by),
            "switch": lambda: self.actions.set_switch(key, item["value"] == "on", by),
        }
        problem = _attempt(lambda: actions[item["do"]]() and "")
        return {**self.refresh(case_id, sent, request), note: problem or ""}

    def decide(
        self,
        verdict: Verdict,
        case_id: str,
        subject: str,
        body: str,
        text: str,
        request: gr.Request,
    ) -> Values:
        """Approve the reply as it is in the boxes, reject it, or ask the sender."""
        try:
            self.actions.decide(case_id, verdict, caller_of(request), subject, body, text)
        except Exception as error:
            return {self.parts["problem"]: html.error(public_message(error, _log))}
        return self.open(case_id, request)

    def decide_again(
        self, case_id: str, category: str, order: str, amount: str, request: gr.Request
    ) -> Values:
        """Change what the case asks for; the desk decides it again."""
        try:
            value = Decimal(amount.strip().replace(",", ".") or 0)
            if not 0 <= value < 1_000_000:
                raise InvalidOperation
            self.actions.change(case_id, caller_of(request), category, order, value)
        except InvalidOperation:
            text = f"{amount!r} is not an amount. Write it like 49.90."
            return {self.parts["problem"]: html.error(text)}
        except Exception as error:
            return {self.parts["problem"]: html.error(public_message(error, _log))}
        return self.open(case_id, request)

    def _banner(self, by: str, switches: dict[str, bool]) -> str:
        self.policy.current()  # reads a changed file
        may_approve, sample = self.actions.may_approve(by), self.actions.config.sample
        return render("banner", switches, self.policy.problem, by, may_approve, sample)

    def _inbox(self) -> str:
        waiting, totals = self.store.waiting(), self.actions.totals()
        rows = [{**self._row(c.id, c.changed_at), "due_at": c.due_at} for c in waiting[:ROWS]]
        trouble = [
            [self._row(case.id, case.changed_at) for case in cases]
            for cases in self.actions.trouble()
        ]
        busy = sum(totals.get(status, 0) for status in ("received", "working", "approved"))
        silent = [self._row(case.id, case.changed_at) for case in self.store.unanswered(ROWS)]
        return render("inbox", rows, totals, *trouble, busy, silent)

    def _load_row(self, case_id: str, _changed_at: object) -> Json:
        approval = self.store.approval(case_id)
        reasons = approval.reasons if approval else ()
        return {**self.store.case(case_id).model_dump(), "reasons": reasons}

    def _case(self, details: Json) -> dict[str, str]:
        case, approval = details["case"], details["approval"]
        events, effects, changes = details["timeline"], details["effects"], ""
        following = None if case["status"] == "waiting" else next(iter(self.store.waiting()), None)
        if approval and (proposal := approval["proposal"]):
            texts = (
                f"{draft['subject']}\n\n{draft['body']}" for draft in (proposal, case["draft"])
            )
            changes = diff(*texts)
        stages = steps(case, approval, events)
        return {
            "top": render("case_top", case, approval, effects, stages, following),
            "left": render("case_left", case, self._thread(details["thread"], case["id"])),
            "right": render("case_right", case, approval, changes),
            "log": render("case_log", events, effects),
        }

    def _thread(self, cases: list[Json], case_id: str) -> list[Json]:
        """The other cases of a thread, with mail and reply."""
        others = [case["id"] for case in cases if case["id"] != case_id]
        return [self.store.case(id).model_dump(mode="json") for id in others[-10:]]

    def _boxes(self, case: Json) -> Values:
        draft, decision = case["draft"] or {}, case["decision"] or {}
        triage = case["triage"] or {}
        refund = decision.get("amount") and f"{decision['amount']} {decision['currency']}"
        return {
            self.form: gr.Column(visible=True),
            self.subject: draft.get("subject", ""),
            self.body: draft.get("body", ""),
            self.comment: "",
            self.question: "",
            self.about: triage.get("category"),
            self.order: triage.get("order_id") or "",
            self.amount: triage.get("amount") or "",
            self.approve: f"Approve and refund {refund}" if refund else "Approve and send",
        }

    # ── search, operation ───────────────────────────────────────────────────────────────────

    def find(self, text: str, status: Any, category: str) -> str:
        """The latest cases that match."""
        filters: Json = {"status": status or None, "category": category or None, "text": text}
        rows = self.store.cases(**filters, limit=HITS + 1)
        return render("hits", rows[:HITS], len(rows) > HITS)

    def operate(self) -> str:
        """The policy in force."""
        return render("policy", self.policy.current(), self.policy.path)


def _attempt(work: Callable[[], str]) -> str:
    """The result of `work`, or its error as HTML, which affects only its own panel."""
    try:
        return work()
    except Exception as error:
        return html.error(public_message(error, _log))
