"""The HTTP API: mails in, cases out, decisions, figures; without workers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import update

from agentic_workflow.case import Decision, Draft, Triage
from agentic_workflow.config import Config
from agentic_workflow.serve.actions import Actions
from agentic_workflow.serve.api import create_app
from agentic_workflow.store.database import writing
from agentic_workflow.store.schema import cases
from seedbed.settings import Settings

KEYS = {"anna": "a-secret", "ben": "b-secret", "guest": "g-secret", "mta": "m-secret"}
SETTINGS = Settings(api_keys=SecretStr(",".join(f"{k}={v}" for k, v in KEYS.items())))


def as_person(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {KEYS[name]}"}


def mail(number: int | str, text: str = "Where is my parcel?") -> bytes:
    return (
        f"From: Bob <bob@example.com>\r\nTo: help@shop.example\r\nSubject: Parcel {number}\r\n"
        f"Message-ID: <m{str(number).replace(' ', '-')}@example.com>\r\n\r\n{text}\r\n"
    ).encode()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    config = Config(
        data_dir=tmp_path_factory.mktemp("desk"),
        approvers="anna, ben",
        gateways="mta",
        authserv_id="mx.shop.example",
    )
    app = create_app(config, SETTINGS)
    with TestClient(app, headers=as_person("anna")) as client:
        yield client


@pytest.fixture(scope="module")
def actions(client: TestClient) -> Actions:
    found: Actions = client.app.state.actions  # type: ignore[attr-defined]
    return found


def waiting_case(client: TestClient, actions: Actions, number: int) -> str:
    """A case with a draft that waits for approval."""
    case_id = str(client.post("/v1/mails", content=mail(number)).json()["id"])
    decision = Decision(action="reply", approval=True, rule="large")
    draft = Draft(subject="Re: Parcel", body="It is on its way.")
    triage = Triage(category="shipping")
    actions.store.update(case_id, status="working", decision=decision, draft=draft, triage=triage)
    due = datetime.now(UTC) + timedelta(hours=1)
    actions.store.request_approval(case_id, ["A large sum."], due)
    return case_id


def test_mail_posted_by_ten_threads_gives_one_case(client: TestClient) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/mails", content=mail(1)), range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(client.get("/v1/cases", params={"text": "parcel 1"}).json()["cases"]) == 1


@pytest.mark.parametrize(("key", "verified"), [("anna", False), ("guest", False), ("mta", True)])
def test_posted_mail_is_verified_only_with_the_key_of_a_gateway(
    client: TestClient, key: str, verified: bool
) -> None:
    passed = b"Authentication-Results: mx.shop.example; dmarc=pass header.from=example.com\r\n"
    content = passed + mail(f"trust {key}")
    case = client.post("/v1/mails", content=content, headers=as_person(key)).json()["id"]
    details = client.get(f"/v1/cases/{case}").json()
    assert details["case"]["mail"]["verified"] is verified


@pytest.mark.parametrize("body", [{"content": b" "}, {"files": {"other": b"x"}}])
def test_mail_without_content_is_refused(client: TestClient, body: Any) -> None:
    assert client.post("/v1/mails", **body).status_code == 400


def test_cases_are_listed_page_by_page(client: TestClient) -> None:
    for number in range(40, 45):
        client.post("/v1/mails", content=mail(number, "pagination"))
    seen, before = [], None
    for _ in range(4):
        params: dict[str, Any] = {"limit": 2, "text": "pagin"}
        params |= {"before": before} if before else {}
        page = client.get("/v1/cases", params=params).json()
        seen += [case["subject"] for case in page["cases"]]
        before = page["next"]
        if before is None:
            break
    assert seen == [f"Parcel {number}" for number in range(44, 39, -1)]


@pytest.mark.parametrize(
    "params", [{"status": "lost"}, {"limit": 0}, {"before": 2**40}, {"text": "\0"}]
)
def test_cases_with_an_invalid_filter_are_bad_input(client: TestClient, params: Any) -> None:
    answer = client.get("/v1/cases", params=params)
    assert answer.status_code == 400 and answer.json()["error"]["type"] == "bad_input"


def test_approval_with_changes_is_kept_and_queued(client: TestClient, actions: Actions) -> None:
    case_id = waiting_case(client, actions, 10)
    body = {"decision": "approve", "body": "Sorry. IBAN DE89370400440532013000", "comment": "ok"}
    answer = client.post(f"/v1/cases/{case_id}/decision", json=body)
    assert answer.json() == {"id": case_id, "status": "approved"}
    details = client.get(f"/v1/cases/{case_id}").json()
    draft, approval = details["case"]["draft"], details["case"]["approval"]
    assert draft["subject"] == "Re: Parcel" and draft["body"].startswith("Sorry.")
    assert "DE89370400440532013000" in draft["body"]  # what a person writes is sent as it is
    assert (approval["decided_by"], approval["comment"]) == ("anna", "ok")
    assert [event["actor"] for event in details["timeline"]][-1] == "anna"
    approval = actions.store.case(case_id).approval
    assert approval and approval.proposal and approval.proposal.body == "It is on its way."
    assert f"{case_id}-1" in actions.queue.states([f"{case_id}-1"])


def test_caller_who_is_not_an_approver_is_refused(client: TestClient, actions: Actions) -> None:
    case_id = waiting_case(client, actions, 12)
    url, guest = f"/v1/cases/{case_id}/decision", as_person("guest")
    assert client.post(url, json={"decision": "approve"}, headers=guest).status_code == 403
    assert actions.store.case(case_id).status == "waiting"


def test_question_to_the_sender_needs_a_text(client: TestClient, actions: Actions) -> None:
    case_id = waiting_case(client, actions, 13)
    url = f"/v1/cases/{case_id}/decision"
    assert client.post(url, json={"decision": "ask"}).status_code == 400
    assert client.post(url, json={"decision": "perhaps"}).status_code == 400
    answer = client.post(url, json={"decision": "ask", "comment": "Which order?"})
    assert answer.status_code == 200
    approval = actions.store.case(case_id).approval
    assert approval and (approval.decision, approval.comment) == ("ask", "Which order?")


def read_metrics(client: TestClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("workflow_"))
    return {name: float(value) for name, value in pairs}


def test_metrics_show_what_alerts_are_about(client: TestClient, actions: Actions) -> None:
    now, before = datetime.now(UTC), read_metrics(client)
    case_id = waiting_case(client, actions, 20)
    with writing(actions.store.engine) as connection:
        overdue = update(cases).where(cases.c.id == case_id)
        connection.execute(overdue.values(due_at=now))
    queued = str(client.post("/v1/mails", content=mail(21)).json()["id"])
    with writing(actions.store.engine) as connection:
        old = update(cases).where(cases.c.id == queued)
        connection.execute(old.values(received_at=now - timedelta(hours=1)))
    metrics = read_metrics(client)
    waiting = len(actions.store.cases(status="waiting", category="shipping"))
    assert metrics['workflow_cases{category="shipping",status="waiting"}'] == waiting
    assert metrics["workflow_overdue"] == before["workflow_overdue"] + 1
    assert 3600 <= metrics["workflow_queue_seconds"] < 7200
