"""The process under load: killed, told to end, and without disk."""

import asyncio
import contextlib
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from service_fakes import Running, run_service, run_stubs
from stub_upstream import Stub

TABLE = """
[models.stub]
backend = "openai"
base_url = "{url}"
model = "stub"
"""
HELLO = [{"role": "user", "content": "hello"}]
CLIENT = httpx.Client(trust_env=False, timeout=30)
WINDOW = 0.25  # seconds of records that a SIGKILL may lose, as accounting states


def ask(running: Running) -> httpx.Response:
    body = {"model": "stub", "messages": HELLO}
    return CLIENT.post(f"{running.url}/v1/chat/completions", json=body)


def outcomes(folder: Path) -> list[tuple[str, str]]:
    """(request id, outcome) of all that is in the books."""
    with contextlib.closing(sqlite3.connect(folder / "service.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return database.execute("SELECT request_id, outcome FROM usage").fetchall()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not true():
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_a_kill_under_load_loses_no_more_than_the_window(tmp_path: Path) -> None:
    """Every answer of which the client had the end 0.25 s (and a write) before is in the books."""
    ended: dict[str, float] = {}
    due: set[str] = set()
    calm_since = time.monotonic()

    def calm() -> bool:
        """Whether that was so at every look for 1.5 s, which a busy machine may be late for."""
        nonlocal due, calm_since
        now = time.monotonic()
        due = {request for request, at in ended.items() if at < now - WINDOW - 0.5}
        if len(due) < 30 or not due <= {request for request, _ in outcomes(tmp_path)}:
            calm_since = now
        return now - calm_since > 1.5

    async def user(client: httpx.AsyncClient, url: str) -> None:
        with contextlib.suppress(httpx.HTTPError):
            while True:
                answer = await client.post(url, json={"model": "stub", "messages": HELLO})
                ended[answer.headers["x-request-id"]] = time.monotonic()

    with run_stubs(Stub(first_token=0.02)) as (url,):
        table = TABLE.format(url=url)
        with run_service(tmp_path, table) as running:
            async with httpx.AsyncClient(trust_env=False) as client:
                address = f"{running.url}/v1/chat/completions"
                users = [asyncio.create_task(user(client, address)) for _ in range(8)]
                await until(calm)
                running.process.kill()
                await asyncio.gather(*users)
            running.process.wait()
        kept = {request for request, _ in outcomes(tmp_path)}
        assert due <= kept
        with run_service(tmp_path, table) as running:
            assert ask(running).status_code == 200
        assert len(outcomes(tmp_path)) == len(kept) + 1


@pytest.mark.slow
async def test_all_streams_end_properly_when_told_to_end(tmp_path: Path) -> None:
    stub = Stub(tokens=30, between=1.0)

    async def stream(client: httpx.AsyncClient, url: str) -> str:
        return (await client.post(url, json=body)).text

    body = {"model": "stub", "messages": HELLO, "stream": True}
    with run_stubs(stub) as (url,), run_service(tmp_path, TABLE.format(url=url)) as running:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            address = f"{running.url}/v1/chat/completions"
            streams = [asyncio.create_task(stream(client, address)) for _ in range(20)]
            await until(lambda: stub.open == 20)
            running.process.terminate()
            await until(lambda: CLIENT.get(f"{running.url}/readyz").status_code == 503)
            refused = await client.post(address, json=body)
            assert refused.status_code == 503
            assert "shutting down" in refused.json()["error"]["message"]
            assert (await client.get(f"{running.url}/healthz")).status_code == 200
            stub.between = 0  # the rest comes at once
            answers = await asyncio.gather(*streams)
        assert all(text.endswith("data: [DONE]\n\n") for text in answers)
        assert all(text.count('"content":') == 31 for text in answers)
        assert await asyncio.to_thread(running.process.wait, 30) == 0
    assert [outcome for _, outcome in outcomes(tmp_path)] == ["ok"] * 20


def _works(*command: str) -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True).returncode == 0
    return False


@pytest.mark.slow
async def test_a_full_disk_stops_no_request_and_loses_no_record(tmp_path: Path) -> None:
    """Its data are on a small tmpfs that only it sees; the test reaches it through /proc."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    script = f'mount -t tmpfs -o size=3m tmpfs {mounted} && exec "$@"'
    if not _works("unshare", "-rm", "sh", "-c", script, "sh", "true"):
        pytest.skip("needs user namespaces")
    models = tmp_path / "models.toml"
    with run_stubs(Stub()) as (url,):
        models.write_text(TABLE.format(url=url))
        wrapper = ["unshare", "-rm", "sh", "-c", script, "sh"]
        with run_service(
            tmp_path, wrapper=wrapper, SERVICE_DATA_DIR=str(mounted), SERVICE_MODELS=str(models)
        ) as running:
            filler = Path(f"/proc/{running.process.pid}/root{mounted}/filler")
            assert ask(running).status_code == 200
            await until(lambda: written(running) == 1)
            _fill(filler)
            # What is in its files already still has room in their last blocks.
            asked = 1
            while "llm_accounting_failed_writes 0.0" in metrics(running) and asked < 3000:
                assert ask(running).status_code == 200
                asked += 1
            assert "llm_accounting_failed_writes 0.0" not in metrics(running)
            for _ in range(10):
                assert ask(running).status_code == 200
            filler.unlink()
            await until(lambda: "llm_accounting_pending 0.0" in metrics(running))
            assert written(running) == asked + 10


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def written(running: Running) -> int:
    rows = CLIENT.get(f"{running.url}/admin/usage").json()["rows"]
    return sum(row["n"] for row in rows)


def metrics(running: Running) -> str:
    return CLIENT.get(f"{running.url}/metrics").text
