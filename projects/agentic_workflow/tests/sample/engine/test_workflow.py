"""The workflow from a mail to its reply, with real receivers, in one process."""

from __future__ import annotations

import base64
import email
import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.message import Message
from typing import Any

import pytest
from dbos import DBOS
from sqlalchemy import event

from agentic_workflow.engine.queue import register_queue
from agentic_workflow.engine.upkeep import Upkeep
from agentic_workflow.engine.worker import launch
from agentic_workflow.workflow import VERSION
from seedbed.errors import BadInput, Conflict
from seedbed.server.callers import Caller


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, world_class: Any) -> Iterator[Any]:
    """A world whose worker runs in this process; the tests share it, since a launch takes 1 s."""
    with ExitStack() as stack:
        world = world_class(tmp_path_factory.mktemp("world"), stack)
        world.desk = world.open_desk()
        launch(world.config, "worker-1", VERSION)
        register_queue()
        world.upkeep = Upkeep(world.desk, world.queue)
        yield world
        DBOS.destroy()


def mails_of(world: Any, case: str) -> list[Message]:
    mails = [email.message_from_bytes(p.read_bytes()) for p in world.sent_folder.glob("*.eml")]
    return [mail for mail in mails if str(mail["Message-ID"]).startswith(f"<{case}.")]


def kinds(world: Any, case: str) -> list[str]:
    return [event.kind for event in world.store.events(case)]


def decide(world: Any, case: str, verdict: str, **fields: Any) -> None:
    record = world.store.decide_approval(case, verdict, "anna", **fields)
    world.queue.submit(record)
    world.wait([case], ("closed", "failed"))


def test_mail_is_answered_in_its_thread(world: Any) -> None:
    case = world.take("where is my parcel", References="<a@x> <b@x>", In_Reply_To="<b@x>")
    assert world.wait([case]) == ["closed"]
    (mail,) = mails_of(world, case)
    number = world.store.case(case).mail.message_id
    assert mail["In-Reply-To"] == f"<{number}>"
    assert mail["References"].split()[-2:] == ["<b@x>", f"<{number}>"]
    assert (mail["From"], mail["Auto-Submitted"]) == ("desk@shop.example", "auto-replied")
    assert mail["Date"]
    assert kinds(world, case) == [
        *("receive", "classify", "look up", "decide", "draft"),
        *("reply", "close"),
    ]


def test_order_is_refunded_once_although_the_shop_does_not_show_it(world: Any) -> None:
    before = len(world.refunds())
    first = world.take("refund 30.00 for order 70001", sender="c1@example.com")
    assert world.wait([first]) == ["closed"]
    second = world.take("refund 30.00, please, order 70001", sender="c1@example.com")
    assert world.wait([second]) == ["waiting"]
    assert "has refunded 30.00" in " ".join(world.store.case(second).approval.reasons)
    assert len(world.refunds()) == before + 1


def test_sender_who_is_not_verified_gets_no_money_and_a_letter_that_a_person_wrote(
    world: Any,
) -> None:
    before = len(world.refunds())
    mail = world.scripted.mail_bytes(world.count + 1, "refund 30.00")
    world.count += 1
    case = world.intake.take(
        mail.replace(b"mx.shop.example", b"mx.evil.example"), by_mail_server=True
    ).id
    assert world.wait([case]) == ["waiting"]
    record = world.store.case(case)
    assert (record.decision.action, record.decision.amount) == ("hand_over", None)
    # The draft promises that a person will reply; sending it must not close the case.
    for body in (None, record.draft.body):
        with pytest.raises(BadInput, match="promises"):
            world.actions.answer(case, "approve", Caller("anna"), body=body)
    assert world.statuses([case]) == ["waiting"]
    world.actions.answer(case, "approve", Caller("anna"), body="Please call us.")
    assert world.wait([case], ("closed",)) == ["closed"]
    (mail,) = mails_of(world, case)
    assert "Please call us." in str(mail)
    assert len(world.refunds()) == before


def test_address_gets_few_automatic_replies_a_day(world: Any) -> None:
    cases = []
    for number in range(4):
        cases.append(world.take(f"where is parcel {number}", sender="robot@parcel.example"))
        world.wait(cases)
    assert world.statuses(cases) == ["closed"] * 3 + ["waiting"]
    assert "3 automatic replies" in world.store.case(cases[-1]).approval.reasons[-1]


def test_second_mail_while_a_case_is_open_waits(world: Any) -> None:
    first = world.take("refund 300.00", sender="two@example.com")
    world.wait([first])
    second = world.take("where is it", sender="two@example.com")
    assert world.wait([second]) == ["waiting"]
    assert f"Case {first} of the sender is open." in world.store.case(second).approval.reasons


def test_reply_of_a_model_waits_for_a_person(world: Any) -> None:
    case = world.take("answered by a model")
    assert world.wait([case]) == ["waiting"]
    assert "A model wrote the reply." in world.store.case(case).approval.reasons


def test_large_refund_waits_without_a_workflow_until_approved(world: Any) -> None:
    case = world.take("refund 300.00")
    assert world.wait([case]) == ["waiting"]
    world.until(world.idle)
    assert not mails_of(world, case)
    decide(world, case, "approve")
    assert world.store.case(case).closed_by == "anna"
    (mail,) = mails_of(world, case)
    assert "Auto-Submitted" not in mail  # a person approved it; ticket systems drop what has it
    assert kinds(world, case)[-3:] == ["refund", "reply", "close"]


def test_question_of_a_person_is_sent_and_its_answer_is_linked(world: Any) -> None:
    case, before = world.take("refund 300.00", sender="eve@example.com"), len(world.refunds())
    world.wait([case])
    decide(world, case, "ask", comment="Which lamp is broken?")
    (mail,) = mails_of(world, case)
    assert "Which lamp is broken?" in str(mail.get_payload())
    assert len(world.refunds()) == before
    answer = world.take("the blue one", sender="eve@example.com", In_Reply_To=mail["Message-ID"])
    world.wait([answer])
    assert [other.id for other in world.store.thread(answer)] == [case, answer]


def test_same_content_is_answered_once(world: Any) -> None:
    world.count += 1
    data = [world.scripted.mail_bytes(world.count, "again", Date=str(n)) for n in range(2)]
    data[1] = data[1].replace(b"<mail-", b"<copy-")
    cases = [world.intake.take(d, by_mail_server=True).id for d in (data[0], data[0], data[1])]
    assert world.wait(cases) == ["closed", "closed", "duplicate"]
    assert len(mails_of(world, cases[0])) == 1
    assert not mails_of(world, cases[2])


def test_reopened_case_gets_another_letter_and_no_second_refund(world: Any) -> None:
    case, before = world.take("refund 30.00"), len(world.refunds())
    assert world.wait([case]) == ["closed"]
    world.actions.reopen(case, Caller("anna"))
    assert world.statuses([case]) == ["waiting"]
    record = world.actions.answer(case, "approve", Caller("anna"), body="The lamp comes tomorrow.")
    assert record.status == "approved"
    assert world.wait([case], ("closed",)) == ["closed"]
    assert any("The lamp comes tomorrow." in str(mail) for mail in mails_of(world, case))
    assert len(mails_of(world, case)) == 2
    assert len({mail["Message-ID"] for mail in mails_of(world, case)}) == 2
    assert len(world.refunds()) == before + 1


@pytest.mark.parametrize("text", ["explode", "this cannot be answered"])
def test_unexpected_error_fails_the_case_which_can_be_replayed(world: Any, text: str) -> None:
    parts, case = world.desk.parts, world.take(text)
    assert world.wait([case]) == ["failed"]
    assert "RuntimeError" in world.store.case(case).outcome
    with pytest.raises(Conflict, match="does not wait"):
        world.store.decide_approval(case, "approve", "anna")
    parts.triager.fixed = parts.writer.fixed = True
    world.actions.replay(case, Caller("anna"))
    assert world.wait([case], ("closed",)) == ["closed"]
    assert len(mails_of(world, case)) == 1
    parts.triager.fixed = parts.writer.fixed = False
    with pytest.raises(Conflict, match="only failed"):
        world.actions.replay(case, Caller("anna"))


def test_case_is_decided_again_by_what_a_person_says_it_asks_for(world: Any) -> None:
    case, before = world.take("refund 300.00"), len(world.refunds())
    assert world.wait([case]) == ["waiting"]
    world.actions.change(case, Caller("anna"), category="shipping")
    world.until(lambda: world.store.case(case).decision.action == "reply")
    assert world.wait([case], ("waiting",)) == ["waiting"]  # although the rule acts alone
    assert world.store.case(case).approval.reasons[-1] == "anna changed the request."
    world.actions.change(case, Caller("ben"), category="billing", amount=Decimal(40))
    world.until(lambda: world.store.case(case).decision.amount == 40)
    assert world.wait([case], ("waiting",)) == ["waiting"]
    decide(world, case, "approve")
    assert world.store.case(case).status == "closed"
    assert [row[2] for row in world.refunds()[before:]] == [4000]
    changes = [(e.actor, e.reason) for e in world.store.events(case) if e.kind == "change"]
    assert changes == [
        ("anna", "category billing → shipping"),
        ("ben", "category shipping → billing, amount 300.00 → 40"),
    ]


def test_kill_switch_stops_effects_until_released(world: Any) -> None:
    world.store.stop(True, "anna")
    case = world.take("where is it")
    world.wait([case], ("approved",))
    world.upkeep.run(datetime.now(UTC) + timedelta(seconds=40))
    world.until(world.idle)
    assert not mails_of(world, case)
    world.store.stop(False, "anna")
    world.upkeep.run(datetime.now(UTC) + timedelta(seconds=40))
    assert world.wait([case], ("closed",)) == ["closed"]
    assert len(mails_of(world, case)) == 1


def test_cost_of_triage_counts_and_a_limit_ends_it(world: Any) -> None:
    case = world.take("hard to read")
    assert world.wait([case]) == ["waiting"]
    assert "5 USD of 1 per case" in world.store.case(case).approval.reasons[-1]
    world.actions.change(
        case, Caller("anna"), category="account"
    )  # which is not read, nor paid, again
    assert world.wait([case], ("waiting",)) == ["waiting"]
    assert [e.cost_usd for e in world.store.events(case) if e.kind == "classify"] == [5, 0]
    policy = world.desk.parts.policy.path
    before = policy.read_text()
    policy.write_text(before.replace("day_usd = 1000", "day_usd = 4"))
    unread = world.take("refund 20.00")
    assert world.wait([unread]) == ["waiting"]
    policy.write_text(before)
    triage = world.store.case(unread).triage
    assert (triage.category, triage.amount) == ("other", None)
    assert triage.approval_reason.endswith("USD of 4 per day")


def test_deadline_decides(world: Any) -> None:
    case, now = world.take("refund 300.00"), datetime.now(UTC)
    world.wait([case])
    world.upkeep.run(now + timedelta(hours=1.5))
    assert world.statuses([case]) == ["waiting"]
    world.upkeep.run(now - timedelta(days=300))  # a clock that was set back
    assert world.statuses([case]) == ["waiting"]
    world.upkeep.run(now + timedelta(hours=3))
    assert world.wait([case], ("closed",)) == ["closed"]
    assert world.store.case(case).closed_by == "deadline"
    assert not mails_of(world, case)


def test_mail_server_that_is_busy_is_tried_again(world: Any) -> None:
    world.fail_mails("later")
    case = world.take("where is it")
    world.until(lambda: world.store.case(case).attempt > 0)
    world.fail_mails("")
    assert world.wait([case], ("closed",)) == ["closed"]
    assert len(mails_of(world, case)) == 1


def test_mail_refused_for_good_is_a_dead_letter_that_can_be_replayed(world: Any) -> None:
    world.fail_mails("refuse")
    case = world.take("where is it")
    assert world.wait([case]) == ["failed"]
    world.fail_mails("")
    world.actions.replay(case, Caller("anna"))
    assert world.wait([case], ("closed",)) == ["closed"]
    assert len(mails_of(world, case)) == 1


@pytest.mark.parametrize("settled", ["it happened", "it did not", "its sender is alive"])
def test_lost_answer_of_the_mail_server_is_in_doubt_until_settled(world: Any, settled: str) -> None:
    world.fail_mails("drop")
    case = world.take("where is it")
    assert world.wait([case]) == ["in_doubt"]
    world.fail_mails("")
    world.upkeep.run(datetime.now(UTC) + timedelta(minutes=5))
    assert world.statuses([case]) == ["in_doubt"]
    (row,) = world.desk.outbox.list("in_doubt", case)
    if settled == "its sender is alive":
        world.desk.outbox.resolve(row.key, True, "the sender")
        world.upkeep.run(datetime.now(UTC))
    else:
        world.actions.resolve(row.key, settled == "it happened", Caller("anna"))
    assert world.wait([case], ("closed",)) == ["closed"]
    assert len(mails_of(world, case)) == (2 if settled == "it did not" else 1)


def test_stored_mail_that_was_not_queued_is_found(world: Any) -> None:
    record, _ = world.store.receive(world.mail("where is it"))  # from a sender who is not verified
    world.upkeep.run(datetime.now(UTC))
    assert world.statuses([record.id]) == ["received"]  # it may be about to be queued
    world.upkeep.run(datetime.now(UTC) + timedelta(seconds=40))
    assert world.wait([record.id]) == ["waiting"]
    decide(world, record.id, "reject")  # or its deadline would end it in a later test


def test_workflow_database_has_no_text_of_a_mail_and_forgets_ended_workflows(world: Any) -> None:
    case = world.take("where is the secret parcel", sender="hidden@example.com")
    world.wait([case])
    world.until(world.idle)
    with closing(sqlite3.connect(world.folder / "workflows.sqlite")) as workflows:
        dump = "\n".join(workflows.iterdump())
    texts = [base64.b64decode(x) for x in re.findall(r"'([A-Za-z0-9+/]{16,}=*)'", dump)]
    recorded = b"\n".join([dump.encode(), *texts])
    assert case.encode() in recorded
    assert b"secret parcel" not in recorded and b"Dear customer" not in recorded
    hour = datetime.now(UTC).replace(minute=0) + timedelta(hours=1)
    world.upkeep.run(hour + timedelta(hours=22))
    assert world.queue.states([f"{case}-0"])
    world.upkeep.run(hour + timedelta(hours=24))
    assert not world.queue.states([f"{case}-0"])
    assert world.statuses([case]) == ["closed"]


def test_case_is_read_four_times_at_most_on_its_way_to_a_reply(world: Any) -> None:
    reads = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT") and "cases.mail" in statement:
            reads.append(statement)

    event.listen(world.desk.store.engine, "before_cursor_execute", count)
    event.listen(world.store.engine, "before_cursor_execute", count)
    case = world.take("where is it")
    world.until(world.idle)
    event.remove(world.desk.store.engine, "before_cursor_execute", count)
    event.remove(world.store.engine, "before_cursor_execute", count)
    assert world.statuses([case]) == ["closed"]
    assert 1 <= len(reads) <= 4


def test_mails_of_one_customer_are_handled_in_order(world: Any) -> None:
    cases = [world.take(f"pause 0.0{n % 3}", sender="bob@example.com") for n in range(9)]
    world.wait(cases)
    starts = [world.store.events(case)[0].at for case in cases]
    ends = [world.store.events(case)[-1].at for case in cases]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


def test_case_without_a_decision_of_a_person_cannot_act(world: Any) -> None:
    case = world.take("refund 300.00")
    world.wait([case])
    changed = {"status": "approved", "attempt": 9}
    world.queue.submit(world.store.case(case).model_copy(update=changed))
    assert world.wait([case], ("failed",)) == ["failed"]
    assert not mails_of(world, case)
