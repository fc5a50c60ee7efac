"""The web page: inbox, case, search, statistics and operation of the desk.

    ui.mount(app, Page(actions, policy).blocks)    # with `seedbed.server.ui`

`Page` places the components and connects them with its methods, which return new values for
components. The HTML is in `page.jinja`; what people may do, in `actions.py`. A browser asks for
news every few seconds and gets the parts that changed, never the boxes somebody types in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import pandas as pd

from agentic_workflow.decide.policy import PolicyFile, load_policy
from agentic_workflow.evaluate.simulate import simulate
from agentic_workflow.serve import page_html
from agentic_workflow.serve.actions import Actions
from agentic_workflow.serve.page_html import render
from agentic_workflow.store.case import CATEGORIES, STATUSES
from agentic_workflow.store.records import CaseSummary, Verdict
from seedbed.errors import BadInput, public_message
from seedbed.server import html
from seedbed.server.service import caller_of

Values = dict[Any, Any]
POLL_SECONDS, ROWS = 3.0, 25
MAX_POLICY = 100_000  # characters
CASE_PARTS = ("top", "left", "right", "log")
NO_CASE = html.hint("Choose a case in the inbox or in the search.")
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_log = logging.getLogger(__name__)

# Links to cases open them without loading the page again; buttons ask first.
CLICK = """element.addEventListener("click", (event) => {
  const item = event.target.closest("[data-do]");
  if (!item || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  if (item.dataset.confirm && !confirm(item.dataset.confirm)) return;
  if (item.dataset.do === "open") {
    history.pushState(null, "", item.href);
    scrollTo(0, 0);
  }
  trigger("click", {...item.dataset});
})"""
ADDRESS = """() => {
  addEventListener("popstate", () => location.reload());
  return new URLSearchParams(location.search).get("case") ?? "";
}"""
REJECT = """(id, ...rest) =>
  [confirm("Reject? The case is closed, and the sender gets no reply.") ? id : "", ...rest]"""


class Page:
    """The page of one desk; `blocks` is what Gradio serves."""

    def __init__(self, actions: Actions, policy: PolicyFile) -> None:
        self.actions, self.store, self.policy = actions, actions.store, policy
        self._row = lru_cache(500)(self._load_row)
        with gr.Blocks(title="Help desk", analytics_enabled=False) as self.blocks:
            # What a browser shows: the case, hashes of the parts, the cursors of the search.
            self.case_id, self.shown, self.cursors = gr.State(""), gr.State({}), gr.State([None])
            self.address = gr.Textbox(visible="hidden")
            gr.Markdown("# Help desk")
            self.banner, self.note = _html("banner"), _html("note")
            with gr.Tabs(selected="inbox") as self.tabs:
                with gr.Tab("Inbox", id="inbox"):
                    self.inbox = _html("inbox")
                with gr.Tab("Case", id="case"):
                    self._add_case()
                with gr.Tab("Search", id="search") as self.search_tab:
                    self._add_search()
                with gr.Tab("Statistics", id="statistics") as self.statistics_tab:
                    self._add_statistics()
                with gr.Tab("Operate", id="operate") as self.operate_tab:
                    self._add_operate()
            self._connect()

    # ── components ──────────────────────────────────────────────────────────────────────────

    def _add_case(self) -> None:
        self.top = _html("top")
        with gr.Row(elem_id="columns"):
            with gr.Column():
                self.left = _html("left")
            with gr.Column():
                self.right = _html("right")
                with gr.Column(visible=False, elem_id="form") as self.form:
                    self.subject = gr.Textbox(label="Subject", max_length=1000, elem_id="subject")
                    self.body = gr.Textbox(
                        label="Reply", lines=10, max_lines=30, max_length=50_000, elem_id="body"
                    )
                    self.diff = _html("diff")
                    self.comment = gr.Textbox(
                        label="Comment for the record (optional)", max_length=5000
                    )
                    self.problem = _html("problem")
                    with gr.Column(elem_id="buttons") as self.buttons:
                        with gr.Row():
                            self.approve = gr.Button("Approve", variant="primary")
                            self.reject = gr.Button("Reject", variant="stop", min_width=100)
                        with gr.Accordion("Ask the sender instead", open=False):
                            self.question = gr.Textbox(
                                label="Question, sent in place of the reply",
                                lines=4,
                                max_length=20_000,
                            )
                            self.ask = gr.Button("Send the question")
        self.log = _html("log")

    def _add_search(self) -> None:
        with gr.Row(elem_id="filters"):
            self.text = gr.Textbox(
                label="Words", placeholder="name, order, subject …", max_length=500, scale=3
            )
            statuses = [("all", ""), *((s.replace("_", " "), s) for s in STATUSES)]
            self.status = gr.Dropdown(statuses, value="", label="Status", min_width=120)
            categories = [("all", ""), *((c, c) for c in CATEGORIES)]
            self.category = gr.Dropdown(categories, value="", label="Category", min_width=120)
        self.hits = _html("hits")
        with gr.Row():
            self.newer = gr.Button("Newer", size="sm", visible=False)
            self.older = gr.Button("Older", size="sm", visible=False)

    def _add_statistics(self) -> None:
        days = [("7 days", 7), ("30 days", 30), ("90 days", 90)]
        self.days = gr.Radio(days, value=30, show_label=False, container=False)
        self.figures = _html("figures")
        axis: dict[str, Any] = {"y": "cases", "y_title": "cases closed", "height": 260}
        self.by_day = gr.BarPlot(x="day", x_title=" ", label="Cases per day", **axis)
        self.by_category = gr.BarPlot(
            x="category", x_title=" ", label="Cases per category", sort="-y", **axis
        )

    def _add_operate(self) -> None:
        self.switches, self.rules = _html("switches"), _html("rules")
        gr.HTML("<h3>Try a changed policy on past cases</h3>")
        self.changed = gr.Textbox(
            label="Policy (TOML)", lines=14, max_lines=24, max_length=MAX_POLICY, elem_id="changed"
        )
        with gr.Row():
            self.simulate = gr.Button("Show what would differ", variant="primary")
            self.upload = gr.UploadButton("Upload a file", file_types=[".toml"])
        self.differences = _html("differences")

    def _connect(self) -> None:
        """Connect each event to its method: `event(method, inputs, outputs)`."""
        place = [self.case_id, self.shown]
        parts = [getattr(self, name) for name in (*CASE_PARTS, "banner", "inbox", "switches")]
        boxes = [self.form, self.subject, self.body, self.comment, self.question, self.approve]
        view = [*parts, *boxes, *place, self.buttons, self.diff, self.problem, self.note, self.tabs]
        self.blocks.load(self.open, self.address, view, js=ADDRESS, **QUIET)
        gr.Timer(POLL_SECONDS).tick(self.refresh, place, view, **QUIET)
        for part in (self.inbox, self.top, self.hits, self.switches, self.differences):
            part.click(self.click, place, view, **QUIET)

        # Decide.
        words = [self.case_id, self.subject, self.body, self.comment, self.question, self.shown]
        self.approve.click(partial(self.decide, "approve"), words, view, **QUIET)
        self.reject.click(partial(self.decide, "reject"), words, view, js=REJECT, **QUIET)
        self.ask.click(partial(self.decide, "ask"), words, view, **QUIET)
        draft, latest = words[:3], {"trigger_mode": "always_last", **QUIET}
        gr.on([self.subject.input, self.body.input], self.compare, draft, self.diff, **latest)

        # Search, statistics, operation.
        filters = [self.text, self.status, self.category]
        results = [self.hits, self.newer, self.older, self.cursors]
        changes = [self.search_tab.select, *(box.input for box in filters)]
        gr.on(changes, self.find, filters, results, **latest)
        for button, turn in ((self.newer, self.find_newer), (self.older, self.find_older)):
            button.click(turn, [*filters, self.cursors], results, **QUIET)
        plots = [self.figures, self.by_day, self.by_category]
        gr.on([self.statistics_tab.select, self.days.input], self.count, self.days, plots, **QUIET)
        self.operate_tab.select(self.operate, self.changed, [self.rules, self.changed], **QUIET)
        self.upload.upload(_take, self.upload, self.changed, **QUIET)
        self.simulate.click(
            self.compare_policies, self.changed, self.differences, api_visibility="private"
        )

    # ── inbox and case ──────────────────────────────────────────────────────────────────────

    def open(self, case_id: str, request: gr.Request, note: str = "") -> Values:
        """Show a case, or the inbox without one."""
        fresh = {self.case_id: case_id, self.note: note, self.problem: "", self.diff: ""}
        return {
            **self.refresh(case_id, {}, request),
            **fresh,
            self.tabs: gr.Tabs(selected="case" if case_id else "inbox"),
        }

    def refresh(self, case_id: str, shown: dict[str, Any], request: gr.Request) -> Values:
        """The parts that have changed since `shown`."""
        by = caller_of(request)
        texts = {
            "banner": _attempt(lambda: self._banner(by)),
            "inbox": _attempt(self._inbox),
            "switches": _attempt(lambda: render("switches", self.actions.switches())),
            **dict.fromkeys(CASE_PARTS, ""),
            "top": NO_CASE,
        }
        values: Values = {}
        now: dict[str, Any] = {"waiting": False}
        if case_id:
            try:
                details = self.actions.details(case_id)
                texts |= self._case(details)
                now["waiting"] = details["case"]["status"] == "waiting"
                if now["waiting"] and not shown.get("waiting"):
                    values |= self._boxes(details["case"])
            except Exception as error:
                texts["top"] = html.error(public_message(error, _log))
        if now["waiting"] != shown.get("waiting"):
            values[self.buttons] = gr.Column(visible=now["waiting"])
            if not shown and not now["waiting"]:  # later, a text that somebody types remains
                values[self.form] = gr.Column(visible=False)
        now |= {name: hash(text) for name, text in texts.items()}
        changes = {getattr(self, n): text for n, text in texts.items() if now[n] != shown.get(n)}
        return {**values, **changes, self.shown: now}

    def click(
        self, event: gr.EventData, case_id: str, shown: dict[str, Any], request: gr.Request
    ) -> Values:
        """A link or a button in the HTML: its `data-do` is what to do, and `data-key` with what."""
        by, key, case = caller_of(request), str(event.key), case_id
        actions: dict[str, Callable[[], Any]] = {
            "open": lambda: None,
            "happened": lambda: self.actions.resolve(key, True, by),
            "repeat": lambda: self.actions.resolve(key, False, by),
            "retry": lambda: self.actions.replay_effect(key, by),
            "replay": lambda: self.actions.replay(key, by),
            "switch": lambda: self.actions.set_switch(key, event.value == "on", by),
        }
        try:
            actions[str(event.do)]()
        except Exception as error:
            note = html.error(public_message(error, _log))
            return {**self.refresh(case, shown, request), self.note: note}
        if event.do == "open":
            return self.open(key, request)
        return {**self.refresh(case, shown, request), self.note: ""}

    def decide(
        self,
        verdict: Verdict,
        case_id: str,
        subject: str,
        body: str,
        comment: str,
        question: str,
        shown: dict[str, Any],
        request: gr.Request,
    ) -> Values:
        """Approve with the reply as it is in the boxes, reject, or ask the sender."""
        if not case_id:  # not confirmed
            return {self.problem: ""}
        text, by = question if verdict == "ask" else comment, caller_of(request)
        try:
            self.actions.decide(case_id, verdict, by, subject, body, text)
        except Exception as error:
            problem = html.error(public_message(error, _log))
            return {**self.refresh(case_id, shown, request), self.problem: problem}
        return self.open(case_id, request)

    def compare(self, case_id: str, subject: str, body: str) -> str:
        """The difference between the draft and the boxes."""
        draft = self.store.case(case_id).draft if case_id else None
        if draft is None:
            return ""
        changes = page_html.diff(f"{draft.subject}\n\n{draft.body}", f"{subject}\n\n{body}")
        return f"<h3>Your changes</h3><div class='text'>{changes}</div>" if changes else ""

    def _banner(self, by: str) -> str:
        self.policy.current()
        may_approve = self.actions.may_approve(by)
        return render("banner", self.actions.switches(), self.policy.problem, by, may_approve)

    def _inbox(self) -> str:
        inbox = self.actions.inbox()
        waiting = self.store.waiting()
        rows = [{**self._row(case.id, case.changed_at), **_due(case)} for case in waiting[:ROWS]]
        trouble = [
            [self._row(case["id"], case["changed_at"]) for case in inbox[status]]
            for status in ("in_doubt", "failed")
        ]
        counts = self.store.counts().items()
        busy = sum(n for (status, _), n in counts if status in ("received", "working", "approved"))
        return render("inbox", rows, len(waiting), *trouble, busy)

    def _load_row(self, case_id: str, _changed_at: object) -> dict[str, Any]:
        case, approval = self.store.case(case_id), self.store.approval(case_id)
        amount, triage = case.decision and case.decision.amount, case.triage
        currency = case.decision.currency if case.decision else ""
        if not amount and triage and triage.amount:
            amount, currency = triage.amount, triage.currency or ""
        reasons = approval.reasons if approval else ()
        money = f"{amount} {currency}" if amount else ""
        return {**case.model_dump(exclude={"mail"}), "amount": money, "reasons": reasons}

    def _case(self, details: dict[str, Any]) -> dict[str, str]:
        case, approval = details["case"], details["approval"]
        waiting = case["status"] == "waiting"
        following = next(iter(self.store.waiting()), None) if not waiting else None
        steps = page_html.steps(case, approval, details["timeline"])
        return {
            "top": render("case_top", case, approval, details["effects"], steps, following),
            "left": render("case_left", case),
            "right": render(
                "case_right", case, approval, waiting, self._correction(case["id"], approval)
            ),
            "log": render("case_log", details["timeline"], details["effects"]),
        }

    def _correction(self, case_id: str, approval: Any) -> dict[str, Any] | None:
        for correction in self.store.corrections() if approval and approval["decision"] else ():
            if correction.case_id == case_id:
                texts = [f"{d.subject}\n\n{d.body}" for d in (correction.before, correction.after)]
                return {**dict(correction), "changes": page_html.diff(texts[0], texts[1])}
        return None

    def _boxes(self, case: dict[str, Any]) -> Values:
        draft, decision = case["draft"] or {}, case["decision"] or {}
        refund = decision.get("amount") and f"{decision['amount']} {decision['currency']}"
        label = f"Approve, refund {refund} and reply" if refund else "Approve and send"
        return {
            self.form: gr.Column(visible=True),
            self.subject: draft.get("subject", ""),
            self.body: draft.get("body", ""),
            self.comment: "",
            self.question: "",
            self.approve: label,
        }

    # ── search, statistics, operation ───────────────────────────────────────────────────────

    def find(
        self, text: str, status: Any, category: str, cursors: list[int | None] | None = None
    ) -> Values:
        """A page of cases; `cursors` are those of the pages up to it."""
        cursors = cursors or [None]
        rows = self.store.cases(
            status=status or None,
            category=category or None,
            text=text,
            before=cursors[-1],
            limit=ROWS + 1,
        )
        return {
            self.hits: render("hits", rows[:ROWS]),
            self.newer: gr.Button(visible=len(cursors) > 1),
            self.older: gr.Button(visible=len(rows) > ROWS),
            self.cursors: [*cursors, rows[ROWS - 1].number if len(rows) > ROWS else None],
        }

    def find_older(self, text: str, status: Any, category: str, cursors: list[Any]) -> Values:
        """The page after the one that is shown."""
        return self.find(text, status, category, cursors)

    def find_newer(self, text: str, status: Any, category: str, cursors: list[Any]) -> Values:
        """The page before the one that is shown."""
        return self.find(text, status, category, cursors[:-2])

    def count(self, days: int) -> Values:
        """Figures of the last `days`."""
        figures = self.store.statistics(days)
        waiting = sum(n for (status, _), n in self.store.counts().items() if status == "waiting")
        today = datetime.now(UTC).date()
        dates = [(today - timedelta(days=n)).isoformat() for n in range(days - 1, -1, -1)]
        by_day = [(date[5:], figures.by_day.get(date, 0)) for date in dates]
        by_category = [(name or "none", n) for name, n in figures.by_category.items()]
        return {
            self.figures: render("figures", page_html.tiles(figures, waiting)),
            self.by_day: pd.DataFrame(by_day, columns=["day", "cases"]),
            self.by_category: pd.DataFrame(by_category, columns=["category", "cases"]),
        }

    def operate(self, changed: str) -> Values:
        """The policy in force; its text is put into an empty box, to be changed there."""
        rules = render("policy", self.policy.current(), self.policy.path)
        text = changed or _attempt(lambda: self.policy.path.read_text("utf-8"))
        return {self.rules: rules, self.changed: text}

    def compare_policies(self, changed: str) -> str:
        """What the changed policy would decide differently about past cases."""
        return _attempt(lambda: self._compare_policies(changed))

    def _compare_policies(self, changed: str) -> str:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "policy.toml"
            path.write_text(changed, encoding="utf-8")
            try:
                policy = load_policy(path)
            except Exception as error:
                raise BadInput(public_message(error, _log).replace(str(path), "policy")) from None
        return render("differences", simulate(self.store, policy), policy.version)


def _html(name: str) -> gr.HTML:
    return gr.HTML(elem_id=name, js_on_load=CLICK, apply_default_css=False)


def _due(case: CaseSummary) -> dict[str, Any]:
    at = case.due_at or case.received_at
    return {"due": page_html.due(at), "due_at": at, "late": at < datetime.now(UTC)}


def _attempt(work: Callable[[], str]) -> str:
    """The result of `work`, or its error as HTML: it spoils its own part of the page alone."""
    try:
        return work()
    except Exception as error:
        return html.error(public_message(error, _log))


def _take(file: str) -> str:
    """The text of an uploaded policy, which is deleted."""
    path = Path(file)
    try:
        return path.read_bytes()[:MAX_POLICY].decode("utf-8", "replace")
    finally:
        path.unlink(missing_ok=True)
