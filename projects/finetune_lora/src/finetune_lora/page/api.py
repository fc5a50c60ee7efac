"""The HTTP API of `finetune-lora serve`: runs, their progress, and a question before and after.

Routes only: runs are read in `library`, questions answered in `playground`. It starts no training.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from finetune_lora import __version__
from finetune_lora.config import Config
from finetune_lora.page.library import Library
from finetune_lora.page.playground import MOST_CHARACTERS, SIDES, Playground
from finetune_lora.runs.run_folder import evaluate_command
from seedbed.errors import NotFound
from seedbed.server import service
from seedbed.server.service import CleanText
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
    from finetune_lora.page.page import build_page
    from seedbed.server import html, ui

    library, playground = Library(config.data_dir), playground or Playground()
    app = service.create_app(
        "finetune_lora",
        version=__version__,
        settings=settings,
        max_body_mb=1,
    )
    app.include_router(routes(library, playground))
    ui.mount(
        app, build_page(library, playground), path="/", extra_css=html.styles("finetune_lora.page")
    )
    return app


def routes(library: Library, playground: Playground) -> APIRouter:
    """Every route. A run of a sweep has a slash in its name; addresses take it as it is."""
    # Keys were checked before; this tells clients, in /openapi.json, that there may be some.
    router = APIRouter(prefix="/v1", dependencies=[Depends(HTTPBearer(auto_error=False))])
    _add_reading(router, library)

    @router.post("/runs/{name:path}/answer", response_model=BeforeAfter)
    def answer(name: CleanText, question: Question) -> Any:
        """Answer with the base model and with the run's adapter. The first request to a run loads
        its model, which takes a few seconds."""
        folder = library.adapter(name)
        sides = {side: playground.answer(folder, question.text, side) for side in SIDES}
        return {"run": name, **sides}

    @router.get("/runs/{name:path}")
    def get_run(name: CleanText) -> dict[str, Any]:
        """Return a run: arguments, state, latest figures, and its evaluation if there is one."""
        return {**library.run(name), "report": library.report(name)}

    return router


def _add_reading(router: APIRouter, library: Library) -> None:
    @router.get("/runs")
    def list_runs() -> list[dict[str, Any]]:
        """List all runs, newest first."""
        return library.runs()

    @router.get("/runs/{name:path}/progress")
    def get_progress(
        name: CleanText,
        after: Annotated[int, Query(ge=0, description="Return only steps after this one.")] = 0,
    ) -> dict[str, Any]:
        """Return the state and one record per step: loss, learning rate, tokens per second."""
        return {"state": library.run(name)["state"], "steps": library.progress(name, after)}

    @router.get("/runs/{name:path}/card", response_class=PlainTextResponse)
    def get_card(name: CleanText) -> PlainTextResponse:
        """Return the model card in the Hugging Face Hub's format, as plain text."""
        card = library.model_card(name)
        if card is None:
            raise NotFound(
                f"Run {name!r} has no model card yet.",
                hint=f"Create it with: {evaluate_command(library.folder(name))}",
            )
        return PlainTextResponse(card, media_type="text/plain; charset=utf-8")
