"""Helpers that start servers in tests: ports, ASGI applications, commands."""

import pytest

from seedbed.testing.launch import serve_app


def test_serve_app_raises_if_startup_fails():
    async def broken(_, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no such setting"})

    pytest.importorskip("uvicorn")
    with pytest.raises(RuntimeError, match="did not start"), serve_app(broken):
        pass
