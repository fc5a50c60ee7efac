"""Mounts a Gradio page in a FastAPI app, with the theme that the projects share.

    with gr.Blocks(title="Rivers") as blocks:
        ...
    ui.mount(app, blocks)  # after the app's own routes

The page works offline (system fonts, no CDN, no analytics) and may contact its own server only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedbed.observe.logs_and_traces import requester, silence_dependencies
from seedbed.server.middleware import METHODS
from seedbed.server.page import add_parts

if TYPE_CHECKING:
    import gradio as gr

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_MONO = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

# The page may load from and connect to its own server only: a model that was tricked into showing
# an image from elsewhere cannot leak a conversation through the image's address.
_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
CSS = """
.gradio-container {
  max-width: 76rem !important; margin: 0 auto !important; padding: 1rem !important;
}
.gradio-container, .gradio-container > .main { width: 100%; }
.gradio-container > .main { padding: 0 !important; }
.gradio-container .prose, .gradio-container .message { line-height: 1.6; max-width: 46rem; }
.gradio-container .prose h1 { font-size: 1.5rem; font-weight: 650; letter-spacing: -0.01em; }
.gradio-container .muted, .gradio-container .muted * { color: var(--body-text-color-subdued); }
.gradio-container mark { background: #fde68a; color: #1c1917; border-radius: 3px; padding: 0 2px; }
.dark .gradio-container mark, .gradio-container.dark mark { background: #854d0e; color: #fef9c3; }
.gradio-container .hint { color: var(--body-text-color-subdued); margin: 0.4rem 0; }
.gradio-container .error { color: #b91c1c; overflow-wrap: anywhere; margin: 0.4rem 0; }
.dark .gradio-container .error, .gradio-container.dark .error { color: #fca5a5; }
.gradio-container .scroll { overflow-x: auto; }
.gradio-container .scroll th { text-align: left; }
.gradio-container .badge {
  display: inline-block; padding: 0.1rem 0.55rem; border: 1px solid currentColor;
  border-radius: 999px; font-size: 0.82em; white-space: nowrap;
  color: var(--body-text-color-subdued);
}
.gradio-container :focus-visible { outline: 2px solid var(--color-accent); outline-offset: 2px; }
"""
"""The common styles: line length, `mark` for quotes, and the pieces of `server.html`."""


# Shows who is signed in, on the pages of a server with sign-in.
_SIGN_IN = """<script type="module">
import { watchSession } from "/page/sign-in.js";
watchSession();
</script>"""


def theme() -> gr.Theme:
    """The common Gradio theme: neutral colors, one green accent, system fonts, light and dark."""
    silence_dependencies()
    import gradio as gr

    return gr.themes.Soft(
        primary_hue="emerald",
        secondary_hue="emerald",
        neutral_hue="stone",
        radius_size="md",
        font=_SANS,
        font_mono=_MONO,
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_shadow="none",
        block_border_width="1px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_shadow="none",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_padding="0px",
        block_title_text_color="*neutral_600",
        block_title_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_500",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_600",
        input_shadow="none",
        checkbox_border_color="*neutral_400",
        checkbox_border_color_dark="*neutral_500",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
    )


def mount(app: FastAPI, blocks: gr.Blocks, path: str = "/", *, extra_css: str = "") -> FastAPI:
    """Serve a Gradio page from the app at `path`, and return the app.

    `extra_css` is added to the page's styles. Eight of the page's functions run at a time; 64 more
    may wait.

    Call it after adding the app's own routes: later ones at the same path are never reached.
    Unknown addresses under /v1 remain 404 in the app's error format. Uploads have the size limit of
    the app's other requests, and no client can download them: the page serves no files. An
    exception in a function of the page is shown as "Error" without details; raise `gr.Error` for a
    message.
    """
    silence_dependencies()
    import gradio as gr

    if app.state.access.sign_in:
        add_parts(app)
    # 1. Let Gradio add the page to the app, with everything off that contacts other servers.
    blocks.queue(default_concurrency_limit=8, max_size=64)
    gr.mount_gradio_app(
        app,
        blocks,
        path,
        theme=theme(),
        css=CSS + extra_css,
        footer_links=[],
        run_history=False,
        show_error=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        head=_SIGN_IN if app.state.access.sign_in else None,
        max_file_size=app.state.max_body,
    )
    # 2. Make Gradio check that a file that a client names was uploaded. By default it does so only
    # in a page that it launched itself; in a mounted page any file could be read (6.31).
    blocks.has_launched = True
    # 3. Let the functions of the page act for the caller of the request, which waited in a queue.
    call = blocks.call_function

    async def call_for_caller(
        function: Any, inputs: Any, iterator: Any = None, requests: Any = None, *more: Any
    ) -> Any:
        request = requests[0] if isinstance(requests, list) else requests
        scope = getattr(getattr(request, "request", None), "scope", {})
        token = requester.set(scope.get("state", {}).get("requester"))
        try:
            return await call(function, inputs, iterator, requests, *more)
        finally:
            requester.reset(token)

    blocks.call_function = call_for_caller  # type: ignore[method-assign,assignment]
    # 4. Put the app's API in front of the page.
    route = app.router.routes[-1]
    if not isinstance(route, Mount):
        raise RuntimeError("Gradio no longer mounts its page as the last route.")
    route.app = BehindApi(route.app, app)
    return app


def take_uploads(files: Iterable[str] | None) -> list[tuple[str, bytes]]:
    """Return name and content of each uploaded file, and delete it.

    Files that an earlier event has already taken are skipped.
    """
    uploads = []
    for file in map(Path, files or ()):
        if file.exists():
            uploads.append((file.name, file.read_bytes()))
            file.unlink(missing_ok=True)
    return uploads


class BehindApi:
    """Answers /v1 with the app's own 404 and 405, and Gradio's file downloads with 404."""

    def __init__(self, page: ASGIApp, app: FastAPI) -> None:
        self.page = page
        self.routes = app.router.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_page(scope):
            raise HTTPException(404)
        scope["seedbed.route"] = "page"

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["content-security-policy"] = _POLICY
            await send(message)

        await self.page(scope, receive, send_with_policy)

    def _has_route(self, scope: Scope, method: str) -> bool:
        routes = (route for route in self.routes if not isinstance(route, Mount))
        return any(r.matches({**scope, "method": method})[0] is Match.FULL for r in routes)

    def _is_page(self, scope: Scope) -> bool:
        # Gradio would send an uploaded file to any caller with its path.
        if "/gradio_api/file" in scope["path"]:
            return False
        if scope["path"].startswith("/v1/") or scope["path"] == "/v1":
            # Of several routes at a path, Starlette's own 405 lists the methods of the first only.
            if methods := [method for method in METHODS if self._has_route(scope, method)]:
                raise HTTPException(405, headers={"Allow": ", ".join(methods)})
            return False
        return True
