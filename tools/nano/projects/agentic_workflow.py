"""Mails come in, a person decides, and a worker beside the server pays.

    curl -s http://127.0.0.1:8000/mails --data-binary @mail.eml        # its id and its category
    curl -s http://127.0.0.1:8000/mails/ID/decision -H 'content-type: application/json' \
      -d '{"decision": "23.40"}'                                       # or "no"
"""

import atexit
from typing import Annotated

from dbos import DBOSClient, run_dbos_database_migrations
from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from .app import database_url, kill, parse_amount, start_worker, submit


def add_routes(app: FastAPI) -> None:
    run_dbos_database_migrations(system_database_url=database_url())  # creates the tables
    client = DBOSClient(system_database_url=database_url())
    atexit.register(kill, start_worker())  # the next worker resumes its unfinished mails

    @app.post("/mails", status_code=202)
    async def add_mail(request: Request) -> dict[str, str]:
        mail = await run_in_threadpool(submit, client, await request.body())
        category = await run_in_threadpool(client.get_event, mail, "category", 60)
        return {"id": mail, "category": category or "not read yet"}

    @app.post("/mails/{mail}/decision")
    def decide(mail: str, decision: Annotated[str, Body(embed=True)]) -> str:
        if decision != "no" and parse_amount(decision) is None:
            raise HTTPException(400, f"{decision!r} is neither no nor a possible amount.")
        if not client.list_workflows(workflow_ids=[mail]):
            raise HTTPException(404, f"Unknown mail {mail!r}.")
        client.send(mail, decision, "approval")
        return str(client.retrieve_workflow(mail).get_result())
