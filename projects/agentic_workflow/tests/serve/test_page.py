"""The page in a browser, over a store that is filled directly; no worker runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import insert

from agentic_workflow.config import Config
from agentic_workflow.decide.policy import SHOP_POLICY, PolicyFile
from agentic_workflow.serve.actions import Actions
from agentic_workflow.serve.api import create_app
from agentic_workflow.serve.page import Page
from agentic_workflow.serve.page_html import steps
from agentic_workflow.store.case import Attachment, Decision, Draft, Mail, Triage
from agentic_workflow.store.database import writing
from agentic_workflow.store.schema import outbox
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium, serve_app

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SLOW = 60_000  # milliseconds, for a busy machine
KEYS = SecretStr("anna=a-secret,ben=b-secret,guest=g-secret")
HOSTILE = "<img src=x onerror='window.ran=1'> ${window.ran=1} {{window.ran=1}}"
Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    config = Config(data_dir=tmp_path_factory.mktemp("desk"), approvers="anna, ben")
    return create_app(config, Settings(api_keys=KEYS))


@pytest.fixture(scope="module")
def actions(app: Any) -> Actions:
    found: Actions = app.state.actions
    return found


@pytest.fixture(scope="module")
def visit(app: Any) -> Iterator[Visit]:
    with serve_app(app) as url, launch_chromium() as browser:

        def visit(name: str = "anna", query: str = "") -> Any:
            login = {"username": name, "password": f"{name[0]}-secret"}
            page = browser.new_context(http_credentials=login).new_page()
            page.set_default_timeout(SLOW)
            page.on("dialog", lambda dialog: dialog.accept())
            page.goto(url + query)
            return page

        yield visit


def new_case(actions: Actions, subject: str, text: str = "Money back!", waits: bool = True) -> str:
    mail = Mail(message_id=f"{subject}@x", content_hash=subject, sender="bob@example.com")
    mail = mail.model_copy(update={"subject": subject, "text": text})
    case_id = actions.store.receive(mail)[0].id
    if waits:
        decision = Decision(action="reply", approval=True, rule="large")
        draft = Draft(subject=f"Re: {subject}", body="It is on its way.")
        reasons = ('category: refund ("MONEY back")',)
        values: dict[str, Any] = {"decision": decision, "draft": draft}
        values |= {"triage": Triage(category="refund", reasons=reasons)}
        actions.store.update(case_id, status="working", **values)
        due = datetime.now(UTC) + timedelta(hours=1)
        actions.store.request_approval(case_id, ["A large sum."], due)
    return case_id


def test_case_is_approved_with_an_edit_that_is_shown_and_kept(
    visit: Visit, actions: Actions
) -> None:
    case_id = new_case(actions, "Blue lamp")
    page = visit()
    page.click("#inbox a:has-text('Blue lamp')")
    page.wait_for_selector("#left mark:has-text('Money back')")
    assert page.url.endswith(f"?case={case_id}")
    page.fill("#body textarea", "It is here.")
    page.click("button:has-text('Approve and send')")
    page.wait_for_selector("#top .notice:has-text('Approved by anna')")
    page.wait_for_selector("#approve, button:has-text('Approve and send')", state="hidden")
    draft = actions.store.case(case_id).draft
    assert draft and draft.body == "It is here."
    page.click("#right summary:has-text('What anna changed')")
    page.wait_for_selector("#right ins:has-text('here')")


def test_second_person_sees_who_decided_and_keeps_their_text(
    visit: Visit, actions: Actions
) -> None:
    case_id = new_case(actions, "Red lamp")
    page = visit("ben", f"/?case={case_id}")
    page.fill("#body textarea", "Typed by Ben")
    actions.decide(case_id, "reject", "anna", comment="No such order.")
    page.wait_for_selector("#top .notice:has-text('Rejected by anna')")
    page.wait_for_selector("#reject", state="hidden")
    assert page.input_value("#body textarea") == "Typed by Ben"


@pytest.mark.parametrize(
    ("caller", "message"), [("ben", "was decided by anna"), ("guest", "may not approve")]
)
def test_decision_that_is_refused_says_why_in_one_line(
    actions: Actions, caller: str, message: str
) -> None:
    case_id = new_case(actions, f"Green lamp for {caller}")
    actions.decide(case_id, "approve", "anna")
    page = Page(actions, PolicyFile(SHOP_POLICY))
    request: Any = SimpleNamespace(scope={"state": {"caller": caller}})
    (answer,) = page.decide("approve", case_id, "Re", "Hello", "", request).values()
    assert message in answer and "role='alert'" in answer and "<br>" not in answer


def test_html_of_a_mail_is_shown_as_text(visit: Visit, actions: Actions) -> None:
    case_id = new_case(actions, f"Offer {HOSTILE}", HOSTILE)
    page = visit(query="/?case=" + case_id)
    page.wait_for_selector("#top h2")
    assert page.inner_text("#top h2") == f"Offer {HOSTILE}"
    assert page.inner_text("#left .text") == HOSTILE
    page.click("role=tab[name='Search']")
    page.wait_for_selector("#hits a:has-text('<img src=x')")
    assert page.locator("img[src=x]").count() == 0 and page.evaluate("window.ran") is None


def test_search_finds_words(visit: Visit, actions: Actions) -> None:
    for number in range(105):
        new_case(actions, f"Chair {number}", waits=False)
    page = visit()
    page.click("role=tab[name='Search']")
    page.fill("label:has-text('Words') >> input, textarea", "chair")
    page.wait_for_selector("#hits a:has-text('Chair 104')")
    assert page.locator("#hits tbody tr").count() == 100
    page.wait_for_selector("#hits :text('These are the latest 100.')")
    page.fill("label:has-text('Words') >> input, textarea", "unicorn")
    page.wait_for_selector("#hits :text('No case matches.')")


def test_case_is_changed_and_decided_again(visit: Visit, actions: Actions) -> None:
    case_id = new_case(actions, "Odd lamp")
    page = visit(query="/?case=" + case_id)
    page.click("button:has-text('Change the request')")
    page.fill("label:has-text('Amount') input, label:has-text('Amount') textarea", "a lot")
    page.click("button:has-text('Decide again')")
    page.wait_for_selector("#problem :text(\"'a lot' is not an amount\")")
    page.fill("label:has-text('Amount') input, label:has-text('Amount') textarea", "49,90")
    page.click("button:has-text('Decide again')")
    page.wait_for_selector("#top .badge.received")
    page.wait_for_selector("button:has-text('Approve and send')", state="hidden")
    triage = actions.store.case(case_id).triage
    assert triage and (str(triage.amount), triage.changed_by) == ("49.90", "anna")


def test_attachments_and_the_thread_are_shown(visit: Visit, actions: Actions) -> None:
    first = new_case(actions, "Grey lamp")
    file = Attachment(name=f"{HOSTILE}.exe", type="application/pdf", size=12_000)
    mail = Mail(message_id="g2@x", content_hash="g2", sender="bob@example.com", subject="Re: Grey")
    thread = {"in_reply_to": (f"{first}.1@desk",), "attachments": (file.name,), "files": (file,)}
    second = actions.store.receive(mail.model_copy(update=thread))[0].id
    page = visit(query="/?case=" + second)
    page.wait_for_selector("#left li:has-text('application/pdf')")
    assert "12.0 kB" in page.inner_text("#left li") and HOSTILE in page.inner_text("#left li")
    page.click("#left details.thread summary:has-text('Grey lamp')")
    page.wait_for_selector("#left .thread .text:has-text('Money back!')")
    assert page.evaluate("window.ran") is None


def test_stopped_desk_is_announced_on_every_page(visit: Visit, actions: Actions) -> None:
    page, other = visit(), visit("ben")
    page.click("role=tab[name='Operate']")
    page.click("button:has-text('Stop all effects')")
    other.wait_for_selector("#banner :text('The desk is stopped.')")
    assert actions.store.events("")[-1].actor == "anna"
    page.click("button:has-text('Release the desk')")
    other.wait_for_selector("#banner .notice", state="detached")


def test_effect_in_doubt_is_settled_on_its_case(visit: Visit, actions: Actions) -> None:
    case_id, key = new_case(actions, "Black lamp"), "black@x:reply:1"
    actions.decide(case_id, "approve", "anna")
    row = {"key": key, "case_id": case_id, "action": "reply", "receiver": "smtp"}
    with writing(actions.store.engine) as connection:
        values = {"status": "in_doubt", "payload": {"to": "bob@example.com"}}
        connection.execute(insert(outbox).values(**row, **values))
    actions.store.update(case_id, status="in_doubt", outcome="reply: connection lost")
    page = visit()
    page.click("#inbox a:has-text('Black lamp')")
    page.click("button:has-text('It happened')")
    page.wait_for_selector("#log td:text-is('done')")
    assert actions.outbox.list("done")[-1].key == key


def test_steps_mark_the_current_one() -> None:
    events = [{"kind": kind} for kind in ("receive", "screen", "classify", "look up", "decide")]
    case = {"status": "waiting", "decision": {"approval": True}}
    states = dict(steps(case, {}, [*events, {"kind": "draft"}]))
    assert [states[name] for name in ("draft", "approve", "act")] == ["done", "current", "to do"]
    states = dict(steps({"status": "closed", "decision": {}}, None, [*events, {"kind": "close"}]))
    assert [states[name] for name in ("draft", "act", "close")] == ["skipped", "skipped", "done"]


def test_case_closed_without_an_answer_is_listed_and_reopened(
    visit: Visit, actions: Actions
) -> None:
    case_id = new_case(actions, "Green lamp", waits=False)
    actions.store.update(case_id, status="closed", outcome="nothing to do")
    page = visit()
    page.click("#inbox summary:has-text('Closed without an answer')")
    page.click("#inbox details a:has-text('Green lamp')")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#top button:has-text('Reopen')")
    page.wait_for_selector("button:has-text('Approve and send')")
    assert actions.store.case(case_id).status == "waiting"
