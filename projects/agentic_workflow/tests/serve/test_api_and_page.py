"""The API and the page over HTTP, without workers, and one walk in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import insert

from agentic_workflow.case import Decision, Draft, Mail, Triage
from agentic_workflow.config import Config
from agentic_workflow.serve.actions import Actions
from agentic_workflow.serve.api import create_app
from agentic_workflow.store.schema import outbox
from seedbed.database.database import writing
from seedbed.settings import Settings
from seedbed.testing.launch import launch_chromium, serve_app

KEYS = SecretStr("anna=a-secret,ben=b-secret,guest=g-secret,mta=m-secret")
HOSTILE = "<img src=x onerror='window.ran=1'> {{7*7}}"
ESCAPED = "&lt;img src=x onerror=&#39;window.ran=1&#39;&gt; {{7*7}}"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    names = {"approvers": "anna, ben", "gateways": "mta", "authserv_id": "mx.shop.example"}
    config = Config(data_dir=tmp_path_factory.mktemp("desk"), **names)
    return create_app(config, Settings(api_keys=KEYS))


@pytest.fixture(scope="module")
def actions(app: Any) -> Actions:
    found: Actions = app.state.actions
    return found


@pytest.fixture(scope="module")
def client(app: Any) -> Iterator[TestClient]:
    with TestClient(app) as client:
        client.auth = ("anna", "a-secret")
        yield client


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


def decide(client: TestClient, case_id: str, verdict: str, by: str = "anna", **form: str) -> Any:
    login = (by, f"{by[0]}-secret")
    form |= {"verdict": verdict}
    return client.post(f"/cases/{case_id}/decision", data=form, auth=login)


# ── the API ─────────────────────────────────────────────────────────────────────────────────


def mail(number: int | str, text: str = "Where is my parcel?") -> bytes:
    return (
        f"From: Bob <bob@example.com>\r\nSubject: Parcel {number}\r\n"
        f"Message-ID: <m{number}@example.com>\r\n\r\n{text}\r\n"
    ).encode()


@pytest.mark.parametrize(("key", "verified"), [("anna", False), ("guest", False), ("mta", True)])
def test_posted_mail_is_verified_only_with_the_key_of_a_gateway(
    client: TestClient, key: str, verified: bool
) -> None:
    passed = b"Authentication-Results: mx.shop.example; dmarc=pass header.from=example.com\r\n"
    login = (key, f"{key[0]}-secret")
    case = client.post("/v1/mails", content=passed + mail(f"by-{key}"), auth=login).json()["id"]
    assert client.get(f"/v1/cases/{case}").json()["case"]["mail"]["verified"] is verified


@pytest.mark.parametrize("body", [{"content": b" "}, {"files": {"other": b"x"}}])
def test_mail_without_content_is_refused(client: TestClient, body: Any) -> None:
    assert client.post("/v1/mails", **body).status_code == 400


def test_cases_are_listed_page_by_page(client: TestClient, actions: Actions) -> None:
    for number in range(5):
        new_case(actions, f"Pagination {number}", waits=False)
    subjects, before = [], {}
    while len(subjects) < 5:
        page = client.get("/v1/cases", params={"limit": 2, "text": "pagin", **before}).json()
        subjects += [case["subject"] for case in page["cases"]]
        before = {"before": page["next"]}
    assert (subjects, page["next"]) == ([f"Pagination {n}" for n in range(4, -1, -1)], None)


# ── the page ────────────────────────────────────────────────────────────────────────────────


def test_case_is_approved_with_an_edit_that_is_kept(client: TestClient, actions: Actions) -> None:
    case_id = new_case(actions, "Blue lamp")
    assert f'<a href="/?case={case_id}">Blue lamp</a>' in client.get("/").text
    assert decide(client, case_id, "ask").status_code == 400  # what?
    body = "Our IBAN is DE89370400440532013000.\r\nBye"
    answer = decide(client, case_id, "approve", subject="Re: Lamp", body=body, comment="ok")
    assert (answer.status_code, "Approved by" in answer.text) == (200, True)
    draft, approval = actions.store.case(case_id).draft, actions.store.case(case_id).approval
    assert draft and draft.body == body.replace("\r", "")  # what a person writes is not masked
    assert approval and (approval.decided_by, approval.comment) == ("anna", "ok")
    assert approval.proposal and approval.proposal.body in answer.text
    assert f"{case_id}-1" in actions.queue.states([f"{case_id}-1"])


def test_second_person_reads_who_was_first_and_keeps_their_text(
    client: TestClient, actions: Actions
) -> None:
    case_id = new_case(actions, "Red lamp")
    decide(client, case_id, "reject", comment="No such order.")
    answer = decide(client, case_id, "approve", "ben", body="Typed by Ben")
    assert answer.status_code == 409
    assert "was decided by anna" in answer.text and "Typed by Ben" in answer.text
    assert actions.store.case(case_id).status == "approved"


@pytest.mark.parametrize(
    "path",
    ["/switch", *(f"/cases/C/{do}" for do in ("reopen", "replay", "decision", "change", "effect"))],
)
def test_guest_reads_but_does_not_act(client: TestClient, actions: Actions, path: str) -> None:
    case_id, login = new_case(actions, "Green lamp"), ("guest", "g-secret")
    page = client.get(f"/?case={case_id}", auth=login)
    assert "may read, but not decide" in page.text and "<form" not in page.text
    form = {"verdict": "approve", "category": "other", "key": "k", "happened": "true", "on": "true"}
    answer = client.post(path.replace("C", case_id), data=form, auth=login)
    assert (answer.status_code, "may not approve" in answer.text) == (403, True)


def test_html_of_a_mail_is_shown_as_text(client: TestClient, actions: Actions) -> None:
    case_id = new_case(actions, f"Offer {HOSTILE}", HOSTILE)
    pages = [client.get(path) for path in (f"/?case={case_id}", "/", "/search?text=offer")]
    for page in pages:
        assert f"Offer {ESCAPED}" in page.text and "<img" not in page.text
        assert "script-src" not in page.headers["content-security-policy"]
        assert "default-src 'none'" in page.headers["content-security-policy"]


def test_search_finds_words_and_shows_the_latest(client: TestClient, actions: Actions) -> None:
    for number in range(105):
        new_case(actions, f"Chair {number}", waits=False)
    page = client.get("/search", params={"text": "chair", "status": "received"}).text
    assert page.count('class="mail"') == 100 and "These are the latest 100." in page
    assert "No case matches." in client.get("/search", params={"text": "unicorn"}).text


@pytest.mark.parametrize(("typed", "amount"), [("49,90", "49.90"), ("1,234", "1234")])
def test_case_is_changed_and_decided_again(
    client: TestClient, actions: Actions, typed: str, amount: str
) -> None:
    case_id = new_case(actions, f"Odd lamp {typed}")
    path = f"/cases/{case_id}/change"
    answer = client.post(path, data={"category": "refund", "amount": "a lot"})
    assert (answer.status_code, "&#39;a lot&#39; is not an amount" in answer.text) == (400, True)
    client.post(path, data={"category": "refund", "amount": typed})
    triage = actions.store.case(case_id).triage
    assert triage and (str(triage.amount), triage.changed_by) == (amount, "anna")
    assert client.post(path, data={"category": "billing"}).status_code == 409  # not again at once


def test_changed_category_is_a_labelled_example(client: TestClient, actions: Actions) -> None:
    case_id, other = (new_case(actions, subject) for subject in ("Old lamp", "New lamp"))
    client.post(f"/cases/{case_id}/change", data={"category": "technical"})
    client.post(f"/cases/{other}/change", data={"category": "refund", "order": "10234"})  # no label
    examples = {example["case"]: example for example in actions.store.corrections()}
    assert other not in examples
    assert (examples[case_id]["by"], examples[case_id]["category"]) == ("anna", "technical")
    assert examples[case_id]["text"] == "Money back!"


def test_attachments_and_the_thread_are_shown(client: TestClient, actions: Actions) -> None:
    first = new_case(actions, "Grey lamp")
    mail = Mail(message_id="g2@x", content_hash="g2", sender="bob@example.com", subject="Re: Grey")
    thread = {"in_reply_to": (f"{first}.1@desk",), "attachments": (f"{HOSTILE}.exe",)}
    second = actions.store.receive(mail.model_copy(update=thread))[0].id
    page = client.get(f"/?case={second}").text
    assert f"{ESCAPED}.exe" in page
    assert "Grey lamp" in page and "Money back!" in page


def test_stopped_desk_is_announced_on_every_page(client: TestClient, actions: Actions) -> None:
    client.post("/switch", data={"on": "true"})
    assert "The desk is stopped." in client.get("/search").text
    assert actions.store.events("")[-1].actor == "anna"
    assert "The desk is stopped." not in client.post("/switch", data={"on": "false"}).text


def test_effect_in_doubt_is_settled_on_its_case(client: TestClient, actions: Actions) -> None:
    case_id, key = new_case(actions, "Black lamp"), "black@x:reply:1"
    decide(client, case_id, "approve")
    row = {"key": key, "case_id": case_id, "action": "reply", "receiver": "smtp"}
    with writing(actions.store.engine) as connection:
        values = {"status": "in_doubt", "payload": {"to": "bob@example.com"}}
        connection.execute(insert(outbox).values(**row, **values))
    actions.store.update(case_id, status="in_doubt", outcome="reply: connection lost")
    assert "It happened" in client.get(f"/?case={case_id}").text
    client.post(f"/cases/{case_id}/effect", data={"key": key, "happened": "true"})
    assert actions.outbox.list("done")[-1].key == key


def test_case_closed_without_an_answer_is_listed_and_reopened(
    client: TestClient, actions: Actions
) -> None:
    case_id = new_case(actions, "Pink lamp", waits=False)
    actions.store.update(case_id, status="closed", outcome="nothing to do")
    silent = client.get("/").text.partition("Closed without an answer")[2]
    assert "Pink lamp" in silent
    assert "Approve and send" in client.post(f"/cases/{case_id}/reopen").text
    assert actions.store.case(case_id).status == "waiting"


def test_unknown_case_is_a_page_and_not_json(client: TestClient) -> None:
    answer = client.get("/?case=c0")
    assert answer.status_code == 404
    assert "<h1>Help desk</h1>" in answer.text and "Unknown case" in answer.text


@pytest.mark.browser
@pytest.mark.slow
def test_page_works_with_the_keyboard_on_a_phone_without_javascript(
    app: Any, actions: Actions
) -> None:
    case_id = new_case(actions, "Tall lamp")
    with serve_app(app) as url, launch_chromium() as browser:
        login = {"username": "anna", "password": "a-secret"}
        size = {"width": 390, "height": 800}
        context = browser.new_context(
            http_credentials=login, java_script_enabled=False, viewport=size, color_scheme="dark"
        )
        page = context.new_page()
        page.goto(url)
        page.get_by_role("link", name="Tall lamp").focus()
        page.keyboard.press("Enter")
        page.get_by_label("Subject").focus()
        page.keyboard.press("Enter")  # decides nothing
        page.get_by_label("Reply", exact=False).first.fill("It is here.")
        page.get_by_role("button", name=re.compile("Approve")).focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(".notice:has-text('Approved by')")
        box = page.locator("body").bounding_box()
        assert box and box["width"] <= 390
    draft = actions.store.case(case_id).draft
    assert draft and draft.body == "It is here."
