"""nano_workflow: mails to refunds, durable and with an approval, in one file of DBOS.

    python projects/agentic_workflow/nano.py                 # a demo with two SIGKILLs
    python projects/agentic_workflow/nano.py worker          # works through mails until Ctrl-C
    python projects/agentic_workflow/nano.py submit mail.eml
    python projects/agentic_workflow/nano.py approve ID 23.40      # or: approve ID no

A workflow is a function whose steps are recorded in a database. If its process dies, the next one
calls the function again, and each step that is recorded returns its recorded result instead of
running. So the workflow may wait for a person for days, in no process at all.

A step that ended without being recorded does run again. An effect on the world therefore needs a
receiver that recognizes a repetition: the payment API here books each idempotency key once. The key
is made from the mail, so the same mail that is submitted twice is refunded once.

The category is the nearest description, which is right for 46 % of the shipped English mails and
32 % of all, so it is a proposal only: a person types the amount, and without a person no refund is
booked. To let a model read the mail instead, call it in `read_mail`.
"""

from __future__ import annotations

import email
import hashlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing
from decimal import Decimal
from email import policy
from pathlib import Path
from typing import Any

import numpy as np
from dbos import DBOS, DBOSClient, run_dbos_database_migrations

# The only part that is not a library of the field: a model that runs here, without a key. Instead
# of it, write `OpenAIEmbeddings()` from `langchain_openai`.
from seedbed.models.embeddings.load_embeddings import load_embeddings

DATA = Path(os.environ.get("NANO_DATA", "var/nano_workflow"))
APPROVAL_SECONDS = 7 * 24 * 3600.0  # after which a mail without a decision is closed
MAX_REFUND = Decimal(1000)  # EUR
MAX_CHARACTERS = 4000  # of a mail; the rest is not read
SAMPLE = Path(__file__).parent / "src/agentic_workflow/sample/mails/05-billing-double-en.eml"

CATEGORIES = {
    "refund": "I returned goods or they arrived damaged, and I want my money back.",
    "shipping": "Where is my parcel? It is late, lost, or needs another address.",
    "billing": "A question about an invoice, a charge or a payment method.",
    "technical": "The product, the website or the app does not work; how do I use it?",
    "account": "Please change or delete my account, my data or my password.",
    "complaint": "I am angry about your service, and will go to a lawyer or the press.",
    "spam": "Advertising, prizes and offers that nobody asked for.",
    "other": "Something else, such as an automatic reply, thanks or a job application.",
}


# The steps' work, independent of workflows ------------------------------------------------------
def read_text(raw: bytes) -> str:
    """Subject and text of a mail. HTML and attachments are left unread."""
    message = email.message_from_bytes(raw, policy=policy.default)
    part = message.get_body(preferencelist=("plain",))
    try:
        text = str(part.get_content()) if part else ""
    except (LookupError, ValueError):  # an unknown charset, or one that the bytes do not match
        text = raw.decode("utf-8", errors="replace").partition("\n\n")[2]
    return f"Subject: {message['subject'] or ''}\n\n{text}"[:MAX_CHARACTERS]


def read_mail(raw: bytes) -> str:
    """The category of a mail: that of the nearest description."""
    embeddings = load_embeddings()
    vectors = np.array(embeddings.embed_documents(list(CATEGORIES.values())))
    nearest = int((vectors @ np.array(embeddings.embed_query(read_text(raw)))).argmax())
    return list(CATEGORIES)[nearest]


def parse_amount(text: str) -> Decimal | None:
    """An amount such as 23.40 or 23,40; None if it cannot be refunded."""
    if not re.fullmatch(r"\d{1,6}([.,]\d{1,2})?", text, re.ASCII):
        return None
    amount = Decimal(text.replace(",", ".")).quantize(Decimal("0.01"))
    return amount if 0 < amount <= MAX_REFUND else None


def refund_key(raw: bytes) -> str:
    """The idempotency key of the refund that a mail asks for: one mail, one refund."""
    return f"refund-{hashlib.sha256(raw).hexdigest()[:16]}"


class Payments:
    """The payment API of the demo, which books each idempotency key once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS bookings (key TEXT PRIMARY KEY, eur TEXT)")
            database.execute("CREATE TABLE IF NOT EXISTS calls (key TEXT)")

    def book(self, key: str, amount: str) -> None:
        with closing(sqlite3.connect(self.path)) as database, database:
            database.execute("INSERT INTO calls VALUES (?)", (key,))
            database.execute("INSERT OR IGNORE INTO bookings VALUES (?, ?)", (key, amount))
        time.sleep(float(os.environ.get("NANO_PAYMENT_SECONDS", "0")))  # until its response arrives

    def counts(self, key: str) -> tuple[int, int]:
        """How often the API was called with this key, and how often it booked."""
        with closing(sqlite3.connect(self.path)) as database:
            query = "SELECT count(*) FROM {} WHERE key = ?"
            calls, bookings = (
                database.execute(query.format(table), (key,)).fetchone()[0]
                for table in ("calls", "bookings")
            )
            return calls, bookings


# The workflow -----------------------------------------------------------------------------------
@DBOS.step()
def read(raw: bytes) -> str:
    return read_mail(raw)


@DBOS.step(retries_allowed=True, max_attempts=10)
def refund(key: str, amount: str) -> None:
    Payments(DATA / "payments.sqlite").book(key, amount)


@DBOS.workflow()
def handle_mail(raw: bytes) -> str:
    """Read, wait for a person, refund. Deterministic: everything that varies is in a step."""
    # 1. Read the mail, and show what was read.
    category = read(raw)
    DBOS.set_event("category", category)
    # 2. Wait for a person, who approves an amount or replies "no". Another reply decides nothing.
    amount = None
    while amount is None:
        decision = DBOS.recv("approval", timeout_seconds=APPROVAL_SECONDS)
        if decision is None:
            return f"{category}: closed without a decision"
        if decision == "no":
            return f"{category}: not approved"
        amount = parse_amount(decision)
    # 3. Refund. The key is the same after every crash, and if the mail is submitted again.
    refund(refund_key(raw), str(amount))
    return f"{category}: {amount} EUR refunded"


# Processes --------------------------------------------------------------------------------------
QUEUE = "mails"


def database_url() -> str:
    """SQLite in a file. With `postgresql://…`, workers on several machines share the mails."""
    DATA.mkdir(parents=True, exist_ok=True)
    return os.environ.get("NANO_DATABASE_URL", f"sqlite:///{DATA.resolve()}/workflows.sqlite")


def work() -> None:
    """Work until the process ends. On start, continues the workflows of a worker that died."""
    DBOS(
        config={
            "name": "help-desk",
            "system_database_url": database_url(),
            "application_version": "1",  # raise it when you change the order of steps
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=4)  # mails that one worker handles at a time
    print("working", flush=True)
    signal.pause()


def submit(client: DBOSClient, raw: bytes) -> str:
    """Queue a mail for the next worker; returns the id of its workflow."""
    handle: Any = client.enqueue({"queue_name": QUEUE, "workflow_name": "handle_mail"}, raw)
    return str(handle.workflow_id)


def demo(client: DBOSClient) -> None:
    """One refund, with a worker that is killed twice."""
    raw = f"X-Demo: {uuid.uuid4()}\n".encode() + SAMPLE.read_bytes()  # a new mail in each run
    payments, key = Payments(DATA / "payments.sqlite"), refund_key(raw)
    mail = submit(client, raw)
    worker = start_worker()
    print(f"1. A worker reads mail {mail}.")
    print(f"   Its category: {client.get_event(mail, 'category', timeout_seconds=120)}")
    kill(worker)
    print(
        "2. SIGKILL while it waits for approval. No process is left, and the mail is still there."
    )
    client.send(mail, "23.40", "approval")
    worker = start_worker(NANO_PAYMENT_SECONDS="600")
    while payments.counts(key) == (0, 0):
        time.sleep(0.05)
    kill(worker)
    print("3. 23.40 EUR approved. A second worker books it: SIGKILL before the step is recorded.")
    worker = start_worker()
    try:
        result: Any = client.retrieve_workflow(mail).get_result()
    finally:
        kill(worker)
    calls, bookings = payments.counts(key)
    print(f"4. A third worker ends it: {result}")
    print(f"   The payment API was called {calls} times and booked {bookings} time.")
    if bookings != 1:
        raise SystemExit("The refund was not booked exactly once.")


def start_worker(**variables: str) -> subprocess.Popen[bytes]:
    command, quiet = [sys.executable, __file__, "worker"], subprocess.DEVNULL
    return subprocess.Popen(command, env={**os.environ, **variables}, stdout=quiet, stderr=quiet)


def kill(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()


def main(arguments: list[str]) -> None:
    if arguments == ["worker"]:
        return work()
    run_dbos_database_migrations(system_database_url=database_url())  # creates the tables
    client = DBOSClient(system_database_url=database_url())
    match arguments:
        case []:
            demo(client)
        case ["submit", file]:
            mail = submit(client, Path(file).read_bytes())
            print(f"{mail} {client.get_event(mail, 'category', timeout_seconds=60) or 'is queued'}")
        case ["approve", mail, decision]:
            if decision != "no" and parse_amount(decision) is None:
                raise SystemExit(
                    f"{decision!r} is neither no nor an amount up to {MAX_REFUND} EUR."
                )
            client.send(mail, decision, "approval")
            print(client.retrieve_workflow(mail).get_result())
        case _:
            raise SystemExit("Usage: nano.py [worker | submit FILE | approve ID AMOUNT|no]")


if __name__ == "__main__":
    main(sys.argv[1:])
