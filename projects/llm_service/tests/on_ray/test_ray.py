"""Ray Serve with two nodes on this machine: who answers, and what the loss of a node costs."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from llm_service.__main__ import main
from llm_service.config import Config
from llm_service.on_ray import app as ray_app
from llm_service.on_ray.backend import RayBackend
from llm_service.on_ray.parts import batched
from llm_service.request import Ask, Backend, Delta, Embedded, Event, Finish, Load, Usage
from seedbed.errors import BadInput, Busy, ConfigError, SeedbedError, Unavailable
from seedbed.settings import Settings

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")

PAUSE = 0.03  # between two words
# Seconds. Where other programs take both cores, the cluster alone needs three minutes to start.
PATIENCE = 300
# Long enough to have blocks that the affinity knows.
PREFIX = "You answer the questions of a library's visitors, briefly and in a kind voice. " * 8


class Fake:
    """A model that counts aloud; the last user message says what else it should do."""

    name = "fake"

    def __init__(self) -> None:
        self.load = Load()
        self.cancelled = 0

    async def generate(self, ask: Ask) -> AsyncIterator[Event]:
        text = ask.body["messages"][-1]["content"]
        if text.endswith("fail"):
            raise BadInput("No.", hint="Say something else.")
        if text.endswith("busy"):
            raise Busy("Full.", retry_after=7)
        words = [f"w{i} " for i in range(ask.body.get("max_tokens", 5))]
        if "where" in text:
            words = [f"{ray.get_runtime_context().get_node_id()} {os.getpid()}"]
        if "slow" in text:
            await asyncio.sleep(1)
        if "cancelled" in text:
            words = [f"{os.getpid()} {self.cancelled}"]
        try:
            for word in words:
                await asyncio.sleep(PAUSE)
                yield Delta(word)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        yield Finish("stop")
        yield Usage(len(text), len(words))

    async def embed(self, ask: Ask) -> Embedded:
        return Embedded([[1.0, 2.0]] * len(ask.body["input"]), 3)

    async def check(self) -> None:
        return None

    async def close(self) -> None:
        return None


def make_fake(*_: Any) -> Backend:
    return Fake()


def make_app(*given: Any) -> Starlette:
    """A gateway of three routes, with the events as lines of JSON."""
    backends: Mapping[str, Backend] = given[-1]
    backend = backends["fake"]
    assert isinstance(backend, RayBackend)

    async def lines(ask: Ask) -> AsyncIterator[str]:
        try:
            async with contextlib.aclosing(backend.generate(ask)) as events:
                async for event in events:
                    yield json.dumps([type(event).__name__, getattr(event, "text", "")]) + "\n"
        except SeedbedError as error:
            found = [error.status, str(error), error.retry_after]
            yield json.dumps(["error", found]) + "\n"

    async def generate(request: Request) -> StreamingResponse:
        body = await request.json()
        stream = body.pop("stream", False)
        return StreamingResponse(lines(Ask("chat", "fake", body, stream=stream)))

    async def embed(request: Request) -> JSONResponse:
        found = await backend.embed(Ask("embedding", "fake", await request.json()))
        return JSONResponse(found.vectors)

    async def state(_: Request) -> JSONResponse:
        node = ray.get_runtime_context().get_node_id()
        return JSONResponse({"lost": backend.lost, "running": backend.load.running, "node": node})

    return Starlette(
        routes=[
            Route("/generate", generate, methods=["POST"]),
            Route("/embed", embed, methods=["POST"]),
            Route("/state", state),
        ]
    )


class Client:
    def __init__(self, url: str, cluster: Any) -> None:
        self.url = url
        self.cluster = cluster

    async def answer(self, text: str, **body: Any) -> str:
        """The text of an answer that ended well."""
        events = await self.events(text, **body)
        assert [event[0] for event in events[-2:]] == ["Finish", "Usage"], events
        return "".join(event[1] for event in events[:-2])

    async def where(self, text: str = "") -> tuple[str, int]:
        """The node and the process that answer."""
        node, process = (await self.answer(f"{text} where")).split()
        return node, int(process)

    async def events(self, text: str, **body: Any) -> list[Any]:
        body["messages"] = [{"role": "user", "content": text}]
        async with aiohttp.request("POST", f"{self.url}/generate", json=body) as response:
            assert response.status == 200, await response.text()
            return [json.loads(line) async for line in response.content]

    async def get(self, path: str) -> Any:
        async with aiohttp.request("GET", self.url + path) as response:
            assert response.status == 200, await response.text()
            return await response.json()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A cluster of two nodes with room for one replica each."""
    from ray import serve
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    folder = tmp_path_factory.mktemp("ray")
    table = folder / "models.toml"
    table.write_text('[models.fake]\nbackend = "local"\n')
    config = Config(models=table, data_dir=folder, max_running=8, max_queue=10)
    with contextlib.ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for check in ("READY", "HEALTH"):  # a busy machine needs more than Serve's 5 and 10 s
            environment.setenv(f"RAY_SERVE_PROXY_{check}_CHECK_TIMEOUT_S", "60")
        cluster = Cluster(
            head_node_args={"num_cpus": 1, "include_dashboard": False}, initialize_head=True
        )
        stack.callback(cluster.shutdown)
        cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        stack.callback(ray.shutdown)
        port = free_port()
        serve.start(proxy_location="HeadOnly", http_options={"port": port})
        stack.callback(serve.shutdown)
        target = ray_app.application(config, Settings(), make_backend=make_fake, make_app=make_app)
        serve.run(target, name=ray_app.NAME)
        yield Client(f"http://127.0.0.1:{port}", cluster)


class Response(AsyncIterator[list[Event]]):
    """What a handle returns: batches of events, or what Ray raises."""

    def __init__(self, *batches: list[Event] | Exception) -> None:
        self.batches = list(batches)
        self.cancelled = False

    async def __anext__(self) -> list[Event]:
        if not self.batches:
            raise StopAsyncIteration
        batch = self.batches.pop(0)
        if isinstance(batch, Exception):
            raise batch
        return batch

    def cancel(self) -> None:
        self.cancelled = True


class Handle:
    """Answers each request with the next of `responses`, and remembers what was asked."""

    def __init__(self, *responses: Response) -> None:
        self.responses = list(responses)
        self.asked: list[Ask] = []
        self.generate = self

    def options(self, **options: Any) -> "Handle":
        assert options == {"stream": True}
        return self

    def remote(self, ask: Ask) -> Response:
        self.asked.append(ask)
        return self.responses[len(self.asked) - 1]


def died() -> Exception:
    return ray.exceptions.ActorDiedError()


def chat(*, stream: bool = True, **body: Any) -> Ask:
    return Ask("chat", "m", {"messages": [], **body}, stream=stream)


async def read(handle: Handle, ask: Ask) -> list[Event]:
    return [event async for event in RayBackend("m", handle).generate(ask)]  # type: ignore[arg-type]


END: list[Event] = [Finish("stop"), Usage(3, 4)]


class TestBackend:
    async def test_a_stream_goes_on_where_it_broke_off(self) -> None:
        first = Response([Delta("one "), Delta("tw")], died())
        second = Response([Delta("one two"), Delta(" three")], END)
        handle = Handle(first, second)
        assert await read(handle, chat()) == [
            *(Delta("one "), Delta("tw"), Delta("o"), Delta(" three")),
            *END,
        ]
        assert handle.asked[0].body["seed"] == handle.asked[1].body["seed"]

    async def test_choices_go_on_each_where_it_broke_off(self) -> None:
        first = Response([Delta("a", 0), Finish("stop", 0), Delta("b", 1)], died())
        second = Response([Delta("b", 1), Delta("a", 0), Finish("stop", 0)], [Finish("stop", 1)])
        events = await read(Handle(first, second), chat(n=2))
        assert events == [Delta("a", 0), Finish("stop", 0), Delta("b", 1), Finish("stop", 1)]

    async def test_a_seed_of_the_client_is_kept(self) -> None:
        handle = Handle(Response(END))
        await read(handle, chat(seed=7))
        assert handle.asked[0].body["seed"] == 7

    @pytest.mark.parametrize(
        "second", [Delta("other"), Finish("stop"), Delta("on")], ids=["other", "shorter", "ends"]
    )
    async def test_a_stream_that_cannot_go_on_ends_with_an_error(self, second: Event) -> None:
        handle = Handle(Response([Delta("one")], died()), Response([second, Finish("stop")]))
        with pytest.raises(Unavailable, match="died in the middle of the answer"):
            await read(handle, chat())

    async def test_nothing_is_sent_after_the_usage(self) -> None:
        handle = Handle(Response([Delta("one")], END, died()))
        assert await read(handle, chat()) == [Delta("one"), *END]

    async def test_tool_calls_are_not_sent_twice(self) -> None:
        begun = Delta(tool_calls=[{"index": 0}])
        handle = Handle(Response([begun], died()), Response([begun], END))
        with pytest.raises(Unavailable, match="died in the middle of the answer"):
            await read(handle, chat())

    async def test_what_is_not_streamed_is_asked_again_whatever_it_was(self) -> None:
        handle = Handle(Response([Delta("one")], died()), Response([Delta("other")], END))
        assert await read(handle, chat(stream=False)) == [Delta("other"), *END]
        assert "seed" not in handle.asked[0].body

    @pytest.mark.parametrize("stream", [True, False])
    async def test_three_losses_are_enough(self, stream: bool) -> None:
        handle = Handle(*[Response(died()) for _ in range(4)])
        with pytest.raises(Unavailable, match="3 replicas of model 'm' died"):
            await read(handle, chat(stream=stream))
        assert len(handle.asked) == 3

    async def test_closing_it_cancels_the_replica_and_counts_it_off(self) -> None:
        handle = Handle(Response([Delta("one")], [Delta("two")]))
        backend = RayBackend("m", handle)  # type: ignore[arg-type]
        events = backend.generate(chat())
        assert await anext(events) == Delta("one")
        assert backend.load.running == 1
        await events.aclose()
        assert handle.responses[0].cancelled
        assert backend.load.running == 0


class TestBatches:
    async def test_what_is_there_goes_together(self) -> None:
        more = asyncio.Event()

        async def events() -> AsyncIterator[Event]:
            yield Delta("a")
            yield Delta("b")
            await more.wait()
            yield Delta("c")

        batches = batched(events())
        assert await anext(batches) == [Delta("a"), Delta("b")]
        more.set()
        assert [batch async for batch in batches] == [[Delta("c")]]

    async def test_an_error_comes_after_what_came_before_it(self) -> None:
        async def events() -> AsyncIterator[Event]:
            yield Delta("a")
            raise Busy("Full.")

        batches = batched(events())
        assert await anext(batches) == [Delta("a")]
        with pytest.raises(Busy):
            await anext(batches)

    async def test_closing_it_closes_the_source(self) -> None:
        closed = asyncio.Event()

        async def events() -> AsyncIterator[Event]:
            try:
                yield Delta("a")
                await asyncio.sleep(60)
            finally:
                closed.set()

        batches = batched(events())
        await anext(batches)
        await batches.aclose()
        assert closed.is_set()


class SlowServe:
    """Ray Serve whose proxy misses the first call's deadline, and then accepts connections."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.proxy: socket.socket | None = None

    def start(self, **options: Any) -> None:
        self.calls.append(options)
        if self.proxy is None:
            address = ("127.0.0.1", options["http_options"]["port"])
            self.proxy = socket.create_server(address)
            raise TimeoutError("HTTP proxies not available after 60s.")


def test_start_waits_for_slow_proxies() -> None:
    serve, port = SlowServe(), free_port()
    ray_app._start(serve, "127.0.0.1", port, local=True)
    assert serve.proxy is not None
    serve.proxy.close()
    assert len(serve.calls) == 2 and serve.calls[0]["proxy_location"] == "HeadOnly"


class TestSettings:
    @pytest.mark.parametrize(
        ("args", "said"),
        [({"replica": "2"}, "'replica'"), ({"replicas": "two"}, "args.replicas='two'")],
    )
    def test_arguments_of_kuberay_are_checked(self, args: dict[str, str], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            ray_app.app(args)

    def test_beyond_this_machine_a_key_is_needed(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="SEEDBED_API_KEYS"):
            start(tmp_path, port=free_port(), host="0.0.0.0")

    def test_run_refuses_a_taken_port_before_anything_starts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connected: list[Any] = []
        monkeypatch.setattr(ray_app, "_connect", lambda *given: connected.append(given))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(Unavailable, match=f"Cannot open port {port}"):
                start(tmp_path, port=port)
        assert not connected

    def test_it_has_one_deployment_for_each_local_model(self, tmp_path: Path) -> None:
        table = tmp_path / "models.toml"
        table.write_text(TABLE)
        config = Config(models=table, data_dir=tmp_path)
        target = ray_app.application(config, Settings(), replicas=3)
        _, handles = target._bound_deployment.init_args
        models = {name: bound._bound_deployment for name, bound in handles.items()}
        assert models["a/b"].name == "model-a-b"
        assert models["a/b"].num_replicas == 3
        assert models["vectors"]._deployment_config.autoscaling_config.min_replicas == 2
        assert set(models) == {"a/b", "vectors"}


TABLE = """
[models."a/b"]
backend = "local"
spec = "smollm2"
[models.vectors]
backend = "local"
spec = "minilm"
replicas = 2
[models.far]
backend = "openai"
base_url = "http://127.0.0.1:9/v1"
"""


def start(folder: Path, **options: Any) -> None:
    ray_app.run(
        Config(data_dir=folder),
        Settings(api_keys="", open=False),
        replicas=1,
        address=None,
        **options,
    )


async def two_replicas(client: Client) -> dict[str, int]:
    """The process of each node's replica, once there are two nodes and so much load was there."""
    if not client.cluster.worker_nodes:
        client.cluster.add_node(num_cpus=1)
    found = {await client.where()}
    async with asyncio.timeout(PATIENCE):
        while len({node for node, _ in found}) < 2:
            found = set(await asyncio.gather(*[client.where("slow") for _ in range(12)]))
    return dict(found)


class TestCluster:
    pytestmark = [  # noqa: RUF012
        pytest.mark.slow,
        pytest.mark.timeout(3 * PATIENCE),
        pytest.mark.skipif("SEEDBED_RAY" not in os.environ, reason="SEEDBED_RAY=1 runs them all"),
    ]

    async def test_replicas_on_both_nodes_answer(self, client: Client) -> None:
        found = await two_replicas(client)
        assert set(found) == {node["NodeID"] for node in ray.nodes() if node["Alive"]}

    async def test_the_gateway_is_on_the_head_node(self, client: Client) -> None:
        head = client.cluster.head_node.node_id
        assert (await client.get("/state"))["node"] == head

    async def test_one_beginning_goes_to_one_replica(self, client: Client) -> None:
        await two_replicas(client)
        for letter in "abcdef":  # each would go elsewhere half of the time
            text = letter + PREFIX
            found = {await client.where(f"{text} {i}") for i in range(5)}
            assert len(found) == 1

    async def test_a_beginning_that_all_have_does_not_make_one_replica_busy(
        self, client: Client
    ) -> None:
        await two_replicas(client)
        await client.where(f"x{PREFIX} 0")
        found = await asyncio.gather(*[client.where(f"x{PREFIX} {i} slow") for i in range(16)])
        counts = [found.count(replica) for replica in set(found)]
        assert len(counts) == 2 and min(counts) >= 4, counts

    async def test_more_than_run_together_wait_and_then_are_refused(self, client: Client) -> None:
        await two_replicas(client)
        # 4.5 s each: none may end before the last of them is sent, also on a busy machine.
        found = await asyncio.gather(*[client.events("x", max_tokens=150) for _ in range(80)])
        ends = [events[-1] for events in found]
        refused = [end for end in ends if end[0] == "error"]
        assert {end[1][0] for end in refused} == {429}
        assert 80 - len(refused) >= 2 * 10 + 10  # run and wait
        assert all(end[0] == "Usage" for end in ends if end not in refused)

    @pytest.mark.parametrize("stream", [False, True])
    async def test_what_a_replica_raises_arrives_as_it_is(
        self, client: Client, stream: bool
    ) -> None:
        assert await client.events("fail", stream=stream) == [
            ["error", [400, "No. Say something else.", None]]
        ]
        assert await client.events("busy", stream=stream) == [["error", [429, "Full.", 7]]]

    async def test_embeddings(self, client: Client) -> None:
        body = {"input": ["a", "b"]}
        async with aiohttp.request("POST", f"{client.url}/embed", json=body) as response:
            assert await response.json() == [[1.0, 2.0], [1.0, 2.0]]

    async def test_a_client_that_leaves_stops_the_replica(self, client: Client) -> None:
        body = {"messages": [{"content": "x"}], "max_tokens": 500, "stream": True}
        processes = {str(process) for process in (await two_replicas(client)).values()}
        before = await cancelled(client, processes)
        async with aiohttp.request("POST", f"{client.url}/generate", json=body) as response:
            assert b"w0" in await response.content.readline()
        async with asyncio.timeout(PATIENCE):
            while await cancelled(client, processes) == before:
                await asyncio.sleep(0.1)
        assert await cancelled(client, processes) == before + 1
        assert (await client.get("/state"))["running"] == 0

    async def test_no_answer_is_lost_with_a_node(self, client: Client) -> None:
        """Under steady load, half of it streamed: what was in flight there is answered too."""
        found = await two_replicas(client)
        enough = asyncio.Event()
        answers: list[str] = []

        async def ask_on(number: int) -> None:
            await asyncio.sleep(number / 10)  # so that they don't all end together
            while not enough.is_set():
                stream = bool(number % 2)
                answers.append(await client.answer("x", max_tokens=30, stream=stream))

        async def until_answered(count: int) -> None:
            while len(answers) < count:
                await asyncio.sleep(0.05)

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(ask_on(number))
            await until_answered(12)
            node = next(iter(client.cluster.worker_nodes))
            os.kill(found[node.node_id], signal.SIGKILL)  # it would outlive its node for a second
            await asyncio.to_thread(client.cluster.remove_node, node, allow_graceful=False)
            await until_answered(len(answers) + 40)
            enough.set()
        assert set(answers) == {"".join(f"w{i} " for i in range(30))}
        assert (await client.where())[0] == client.cluster.head_node.node_id

    async def test_a_new_node_gets_a_replica(self, client: Client) -> None:
        if client.cluster.worker_nodes:  # else another test has lost it
            await two_replicas(client)
            lost = next(iter(client.cluster.worker_nodes))
            await asyncio.to_thread(client.cluster.remove_node, lost, allow_graceful=False)
        node = client.cluster.add_node(num_cpus=1)
        found: dict[str, int] = {}
        async with asyncio.timeout(PATIENCE):
            while node.node_id not in found:
                await asyncio.sleep(0.2)
                found = dict(await asyncio.gather(*[client.where() for _ in range(6)]))
        assert node.node_id in found


async def cancelled(client: Client, processes: set[str]) -> int:
    """How many requests the replicas in `processes` saw cancelled, all of them together."""
    found: dict[str, int] = {}
    async with asyncio.timeout(PATIENCE):
        while set(found) != processes:
            pairs = [client.answer("cancelled"), client.answer("cancelled")]
            for text in await asyncio.gather(*pairs):
                process, count = text.split()
                found[process] = int(count)
    return sum(found.values())


@pytest.mark.slow
@pytest.mark.timeout(3 * PATIENCE)
async def test_the_whole_service_with_a_real_model(tmp_path: Path) -> None:
    """As `llm-service ray` starts it, until SIGTERM ends it with a stream that is running."""
    port = free_port()
    table = tmp_path / "models.toml"
    table.write_text('[models.smollm2]\nbackend = "local"\n')
    code = (
        "import logging, pathlib; logging.basicConfig(level='INFO')\n"
        "from llm_service import config; from seedbed import settings\n"
        "from llm_service.on_ray import app as ray_app\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "ray_app.run(config.Config(models=folder / 'models.toml', data_dir=folder),"
        f" settings.Settings(), replicas=1, address=None, port={port})"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        output = b""
        async for line in process.stderr:
            output += line
            if b"serving on" in line:
                break
        else:
            pytest.fail(f"The service ended before it served:\n{output.decode()[-4000:]}")
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        body = {"messages": [{"role": "user", "content": "Count to ten."}], "max_tokens": 16}
        async with aiohttp.request("POST", url, json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
            assert answer["usage"]["completion_tokens"] > 0
            assert answer["choices"][0]["message"]["content"]
            assert len(response.headers.getall("x-request-id")) == 1
            assert response.headers["x-model-used"] == "smollm2"
        # Running still when the signal comes, and done within Ray's grace of 30 s when busy.
        body |= {"max_tokens": 60, "stream": True, "ignore_eos": True}
        async with aiohttp.request("POST", url, json=body) as response:
            await response.content.readline()
            process.terminate()
            said = await response.content.read()
        assert said.endswith(b"data: [DONE]\n\n")
        await process.stderr.read()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.terminate()  # it ends its cluster
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.communicate(), PATIENCE)
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_command_rejects_zero_replicas(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["ray", "--replicas", "0"])
    assert exit_.value.code == 2 and "Usage: " in capsys.readouterr().err
