"""The process under load: killed, told to end, without disk, with a clock that goes back, and with
a thousand connections that say nothing.
"""

import asyncio
import contextlib
import socket
import sqlite3
import subprocess
import textwrap
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
price_in = 0.0
price_out = 1000.0
"""
HELLO = [{"role": "user", "content": "hello"}]
CLIENT = httpx.Client(trust_env=False, timeout=30)
pytestmark = pytest.mark.timeout(180)  # services start, some of them twice
WINDOW = 0.25  # seconds of records that a SIGKILL may take along, as accounting states


def ask(running: Running, key: str = "", **body: object) -> httpx.Response:
    given = {"model": "stub", "messages": HELLO, **body}
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return CLIENT.post(f"{running.url}/v1/chat/completions", json=given, headers=headers)


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
async def test_a_kill_takes_the_model_process_along(tmp_path: Path) -> None:
    with run_service(tmp_path) as running:
        (worker,) = _children(running.process.pid)
        running.process.kill()
        running.process.wait()
        await until(lambda: not Path(f"/proc/{worker}").exists() or _is_zombie(worker))
        assert not Path(f"/proc/{worker}").exists() or _is_zombie(worker)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    if not found.exists():
        pytest.skip("needs Linux's list of child processes")
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for listed in threads for child in listed.read_text().split()]


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    return True


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


@pytest.mark.slow
async def test_a_thousand_idle_connections_keep_nobody_from_being_served(tmp_path: Path) -> None:
    def few_files() -> list[str]:
        return ["prlimit", "--nofile=900:"] if _works("prlimit", "--version") else []

    with (
        run_stubs(Stub()) as (url,),
        run_service(tmp_path, TABLE.format(url=url), wrapper=few_files()) as running,
    ):
        _allow_files(2500)
        for _ in range(3):  # a busy machine may need another go
            began = time.monotonic()
            with contextlib.ExitStack() as stack:
                for n in range(1000):
                    idle = socket.create_connection(("127.0.0.1", running.port))
                    stack.enter_context(idle)
                    if n % 2:
                        idle.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localh")
                for _ in range(20):
                    assert ask(running).status_code == 200
                in_time = time.monotonic() - began < 9  # before those are given up
                if in_time:
                    running.process.terminate()  # nor do they hold up its end
                    assert await asyncio.to_thread(running.process.wait, 25) == 0
                    break
        assert in_time


def _works(*command: str) -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True).returncode == 0
    return False


def _allow_files(count: int) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


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


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
static volatile long *shift;
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    if (!shift) {
        int file = open(getenv("CLOCK_SHIFT"), O_RDONLY);
        shift = mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0);
    }
    int found = real(id, t);
    if (id == CLOCK_REALTIME) t->tv_sec += *shift;
    return found;
}
"""


@pytest.mark.slow
async def test_a_clock_that_goes_back_gives_no_budget_or_minute_anew(tmp_path: Path) -> None:
    """By a library that shifts the wall clock of the service alone, and while it runs."""
    source, library, shift = (tmp_path / name for name in ("clock.c", "clock.so", "shift"))
    source.write_text(textwrap.dedent(CLOCK))
    if not _works("cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"):
        pytest.skip("needs a C compiler")

    def set_back(seconds: int) -> None:
        """To the beginning of a minute, because limits reset with the next one."""
        seconds += int(time.time()) % 60
        with shift.open("r+b") as file:
            file.write((-seconds).to_bytes(8, "little", signed=True))

    shift.write_bytes(bytes(4096))
    env = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)}
    with run_stubs(Stub(tokens=10)) as (url,):
        with run_service(tmp_path, TABLE.format(url=url), **env) as running:
            poor = running.make_key("poor", "--budget-usd", "0.015")
            operator = running.make_key("operator", "--scope", "admin")
            three = running.make_key("three", "--rpm", "3", "--expires", "2050-01-01")
            set_back(0)
            assert ask(running, poor, max_tokens=10).status_code == 200
            assert [ask(running, three).status_code for _ in range(4)] == [200] * 3 + [429]
            for seconds in (3600, 40 * 86400):
                set_back(seconds)
                assert ask(running, poor, max_tokens=10).status_code == 429
                again = [ask(running, three).status_code for _ in range(4)]
                assert again.count(200) <= 3
                assert ask(running, three).status_code == 429
                assert ask(running, poor, max_tokens=1).status_code == 200  # it has 0.005 left
            await until(lambda: "llm_accounting_pending 0.0" in metrics_of(running, operator))
        with run_service(tmp_path, TABLE.format(url=url), **env) as running:
            assert ask(running, poor, max_tokens=10).status_code == 429


def metrics_of(running: Running, key: str) -> str:
    return CLIENT.get(f"{running.url}/metrics", headers={"authorization": f"Bearer {key}"}).text
