"""Helpers that start servers in tests: ports, ASGI applications, commands."""

import sys

import pytest

from seedbed.testing.launch import free_port, run_server, serve_app


def test_serve_app_raises_if_startup_fails():
    async def broken(_, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no such setting"})

    with pytest.raises(RuntimeError, match="did not start"), serve_app(broken):
        pass


def test_run_server_reports_the_output_of_a_failed_server():
    with (
        pytest.raises(RuntimeError, match="no such setting"),
        run_server([sys.executable, "-c", "raise SystemExit('no such setting')"], free_port()),
    ):
        pass
