"""The HTTP API of `finetune-lora serve`: runs, their progress, and a question before and after.

It starts no training: that is up to the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from finetune_lora import __version__
from finetune_lora.config import Config
from finetune_lora.page.playground import MOST_CHARACTERS, SIDES, Playground
from finetune_lora.runs.run_folder import (
    evaluate_command,
    find_run,
    list_runs,
    read_progress,
    read_report,
)
from seedbed.errors import NotFound
from seedbed.server import service
from seedbed.server.service import CleanText, ErrorResponse
from seedbed.settings import Settings


class Question(BaseModel):
    """A user's request, without the system prompt."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "I forgot my vpn password, user anna.k"}]}
    )

    text: CleanText = Field(min_length=1, max_length=MOST_CHARACTERS)


class Answer(BaseModel):
    """An answer: with `scores` for labels, with `call` and `problems` for tool calls."""

    text: str
    seconds: float
    scores: dict[str, float] | None
    call: dict[str, Any] | None
    problems: list[str] | None = Field(
        description="Schema violations: empty if valid, null without a schema."
    )


class BeforeAfter(BaseModel):
    """The base model's answer, and the same model's with the adapter."""

    run: str
    before: Answer
    after: Answer


def create_app(
    config: Config, settings: Settings | None = None, *, playground: Playground | None = None
) -> FastAPI:
    """The FastAPI application over the runs of `config.data_dir`, page included."""
    from finetune_lora.page.page import STYLES, build_page
    from seedbed.server import ui

    playground = playground or Playground()
    app = service.create_app(
        "finetune_lora",
        version=__version__,
        settings=settings,
        max_body_mb=1,
    )
    app.include_router(routes(config.data_dir, playground))
    ui.mount(app, build_page(config.data_dir, playground), path="/", extra_css=STYLES)
    return app


def routes(data_dir: Path, playground: Playground) -> APIRouter:
    """Every route. The name of a run of a grid contains a slash."""
    # Documents API keys in /openapi.json; the service checks them before any route.
    router = APIRouter(
        prefix="/v1",
        dependencies=[Depends(HTTPBearer(auto_error=False))],
        responses={
            "4XX": {"model": ErrorResponse, "description": "`error.type` names the reason"},
            "5XX": {"model": ErrorResponse, "description": "Unavailable; retry later"},
        },
    )
    _add_reading(router, data_dir)

    @router.post("/runs/{name:path}/answer", response_model=BeforeAfter)
    def answer(name: CleanText, question: Question) -> Any:
        """Answer with the base model and with the run's adapter. The first request to a run loads
        its model, which takes a few seconds."""
        folder = Path(find_run(data_dir, name, adapter=True)["folder"])
        sides = {side: playground.answer(folder, question.text, side) for side in SIDES}
        return {"run": name, **sides}

    @router.get("/runs/{name:path}")
    def get_run(name: CleanText) -> dict[str, Any]:
        """Return a run: arguments, state, latest figures, and its evaluation if there is one."""
        run = find_run(data_dir, name)
        return {**run, "report": read_report(Path(run["folder"]))}

    return router


def _add_reading(router: APIRouter, data_dir: Path) -> None:
    @router.get("/runs")
    def get_runs() -> list[dict[str, Any]]:
        """List all runs, newest first."""
        return list_runs(data_dir)

    @router.get("/runs/{name:path}/progress")
    def get_progress(
        name: CleanText,
        after: Annotated[int, Query(ge=0, description="Return only steps after this one.")] = 0,
    ) -> dict[str, Any]:
        """Return the state and one record per step: loss, learning rate, tokens per second."""
        run = find_run(data_dir, name)
        steps = [line for line in read_progress(Path(run["folder"])) if line["step"] > after]
        return {"state": run["state"], "steps": steps}

    @router.get("/runs/{name:path}/card", response_class=PlainTextResponse)
    def get_card(name: CleanText) -> PlainTextResponse:
        """Return the model card in the Hugging Face Hub's format, as plain text."""
        folder = Path(find_run(data_dir, name)["folder"])
        card = folder / "README.md"
        if not card.exists():
            raise NotFound(
                f"Run {name!r} has no model card yet.",
                hint=f"Create it with: {evaluate_command(folder)}",
            )
        text = card.read_text("utf-8", errors="replace")
        return PlainTextResponse(text, media_type="text/plain; charset=utf-8")
