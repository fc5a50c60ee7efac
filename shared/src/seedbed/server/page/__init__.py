"""The parts of a static page: an ES module, styles, Markdown; no build step, nothing inline.

    add_parts(app)
    app.get("/")(lambda: page_response(html))

The page loads `/page/parts.css` and a script of its own, which imports `/page/parts.js`.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse

_FOLDER = Path(__file__).parent
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css"}
# The page may load from and send to its own server only, and nothing that is written into it runs:
# a text that escaped the sanitizer would still be no script.
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'; "
    "require-trusted-types-for 'script'; trusted-types dompurify",
    "x-content-type-options": "nosniff",
    "x-dns-prefetch-control": "off",  # links in a text would otherwise be looked up
    "referrer-policy": "same-origin",
}


def page_response(html: str, status: int = 200) -> HTMLResponse:
    """The response with a page, under a policy that forbids everything from elsewhere."""
    return HTMLResponse(html, status, _HEADERS)


def add_parts(app: FastAPI) -> None:
    """Serve the parts at `/page/`."""

    files = {file for file in _FOLDER.rglob("*") if file.suffix in _TYPES}

    @app.get("/page/{name:path}", include_in_schema=False)
    def part(name: str) -> FileResponse:
        path = _FOLDER / name
        if path not in files:
            raise HTTPException(404)
        headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
        return FileResponse(path, media_type=_TYPES[path.suffix], headers=headers)
