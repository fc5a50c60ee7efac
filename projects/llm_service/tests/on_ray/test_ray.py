"""Two replicas on a local Ray cluster, of which one is killed while it answers."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web

from llm_service.__main__ import main
from seedbed.testing.launch import free_port, new_database

pytest.importorskip("ray")
PATIENCE = 300  # seconds: on a busy machine the cluster alone takes minutes to start
CHUNK = 'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": %s}]}\n\n'
WHOLE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}


class Upstream:
    """Says "Hi", and ends an answer to "wait" only after `release`; knows its connections."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}  # the port of the replica's connection, by request
        self.release = asyncio.Event()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = body["messages"][0]["content"]
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        if body.get("stream"):
            await response.prepare(request)
            await response.write((CHUNK % "null").encode())
        if text.startswith("wait"):
            assert request.transport is not None
            self.waiting[text] = request.transport.get_extra_info("peername")[1]
            await self.release.wait()
        if not body.get("stream"):
            return web.json_response({"choices": [WHOLE]})
        await response.write((CHUNK % '"stop"' + "data: [DONE]\n\n").encode())
        return response


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE)
async def test_killed_replica_loses_only_what_it_was_answering(
    tmp_path: Any, postgres_server: Any, redis_url: str
) -> None:
    upstream, port = Upstream(), free_port()
    site = web.Application()
    site.router.add_post("/v1/chat/completions", upstream.chat)
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream_port = runner.addresses[0][1]
    models = tmp_path / "models.toml"
    models.write_text(
        f'[models.m]\nbackend = "openai"\nbase_url = "http://127.0.0.1:{upstream_port}/v1"\n'
    )
    env = {
        **os.environ,
        "SEEDBED_DATABASE_URL": new_database(postgres_server),
        "SERVICE_REDIS_URL": redis_url,
        "SERVICE_DATA_DIR": str(tmp_path),
        "SERVICE_MODELS": str(models),
        # A busy machine needs more than Ray's own seconds.
        "RAY_agent_register_timeout_ms": str(1000 * PATIENCE),
        "RAY_raylet_start_wait_time_s": str(PATIENCE),
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
    }
    cli = [sys.executable, "-m", "llm_service"]
    made = subprocess.run(
        [*cli, "keys", "create", "--name", "ann"], env=env, capture_output=True, check=True
    )
    headers = {"authorization": f"Bearer {made.stdout.decode().strip()}"}
    command = [*cli, "ray", "--replicas", "2", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(*command, env=env, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        started = b""
        while b"Replicas: 2" not in started:
            line = await process.stderr.readline()
            assert line, started.decode()
            started += line
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as client:

            async def ask(text: str, *, stream: bool) -> bool:
                """Whether the answer came whole."""
                body = {"messages": [{"role": "user", "content": text}], "stream": stream}
                try:
                    async with client.post("/v1/chat/completions", json=body) as response:
                        end = b"[DONE]" if stream else b'"finish_reason":"stop"'
                        return response.status == 200 and end in await response.read()
                except aiohttp.ClientError:
                    return False

            # 1. Both replicas are answering, in streams and not.
            asked = {
                f"wait {n}": asyncio.create_task(ask(f"wait {n}", stream=n % 2 == 0))
                for n in range(20)
            }
            async with asyncio.timeout(PATIENCE):
                while len(upstream.waiting) < len(asked):
                    await asyncio.sleep(0.05)
            replicas = {
                connection.laddr.port: connection.pid
                for connection in psutil.net_connections("tcp4")
                if connection.raddr and connection.raddr.port == upstream_port
            }
            by_replica = {text: replicas[place] for text, place in upstream.waiting.items()}
            assert len(set(by_replica.values())) == 2
            # 2. One is killed; what is asked from that moment on is answered by the other.
            victim = by_replica["wait 0"]
            os.kill(victim, signal.SIGKILL)
            later = await asyncio.gather(*[ask("later", stream=n % 2 == 0) for n in range(60)])
            assert all(later)
            # 3. Only what the victim was answering is lost.
            upstream.release.set()
            answered = {text: await task for text, task in asked.items()}
            assert answered == {text: pid != victim for text, pid in by_replica.items()}
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), PATIENCE)
        await runner.cleanup()
    assert process.returncode == 0


def test_replicas_need_a_shared_database(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("SEEDBED_DATABASE_URL", raising=False)
    with pytest.raises(SystemExit) as end:
        main(["ray"])
    assert end.value.code == 2 and "Set SEEDBED_DATABASE_URL" in capsys.readouterr().err
