"""Request and response bodies of the HTTP API, with the examples in its OpenAPI document.

For example, `DecisionRequest(decision="approve")` is the body of `POST /v1/cases/{id}/decision`.
What is stored is returned as the store's own values (`CaseSummary`, `CaseRecord`, `Statistics`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from agentic_workflow.store.case import Status
from agentic_workflow.store.records import Approval, CaseRecord, CaseSummary, Event, Verdict
from seedbed.server.service import CleanText

Text = Annotated[CleanText, Field(max_length=50_000)]


def _example(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [example]})


class ErrorDetail(BaseModel):
    type: str = Field(description="Machine-readable kind of the error, e.g. `not_found`.")
    message: str = Field(description="What went wrong, and what to do about it.")
    request_id: str = Field(description="Also in the `X-Request-Id` header and in the log.")


class ErrorResponse(BaseModel):
    error: ErrorDetail


_ERROR_STATUS = {
    400: "The request is invalid",
    401: "Missing or invalid API key",
    403: "This key may not approve cases",
    404: "It does not exist",
    409: "Another person was first, or the state does not permit it",
    413: "The mail is larger than 25 MB",
    429: "Too many requests; retry after the seconds in `Retry-After`",
    503: "The database is unavailable",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text} for status, text in _ERROR_STATUS.items()
} | {"default": {"model": ErrorResponse, "description": "Any other error"}}
MAIL_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "message/rfc822": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            },
        },
    }
}


class CaseState(BaseModel):
    model_config = _example({"id": "c6d56b9038d5e60c", "status": "received"})

    id: str = Field(description="The same for every copy of a mail.")
    status: Status


class CaseList(BaseModel):
    cases: list[CaseSummary] = Field(description="The newest first.")
    next: int | None = Field(description="Value of `before` for the next page; null at the end.")


class Effect(BaseModel):
    key: str = Field(description="Message-ID, action and revision: the same for every attempt.")
    case_id: str
    action: str
    receiver: str
    payload: dict[str, Any]
    status: str
    attempts: int
    error: str
    receipt: str
    executor: str
    claimed_at: datetime | None
    done_at: datetime | None


class CaseDetails(BaseModel):
    case: CaseRecord
    timeline: list[Event] = Field(description="The oldest first.")
    approval: Approval | None
    effects: list[Effect]


class Inbox(BaseModel):
    waiting: list[CaseSummary] = Field(description="For approval; the first deadline first.")
    in_doubt: list[CaseSummary] = Field(description="A mail or refund may have happened or not.")
    failed: list[CaseSummary] = Field(description="Dead letters.")
    switches: dict[str, bool]


class DecisionRequest(BaseModel):
    model_config = _example({"decision": "approve", "comment": "Checked with the warehouse."})

    decision: Verdict
    subject: Text | None = Field(None, description="Replaces the draft's.")
    body: Text | None = Field(None, description="Replaces the draft's.")
    comment: Text = Field("", description="With `ask`: the question to the sender.")


class ResolveRequest(BaseModel):
    model_config = _example({"happened": True})

    happened: bool = Field(description="What you found out; if false, it is tried again.")


class SwitchRequest(BaseModel):
    model_config = _example({"name": "stopped", "on": True})

    name: CleanText = Field(description="`stopped`: no effects. `dry_run`: recorded, not done.")
    on: bool


class PolicyInfo(BaseModel):
    version: str
    problem: str = Field(description="Why the changed file is not in force; empty if it is.")
    policy: dict[str, Any] = Field(description="Rules, limits and deadlines in force.")


class SimulateRequest(BaseModel):
    policy: Text = Field(description="Content of the changed policy file (TOML).")
