"""A Gradio page that is built when it is first opened, as its import takes seconds and memory.

mount_when_opened(app, lambda: build_page(gateway, keys, status))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from seedbed.server import ui

if TYPE_CHECKING:
    import gradio as gr


def mount_when_opened(
    app: FastAPI, build: Callable[[], gr.Blocks], *, extra_css: str = ""
) -> FastAPI:
    """Like `ui.mount` at "/", but `build` runs, in a thread, when the page is first opened.

    Importing Gradio takes seconds and some 150 MB, which this saves a server whose page is rarely
    opened. Until then, unknown addresses are a 404 in the app's error format. An error of `build`
    or of the page's start-up is a logged 500; the next request tries again. Call it after adding
    the app's own routes; `build` should import Gradio itself.
    """
    app.mount("/", ui.BehindApi(_WhenOpened(app, build, extra_css), app))
    return app


class _WhenOpened:
    """A page in an app of its own, which is created at the first request."""

    def __init__(self, app: FastAPI, build: Callable[[], gr.Blocks], extra_css: str) -> None:
        self._app, self._build, self._extra_css = app, build, extra_css
        self._lock = asyncio.Lock()
        self._page: FastAPI | None = None
        self._running: asyncio.Task[None] | None = None  # its lifespan, until the loop ends

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._lock:
            if self._page is None:
                if scope["path"] != "/":  # nothing of the page is needed before the page itself
                    raise HTTPException(404)
                page = await asyncio.to_thread(self._create)
                started = asyncio.get_running_loop().create_future()
                self._running = asyncio.create_task(self._run(page, started))
                await started  # raises what the start-up failed with; the next request tries again
                self._page = page
        await self._page(scope, receive, send)

    def _create(self) -> FastAPI:
        page = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        page.state.max_body = self._app.state.max_body
        return ui.mount(page, self._build(), extra_css=self._extra_css)

    async def _run(self, page: FastAPI, started: asyncio.Future[None]) -> None:
        try:
            async with page.router.lifespan_context(page):
                started.set_result(None)
                await asyncio.Event().wait()
        except Exception as error:
            if started.done():  # the page is ended with the loop
                raise
            started.set_exception(error)
